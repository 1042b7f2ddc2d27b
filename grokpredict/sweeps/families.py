"""The families of tasks, and the shards that their configurations come in.

A shard is what is trained at once: runs that share a task, a network and a batch size, and differ
in optimiser, rates, decay, training fraction and seed.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator

from grokpredict.sweeps import draws, regimes, tasks
from grokpredict.sweeps.config import RunConfig
from grokpredict.sweeps.kinds import REGIMES
from grokpredict.sweeps.regimes import SHARD_CONFIGURATIONS, SHARD_RUNS, Regime
from grokpredict.sweeps.sources import LIU, OMNIGROK, POWER

#: Every tenth configuration runs to three times its usual budget: how many "never" were "not yet"?
LONG_EVERY, LONG_FACTOR = 10, 3


@dataclass(frozen=True)
class Family:
    """A named family of runs.

    Parameters
    ----------
    name : str
        What ``grokpredict sweep`` is asked for.
    source : str
        Where the task is from.
    data : callable
        Makes the data set of a configuration.
    structure : callable
        Draws what the runs of one shard share.
    varied : callable
        Draws what a configuration changes in the ranges of :func:`draws.draw_run`.
    seldom : bool
        Whether few runs generalise in wide ranges.
    """

    name: str
    source: str
    data: Callable[[RunConfig], tasks.Dataset]
    structure: draws.Structure
    varied: Callable[[Generator, draws.Stage], dict[str, Any]] = lambda rng, stage: {}
    seldom: bool = False


def draw_shard(family: Family | Regime, shard: int, seed: int) -> list[RunConfig]:
    """Draw the configurations of one shard; the same three arguments give the same ones."""
    if isinstance(family, Regime):
        return regimes.draw_shard(family, shard, seed)
    rng = np.random.default_rng([seed, zlib.crc32(family.name.encode()), shard])
    stage = draws.Stage.of(shard, seldom=family.seldom)
    near = family.seldom and stage >= draws.Stage.NEAR
    turn = shard + list(FAMILIES).index(family.name)
    structure = family.structure(rng, turn, stage)
    budget = structure.pop("budget", None) or draws.draw_budget(rng, stage)
    centre = structure.pop("train_fraction", None) or rng.uniform(0.5, 0.93)
    if near:  # more of the samples, on the way to 95 %
        centre = 0.95 - 0.6 * (0.95 - centre)
    drawn: list[dict[str, Any]] = []
    for number in range(SHARD_CONFIGURATIONS):
        run = draws.draw_run(rng, centre, near=near) | family.varied(rng, stage)
        run["max_steps"] = budget * (LONG_FACTOR if number % LONG_EVERY == 0 else 1)
        drawn.append({"family": family.name, **structure, **run})
    repeated = [drawn[i % SHARD_CONFIGURATIONS] for i in range(SHARD_RUNS)]
    return [RunConfig(**run, seed=int(rng.integers(2**31))) for run in repeated]


def _pairs(config: RunConfig) -> tasks.Dataset:
    return tasks.modular(config.task, config.modulus)


def _group(config: RunConfig) -> tasks.Dataset:
    return tasks.composition(config.modulus)


def _composition(n: int) -> Family:
    """Return the family of S_n."""
    return Family(
        f"s{n}",
        f"composition in S{n}; {POWER}",
        _group,
        draws.composition(n),
        draws.composition_rates,
        seldom=True,
    )


_EVERY: tuple[Family | Regime, ...] = (
    Family(
        "addition",
        f"a + b mod p; {POWER}",
        _pairs,
        draws.modular("add"),
        draws.dropout,
        seldom=True,
    ),
    Family("subtraction", f"a - b mod p; {POWER}", _pairs, draws.modular("subtract"), seldom=True),
    Family(
        "multiplication",
        f"a b mod p; {POWER}",
        _pairs,
        draws.modular("multiply"),
        draws.dropout,
        seldom=True,
    ),
    Family("division", f"a / b mod p; {POWER}", _pairs, draws.modular("divide"), seldom=True),
    Family(
        "quadratic",
        f"a^2 + ab + b^2 mod p; {POWER}",
        _pairs,
        draws.modular("quadratic"),
        draws.quadratic_rates,
        seldom=True,
    ),
    _composition(4),
    _composition(5),
    Family(
        "parity",
        "parity of k of n bits; Barak et al. 2022, arXiv 2207.08799",
        lambda c: tasks.sparse_parity(c.bits, c.sparsity, c.samples, c.data_seed),
        draws.parity,
        draws.parity_rates,
    ),
    Family(
        "teacher-student",
        f"regression on a random network; {OMNIGROK}",
        lambda c: tasks.teacher_student(c.bits, c.teacher_width, 5, c.samples, c.data_seed),
        draws.teacher,
        draws.large_start,
    ),
    Family(
        "images",
        f"digits, squared error, large initial weights; {OMNIGROK}",
        lambda c: tasks.digits(),
        draws.images("squared_error"),
        draws.large_start,
    ),
    Family(
        "images-ce",
        f"digits, cross entropy, large initial weights; {OMNIGROK}",
        lambda c: tasks.digits(),
        draws.images("cross_entropy"),
        draws.large_start,
    ),
    Family(
        "noisy",
        "a + b mod p, some labels wrong; Nanda et al. 2023, arXiv 2301.05217",
        _pairs,
        draws.modular("add"),
        draws.noisy,
        seldom=True,
    ),
    Family("easy", f"a + b mod p, comprehension; {LIU}", _pairs, draws.easy, draws.easy_rates),
    Family(
        "random-labels",
        "nothing to generalise, confusion; Zhang et al. 2017, arXiv 1611.03530",
        lambda c: tasks.random_labels(c.modulus, c.data_seed),
        draws.confused,
        draws.confused_rates,
    ),
    # New families come last: whose turn it is among the architectures must not change.
    _composition(3),
    Family(
        "dihedral",
        "composition in a dihedral group; Chughtai et al. 2023, arXiv 2302.03025",
        lambda c: tasks.dihedral(c.modulus),
        draws.dihedral,
        draws.composition_rates,
        seldom=True,
    ),
    Family(
        "polynomial",
        "regression on a quadratic of one direction; Kumar et al. 2024, arXiv 2310.06110",
        lambda c: tasks.polynomial(c.bits, c.samples, c.data_seed),
        draws.polynomial,
        draws.large_start,
    ),
    *REGIMES,
)
FAMILIES: dict[str, Family | Regime] = {family.name: family for family in _EVERY}
