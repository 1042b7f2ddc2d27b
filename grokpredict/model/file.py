"""The file of a classifier: a zip of plain arrays and a JSON header, of which nothing is executed.

It is an ``.npz`` that :func:`numpy.load` opens with ``allow_pickle=False``. The member ``header``
holds the bytes of a JSON object, all others are numbers.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grokpredict._util.atomic import replacing
from grokpredict._util.errors import GrokpredictError
from grokpredict._util.npz import read_arrays
from grokpredict._util.opening import in_words, open_regular

#: What the header calls itself.
MAGIC = "grokpredict-classifier"

#: Rises whenever the meaning of the file, or of a feature that keeps its name, changes.
PROTOCOL = 5

#: A classifier unpacks to one or two million bytes; what claims more than this is none.
MAX_BYTES = 32 * 2**20
MAX_MEMBERS = 256

#: Of which the header, with a fingerprint of every configuration that was trained on.
MAX_HEADER = 16 * 2**20
MAX_DEPTH = 20

#: Combinations of channels that have a threshold.
MAX_READS = 64

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
    document = {"magic": MAGIC, "protocol": PROTOCOL, **header}
    text = json.dumps(document, sort_keys=True, allow_nan=False, separators=(",", ":"))
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
        with open_regular(path) as file:
            members = read_arrays(file, max_bytes=MAX_BYTES, max_members=MAX_MEMBERS)
        header = json.loads(_text(members.pop("header")))
        magic, protocol = header["magic"], header["protocol"]
    except FileNotFoundError:
        raise ClassifierFileError(f"there is no classifier file {path}") from None
    except OSError as error:
        why = error.strerror or error
        raise ClassifierFileError(f"the classifier {path} cannot be opened: {why}") from error
    except Exception as error:  # zipfile, zlib, numpy and json each trip over a file in their way
        raise damaged(path, error) from error
    if magic != MAGIC:
        raise damaged(path, ValueError("its header is not that of a classifier"))
    if protocol != PROTOCOL:
        raise ClassifierFileError(
            f"{path} has the protocol {protocol}, this version reads {PROTOCOL}; {_RETRAIN}"
        )
    try:
        _check_header(header)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise damaged(path, error) from error
    return header, members


def within(arrays: Arrays, part: str) -> dict[str, NDArray[np.generic]]:
    """Return the arrays of a part of a file by their names in it."""
    prefix = f"{part}."
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }


def _text(header: NDArray[np.generic]) -> bytes:
    if header.dtype != np.uint8 or header.size > MAX_HEADER:
        raise ValueError(f"its header must be text of at most {in_words(MAX_HEADER)}")
    return header.tobytes()


def _check_header(header: Mapping[str, Any]) -> None:
    """Refuse what a classifier would compute with for hours."""
    _check_depth(header)
    if len(header["reads"]) > MAX_READS:
        raise ValueError(f"thresholds may be for {MAX_READS} combinations of channels")


def _check_depth(header: Mapping[str, Any]) -> None:
    level: list[Any] = [header]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return
    raise ValueError(f"its header nests deeper than {MAX_DEPTH} levels")


def damaged(path: Path, error: Exception) -> ClassifierFileError:
    """Return the error for a file that is no classifier, or no longer."""
    return ClassifierFileError(
        f"{path} is not a classifier file or is damaged ({type(error).__name__}: "
        f"{' '.join(str(error).split())[:200]}); {_RETRAIN}"
    )


def incompatible(path: Path, what: str) -> ClassifierFileError:
    """Return the error for a sound file that this version cannot use."""
    return ClassifierFileError(f"{path} {what}; {_RETRAIN}")
