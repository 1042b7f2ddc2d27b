"""Readers of training logs, one module a format.

A format is a module with ``recognises(path)`` and ``read(path, columns)``, listed in
:data:`grokpredict.logs.reading.FILE_FORMATS` or ``FOLDER_FORMATS``. What all formats promise
is written in ``docs/formats.md``.
"""

from grokpredict.logs.bundle import read_bundle, write_bundle
from grokpredict.logs.columns import Columns
from grokpredict.logs.errors import LogError
from grokpredict.logs.reading import read_run, read_sweep

__all__ = ["Columns", "LogError", "read_bundle", "read_run", "read_sweep", "write_bundle"]
