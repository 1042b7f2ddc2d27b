"""From a sweep to the table that a classifier is fitted to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from grokpredict import features as loss_features
from grokpredict.classifier import DEFAULT_STRIDES
from grokpredict.conditioning import SignalSettings
from grokpredict.curves import (
    Context,
    FloatArray,
    IntArray,
    Run,
    Sweep,
    UnsuitableRunError,
    check_window,
    window,
)
from grokpredict.labels import BoolArray, LabelRule, outcome
from grokpredict.terms import context_terms, grid_and_budget, has_context

#: (done, all) windows whose features are computed.
Progress = Callable[[int, int], None]

#: Hyperparameters that name the kind of task, for leaving one out.
FAMILY_KEYS = ("family", "task")

#: Budgets that each run is asked about besides its own.
EXTRA_BUDGETS = 3

#: The smallest of them, as a multiple of the horizon.
_NEAREST_BUDGET = 1.1

#: Runs whose windows are in memory at once.
_CHUNK = 256

_NEVER = np.inf


@dataclass(frozen=True)
class Counts:
    """What became of the runs of a sweep.

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
    """

    runs: int
    left_out: int
    no_metric: int
    censored: int
    unfit: int
    diverged: int
    in_window: int
    generalised: int
    not_generalised: int
    configurations: int


@dataclass(frozen=True, eq=False)
class Runs:
    """Runs whose outcome by their budget is known, as columns.

    Attributes
    ----------
    runs : tuple of Run
        As they were read.
    contexts : tuple of Context
        What is known of each before its first step.
    t4 : ndarray, shape (n_runs,)
        Step at which it generalised, infinite if it did not while it was watched.
    budget : ndarray, shape (n_runs,)
        Step by which it had to.
    configuration : ndarray of int, shape (n_runs,)
        Runs with the same number are repetitions of one configuration.
    family : tuple of (str or None)
        Kind of task, where the hyperparameters tell it.
    """

    runs: tuple[Run, ...]
    contexts: tuple[Context, ...]
    t4: FloatArray
    budget: FloatArray
    configuration: IntArray
    family: tuple[str | None, ...]

    @property
    def generalised(self) -> BoolArray:
        """Whether each run generalised by its budget."""
        return np.asarray(self.t4 <= self.budget, dtype=np.bool_)

    @property
    def told(self) -> BoolArray:
        """Whether the configuration of each run is known well enough to be read."""
        return np.array([has_context(context) for context in self.contexts], dtype=np.bool_)


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
    fits : ndarray of int
        Rows of :class:`Runs` whose log serves this grid, whatever happened in it.
    finite : ndarray of int
        Those of them whose window is finite.
    """

    horizon: int
    stride: int
    run: IntArray
    features: FloatArray
    fits: IntArray
    finite: IntArray


