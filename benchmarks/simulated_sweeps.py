"""Finished runs as arrays, rules that stop them, and sweeps simulated from them.

The core of bench_calibrate.py: no file is read and no model fitted here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from grokpredict.model.calibration import Calibration
from grokpredict.model.thresholds import expected_threshold, independent_scores

#: Bound on lost runs, and the step of the first look.
SHARE, FIRST = 0.05, 200

#: A rule sets a threshold from a user's good scores, ascending, and what the classifier brings.
Rule = Callable[[np.ndarray, Calibration], float]


@dataclass(frozen=True, eq=False)
class Replayed:
    """Finished runs of one source, and a score at every look before each generalised."""

    run: np.ndarray
    step: np.ndarray
    score: np.ndarray
    t4: np.ndarray
    budget: np.ndarray
    spent: np.ndarray
    configuration: np.ndarray
    network: np.ndarray
    good: np.ndarray = field(init=False)
    lowest: np.ndarray = field(init=False)
    looked: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        lowest = np.full(self.t4.size, np.inf)
        np.minimum.at(lowest, self.run, self.score)
        object.__setattr__(self, "good", self.t4 <= self.budget)
        object.__setattr__(self, "lowest", lowest)
        object.__setattr__(self, "looked", np.isfinite(lowest))

    def own(self, known: np.ndarray) -> np.ndarray:
        """Return the lowest scores of the good configurations among the marked runs."""
        good = known & self.good & self.looked
        each = self.configuration[good]
        if np.unique(self.configuration).size == 1:
            each = np.arange(each.size)
        return independent_scores(self.lowest[good], each, each)

    def stops(self, limit: float) -> np.ndarray:
        """Return the step of the first look below a limit, infinite where there is none."""
        found = np.full(self.t4.size, np.inf)
        below = self.score < limit
        np.minimum.at(found, self.run[below], self.step[below])
        return found

    def account(self, stops: np.ndarray, among: np.ndarray) -> tuple[int, int, float]:
        """Return lost, good runs that were looked at, and the share saved of the marked runs."""
        good, doomed = among & self.good & self.looked, among & ~self.good
        lost = int(np.sum(good & (stops < self.t4)))
        whole = np.maximum(self.spent - FIRST, 0)[doomed].sum()
        steps = np.maximum(self.spent - np.maximum(stops, FIRST), 0)[doomed].sum()
        return lost, int(good.sum()), float(steps / whole) if whole else np.nan


def built_in(own: np.ndarray, calibration: Calibration) -> float:
    """Set the threshold of the classifier alone."""
    return calibration.built_in(SHARE) or 0.0


def alone(own: np.ndarray, calibration: Calibration) -> float:
    """Set the user's threshold alone, in expectation."""
    return expected_threshold(own, SHARE) or 0.0


def lowest(own: np.ndarray, calibration: Calibration) -> float:
    """Set the lowest score of the user's good runs."""
    return float(own[0]) if own.size else 0.0


def clipped(own: np.ndarray, calibration: Calibration) -> float:
    """Hold the built-in threshold between the user's at the bound and their lowest score."""
    if not own.size:
        return built_in(own, calibration)
    low, high = sorted((alone(own, calibration), lowest(own, calibration)))
    return min(max(built_in(own, calibration), low), high)


def joined(own: np.ndarray, calibration: Calibration) -> float:
    """Set what `grokpredict calibrate` sets."""
    return replace(calibration, user=own).threshold(SHARE) or 0.0


def confident(own: np.ndarray, calibration: Calibration) -> float:
    """Set what `grokpredict calibrate --guarantee confidence` sets."""
    return replace(calibration, user=own, wanted="confidence").threshold(SHARE) or 0.0


def leaking(own: np.ndarray, calibration: Calibration) -> float:
    """Lose twice the bound: the negative control."""
    return expected_threshold(own, 2 * SHARE) or 0.0


#: Rules that set a threshold, by the name that the tables have for them.
RULES: dict[str, Rule] = {
    "built-in threshold alone": built_in,
    "user's, in expectation": alone,
    "user's lowest good score": lowest,
    "clip(built-in; user's at 5 %, lowest)": clipped,
    "calibrate": joined,
    "calibrate --guarantee confidence": confident,
}


def chosen(replayed: Replayed, settings: np.ndarray, known: np.ndarray) -> int:
    """Return the setting that saves most of the marked runs and loses no more than the bound.

    The last one, which stops least, where all lose more.
    """
    best, row = -1.0, len(settings) - 1
    for i, stops in enumerate(settings):
        lost, good, saved = replayed.account(stops, known)
        if lost <= SHARE * good and saved > best:
            best, row = saved, i
    return row


def last_value(replayed: Replayed, known: np.ndarray) -> np.ndarray:
    """Stop at a low last validation accuracy, by SureStop's rule; `replayed` has these scores.

    The conformal rank is over all known runs, doomed ones above all good ones: it bounds the share
    of runs that are good and stopped, not the share of good runs that are.
    """
    scores = np.sort(replayed.lowest[known & replayed.good & replayed.looked])
    rank = int(np.floor(SHARE * (known.sum() + 1) + 1e-9))
    if not rank:
        return np.full(replayed.t4.size, np.inf)
    return replayed.stops(scores[rank - 1] if rank <= scores.size else np.inf)


