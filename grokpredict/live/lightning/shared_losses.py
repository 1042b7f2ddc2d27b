"""The losses of a fit as the mean over its processes, all of which must take part."""

from __future__ import annotations

import math
from typing import Any

import torch

from grokpredict.live.guard import described
from grokpredict.live.lightning.losses import LossBuffer, to_floats
from grokpredict.live.lightning.report import Report


class SharedLosses:
    """Reads the losses of this process, whatever fails in it, and takes the mean over all.

    The other processes wait for as many numbers: a process that cannot read its losses has none
    (NaN) from there on.

    Parameters
    ----------
    alone : bool
        Whether there is no other process.
    report : Report
        Is told what cannot be read.

    Attributes
    ----------
    broken : bool
        Whether something has failed in this process.
    """

    def __init__(self, report: Report, *, alone: bool) -> None:
        self.broken = False
        self._alone = alone
        self._report = report

    def losses(self, trainer: Any, buffer: LossBuffer) -> list[float]:
        """Return the losses of the complete steps, which the buffer forgets."""
        n_steps = len(buffer)
        try:
            losses = buffer.drain()
        except Exception as error:  # whatever a device raises: the other processes wait
            self._report.note(f"could not read the losses: {described(error)}")
            losses = []
        if self.broken or len(losses) != n_steps:
            losses = [math.nan] * n_steps
        return losses if self._alone else _mean_over_processes(trainer, losses)

    def micro(self, trainer: Any, buffer: LossBuffer) -> list[float | None]:
        """Return the losses of the step that is not complete; the buffer keeps them."""
        try:
            values = to_floats(buffer.micro)
        except Exception as error:  # whatever a device raises: the other processes wait
            self._report.note(f"could not read the losses: {described(error)}")
            values = [None] * len(buffer.micro)
        if self._alone or not values:
            return values
        numbers = [math.nan if value is None else value for value in values]
        return list(_mean_over_processes(trainer, numbers))


def _mean_over_processes(trainer: Any, losses: list[float]) -> list[float]:
    """Return the mean of each loss over all processes, all of which must call this."""
    ours = torch.tensor(losses, dtype=torch.float64, device=trainer.strategy.root_device)
    mean: list[float] = trainer.strategy.reduce(ours, reduce_op="mean").tolist()
    return mean
