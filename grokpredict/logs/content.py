"""Which files a log is read from, and a digest of what is in them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from grokpredict.logs.hparams import configuration_files

#: Folders below that of a run are looked into this deep, for example for the last checkpoint's log.
_DEPTH = 2

#: Larger files in the folder of a run are weights; of these the size and the time count.
_LARGEST = 64 * 2**20

_BLOCK = 2**20


def content_digest(log: Path) -> str:
    """Return the SHA-256 of all that the reading of a log may depend on.

    Parameters
    ----------
    log : Path
        A file or a folder that :func:`grokpredict.logs.find` gave.

    Raises
    ------
    OSError
        If something cannot be read.
    """
    digest = hashlib.sha256(str(log).encode())
    for path in _files(log):
        status = path.stat()
        digest.update(f"\0{path}\0{status.st_size}\0".encode())
        if path != log and status.st_size > _LARGEST:
            digest.update(str(status.st_mtime_ns).encode())
            continue
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()


def _files(log: Path) -> Iterator[Path]:
    if log.is_dir():
        for folder, below, names in os.walk(log):
            below.sort()
            if len(Path(folder).relative_to(log).parts) >= _DEPTH:
                below.clear()
            yield from (Path(folder, name) for name in sorted(names))
        yield from configuration_files(log / "log")
        return
    yield log
    yield from configuration_files(log)
    # What a database has not yet taken into its own file.
    wal = log.with_name(f"{log.name}-wal")
    if wal.is_file():
        yield wal
