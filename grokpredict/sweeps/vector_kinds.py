"""Draws of tasks on vectors, and of sequences and graphs."""

from __future__ import annotations

from numpy.random import Generator

from grokpredict.sweeps import samples
from grokpredict.sweeps.config import RunConfig
from grokpredict.sweeps.draws import log_uniform
from grokpredict.sweeps.regimes import Drawn, Structure, Varied, batches, mlp
from grokpredict.sweeps.tasks import Dataset


def vectors(rng: Generator, shard: int, *, regression: bool = False) -> Drawn:
    """Draw an MLP on real-valued inputs."""
    drawn = mlp(rng, embedded=False)
    if regression:
        drawn["loss"] = "squared_error"
    return drawn | batches(rng, 0.6) | {"data_seed": int(rng.integers(2**31))}


def boolean(function: str) -> Structure:
    """Return what draws an MLP on a Boolean function."""

    def structure(rng: Generator, shard: int) -> Drawn:
        bits = {"majority": (12, 41), "parity": (8, 21), "dnf": (8, 21)}[function]
        n_bits = int(rng.integers(*bits))
        k = {
            "majority": int(rng.choice([3, 5, 7, 9])),
            "parity": int(rng.choice([2, 3], p=[0.5, 0.5])),
            "dnf": int(rng.integers(2, 5)),
        }[function]
        fractions = {"majority": (0.03, 0.2), "parity": (0.08, 0.6), "dnf": (0.07, 0.3)}[function]
        return {
            "task": "boolean",
            "operation": function,
            "bits": n_bits,
            "sparsity": k,
            "samples": 1500,
            **vectors(rng, shard),
            "train_fraction": log_uniform(rng, *fractions),
        }

    return structure


def regression(task: str, low: float, high: float) -> Structure:
    """Return what draws an MLP on a regression with some relevant inputs."""

    def structure(rng: Generator, shard: int) -> Drawn:
        drawn = {
            "task": task,
            "bits": int(rng.integers(4, 10) if task == "products" else rng.integers(8, 31)),
            "sparsity": int(rng.integers(1, 3 if task == "products" else 5))
            + (task == "staircase"),
            "samples": 1500,
            **vectors(rng, shard, regression=True),
            "train_fraction": log_uniform(rng, low, high),
        }
        if task in ("sparse_linear", "linear_teacher"):
            drawn["activation"] = str(rng.choice(["identity", "relu", "tanh"]))
            drawn["depth"] = int(rng.choice([1, 2, 3]))
        return drawn

    return structure


def linear_teacher(rng: Generator, shard: int) -> Drawn:
    """Draw a linear student, of one or two layers, with about as many samples as inputs."""
    dim = int(rng.integers(20, 101))
    return {
        "task": "linear_teacher",
        "bits": dim,
        "samples": 1000,
        **vectors(rng, shard, regression=True),
        "depth": int(rng.choice([0, 1])),
        "activation": "identity",
        "train_fraction": dim / 1000 * log_uniform(rng, 0.75, 1.4),
    }


def constant_label(rng: Generator, shard: int) -> Drawn:
    """Draw a logistic regression near two samples a dimension, or a small MLP near one."""
    dim = int(rng.integers(20, 101))
    drawn = vectors(rng, shard)
    depth = int(rng.choice([0, 1]))
    ratios = (0.5, 1.5) if depth else (1.2, 2.6)
    return {
        "task": "constant_label",
        "bits": dim,
        "samples": 1500,
        **drawn,
        "depth": depth,
        "loss": "cross_entropy",
        "bias": True,
        "train_fraction": dim / 1500 * log_uniform(rng, *ratios),
    }


def small_rates(low: float, high: float) -> Varied:
    """Return what draws gradient descent with a small rate and little decay for most runs.

    Parameters
    ----------
    low, high : float
        Bounds of the learning rate times the budget.
    """

    def varied(rng: Generator, budget: int) -> Drawn:
        if rng.random() < 0.3:
            return {}
        return {
            "optimizer": "sgd",
            "momentum": 0.0,
            "learning_rate": min(log_uniform(rng, low, high) / budget, 0.5),
            "weight_decay": 0.0 if rng.random() < 0.4 else log_uniform(rng, 1e-5, 1e-2),
        }

    return varied


