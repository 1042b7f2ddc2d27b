"""The weight norm and the training accuracy of a fit, a few samples to each look."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from grokpredict.features.profile import EDGES
from grokpredict.live.configuration import is_sharded, trainable
from grokpredict.live.lightning.losses import to_floats
from grokpredict.live.metrics import find_train_accuracy
from grokpredict.live.monitor import GrokMonitor


class Samples:
    """Takes one sample of each at every edge of the bins that looks are made of.

    That is 24 samples by the first look and two from each look to the next. They stay on their
    device until they are given to the monitor.

    Parameters
    ----------
    trainer, pl_module
        Of either Lightning, at the start of the fit.
    """

    def __init__(self, trainer: Any, pl_module: Any) -> None:
        self._module: Any = None if is_sharded(trainer) else pl_module
        self._waiting: list[tuple[int, Any, Any]] = []

    def __getstate__(self) -> dict[str, Any]:
        return {"_module": None, "_waiting": []}

    def next_after(self, step: int) -> int:
        """Return the step of the next sample."""
        return int(EDGES[np.searchsorted(EDGES, step, side="right")])

    def take(self, trainer: Any, step: int) -> None:
        """Take the samples that are due after ``step`` optimiser steps."""
        norm = None if self._module is None else weight_norm(trainable(self._module))
        self._waiting.append((step, norm, find_train_accuracy(trainer.callback_metrics)))

    def give(self, monitor: GrokMonitor) -> None:
        """Copy the samples to the host, all at once, and give them to a monitor."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        steps, norms, accuracies = zip(*waiting, strict=True)
        values = to_floats([*norms, *accuracies])
        n = len(steps)
        for channel, found in (("weight_norm", values[:n]), ("train_acc", values[n:])):
            samples = np.array([np.nan if value is None else value for value in found])
            monitor.observed.take(channel, np.array(steps) - 1, samples)


def weight_norm(parameters: list[Any]) -> Tensor | None:
    """Return the Euclidean norm of all parameters, on their device.

    Parameters
    ----------
    parameters : list of torch.nn.Parameter

    Returns
    -------
    Tensor or None
        None without parameters, and where they are of a kind, or on several devices, that one
        pass cannot read.

    >>> weight_norm([torch.nn.Parameter(torch.tensor(length)) for length in ([3.0], [4.0])])
    tensor(5.)
    """
    plain = all(type(own) is torch.nn.Parameter and own.is_floating_point() for own in parameters)
    if not parameters or not plain or len({own.device for own in parameters}) > 1:
        return None
    with torch.no_grad():
        norms = [torch.linalg.vector_norm(own, dtype=torch.float32) for own in parameters]
        total: Tensor = torch.linalg.vector_norm(torch.stack(norms))
    return total
