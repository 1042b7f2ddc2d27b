"""A digest of what a log holds, wherever it lies."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from grokpredict._util.opening import open_regular
from grokpredict.logs.formats import SeveralFiles, format_of
from grokpredict.logs.hparams import configuration_files

_BLOCK = 2**20


def content_digest(log: Path) -> str:
    """Return the SHA-256 of all that the reading of a log depends on, but not of its path.

    Parameters
    ----------
    log : Path
        A file or a folder that :func:`grokpredict.logs.reading.find` gave.

    Raises
    ------
    OSError
        If something cannot be read.
    """
    form = format_of(log)
    files = form.files(log) if isinstance(form, SeveralFiles) else [log]
    digest = hashlib.sha256(b"" if form is None else form.NAME.encode())
    for path in (*files, *configuration_files(files[0])):
        # MLflow names metrics by their files; of others it matters only how they are written.
        name = path.relative_to(log).as_posix() if log in path.parents else path.suffix
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            digest.update(f"\0{name}\0{size}\0".encode())
            while block := file.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()
