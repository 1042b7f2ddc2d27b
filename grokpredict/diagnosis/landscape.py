"""The loss of one network on one batch, as a function of one flat vector of parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

#: Maps outputs and targets to a scalar, as ``nn.CrossEntropyLoss()`` does.
Criterion = Callable[[Any, Any], Tensor]
#: Inputs and targets; a tuple of inputs is spread over the arguments of ``forward``.
Batch = tuple[Any, Any]
Product = Callable[[Tensor], Tensor]


class Landscape:
    """The loss over all trainable parameters of a network, on one fixed batch.

    Parameters
    ----------
    module : nn.Module
        Never changed: parameters are put in for the time of a call, dropout is off meanwhile and
        batch norm uses its running statistics.
    loss : callable
        ``loss(outputs, targets)`` gives a scalar.
    batch : tuple
        ``(inputs, targets)``; ``inputs`` may be a tuple of arguments.
    buffers : mapping of str to Tensor, optional
        Used in place of the module's own, such as running statistics of an earlier step.

    Raises
    ------
    ValueError
        If no parameter is trainable, or the batch is no pair.
    """

    def __init__(
        self,
        module: nn.Module,
        loss: Criterion,
        batch: Batch,
        *,
        buffers: Mapping[str, Tensor] | None = None,
    ) -> None:
        if not isinstance(batch, (tuple, list)) or len(batch) != 2:
            raise ValueError(
                f"a batch must be a pair (inputs, targets), got {type(batch).__name__}"
            )
        self.module, self.loss = module, loss
        self.batch: Batch = (batch[0], batch[1])
        self.buffers = dict(buffers or {})
        trainable = trainable_parameters(module)
        self.names = list(trainable)
        self.shapes = [p.shape for p in trainable.values()]
        self.sizes = [p.numel() for p in trainable.values()]

    def with_buffers(self, buffers: Mapping[str, Tensor]) -> Landscape:
        """Return the same landscape with other buffers."""
        return Landscape(self.module, self.loss, self.batch, buffers=buffers)

    def position(self) -> Tensor:
        """Return the module's parameters now, flat: shape (n_parameters,)."""
        return flatten(trainable_parameters(self.module).values())

    def parts(self, flat: Tensor) -> dict[str, Tensor]:
        """Return a flat vector as views named and shaped like the parameters.

        Raises
        ------
        ValueError
            If the vector has another length.
        """
        if flat.shape != (sum(self.sizes),):
            raise ValueError(
                f"the network has {sum(self.sizes)} trainable parameters, "
                f"the vector has shape {tuple(flat.shape)}"
            )
        pieces = torch.split(flat, self.sizes)
        return {
            name: piece.view(shape)
            for name, shape, piece in zip(self.names, self.shapes, pieces, strict=True)
        }

    def outputs(self, flat: Tensor) -> Any:
        """Return what the network with these parameters puts out for the batch."""
        inputs = self.batch[0]
        arguments = inputs if isinstance(inputs, tuple) else (inputs,)
        with at_rest(self.module):
            return functional_call(self.module, {**self.parts(flat), **self.buffers}, arguments)

    def graph(self, flat: Tensor) -> Tensor:
        """Return the loss as a tensor that can be differentiated by ``flat``."""
        return self.loss(self.outputs(flat), self.batch[1])

    @torch.no_grad()
    def value(self, flat: Tensor) -> float:
        """Return the loss; infinite or NaN where the network is."""
        return float(self.graph(flat))

    @torch.no_grad()
    def value_and_accuracy(self, flat: Tensor) -> tuple[float, float]:
        """Return loss and accuracy; the accuracy is NaN unless targets are classes."""
        outputs = self.outputs(flat)
        return float(self.loss(outputs, self.batch[1])), accuracy(outputs, self.batch[1])

    def gradient(self, flat: Tensor) -> Tensor:
        """Return the gradient of the loss, shape (n_parameters,)."""
        with torch.enable_grad():
            point = flat.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(self.graph(point), point, materialize_grads=True)
        return gradient

    def hessian_product(self, flat: Tensor) -> tuple[Tensor, Product]:
        """Return the gradient, and the function that multiplies a vector by the Hessian.

        The graph of the gradient is made once, with scaled-dot-product attention in plain
        mathematics: the fused kernels have no second derivative. Each product is one backward pass
        through it (Pearlmutter 1994).
        """
        with torch.enable_grad(), twice_differentiable(flat.device):
            point = flat.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(
                self.graph(point), point, create_graph=True, materialize_grads=True
            )

        def product(vector: Tensor) -> Tensor:
            if not gradient.requires_grad:  # the loss is linear
                return torch.zeros_like(vector)
            with twice_differentiable(flat.device):
                (result,) = torch.autograd.grad(
                    gradient, point, vector, retain_graph=True, materialize_grads=True
                )
            return result

        return gradient.detach(), product


def trainable_parameters(module: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters that are trained, by name; one that is tied counts once.

    Raises
    ------
    ValueError
        If there are none, or they are of several types or on several devices.
    """
    found = {name: p for name, p in module.named_parameters() if p.requires_grad}
    if not found:
        raise ValueError("the network has no trainable parameter")
    if len({(p.dtype, p.device) for p in found.values()}) > 1:
        raise ValueError("all trainable parameters must have one type and be on one device")
    return found


def flatten(tensors: Any) -> Tensor:
    """Return a copy of some tensors, laid end to end."""
    return torch.cat([t.detach().reshape(-1) for t in tensors])


def accuracy(outputs: Any, targets: Any) -> float:
    """Return the share of right answers.

    NaN unless outputs are scores, and targets are classes or one-hot vectors.
    """
    if not isinstance(outputs, Tensor) or not isinstance(targets, Tensor):
        return math.nan
    if targets.is_floating_point():
        if targets.shape != outputs.shape or not _one_hot(targets):
            return math.nan
        targets = targets.argmax(dim=1)
    if outputs.ndim != targets.ndim + 1:
        return math.nan
    return float((outputs.argmax(dim=1) == targets).float().mean())


def _one_hot(targets: Tensor) -> bool:
    if targets.ndim != 2 or targets.shape[1] < 2:
        return False
    return bool(((targets == 0) | (targets == 1)).all() and (targets.sum(dim=1) == 1).all())


@contextmanager
def at_rest(module: nn.Module) -> Iterator[None]:
    """Put every part of a module into evaluation mode, and each back to its own afterwards."""
    training = [part for part in module.modules() if part.training]
    for part in training:
        part.training = False
    try:
        yield
    finally:
        for part in training:
            part.training = True


@contextmanager
def twice_differentiable(device: torch.device) -> Iterator[None]:
    """Choose the kernels that can be differentiated twice."""
    with ExitStack() as stack:
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        if device.type == "cuda":  # cuDNN's recurrent layers cannot
            stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        yield
