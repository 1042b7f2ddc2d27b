"""Networks of constant weight norm: the reduced landscape and its Goldilocks norm."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from grokpredict.diagnosis.landscape import Batch, Criterion, Landscape, trainable_parameters
from grokpredict.runs.curve import FloatArray


@dataclass(frozen=True, eq=False)
class ReducedLandscape:
    """Losses of networks trained at constant norm; all arrays have shape (n_norms,).

    Liu et al. 2023 (Omnigrok), arXiv 2210.01117: over the norm the training loss is shaped like an
    L and the validation loss like a U.

    Attributes
    ----------
    norms : ndarray
        Increasing.
    train_loss, train_acc, val_loss, val_acc : ndarray
        At the end of each training.
    """

    norms: FloatArray
    train_loss: FloatArray
    train_acc: FloatArray
    val_loss: FloatArray
    val_acc: FloatArray

    @property
    def goldilocks(self) -> float | None:
        """The norm w_c at which the validation loss is least.

        None at an end of the grid: then the least lies beyond.
        """
        if not np.isfinite(self.val_loss).any():
            return None
        best = int(np.nanargmin(self.val_loss))
        return float(self.norms[best]) if 0 < best < len(self.norms) - 1 else None


def reduced_landscape(
    module: nn.Module,
    loss: Criterion,
    train_batch: Batch,
    val_batch: Batch,
    norms: Iterable[float],
    *,
    steps: int = 1000,
    learning_rate: float = 3e-3,
) -> ReducedLandscape:
    """Train a network anew at each of several norms.

    Parameters
    ----------
    module : nn.Module
        Where each training starts, its parameters scaled to the norm. It is not changed.
    loss : callable
        ``loss(outputs, targets)``.
    train_batch, val_batch : tuple
        ``(inputs, targets)``, whole.
    norms : iterable of float
        Euclidean norms over all trainable parameters.
    steps : int
        Full-batch Adam steps each, on a rate that a cosine brings to zero.
    learning_rate : float
        At the module's own norm; it goes with the norm, so that every training turns as fast.

    Raises
    ------
    ValueError
        If a norm is not positive, or the module's is zero.
    """
    grid = np.sort(np.array(list(norms), dtype=float))
    if grid.size == 0 or not np.all(grid > 0):
        raise ValueError("the norms must be above 0, and there must be at least one")
    own = float(Landscape(module, loss, train_batch).position().norm())
    rows = []
    for norm in grid:
        copied = copy.deepcopy(module)
        _train_at_norm(copied, loss, train_batch, float(norm), steps, learning_rate * norm / own)
        train, validation = (Landscape(copied, loss, b) for b in (train_batch, val_batch))
        theta = train.position()
        rows.append(train.value_and_accuracy(theta) + validation.value_and_accuracy(theta))
    return ReducedLandscape(grid, *np.array(rows).T)


def _train_at_norm(
    module: nn.Module, loss: Criterion, batch: Batch, norm: float, steps: int, rate: float
) -> None:
    parameters = list(trainable_parameters(module).values())
    optimizer = torch.optim.Adam(parameters, lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    hook = fixed_norm(optimizer, norm)
    landscape = Landscape(module, loss, batch)
    inputs = batch[0] if isinstance(batch[0], tuple) else (batch[0],)
    was = module.training
    module.eval()
    for _ in range(steps):
        loss_now = landscape.loss(module(*inputs), batch[1])
        _set_tangent(parameters, torch.autograd.grad(loss_now, parameters, materialize_grads=True))
        optimizer.step()
        schedule.step()
    module.train(was)
    hook.remove()


def _set_tangent(parameters: Sequence[Tensor], gradients: Sequence[Tensor]) -> None:
    """Set the gradients without their part along the parameters.

    Adam divides each entry by its own scale: with that part, its rest would not be a minimum on the
    sphere.
    """
    pairs = list(zip(parameters, gradients, strict=True))
    along = torch.stack([(p.detach() * g).sum() for p, g in pairs]).sum() / _norm(parameters) ** 2
    for parameter, gradient in pairs:
        parameter.grad = gradient - along * parameter.detach()


def fixed_norm(optimizer: torch.optim.Optimizer, norm: float | None = None) -> Any:
    """Hold the norm of all parameters of an optimiser constant from now on.

    After every step the parameters are scaled back (Omnigrok, section 5): at constant norm there
    is no grokking. Needs no change of the training loop.

    Parameters
    ----------
    optimizer : Optimizer
        Its parameters are scaled at once, and after every step.
    norm : float, optional
        Their own if not given.

    Returns
    -------
    handle
        ``handle.remove()`` ends it.

    Raises
    ------
    ValueError
        If the parameters are all zero, or the norm is not positive.

    Examples
    --------
    >>> module = nn.Linear(3, 1)
    >>> optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    >>> handle = fixed_norm(optimizer, 2.0)
    >>> module(torch.ones(1, 3)).sum().backward()
    >>> optimizer.step()
    >>> round(float(nn.utils.parameters_to_vector(module.parameters()).detach().norm()), 4)
    2.0
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    own = float(_norm(parameters))
    target = own if norm is None else float(norm)
    if own == 0 or not target > 0 or not math.isfinite(target):
        raise ValueError(f"the norm to hold must be above 0, and the parameters not zero: {target}")

    def rescale(*_: Any) -> None:
        with torch.no_grad():
            factor = target / _norm(parameters)
            for parameter in parameters:
                parameter.mul_(factor)

    rescale()
    return optimizer.register_step_post_hook(rescale)


def _norm(parameters: Sequence[Tensor]) -> Tensor:
    norms = [torch.linalg.vector_norm(p.detach()) for p in parameters]
    norm: Tensor = torch.linalg.vector_norm(torch.stack(norms))
    return norm
