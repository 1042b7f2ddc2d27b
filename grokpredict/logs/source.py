"""Opening what a log is read from: regular files or standard input, within limits.

Every reader opens its files here, so that a pipe, a device or a small file that unpacks to many
gigabytes is refused in one sentence, whatever its format.
"""

from __future__ import annotations

import gzip
import os
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from grokpredict._util.opening import MAX_BYTES, in_words, open_regular, unpacked_limit
from grokpredict.logs.errors import LogError

STDIN = Path("-")

#: Bytes of a configuration: one that a person wrote takes some kilobytes.
MAX_CONFIGURATION = 2**20

_BLOCK = 2**20


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a log as bytes, as they are on the disk.

    Parameters
    ----------
    path : Path
        A regular file; ``-`` is standard input.

    Raises
    ------
    LogError
        If it cannot be opened, is no regular file, or is larger than
        :data:`~grokpredict._util.opening.MAX_BYTES`.
    """
    if path == STDIN:
        if sys.stdin is None:
            raise LogError("standard input is closed; name a file, or pipe a log in")
        yield sys.stdin.buffer
        return
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size > MAX_BYTES:
                raise too_large(path, size, MAX_BYTES)
            yield file
    except OSError as error:
        raise LogError(f"{shown(path)} cannot be opened: {error.strerror or error}") from error


def check_regular(path: Path) -> None:
    """Raise LogError unless a path is what :func:`opened` opens, for libraries that open it."""
    with opened(path):
        pass


def read_text(path: Path, limit: int = MAX_BYTES) -> str:
    """Return the whole text of a log.

    Parameters
    ----------
    path : Path
        Decompressed if it ends in ``.gz``; ``-`` is standard input.
    limit : int
        Bytes that it may hold.

    Raises
    ------
    LogError
        If it cannot be opened, is larger, is not text, or is empty.
    """
    text = _decoded(b"".join(blocks(path, limit)), path)
    if not text.strip():
        raise LogError(f"a log must have a header and rows, {shown(path)} is empty")
    return text


def read_configuration(path: Path) -> str:
    """Return the text of a configuration, which may be empty; LogError as :func:`read_text`."""
    return _decoded(b"".join(blocks(path, MAX_CONFIGURATION)), path)


def blocks(path: Path, limit: int = MAX_BYTES) -> Iterator[bytes]:
    """Yield what a log holds, decompressed, in pieces; LogError as :func:`read_text`."""
    with opened(path) as raw:
        file: BinaryIO | gzip.GzipFile = raw
        if path.suffix == ".gz":
            limit = min(limit, unpacked_limit(os.fstat(raw.fileno()).st_size))
            file = gzip.GzipFile(fileobj=raw)
        size = 0
        try:
            while block := file.read(_BLOCK):
                size += len(block)
                if size > limit:
                    raise too_large(path, size, limit)
                if b"\0" in block:
                    raise _no_text(path)
                yield block
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise LogError(f"{shown(path)} is not a whole gzip file: {error}") from error


def too_large(path: Path, size: int, limit: int) -> LogError:
    """Return the error for what holds more than is read."""
    return LogError(
        f"a log may hold {in_words(limit)}, {shown(path)} holds {in_words(size)} or more; "
        "write fewer rows, or a run a file"
    )


def _decoded(data: bytes, path: Path) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _no_text(path) from error


def _no_text(path: Path) -> LogError:
    return LogError(f"a log must be text, {shown(path)} is not")


def shown(path: Path) -> str:
    """Return the name of a log for people."""
    return "standard input" if path == STDIN else str(path)


def suffix(path: Path) -> str:
    """Return the extension of a log without the compression.

    >>> suffix(Path("runs/a.CSV.gz"))
    '.csv'
    """
    return Path(path.name.lower().removesuffix(".gz")).suffix
