"""Searching folders for logs."""

from __future__ import annotations

import os
from pathlib import Path

from grokpredict.logs.formats import FILE_FORMATS, FOLDER_FORMATS, FolderFormat
from grokpredict.logs.hparams import BESIDE, KINDS, run_name
from grokpredict.runs.sweep import LeftOut

#: Files beside logs that hold a configuration or say nothing of runs.
_BESIDE = frozenset({*BESIDE, "trainer_state.json", "meta.yaml", "README.md", "LICENSE"})


class Search:
    """The logs under some folders, gathered without recursion.

    Attributes
    ----------
    logs : dict of str to Path
        By their real paths, so that none is there twice.
    left_out : list of LeftOut
        Folders that could not be searched.
    unread : dict of str to (int, str)
        Files that are no logs, by their kind: how many, and one of them.
    seen : int
        Logs that were met, also those that were there already.
    """

    def __init__(self) -> None:
        self.logs: dict[str, Path] = {}
        self.left_out: list[LeftOut] = []
        self.unread: dict[str, tuple[int, str]] = {}
        self.seen = 0
        self._folders: set[str] = set()
        self._used: set[Path] = set()

    def add(self, log: Path) -> None:
        """Add a log unless it is there."""
        self.seen += 1
        self.logs.setdefault(os.path.realpath(log), log)

    def walk(self, folder: Path) -> None:
        """Search a folder and those in it, in the order of their names.

        A folder that two names lead to, or that holds itself, is searched once.
        """
        waiting = [folder]
        while waiting:
            here = waiting.pop()
            try:
                entries = self._entries(here)
            except OSError as error:
                self._leave_out(here, error)
                continue
            if isinstance(entries, Path):
                self.add(entries)
                continue
            waiting.extend(reversed(entries))

    def _entries(self, path: Path) -> Path | list[Path]:
        """Return a log, or what is in a folder and is still to be looked at."""
        if not path.is_dir():
            return path
        real = os.path.realpath(path)
        if real in self._folders:
            return []
        self._folders.add(real)
        with os.scandir(path) as entries:
            names = sorted(entry.name for entry in entries if not entry.name.startswith("."))
        form = next((form for form in FOLDER_FORMATS if form.recognises(path)), None)
        if form is not None:
            self.add(path)
            self._used.update(
                form.files(path)
            )  # Keras keeps those of a run in folders of their own
            if form.WHOLE:
                return []
        return self._inside(path, names, form)

    def _inside(self, path: Path, names: list[str], form: FolderFormat | None) -> list[Path]:
        waiting: list[Path] = []
        configured = {run_name(Path(name)) for name in names if not name.endswith(KINDS)}
        for name in names:
            entry = path / name
            try:
                folder = entry.is_dir()
            except OSError as error:  # a name too long for the system
                self._leave_out(entry, error)
                continue
            if folder:
                waiting.append(entry)
            elif form is not None:
                continue  # what other loggers write beside a run's log is that run again
            elif name in _BESIDE or (name.endswith(KINDS) and entry.stem in configured):
                continue
            elif entry.is_file() and any(reader.recognises(entry) for reader in FILE_FORMATS):
                waiting.append(entry)
            elif entry not in self._used:
                self._pass_over(entry)
        return waiting

    def _leave_out(self, path: Path, error: OSError) -> None:
        reason = f"it cannot be searched: {error.strerror or error}"
        self.left_out.append(LeftOut(str(path), reason))

    def _pass_over(self, entry: Path) -> None:
        kind = entry.suffix.lower() or "without an extension"
        if kind == ".json":
            kind = ".json without curves"
        number, example = self.unread.get(kind, (0, str(entry)))
        self.unread[kind] = (number + 1, example)
