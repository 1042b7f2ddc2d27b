"""The families of tasks, and the distributions that their configurations are drawn from.

A shard is what is trained at once: runs that share a task, a network and a batch size, and differ
in optimiser, rates, decay, training fraction and seed. Ranges are wide enough that every family
has both outcomes; where none is named here, they are :func:`_draw_run`'s.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator

from grokpredict.sweeps import tasks
from grokpredict.sweeps.config import RunConfig

#: Runs of a shard, and how many of them have a configuration of their own: the others repeat
#: one with another seed, which shows how much of an outcome is luck.
SHARD_RUNS = 24
SHARD_CONFIGURATIONS = 20
#: Every tenth configuration runs to three times its usual budget: how many "never" were "not yet"?
LONG_EVERY, LONG_FACTOR = 10, 3
#: The first shards of a family draw from wide ranges; of what :attr:`Family.seldom` generalises
#: there, the others draw nearer to the boundary that these showed.
WIDE_SHARDS = 2

#: In turn, shard by shard; each family starts at another one.
ARCHITECTURES = ("mlp", "transformer", "mlp", "transformer", "mlp", "gru")
PRIMES = (23, 29, 31, 37, 41, 43, 47)
LARGE_PRIMES = (53, 59, 67, 97)
BUDGETS = (4000, 6000, 10_000)


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
        Draws what the runs of one shard share, given whose turn among :data:`ARCHITECTURES` it
        is and whether to draw near the boundary.
    varied : callable
        Draws what a configuration changes in :func:`_draw_run`'s ranges.
    seldom : bool
        Whether few runs generalise in wide ranges.
    """

    name: str
    source: str
    data: Callable[[RunConfig], tasks.Dataset]
    structure: Callable[[Generator, int, bool], dict[str, Any]]
    varied: Callable[[Generator], dict[str, Any]] = lambda rng: {}
    seldom: bool = False


def draw_shard(family: Family, shard: int, seed: int) -> list[RunConfig]:
    """Draw the configurations of one shard; the same three arguments give the same ones."""
    rng = np.random.default_rng([seed, zlib.crc32(family.name.encode()), shard])
    near = family.seldom and shard >= WIDE_SHARDS
    turn = shard + list(FAMILIES).index(family.name)
    structure = family.structure(rng, turn, near)
    budget = structure.pop("budget", None) or int(rng.choice(BUDGETS, p=[0.35, 0.35, 0.3]))
    centre = structure.pop("train_fraction", None) or rng.uniform(0.5, 0.93)
    if near:  # more of the samples, on the way to 95 %
        centre = 0.95 - 0.6 * (0.95 - centre)
    drawn: list[dict[str, Any]] = []
    for number in range(SHARD_CONFIGURATIONS):
        run = _draw_run(rng, centre, near=near) | family.varied(rng)
        run["max_steps"] = budget * (LONG_FACTOR if number % LONG_EVERY == 0 else 1)
        drawn.append({"family": family.name, **structure, **run})
    repeated = [drawn[i % SHARD_CONFIGURATIONS] for i in range(SHARD_RUNS)]
    return [RunConfig(**run, seed=int(rng.integers(2**31))) for run in repeated]


def log_uniform(rng: Generator, low: float, high: float) -> float:
    """Draw a number whose logarithm is uniform, with three significant digits."""
    return float(f"{math.exp(rng.uniform(math.log(low), math.log(high))):.3g}")


