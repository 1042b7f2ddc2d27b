"""Fits the model that reads whatever a run has: table with channels left out, and thresholds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from grokpredict._util.parallel import results
from grokpredict.features.columns import BUDGET_COLUMN, COLUMNS, columns
from grokpredict.features.profile import LOOKS, N_LEVELS, PROFILED, Bins, looks_before, profiles
from grokpredict.model.looks import Calibration, LookModel, all_reads, only
from grokpredict.model.reading import VALIDATION, Reads
from grokpredict.model.thresholds import independent_scores
from grokpredict.runs.curve import Curve, FloatArray, IntArray
from grokpredict.runs.labels import BoolArray
from grokpredict.runs.run import Run
from grokpredict.training.fit import fit_trees

#: Strides that a log may have, one of which is drawn for every other run; 0 is a log of eight
#: samples an octave. The model has to know what the coarse ones look like.
CADENCES = (10, 50, 100, 200, 500, 1000, 0)
_AN_OCTAVE = 8

#: A log is not thinned so much that fewer samples of its training loss are left than this.
_FEWEST_LEFT = 40

#: Chance that a row of the table has these channels; both validation channels go together, or one
#: of them alone does.
_WITH_VALIDATION, _ONE_OF_BOTH = 0.75, 0.25
_WITH_TRAIN_ACC, _WITH_WEIGHT_NORM = 0.7, 0.45

#: Parts in which kinds of task are left out, and the fewest that are.
KIND_FOLDS = 5

#: Share of the runs of either outcome that must have a validation metric.
VALIDATED_SHARE = 0.5

#: Budgets that a look is asked about besides the run's own, and the nearest as a share of its step.
EXTRA_BUDGETS = 2
_NEAREST_BUDGET = 1.1


def binned(run: Run, draw: int) -> dict[str, Bins]:
    """Return a run's channels as they are, or for every other run as a coarser log has them.

    Parameters
    ----------
    run : Run
        With its curves.
    draw : int
        Any number, of which the choice is made; the same for the same run.
    """
    cadence = CADENCES[draw // 2 % len(CADENCES)] if draw % 2 else 1
    loss = run.loss
    if thinning(loss.steps, cadence).sum() < min(_FEWEST_LEFT, len(loss)):
        cadence = 1
    found = {}
    for name in PROFILED:
        curve = run.channels.get(name)
        if curve is not None and len(curve):
            kept = thinning(curve.steps, cadence)
            found[name] = Bins.of(name, Curve(curve.steps[kept], curve.values[kept]))
    return found


def thinning(steps: IntArray, cadence: int) -> BoolArray:
    """Return which samples a log of this cadence has: the last of each group of steps."""
    if cadence == 1:
        return np.ones(steps.size, dtype=np.bool_)
    updates = steps + 1
    group = np.floor(np.log2(updates) * _AN_OCTAVE) if cadence == 0 else updates // cadence
    # The first sample of a group that began: at updates 50, 100, ... of every step.
    begins = np.diff(group, prepend=group[:1] if cadence == 0 else 0) > 0
    return np.asarray(begins, dtype=np.bool_)


@dataclass(frozen=True, eq=False)
class LookTable:
    """All looks at some runs that had not generalised by then.

    Attributes
    ----------
    profiles : ndarray, shape (n_looks, n_channels, N_LEVELS)
    step : ndarray of int, shape (n_looks,)
        Where each look is.
    run : ndarray of int, shape (n_looks,)
        Whose it is, ascending.
    t4, budget : ndarray, shape (n_runs,)
        When each run generalised, infinite if it did not; by when it had to.
    """

    profiles: FloatArray
    step: IntArray
    run: IntArray
    t4: FloatArray
    budget: FloatArray

    @classmethod
    def of(
        cls, runs: Sequence[Mapping[str, Bins]], t4: FloatArray, budget: FloatArray
    ) -> LookTable:
        """Take every look before each run's budget at which it had not generalised."""
        parts, steps, owner = [], [], []
        for i, channels in enumerate(runs):
            at = looks_before(min(t4[i], budget[i]))
            levels = profiles(channels, range(at.size))
            read = np.isfinite(levels[:, 0, 0])  # the training loss: no look is without it
            parts.append(levels[read].astype(np.float32))
            steps.append(at[read])
            owner.append(np.full(int(read.sum()), i))
        empty = np.empty((0, len(PROFILED), N_LEVELS), dtype=np.float32)
        return cls(
            profiles=np.concatenate([empty, *parts]),
            step=np.concatenate([LOOKS[:0], *steps]),
            run=np.concatenate([LOOKS[:0], *owner]),
            t4=t4,
            budget=budget,
        )

    def among(self, runs: BoolArray) -> LookTable:
        """Return the looks at the runs that are marked; runs keep their numbers."""
        kept = runs[self.run]
        return LookTable(self.profiles[kept], self.step[kept], self.run[kept], self.t4, self.budget)

    @property
    def good(self) -> BoolArray:
        """Whether each run generalised by its budget."""
        return np.asarray(self.t4 <= self.budget, dtype=np.bool_)


