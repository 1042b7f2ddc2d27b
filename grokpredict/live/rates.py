"""The peak of a run's learning rate: told by its schedule, or seen step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from grokpredict.live.plain import number, plain

#: torch's schedules that go no higher than ``lr``, ``initial_lr`` or ``max_lr`` of a group, and
#: the attributes that may be factors above 1.
_TELLING: Mapping[str, tuple[str, ...]] = {
    "ConstantLR": ("factor",),
    "CosineAnnealingLR": (),
    "CosineAnnealingWarmRestarts": (),
    "CyclicLR": (),
    "ExponentialLR": ("gamma",),
    "LinearLR": ("start_factor", "end_factor"),
    "MultiStepLR": ("gamma",),
    "OneCycleLR": (),
    "PolynomialLR": (),
    "StepLR": ("gamma",),
}
#: Of these, the peak is told if all of their schedules tell it.
_OF_OTHERS = ("ChainedScheduler", "SequentialLR")


class PeakRate:
    """Largest learning rate that an optimiser has had, seen step by step.

    Only numbers are looked at: a rate that is a tensor may be on a device.

    Parameters
    ----------
    optimizer : object
        With ``param_groups``, as torch's optimisers hold them.

    Attributes
    ----------
    peak : float
        The largest rate so far, 0 where none was seen.
    rising : bool
        Whether it was reached just now, after a lower one: a warm-up that may go on.
    """

    def __init__(self, optimizer: Any) -> None:
        self._held: dict[str, Any] = vars(optimizer)
        self._seen = 0
        self._reached = 0
        self._latest: Any = None
        self.peak = 0.0

    def see(self) -> None:
        """Look at the rate of one parameter group, of the next one at the next step."""
        groups = self._held["param_groups"]
        self._seen = seen = self._seen + 1
        rate = groups[seen % len(groups)]["lr"]
        if rate is not self._latest:
            self._latest = rate
            if isinstance(rate, (int, float)) and rate > self.peak:
                self.peak = float(rate)
                self._reached = seen

    @property
    def rising(self) -> bool:
        """Whether the peak was raised in the latest round of the groups, and not in the first."""
        groups = len(self._held["param_groups"])
        return self._reached > groups and self._seen - self._reached < groups

    def state_dict(self) -> dict[str, Any]:
        """Return what was seen, in plain Python objects."""
        return {"peak": self.peak, "seen": self._seen, "reached": self._reached}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where the fit was that wrote ``state``."""
        self.peak = float(state["peak"])
        self._seen, self._reached = int(state["seen"]), int(state["reached"])


def peak_learning_rate(
    groups: Sequence[dict[str, Any]], schedules: Sequence[Any] = (), rate: PeakRate | None = None
) -> float | None:
    """Return the largest learning rate of the run, None where it is not known yet.

    A schedule that warms up keeps its peak in ``initial_lr``, a one-cycle schedule in ``max_lr``.
    A function of the user's (``LambdaLR``) is not asked: there the largest rate that was seen
    counts, and none while the rate still rises.

    >>> peak_learning_rate([{"lr": 1e-5, "initial_lr": 1e-3}], [])
    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1e-3)
    >>> warm_up = torch.optim.lr_scheduler.LinearLR(optimizer, 0.01)
    >>> peak_learning_rate(optimizer.param_groups, [warm_up])
    0.001
    """
    seen = rate.peak if rate is not None else 0.0
    scheduled = any("initial_lr" in group for group in groups)
    if all(peak_is_told(own) for own in schedules) and (schedules or not scheduled):
        told = [number(group.get(key)) for group in groups for key in _NAMES]
        if not (schedules or rate is None) and rate.rising:  # set by hand, step by step
            return None
        return max((peak for peak in (*told, seen) if peak), default=None)
    return None if rate is None or rate.rising else seen or None


_NAMES = ("lr", "initial_lr", "max_lr")


def peak_is_told(schedule: Any) -> bool:
    """Whether the parameter groups name the largest rate of a schedule, whatever it computes."""
    kind = type(schedule)
    if kind.__module__ != "torch.optim.lr_scheduler":
        return False
    if kind.__name__ == "ReduceLROnPlateau":
        return True
    if kind.__name__ in _OF_OTHERS:
        return all(map(peak_is_told, plain(schedule, "_schedulers") or [None]))
    if kind.__name__ == "LambdaLR":
        return all(map(_of_transformers, plain(schedule, "lr_lambdas") or [None]))
    factors = _TELLING.get(kind.__name__)
    if factors is None:
        return False
    values = [number(plain(schedule, name)) for name in factors]
    # A factor that ends below 1 never reaches the rate that the group names as its initial one.
    return all(value is not None and value <= 1 for value in values) and (
        kind.__name__ != "LinearLR" or max(value or 0 for value in values) == 1
    )


def _of_transformers(function: Any) -> bool:
    """Whether a schedule's function is of ``transformers``, whose factors go up to 1."""
    inner = plain(function, "func", function)
    return str(plain(inner, "__module__")).startswith("transformers.")