def _draw_run(rng: Generator, fraction: float, *, near: bool) -> dict[str, Any]:
    """Draw optimiser, rates, decay, schedule and training fraction of one configuration."""
    optimizer = str(rng.choice(["adamw", "adam", "sgd", "lion"], p=[0.65, 0.1, 0.1, 0.15]))
    rates, decays = {
        "adamw": ((5e-4, 1e-2), (5e-2, 5.0)),
        "adam": ((5e-4, 1e-2), (1e-5, 1e-2)),
        "sgd": ((5e-2, 1.0), (1e-5, 1e-2)),
        "lion": ((5e-5, 1e-3), (3e-1, 20.0)),
    }[optimizer]
    if near and optimizer != "sgd":
        rates, decays = {
            "adamw": ((1e-3, 1e-2), (3e-2, 1.5)),
            "adam": ((1e-3, 1e-2), (1e-4, 1e-2)),
            "lion": ((1e-4, 1e-3), (2e-1, 5.0)),
        }[optimizer]
    decayed = rng.random() > 0.1
    return {
        "optimizer": optimizer,
        "learning_rate": log_uniform(rng, *rates),
        "weight_decay": log_uniform(rng, *decays) if decayed else 0.0,
        "momentum": float(rng.choice([0.9, 0.95])) if optimizer == "lion" else 0.9,
        "beta2": float(rng.choice([0.98, 0.99, 0.999])),
        "warmup_steps": int(rng.choice([0, 10, 100, 400], p=[0.4, 0.35, 0.15, 0.1])),
        "schedule": "cosine" if rng.random() < 0.2 else "constant",
        "clip_norm": 1.0 if rng.random() < 0.3 else 0.0,
        "init_scale": log_uniform(rng, 0.5, 4.0) if rng.random() < 0.3 else 1.0,
        "train_fraction": round(float(np.clip(fraction * rng.uniform(0.85, 1.15), 0.1, 0.95)), 3),
    }


def _network(rng: Generator, turn: int, samples: int) -> dict[str, Any]:
    """Draw a network for token tasks and its batch size, MLPs and transformers in turn."""
    architecture = ARCHITECTURES[turn % len(ARCHITECTURES)]
    drawn: dict[str, Any] = {"architecture": architecture, "depth": 1}
    if architecture == "mlp":
        drawn["depth"] = int(rng.choice([1, 2, 3], p=[0.65, 0.25, 0.1]))
        drawn["width"] = int(rng.choice([48, 64, 96, 128, 160], p=[0.15, 0.25, 0.25, 0.25, 0.1]))
        drawn["activation"] = str(rng.choice(["relu", "gelu", "square"], p=[0.6, 0.3, 0.1]))
        drawn["embedding"] = int(rng.choice([0, 16, 32], p=[0.55, 0.15, 0.3]))
    elif architecture == "transformer":
        drawn["depth"] = int(rng.choice([1, 2], p=[0.85, 0.15]))
        drawn["width"] = int(rng.choice([24, 32, 48], p=[0.3, 0.5, 0.2]))
        drawn["heads"] = int(rng.choice([2, 4]))
        drawn["layer_norm"] = bool(rng.random() < 0.5)
        drawn["activation"] = str(rng.choice(["relu", "gelu"]))
    else:
        drawn["width"] = int(rng.choice([24, 32, 48]))
    # A step of a full batch costs what its samples cost: large networks take it on small sets.
    limit = 1400 if architecture == "mlp" else 400
    if samples <= limit and rng.random() < 0.4 and drawn["depth"] == 1:
        drawn["batch_size"] = 0
    else:
        sizes = (64, 128, 256) if architecture == "mlp" else (64, 128)
        drawn["batch_size"] = int(rng.choice(sizes))
    return drawn


def _dropout(rng: Generator) -> dict[str, Any]:
    return {"dropout": float(rng.choice([0.0, 0.1, 0.3]))}


def _modular(operation: str) -> Callable[[Generator, int, bool], dict[str, Any]]:
    def structure(rng: Generator, turn: int, near: bool) -> dict[str, Any]:
        p = int(rng.choice(LARGE_PRIMES if turn % 12 == 8 else PRIMES))
        if operation == "quadratic" and near:
            p = int(rng.choice(PRIMES[:3]))
        drawn = {"task": operation, "modulus": p, **_network(rng, turn, p * p)}
        if operation == "quadratic":  # needs more samples than the others
            drawn["train_fraction"] = rng.uniform(0.7, 0.95)
        return drawn

    return structure