def rows_of(table: LookTable, rng: np.random.Generator) -> tuple[FloatArray, BoolArray]:
    """Return columns and outcomes to fit to: each look with some channels, by several budgets.

    A run's own budget is one; the others are spread over the logarithm of the steps from the
    look to it. Of later ones only the outcome of good runs is known.
    """
    levels = table.profiles.copy()
    levels[_left_out(table, rng)] = np.nan
    own = table.budget[table.run]
    nearest = np.minimum(_NEAREST_BUDGET * table.step, own)
    spread = (np.arange(EXTRA_BUDGETS) + rng.random((table.step.size, EXTRA_BUDGETS))) / max(
        EXTRA_BUDGETS, 1
    )
    others = np.maximum(
        nearest[:, None] * (own / nearest)[:, None] ** spread, table.step[:, None] + 1
    )
    budgets = np.column_stack([own, others])
    x = columns(levels.astype(float), table.step, own)
    x = np.repeat(x, EXTRA_BUDGETS + 1, axis=0)
    x[:, COLUMNS.index(BUDGET_COLUMN)] = np.log2(budgets / table.step[:, None]).ravel()
    y = table.t4[table.run][:, None] <= budgets
    return x, np.asarray(y.ravel(), dtype=np.bool_)


def _left_out(table: LookTable, rng: np.random.Generator) -> BoolArray:
    """Return which channels each look goes without, the same at all looks at a run."""
    n = table.t4.size
    validation = rng.random(n) < _WITH_VALIDATION
    alone = np.where(rng.random(n) < _ONE_OF_BOTH, rng.integers(1, 3, n), 0)
    keep = np.column_stack(
        [
            np.ones(n, dtype=np.bool_),
            validation & (alone != 2),
            rng.random(n) < _WITH_TRAIN_ACC,
            validation & (alone != 1),
            rng.random(n) < _WITH_WEIGHT_NORM,
        ]
    )
    return np.asarray(~keep[table.run], dtype=np.bool_)


def fit_looks(table: LookTable, *, seed: int) -> LookModel:
    """Fit the ensemble; the model has no thresholds yet.

    Raises
    ------
    ValueError
        If all looks, or none, are at runs that generalised.
    """
    x, y = rows_of(table, np.random.default_rng(seed))
    if y.all() or not y.any():
        raise ValueError("a fit needs looks at runs of both outcomes")
    n_runs = np.unique(table.run).size
    trees = fit_trees(x, y, COLUMNS, rows_per_run=len(y) / n_runs, seed=seed)
    whole = columns(table.profiles.astype(float), table.step, table.budget[table.run])
    known = np.isfinite(whole).any(axis=0)
    full = np.where(known, whole, 0.0)
    low, high = np.nanmin(full, axis=0), np.nanmax(full, axis=0)
    return LookModel(trees, {}, low, high)


def held_out_probability(
    table: LookTable,
    splits: Sequence[tuple[BoolArray, BoolArray]],
    reads: Sequence[Reads],
    *,
    seed: int,
    jobs: int = 1,
) -> dict[Reads, FloatArray]:
    """Return the probability at each look by a model that did not see the run's network.

    Parameters
    ----------
    table : LookTable
        Looks to fit to and to score.
    splits : sequence of (ndarray of bool, ndarray of bool)
        Masks over the runs: which to fit to, and which to score.
    reads : sequence of Reads
        Channels to read; a look that lacks one of them is not scored.
    seed : int
        Of the fits.
    jobs : int
        Processes, as joblib counts them.

    Returns
    -------
    dict of Reads to ndarray, shape (n_looks,)
        NaN where a look was not scored.
    """
    from joblib import delayed

    found = {own: np.full(table.step.size, np.nan) for own in reads}
    used = [
        (table.among(fit), np.flatnonzero(held[table.run]))
        for fit, held in splits
        if held[table.run].any() and _both_outcomes(table.among(fit))
    ]
    tasks = (delayed(_fit_and_score)(fitted, _at(table, out), reads, seed) for fitted, out in used)
    for (_, out), scores in zip(used, results(tasks, jobs), strict=True):
        for own, values in zip(reads, scores, strict=True):
            found[own][out] = values
    return found


