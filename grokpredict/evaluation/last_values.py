"""Rules on the latest validation metric: SureStop's threshold, and the best after a fixed step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from grokpredict.evaluation.accounting import NEVER, Finished, Rule, RuleUnavailableError
from grokpredict.features.profile import FIRST_LOOK
from grokpredict.runs.curve import Curve, FloatArray
from grokpredict.runs.labels import BoolArray
from grokpredict.training.splits import Split

#: Thresholds that are tried in hindsight, at most.
_MOST_THRESHOLDS = 200

#: Steps after which the best runs are chosen, and which share of them goes on.
_CHOOSING_STEPS = (200, 400, 800, 1600, 3200, 6400)
_KEPT = (0.9, 0.75, 0.5, 0.25)


def sure_stop(done: Finished, splits: Sequence[Split], max_false_abort: float) -> Rule:
    """Return the rule of SureStop 0.2 with its default forecast, the last value.

    Parameters
    ----------
    done : Finished
        Runs without the metric are left alone.
    splits : sequence of (ndarray of bool, ndarray of bool)
        As it is, the runs of each part have the threshold that those outside it set.
    max_false_abort : float
        The bound. SureStop's is on the share of runs that are good *and* stopped, so of the good
        runs it may lose a larger share.

    Raises
    ------
    RuleUnavailableError
        If no good run has a validation metric.

    Notes
    -----
    A run is stopped at the first evaluation that lies below a threshold: the floor(bound (n + 1))
    lowest score of n calibrating runs, where that of a good run is its lowest value before it
    generalises, and no other run has one (https://github.com/ACNoonan/surestop). Evaluations
    before the first look are left out, as for all rules.
    """
    curves = _latest_values(done)
    lowest = np.array([curve.values.min() if len(curve) else np.inf for curve in curves])
    scores = np.where(done.good, lowest, np.inf)
    if not np.isfinite(scores).any():
        raise RuleUnavailableError("the last value needs a validation metric of good runs")
    limits = np.unique(scores[np.isfinite(scores)])
    if limits.size > _MOST_THRESHOLDS:
        limits = limits[np.linspace(0, limits.size - 1, _MOST_THRESHOLDS).astype(int)]
    as_is = np.full(len(done), NEVER)
    for fit, held in splits:
        limit = _sure_threshold(scores[fit], max_false_abort)
        as_is[held] = _below(curves, np.array([limit]))[0, held]
    return Rule(
        "last value, SureStop's rule",
        tuple(f"below {limit:.3g}" for limit in limits),
        _below(curves, limits),
        as_is=as_is if splits else None,
    )


def fixed_epoch(done: Finished) -> Rule:
    """Return i-Epoch: after a fixed step only the best runs of each family go on.

    Raises
    ------
    RuleUnavailableError
        If no run has a validation metric by any of the steps.

    Notes
    -----
    Egele, Mohr, Viering & Balaprakash 2024, "The unreasonable effectiveness of early discarding
    after one epoch in neural network hyperparameter optimization", arXiv 2404.04111. Here the
    fidelity is a step, and a share of the runs goes on, as many as tie with the last of them.
    """
    curves = _latest_values(done, first=0)
    if not any(len(curve) and curve.steps[0] <= _CHOOSING_STEPS[-1] for curve in curves):
        raise RuleUnavailableError("i-Epoch needs a validation metric in the first 6400 steps")
    families = np.array([name or "" for name in done.runs.family])
    settings, rows = [], []
    for step in _CHOOSING_STEPS:
        latest = [curve.latest(step) for curve in curves]
        values = np.array([np.nan if value is None else value for value in latest])
        for kept in _KEPT:
            settings.append(f"{step}, best {100 * kept:.0f} %")
            rows.append(np.where(_worst(values, families, kept), float(step), NEVER))
    return Rule("i-Epoch", tuple(settings), np.array(rows))


def _latest_values(done: Finished, first: int = FIRST_LOOK) -> list[Curve]:
    """Return what each run's metric was from a step on until it generalised; larger is better."""
    metric = "val_acc" if any("val_acc" in run.channels for run in done.runs.runs) else "val_loss"
    sign = 1.0 if metric == "val_acc" else -1.0
    found = []
    until = np.minimum(done.runs.t4, done.runs.budget)
    for run, end in zip(done.runs.runs, until, strict=True):
        curve = run.channels.get(metric)
        steps = np.empty(0, dtype=np.int64) if curve is None else curve.steps
        values = np.empty(0) if curve is None else sign * curve.values
        kept = (steps >= first) & (steps < end) & np.isfinite(values)
        found.append(Curve(steps[kept], values[kept]))
    return found


def _below(curves: Sequence[Curve], limits: FloatArray) -> FloatArray:
    """Return the step of the first value below each limit, shape (n_limits, n_runs)."""
    stops = np.full((limits.size, len(curves)), NEVER)
    for i, curve in enumerate(curves):
        if len(curve):
            # Ascending, so that the first value below a limit can be searched for.
            fallen = -np.minimum.accumulate(curve.values)
            steps = np.r_[curve.steps.astype(float), NEVER]
            stops[:, i] = steps[np.searchsorted(fallen, -limits, side="right")]
    return stops


def _sure_threshold(scores: FloatArray, max_false_abort: float) -> float:
    rank = int(np.floor(max_false_abort * (scores.size + 1) + 1e-9))
    return float(np.sort(scores)[rank - 1]) if rank else -np.inf


def _worst(values: FloatArray, families: np.ndarray, kept: float) -> BoolArray:
    """Return which runs are worse than the best share of their family."""
    worst = np.zeros(values.size, dtype=np.bool_)
    for family in np.unique(families):
        own = (families == family) & np.isfinite(values)
        if own.any():
            worst |= own & (values < np.quantile(values[own], 1 - kept, method="lower"))
    return worst