@dataclass(frozen=True, eq=False)
class Rows:
    """A table for fitting: windows, each with equally many budgets.

    Attributes
    ----------
    x : ndarray, shape (n_rows, n_columns)
        In the order of :func:`grokpredict.classifier.all_feature_names`.
    y : ndarray of bool, shape (n_rows,)
        Whether the run generalised by the row's budget.
    run : ndarray of int, shape (n_rows,)
        Row of :class:`Runs`.
    """

    x: FloatArray
    y: BoolArray
    run: IntArray

    def among(self, runs: BoolArray) -> Rows:
        """Return the rows of the runs that are marked."""
        kept = runs[self.run]
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
        default, or the longest run's where the logs do not tell.
    rule : LabelRule
        What it takes for having generalised.

    Notes
    -----
    A run planned for fewer steps than ``budget`` is censored even if it generalised: of such runs
    only the good ones could ever be known, and counting them would make long budgets look good.
    """
    fallback = budget or max((run.last_step + 1 for run in sweep.runs), default=0)
    kept: list[tuple[Run, float, float]] = []
    lost = {"no_metric": 0, "censored": 0}
    for run in sweep.runs:
        result = outcome(run, rule)
        planned = run.max_steps or fallback
        asked = budget or planned
        if result is None:
            lost["no_metric"] += 1
        elif asked > planned or result.by(asked) is None:
            lost["censored"] += 1
        else:
            kept.append((run, _NEVER if result.t4 is None else result.t4, asked))
    runs = tuple(run for run, _, _ in kept)
    _, configuration = np.unique([run.configuration for run in runs], return_inverse=True)
    return (
        Runs(
            runs=runs,
            contexts=tuple(run.context for run in runs),
            t4=np.array([t4 for _, t4, _ in kept], dtype=float),
            budget=np.array([asked for _, _, asked in kept], dtype=float),
            configuration=configuration.astype(np.int64),
            family=tuple(_family(run) for run in runs),
        ),
        lost,
    )


def _family(run: Run) -> str | None:
    for key in FAMILY_KEYS:
        if key in run.hparams:
            return str(run.hparams[key])
    return None


def step_grids(
    runs: Runs, horizons: Sequence[int], strides: Sequence[int] | None
) -> list[tuple[int, int]]:
    """Return the (horizon, stride) pairs that hold enough samples for the features."""
    known = set(DEFAULT_STRIDES) | {run.loss.stride for run in runs.runs}
    chosen = sorted(known if strides is None else set(strides))
    return [
        (horizon, stride)
        for stride in chosen
        for horizon in sorted(set(horizons))
        if horizon // stride >= loss_features.MIN_SAMPLES
    ]


def extract_grids(
    runs: Runs,
    pairs: Sequence[tuple[int, int]],
    settings: SignalSettings,
    *,
    jobs: int = 1,
    progress: Progress | None = None,
) -> list[Grid]:
    """Compute the loss features of every window, in chunks and on several cores.

    Parameters
    ----------
    runs : Runs
        Those that do not serve a pair are left out of it.
    pairs : sequence of (int, int)
        Horizons and strides.
    settings : SignalSettings
        Filters and cut-offs.
    jobs : int
        Processes, as joblib counts them.
    progress : callable, optional
        Called with the windows done and to do.
    """
    from joblib import Parallel, delayed

    fits = [_fitting(runs.runs, *pair) for pair in pairs]
    todo = sum(map(len, fits))

    def windows() -> Iterator[FloatArray]:
        for pair, index in zip(pairs, fits, strict=True):
            for start in range(0, len(index), _CHUNK):
                yield window([runs.runs[i] for i in index[start : start + _CHUNK]], *pair)

    blocks: list[FloatArray] = []
    done = 0
    # Arrays travel to the workers, not runs; few chunks wait at a time.
    for block in Parallel(n_jobs=jobs, return_as="generator", pre_dispatch="2*n_jobs")(
        delayed(loss_features.extract)(epochs, settings) for epochs in windows()
    ):
        blocks.append(block)
        done += len(block)
        if progress is not None:
            progress(done, todo)
    grids = []
    taken = 0
    for (horizon, stride), index in zip(pairs, fits, strict=True):
        count = -(-len(index) // _CHUNK)
        own = blocks[taken : taken + count]
        taken += count
        if count:
            grids.append(_grid(runs, horizon, stride, index, np.concatenate(own)))
    return grids


def _fitting(runs: Sequence[Run], horizon: int, stride: int) -> IntArray:
    """Return the runs whose log serves this window."""
    found = []
    for i, run in enumerate(runs):
        try:
            check_window(run.loss, horizon, stride)
        except UnsuitableRunError:
            continue
        found.append(i)
    return np.array(found, dtype=np.int64)


def _grid(runs: Runs, horizon: int, stride: int, index: IntArray, features: FloatArray) -> Grid:
    finite = np.isfinite(features).all(axis=1)
    used = finite & (runs.t4[index] > horizon) & (runs.budget[index] > horizon)
    return Grid(horizon, stride, index[used], features[used], index, index[finite])


def columns(runs: Runs, grid: Grid, chosen: IntArray, budgets: FloatArray) -> FloatArray:
    """Return the columns of the table for some windows of a grid, one budget each.

    Parameters
    ----------
    chosen : ndarray of int, shape (n_rows,)
        Rows of the grid.
    budgets : ndarray, shape (n_rows,)
        Step by which the run would have to generalise.
    """
    contexts = [runs.contexts[i] for i in grid.run[chosen]]
    return np.column_stack(
        [
            grid.features[chosen],
            grid_and_budget(grid.horizon, grid.stride, budgets),
            context_terms(contexts, grid.horizon, budgets),
        ]
    )


def training_rows(
    runs: Runs, grids: Sequence[Grid], among: BoolArray, rng: np.random.Generator
) -> Rows:
    """Return the table for the runs marked in ``among``, each window with several budgets.

    A run's own budget is one; the others are spread evenly over the logarithm of the steps
    between the horizon and its own. Beyond that only runs that generalised are known.
    """
    spread = (np.arange(EXTRA_BUDGETS) + rng.random((len(runs.runs), EXTRA_BUDGETS))) / max(
        EXTRA_BUDGETS, 1
    )
    parts = []
    for grid in grids:
        windows = np.flatnonzero(among[grid.run])
        own = runs.budget[grid.run[windows]]
        nearest = np.minimum(_NEAREST_BUDGET * grid.horizon, own)
        others = nearest[:, None] * (own / nearest)[:, None] ** spread[grid.run[windows]]
        budgets = np.column_stack([np.maximum(np.round(others), grid.horizon + 1), own]).ravel()
        chosen = np.repeat(windows, EXTRA_BUDGETS + 1)
        index = grid.run[chosen]
        parts.append(
            Rows(
                x=columns(runs, grid, chosen, budgets),
                y=np.asarray(runs.t4[index] <= budgets, dtype=np.bool_),
                run=index,
            )
        )
    return Rows(
        x=np.concatenate([part.x for part in parts]),
        y=np.concatenate([part.y for part in parts]),
        run=np.concatenate([part.run for part in parts]),
    )
