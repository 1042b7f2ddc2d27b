"""A folder with one ``.npy`` file a channel: ``train_loss.npy``, ``val_acc.npy``, ``steps.npy``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from grokpredict.logs.arrays import has_loss, sweep_of_arrays
from grokpredict.logs.columns import CHANNEL_NAMES, Columns, normalised, split_of
from grokpredict.logs.errors import LogError, refusing
from grokpredict.logs.hparams import hparams_beside
from grokpredict.logs.source import opened
from grokpredict.runs.run import Run
from grokpredict.runs.sweep import Findings, LeftOut, Sweep

NAME = "NumPy folder"

#: Folders in it may be further runs.
WHOLE = False

_COUNTS = re.compile(r"steps?|iters?|epochs?")


def recognises(path: Path) -> bool:
    """Say whether a path is a folder with the training losses of a run in a ``.npy`` file."""
    if not path.is_dir():
        return False
    return any(has_loss([*channels], Columns()) for channels in _groups(path).values())


def files(path: Path) -> list[Path]:
    """Return what is read of a folder."""
    return [file for channels in _groups(path).values() for file in channels.values()]


def read(path: Path, columns: Columns) -> Sweep:
    """Read the runs of a folder: what stands before the channel in a name tells them apart."""
    groups = {
        key: channels for key, channels in _groups(path).items() if has_loss([*channels], columns)
    }
    runs: list[Run] = []
    left_out: list[LeftOut] = []
    findings = Findings()
    for prefix, channels in groups.items():
        name = str(path) if len(groups) == 1 else f"{path}[{prefix}]"
        try:
            arrays: dict[str, Any] = {channel: _load(file) for channel, file in channels.items()}
            sweep = sweep_of_arrays(arrays, columns, hparams_beside(path / f"{prefix}.npy"), name)
        except LogError as error:
            left_out.append(LeftOut(name, str(error)))
            continue
        runs += sweep.runs
        left_out += sweep.left_out
        findings += sweep.findings
    return Sweep(runs, left_out, findings)


def _groups(path: Path) -> dict[str, dict[str, Path]]:
    """Return the files by what stands before the channel in their names, and by the channel."""
    groups: dict[str, dict[str, Path]] = {}
    for file in sorted(path.glob("*.npy")):
        words = re.split(r"[_\-. ]+", file.stem)
        for i in range(len(words)):
            channel = "_".join(words[i:])
            if normalised(channel) in CHANNEL_NAMES or _is_axis(channel):
                groups.setdefault("_".join(words[:i]), {})[channel] = file
                break
    return groups


def _is_axis(name: str) -> bool:
    """Say whether a name is that of steps: ``steps``, ``val_steps``, ``train_loss_steps``."""
    before, _, last = name.rpartition("_")
    of_channel = not before or split_of(before) is not None or normalised(before) in CHANNEL_NAMES
    return of_channel and _COUNTS.fullmatch(last.lower()) is not None


def _load(file: Path) -> np.ndarray[Any, Any]:
    with refusing(f"{file} cannot be read as a .npy file of numbers"), opened(file) as raw:
        return np.asarray(np.load(raw, allow_pickle=False))
