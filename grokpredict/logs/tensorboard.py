"""The folder of event files that ``SummaryWriter`` and Lightning's ``TensorBoardLogger`` write."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from grokpredict.logs.columns import Columns
from grokpredict.logs.errors import LogError
from grokpredict.logs.hparams import hparams_beside, unnested
from grokpredict.logs.needed import needed
from grokpredict.logs.source import check_regular
from grokpredict.logs.table import Series, sweep_of_series
from grokpredict.runs.sweep import Sweep

NAME = "TensorBoard"

#: Folders in it may be further runs.
WHOLE = False

EVENTS = "events.out.tfevents.*"

_READER = "tensorboard.backend.event_processing.event_file_loader"


def recognises(path: Path) -> bool:
    """Say whether a path is a folder with event files of a run, or one such file."""
    if path.is_dir():
        return _has_events(path) and not _is_session(path)
    return path.match(EVENTS)


def files(path: Path) -> list[Path]:
    """Return what is read of a run, the earliest first."""
    if not path.is_dir():
        return [path]
    sessions = filter(_is_session, path.iterdir())
    folders = (path, *sorted(sessions))
    return [file for folder in folders for file in sorted(folder.glob(EVENTS), key=_when)]


def read(path: Path, columns: Columns) -> Sweep:
    """Read the one run of a folder with TensorBoard's own reader.

    Every event counts, not the sample of ten thousand that TensorBoard shows. Event files that a
    resumed run added go on with the earlier ones: where steps go back, what was logged later
    counts from there on. Values are float32, as the files hold them.
    """
    events = _Events()
    found = files(path)
    for file in found:
        events.read(file)
    series = {tag: _without_orphans(*zip(*own, strict=True)) for tag, own in events.scalars.items()}
    if not series:
        raise LogError(f"a run must have scalars, the event files of {path} have none")
    hparams = {**unnested(events.hparams), **hparams_beside(found[0])}
    return sweep_of_series(series, columns, hparams, str(path))


def _when(file: Path) -> list[int]:
    """Return the numbers in a name: the second, and after the host the process and a counter."""
    return [int(part) for part in re.findall(r"\d+", file.name)]


def _has_events(path: Path) -> bool:
    return next(path.glob(EVENTS), None) is not None


def _is_session(path: Path) -> bool:
    """Say whether this is the folder, named by the time, that ``add_hparams`` made in a run's."""
    try:
        float(path.name)
    except ValueError:
        return False
    return path.is_dir() and _has_events(path.parent)


class _Events:
    """Scalars and hyperparameters, gathered from event files."""

    def __init__(self) -> None:
        self.scalars: dict[str, list[tuple[int, float]]] = {}
        self.hparams: dict[str, Any] = {}
        self._tensors: set[str] = set()
        self._loader = needed(_READER, "tensorboard").LegacyEventFileLoader
        self._plugin = needed("tensorboard.plugins.hparams.plugin_data_pb2", "tensorboard")
        self._ndarray = needed("tensorboard.util.tensor_util", "tensorboard").make_ndarray

    def read(self, file: Path) -> None:
        """Add what is in a file, up to where it breaks off."""
        check_regular(file)
        try:
            for event in self._loader(str(file)).Load():
                for value in event.summary.value:
                    self._take(event.step, value)
        # The record reader and protobuf each raise their own kinds on a damaged file.
        except Exception as error:
            raise LogError(f"the events in {file} cannot be read: {error}") from error

    def _take(self, step: int, value: Any) -> None:
        plugin = value.metadata.plugin_data
        kind = value.WhichOneof("value")
        if plugin.plugin_name == "hparams":
            told = self._plugin.HParamsPluginData.FromString(plugin.content)
            for key, own in told.session_start_info.hparams.items():
                self.hparams[key] = getattr(own, own.WhichOneof("kind"))
        elif kind == "simple_value":
            self.scalars.setdefault(value.tag, []).append((step, value.simple_value))
        elif kind == "tensor":  # TensorFlow 2 and JAX; only the first event says what it is
            if plugin.plugin_name == "scalars":
                self._tensors.add(value.tag)
            if value.tag in self._tensors:
                number = float(self._ndarray(value.tensor))
                self.scalars.setdefault(value.tag, []).append((step, number))


def _without_orphans(steps: tuple[int, ...], values: tuple[float, ...]) -> Series:
    """Drop what was logged at and after the step of a checkpoint that was gone back to."""
    own = np.array(steps, dtype=np.int64)
    # Where steps go back, that step ends all that was before; elsewhere nothing ends.
    ends = np.where(np.diff(own, append=own[-1]) < 0, np.roll(own, -1), own.max() + 1)
    kept = own < np.minimum.accumulate(ends[::-1])[::-1]
    return Series(own[kept], np.array(values, dtype=np.float64)[kept])
