"""Opening a log as text: plain or gzip-compressed, or standard input."""

from __future__ import annotations

import gzip
import sys
import zlib
from pathlib import Path

from grokpredict.logs.errors import LogError

STDIN = Path("-")


def read_text(path: Path) -> str:
    """Return the whole text of a log.

    Parameters
    ----------
    path : Path
        Decompressed if it ends in ``.gz``; ``-`` is standard input.

    Raises
    ------
    LogError
        If it cannot be opened, is not text, or is empty.
    """
    try:
        if path == STDIN:
            data = sys.stdin.buffer.read()
        elif path.suffix == ".gz":
            with gzip.open(path) as file:
                data = file.read()
        else:
            data = path.read_bytes()
        text = data.decode("utf-8-sig")
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise LogError(f"{path} is not a whole gzip file: {error}") from error
    except OSError as error:
        raise LogError(f"{path} cannot be opened: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise LogError(f"a log must be text, {shown(path)} is not") from error
    if "\0" in text:
        raise LogError(f"a log must be text, {shown(path)} is not")
    if not text.strip():
        raise LogError(f"a log must have a header and rows, {shown(path)} is empty")
    return text


def shown(path: Path) -> str:
    """Return the name of a log for people."""
    return "standard input" if path == STDIN else str(path)


def suffix(path: Path) -> str:
    """Return the extension of a log without the compression.

    >>> suffix(Path("runs/a.CSV.gz"))
    '.csv'
    """
    return Path(path.name.lower().removesuffix(".gz")).suffix
