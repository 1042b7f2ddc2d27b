"""Tasks on vectors: Boolean functions, clusters, regressions, tables and graphs."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from grokpredict.sweeps.tasks import Dataset

Floats = NDArray[np.floating[Any]]


def _classes(inputs: Floats, targets: NDArray[np.bool_]) -> Dataset:
    return Dataset(inputs.astype(np.float32), targets.astype(np.int64), 2)


def _regression(inputs: Floats, values: Floats) -> Dataset:
    values = (values - values.mean()) / values.std()
    return Dataset(inputs.astype(np.float32), values[:, None].astype(np.float32), 1)


def boolean(function: str, n_bits: int, k: int, n_samples: int, seed: int) -> Dataset:
    """Draw random signs and a Boolean function of them; Bhattamishra et al. 2022, arXiv 2211.12316.

    Parameters
    ----------
    function : {"majority", "dnf", "parity"}
        Of ``k`` of the bits (an odd number for a majority); or k random conjunctions of three.
    n_bits, k, n_samples : int
        Sizes, see ``function``. Both classes of a DNF have at least a fifth of the samples.
    seed : int
        Draws bits and function.
    """
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2, (n_samples, n_bits))
    signs = 2.0 * bits - 1.0
    if function == "dnf":
        while True:
            targets = np.zeros(n_samples, dtype=np.bool_)
            for _ in range(k):
                chosen = rng.choice(n_bits, 3, replace=False)
                targets |= (bits[:, chosen] == rng.integers(0, 2, 3)).all(axis=1)
            if 0.2 <= targets.mean() <= 0.8:
                return _classes(signs, targets)
    chosen = rng.choice(n_bits, k, replace=False)
    counts = bits[:, chosen].sum(axis=1)
    return _classes(signs, counts > k / 2 if function == "majority" else counts % 2 == 1)


def staircase(n_bits: int, k: int, n_samples: int, seed: int) -> Dataset:
    """Draw a regression on x1 + x1 x2 + ... of random signs; Abbe et al. 2022, arXiv 2202.08658."""
    rng = np.random.default_rng(seed)
    signs = 2.0 * rng.integers(0, 2, (n_samples, n_bits)) - 1.0
    chosen = rng.choice(n_bits, k, replace=False)
    return _regression(signs, np.cumprod(signs[:, chosen], axis=1).sum(axis=1))


def sparse_linear(dim: int, k: int, n_samples: int, seed: int) -> Dataset:
    """Draw a regression linear in k of the inputs; Lyu et al. 2023, arXiv 2311.18817."""
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(n_samples, dim))
    chosen = rng.choice(dim, k, replace=False)
    return _regression(inputs, inputs[:, chosen] @ rng.choice([-1.0, 1.0], k))


def products(dim: int, k: int, n_samples: int, seed: int) -> Dataset:
    """Draw a regression on k products of two inputs; in the manner of arXiv 2310.06110."""
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(n_samples, dim))
    chosen = np.stack([rng.choice(dim, 2, replace=False) for _ in range(k)])
    return _regression(inputs, inputs[:, chosen].prod(axis=2).sum(axis=1))


def linear_teacher(dim: int, n_samples: int, seed: int) -> Dataset:
    """Draw a regression on one random direction; Levi, Beck, Bar-Sinai 2023, arXiv 2310.16441."""
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(n_samples, dim))
    return _regression(inputs, inputs @ rng.normal(size=dim))


def constant_label(dim: int, n_samples: int, seed: int) -> Dataset:
    """Draw Gaussian inputs of one class, told apart by nothing; Beck et al. 2024, arXiv 2410.04489.

    While there are fewer than two samples a dimension, some direction separates them from the
    origin, and a network may rely on it in place of its bias.
    """
    rng = np.random.default_rng(seed)
    return _classes(rng.normal(size=(n_samples, dim)), np.ones(n_samples, dtype=np.bool_))


def xor_clusters(dim: int, n_samples: int, distance: float, seed: int) -> Dataset:
    """Draw four Gaussian clusters, opposite ones of one class; Xu et al. 2023, arXiv 2310.02541."""
    rng = np.random.default_rng(seed)
    corner = rng.integers(0, 4, n_samples)
    axes = np.linalg.qr(rng.normal(size=(dim, 2)))[0].T
    centres = distance * np.stack([axes[0], -axes[0], axes[1], -axes[1]])
    return _classes(centres[corner] + rng.normal(size=(n_samples, dim)), corner >= 2)


def omnigrok_teacher(n_samples: int, seed: int) -> Dataset:
    """Draw a regression on a 5-100-100-5 tanh network; Omnigrok, arXiv 2210.01117."""
    rng = np.random.default_rng(seed)
    x = inputs = rng.normal(size=(n_samples, 5))
    for fan_in, fan_out in ((5, 100), (100, 100)):
        x = np.tanh(x @ rng.uniform(-1, 1, (fan_in, fan_out)) / np.sqrt(fan_in))
    outputs = x @ rng.uniform(-1, 1, (100, 5)) / 10.0
    outputs = (outputs - outputs.mean(axis=0)) / outputs.std(axis=0)
    return Dataset(inputs.astype(np.float32), outputs.astype(np.float32), 5)


@lru_cache(maxsize=1)
def _loaders() -> dict[str, Callable[..., tuple[Floats, NDArray[np.int64]]]]:
    from sklearn import datasets

    return {
        "wine": datasets.load_wine,
        "breast_cancer": datasets.load_breast_cancer,
        "iris": datasets.load_iris,
        "digits": datasets.load_digits,
        "diabetes": datasets.load_diabetes,
    }


def table(name: str) -> Dataset:
    """Return one of the tables that scikit-learn ships, its columns standardised."""
    inputs, targets = _loaders()[name](return_X_y=True)
    spread = inputs.std(axis=0)
    inputs = (inputs - inputs.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    if name == "diabetes":
        return _regression(inputs, targets.astype(np.float64))
    n_classes = int(targets.max()) + 1
    return Dataset(inputs.astype(np.float32), targets.astype(np.int64), n_classes)


def graphs(nodes: int, kinds: int, n_samples: int, seed: int, *, regression: bool) -> Dataset:
    """Draw random graphs of labelled nodes and the energy of their bonds; molecules in kind.

    Parameters
    ----------
    nodes, kinds, n_samples : int
        Nodes of a graph, kinds of nodes, graphs.
    seed : int
        Draws the graphs and what an edge between two kinds of nodes counts.
    regression : bool
        Ask for the energy itself, not whether it is above its median.

    Returns
    -------
    Dataset
        A sample is the normalised adjacency (Kipf & Welling 2017), then the kinds one-hot.
    """
    rng = np.random.default_rng(seed)
    joined = _adjacencies(rng, n_samples, nodes)
    kind = np.eye(kinds)[rng.integers(0, kinds, (n_samples, nodes))]
    bond = rng.normal(size=(kinds, kinds))
    energy = np.einsum("sij,sia,sjb,ab->s", joined, kind, kind, bond + bond.T)
    looped = joined + np.eye(nodes)
    root = 1.0 / np.sqrt(looped.sum(axis=2))
    adjacency = looped * root[:, :, None] * root[:, None, :]
    inputs = np.concatenate([adjacency.reshape(n_samples, -1), kind.reshape(n_samples, -1)], 1)
    if regression:
        return _regression(inputs, energy)
    return _classes(inputs, energy > np.median(energy))


def _adjacencies(rng: Generator, n_samples: int, nodes: int) -> Floats:
    upper = np.triu(rng.random((n_samples, nodes, nodes)) < 0.35, 1)
    joined: Floats = (upper | upper.transpose(0, 2, 1)).astype(np.float64)
    return joined
