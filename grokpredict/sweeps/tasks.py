"""The data sets that grokking is studied on, each small enough to be held whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import permutations

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Dataset:
    """All samples of a task, before they are split into training and validation.

    Parameters
    ----------
    inputs : ndarray, shape (n, length) of int64 tokens or (n, dim) of float32
        Tokens lie in ``range(vocabulary)``.
    targets : ndarray, shape (n,) of int64 classes or (n, n_outputs) of float32
        Real-valued targets have variance 1, so that a squared error of 0.05 means R^2 = 0.95.
    n_outputs : int
        Classes, or dimensions of the regression target.
    vocabulary : int
        0 for real-valued inputs.
    one_hot : bool
        Whether inputs hold the tokens as one-hot vectors, (n, length * vocabulary) of float32.
    """

    inputs: NDArray[np.int64] | NDArray[np.float32]
    targets: NDArray[np.int64] | NDArray[np.float32]
    n_outputs: int
    vocabulary: int = 0
    one_hot: bool = False

    @property
    def is_regression(self) -> bool:
        """Whether the targets are real numbers, not classes."""
        return self.targets.ndim == 2

    def as_one_hot(self) -> Dataset:
        """Return the same samples with their tokens as one-hot vectors."""
        rows = np.eye(self.vocabulary, dtype=np.float32)[self.inputs.astype(np.int64)]
        return replace(self, inputs=rows.reshape(len(rows), -1), one_hot=True)


#: Binary operations mod p; Power et al. 2022, arXiv 2201.02177. Division leaves b = 0 out.
OPERATIONS: dict[str, Callable[[NDArray[np.int64], NDArray[np.int64], int], NDArray[np.int64]]] = {
    "add": lambda a, b, p: (a + b) % p,
    "subtract": lambda a, b, p: (a - b) % p,
    "multiply": lambda a, b, p: (a * b) % p,
    "divide": lambda a, b, p: (a * np.array([pow(int(x), -1, p) for x in b])) % p,
    "quadratic": lambda a, b, p: (a * a + a * b + b * b) % p,
}


def modular(operation: str, p: int) -> Dataset:
    """All pairs (a, b) and the class ``a operation b mod p``; ``p`` must be prime."""
    a, b = (x.ravel() for x in np.meshgrid(np.arange(p), np.arange(p), indexing="ij"))
    if operation == "divide":
        a, b = a[b > 0], b[b > 0]
    return Dataset(np.stack([a, b], axis=1), OPERATIONS[operation](a, b, p), p, p)


def composition(n: int) -> Dataset:
    """All pairs of permutations of ``n`` things and their composition; Power et al. 2022."""
    group = np.array(list(permutations(range(n))))
    number = {tuple(g): i for i, g in enumerate(group)}
    order = len(group)
    a, b = (x.ravel() for x in np.meshgrid(np.arange(order), np.arange(order), indexing="ij"))
    products = np.take_along_axis(group[a], group[b], axis=1)
    targets = np.array([number[tuple(g)] for g in products])
    return Dataset(np.stack([a, b], axis=1), targets, order, order)


def dihedral(n: int) -> Dataset:
    """All pairs of the 2n symmetries of a regular n-gon and their composition.

    Chughtai, Chan, Nanda 2023, arXiv 2302.03025.
    """
    a, b = (x.ravel() for x in np.meshgrid(np.arange(2 * n), np.arange(2 * n), indexing="ij"))
    # Element k + n e turns by k after e reflections; a reflection reverses what turns follow it.
    turned = np.where(a < n, a + b % n, a - b % n) % n
    targets = turned + n * ((a >= n) ^ (b >= n))
    return Dataset(np.stack([a, b], axis=1), targets, 2 * n, 2 * n)


def sparse_parity(n_bits: int, k: int, n_samples: int, seed: int) -> Dataset:
    """Parity of ``k`` of ``n_bits`` random signs; Barak et al. 2022, arXiv 2207.08799."""
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2, (n_samples, n_bits))
    chosen = rng.choice(n_bits, k, replace=False)
    return Dataset(
        (2.0 * bits - 1.0).astype(np.float32), bits[:, chosen].sum(axis=1) % 2, n_outputs=2
    )


def teacher_student(dim: int, hidden: int, n_outputs: int, n_samples: int, seed: int) -> Dataset:
    """Regression on a random two-layer tanh network; Liu et al. 2023, arXiv 2210.01117."""
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(n_samples, dim))
    first = rng.normal(size=(dim, hidden)) / np.sqrt(dim)
    second = rng.normal(size=(hidden, n_outputs)) / np.sqrt(hidden)
    targets = np.tanh(2.0 * inputs @ first) @ second
    targets = (targets - targets.mean(axis=0)) / targets.std(axis=0)
    return Dataset(inputs.astype(np.float32), targets.astype(np.float32), n_outputs)


def polynomial(dim: int, n_samples: int, seed: int) -> Dataset:
    """Regression on the second Hermite polynomial of one random direction.

    Kumar, Bordelon, Gershman, Pehlevan 2024, arXiv 2310.06110.
    """
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(n_samples, dim))
    direction = rng.normal(size=dim)
    along = inputs @ (direction / np.linalg.norm(direction))
    targets = along[:, None] ** 2
    targets = (targets - targets.mean(axis=0)) / targets.std(axis=0)
    return Dataset(inputs.astype(np.float32), targets.astype(np.float32), 1)


def digits() -> Dataset:
    """scikit-learn's 1 797 images of 8 x 8 pixels, scaled to [0, 1], in ten classes."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return Dataset((images / 16.0).astype(np.float32), labels.astype(np.int64), n_outputs=10)


def random_labels(p: int, seed: int) -> Dataset:
    """All pairs (a, b) with classes drawn at random: nothing can be generalised.

    Zhang et al. 2017, arXiv 1611.03530.
    """
    pairs = modular("add", p)
    targets = np.random.default_rng(seed).integers(0, p, len(pairs.targets))
    return Dataset(pairs.inputs, targets, p, p)
