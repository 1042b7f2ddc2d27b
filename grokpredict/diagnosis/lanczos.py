"""Both ends of a symmetric operator's spectrum, with bounds on the error."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy.linalg import eigh_tridiagonal
from torch import Tensor

from grokpredict.diagnosis.landscape import Product
from grokpredict.runs.curve import FloatArray

#: Products between two looks at the tridiagonal matrix.
LOOK_EVERY = 5


@dataclass(frozen=True)
class Eigenvalue:
    """One end of a spectrum.

    Attributes
    ----------
    value : float
        A Rayleigh quotient: never beyond the end that it stands for.
    residual : float
        |H v - value v|: some eigenvalue lies this close to ``value``.
    """

    value: float
    residual: float


@dataclass(frozen=True, eq=False)
class Ends:
    """What Lanczos found.

    Attributes
    ----------
    largest, smallest : Eigenvalue
        The ends of the spectrum, by sign and not by size.
    vector : Tensor, shape (n,)
        Unit eigenvector of the largest.
    products : int
        Operator products that it took.
    """

    largest: Eigenvalue
    smallest: Eigenvalue
    vector: Tensor
    products: int


def spectrum_ends(
    product: Product,
    like: Tensor,
    *,
    tolerance: float = 1e-3,
    most_products: int = 120,
    seed: int = 0,
    both: bool = True,
) -> Ends:
    """Find the largest and the smallest eigenvalue of a symmetric operator.

    Lanczos from a random start, orthogonalised twice against all vectors before (Paige 1972;
    Parlett, *The Symmetric Eigenvalue Problem*, ch. 13).

    Parameters
    ----------
    product : callable
        Multiplies a vector (n,) by the operator.
    like : Tensor, shape (n,)
        Type and device of the vectors.
    tolerance : float
        Stop when each residual is below this share of its eigenvalue's size.
    most_products : int
        Stop here at the latest; the residuals then say how far it came. The vectors take this
        many times the memory of one.
    seed : int
        Of the random start.
    both : bool
        False does not wait for the smallest.

    Raises
    ------
    ValueError
        If a product is not finite.

    Examples
    --------
    >>> diagonal = torch.linspace(-1, 3, 50, dtype=torch.float64)
    >>> ends = spectrum_ends(lambda v: diagonal * v, diagonal, tolerance=1e-9)
    >>> round(ends.largest.value, 6), round(ends.smallest.value, 6)
    (3.0, -1.0)
    """
    n = like.numel()
    steps = min(most_products, n)
    generator = torch.Generator().manual_seed(seed)
    vector = torch.randn(n, generator=generator, dtype=torch.float64).to(like)
    basis = torch.empty(steps, n, dtype=like.dtype, device=like.device)
    basis[0] = vector / vector.norm()
    alphas: list[float] = []
    betas: list[float] = []
    for k in range(steps):
        image = product(basis[k]).detach()
        alphas.append(float(basis[k].dot(image)))
        for _ in range(2):
            image = image - basis[: k + 1].T @ (basis[: k + 1] @ image)
        betas.append(float(image.norm()))
        if not math.isfinite(alphas[-1]) or not math.isfinite(betas[-1]):
            raise ValueError("the second derivative of the loss is not finite here")
        values, vectors = _eigen(alphas, betas[:-1])
        rounding = 10 * torch.finfo(like.dtype).eps * float(np.abs(values).max())
        exhausted = betas[-1] <= rounding or k == steps - 1
        if exhausted or (k + 1) % LOOK_EVERY == 0:
            residuals = np.maximum(np.abs(betas[-1] * vectors[-1]), rounding)
            wanted = (0, -1) if both else (-1,)
            enough = all(residuals[i] <= tolerance * abs(values[i]) for i in wanted)
            if exhausted or enough:
                return _ends(values, vectors, residuals, basis[: k + 1])
        basis[k + 1] = image / betas[-1]
    raise AssertionError("unreachable: the last step is exhausted")


def _eigen(diagonal: list[float], beside: list[float]) -> tuple[FloatArray, FloatArray]:
    values, vectors = eigh_tridiagonal(np.array(diagonal), np.array(beside))
    return np.asarray(values, dtype=np.float64), np.asarray(vectors, dtype=np.float64)


def _ends(values: FloatArray, vectors: FloatArray, residuals: FloatArray, basis: Tensor) -> Ends:
    top = torch.as_tensor(vectors[:, -1]).to(basis) @ basis
    return Ends(
        Eigenvalue(float(values[-1]), float(residuals[-1])),
        Eigenvalue(float(values[0]), float(residuals[0])),
        top / top.norm(),
        len(values),
    )