def _composition(n: int) -> Callable[[Generator, int, bool], dict[str, Any]]:
    def structure(rng: Generator, turn: int, near: bool) -> dict[str, Any]:
        drawn = _network(rng, turn, math.factorial(n) ** 2)
        if n == 5 and near:  # nothing but wide MLPs gets there in 10 000 steps
            drawn = _network(rng, 0, math.factorial(n) ** 2) | {"width": 128, "depth": 1}
        if n == 5:  # 120 classes take a wide network and many steps
            drawn |= {"width": max(drawn["width"], 48), "budget": int(rng.choice([6000, 10_000]))}
        return {
            "task": "composition",
            "modulus": n,
            "train_fraction": rng.uniform(0.6, 0.95) if n < 5 else rng.uniform(0.5, 0.9),
            **drawn,
        }

    return structure


def _parity(rng: Generator, turn: int, near: bool) -> dict[str, Any]:
    bits = int(rng.choice([20, 30, 40]))
    return {
        "task": "parity",
        "bits": bits,
        "sparsity": 2 if bits == 40 and rng.random() < 0.3 else 3,
        "samples": 4000,
        "data_seed": int(rng.integers(2**31)),
        "train_fraction": log_uniform(rng, 0.1, 0.5),
        "architecture": "mlp",
        "depth": int(rng.choice([1, 2], p=[0.8, 0.2])),
        "width": int(rng.choice([32, 64, 128])),
        "batch_size": int(rng.choice([0, 32, 64, 128])),
    }


def _parity_rates(rng: Generator) -> dict[str, Any]:
    if rng.random() < 0.5:
        return {
            "optimizer": "sgd",
            "learning_rate": log_uniform(rng, 1e-2, 0.5),
            "weight_decay": log_uniform(rng, 1e-4, 3e-2),
            "momentum": float(rng.choice([0.0, 0.9])),
        }
    return {
        "optimizer": "adamw",
        "learning_rate": log_uniform(rng, 3e-4, 1e-2),
        "weight_decay": log_uniform(rng, 1e-2, 3.0),
    }


def _teacher(rng: Generator, turn: int, near: bool) -> dict[str, Any]:
    dim = int(rng.choice([5, 10, 20]))
    return {
        "task": "teacher_student",
        "bits": dim,
        "teacher_width": int(rng.choice([5, 10])),
        "samples": 2000,
        "data_seed": int(rng.integers(2**31)),
        "train_fraction": log_uniform(rng, 0.02, 0.15),
        "architecture": "mlp",
        "activation": "tanh",
        "loss": "squared_error",
        "depth": int(rng.choice([1, 2])),
        "width": int(rng.choice([32, 64, 100])),
        "batch_size": int(rng.choice([0, 32, 64])),
    }


def _large_start(rng: Generator) -> dict[str, Any]:
    """Draw Omnigrok's initialisation scale, and the decay that undoes it."""
    return {"init_scale": log_uniform(rng, 1.0, 12.0)}


def _images(loss: str) -> Callable[[Generator, int, bool], dict[str, Any]]:
    def structure(rng: Generator, turn: int, near: bool) -> dict[str, Any]:
        return {
            "task": "digits",
            "train_fraction": log_uniform(rng, 0.05, 0.4),
            "architecture": "mlp",
            "loss": loss,
            "depth": int(rng.choice([1, 2, 3])),
            "width": int(rng.choice([32, 64, 100])),
            "batch_size": int(rng.choice([0, 64, 128])),
        }

    return structure


def _easy(rng: Generator, turn: int, near: bool) -> dict[str, Any]:
    p = int(rng.choice(PRIMES[:4]))
    network = _network(rng, turn, p * p)
    return {
        "task": "add",
        "modulus": p,
        **network,
        "width": max(network["width"], 48),
        "depth": 1,
        "train_fraction": rng.uniform(0.85, 0.92),
        "budget": 4000,
    }


