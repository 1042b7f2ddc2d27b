"""How good a classifier is on networks, and on kinds of task, that its fit did not see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from grokpredict._util.parallel import results
from grokpredict.features.window import WINDOW_COLUMNS
from grokpredict.model.reading import (
    CONFIGURATION,
    CONFIGURATION_ALONE,
    VALIDATION,
    WINDOW_READS,
    Reads,
    columns_read,
)
from grokpredict.model.trees import Trees
from grokpredict.runs.curve import FloatArray
from grokpredict.runs.labels import BoolArray
from grokpredict.training.fit import fit_trees
from grokpredict.training.ranking import Interval, auroc, auroc_intervals, enough
from grokpredict.training.table import Grid, Progress, Rows, Runs, columns, training_rows

#: Folds of the cross-validation, fewer where a class has fewer networks.
FOLDS = 5

#: The validation metrics are read where so many of the runs of each class have them. Of fewer
#: little is known, and somebody chose which.
VALIDATED_SHARE = 0.5


@dataclass(frozen=True)
class Figures:
    """Out-of-fold quality at one horizon, on :attr:`networks <Runs.network>` that no fit saw.

    Attributes
    ----------
    horizon, stride : int
        Window that was looked at.
    reads : tuple of str
        What was read of each run.
    n_runs, n_generalised : int
        Runs that had not generalised inside the window, and those of them that did by the budget.
    auroc : Interval
        Area under the receiver operating characteristic.
    configuration_auroc : Interval
        The same estimator on the configuration and the budget alone, same splits.
    lead : Interval
        The first minus the second, paired; an interval above zero means that the loss tells more.
    family_auroc : mapping of str to float
        For each kind of task: the area on it after a fit on the others. Empty where the
        hyperparameters name fewer than two.
    family_median : float or None
        Their median.
    """

    horizon: int
    stride: int
    reads: Reads
    n_runs: int
    n_generalised: int
    auroc: Interval
    configuration_auroc: Interval
    lead: Interval
    family_auroc: Mapping[str, float]
    family_median: float | None


@dataclass(frozen=True)
class GridArea:
    """Out-of-fold quality on one step grid, which says what recording the loss less often costs.

    Attributes
    ----------
    horizon, stride : int
        Window that was looked at.
    n_runs : int
        Runs that had not generalised inside the window.
    loss, with_configuration : float or None
        Area under the receiver operating characteristic of the models that read no validation;
        None where there are too few runs.
    """

    horizon: int
    stride: int
    n_runs: int
    loss: float | None
    with_configuration: float | None


def areas_by_grid(
    runs: Runs, grids: Sequence[Grid], scores: Mapping[Reads, FloatArray]
) -> tuple[GridArea, ...]:
    """Return the area on each grid, of the scores of :func:`held_out_scores`."""

    def area(row: int, reads: Reads) -> float | None:
        scored = allowed(runs, reads) & np.isfinite(scores[reads][row])
        if not enough(runs.generalised[scored]):
            return None
        return auroc(runs.generalised[scored], scores[reads][row, scored])

    loss, with_configuration = WINDOW_READS[:2]
    return tuple(
        GridArea(
            horizon=grid.horizon,
            stride=grid.stride,
            n_runs=int(np.isfinite(scores[loss][row]).sum()),
            loss=area(row, loss),
            with_configuration=area(row, with_configuration),
        )
        for row, grid in enumerate(grids)
    )


#: All that is fitted: the models of a classifier, and what they are compared with.
FITTED = (*WINDOW_READS, CONFIGURATION_ALONE)


def allowed(runs: Runs, reads: Reads) -> BoolArray:
    """Return the runs whose configuration is known, where a model reads it; else all."""
    return runs.configured if CONFIGURATION in reads else np.ones(len(runs), dtype=np.bool_)


def table_for(reads: Reads, rows: Rows, runs: Runs) -> Rows | None:
    """Return the rows that a model is fitted to; None if there are too few to fit it.

    The configuration alone is fitted to all of them: where it is missing, the budget is left.
    """
    validated = VALIDATION[0] in reads
    everyone = np.ones(len(runs), dtype=np.bool_)
    fitted = everyone if reads == CONFIGURATION_ALONE else allowed(runs, reads)
    table = rows.among(fitted, validated=validated)
    if not table.y.any() or table.y.all():
        return None
    if validated:
        for good in (True, False):
            own, all_runs = (
                np.unique(part.run[runs.generalised[part.run] == good]).size
                for part in (table, rows)
            )
            if own < VALIDATED_SHARE * all_runs:
                return None
    return table


def fit_reads(rows: Rows, reads: Reads, *, seed: int) -> Trees:
    """Fit the trees that read some columns of a table."""
    names = WINDOW_COLUMNS
    chosen = columns_read(reads)
    return fit_trees(
        rows.x[:, chosen],
        rows.y,
        [names[i] for i in chosen],
        rows_per_run=len(rows.y) / np.unique(rows.run).size,
        seed=seed,
    )


def folds(runs: Runs, n_folds: int, seed: int) -> Iterator[tuple[BoolArray, BoolArray]]:
    """Yield (fit, held out) masks over the runs; no :attr:`Runs.network` is on both sides."""
    from sklearn.model_selection import StratifiedGroupKFold

    good = np.unique(runs.network[runs.generalised]).size
    doomed = np.unique(runs.network[~runs.generalised]).size
    splitter = StratifiedGroupKFold(
        max(2, min(n_folds, good, doomed)), shuffle=True, random_state=seed
    )
    for _, held in splitter.split(runs.generalised, runs.generalised, runs.network):
        out = np.zeros(len(runs), dtype=np.bool_)
        out[held] = True
        yield ~out, out


def family_folds(runs: Runs) -> Iterator[tuple[str, BoolArray, BoolArray]]:
    """Yield (family, fit, held out) for each family that has enough runs of both classes."""
    names = sorted({name for name in runs.family if name is not None})
    family = np.array([name if name is not None else "" for name in runs.family])
    if len(names) < 2:
        return
    for name in names:
        out = np.asarray(family == name, dtype=np.bool_)
        if enough(runs.generalised[out]):
            yield name, ~out, out


def held_out_scores(
    runs: Runs,
    grids: Sequence[Grid],
    splits: Sequence[tuple[BoolArray, BoolArray]],
    *,
    seed: int,
    jobs: int = 1,
    progress: Progress | None = None,
) -> dict[Reads, FloatArray]:
    """Return the probability of each window by the model that did not see its network.

    Parameters
    ----------
    runs : Runs
        Those that were labelled.
    grids : sequence of Grid
        Windows to fit to and to score.
    splits : sequence of (ndarray of bool, ndarray of bool)
        Masks over the runs: which to fit to, and which to score.
    seed : int
        Seed of the fits and of the budgets.
    jobs : int
        Processes, as joblib counts them.
    progress : callable, optional
        Called with the fits done and to do.

    Returns
    -------
    dict of tuple of str to ndarray, shape (n_grids, n_runs)
        By what is read, as :data:`FITTED`. NaN where a run has no such window, was in no held-out
        part, or lacks the validation metrics. Each run is asked about its own budget.
    """
    from joblib import delayed

    scores = {reads: np.full((len(grids), len(runs)), np.nan) for reads in FITTED}
    places = []
    total = len(splits) * len(FITTED)

    def tasks() -> Iterator[Any]:
        # Made one after the other: the table of a fold is large.
        for number, (fit, held) in enumerate(splits):
            rows = training_rows(runs, grids, fit, np.random.default_rng(seed))
            asked = [np.flatnonzero(held[grid.run]) for grid in grids]
            x = np.concatenate(
                [
                    columns(runs, grid, windows, runs.budget[grid.run[windows]])
                    for grid, windows in zip(grids, asked, strict=True)
                ]
            )
            if not len(x) or rows.y.all() or not rows.y.any():
                continue
            for done, reads in enumerate(FITTED, number * len(FITTED) + 1):
                table = table_for(reads, rows, runs)
                if table is not None:
                    places.append((reads, asked, done))
                    yield delayed(_fit_and_score)(table, reads, x, seed)

    for chances, (reads, asked, done) in zip(results(tasks(), jobs), places, strict=True):
        ends = np.cumsum([windows.size for windows in asked])[:-1]
        for row, (grid, windows, part) in enumerate(
            zip(grids, asked, np.split(chances, ends), strict=True)
        ):
            scores[reads][row, grid.run[windows]] = part
            if VALIDATION[0] in reads:
                unknown = np.isnan(grid.metrics).any(axis=1)
                scores[reads][row, grid.run[unknown]] = np.nan
        if progress is not None:
            progress(done, total)
    return scores


def _fit_and_score(rows: Rows, reads: Reads, x: FloatArray, seed: int) -> FloatArray:
    return np.asarray(fit_reads(rows, reads, seed=seed).probability(x[:, columns_read(reads)]))


def figures(
    runs: Runs,
    grids: Sequence[Grid],
    scores: Mapping[Reads, FloatArray],
    *,
    seed: int,
    jobs: int = 1,
    progress: Progress | None = None,
) -> tuple[Figures, ...]:
    """Return the figures at each horizon of one step grid, for each model that has scores.

    Parameters
    ----------
    runs : Runs
        All that were labelled.
    grids : sequence of Grid
        Horizons of one stride.
    scores : mapping of tuple of str to ndarray, shape (n_grids, n_runs)
        Of :func:`held_out_scores`, on held-out networks.
    seed, jobs, progress
        As for :func:`held_out_scores`, which scores each family left out.
    """
    families = list(family_folds(runs))
    splits = [(fit, held) for _, fit, held in families]
    by_family = held_out_scores(runs, grids, splits, seed=seed, jobs=jobs, progress=progress)
    of_models = []
    for row, grid in enumerate(grids):
        for reads in WINDOW_READS:
            scored = allowed(runs, reads) & np.isfinite(scores[reads][row])
            if VALIDATION[0] in reads and not scored.any():
                continue
            good = runs.generalised[scored]
            areas, leads = auroc_intervals(
                good,
                np.stack([scores[reads][row, scored], scores[CONFIGURATION_ALONE][row, scored]]),
                runs.network[scored],
                np.random.default_rng(seed),
            )
            family_areas = _family_areas(runs, families, by_family[reads][row])
            median = float(np.median(list(family_areas.values()))) if family_areas else None
            of_models.append(
                Figures(
                    horizon=grid.horizon,
                    stride=grid.stride,
                    reads=reads,
                    n_runs=int(good.size),
                    n_generalised=int(good.sum()),
                    auroc=areas[0],
                    configuration_auroc=areas[1],
                    lead=leads[0],
                    family_auroc=family_areas,
                    family_median=median,
                )
            )
    return tuple(of_models)


def _family_areas(
    runs: Runs, families: Sequence[tuple[str, BoolArray, BoolArray]], scores: FloatArray
) -> dict[str, float]:
    areas = {}
    for name, _, held in families:
        scored = held & np.isfinite(scores)
        if enough(runs.generalised[scored]):
            areas[name] = auroc(runs.generalised[scored], scores[scored])
    return areas
