"""Fits, the probabilities of models that did not see a run, and the thresholds that these set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from grokpredict._util.parallel import results
from grokpredict.features.columns import BUDGET_COLUMN, COLUMNS, SIGNATURE
from grokpredict.features.configuration import CONFIGURATION_COLUMNS, configuration_columns
from grokpredict.model.calibration import Calibration
from grokpredict.model.channels import Reads
from grokpredict.model.thresholds import independent_scores
from grokpredict.model.trees import Trees
from grokpredict.runs.curve import FloatArray, IntArray
from grokpredict.runs.labels import BoolArray
from grokpredict.training.fit import fit_trees
from grokpredict.training.outcomes import Runs
from grokpredict.training.splits import Split
from grokpredict.training.table import LookTable, rows_to_fit

#: (done, all) pieces of work.
Progress = Callable[[int, int], None]

#: Columns of a classifier of the spectral signature alone.
_SIGNATURE_ALONE = [COLUMNS.index(name) for name in (*SIGNATURE, BUDGET_COLUMN)]


def fit(table: LookTable, *, seed: int) -> Trees:
    """Fit the ensemble to looks with some channels left out, by several budgets each.

    Raises
    ------
    ValueError
        If all looks, or none, are at runs that generalised.
    """
    x, y = rows_to_fit(table, np.random.default_rng(seed))
    if y.all() or not y.any():
        raise ValueError("a fit needs looks at runs of both outcomes")
    return fit_trees(x, y, COLUMNS, rows_per_run=len(y) / np.unique(table.run).size, seed=seed)


def fit_signature(table: LookTable, *, seed: int) -> Trees:
    """Fit the same trees to the spectral signature and the budget alone."""
    names = [COLUMNS[i] for i in _SIGNATURE_ALONE]
    x = table.columns[:, _SIGNATURE_ALONE].astype(float)
    y = table.good[table.run]
    return fit_trees(x, y, names, rows_per_run=len(y) / np.unique(table.run).size, seed=seed)


def fit_configuration(runs: Runs, among: BoolArray, *, seed: int) -> Trees:
    """Fit the same trees to the configuration and the budget of the marked runs alone."""
    x = _of_configuration(runs)[among]
    return fit_trees(x, runs.generalised[among], CONFIGURATION_COLUMNS, rows_per_run=1, seed=seed)


def _of_configuration(runs: Runs) -> FloatArray:
    return configuration_columns(runs.configurations, runs.budget)


def held_out(
    table: LookTable,
    splits: Sequence[Split],
    reads: Sequence[Reads],
    *,
    whole: bool = True,
    seed: int,
    jobs: int = 1,
    progress: Progress | None = None,
) -> dict[Reads, FloatArray]:
    """Return the probability at each look by a model that did not see the run's network or kind.

    Parameters
    ----------
    table : LookTable
        Looks to fit to and to score.
    splits : sequence of (ndarray of bool, ndarray of bool)
        Of :mod:`grokpredict.training.splits`.
    reads : sequence of tuple of str
        Channels to read.
    whole : bool
        Whether only looks count that have all of these, as at a run whose log holds no others
        (:meth:`LookTable.scored_by`); else every look is scored by what it has of them.
    seed : int
        Of the fits.
    jobs : int
        Processes, as joblib counts them.
    progress : callable, optional
        Called with the fits done and to do.

    Returns
    -------
    dict of tuple of str to ndarray, shape (n_looks,)
        NaN where a look was not scored.
    """
    from joblib import delayed

    probability = {channels: np.full(table.step.size, np.nan) for channels in reads}
    parts = [
        (table.among(fitted), np.flatnonzero(out[table.run]))
        for fitted, out in splits
        if out[table.run].any() and table.among(fitted).both_outcomes
    ]
    tasks = (
        delayed(_fit_and_score)(fitted, table.at(out), reads, whole, seed) for fitted, out in parts
    )
    for done, ((_, out), scores) in enumerate(zip(parts, results(tasks, jobs), strict=True), 1):
        for channels, values in zip(reads, scores, strict=True):
            probability[channels][out] = values
        if progress is not None:
            progress(done, len(parts))
    return probability


def _fit_and_score(
    fitted: LookTable, scored: LookTable, reads: Sequence[Reads], whole: bool, seed: int
) -> list[FloatArray]:
    """Return the probability at each look for each combination of channels."""
    trees = fit(fitted, seed=seed)
    probabilities = []
    for channels in reads:
        scores = np.full(scored.step.size, np.nan)
        judged = np.flatnonzero(scored.scored_by(channels) if whole else scored.step > 0)
        if judged.size:
            scores[judged] = trees.probability(scored.at(judged).reading(channels))
        probabilities.append(scores)
    return probabilities


def lowest_of(table: LookTable, probability: FloatArray) -> FloatArray:
    """Return the lowest probability at any look at each run; NaN where there was none."""
    lowest = np.full(table.t4.size, np.inf)
    scored = np.isfinite(probability)
    np.minimum.at(lowest, table.run[scored], probability[scored])
    return np.where(np.isfinite(lowest), lowest, np.nan)


def calibrated(
    table: LookTable,
    runs: Runs,
    probability: Mapping[Reads, FloatArray],
    among: BoolArray,
    *,
    by_kind: bool,
) -> dict[Reads, Calibration]:
    """Return the calibration of each combination of channels that good runs have scores for.

    Parameters
    ----------
    table, runs : LookTable, Runs
        Of the same runs.
    probability : mapping of tuple of str to ndarray, shape (n_looks,)
        Of :func:`held_out`.
    among : ndarray of bool, shape (n_runs,)
        Runs that may count.
    by_kind : bool
        Whether the splits left out whole kinds of task.
    """
    calibrations = {}
    for reads, scores in probability.items():
        lowest = lowest_of(table, scores)
        good = np.flatnonzero(np.isfinite(lowest) & table.good & among)
        if good.size:
            configuration = runs.configuration[good]
            calibrations[reads] = Calibration(
                independent_scores(lowest[good], configuration, runs.network[good]),
                _by_kind(lowest[good], configuration, runs.kind[good]) if by_kind else (),
            )
    return calibrations


def _by_kind(lowest: FloatArray, configuration: IntArray, kind: IntArray) -> tuple[FloatArray, ...]:
    """Return the lowest score of each configuration, ascending, one array a kind of task."""
    _, first, number = np.unique(configuration, return_index=True, return_inverse=True)
    scores = np.full(first.size, np.inf)
    np.minimum.at(scores, number, lowest)
    return tuple(np.sort(scores[kind[first] == which]) for which in np.unique(kind[first]))


def signature_alone(table: LookTable, splits: Sequence[Split], *, seed: int) -> FloatArray:
    """Return the held-out probability at each look of a classifier of the signature alone.

    NaN at looks without one.
    """
    there = np.isfinite(table.columns[:, COLUMNS.index(SIGNATURE[-1])])
    scores = np.full(table.step.size, np.nan)
    for fitted, out in splits:
        looks = table.among(fitted).at(there[fitted[table.run]])
        held = np.flatnonzero(out[table.run] & there)
        if looks.both_outcomes and held.size:
            x = table.columns[held][:, _SIGNATURE_ALONE].astype(float)
            scores[held] = fit_signature(looks, seed=seed).probability(x)
    return scores


def configuration_alone(runs: Runs, splits: Sequence[Split], *, seed: int) -> FloatArray:
    """Return the held-out probability of each run by its configuration alone, shape (n_runs,)."""
    scores = np.full(len(runs), np.nan)
    for fitted, out in splits:
        good = runs.generalised[fitted]
        if good.any() and not good.all():
            trees = fit_configuration(runs, fitted, seed=seed)
            scores[out] = trees.probability(_of_configuration(runs)[out])
    return scores
