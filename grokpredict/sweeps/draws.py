"""The distributions that configurations are drawn from.

Ranges are wide enough that every family has both outcomes; where a family has none of its own,
they are :func:`draw_run`'s. What a seed has drawn once it must draw for good, or the sweep data
could not be made again: new ranges get a new :class:`Stage`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.random import Generator

#: In turn, shard by shard; each family starts at another one.
ARCHITECTURES = ("mlp", "transformer", "mlp", "transformer", "mlp", "gru")
PRIMES = (23, 29, 31, 37, 41, 43, 47)
LARGE_PRIMES = (53, 59, 67, 97)
SMALL_PRIMES = (17, 19, 23, 29, 31, 37)
BUDGETS = (4000, 6000, 10_000)
#: Shards from which on a family draws nearer, and broader.
NEAR_FROM, BROAD_FROM = 2, 5


class Stage(IntEnum):
    """How a shard draws, by its number within a family."""

    WIDE = 0  # whatever people might try
    NEAR = 1  # what seldom generalises, nearer to the boundary that the wide shards showed
    BROAD = 2  # smaller tasks and more kinds of network, so that a family shows many of them

    @classmethod
    def of(cls, shard: int, *, seldom: bool) -> Stage:
        """Return the stage of a shard of a family whose runs generalise seldom, or do not."""
        if shard >= BROAD_FROM:
            return cls.BROAD
        return cls.NEAR if seldom and shard >= NEAR_FROM else cls.WIDE


#: Draws what the runs of one shard share, given whose turn among :data:`ARCHITECTURES` it is.
Structure = Callable[[Generator, int, Stage], dict[str, Any]]


def log_uniform(rng: Generator, low: float, high: float) -> float:
    """Draw a number whose logarithm is uniform, with three significant digits."""
    return float(f"{math.exp(rng.uniform(math.log(low), math.log(high))):.3g}")


def draw_budget(rng: Generator, stage: Stage) -> int:
    """Draw the usual budget of a shard."""
    if stage == Stage.BROAD:
        return int(rng.choice((3000, *BUDGETS), p=[0.25, 0.35, 0.25, 0.15]))
    return int(rng.choice(BUDGETS, p=[0.35, 0.35, 0.3]))


def draw_run(rng: Generator, fraction: float, *, near: bool) -> dict[str, Any]:
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


def network(rng: Generator, turn: int, samples: int, stage: Stage) -> dict[str, Any]:
    """Draw a network for token tasks and its batch size, MLPs and transformers in turn."""
    broad = stage == Stage.BROAD
    architecture = ARCHITECTURES[turn % len(ARCHITECTURES)]
    drawn: dict[str, Any] = {"architecture": architecture, "depth": 1}
    if architecture == "mlp":
        drawn["depth"] = int(rng.choice([1, 2, 3], p=[0.65, 0.25, 0.1]))
        widths = (32, 48, 64, 96, 128) if broad else (48, 64, 96, 128, 160)
        drawn["width"] = int(rng.choice(widths, p=[0.15, 0.25, 0.25, 0.25, 0.1]))
        kinds = [0.4, 0.25, 0.35] if broad else [0.6, 0.3, 0.1]
        drawn["activation"] = str(rng.choice(["relu", "gelu", "square"], p=kinds))
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
        drawn["batch_size"] = int(rng.choice((32, 64, 128) if broad else sizes))
    return drawn


def dropout(rng: Generator, stage: Stage) -> dict[str, Any]:
    """Draw whether and how much is dropped."""
    return {"dropout": float(rng.choice([0.0, 0.1, 0.3]))}


def modular(operation: str) -> Structure:
    """Return what draws the modulus and the network of an operation mod p."""

    def structure(rng: Generator, turn: int, stage: Stage) -> dict[str, Any]:
        usual = SMALL_PRIMES if stage == Stage.BROAD else PRIMES
        p = int(rng.choice(LARGE_PRIMES if turn % 12 == 8 else usual))
        if operation == "quadratic" and stage >= Stage.NEAR:
            p = int(rng.choice(usual[:3]))
        drawn = {"task": operation, "modulus": p, **network(rng, turn, p * p, stage)}
        if operation == "quadratic":  # needs more samples than the others
            drawn["train_fraction"] = rng.uniform(0.7, 0.95)
        return drawn

    return structure


def quadratic_rates(rng: Generator, stage: Stage) -> dict[str, Any]:
    """Draw what the few wide runs of x^2 + xy + y^2 that generalised had in common."""
    return broad_decay(rng, 0.05, 0.5) if stage == Stage.BROAD else {}


def broad_decay(rng: Generator, low: float, high: float) -> dict[str, Any]:
    """Draw AdamW with a decay in these bounds."""
    return {
        "optimizer": "adamw",
        "learning_rate": log_uniform(rng, 1e-3, 1e-2),
        "weight_decay": log_uniform(rng, low, high),
    }


def composition(n: int) -> Structure:
    """Return what draws the network of a composition in S_n."""

    def structure(rng: Generator, turn: int, stage: Stage) -> dict[str, Any]:
        drawn = network(rng, turn, math.factorial(n) ** 2, stage)
        if n == 5 and stage >= Stage.NEAR:  # nothing but wide MLPs gets there in 10 000 steps
            wide = network(rng, 0, math.factorial(n) ** 2, stage)
            drawn = wide | {"width": 96 if stage == Stage.BROAD else 128, "depth": 1}
        if n == 3:  # fewer pairs than a minibatch
            drawn["batch_size"] = 0
        if n == 5:  # 120 classes take a wide network and many steps
            drawn |= {"width": max(drawn["width"], 48), "budget": int(rng.choice([6000, 10_000]))}
        return {
            "task": "composition",
            "modulus": n,
            "train_fraction": rng.uniform(0.6, 0.95) if n < 5 else rng.uniform(0.5, 0.9),
            **drawn,
        }

    return structure


def parity(rng: Generator, turn: int, stage: Stage) -> dict[str, Any]:
    """Draw the bits of a sparse parity and its network."""
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


def composition_rates(rng: Generator, stage: Stage) -> dict[str, Any]:
    """Draw nearer to where compositions generalise, half of the time."""
    if stage == Stage.BROAD and rng.random() < 0.5:
        return broad_decay(rng, 0.1, 1.0)
    return {}


def dihedral(rng: Generator, turn: int, stage: Stage) -> dict[str, Any]:
    """Draw a dihedral group, of 22 to 42 elements."""
    n = int(rng.choice([11, 13, 15, 17, 19, 21]))
    return {"task": "dihedral", "modulus": n, **network(rng, turn, 4 * n * n, stage)}


def polynomial(rng: Generator, turn: int, stage: Stage) -> dict[str, Any]:
    """Draw a network for the regression of Kumar et al. 2024."""
    return teacher(rng, turn, stage) | {
        "task": "polynomial",
        "teacher_width": 0,
        "activation": str(rng.choice(["relu", "tanh", "square"])),
    }


def parity_rates(rng: Generator, stage: Stage) -> dict[str, Any]:
    """Draw SGD or AdamW."""
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


def teacher(rng: Generator, turn: int, stage: Stage) -> dict[str, Any]:
    """Draw the sizes of a teacher and its student."""
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


def large_start(rng: Generator, stage: Stage) -> dict[str, Any]:
    """Draw Omnigrok's initialisation scale, and the decay that undoes it."""
    return {"init_scale": log_uniform(rng, 1.0, 12.0)}


