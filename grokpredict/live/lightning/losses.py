"""The training loss, from what a batch returns to one number a step, on its device meanwhile."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

#: Batches without an optimiser step after which the callback gives up waiting for one.
MOST_MICRO_BATCHES = 10_000


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
