"""Curvature of the loss at one point of a run, and what it means for the step size."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from grokpredict.diagnosis.lanczos import Eigenvalue, spectrum_ends
from grokpredict.diagnosis.landscape import Landscape, Product
from grokpredict.diagnosis.snapshots import Snapshot


@dataclass(frozen=True)
class Change:
    """How the loss of one batch changes over one update of the parameters.

    Attributes
    ----------
    first_order, second_order : float
        G'd, and G'd + d'Hd / 2, for the update d.
    actual : float
        L(theta + d) - L(theta).
    """

    first_order: float
    second_order: float
    actual: float


@dataclass(frozen=True)
class Curvature:
    """Second derivatives of the loss at one point.

    Attributes
    ----------
    step : int
        Of the snapshot.
    loss, grad_norm : float
        On the batch.
    largest, smallest : Eigenvalue
        Of the Hessian, lambda_max and lambda_min.
    rayleigh : float
        G'HG / |G|^2, the curvature along the gradient; NaN where the gradient vanishes.
    preconditioned : Eigenvalue or None
        Largest eigenvalue of P^-1/2 H P^-1/2, with Adam's preconditioner P.
    learning_rate, momentum : float or None
        Of the snapshot.
    change : Change or None
        Over the snapshot's update.
    products : int
        Hessian-vector products spent.
    """

    step: int
    loss: float
    grad_norm: float
    largest: Eigenvalue
    smallest: Eigenvalue
    rayleigh: float
    preconditioned: Eigenvalue | None
    learning_rate: float | None
    momentum: float | None
    change: Change | None
    products: int

    @property
    def ratio(self) -> float:
        """|lambda_min| / lambda_max (Notsawo et al. 2023): 0 for a valley, 1 for a saddle.

        It says how far the point is from convex, not how slow the training is.
        """
        return abs(self.smallest.value) / self.largest.value if self.largest.value > 0 else math.inf

    @property
    def sharpness(self) -> float | None:
        """Learning rate times the largest eigenvalue of what the optimiser descends."""
        if self.learning_rate is None:
            return None
        top = self.preconditioned or self.largest
        return self.learning_rate * top.value

    @property
    def stable_below(self) -> float:
        """Sharpness above which the quadratic model diverges.

        2 (1 + beta) for gradient descent with momentum beta, 2 (1 + beta) / (1 - beta) for Adam,
        which is 38 at beta = 0.9. Cohen et al. 2021, arXiv 2103.00065, and 2022, arXiv 2207.14484.
        """
        beta = self.momentum or 0.0
        limit = 2.0 * (1.0 + beta)
        return limit if self.preconditioned is None else limit / (1.0 - beta)


def curvature(
    landscape: Landscape,
    snapshot: Snapshot,
    *,
    tolerance: float = 1e-2,
    most_products: int = 120,
) -> Curvature:
    """Measure the curvature of the loss at a snapshot.

    Parameters
    ----------
    landscape : Landscape
        Network, loss and batch.
    snapshot : Snapshot
        Where; with what the optimiser knew there, if it does.
    tolerance : float
        Largest residual of an eigenvalue, as a share of its size.
    most_products : int
        Hessian-vector products at most, for each of the two operators.

    Raises
    ------
    ValueError
        If the snapshot is not of this network, or the loss is not finite there.
    """
    here = landscape.with_buffers(_like(snapshot.buffers, landscape))
    theta = snapshot.parameters.to(here.position())
    loss = here.value(theta)
    if not math.isfinite(loss):
        raise ValueError(f"the loss is {loss} at step {snapshot.step}, it has no curvature there")
    gradient, product = here.hessian_product(theta)
    ends = spectrum_ends(product, theta, tolerance=tolerance, most_products=most_products)
    products, preconditioned = ends.products, None
    if snapshot.preconditioner is not None:
        root = snapshot.preconditioner.to(theta).rsqrt()
        scaled = spectrum_ends(
            lambda v: root * product(root * v),
            theta,
            tolerance=tolerance,
            most_products=most_products,
            both=False,
        )
        products, preconditioned = products + scaled.products, scaled.largest
    return Curvature(
        step=snapshot.step,
        loss=loss,
        grad_norm=float(gradient.norm()),
        largest=ends.largest,
        smallest=ends.smallest,
        rayleigh=_rayleigh(gradient, product),
        preconditioned=preconditioned,
        learning_rate=snapshot.learning_rate,
        momentum=snapshot.momentum,
        change=_change(here, theta, loss, gradient, product, snapshot.update),
        products=products,
    )


def _rayleigh(gradient: Tensor, product: Product) -> float:
    norm = gradient.norm()
    if norm == 0:
        return math.nan
    direction = gradient / norm
    return float(direction.dot(product(direction)))


def _change(
    landscape: Landscape,
    theta: Tensor,
    loss: float,
    gradient: Tensor,
    product: Product,
    update: Tensor | None,
) -> Change | None:
    if update is None:
        return None
    d = update.to(theta)
    first = float(gradient.dot(d))
    return Change(first, first + 0.5 * float(d.dot(product(d))), landscape.value(theta + d) - loss)


def _like(buffers: Mapping[str, Tensor], landscape: Landscape) -> dict[str, Tensor]:
    """Return the buffers of a snapshot on the device of the network."""
    here = dict(landscape.module.named_buffers())
    return {name: value.to(here[name]) for name, value in buffers.items()}
