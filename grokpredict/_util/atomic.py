"""Writing a file so that an older one is replaced whole, or stays as it was."""

from __future__ import annotations

import errno
import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from grokpredict._util.opening import kind_of

#: Seconds after which a file that was not finished is taken for that of a killed process.
_ABANDONED = 3600.0


@contextmanager
def replacing(path: Path, *, private: bool = False) -> Iterator[BinaryIO]:
    """Give a file to write, and put it in the place of ``path`` once all is on the disk.

    Parameters
    ----------
    path : Path
        Where to; the folder must exist. A link is followed.
    private : bool
        For what is made again when it is lost: readable by the user alone, whatever the umask, and
        not flushed to the disk, which takes longer than to write it.

    Raises
    ------
    OSError
        If it cannot be written, or is something else than a regular file, such as ``/dev/null``;
        then, and on any other error or an interrupt, nothing has changed.

    Notes
    -----
    What is not finished lies beside it as ``.NAME.HEX.tmp``. Only a killed process leaves that
    behind; the next one that writes the same file removes it, if it is over an hour old.
    """
    target = _checked(path)
    _remove_abandoned(target)
    beside = _beside(target)
    try:
        with open(beside, "xb", opener=_private if private else None) as file:
            yield file
            file.flush()
            if not private:
                os.fsync(file.fileno())
        beside.replace(target)
    except BaseException as error:
        beside.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno and error.filename is None:
            error.filename = str(path)  # "No space left on device" alone does not say where
        raise


def _private(path: str, flags: int) -> int:
    descriptor = os.open(path, flags, 0o600)
    if hasattr(os, "fchmod"):  # whatever the umask
        os.fchmod(descriptor, 0o600)
    return descriptor


def check_replaceable(path: Path) -> None:
    """Raise OSError if :func:`replacing` cannot write ``path``; a file that is there stays."""
    target = _checked(path)
    beside = _beside(target)
    try:
        beside.open("xb").close()
        beside.unlink()
    except OSError as error:
        error.filename = str(path)
        raise


def _checked(path: Path) -> Path:
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "it must lie in an existing folder", str(path))
    try:
        kind = target.lstat().st_mode
    except FileNotFoundError:
        return target
    if not stat.S_ISREG(kind):
        what = f"it must be a regular file, it is {kind_of(kind)}"
        raise OSError(errno.EINVAL, what, str(path))
    return target


def _beside(target: Path) -> Path:
    return target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")


def _remove_abandoned(target: Path) -> None:
    begin, end = f".{target.name}.", ".tmp"
    try:
        for path in target.parent.iterdir():
            ours = path.name.startswith(begin) and path.name.endswith(end)
            if ours and time.time() - path.stat().st_mtime > _ABANDONED:
                path.unlink()
    except OSError:
        return  # somebody else's, or gone already
