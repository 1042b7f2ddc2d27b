"""Opening what a log is read from: regular files or standard input, within limits.

Every reader opens its files here, so that a pipe, a device or a small file that unpacks to many
gigabytes is refused in one sentence, whatever its format.
"""

from __future__ import annotations

import gzip
import os
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from grokpredict._util.opening import MAX_BYTES, in_words, open_regular, unpacked_limit
from grokpredict.logs.errors import LogError

STDIN = Path("-")

#: Bytes of a configuration: one that a person wrote takes some kilobytes.
MAX_CONFIGURATION = 2**20

#: Bytes of a block: some ten thousand rows, whose cells take thirty times as much for a moment.
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


def read_text(path: Path) -> str:
    """Return the whole text of a log.

    Parameters
    ----------
    path : Path
        Decompressed if it ends in ``.gz``; ``-`` is standard input.

    Raises
    ------
    LogError
        If it cannot be opened, is larger than :data:`~grokpredict._util.opening.MAX_BYTES`, is
        not text, or is empty.
    """
    return open_text(path).whole()


def read_configuration(path: Path) -> str:
    """Return the text of a configuration, which may be empty; LogError as :func:`read_text`."""
    return "".join(_whole_lines(path, MAX_CONFIGURATION))


def open_text(path: Path) -> Text:
    """Return the text of a log, to be read block by block; LogError as :func:`read_text`."""
    return Text(_last_two_joined(_whole_lines(path, MAX_BYTES)), shown(path))


class Text:
    """The text of a log, in blocks of whole lines, so that a large one is never there whole.

    Parameters
    ----------
    blocks : iterable of str
        Each ends where a line ends, but for the last.
    name : str
        Of the log, for messages.

    Attributes
    ----------
    ends_in_line : bool
        Whether the last block that was given ended its last line. If the log ends without that,
        the run may have been killed while the line was written.

    Raises
    ------
    LogError
        If it is blank.
    """

    def __init__(self, blocks: Iterable[str], name: str) -> None:
        self.ends_in_line = True
        self._blocks = iter(blocks)
        self._first: str | None = ""
        while self._first is not None and not self._first.strip():
            block = next(self._blocks, None)
            if block is None:
                raise LogError(f"a log must have a header and rows, {name} is empty")
            self._first += block

    def begins_with(self, *letters: str) -> bool:
        """Say whether the first letter that is not blank is one of these."""
        return (self._first or "").lstrip().startswith(letters)

    def first_line(self) -> str:
        """Return the first line that is not blank; empty if there is no other line."""
        line, end, rest = (self._first or "").strip("\r\n").partition("\n")
        return line if end and rest.strip() else ""

    def __iter__(self) -> Iterator[str]:
        first, self._first = self._first, None
        for block in chain([] if first is None else [first], self._blocks):
            self.ends_in_line = block.endswith(("\n", "\r"))
            yield block

    def whole(self) -> str:
        """Return all of it that was not given yet."""
        return "".join(self)


def _last_two_joined(blocks: Iterator[str]) -> Iterator[str]:
    """Join the last two blocks, so that there are rows to hold the last one against."""
    waiting: list[str] = []
    for block in blocks:
        if len(waiting) == 2:
            yield waiting.pop(0)
        waiting.append(block)
    if waiting:
        yield "".join(waiting)


def _whole_lines(path: Path, limit: int) -> Iterator[str]:
    """Yield the text of a file in pieces that end where a line ends, but for the last."""
    rest: list[bytes] = []
    encoding = "utf-8-sig"
    for block in _blocks(path, limit):
        line, end, after = block.rpartition(b"\n")
        if not end:
            rest.append(block)
            continue
        yield _decoded(b"".join([*rest, line, end]), path, encoding)
        rest, encoding = [after], "utf-8"
    if any(rest):
        yield _decoded(b"".join(rest), path, encoding)


def _blocks(path: Path, limit: int) -> Iterator[bytes]:
    with opened(path) as raw:
        file: BinaryIO | gzip.GzipFile = raw
        if path.suffix == ".gz":
            _check_unpacked(raw, path, limit)
            file = gzip.GzipFile(fileobj=raw)
        size = 0
        while block := file.read(_BLOCK):
            size += len(block)
            if size > limit:
                raise too_large(path, size, limit)
            if b"\0" in block:
                raise _no_text(path)
            yield block


def _check_unpacked(raw: BinaryIO, path: Path, limit: int) -> None:
    """See how much a file unpacks to before any of it is read."""
    limit = min(limit, unpacked_limit(os.fstat(raw.fileno()).st_size))
    size = 0
    try:
        with gzip.GzipFile(fileobj=raw) as file:
            while block := file.read(_BLOCK):
                size += len(block)
                if size > limit:
                    raise too_large(path, size, limit)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise LogError(f"{shown(path)} is not a whole gzip file: {error}") from error
    raw.seek(0)


def too_large(path: Path, size: int, limit: int) -> LogError:
    """Return the error for what holds more than is read."""
    return LogError(
        f"a log may hold {in_words(limit)}, {shown(path)} holds {in_words(size)} or more; "
        "write fewer rows, or a run a file"
    )


def _decoded(data: bytes, path: Path, encoding: str) -> str:
    try:
        return data.decode(encoding)
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
