"""The file of a classifier: a zip of plain arrays and a JSON header, of which nothing is executed.

It is an ``.npz`` that :func:`numpy.load` opens with ``allow_pickle=False``. The member ``header``
holds the bytes of a JSON object, all others are numbers.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grokpredict._util.atomic import replacing
from grokpredict._util.errors import GrokpredictError

#: What the header calls itself.
MAGIC = "grokpredict-classifier"

#: Rises whenever the meaning of the file, or of a feature that keeps its name, changes.
PROTOCOL = 2

#: A classifier unpacks to one or two million bytes; what claims more than this is none.
MAX_BYTES = 64 * 2**20
MAX_MEMBERS = 256

Arrays = Mapping[str, NDArray[np.generic]]

_RETRAIN = "train it again with `grokpredict train-classifier`"


class ClassifierFileError(GrokpredictError):
    """A file that is no classifier that this version can use, with the reason as its message."""


def write_archive(path: Path, header: Mapping[str, Any], arrays: Arrays) -> None:
    """Write header and arrays, so that an older file is replaced whole or stays as it was.

    Parameters
    ----------
    path : Path
        Where to; the folder must exist.
    header : mapping
        What :func:`json.dumps` takes, without NaN.
    arrays : mapping of str to ndarray
        Numbers only.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    told = {"magic": MAGIC, "protocol": PROTOCOL, **header}
    text = json.dumps(told, sort_keys=True, allow_nan=False, separators=(",", ":"))
    members = {"header": np.frombuffer(text.encode(), dtype=np.uint8), **arrays}
    packed = io.BytesIO()
    np.savez_compressed(packed, allow_pickle=False, **members)
    with replacing(path) as file:
        file.write(packed.getvalue())


def read_archive(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[np.generic]]]:
    """Read what :func:`write_archive` wrote.

    Returns
    -------
    header : dict
        Of the protocol that this version knows.
    arrays : dict of str to ndarray
        Numbers only, not yet checked for sense.

    Raises
    ------
    ClassifierFileError
        If the file is missing, broken, something else, or of another protocol.
    """
    try:
        members = _members(path)
        header = json.loads(members.pop("header").astype(np.uint8).tobytes())
        magic, protocol = header["magic"], header["protocol"]
    except FileNotFoundError:
        raise ClassifierFileError(f"there is no classifier file {path}") from None
    except Exception as error:  # zipfile, zlib, numpy and json each trip over a file in their way
        raise damaged(path, error) from error
    if magic != MAGIC:
        raise damaged(path, ValueError("its header is another's"))
    if protocol != PROTOCOL:
        raise ClassifierFileError(
            f"{path} has the protocol {protocol}, this version reads {PROTOCOL}; {_RETRAIN}"
        )
    return header, members


def _members(path: Path) -> dict[str, NDArray[np.generic]]:
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
        if len(infos) > MAX_MEMBERS or sum(info.file_size for info in infos) > MAX_BYTES:
            raise ValueError(f"it holds more than {MAX_BYTES} bytes")
        found = {}
        for info in infos:
            content = io.BytesIO(archive.read(info))
            array = np.lib.format.read_array(content, allow_pickle=False)
            if array.dtype.kind not in "biuf":
                raise ValueError(f"{info.filename} does not hold numbers")
            found[info.filename.removesuffix(".npy")] = array
    return found


def damaged(path: Path, error: Exception) -> ClassifierFileError:
    """Return the error for a file that is no classifier, or no longer."""
    return ClassifierFileError(
        f"{path} is not a classifier file or is damaged ({type(error).__name__}: "
        f"{' '.join(str(error).split())[:200]}); {_RETRAIN}"
    )


def incompatible(path: Path, what: str) -> ClassifierFileError:
    """Return the error for a sound file that this version cannot use."""
    return ClassifierFileError(f"{path} {what}; {_RETRAIN}")