def images(loss: str) -> Structure:
    """Return what draws the network that tells digits apart."""

    def structure(rng: Generator, turn: int, stage: Stage) -> dict[str, Any]:
        harder = loss == "cross_entropy" and stage == Stage.BROAD
        shares = (0.1, 0.6) if harder else (0.05, 0.4)
        return {
            "task": "digits",
            "train_fraction": log_uniform(rng, *shares),
            "architecture": "mlp",
            "loss": loss,
            "depth": int(rng.choice([1, 2, 3])),
            "width": int(rng.choice([32, 64, 100])),
            "batch_size": int(rng.choice([0, 64, 128])),
        }

    return structure


def easy(rng: Generator, turn: int, stage: Stage) -> dict[str, Any]:
    """Draw an addition with nearly all pairs to train on."""
    p = int(rng.choice(PRIMES[:4]))
    drawn = network(rng, turn, p * p, stage)
    return {
        "task": "add",
        "modulus": p,
        **drawn,
        "width": max(drawn["width"], 48),
        "depth": 1,
        "train_fraction": rng.uniform(0.85, 0.92) if stage < Stage.BROAD else 0.95,
        "budget": 4000,
    }


def easy_rates(rng: Generator, stage: Stage) -> dict[str, Any]:
    """Draw AdamW where most runs generalise."""
    return {
        "optimizer": "adamw",
        "learning_rate": log_uniform(rng, 1e-3, 8e-3),
        "weight_decay": log_uniform(rng, 0.1, 1.0),
        "init_scale": 1.0,
    }


def confused(rng: Generator, turn: int, stage: Stage) -> dict[str, Any]:
    """Draw a network too small for its random labels."""
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


def confused_rates(rng: Generator, stage: Stage) -> dict[str, Any]:
    """Draw rates under which most runs never memorise."""
    return {
        "optimizer": str(rng.choice(["adamw", "sgd"])),
        "learning_rate": log_uniform(rng, 1e-4, 3e-2),
        "weight_decay": log_uniform(rng, 1e-3, 3.0),
    }


def noisy(rng: Generator, stage: Stage) -> dict[str, Any]:
    """Draw the share of wrong labels; few of them where much noise never generalised."""
    if stage == Stage.BROAD:
        return {"label_noise": float(rng.choice([0.01, 0.02, 0.05])), **broad_decay(rng, 0.15, 1.5)}
    return {"label_noise": float(rng.choice([0.02, 0.05, 0.1, 0.2]))}
