"""How far weight decay can still bring the norm down."""

from __future__ import annotations

import math
from dataclasses import dataclass

from grokpredict.runs.configuration import Configuration


@dataclass(frozen=True)
class NormClock:
    """What weight decay can still do to the norm.

    Decoupled weight decay alone shrinks the norm by exp(-rate x steps) (Omnigrok, section 3).

    Attributes
    ----------
    step, budget : int
        Now, and the last.
    rate : float
        Learning rate times weight decay, a step.
    norm : float or None
        Now.
    goldilocks : float or None
        The norm w_c of :class:`~grokpredict.diagnosis.norm.ReducedLandscape`.
    """

    step: int
    budget: int
    rate: float
    norm: float | None = None
    goldilocks: float | None = None

    @property
    def left(self) -> float:
        """Rate times remaining steps: by how much log(norm) can still fall."""
        return self.rate * max(self.budget - self.step, 0)

    @property
    def needed(self) -> float | None:
        """log(norm / w_c); negative under the Goldilocks norm."""
        if self.norm is None or self.goldilocks is None:
            return None
        return math.log(self.norm / self.goldilocks)

    @property
    def enough(self) -> bool | None:
        """Whether the remaining steps can shrink the norm to w_c."""
        return None if self.needed is None else self.left >= self.needed


def decay_rate(configuration: Configuration) -> float | None:
    """Return by how much a step of weight decay alone shrinks log(norm), None where unknown.

    Learning rate times weight decay, over 1 - momentum for SGD, whose penalty goes through the
    momentum. Adam divides its penalty by the gradient's size: there it says nothing.
    """
    name, rate, decay = (
        configuration.optimizer,
        configuration.learning_rate,
        configuration.weight_decay,
    )
    if decay == 0:
        return 0.0
    if rate is None or decay is None or name in ("adam", "amsgrad", "nadam", "radam"):
        return None
    if name == "sgd" and configuration.momentum:
        return rate * decay / (1.0 - configuration.momentum)
    return rate * decay
