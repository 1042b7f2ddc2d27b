"""From a sweep to the table that a classifier is fitted to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from grokpredict._util.parallel import results
from grokpredict.features.conditioning import SignalSettings
from grokpredict.features.configuration import has_context
from grokpredict.features.metrics import METRIC_TERMS
from grokpredict.features.profile import Bins
from grokpredict.features.window import METRICS, WINDOW_COLUMNS, window_rows
from grokpredict.model.classifier import DEFAULT_STRIDES
from grokpredict.runs.budget import budgets_of
from grokpredict.runs.configuration import Configuration
from grokpredict.runs.curve import FloatArray, IntArray
from grokpredict.runs.labels import BoolArray, LabelRule
from grokpredict.runs.run import Run
from grokpredict.runs.sweep import Sweep
from grokpredict.training.digest import (
    CHUNK,
    Digest,
    Facts,
    Recipe,
    Windows,
    digest_runs,
    facts_of,
    join,
    windows_of,
)

#: (done, all) pieces of work.
Progress = Callable[[int, int], None]

#: Budgets that each run is asked about besides its own.
EXTRA_BUDGETS = 3

#: Runs to cross-validate on at most: intervals and thresholds hardly gain by more.
MAX_RUNS = 10_000

#: From so many networks on, of either outcome, splits hold out whole networks. Where there are
#: fewer, the sweep is taken to be about other configurations of the same ones.
MIN_NETWORKS = 20

#: Windows of which a table is made at most: more teach trees of a bounded size nothing.
MAX_WINDOWS = 75_000

#: The smallest of them, as a multiple of the horizon.
_NEAREST_BUDGET = 1.1

_NEVER = np.inf


@dataclass(frozen=True)
class Unused:
    """The runs of a sweep, and those whose outcome is not known.

    Attributes
    ----------
    runs : int
        Runs in all, with those that the reader left out.
    left_out : int
        Could not be read.
    no_metric : int
        Have no validation metric that says whether they generalised.
    censored : int
        Ended before their budget without having generalised: unknown, not negative.
    """

    runs: int
    left_out: int
    no_metric: int
    censored: int


@dataclass(frozen=True)
class Counts(Unused):
    """What became of the runs of a sweep, with those of :class:`Unused`.

    Attributes
    ----------
    unfit : int
        Too short, or on a step grid that serves no horizon.
    diverged : int
        The loss was not finite from the first window on.
    in_window : int
        Had generalised by the end of the first window.
    generalised, not_generalised : int
        Used.
    configurations : int
        Different configurations among the used ones.
    networks : int
        Different networks among them; 0 where these are not known or fewer than
        :data:`MIN_NETWORKS`.
    budgets : mapping of str to int
        Runs whose outcome is known, by where their budget comes from.
    """

    unfit: int
    diverged: int
    in_window: int
    generalised: int
    not_generalised: int
    configurations: int
    networks: int
    budgets: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Runs:
    """Runs whose outcome by their budget is known, as columns.

    Attributes
    ----------
    runs : tuple of Run
        As they were read; none where only a digest was kept.
    configurations : tuple of Configuration
        What is known of each before its first step.
    t4 : ndarray, shape (n_runs,)
        Step at which it generalised, infinite if it did not while it was watched.
    budget : ndarray, shape (n_runs,)
        Step by which it had to.
    configuration : ndarray of int, shape (n_runs,)
        Runs with the same number are repetitions of one configuration.
    network : ndarray of int, shape (n_runs,)
        Runs with the same number are of one kind of task and have equally many parameters, so
        that they resemble each other, and no split has them on both sides. The same as
        ``configuration`` where the number of parameters is not known or there are fewer than
        :data:`MIN_NETWORKS` networks of either outcome.
    family : tuple of (str or None)
        Kind of task, where the hyperparameters tell it.
    budget_source : tuple of str
        Where the budget of each comes from.
    """

    runs: tuple[Run, ...]
    configurations: tuple[Configuration, ...]
    t4: FloatArray
    budget: FloatArray
    configuration: IntArray
    network: IntArray
    family: tuple[str | None, ...]
    budget_source: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self.t4.size

    def only(self, kept: IntArray | BoolArray) -> Runs:
        """Return some of them, by their rows or those that are marked."""
        index = np.arange(len(self))[kept]
        parts: dict[str, Any] = {}
        for column in fields(self):
            values = getattr(self, column.name)
            if isinstance(values, tuple):
                parts[column.name] = tuple(values[i] for i in index) if values else ()
            else:
                parts[column.name] = values[index]
        return Runs(**parts)

    @property
    def generalised(self) -> BoolArray:
        """Whether each run generalised by its budget."""
        return np.asarray(self.t4 <= self.budget, dtype=np.bool_)

    @property
    def configured(self) -> BoolArray:
        """Whether the configuration of each run is known well enough to be read."""
        return np.array([has_context(run) for run in self.configurations], dtype=np.bool_)


@dataclass(frozen=True, eq=False)
class Grid:
    """The windows of one horizon on one step grid.

    Attributes
    ----------
    horizon, stride : int
        Steps that a window spans, and between two samples of it.
    run : ndarray of int, shape (n_windows,)
        Rows of :class:`Runs` that are finite and had not generalised in the window.
    features : ndarray, shape (n_windows, n_features)
        Of the loss.
    metrics : ndarray, shape (n_windows, n_metric_terms)
        Of the validation metrics; NaN where they are not known.
    fits : ndarray of int
        Rows of :class:`Runs` whose log serves this grid, whatever happened in it.
    finite : ndarray of int
        Those of them whose window is finite.
    """

    horizon: int
    stride: int
    run: IntArray
    features: FloatArray
    metrics: FloatArray
    fits: IntArray
    finite: IntArray


@dataclass(frozen=True, eq=False)
class Rows:
    """A table for fitting: windows, each with equally many budgets.

    Attributes
    ----------
    x : ndarray, shape (n_rows, n_columns)
        In the order of :data:`grokpredict.features.window.WINDOW_COLUMNS`.
    y : ndarray of bool, shape (n_rows,)
        Whether the run generalised by the row's budget.
    run : ndarray of int, shape (n_rows,)
        Row of :class:`Runs`.
    """

    x: FloatArray
    y: BoolArray
    run: IntArray

    def among(self, runs: BoolArray, *, validated: bool = False) -> Rows:
        """Return the rows of the runs that are marked, or only those with validation metrics."""
        kept = runs[self.run]
        if validated:
            kept = kept & np.isfinite(self.x[:, METRICS]).all(axis=1)
        return self if kept.all() else Rows(self.x[kept], self.y[kept], self.run[kept])


def known_runs(
    sweep: Sweep, budget: int | None, rule: LabelRule | None
) -> tuple[Runs, dict[str, int]]:
    """Return the runs whose outcome is known, and how many are not, by the reason.

    Parameters
    ----------
    sweep : Sweep
        Finished and interrupted runs.
    budget : int, optional
        Step by which they have to generalise; for each the steps that it was planned for by
        default, or those of the longest run in its folder where the logs do not tell, see
        :func:`grokpredict.runs.budget.longest_of`.
    rule : LabelRule
        What it takes for having generalised.

    Notes
    -----
    A run planned for fewer steps than ``budget`` is censored even if it generalised: of such runs
    only the good ones could ever be known, and counting them would make long budgets look good.
    """
    kept, runs, lost = _labelled([facts_of(run, rule) for run in sweep.runs], budget)
    return replace(runs, runs=tuple(sweep.runs[i] for i in kept)), lost


@dataclass(frozen=True, eq=False)
class Labelled:
    """What can be learnt from in a digest.

    Attributes
    ----------
    runs : Runs
        Whose outcome is known; without their curves.
    facts : tuple of Facts
        Of these runs.
    grids : list of Grid
        Their windows.
    bins : tuple of (mapping of str to Bins)
        Their channels.
    lost : dict of str to int
        How many other runs there are, by the reason.
    """

    runs: Runs
    facts: tuple[Facts, ...]
    grids: list[Grid]
    bins: tuple[Mapping[str, Bins], ...]
    lost: dict[str, int]


def digest_sweep(
    runs: Sequence[Run], recipe: Recipe, *, jobs: int = 1, progress: Progress | None = None
) -> Digest:
    """Digest runs that are in memory, on several cores; ``progress`` counts them."""
    from joblib import delayed

    if recipe.strides is None:
        strides = {*DEFAULT_STRIDES, *(run.loss.stride for run in runs)}
        recipe = replace(recipe, strides=tuple(sorted(strides)))
    tasks = (
        delayed(digest_runs)(runs[start : start + CHUNK], recipe)
        for start in range(0, len(runs), CHUNK)
    )
    parts: list[Digest] = []
    done = 0
    for part in results(tasks, jobs):
        parts.append(part)
        done += len(part)
        if progress is not None:
            progress(done, len(runs))
    return join(parts)


def known_windows(digest: Digest, recipe: Recipe, budget: int | None) -> Labelled:
    """Return what :func:`known_runs`, :func:`step_grids` and :func:`extract_grids` would give."""
    kept, runs, lost = _labelled(digest.facts, budget)
    place = np.full(len(digest), -1)
    place[kept] = np.arange(len(kept))
    grids = []
    for pair in recipe.pairs(digest.facts[i].stride for i in kept):
        if pair in digest.windows:
            windows = digest.windows[pair]
            used = place[windows.run] >= 0
            if used.any():
                grids.append(_grid(runs, *pair, place[windows.run[used]], windows.features[used]))
    facts = tuple(digest.facts[i] for i in kept)
    return Labelled(runs, facts, grids, tuple(digest.bins[i] for i in kept), lost)


def _labelled(facts: Sequence[Facts], budget: int | None) -> tuple[list[int], Runs, dict[str, int]]:
    budgets = budgets_of(facts, budget)
    kept: list[int] = []
    ends: list[tuple[float, float]] = []
    lost = {"no_metric": 0, "censored": 0}
    for i, (fact, own) in enumerate(zip(facts, budgets, strict=True)):
        planned = fact.planned or own.steps
        asked = own.steps
        if fact.outcome is None:
            lost["no_metric"] += 1
        elif asked > planned or fact.outcome.by(asked) is None:
            lost["censored"] += 1
        else:
            kept.append(i)
            ends.append((_NEVER if fact.outcome.t4 is None else fact.outcome.t4, asked))
    t4, asked_for = np.array(ends, dtype=float).reshape(-1, 2).T
    labelled = [facts[i] for i in kept]
    configuration = _numbered([fact.configuration_key for fact in labelled])
    runs = Runs(
        runs=(),
        configurations=tuple(fact.configuration for fact in labelled),
        t4=t4,
        budget=asked_for,
        configuration=configuration,
        network=_networks(labelled, configuration, t4 <= asked_for),
        family=tuple(fact.family for fact in labelled),
        budget_source=tuple(
            budgets[i].source if facts[i].planned and budget is None else str(budgets[i])
            for i in kept
        ),
    )
    return kept, runs, lost


def _networks(facts: Sequence[Facts], configuration: IntArray, good: BoolArray) -> IntArray:
    """Return :attr:`Runs.network`."""
    if any(fact.configuration.n_parameters is None for fact in facts):
        return configuration
    network = _numbered([f"{fact.family} {fact.configuration.n_parameters}" for fact in facts])
    fewest = min(np.unique(network[outcome]).size for outcome in (good, ~good))
    return network if fewest >= MIN_NETWORKS else configuration


def _numbered(names: Sequence[str]) -> IntArray:
    """Return equal numbers for equal names, from 0 on."""
    return np.unique(names, return_inverse=True)[1].astype(np.int64)


def step_grids(
    runs: Runs, horizons: Sequence[int], strides: Sequence[int] | None
) -> list[tuple[int, int]]:
    """Return the (horizon, stride) pairs that hold enough samples for the features."""
    recipe = Recipe(tuple(horizons), None if strides is None else tuple(strides))
    return recipe.pairs(run.loss.stride for run in runs.runs)


def extract_grids(
    runs: Runs,
    pairs: Sequence[tuple[int, int]],
    settings: SignalSettings,
    *,
    jobs: int = 1,
) -> list[Grid]:
    """Compute the loss features of every window, in chunks and on several cores.

    Parameters
    ----------
    runs : Runs
        With their curves. Those that do not serve a pair are left out of it.
    pairs : sequence of (int, int)
        Horizons and strides.
    settings : SignalSettings
        Filters and cut-offs.
    jobs : int
        Processes, as joblib counts them.
    """
    from joblib import delayed

    chunks = range(0, len(runs.runs), CHUNK)
    tasks = (
        delayed(_windows)(runs.runs[start : start + CHUNK], pairs, settings) for start in chunks
    )
    grids: dict[tuple[int, int], list[tuple[IntArray, FloatArray]]] = {}
    windows_of_chunks = results(tasks, jobs)
    for start, windows in zip(chunks, windows_of_chunks, strict=True):
        for pair, part in zip(pairs, windows, strict=True):
            grids.setdefault(pair, []).append((start + part.run, part.features))
    joined = {
        pair: tuple(map(np.concatenate, zip(*parts, strict=True))) for pair, parts in grids.items()
    }
    return [_grid(runs, *pair, *part) for pair, part in joined.items() if len(part[0])]


def _windows(
    runs: Sequence[Run], pairs: Sequence[tuple[int, int]], settings: SignalSettings
) -> list[Windows]:
    return [windows_of(runs, pair, settings) for pair in pairs]


def _grid(runs: Runs, horizon: int, stride: int, index: IntArray, features: FloatArray) -> Grid:
    loss, metrics = features[:, : -len(METRIC_TERMS)], features[:, -len(METRIC_TERMS) :]
    finite = np.isfinite(loss).all(axis=1)
    used = finite & (runs.t4[index] > horizon) & (runs.budget[index] > horizon)
    return Grid(horizon, stride, index[used], loss[used], metrics[used], index, index[finite])


def drawn(runs: Runs, grids: Sequence[Grid], kept: IntArray) -> tuple[Runs, list[Grid]]:
    """Return some of the runs, with their windows."""
    if kept.size == len(runs):
        return runs, list(grids)
    place = np.full(len(runs), -1)
    place[kept] = np.arange(kept.size)
    return runs.only(kept), [_among(grid, place) for grid in grids]


def some_networks(runs: Runs, seed: int) -> IntArray:
    """Return all runs, or those of networks at random, of :data:`MAX_RUNS` runs at most."""
    if len(runs) <= MAX_RUNS:
        return np.arange(len(runs))
    sizes = np.bincount(runs.network)
    order = np.random.default_rng(seed).permutation(sizes.size)
    chosen = np.zeros(sizes.size, dtype=np.bool_)
    chosen[order[np.cumsum(sizes[order]) <= MAX_RUNS]] = True
    return np.flatnonzero(chosen[runs.network])


def _among(grid: Grid, place: IntArray) -> Grid:
    """Return the windows of the runs that have a new place, under that."""
    kept = place[grid.run] >= 0

    def placed(index: IntArray) -> IntArray:
        there = place[index]
        return np.asarray(there[there >= 0], dtype=np.int64)

    return replace(
        grid,
        run=placed(grid.run),
        features=grid.features[kept],
        metrics=grid.metrics[kept],
        fits=placed(grid.fits),
        finite=placed(grid.finite),
    )


def columns(runs: Runs, grid: Grid, chosen: IntArray, budgets: FloatArray) -> FloatArray:
    """Return the columns of the table for some windows of a grid, one budget each.

    Parameters
    ----------
    chosen : ndarray of int, shape (n_rows,)
        Rows of the grid.
    budgets : ndarray, shape (n_rows,)
        Step by which the run would have to generalise.
    """
    configurations = [runs.configurations[i] for i in grid.run[chosen]]
    return window_rows(
        grid.features[chosen],
        grid.horizon,
        grid.stride,
        budgets,
        grid.metrics[chosen],
        configurations,
    )


def training_rows(
    runs: Runs, grids: Sequence[Grid], among: BoolArray, rng: np.random.Generator
) -> Rows:
    """Return the table for the runs marked in ``among``, each window with several budgets.

    A run's own budget is one; the others are spread evenly over the logarithm of the steps
    between the horizon and its own. Beyond that only runs that generalised are known. Of more than
    :data:`MAX_WINDOWS` windows some are drawn.
    """
    spread = (np.arange(EXTRA_BUDGETS) + rng.random((len(runs), EXTRA_BUDGETS))) / max(
        EXTRA_BUDGETS, 1
    )
    share = MAX_WINDOWS / max(sum(int(among[grid.run].sum()) for grid in grids), 1)
    parts: list[tuple[Grid, IntArray, FloatArray]] = []
    for grid in grids:
        windows = np.flatnonzero(among[grid.run])
        if share < 1:
            windows = windows[rng.random(windows.size) < share]
        budget = runs.budget[grid.run[windows]]
        nearest = np.minimum(_NEAREST_BUDGET * grid.horizon, budget)
        others = nearest[:, None] * (budget / nearest)[:, None] ** spread[grid.run[windows]]
        budgets = np.column_stack([np.maximum(np.round(others), grid.horizon + 1), budget]).ravel()
        parts.append((grid, np.repeat(windows, EXTRA_BUDGETS + 1), budgets))
    index = np.concatenate([grid.run[chosen] for grid, chosen, _ in parts])
    # Made once: joining the parts of so large a table would double it.
    x = np.empty((index.size, len(WINDOW_COLUMNS)))
    ends = np.cumsum([chosen.size for _, chosen, _ in parts])
    for (grid, chosen, budgets), end in zip(parts, ends, strict=True):
        x[end - chosen.size : end] = columns(runs, grid, chosen, budgets)
    asked = np.concatenate([budgets for _, _, budgets in parts])
    return Rows(x=x, y=np.asarray(runs.t4[index] <= asked, dtype=np.bool_), run=index)