def large_start(rng: Generator, budget: int) -> Drawn:
    """Draw Omnigrok's initialisation scale for most runs."""
    return {"init_scale": log_uniform(rng, 1.0, 8.0)} if rng.random() < 0.7 else {}


def omnigrok_teacher(rng: Generator, shard: int) -> Drawn:
    """Draw Omnigrok's student, 5-100-100-5."""
    return {
        "task": "omnigrok_teacher",
        "samples": 1000,
        **vectors(rng, shard, regression=True),
        "depth": 2,
        "width": 100,
        "activation": "tanh",
        "batch_size": int(rng.choice([0, 32])),
        "parametrisation": str(rng.choice(["pytorch", "xavier", "fan_in"])),
        "precision": "float32",
        "train_fraction": log_uniform(rng, 0.015, 0.1),
    }


def tabular(rng: Generator, shard: int) -> Drawn:
    """Draw an MLP on one of scikit-learn's tables."""
    name = ("wine", "breast_cancer", "iris", "digits", "wine", "breast_cancer", "diabetes")[
        shard % 7
    ]
    fractions = {
        "wine": (0.08, 0.4), "breast_cancer": (0.03, 0.3), "iris": (0.06, 0.5),
        "digits": (0.05, 0.4), "diabetes": (0.1, 0.8),
    }[name]  # fmt: skip
    return {
        "task": "table",
        "operation": name,
        **vectors(rng, shard, regression=name == "diabetes"),
        "data_seed": 0,
        "train_fraction": log_uniform(rng, *fractions),
    }


def markov(rng: Generator, shard: int) -> Drawn:
    """Draw an LSTM or a GRU that tells two Markov chains apart."""
    return {
        "task": "words",
        "modulus": int(rng.choice([4, 6, 8])),
        "bits": int(rng.choice([10, 12, 14])),
        "sparsity": 100,
        "samples": 1200,
        "data_seed": int(rng.integers(2**31)),
        "architecture": str(rng.choice(["lstm", "gru"])),
        "depth": 1,
        "width": int(rng.choice([12, 16, 24])),
        "embedding": int(rng.choice([8, 16])),
        "batch_size": int(rng.choice([0, 32, 64], p=[0.3, 0.4, 0.3])),
        "train_fraction": log_uniform(rng, 0.08, 0.4),
    }


def graphs(rng: Generator, shard: int) -> Drawn:
    """Draw a graph convolution on random molecules."""
    squared = bool(rng.random() < 0.5)
    return {
        "task": "graphs",
        "bits": int(rng.choice([5, 6, 7])),
        "sparsity": 2,
        "samples": 1000,
        "data_seed": int(rng.integers(2**31)),
        "operation": "energy" if squared else "above_median",
        "loss": "squared_error" if squared else "cross_entropy",
        "architecture": "gcn",
        "depth": int(rng.choice([2, 3])),
        "width": int(rng.choice([12, 16, 24])),
        "batch_size": int(rng.choice([32, 64])),
        "parametrisation": str(rng.choice(["pytorch", "xavier"])),
        "train_fraction": log_uniform(rng, 0.3, 0.85),
        "most_steps": 8000,
    }


def xor_clusters(rng: Generator, shard: int) -> Drawn:
    """Draw an MLP on four clusters."""
    dim = int(rng.integers(20, 81))
    return {
        "task": "xor_clusters",
        "bits": dim,
        "sparsity": int(rng.integers(28, 45)),
        "samples": 1500,
        **vectors(rng, shard),
        "train_fraction": dim / 1500 * log_uniform(rng, 0.5, 2.5),
    }


def boolean_data(config: RunConfig) -> Dataset:
    """Make the data set of a Boolean function."""
    return samples.boolean(
        config.operation, config.bits, config.sparsity, config.samples, config.data_seed
    )
