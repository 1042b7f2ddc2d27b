"""Thresholds from a user's finished runs: the model stays, the scores are those of their runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from grokpredict.features.profile import FIRST_LOOK, PROFILED
from grokpredict.logs import Paths, read_sweep
from grokpredict.model.classifier import GrokClassifier, load_classifier
from grokpredict.model.looks import Calibration, LookModel, all_reads, only, read_by, settles
from grokpredict.model.reading import Reads
from grokpredict.model.thresholds import independent_scores
from grokpredict.runs.curve import FloatArray, IntArray
from grokpredict.runs.labels import BoolArray
from grokpredict.runs.sweep import Sweep, UnsuitableSweepError
from grokpredict.training.looks import LookTable, binned, lowest_of
from grokpredict.training.table import Progress, Runs, Unused, known_runs


@dataclass(frozen=True)
class CalibrationCounts(Unused):
    """What became of the runs of a sweep, with those of :class:`~.table.Unused`.

    Attributes
    ----------
    no_look : int
        Good runs that generalised before any look could read them: no rule can lose these.
    good, doomed : int
        Used.
    budgets : mapping of str to int
        Runs whose outcome is known, by where their budget comes from.
    """

    no_look: int
    good: int
    doomed: int
    budgets: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class WouldHave:
    """What a threshold would have done to the runs that set it.

    Attributes
    ----------
    lost, good : int
        Good configurations that would have been stopped, and all of them. Each is compared with
        the threshold that the others set.
    saved : float or None
        Steps of doomed runs after they were stopped, as a share of stopping all of them at the
        first look; None without a doomed run. Doomed runs set no threshold.
    """

    lost: int
    good: int
    saved: float | None


@dataclass(frozen=True, eq=False)
class CalibratedReads:
    """Runs of a sweep that are read by the same channels.

    Attributes
    ----------
    reads : tuple of str
        The channels.
    runs : int
        Runs whose looks read them.
    calibration : Calibration
        The joined scores of the classifier.
    lowest : ndarray, shape (n_configurations,)
        For each good configuration, the lowest probability at any look before it generalised.
    network : ndarray of int, shape (n_configurations,)
        Configurations of one network resemble each other.
    run, step, score : ndarray, shape (n_looks,)
        Every look at the doomed runs: whose it is, where, and the probability.
    spent : ndarray, shape (n_doomed,)
        Steps that each doomed run took.
    """

    reads: Reads
    runs: int
    calibration: Calibration
    lowest: FloatArray
    network: IntArray
    run: IntArray
    step: IntArray
    score: FloatArray
    spent: FloatArray

    def would_have(self, max_false_abort: float) -> WouldHave:
        """Return what the threshold at this bound would have lost and saved."""
        lost = 0
        rows = np.arange(self.lowest.size)
        for row in rows:
            others = rows != row
            scores = independent_scores(self.lowest[others], rows[others], self.network[others])
            limit = replace(self.calibration, user=scores).threshold(max_false_abort)
            lost += limit is not None and self.lowest[row] < limit
        return WouldHave(int(lost), self.lowest.size, self._saved(max_false_abort))

    def _saved(self, max_false_abort: float) -> float | None:
        whole = float(np.maximum(self.spent - FIRST_LOOK, 0).sum())
        if not whole:
            return None
        limit = self.calibration.threshold(max_false_abort)
        stops = np.full(self.spent.size, np.inf)
        if limit is not None:
            below = (self.score < limit) & (self.step >= self.calibration.first_step)
            np.minimum.at(stops, self.run[below], self.step[below])
        return float(np.maximum(self.spent - stops, 0).sum()) / whole


@dataclass(frozen=True, eq=False)
class CalibrationReport:
    """What a calibration rests on.

    Attributes
    ----------
    counts : CalibrationCounts
        What became of the sweep's runs.
    parts : tuple of CalibratedReads
        By what the runs are read by, the most frequent first; the last is the training loss
        alone, as if nothing else had been logged.
    """

    counts: CalibrationCounts
    parts: tuple[CalibratedReads, ...]

    def to_dict(self, max_false_abort: float) -> dict[str, Any]:
        """Return the report at a bound as what :func:`json.dumps` takes."""
        parts = [
            {
                "reads": list(part.reads),
                "runs": part.runs,
                "good_configurations": int(part.calibration.user.size),
                "guarantee": part.calibration.guarantee(max_false_abort),
                "threshold": part.calibration.threshold(max_false_abort),
                "would_have": asdict(part.would_have(max_false_abort)),
            }
            for part in self.parts
        ]
        return {"counts": asdict(self.counts), "parts": parts}


def calibrate(
    classifier: str | Path | GrokClassifier,
    sweep: Sweep | Paths,
    *,
    budget: int | None = None,
    progress: Progress | None = None,
) -> tuple[GrokClassifier, CalibrationReport]:
    """Set the abort thresholds of a classifier from finished runs of your own.

    Parameters
    ----------
    classifier : str, Path or GrokClassifier
        Its model stays as it is; ``"default"`` is the built-in one.
    sweep : Sweep, or str, Path or several
        Finished runs that nothing stopped, or where they are.
    budget : int, optional
        Step by which they have to generalise; by default what each was planned for, else what the
        longest run in its folder took.
    progress : callable, optional
        Called with the combinations of channels that are done and all of them.

    Returns
    -------
    classifier : GrokClassifier
        Keeps the scores of the good runs beside the built-in ones, for any bound.
    report : CalibrationReport
        What the thresholds rest on, and what they would have lost and saved.

    Raises
    ------
    UnsuitableSweepError
        If no run generalised by its budget, or none could be looked at before it did.

    Notes
    -----
    The score of a good configuration is the lowest probability at any look before it generalised;
    repetitions count once, by the lowest of theirs. A run that ended before its budget is unknown
    and left out. The guarantees (:meth:`~grokpredict.model.looks.Calibration.guarantee`) hold for
    configurations that are exchangeable with these: drawn from the same ranges, by no rule that
    saw how the earlier ones ended.
    """
    classifier = load_classifier(classifier)
    if not isinstance(sweep, Sweep):
        sweep = read_sweep(sweep)
    model = classifier.looks
    if model is None:
        raise UnsuitableSweepError(
            "this classifier reads no validation metric, so it has nothing to calibrate; use the "
            "built-in classifier, or train one on runs that log a validation loss or accuracy"
        )
    runs, lost = known_runs(sweep, budget, None)
    runs = _one_each(runs)
    table = LookTable.of([binned(run, 0) for run in runs.runs], runs.t4, runs.budget)
    counts = _counts(sweep, runs, lost, table)
    _check(counts)
    settled = _settled(table)
    scores, ranges = _scored(model, table, progress)
    calibrations = dict(model.calibrations)
    latest = max((step for _, step in settled.values()), default=0)
    good = {reads: _good(runs, table, score) for reads, score in scores.items()}
    for reads, (lowest, network) in good.items():
        calibrations[reads] = replace(
            calibrations.get(reads, Calibration(np.empty(0))),
            user=independent_scores(lowest, np.arange(lowest.size), network),
            first_step=0 if settles(reads) else latest,
        )
    members = _members(runs, table, settled)
    parts = tuple(
        _part(runs, table, reads, members[reads], calibrations[reads], good[reads], scores[reads])
        for reads in members
    )
    low, high = np.fmin(model.low, ranges[0]), np.fmax(model.high, ranges[1])
    calibrated = LookModel(model.trees, calibrations, low, high)
    return replace(classifier, looks=calibrated), CalibrationReport(counts, parts)


def _one_each(runs: Runs) -> Runs:
    """Return runs of which each is a configuration of its own, where all have the same one.

    Whoever repeats one configuration asks about its next repetition, and repetitions are
    independent; or the log does not tell the configurations apart.
    """
    if len(runs) < 2 or np.unique(runs.configuration).size > 1:
        return runs
    each = np.arange(len(runs))
    return replace(runs, configuration=each, network=each)


def _counts(
    sweep: Sweep, runs: Runs, lost: Mapping[str, int], table: LookTable
) -> CalibrationCounts:
    looked = np.zeros(len(runs), dtype=np.bool_)
    looked[table.run] = True
    good = runs.generalised
    return CalibrationCounts(
        runs=len(sweep) + len(sweep.left_out),
        left_out=len(sweep.left_out),
        no_metric=lost["no_metric"],
        censored=lost["censored"],
        no_look=int(np.sum(good & ~looked)),
        good=int(np.sum(good & looked)),
        doomed=int(np.sum(~good)),
        budgets=dict(Counter(runs.budget_source)),
    )


def _check(counts: CalibrationCounts) -> None:
    if counts.good:
        return
    raise UnsuitableSweepError(
        "calibration needs a run that generalised by its budget after the first look, none of "
        f"{counts.runs} did: {counts.doomed} did not generalise, {counts.no_look} generalised "
        f"before a look could read them, {counts.censored} ended before their budget, "
        f"{counts.no_metric} have no validation metric, {counts.left_out} could not be read; add "
        "finished runs, or choose another --budget"
    )


def _settled(table: LookTable) -> dict[int, tuple[Reads, int]]:
    """Return for each run what its looks read, and the step of the first that does."""
    found: dict[int, tuple[Reads, int]] = {}
    reads = read_by(table.profiles.astype(float))
    for run, step, channels in zip(table.run.tolist(), table.step.tolist(), reads, strict=True):
        if run not in found and settles(channels):
            found[run] = channels, step
    return found


def _scored(
    model: LookModel, table: LookTable, progress: Progress | None
) -> tuple[dict[Reads, FloatArray], tuple[FloatArray, FloatArray]]:
    """Return the probability at each look for all channels that a good run has, and the ranges.

    NaN where a look lacks one of the channels. The ranges are of every column.
    """
    there = np.isfinite(table.profiles[:, :, 0])
    of_good = table.good[table.run]
    low, high = np.full((2, model.low.size), np.nan)
    found = {}
    combinations = all_reads()
    for done, reads in enumerate(combinations, 1):
        rows = np.flatnonzero(there[:, [PROFILED.index(name) for name in reads]].all(axis=1))
        if of_good[rows].any():
            levels = only(table.profiles[rows].astype(float), reads)
            seen = model.look(levels, table.step[rows], table.budget[table.run[rows]])
            found[reads] = np.full(table.step.size, np.nan)
            found[reads][rows] = seen.probability
            low = np.fmin(low, np.fmin.reduce(seen.columns))
            high = np.fmax(high, np.fmax.reduce(seen.columns))
        if progress is not None:
            progress(done, len(combinations))
    return found, (low, high)


def _good(runs: Runs, table: LookTable, score: FloatArray) -> tuple[FloatArray, IntArray]:
    """Return the lowest score of each good configuration, and its network."""
    lowest = lowest_of(table, score)
    good = np.flatnonzero(np.isfinite(lowest) & table.good)
    numbers, first, place = np.unique(
        runs.configuration[good], return_index=True, return_inverse=True
    )
    found = np.full(numbers.size, np.inf)
    np.minimum.at(found, place, lowest[good])
    return found, runs.network[good[first]]


def _members(
    runs: Runs, table: LookTable, settled: Mapping[int, tuple[Reads, int]]
) -> dict[Reads, BoolArray]:
    """Return which runs are read by what, the most frequent first; last the loss alone, by all."""
    by_reads: dict[Reads, BoolArray] = {}
    for run, (reads, _) in settled.items():
        by_reads.setdefault(reads, np.zeros(len(runs), dtype=np.bool_))[run] = True
    with_good = {reads: of for reads, of in by_reads.items() if (of & runs.generalised).any()}
    everyone = np.zeros(len(runs), dtype=np.bool_)
    everyone[table.run] = True
    ordered = sorted(with_good.items(), key=lambda item: -int(item[1].sum()))
    return {**dict(ordered), ("train_loss",): everyone}


def _part(
    runs: Runs,
    table: LookTable,
    reads: Reads,
    members: BoolArray,
    calibration: Calibration,
    good: tuple[FloatArray, IntArray],
    score: FloatArray,
) -> CalibratedReads:
    doomed = np.flatnonzero(members & ~runs.generalised)
    place = np.full(len(runs), -1)
    place[doomed] = np.arange(doomed.size)
    looks = np.flatnonzero((place[table.run] >= 0) & np.isfinite(score))
    ended = np.array([runs.runs[i].last_step + 1 for i in doomed], dtype=float)
    diverged = np.array([runs.runs[i].diverged for i in doomed], dtype=np.bool_)
    budget = runs.budget[doomed]
    return CalibratedReads(
        reads=reads,
        runs=int(members.sum()),
        calibration=calibration,
        lowest=good[0],
        network=good[1],
        run=place[table.run[looks]],
        step=table.step[looks],
        score=score[looks],
        # A doomed run was watched to its budget, whatever the step of its last evaluation.
        spent=np.where(diverged, np.minimum(ended, budget), budget),
    )