def split(n_runs: int, n_known: int, seed: int) -> np.ndarray:
    """Return which runs are known in one random split."""
    known = np.zeros(n_runs, dtype=bool)
    known[np.random.default_rng(seed).permutation(n_runs)[:n_known]] = True
    return known


@dataclass(frozen=True)
class SweepResult:
    """One simulated sweep.

    Attributes
    ----------
    lost, good : int
        Good runs that were stopped, and those that could have been: started after stopping
        began, looked at, not audited.
    saved : float
        Steps saved as a share of stopping all doomed runs of the sweep at the first look.
    began : int or None
        Runs that had started when stopping began.
    """

    lost: int
    good: int
    saved: float
    began: int | None


def simulate(
    replayed: Replayed,
    order: np.ndarray,
    stops_of: Callable[[np.ndarray], np.ndarray],
    *,
    audited: np.ndarray,
    workers: int = 8,
    enough: int = 19,
) -> SweepResult:
    """Run a sweep in an order, and recalibrate as runs finish.

    Parameters
    ----------
    replayed : Replayed
        Of which the sweep is made.
    order : ndarray of int
        Rows in the order in which they start. A run starts when the one ``workers`` before it has
        finished, and is judged by what is known then.
    stops_of : callable
        Takes which runs were never stopped and are finished, and returns where it stops each.
    audited : ndarray of bool
        Runs that are never stopped. They and those before stopping began are what is known:
        what was stopped has no outcome, and of the others only the lucky ones have.
    workers, enough : int
        Runs at once; good runs with which stopping begins.
    """
    known = np.zeros(replayed.t4.size, dtype=bool)
    counted = replayed.good & replayed.looked
    stops = np.full(replayed.t4.size, np.inf)
    could = np.zeros(replayed.t4.size, dtype=bool)
    began: int | None = None
    free = np.zeros(replayed.t4.size, dtype=bool)
    limit_stops: np.ndarray | None = None
    for place, row in enumerate(order):
        if place >= workers:
            done = order[place - workers]
            if free[done]:
                known[done] = True
                limit_stops = None
        if began is None and (known & counted).sum() >= enough:
            began = place
        free[row] = began is None or audited[row]
        if not free[row]:
            if limit_stops is None:
                limit_stops = stops_of(known)
            could[row] = True
            stops[row] = limit_stops[row]
    lost, good, _ = replayed.account(stops, could)
    everyone = np.zeros(replayed.t4.size, dtype=bool)
    everyone[order] = True
    return SweepResult(lost, good, replayed.account(stops, everyone)[2], began)


def halving(
    replayed: Replayed, order: np.ndarray, *, factor: int = 4, first: int = FIRST
) -> SweepResult:
    """Run a sweep by asynchronous successive halving (Li et al. 2020, arXiv 1810.05934).

    Parameters
    ----------
    replayed : Replayed
        Its scores are last validation accuracies.
    order : ndarray of int
        Rows in the order in which they start.
    factor, first : int
        Of the runs that reached a rung, one in so many goes on; step of the first rung.
    """
    place = np.full(replayed.t4.size, -1)
    place[order] = np.arange(order.size)
    curves: dict[int, dict[float, float]] = {}
    for run, step, score in zip(replayed.run, replayed.step, replayed.score, strict=True):
        curves.setdefault(int(run), {})[float(step)] = float(score)
    rungs: dict[float, list[float]] = {}
    stops = np.full(replayed.t4.size, np.inf)
    for row in order.tolist():
        curve = curves.get(row, {})
        for rung in (float(first * factor**i) for i in range(20)):
            if rung not in curve:
                continue  # too few evaluations yet, or the run is over
            reached = rungs.setdefault(rung, [])
            reached.append(curve[rung])
            if sum(other > reached[-1] for other in reached) >= max(1, len(reached) / factor):
                stops[row] = rung
                break
    everyone = place >= 0
    lost, good, saved = replayed.account(stops, everyone)
    return SweepResult(lost, good, saved, 0)


def random_order(n_runs: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """Draw the runs of a sweep."""
    return rng.permutation(n_runs)[:size]


def drifting_order(axis: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """Draw a sweep whose range on an axis moves half way: from its lower to its upper 70 %."""
    low, high = np.nanquantile(axis, [0.3, 0.7])
    first = rng.permutation(np.flatnonzero(axis <= high))[: size // 2]
    rest = np.setdiff1d(np.flatnonzero(axis >= low), first)
    return np.r_[first, rng.permutation(rest)[: size - first.size]]


def keeps_the_bound(results: Mapping[str, tuple[int, int]]) -> bool:
    """Whether the mean share lost over sources keeps the bound; each counts as it is large."""
    lost, good = np.array(list(results.values())).sum(axis=0)
    return bool(lost <= SHARE * good)
