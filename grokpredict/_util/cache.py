"""Results kept between runs of the command line, so that the second run of a sweep is a short one.

joblib.Memory would do, but takes a millisecond and three files for each log that it knows; reading
a log and computing its features takes ten.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import re
import shutil
import stat
import time
from contextlib import suppress
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

from grokpredict._util.atomic import replacing
from grokpredict._util.codec import DAMAGED, decoded, encoded

_LOG = logging.getLogger(__name__)

#: Environment variable that names the folder.
VARIABLE = "GROKPREDICT_CACHE"

#: What decides a result besides the package itself.
_LIBRARIES = ("numpy", "scipy", "scikit-learn", "mne")

_MONTH = 30 * 24 * 3600.0


#: Folders of results; nothing else that lies beside one is ever removed.
_NAME = re.compile(r"grokpredict-[0-9a-f]{16}")

T = TypeVar("T")


def default_folder() -> Path | None:
    """Return ``$GROKPREDICT_CACHE``, or ``grokpredict`` in ``$XDG_CACHE_HOME`` or ``~/.cache``.

    None if there is no home folder either.
    """
    if own := os.environ.get(VARIABLE):
        return Path(own)
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        # The specification of the variable has relative paths ignored.
        return (base if base.is_absolute() else Path.home() / ".cache") / "grokpredict"
    except RuntimeError:
        return None


class Cache:
    """Results by key, each in a file that is there whole or not at all.

    A result is found again only by the very code and the library versions that made it. What has
    not been used by any run for a month goes. Nothing that is read from it is executed.

    Parameters
    ----------
    folder : Path
        In it a folder is made, for you alone, when the first result is put there. May be shared
        by processes, and by machines over a network. Deleting it costs nothing but time.

    Notes
    -----
    A folder that belongs to somebody else, or that others can write to, is neither read nor
    written: results from it could be forged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / f"grokpredict-{generation()}"
        self.broken = False

    def get(self, key: str, kind: type[T]) -> T | None:
        """Return what was put under a key; None if there is nothing, or nothing readable."""
        try:
            if not _private(self.folder):
                return None
            value: T = decoded(self._file(key).read_bytes(), kind, key)
        except (OSError, *DAMAGED):  # computing it again is right
            return None
        return value

    def put(self, key: str, value: T, kind: type[T]) -> None:
        """Keep a result. A full disk or a folder that cannot be written is logged, no error."""
        if self.broken:
            return
        target = self._file(key)
        try:
            self._make_folder()
            target.parent.mkdir(exist_ok=True, mode=0o700)
            with replacing(target, private=True) as file:
                file.write(encoded(value, kind, key))
        except OSError as error:
            self.broken = True
            _LOG.warning("nothing more is cached in %s: %s", self.folder, error.strerror or error)

    def _make_folder(self) -> None:
        if not self.folder.is_dir():
            self.folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.folder.mkdir(exist_ok=True, mode=0o700)
            self.folder.chmod(0o700)
        if not _private(self.folder):
            raise PermissionError(
                errno.EPERM, "it belongs to somebody else or others can write to it; remove it"
            )

    def tidy(self) -> None:
        """Remove results of other versions that have not been used for a month."""
        now = time.time()
        for path in filter(self._is_older, _entries(self.folder.parent)):
            try:
                if now - path.stat().st_mtime > _MONTH:
                    shutil.rmtree(path, ignore_errors=True)
            except OSError:  # another process was faster
                continue
        if self.folder.is_dir():
            with suppress(OSError):
                os.utime(self.folder)

    def _is_older(self, path: Path) -> bool:
        """Say whether a folder is a cache of another version, and not something of the user's."""
        return path != self.folder and bool(_NAME.fullmatch(path.name)) and _private(path)

    def _file(self, key: str) -> Path:
        return self.folder / key[:2] / key[2:]


def _private(folder: Path) -> bool:
    """Say whether a folder is ours and nobody else can write to it."""
    if not hasattr(os, "getuid"):  # Windows, where a user's folder is the user's
        return folder.is_dir()
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022


def key_of(*parts: object) -> str:
    """Return a key for what a result depends on; of each part its ``repr`` counts."""
    return hashlib.sha256("\0".join(map(repr, parts)).encode()).hexdigest()


@lru_cache
def generation() -> str:
    """Return a digest of the package's own source and of the versions of the libraries."""
    digest = hashlib.sha256()
    package = Path(__file__).parent.parent
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    for name in _LIBRARIES:
        digest.update(f"{name}=={version(name)}\0".encode())
    return digest.hexdigest()[:16]


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []
