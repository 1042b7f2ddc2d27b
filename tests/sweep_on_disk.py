"""A small planted sweep as files, and the command line as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from planted import planted_sweep

from grokpredict.logs import write_bundle
from grokpredict.runs.run import Run

COMMAND = [sys.executable, "-m", "grokpredict"]


def write_sweep(folder: Path, *, bundles: int = 4, runs: int = 20, steps: int = 400) -> Path:
    """Bundles of runs whose first steps tell what becomes of them."""
    folder.mkdir(exist_ok=True)
    sweep = planted_sweep(bundles * runs, seed=1, steps=steps).runs
    for number in range(bundles):
        own = sweep[number * runs : (number + 1) * runs]
        write_bundle(
            folder / f"{number:03}.npz",
            channels={
                name: (
                    own[0].channels[name].steps,
                    np.stack([r.channels[name].values for r in own]),
                )
                for name in ("train_loss", "val_acc")
            },
            n_steps=[4000] * runs,
            hparams=[{**run.hparams, "max_steps": 4000} for run in own],
        )
    return folder


def _stacked(runs: Sequence[Run], name: str) -> tuple[np.ndarray, np.ndarray]:
    values = np.stack([run.channels[name].values for run in runs])
    return runs[0].channels[name].steps, values


def environment(cache: Path) -> dict[str, str]:
    return {**os.environ, "GROKPREDICT_CACHE": str(cache), "OMP_NUM_THREADS": "1"}


def command(sweep: Path, output: Path) -> list[str]:
    return [*COMMAND, "train-classifier", str(sweep), "-o", str(output)]


def train(
    sweep: Path, output: Path, cache: Path, *options: str, **arguments: object
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *COMMAND,
            "train-classifier",
            str(sweep),
            "-o",
            str(output),
            *options,
        ],
        env=environment(cache),
        capture_output=True,
        text=True,
        check=False,
        **arguments,  # type: ignore[call-overload]
    )
