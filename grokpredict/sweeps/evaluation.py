"""The steps at which runs are evaluated."""

from __future__ import annotations

from collections.abc import Iterable

#: Steps between two evaluations.
EVALUATE_EVERY = 50
#: From here on a thinning grid doubles its interval whenever the step doubles.
THIN_FROM = 3200


def interval(step: int) -> int:
    """Return the steps from ``step`` to the next point of a thinning grid.

    >>> [interval(step) for step in (0, 3150, 3200, 6350, 6400, 50_000)]
    [50, 50, 100, 100, 200, 800]
    """
    return EVALUATE_EVERY * (1 if step < THIN_FROM else 2 ** (step // THIN_FROM).bit_length())


def on_grid(step: float) -> int:
    """Return the last point of the thinning grid up to ``step``.

    >>> on_grid(99_999)
    99200
    """
    return int(step) - int(step) % interval(int(step))


def evaluation_steps(end: int, budgets: Iterable[int], *, thinning: bool) -> frozenset[int]:
    """Return every fiftieth step up to ``end``, or a thinning grid with the ends of all runs."""
    if not thinning:
        return frozenset(range(0, end + 1, EVALUATE_EVERY))
    steps = {min(end, budget) for budget in (end, *budgets)}
    step = 0
    while step <= end:
        steps.add(step)
        step += interval(step)
    return frozenset(steps)
