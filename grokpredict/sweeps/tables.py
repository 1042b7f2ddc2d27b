"""Tasks on tokens: binary and ternary operations on finite sets, and sequences."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations, product

import numpy as np
from numpy.typing import NDArray

from grokpredict.sweeps.tasks import Dataset

Ints = NDArray[np.int64]
Operation = Callable[[Ints, Ints, int], Ints]

#: Polynomials mod p beside Power et al.'s five; Doshi et al. 2024, arXiv 2406.03495.
POLYNOMIALS: dict[str, Operation] = {
    "add": lambda a, b, p: (a + b) % p,
    "subtract": lambda a, b, p: (a - b) % p,
    "multiply": lambda a, b, p: (a * b) % p,
    "squares": lambda a, b, p: (a * a + b * b) % p,
    "weighted": lambda a, b, p: (2 * a + 3 * b) % p,
    "shifted_product": lambda a, b, p: (a * b + a + b) % p,
    "square_of_sum": lambda a, b, p: (a + b) ** 2 % p,
    "cubic": lambda a, b, p: (a**3 + a * b) % p,
}
#: The symmetric ones among them, of which unordered pairs are enough.
SYMMETRIC = ("add", "multiply", "squares", "shifted_product", "square_of_sum")

#: On the numbers below n.
NUMBERS: dict[str, Operation] = {
    "maximum": lambda a, b, n: np.maximum(a, b),
    "minimum": lambda a, b, n: np.minimum(a, b),
    "difference": lambda a, b, n: np.abs(a - b),
    "less": lambda a, b, n: (a < b).astype(np.int64),
    "next_less": lambda a, b, n: ((a + 1) % n < b).astype(np.int64),
    "gcd": lambda a, b, n: np.gcd(a + 1, b + 1) - 1,
    "xor": lambda a, b, n: a ^ b,
    "and": lambda a, b, n: a & b,
    "or": lambda a, b, n: a | b,
}


def pairs(operation: str, n: int, *, unordered: bool = False) -> Dataset:
    """List all pairs (a, b) below ``n`` and a polynomial mod n, or an operation on the numbers.

    Parameters
    ----------
    operation : str
        A key of :data:`POLYNOMIALS` or :data:`NUMBERS`.
    n : int
        Prime where products are asked for.
    unordered : bool
        Only pairs with a <= b, n (n + 1) / 2 of them.
    """
    a, b = (x.ravel() for x in np.meshgrid(np.arange(n), np.arange(n), indexing="ij"))
    if unordered:
        a, b = a[a <= b], b[a <= b]
    function = POLYNOMIALS.get(operation) or NUMBERS[operation]
    return _dataset(np.stack([a, b], axis=1), function(a, b, n), n)


def _dataset(inputs: Ints, values: Ints, vocabulary: int) -> Dataset:
    """Return a data set whose classes are the values that occur, in order."""
    classes, targets = np.unique(values, return_inverse=True)
    return Dataset(inputs, targets.ravel().astype(np.int64), len(classes), vocabulary)


def triples(operation: str, p: int) -> Dataset:
    """List all triples below ``p`` and a sum, an alternating sum or a + bc mod p.

    Doshi et al. 2024, arXiv 2406.03495.
    """
    grid = np.meshgrid(*[np.arange(p)] * 3, indexing="ij")
    a, b, c = (x.ravel() for x in grid)
    values = {"sum": a + b + c, "alternating": a - b + c, "mixed": a + b * c}[operation]
    return _dataset(np.stack([a, b, c], axis=1), values % p, p)


def group(operation: str, n: int) -> Dataset:
    """List all pairs of elements of a finite group or monoid and their product.

    Parameters
    ----------
    operation : str
        "dicyclic" of order 4n (n = 2: the quaternions), "alternating" of n things, "affine" maps
        x -> ax + b mod n, "heisenberg" matrices mod n, all 2 x 2 "matrices" mod n,
        the "invertible" ones, or the "cyclic_product" C_n x C_2.
    n : int
        Size, as above.
    """
    elements, times = _ELEMENTS[operation](n)
    number = {element: i for i, element in enumerate(elements)}
    order = len(elements)
    targets = np.array([number[times(x, y)] for x in elements for y in elements])
    inputs = np.stack(np.divmod(np.arange(order * order), order), axis=1)
    return Dataset(inputs, targets, order, order)


Element = tuple[int, ...]
Group = tuple[list[Element], Callable[[Element, Element], Element]]


def _dicyclic(n: int) -> Group:
    def times(x: Element, y: Element) -> Element:
        # Element (k, e) is a^k x^e with a^2n = 1, x^2 = a^n and x a = a^-1 x.
        turned = x[0] + (y[0] if not x[1] else -y[0]) + (n if x[1] and y[1] else 0)
        return turned % (2 * n), (x[1] + y[1]) % 2

    return list(product(range(2 * n), range(2))), times


def _alternating(n: int) -> Group:
    even = [
        g
        for g in permutations(range(n))
        if sum(g[i] > g[j] for i in range(n) for j in range(i + 1, n)) % 2 == 0
    ]
    return even, lambda x, y: tuple(x[i] for i in y)


def _affine(n: int) -> Group:
    maps: list[Element] = list(product(range(1, n), range(n)))
    return maps, lambda x, y: (x[0] * y[0] % n, (x[0] * y[1] + x[1]) % n)


def _heisenberg(n: int) -> Group:
    def times(x: Element, y: Element) -> Element:
        return (x[0] + y[0]) % n, (x[1] + y[1]) % n, (x[2] + y[2] + x[0] * y[1]) % n

    return list(product(range(n), repeat=3)), times


def _matrices(n: int, *, invertible: bool = False) -> Group:
    def times(x: Element, y: Element) -> Element:
        a, b, c, d = x
        e, f, g, h = y
        return (
            (a * e + b * g) % n, (a * f + b * h) % n, (c * e + d * g) % n, (c * f + d * h) % n,
        )  # fmt: skip

    every = product(range(n), repeat=4)
    return [m for m in every if not invertible or (m[0] * m[3] - m[1] * m[2]) % n], times


def _cyclic_product(n: int) -> Group:
    pairs: list[Element] = list(product(range(n), range(2)))
    return pairs, lambda x, y: ((x[0] + y[0]) % n, (x[1] + y[1]) % 2)


_ELEMENTS: dict[str, Callable[[int], Group]] = {
    "dicyclic": _dicyclic,
    "alternating": _alternating,
    "affine": _affine,
    "heisenberg": _heisenberg,
    "matrices": _matrices,
    "invertible": lambda n: _matrices(n, invertible=True),
    "cyclic_product": _cyclic_product,
}


def words(n_samples: int, length: int, alphabet: int, distance: float, seed: int) -> Dataset:
    """Draw sequences of one of two Markov chains, and which; text in kind.

    Parameters
    ----------
    n_samples, length, alphabet : int
        Sequences, their tokens, and how many different ones.
    distance : float
        How far the rows of the second chain's transition matrix move from the first one's towards
        rows drawn anew, from 0 to 1.
    seed : int
        Draws the chains and the sequences.
    """
    rng = np.random.default_rng(seed)
    first, other = rng.dirichlet(np.full(alphabet, 0.3), (2, alphabet))
    chains = np.stack([first, (1 - distance) * first + distance * other])
    labels = rng.integers(0, 2, n_samples)
    tokens = np.empty((n_samples, length), dtype=np.int64)
    tokens[:, 0] = rng.integers(0, alphabet, n_samples)
    for t in range(1, length):
        cumulated = chains[labels, tokens[:, t - 1]].cumsum(axis=1)
        drawn = (rng.random((n_samples, 1)) > cumulated).sum(axis=1)
        tokens[:, t] = np.minimum(drawn, alphabet - 1)
    return Dataset(tokens, labels.astype(np.int64), 2, alphabet)
