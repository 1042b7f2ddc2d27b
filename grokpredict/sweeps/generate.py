"""The sweep: draw, train and write shard after shard, going on where it was interrupted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from joblib import delayed
from numpy.typing import NDArray

from grokpredict._util.atomic import check_replaceable
from grokpredict._util.parallel import results
from grokpredict._util.progress import Progress
from grokpredict.logs.bundle_writer import write_bundle
from grokpredict.logs.mantissa import MANTISSA_BITS
from grokpredict.sweeps.evaluation import EVALUATE_EVERY
from grokpredict.sweeps.families import FAMILIES, draw_shard
from grokpredict.sweeps.record import DENSE_STEPS, EVALUATED, REGRESSION_LEVEL, Record
from grokpredict.sweeps.regimes import SHARD_RUNS
from grokpredict.sweeps.trainer import train_stack

#: Bits of the mantissa that are stored, by generation; benchmarks/bench_storage.py says why.
BITS = {1: MANTISSA_BITS, 2: 10}


def generate(
    families: Sequence[str],
    out: Path,
    *,
    runs: int = 10 * SHARD_RUNS,
    steps: int | None = None,
    seed: int = 0,
    jobs: int = 1,
    device: str = "cpu",
    progress: Progress | None = None,
) -> list[Path]:
    """Make at least ``runs`` runs of each family and write them as bundles.

    Parameters
    ----------
    families : sequence of str
        Names in :data:`~grokpredict.sweeps.families.FAMILIES`.
    out : Path
        Folder for one bundle a shard of 24 runs, ``FAMILY-SEED-SHARD.npz``. Shards that are
        there already are not made again: an interrupted sweep goes on, a larger one adds to it.
    runs : int
        Rounded up to whole shards.
    steps : int, optional
        Cuts budgets off here, for a quick look.
    seed : int
        The same seed gives the same runs on the same machine.
    jobs : int
        Processes, as joblib counts them; each trains its stack on one thread.
    device : str
        A PyTorch device, for example ``"cuda"``.
    progress : callable, optional
        Called with the runs that are made and all of them.

    Returns
    -------
    list of Path
        The bundles, in order.

    Raises
    ------
    ValueError
        If a family is unknown, a number is out of its range, or the device is not there.
    """
    _check(families, runs, steps, jobs, device)
    out.mkdir(parents=True, exist_ok=True)
    shards = [(name, k) for k in range(math.ceil(runs / SHARD_RUNS)) for name in families]
    paths = [out / f"{name}-{seed}-{k:04d}.npz" for name, k in shards]
    missing = [(name, k, p) for (name, k), p in zip(shards, paths, strict=True) if not p.exists()]
    if missing:
        check_replaceable(missing[0][2])
    tasks = (delayed(_make)(name, k, seed, steps, device, path) for name, k, path in missing)
    made = len(shards) - len(missing)
    for done, _ in enumerate(results(tasks, jobs, ordered=False), made + 1):
        if progress is not None:
            progress(done * SHARD_RUNS, len(shards) * SHARD_RUNS)
    return paths


def _check(families: Sequence[str], runs: int, steps: int | None, jobs: int, device: str) -> None:
    for name in families:
        if name not in FAMILIES:
            raise ValueError(f"a family must be one of {', '.join(FAMILIES)}, got {name!r}")
    if runs < 1 or jobs == 0:
        raise ValueError(f"there must be at least 1 run and 1 process, got {runs} and {jobs}")
    if steps is not None and (steps < EVALUATE_EVERY or steps % EVALUATE_EVERY):
        raise ValueError(
            f"steps must be a multiple of {EVALUATE_EVERY}, the evaluation interval, got {steps}"
        )
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:  # what torch raises depends on its build
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"device must be one that torch can use, got {device!r}: {reason}"
        ) from error


def _make(name: str, shard: int, seed: int, steps: int | None, device: str, path: Path) -> Path:
    torch.set_num_threads(1)
    configs = draw_shard(FAMILIES[name], shard, seed)
    data = FAMILIES[name].data(configs[0])
    write_records(path, train_stack(configs, data, device=device, max_steps=steps), steps)
    return path


def write_records(path: Path, records: Sequence[Record], cut: int | None = None) -> None:
    """Write finished runs as one bundle.

    The training loss stands at every step up to 3 200 (second generation: 1 600) and at every
    evaluation after that, the other channels at every evaluation.

    Parameters
    ----------
    path : Path
        Written whole or not at all.
    records : sequence of Record
        What :func:`~grokpredict.sweeps.trainer.train_stack` returned.
    cut : int, optional
        Where budgets were cut off: ``max_steps`` in the file says what was really planned.
    """
    steps = max((r.steps for r in records), key=len)
    n_evaluations = len(steps)
    generation = records[0].config.generation
    late = steps >= DENSE_STEPS[generation]
    n_dense = max(len(r.train_loss) for r in records)
    table = {
        name: np.stack([_padded(r.evaluations[name], n_evaluations) for r in records])
        for name in ("train_loss", *EVALUATED)
    }
    dense = np.stack([_padded(r.train_loss, n_dense) for r in records])
    channels = {
        name: (steps, table[name])
        for name in EVALUATED
        if not np.isnan(table[name]).all()  # a regression has no accuracies
    }
    channels["train_loss"] = (
        np.concatenate([np.arange(n_dense), steps[late]]),
        np.concatenate([dense, table["train_loss"][:, late]], axis=1),
    )
    hparams = [r.hparams() for r in records]
    for row in hparams:
        if cut is not None:
            row["max_steps"] = min(int(str(row["max_steps"])), cut)
        if "val_acc" not in channels:
            row["generalised_at_val_loss"] = REGRESSION_LEVEL
    write_bundle(
        path,
        channels=channels,
        n_steps=[r.n_steps for r in records],
        hparams=hparams,
        names=[f"{path.stem}-{i:02d}" for i in range(len(records))],
        compact=True,
        bits=BITS[generation],
    )


def _padded(values: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    return np.pad(values, (0, width - len(values)), constant_values=np.nan)
