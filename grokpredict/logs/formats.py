"""The formats that are read, and which one a path is in."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, runtime_checkable

from grokpredict.logs import (
    bundle,
    csv_file,
    json_file,
    json_lines,
    lightning,
    mlflow_files,
    mlflow_sqlite,
    npy_folder,
    parquet,
    tensorboard,
    trainer_state,
    wandb_run,
)
from grokpredict.logs.columns import Columns
from grokpredict.runs.sweep import Sweep


class Format(Protocol):
    """What a module that reads one format offers."""

    NAME: str

    def recognises(self, path: Path) -> bool:
        """Say whether a path in a sweep folder is in this format, reading as little as it can."""

    def read(self, path: Path, columns: Columns) -> Sweep:
        """Read all runs of a path, or raise LogError."""


@runtime_checkable
class SeveralFiles(Protocol):
    """A format of which a run is more than one file, beside those with its configuration."""

    def files(self, path: Path) -> list[Path]:
        """Return what :meth:`Format.read` reads of a path."""


class FolderFormat(Format, SeveralFiles, Protocol):
    """A format of which a run is a folder."""

    #: Whether all that is in the folder is that one run; else folders in it are searched too.
    WHOLE: bool


#: Formats of which a run is a folder; asked in this order.
FOLDER_FORMATS: tuple[FolderFormat, ...] = (
    lightning,
    trainer_state,
    mlflow_files,
    tensorboard,
    npy_folder,
)

#: Formats of which a run, or many runs, are a file.
FILE_FORMATS: tuple[Format, ...] = (
    bundle,
    csv_file,
    json_lines,
    json_file,
    parquet,
    wandb_run,
    mlflow_sqlite,
)


def format_of(path: Path) -> Format | None:
    """Return the format that a log has by its name; None if the name says little."""
    formats = (*FOLDER_FORMATS, *FILE_FORMATS)
    return next((form for form in formats if form.recognises(path)), None)
