"""Draws of tasks on tokens: which operation, of which size, by which network."""

from __future__ import annotations

from collections.abc import Sequence

from numpy.random import Generator

from grokpredict.sweeps import tables
from grokpredict.sweeps.config import RunConfig
from grokpredict.sweeps.draws import log_uniform
from grokpredict.sweeps.regimes import (
    Drawn,
    Structure,
    batches,
    mlp,
    needed,
    token_network,
    transformer,
)
from grokpredict.sweeps.tasks import Dataset, modular

PRIMES = (17, 19, 23, 29, 31)


def pairs_data(config: RunConfig) -> Dataset:
    """Make the data set of an operation on pairs."""
    if config.operation == "divide":
        return modular("divide", config.modulus)
    return tables.pairs(config.operation, config.modulus, unordered=config.unordered)


def _prime(
    rng: Generator, shard: int, weights: Sequence[float] = (0.15, 0.2, 0.25, 0.25, 0.15)
) -> int:
    """Draw a modulus; one shard in twelve has a large one, on which runs are short."""
    if shard % 12 == 10:
        return int(rng.choice((37, 43, 59)))
    return int(rng.choice(PRIMES, p=weights))


def public(*operations: str, more: float = 1.0) -> Structure:
    """Return what draws the run that most people publish, on one of some operations."""

    def structure(rng: Generator, shard: int) -> Drawn:
        p = _prime(rng, shard, (0.35, 0.35, 0.2, 0.05, 0.05))
        return {
            "task": "pairs",
            "operation": str(rng.choice(operations)),
            "modulus": p,
            **transformer(rng, layer_norm=0.25),
            "width": int(rng.choice([16, 24, 32], p=[0.55, 0.35, 0.1])),
            "batch_size": 0,
            "train_fraction": min(more * needed(rng, p, 0.7, 1.1), 0.93),
            "least_share": 0.5,
            "seconds": 5.0,  # in these, generalisation comes late
        }

    return structure


def public_rates(rng: Generator, budget: int) -> Drawn:
    """Draw AdamW as public code has it for half of the runs."""
    if rng.random() < 0.5:
        return {}
    return {
        "optimizer": "adamw",
        "momentum": 0.9,
        "learning_rate": log_uniform(rng, 3e-4, 3e-3),
        "weight_decay": log_uniform(rng, 0.1, 3.0),
        "beta2": float(rng.choice([0.98, 0.999])),
    }


def arithmetic(*operations: str, unordered: bool = False, more: float = 1.0) -> Structure:
    """Return what draws any network on one of some operations mod p."""

    def structure(rng: Generator, shard: int) -> Drawn:
        p = _prime(rng, shard)
        fraction = more * needed(rng, p, 0.82, 1.25)
        return {
            "task": "pairs",
            "operation": str(rng.choice(operations)),
            "modulus": p,
            "unordered": unordered,
            **token_network(rng, shard),
            "train_fraction": min(fraction, 0.93),
        }

    return structure


def embedded(rng: Generator, shard: int) -> Drawn:
    """Draw an MLP on concatenated embeddings of standard deviation 1."""
    drawn = arithmetic("add", "subtract", "multiply", "weighted")(rng, shard)
    return {k: drawn[k] for k in ("task", "operation", "modulus", "train_fraction")} | {
        **mlp(rng, embedded=True),
        **batches(rng),
    }


def quadratic_network(rng: Generator, shard: int) -> Drawn:
    """Draw a two-layer network without biases, squares between, squared error."""
    drawn = arithmetic("add", "subtract", "weighted", "multiply")(rng, shard)
    return {k: drawn[k] for k in ("task", "operation", "modulus", "train_fraction")} | {
        **mlp(rng, embedded=False),
        **batches(rng),
        "depth": 1,
        "width": int(rng.choice([32, 48, 64, 96])),
        "activation": "square",
        "bias": False,
        "loss": "squared_error",
    }


def collapse(rng: Generator, shard: int) -> Drawn:
    """Draw an MLP in either precision; without decay float32 makes its softmax collapse."""
    drawn = arithmetic("add", "multiply")(rng, shard)
    return {k: drawn[k] for k in ("task", "operation", "modulus", "train_fraction")} | {
        **mlp(rng, embedded=bool(rng.random() < 0.5), squared=0.0),
        "precision": str(rng.choice(["float32", "float64"])),
        "batch_size": 0,
    }


def collapse_rates(rng: Generator, budget: int) -> Drawn:
    """Draw no decay for a third of the runs and little for the others."""
    if rng.random() < 0.35:
        return {"weight_decay": 0.0}
    return {}


def three_operands(rng: Generator, shard: int) -> Drawn:
    """Draw a sum of three operands."""
    p = int(rng.choice([5, 7, 9, 11]))
    return {
        "task": "triples",
        "operation": str(rng.choice(["sum", "alternating", "mixed"])),
        "modulus": p,
        **token_network(rng, shard),
        "train_fraction": log_uniform(rng, 0.7, 0.92) if p < 9 else log_uniform(rng, 0.45, 0.85),
    }


def numbers(*operations: str, low: float, high: float) -> Structure:
    """Return what draws any network on one of some operations on the numbers below n."""

    def structure(rng: Generator, shard: int) -> Drawn:
        return {
            "task": "pairs",
            "operation": str(rng.choice(operations)),
            "modulus": int(rng.integers(14, 33)),
            "unordered": bool(rng.random() < 0.3) and "less" not in " ".join(operations),
            **token_network(rng, shard),
            "train_fraction": log_uniform(rng, low, high),
        }

    return structure


def bitwise(rng: Generator, shard: int) -> Drawn:
    """Draw an operation on the bits of numbers of four or five bits."""
    return {
        "task": "pairs",
        "operation": str(rng.choice(["xor", "and", "or"])),
        "modulus": int(rng.choice([16, 32], p=[0.7, 0.3])),
        **token_network(rng, shard),
        "train_fraction": log_uniform(rng, 0.4, 0.88),
    }


def groups(choices: tuple[tuple[str, int], ...]) -> Structure:
    """Return what draws any network on the product of one of some groups."""

    def structure(rng: Generator, shard: int) -> Drawn:
        operation, n = choices[int(rng.integers(len(choices)))]
        return {
            "task": "group",
            "operation": operation,
            "modulus": n,
            **token_network(rng, shard),
            "train_fraction": log_uniform(rng, 0.75, 0.93),
        }

    return structure


SMALL_GROUPS = (
    *(("dicyclic", n) for n in (3, 4, 5, 6, 7, 8)),
    *(("cyclic_product", n) for n in (8, 10, 12, 14, 16)),
    ("alternating", 4),
    ("affine", 5),
    ("affine", 7),
)
MATRICES = (("heisenberg", 3), ("matrices", 2), ("invertible", 3), ("heisenberg", 2))


def noisy(rng: Generator, budget: int) -> Drawn:
    """Draw the share of wrong labels."""
    return {"label_noise": float(rng.choice([0.01, 0.02, 0.05, 0.1]))}