def _easy_rates(rng: Generator) -> dict[str, Any]:
    return {
        "optimizer": "adamw",
        "learning_rate": log_uniform(rng, 1e-3, 8e-3),
        "weight_decay": log_uniform(rng, 0.1, 1.0),
        "init_scale": 1.0,
    }


def _confused(rng: Generator, turn: int, near: bool) -> dict[str, Any]:
    p = int(rng.choice(PRIMES))
    return {
        "task": "random_labels",
        "modulus": p,
        "data_seed": int(rng.integers(2**31)),
        "architecture": "mlp",
        "depth": 1,
        "width": int(rng.choice([16, 32, 64])),
        "batch_size": int(rng.choice([64, 128])),
        "budget": 4000,
    }


def _confused_rates(rng: Generator) -> dict[str, Any]:
    return {
        "optimizer": str(rng.choice(["adamw", "sgd"])),
        "learning_rate": log_uniform(rng, 1e-4, 3e-2),
        "weight_decay": log_uniform(rng, 1e-3, 3.0),
    }


def _noisy(rng: Generator) -> dict[str, Any]:
    return {"label_noise": float(rng.choice([0.02, 0.05, 0.1, 0.2]))}


def _pairs(config: RunConfig) -> tasks.Dataset:
    return tasks.modular(config.task, config.modulus)


def _group(config: RunConfig) -> tasks.Dataset:
    return tasks.composition(config.modulus)


_POWER = "Power et al. 2022, arXiv 2201.02177"
_OMNIGROK = "Liu, Michaud, Tegmark 2023, arXiv 2210.01117"
_PHASES = "Liu et al. 2022, arXiv 2205.10343"

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family(
            "addition", f"a + b mod p; {_POWER}", _pairs, _modular("add"), _dropout, seldom=True
        ),
        Family("subtraction", f"a - b mod p; {_POWER}", _pairs, _modular("subtract"), seldom=True),
        Family(
            "multiplication",
            f"a b mod p; {_POWER}",
            _pairs,
            _modular("multiply"),
            _dropout,
            seldom=True,
        ),
        Family("division", f"a / b mod p; {_POWER}", _pairs, _modular("divide"), seldom=True),
        Family(
            "quadratic",
            f"a^2 + ab + b^2 mod p; {_POWER}",
            _pairs,
            _modular("quadratic"),
            seldom=True,
        ),
        Family("s4", f"composition in S4; {_POWER}", _group, _composition(4), seldom=True),
        Family("s5", f"composition in S5; {_POWER}", _group, _composition(5), seldom=True),
        Family(
            "parity",
            "parity of k of n bits; Barak et al. 2022, arXiv 2207.08799",
            lambda c: tasks.sparse_parity(c.bits, c.sparsity, c.samples, c.data_seed),
            _parity,
            _parity_rates,
        ),
        Family(
            "teacher-student",
            f"regression on a random network; {_OMNIGROK}",
            lambda c: tasks.teacher_student(c.bits, c.teacher_width, 5, c.samples, c.data_seed),
            _teacher,
            _large_start,
        ),
        Family(
            "images",
            f"digits, squared error, large initial weights; {_OMNIGROK}",
            lambda c: tasks.digits(),
            _images("squared_error"),
            _large_start,
        ),
        Family(
            "images-ce",
            f"digits, cross entropy, large initial weights; {_OMNIGROK}",
            lambda c: tasks.digits(),
            _images("cross_entropy"),
            _large_start,
        ),
        Family(
            "noisy",
            "a + b mod p, some labels wrong; Nanda et al. 2023, arXiv 2301.05217",
            _pairs,
            _modular("add"),
            _noisy,
            seldom=True,
        ),
        Family("easy", f"a + b mod p, comprehension; {_PHASES}", _pairs, _easy, _easy_rates),
        Family(
            "random-labels",
            "nothing to generalise, confusion; Zhang et al. 2017, arXiv 1611.03530",
            lambda c: tasks.random_labels(c.modulus, c.data_seed),
            _confused,
            _confused_rates,
        ),
    )
}
