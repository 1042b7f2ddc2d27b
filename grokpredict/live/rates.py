"""The peak of a run's learning rate, as far as its schedule tells."""

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


#: Of a parameter group, what its learning rate may reach.
_NAMES = ("lr", "initial_lr", "max_lr")


def peak_learning_rate(
    groups: Sequence[dict[str, Any]], schedules: Sequence[Any] = ()
) -> float | None:
    """Return the largest learning rate of a run, None where it is not known at its start.

    A schedule that warms up keeps its peak in ``initial_lr``, a one-cycle schedule in ``max_lr``.
    A function of the user's (``LambdaLR``) is not asked.

    >>> peak_learning_rate([{"lr": 1e-5, "initial_lr": 1e-3}], [])
    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1e-3)
    >>> warm_up = torch.optim.lr_scheduler.LinearLR(optimizer, 0.01)
    >>> peak_learning_rate(optimizer.param_groups, [warm_up])
    0.001
    """
    scheduled = any("initial_lr" in group for group in groups)
    if not all(map(peak_is_told, schedules)) or (scheduled and not schedules):
        return None
    rates = [number(group.get(name)) for group in groups for name in _NAMES]
    return max((rate for rate in rates if rate), default=None)


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
