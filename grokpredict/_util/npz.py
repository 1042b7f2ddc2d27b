"""The arrays of an ``.npz`` file: nothing is executed, and no size is believed unchecked."""

from __future__ import annotations

import math
import struct
import zipfile
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from grokpredict._util.opening import in_words

#: Numbers, and the bool of which masks are made.
NUMBERS = "biuf"

#: The largest dictionary of an LZMA member: that of the strongest preset that people use.
_MAX_DICTIONARY = 64 * 2**20

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA)
_LOCAL_HEADER = struct.Struct("<26xHH")  # the lengths of the name and of the extra field
_LZMA_HEADER = struct.Struct("<2xHBL")  # the length of the properties, a packed byte, dictionary


def read_arrays(
    file: BinaryIO, *, max_bytes: int, max_members: int, kinds: str = NUMBERS
) -> dict[str, NDArray[np.generic]]:
    """Read all arrays of an ``.npz`` file.

    Parameters
    ----------
    file : binary file
        Open for reading, seekable.
    max_bytes : int
        Of all arrays together, as the file declares them and as they are.
    max_members : int
        Arrays that it may hold.
    kinds : str
        Kinds of data type that are allowed, as in :attr:`numpy.dtype.kind`.

    Returns
    -------
    dict of str to ndarray
        By the names of the members, without ``.npy``.

    Raises
    ------
    ValueError
        If it is larger, or holds what is not an array of these kinds.
    Exception
        What zipfile, zlib, lzma and NumPy raise on damaged files, each in its way.
    """
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if len(members) > max_members:
            raise ValueError(f"it holds {len(members)} arrays, more than {max_members}")
        declared = sum(member.file_size for member in members)
        if declared > max_bytes:
            raise ValueError(
                f"it unpacks to {in_words(declared)}, more than the {in_words(max_bytes)} "
                "that are read"
            )
        arrays: dict[str, NDArray[np.generic]] = {}
        for member in members:
            name = member.filename.removesuffix(".npy")
            if name in arrays:
                raise ValueError(f"it holds {name} twice")
            arrays[name] = _array(archive, file, member, kinds)
        return arrays


def _array(
    archive: zipfile.ZipFile, file: BinaryIO, member: zipfile.ZipInfo, kinds: str
) -> NDArray[np.generic]:
    if member.compress_type not in _METHODS:
        raise ValueError(f"{member.filename} is compressed in a way that NumPy does not use")
    if member.compress_type == zipfile.ZIP_LZMA:
        _check_dictionary(file, member)
    with archive.open(member) as content:
        version = np.lib.format.read_magic(content)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if read_header is None:
            raise ValueError(f"{member.filename} has an .npy header of another version")
        shape, fortran, dtype = read_header(content)
        if dtype.kind not in kinds:
            raise ValueError(f"{member.filename} holds {dtype}, which is not read")
        # The header may declare what the member cannot hold, and NumPy would allocate it.
        size = math.prod(shape) * dtype.itemsize
        if size > member.file_size:
            raise ValueError(f"{member.filename} declares more than it holds")
        data = bytearray(content.read())
    if len(data) != size:
        raise ValueError(f"{member.filename} holds {len(data)} bytes, it declares {size}")
    flat = np.frombuffer(data, dtype=dtype, count=math.prod(shape))
    return flat.reshape(shape, order="F" if fortran else "C")


def _check_dictionary(file: BinaryIO, member: zipfile.ZipInfo) -> None:
    """Refuse what the decompressor would allocate gigabytes for before it reads a byte."""
    before = file.tell()
    try:
        file.seek(member.header_offset)
        lengths = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
        file.seek(sum(lengths), 1)
        _, _, dictionary = _LZMA_HEADER.unpack(file.read(_LZMA_HEADER.size))
    finally:
        file.seek(before)
    if dictionary > _MAX_DICTIONARY:
        raise ValueError(
            f"{member.filename} needs {in_words(dictionary)} to unpack, more than "
            f"{in_words(_MAX_DICTIONARY)}"
        )
