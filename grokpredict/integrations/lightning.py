"""What the callback needs to know of torch and of Lightning's two namespaces."""

from __future__ import annotations

import importlib
import importlib.metadata
import logging
import math
from typing import Any

import torch
from torch import Tensor

#: Malicious releases of Lightning, which must not even be imported.
MALICIOUS = ("2.6.2", "2.6.3")

#: Batches without an optimiser step after which the callback gives up waiting for one.
MOST_MICRO_BATCHES = 10_000


def callback_bases() -> tuple[type, ...]:
    """Return the ``Callback`` class of each Lightning namespace that is installed.

    Each trainer tests for its own; importing the second namespace costs 0.1 s.
    """
    found: list[type] = []
    for distribution, module in (
        ("pytorch-lightning", "pytorch_lightning"),
        ("lightning", "lightning.pytorch"),
    ):
        try:
            if importlib.metadata.version(distribution) in MALICIOUS:
                continue
            found.append(importlib.import_module(module).Callback)
        except ImportError:
            continue
    if not found:
        raise ModuleNotFoundError(
            "GrokPredictor needs Lightning: pip install pytorch-lightning (or lightning)"
        )
    return tuple(found)


def logger_beside(trainer: Any) -> logging.Logger:
    """Return a child of the logger of the trainer's Lightning: it shows what that shows.

    Lightning gives its own logger a level, and a handler where the user has set up none.
    """
    for kind in type(trainer).__mro__:
        namespace = kind.__module__.partition(".trainer")[0]
        if namespace in ("pytorch_lightning", "lightning.pytorch"):
            return logging.getLogger(f"{namespace}.grokpredict")
    return logging.getLogger("grokpredict")


class LossBuffer:
    """Losses of the steps since the last look, on the device where they were computed.

    Parameters
    ----------
    key : str
        Where the loss is in what ``on_train_batch_end`` is given.
    automatic : bool
        Whether Lightning optimises: it then divides ``outputs["loss"]`` by
        ``accumulate_grad_batches``, also in an epoch's last window that has fewer batches.
    step : int
        Optimiser steps made before the first loss.
    """

    def __init__(self, key: str, *, automatic: bool, step: int) -> None:
        self.step = step
        #: Steps after which :meth:`take` says that it is time to look.
        self.due = 0
        #: Steps that had no loss.
        self.missing = 0
        #: Losses of an optimiser step that is not complete, and what they were divided by.
        self.micro: list[Any] = []
        self.divided = 1
        self._key = key
        self._own = automatic and key == "loss"
        self._steps: list[Any] = []

    def __len__(self) -> int:
        return len(self._steps)

    def take(self, outputs: Any, step: int, divided: int) -> bool:
        """Keep the loss of a batch after which the trainer had made ``step`` steps."""
        try:
            loss = outputs[self._key]
        except Exception:  # whatever ``outputs`` is: a loss that is not there is a missing loss
            loss = outputs if isinstance(outputs, Tensor) and self._key == "loss" else None
        if not self._own:
            divided = 1
            # Lightning copies its own loss; any other tensor may change, and hold a graph.
            if isinstance(loss, Tensor):
                loss = loss.detach().float().mean() if loss.ndim else loss.detach().clone()
        if step == self.step:
            self.micro.append(loss)
            self.divided = divided
            if len(self.micro) > MOST_MICRO_BATCHES:
                raise RuntimeError(
                    f"{MOST_MICRO_BATCHES} batches went by without an optimiser step that "
                    "Lightning counts; step the optimisers that self.optimizers() returns"
                )
            return False
        self.step = step
        if self.micro or divided != 1:
            loss = (divided, [*self.micro, loss])
            self.micro = []
        self._steps.append(loss)
        return len(self._steps) >= self.due

    def drain(self) -> list[float]:
        """Copy the losses to the host, all at once, and forget them; NaN where there was none."""
        steps, self._steps = self._steps, []
        self.due -= len(steps)
        windows = [own if isinstance(own, tuple) else (1, [own]) for own in steps]
        values = iter(to_floats([loss for _, window in windows for loss in window]))
        losses = []
        for divided, window in windows:
            # A batch without a loss adds no gradient: the mean is over those that had one.
            told = [value for value in (next(values) for _ in window) if value is not None]
            self.missing += not told
            losses.append(divided * math.fsum(told) / len(told) if told else math.nan)
        return losses


def to_floats(losses: list[Any]) -> list[float | None]:
    """Return each loss as a Python float with one copy from each device; None stays None."""
    tensors = [loss.reshape(()) for loss in losses if isinstance(loss, Tensor)]
    if len({tensor.device for tensor in tensors}) > 1:
        tensors = [tensor.cpu() for tensor in tensors]
    # To the host first: not every device has float64.
    copied = iter(torch.stack(tensors).cpu().double().tolist() if tensors else [])
    return [
        next(copied) if isinstance(loss, Tensor) else None if loss is None else float(loss)
        for loss in losses
    ]


def mean_over_processes(trainer: Any, losses: list[float]) -> list[float]:
    """Return the mean of each loss over all processes, all of which must call this."""
    if trainer.world_size == 1:
        return losses
    own = torch.tensor(losses, dtype=torch.float64, device=trainer.strategy.root_device)
    mean: list[float] = trainer.strategy.reduce(own, reduce_op="mean").tolist()
    return mean
