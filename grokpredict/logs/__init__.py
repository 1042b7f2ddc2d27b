"""From log files to runs, with one module for each format.

A format is a module with ``recognises(path)`` and ``read(path, columns)``, listed in
:data:`grokpredict.logs.formats.FILE_FORMATS` or ``FOLDER_FORMATS``. What all formats promise
is written in ``docs/formats.md``.
"""

from grokpredict.logs.bundle import read_bundle
from grokpredict.logs.bundle_writer import write_bundle
from grokpredict.logs.columns import Columns
from grokpredict.logs.errors import LogError
from grokpredict.logs.hparams import read_hparams
from grokpredict.logs.left_out import by_reason, notes, require_all, sentence
from grokpredict.logs.reading import PathLike, Paths, read_run, read_sweep

__all__ = [
    "Columns",
    "LogError",
    "PathLike",
    "Paths",
    "by_reason",
    "notes",
    "read_bundle",
    "read_hparams",
    "read_run",
    "read_sweep",
    "require_all",
    "sentence",
    "write_bundle",
]
