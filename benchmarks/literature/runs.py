"""The runs behind the checks against the literature: which, and where they are kept."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from grokpredict.logs.bundle import read_bundle
from grokpredict.runs.run import Run
from grokpredict.sweeps import tasks
from grokpredict.sweeps.config import RunConfig
from grokpredict.sweeps.generate import write_records
from grokpredict.sweeps.trainer import train_stack

DATA = Path(__file__).parents[2] / "data" / "literature"
#: Steps at the start of which the loss is kept at each: the window of Notsawo et al. 2023.
WINDOW = 400
#: Runs that are trained at once; one bundle each.
STACK = 12
SEEDS = range(4)


@dataclass(frozen=True)
class Experiment:
    """Runs of one network on one task.

    Parameters
    ----------
    name : str
        Begins the names of its bundles.
    data : callable
        Makes the data set.
    configs : sequence of RunConfig
        In the order in which they are cut into stacks.
    """

    name: str
    data: Callable[[], tasks.Dataset]
    configs: Sequence[RunConfig]

    def stacks(self) -> list[tuple[Path, Sequence[RunConfig]]]:
        return [
            (DATA / f"{self.name}-{k // STACK:02d}.npz", self.configs[k : k + STACK])
            for k in range(0, len(self.configs), STACK)
        ]

    def make(self) -> None:
        """Train the stacks whose bundles are not there, or hold other configurations."""
        DATA.mkdir(parents=True, exist_ok=True)
        for path, configs in self.stacks():
            if not _holds(path, configs):
                print(f"training {path.stem}, {len(configs)} runs", flush=True)
                records = train_stack(configs, self.data())
                short = [replace(r, train_loss=r.train_loss[:WINDOW]) for r in records]
                write_records(path, short)

    def runs(self) -> list[Run]:
        return [run for path, _ in self.stacks() for run in read_bundle(path).runs]


def _holds(path: Path, configs: Sequence[RunConfig]) -> bool:
    if not path.exists():
        return False
    found = [run.hparams for run in read_bundle(path).runs]
    asked = [config.to_dict() for config in configs]
    same = ("batch_size",)  # a full batch, 0 where it is asked for, is written as its size
    return len(found) == len(asked) and all(
        f[name] == value
        for f, a in zip(found, asked, strict=True)
        for name, value in a.items()
        if name not in same
    )


def logspace(low: float, high: float, n: int) -> list[float]:
    """Return ``n`` numbers whose logarithms are evenly spaced, with three significant digits."""
    return [float(f"{x:.3g}") for x in np.geomspace(low, high, n)]


def addition(p: int) -> Callable[[], tasks.Dataset]:
    return lambda: tasks.modular("add", p)


#: The smallest networks that we found to grok a + b mod 23 within some thousand full batches.
#: Squared units learn it with fewer samples than ReLU (Gromov 2023, arXiv 2301.02679).
BASE = RunConfig(
    family="literature",
    task="add",
    modulus=23,
    architecture="mlp",
    width=64,
    depth=1,
    activation="square",
    optimizer="adamw",
    learning_rate=1e-2,
    weight_decay=0.5,
    train_fraction=0.7,
    warmup_steps=10,
    max_steps=10_000,
    seed=0,
)
TRANSFORMER = replace(
    BASE,
    architecture="transformer",
    width=24,
    heads=2,
    activation="relu",
    train_fraction=0.75,
)
#: Omnigrok's images made small: 8 x 8 pixels, 719 of them, initial weights eightfold.
DIGITS = replace(
    BASE,
    task="digits",
    modulus=0,
    width=100,
    depth=2,
    activation="relu",
    loss="squared_error",
    batch_size=64,
    init_scale=8.0,
    train_fraction=0.4,
    learning_rate=1e-3,
    weight_decay=0.3,
    warmup_steps=0,
)

RATES = logspace(1e-4, 5e-2, 12)
DECAYS = [0.0, *logspace(3e-2, 10.0, 11)]


def _line(base: RunConfig, field: str, values: Sequence[float]) -> list[RunConfig]:
    return [replace(base, **{field: value, "seed": seed}) for value in values for seed in SEEDS]


def _grid(base: RunConfig, budget: int, every: int = 1) -> list[RunConfig]:
    return [
        replace(base, learning_rate=rate, weight_decay=decay, max_steps=budget)
        for rate in RATES[::-every]
        for decay in DECAYS[::-every]
    ]


SHARES = [round(float(r), 2) for r in np.linspace(0.45, 0.9, 11)]

EXPERIMENTS = {
    e.name: e
    for e in (
        Experiment(
            "decay-addition", addition(23), _line(BASE, "weight_decay", logspace(0.1, 1.5, 7))
        ),
        Experiment("map-mlp", addition(23), _grid(BASE, 5000)),
        Experiment(
            "decay-digits", tasks.digits, _line(DIGITS, "weight_decay", logspace(0.1, 1.2, 7))
        ),
        Experiment(
            "fraction-addition",
            addition(23),
            _line(replace(BASE, max_steps=8000), "train_fraction", SHARES),
        ),
        Experiment(
            "rate-addition", addition(23), _line(BASE, "learning_rate", logspace(1.5e-3, 2e-2, 7))
        ),
        Experiment(
            "rate-digits", tasks.digits, _line(DIGITS, "learning_rate", logspace(3e-4, 3e-3, 7))
        ),
        Experiment("map-transformer", addition(23), _grid(TRANSFORMER, 3000, 2)),
    )
}


def make_all() -> None:
    """Train whatever is missing, on one thread."""
    torch.set_num_threads(1)
    for experiment in EXPERIMENTS.values():
        experiment.make()
