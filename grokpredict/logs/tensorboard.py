"""The folder of event files that ``SummaryWriter`` and Lightning's ``TensorBoardLogger`` write."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from grokpredict.logs.columns import Columns, normalised, split_of
from grokpredict.logs.errors import LogError, refusing
from grokpredict.logs.from_series import sweep_of_series
from grokpredict.logs.from_table import sweep_of_table
from grokpredict.logs.hparams import hparams_beside, unnested
from grokpredict.logs.needed import needed
from grokpredict.logs.source import check_regular
from grokpredict.logs.table import Series, Table
from grokpredict.runs.curve import checked_counts
from grokpredict.runs.sweep import Sweep

NAME = "TensorBoard"

RESUMED = (
    "its steps go back, as after a resume: what was logged later counts; if two runs write into "
    "one folder, give each a folder of its own"
)

#: Folders in it may be further runs.
WHOLE = False

EVENTS = "events.out.tfevents.*"

_TIME = re.compile(r"\d{9,}\.\d+$")

_READER = "tensorboard.backend.event_processing.event_file_loader"


def recognises(path: Path) -> bool:
    """Say whether a path is a folder with event files of a run, or one such file."""
    if not path.is_dir():
        return path.match(EVENTS)
    if _is_session(path) or (_part_of(path) is not None and recognises(path.parent)):
        return False
    return _has_events(path) or any(split == "train" for _, split in _parts(path))


def files(path: Path) -> list[Path]:
    """Return what is read of a run, the earliest first."""
    return [file for file, _ in _files(path)]


def _files(path: Path) -> list[tuple[Path, str]]:
    """Return the event files of a run, and what goes before the names of their metrics."""
    if not path.is_dir():
        return [(path, "")]
    sessions = filter(_is_session, path.iterdir())
    folders = [(path, ""), *((session, "") for session in sorted(sessions)), *_parts(path)]
    return [
        (file, before)
        for folder, before in folders
        for file in sorted(folder.glob(EVENTS), key=_when)
    ]


def _parts(path: Path) -> list[tuple[Path, str]]:
    """Return the folders of training and validation that Keras and ``add_scalars`` make in a run.

    Keras makes ``train`` and ``validation``; ``add_scalars("loss", {"train": ..., "val": ...})``
    makes ``loss_train`` and ``loss_val``, in which both curves are called ``loss``.
    """
    parts = [(folder, _part_of(folder)) for folder in sorted(path.iterdir()) if folder.is_dir()]
    return [(folder, split) for folder, split in parts if split is not None and _has_events(folder)]


def _part_of(folder: Path) -> str | None:
    return split_of(re.split(r"[_\W]+", folder.name)[-1])


def read(path: Path, columns: Columns) -> Sweep:
    """Read the one run of a folder with TensorBoard's own reader.

    Every event counts, not the sample of ten thousand that TensorBoard shows. Event files that a
    resumed run added go on with the earlier ones: where steps go back, what was logged later
    counts from there on. Values are float32, as the files hold them.
    """
    events = _Events()
    event_files = _files(path)
    for file, before in event_files:
        events.read(file, before)
    series = {
        tag: _without_orphans(*zip(*samples, strict=True))
        for tag, samples in events.scalars.items()
    }
    if not series:
        raise LogError(f"a run must have scalars, the event files of {path} have none")
    hparams = {**unnested(events.hparams), **hparams_beside(event_files[0][0])}
    again = [
        tag
        for tag, samples in events.scalars.items()
        if samples and series[tag].steps.size < len(samples)
    ]
    remarks = [RESUMED] if again else []
    if all(normalised(tag).startswith(("epoch_", "train_epoch", "val_epoch")) for tag in series):
        # Keras counts epochs; as rows of a table they are placed like any other epochs.
        return sweep_of_table(_epochs(series), columns, hparams, str(path), remarks)
    return sweep_of_series(series, columns, hparams, str(path), remarks)


def _epochs(series: Mapping[str, Series]) -> Table:
    epochs = np.unique(np.concatenate([samples.steps for samples in series.values()]))
    cells: dict[str, list[Any]] = {"epoch": epochs.tolist()}
    for tag, samples in series.items():
        column: list[Any] = [None] * epochs.size
        for i, value in zip(
            np.searchsorted(epochs, samples.steps), samples.values.tolist(), strict=True
        ):
            column[int(i)] = value
        cells[tag] = column
    return Table(cells, lambda row: row + 1)


def _when(file: Path) -> list[int]:
    """Return the numbers in a name: the second, and after the host the process and a counter."""
    return [int(part) for part in re.findall(r"\d+", file.name)]


def _has_events(path: Path) -> bool:
    return next(path.glob(EVENTS), None) is not None


def _is_session(path: Path) -> bool:
    """Say whether this is the folder, named by the time, that ``add_hparams`` made in a run's.

    Its name is what Python says of the time in seconds; 0, 1 and 2 are runs.
    """
    return bool(_TIME.match(path.name)) and path.is_dir() and _has_events(path.parent)


class _Events:
    """Scalars and hyperparameters, gathered from event files."""

    def __init__(self) -> None:
        self.scalars: dict[str, list[tuple[int, float]]] = {}
        self.hparams: dict[str, Any] = {}
        self._tensors: set[str] = set()
        self._before = ""
        self._loader = needed(_READER, "tensorboard").LegacyEventFileLoader
        self._plugin = needed("tensorboard.plugins.hparams.plugin_data_pb2", "tensorboard")
        self._ndarray = needed("tensorboard.util.tensor_util", "tensorboard").make_ndarray

    def read(self, file: Path, before: str = "") -> None:
        """Add what is in a file, up to where it breaks off; ``before`` goes before the names."""
        check_regular(file)
        self._before = before
        with refusing(f"the events in {file} cannot be read"):
            for event in self._loader(str(file)).Load():
                for value in event.summary.value:
                    self._take(event.step, value)

    def _take(self, step: int, value: Any) -> None:
        plugin = value.metadata.plugin_data
        kind = value.WhichOneof("value")
        if plugin.plugin_name == "hparams":
            start = self._plugin.HParamsPluginData.FromString(plugin.content)
            for key, setting in start.session_start_info.hparams.items():
                self.hparams[key] = getattr(setting, setting.WhichOneof("kind"))
        elif kind == "simple_value":
            self._add(step, value.tag, value.simple_value)
        elif kind == "tensor":  # TensorFlow 2 and JAX; only the first event says what it is
            if plugin.plugin_name == "scalars":
                self._tensors.add(value.tag)
            if value.tag in self._tensors:
                self._add(step, value.tag, float(self._ndarray(value.tensor)))

    def _add(self, step: int, tag: str, number: float) -> None:
        first = normalised(tag).partition("_")[0]
        named = tag if not self._before or split_of(first) else f"{self._before}_{tag}"
        self.scalars.setdefault(named, []).append((step, number))


def _without_orphans(steps: tuple[int, ...], values: tuple[float, ...]) -> Series:
    """Drop what was logged at and after the step of a checkpoint that was gone back to."""
    counts = checked_counts(steps)
    # Where steps go back, that step ends all that was before; elsewhere nothing ends.
    ends = np.where(np.diff(counts, append=counts[-1]) < 0, np.roll(counts, -1), counts.max() + 1)
    kept = counts < np.minimum.accumulate(ends[::-1])[::-1]
    return Series(counts[kept], np.array(values, dtype=np.float64)[kept])