def _fit_and_score(
    fitted: LookTable, scored: LookTable, reads: Sequence[Reads], seed: int
) -> list[FloatArray]:
    """Return the probability at each look for each combination of channels."""
    model = fit_looks(fitted, seed=seed)
    there = np.isfinite(scored.profiles[:, :, 0])
    found = []
    for own in reads:
        scores = np.full(scored.step.size, np.nan)
        rows = np.flatnonzero(there[:, [name in own for name in PROFILED]].all(axis=1))
        if rows.size:
            part = _at(scored, rows)
            levels = only(part.profiles.astype(float), own)
            x = columns(levels, part.step, part.budget[part.run])
            scores[rows] = model.trees.probability(x)
        found.append(scores)
    return found


def _at(table: LookTable, looks: IntArray) -> LookTable:
    """Return some looks; runs keep their numbers."""
    return LookTable(
        table.profiles[looks], table.step[looks], table.run[looks], table.t4, table.budget
    )


def _both_outcomes(table: LookTable) -> bool:
    good = table.good[np.unique(table.run)]
    return bool(good.any() and not good.all())


def lowest_of(table: LookTable, probability: FloatArray) -> FloatArray:
    """Return the lowest probability at any look at each run; NaN where there was none."""
    lowest = np.full(table.t4.size, np.inf)
    known = np.isfinite(probability)
    np.minimum.at(lowest, table.run[known], probability[known])
    return np.where(np.isfinite(lowest), lowest, np.nan)


def train_looks(
    table: LookTable,
    splits: Sequence[tuple[BoolArray, BoolArray]],
    configuration: IntArray,
    network: IntArray,
    kind: IntArray | None = None,
    *,
    seed: int,
    jobs: int = 1,
) -> LookModel | None:
    """Fit the model on all runs, and its thresholds on scores of models that did not see them.

    Parameters
    ----------
    table : LookTable
        All looks.
    splits : sequence of (ndarray of bool, ndarray of bool)
        As for :func:`held_out_probability`, of whole kinds of task or whole networks.
    configuration, network : ndarray of int, shape (n_runs,)
        As for :func:`grokpredict.model.thresholds.independent_scores`.
    kind : ndarray of int, shape (n_runs,), optional
        Kinds of task, where the splits leave out whole ones.
    seed, jobs : int
        As for :func:`held_out_probability`.

    Returns
    -------
    LookModel or None
        None if less than half of the runs of an outcome have a look at a validation metric. Of
        fewer little is known, and somebody chose which.
    """
    if not _validated(table):
        return None
    reads = [own for own in all_reads() if set(own) & set(VALIDATION)]
    found = {}
    held_out = held_out_probability(table, splits, reads, seed=seed, jobs=jobs)
    for own, probability in held_out.items():
        lowest = lowest_of(table, probability)
        known = np.isfinite(lowest) & table.good
        if known.any():
            places = (configuration[known], network[known])
            found[own] = Calibration(
                independent_scores(lowest[known], *places),
                () if kind is None else _by_kind(lowest[known], places[0], kind[known]),
            )
    model = fit_looks(table, seed=seed)
    return LookModel(model.trees, found, model.low, model.high)


def _by_kind(lowest: FloatArray, configuration: IntArray, kind: IntArray) -> tuple[FloatArray, ...]:
    """Return the lowest score of each configuration, ascending, one array a kind of task."""
    _, first, own = np.unique(configuration, return_index=True, return_inverse=True)
    scores = np.full(first.size, np.inf)
    np.minimum.at(scores, own, lowest)
    return tuple(np.sort(scores[kind[first] == which]) for which in np.unique(kind[first]))


def kind_folds(kind: IntArray, good: BoolArray) -> list[tuple[BoolArray, BoolArray]]:
    """Return (fit, held out) masks over the runs that leave out whole kinds of task, by fifths.

    None where fewer than five kinds have runs of both outcomes: then networks are left out.
    """
    kinds = np.unique(kind)
    both = [which for which in kinds if 0 < good[kind == which].mean() < 1]
    if len(both) < KIND_FOLDS:
        return []
    outs = [np.isin(kind, kinds[part::KIND_FOLDS]) for part in range(KIND_FOLDS)]
    return [(np.asarray(~out), out) for out in outs]


def _validated(table: LookTable) -> bool:
    rows = [PROFILED.index(name) for name in VALIDATION]
    there = np.isfinite(table.profiles[:, rows, 0]).any(axis=1)
    seen = np.zeros(table.t4.size, dtype=np.bool_)
    seen[table.run[there]] = True
    looked = np.zeros(table.t4.size, dtype=np.bool_)
    looked[table.run] = True
    return all(
        (looked & outcome).any() and seen[looked & outcome].mean() >= VALIDATED_SHARE
        for outcome in (table.good, ~table.good)
    )
