"""The training loss, from what a batch returns to one number a step, on its device meanwhile."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from grokpredict.live.guard import FailedEverywhereError

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

    Attributes
    ----------
    step : int
        Optimiser steps made before the latest batch.
    due : int
        Steps after which :meth:`take` says that it is time to look.
    missing : int
        Steps that had no loss.
    micro : list
        Losses of an optimiser step that is not complete.
    divided : int
        What these were divided by.
    steps : list
        Losses of the complete steps.
    """

    def __init__(self, key: str, *, automatic: bool, step: int) -> None:
        self.step = step
        self.due = 0
        self.missing = 0
        self.micro: list[Any] = []
        self.divided = 1
        self._key = key
        self._lightnings = automatic and key == "loss"
        self.steps: list[Any] = []

    def __len__(self) -> int:
        return len(self.steps)

    def take(self, outputs: Any, step: int, divided: int) -> bool:
        """Keep the loss of a batch after which the trainer had made ``step`` steps."""
        if type(outputs) is dict:
            loss = outputs.get(self._key)
        elif isinstance(outputs, dict):  # of a class of the user's, that may compute what it gives
            loss = dict.get(outputs, self._key)
        else:
            loss = outputs if self._key == "loss" else None
        if not self._lightnings:
            divided = 1
            loss = _detached(loss)
        if step == self.step:
            self.micro.append(loss)
            self.divided = divided
            if len(self.micro) > MOST_MICRO_BATCHES:
                raise FailedEverywhereError(no_steps(len(self.micro)))
            return False
        self.step = step
        if self.micro or divided != 1:
            loss = (divided, [*self.micro, loss])
            self.micro = []
        self.steps.append(loss)
        return len(self.steps) >= self.due

    def drain(self) -> list[float]:
        """Copy the losses to the host, all at once, and forget them; NaN where there was none."""
        steps, self.steps = self.steps, []
        self.due -= len(steps)
        windows = [step if isinstance(step, tuple) else (1, [step]) for step in steps]
        values = iter(to_floats([loss for _, window in windows for loss in window]))
        losses = []
        for divided, window in windows:
            # A batch without a loss adds no gradient: the mean is over those that had one.
            present = [value for value in (next(values) for _ in window) if value is not None]
            self.missing += not present
            losses.append(divided * math.fsum(present) / len(present) if present else math.nan)
        return losses


def _detached(loss: Any) -> Any:
    """Return a number, or a copy of a tensor without its graph; None for anything else.

    Lightning copies its own loss; any other tensor may be overwritten, and hold a graph.
    """
    if isinstance(loss, Tensor):
        try:
            with torch._C.DisableTorchFunctionSubclass():  # the user's code
                loss = loss.detach()
                return loss.float().mean() if loss.ndim else loss.clone()
        # A tensor class of the user's may raise anything; the other processes count on this step.
        except Exception:
            return None
    return loss if isinstance(loss, (int, float, np.number)) else None


def no_steps(batches: int) -> str:
    """Return a sentence for a fit whose optimiser steps Lightning does not count."""
    return (
        f"{batches} batches went by without an optimiser step that Lightning counts, so nothing "
        "is looked at; step the optimisers that self.optimizers() returns"
    )


def to_floats(losses: Sequence[Any]) -> list[float | None]:
    """Return each loss as a Python float with one copy from each device; None stays None."""
    with torch._C.DisableTorchFunctionSubclass():
        tensors = [loss.detach().reshape(()) for loss in losses if isinstance(loss, Tensor)]
        if len({tensor.device for tensor in tensors}) > 1:
            tensors = [tensor.cpu() for tensor in tensors]
        # To the host first: not every device has float64.
        copied = iter(torch.stack(tensors).cpu().double().tolist() if tensors else [])
    return [
        next(copied) if isinstance(loss, Tensor) else None if loss is None else float(loss)
        for loss in losses
    ]
