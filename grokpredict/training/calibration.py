"""Thresholds from a user's finished runs: the model stays, the scores are those of their runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np

from grokpredict.features.columns import COLUMNS
from grokpredict.features.recording import Recording, compute_signatures
from grokpredict.logs import Paths
from grokpredict.logs.reading import as_sweep
from grokpredict.model.calibration import Calibration
from grokpredict.model.channels import Reads, all_reads, may_stop
from grokpredict.model.classifier import GrokClassifier, load_classifier
from grokpredict.model.joining import Wanted
from grokpredict.model.thresholds import independent_scores
from grokpredict.runs.curve import FloatArray, IntArray
from grokpredict.runs.labels import BoolArray
from grokpredict.runs.sweep import Sweep, UnsuitableSweepError
from grokpredict.training.calibration_report import (
    Calibrated,
    CalibratedReads,
    CalibrationCounts,
    CalibrationReport,
)
from grokpredict.training.cross_validation import Progress, lowest_of
from grokpredict.training.outcomes import Runs, known_runs
from grokpredict.training.record import CHUNK, columns_of, looks_within
from grokpredict.training.table import LookTable

_LOSS_LEVEL = COLUMNS.index("train_loss_level")


def calibrate(
    classifier: str | Path | GrokClassifier,
    sweep: Sweep | Paths,
    *,
    budget: int | None = None,
    guarantee: Wanted = "expectation",
    progress: Progress | None = None,
) -> Calibrated:
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
    guarantee : {"expectation", "confidence"}
        How the bound on lost runs is to hold: in the mean over sweeps like this one (19 good
        configurations for 5 %), or with 95 % confidence in this one (59; until then in the mean).
    progress : callable, optional
        Called with the combinations of channels that are done and all of them.

    Returns
    -------
    Calibrated
        The classifier, which keeps the scores of the good runs beside the built-in ones, for any
        bound; and what the thresholds rest on, and would have lost and saved.

    Raises
    ------
    ValueError
        If the guarantee is neither.
    UnsuitableSweepError
        If no run generalised by its budget, or none could be looked at before it did.

    Notes
    -----
    The score of a good configuration is the lowest probability at any look before it generalised;
    repetitions count once, by the lowest of theirs. A run that ended before its budget is unknown
    and left out. The guarantees of :class:`~grokpredict.model.calibration.Calibration` hold for
    configurations that are exchangeable with these: drawn from the same ranges, by no rule that
    saw how the earlier ones ended.
    """
    if guarantee not in get_args(Wanted):
        raise ValueError(f"guarantee must be 'expectation' or 'confidence', got {guarantee!r}")
    classifier = load_classifier(classifier)
    sweep = as_sweep(sweep)
    runs, lost = known_runs(sweep, budget)
    table = _looks_at(runs)
    counts = _counts(sweep, runs, lost, table)
    _check(counts)
    scores, low, high = _scored(classifier, table, progress)
    settled = table.settled()
    latest = _latest_to_settle(table)
    good = {reads: _good(runs, table, score) for reads, score in scores.items()}
    calibrations = dict(classifier.calibrations)
    for reads, (lowest, network) in good.items():
        calibrations[reads] = replace(
            calibrations.get(reads, Calibration(np.empty(0))),
            user=independent_scores(lowest, np.arange(lowest.size), network),
            first_step=0 if may_stop(reads) else latest,
            wanted=guarantee,
        )
    parts = tuple(
        _part(runs, table, reads, members, calibrations[reads], good[reads], scores[reads])
        for reads, members in _members(runs, table, settled).items()
    )
    calibrated = replace(classifier, calibrations=calibrations, low=low, high=high)
    return Calibrated(calibrated, CalibrationReport(counts, parts))


def _looks_at(runs: Runs) -> LookTable:
    """Return all looks at runs, as a monitor would have taken them."""
    looks = [looks_within(run.last_step, t4) for run, t4 in zip(runs.runs, runs.t4, strict=True)]
    columns = []
    for start in range(0, len(runs), CHUNK):
        recordings = [Recording.of(run.channels) for run in runs.runs[start : start + CHUNK]]
        compute_signatures(recordings)
        columns += columns_of(recordings, looks[start : start + CHUNK])
    table = LookTable.joined(looks, columns, runs.t4, runs.budget)
    return table.at(np.isfinite(table.columns[:, _LOSS_LEVEL]))


def _counts(
    sweep: Sweep, runs: Runs, lost: Mapping[str, int], table: LookTable
) -> CalibrationCounts:
    looked, good = table.looked_at, runs.generalised
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


def _latest_to_settle(table: LookTable) -> int:
    """Return the step by which every run that gets a look with validation had had one."""
    _, first = table.first_that_may_stop()
    return int(table.step[first].max(initial=0))


def _scored(
    classifier: GrokClassifier, table: LookTable, progress: Progress | None
) -> tuple[dict[Reads, FloatArray], FloatArray, FloatArray]:
    """Return the probability at each look by what is read, and the range of every column.

    Only combinations of channels that good runs have; NaN where a look lacks one of them.
    """
    of_good = table.good[table.run]
    low, high = classifier.low, classifier.high
    scores = {}
    combinations = all_reads()
    for done, reads in enumerate(combinations, 1):
        rows = np.flatnonzero(table.scored_by(reads))
        if of_good[rows].any():
            looks = classifier.look(table.at(rows).reading(reads))
            scores[reads] = np.full(table.step.size, np.nan)
            scores[reads][rows] = looks.probability
            low = np.fmin(low, np.fmin.reduce(looks.columns))
            high = np.fmax(high, np.fmax.reduce(looks.columns))
        if progress is not None:
            progress(done, len(combinations))
    return scores, low, high


def _good(runs: Runs, table: LookTable, score: FloatArray) -> tuple[FloatArray, IntArray]:
    """Return the lowest score of each good configuration, and its network."""
    lowest = lowest_of(table, score)
    good = np.flatnonzero(np.isfinite(lowest) & table.good)
    numbers, first, place = np.unique(
        runs.configuration[good], return_index=True, return_inverse=True
    )
    scores = np.full(numbers.size, np.inf)
    np.minimum.at(scores, place, lowest[good])
    return scores, runs.network[good[first]]


def _members(runs: Runs, table: LookTable, settled: Mapping[int, Reads]) -> dict[Reads, BoolArray]:
    """Return which runs are read by what, the most frequent first; last the loss alone, by all."""
    by_reads: dict[Reads, BoolArray] = {}
    for run, reads in settled.items():
        by_reads.setdefault(reads, np.zeros(len(runs), dtype=np.bool_))[run] = True
    with_good = {reads: of for reads, of in by_reads.items() if (of & runs.generalised).any()}
    ordered = sorted(with_good.items(), key=lambda item: -int(item[1].sum()))
    return {**dict(ordered), ("train_loss",): table.looked_at}


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
