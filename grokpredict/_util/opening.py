"""Opening a file that somebody named: a regular one, and no more of it than a limit."""

from __future__ import annotations

import errno
import os
import stat
from typing import BinaryIO

#: Bytes of an input, after decompression, that are read without a question.
FREE = 64 * 2**20

#: What is compressed may unpack to this many times its size, beyond :data:`FREE`. Logs shrink to a
#: tenth, hardly ever to a fiftieth; what was made to fill the memory shrinks to a thousandth.
MAX_RATIO = 100

#: Bytes of an input, after decompression: three times what a run of 20 million rows takes.
MAX_BYTES = 2 * 2**30


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file for reading, unless it is a folder, a pipe, a socket or a device.

    Raises
    ------
    OSError
        If it is not a regular file, or cannot be opened.

    Notes
    -----
    A pipe that nobody writes to would wait for ever, ``/dev/zero`` would never end.
    """
    # Without O_NONBLOCK, opening a pipe waits for its other end.
    descriptor = os.open(path, os.O_RDONLY | _FLAGS)
    kind = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(kind):
        os.close(descriptor)
        raise OSError(errno.EINVAL, f"it must be a regular file, it is {kind_of(kind)}", str(path))
    return os.fdopen(descriptor, "rb")


_FLAGS = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def kind_of(mode: int) -> str:
    """Return in words what kind of file has this mode.

    >>> kind_of(stat.S_IFIFO)
    'a named pipe'
    """
    kinds = {
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a named pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    return kinds.get(stat.S_IFMT(mode), "something else")


def unpacked_limit(packed: int) -> int:
    """Return how many bytes a compressed input of ``packed`` bytes may unpack to.

    >>> unpacked_limit(1000) == FREE
    True
    """
    return min(max(FREE, MAX_RATIO * packed), MAX_BYTES)


def in_words(number: int) -> str:
    """Return a number of bytes for people.

    >>> in_words(64 * 2**20)
    '64 MiB'
    """
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number} bytes"
