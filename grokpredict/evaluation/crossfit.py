"""What classifiers trained on the other runs of the same sweep would have said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from grokpredict.evaluation.ledger import Finished
from grokpredict.evaluation.replay import Replay
from grokpredict.features.conditioning import SignalSettings
from grokpredict.features.metrics import Evaluations
from grokpredict.live.policy import metrics_are_read
from grokpredict.model.reading import CONFIGURATION_ALONE, VALIDATION, Reads, in_words, poorer
from grokpredict.model.thresholds import abort_threshold, independent_scores
from grokpredict.runs.curve import FloatArray, IntArray
from grokpredict.runs.labels import BoolArray
from grokpredict.training.cross_validation import FOLDS, allowed, folds, held_out_scores
from grokpredict.training.table import Grid, extract_grids, step_grids
from grokpredict.training.trainer import MIN_RUNS_PER_CLASS

#: Decides the folds.
_SEED = 0


@dataclass(frozen=True, eq=False)
class CrossFitted:
    """Replays of models that did not see the run that they look at.

    Attributes
    ----------
    replays : dict of tuple of str to Replay
        By what may be read, as :data:`~grokpredict.training.cross_validation.FITTED`: each run by
        the richest model that it allows. Empty if there are too few runs.
    reason : str or None
        Why there is none.
    """

    replays: dict[Reads, Replay]
    reason: str | None = None


def cross_fitted(
    done: Finished,
    horizons: Sequence[int],
    *,
    max_false_abort: float,
    jobs: int = 1,
) -> CrossFitted:
    """Train on four fifths of the networks at a time and look at the rest.

    Parameters
    ----------
    done : Finished
        Ten runs of each outcome at least.
    horizons : sequence of int
        Steps after which to look.
    max_false_abort : float
        Largest share of the runs that would generalise that may be stopped.
    jobs : int
        Processes, as joblib counts them.

    Returns
    -------
    CrossFitted
        Every score is by a model that did not see the network, and the threshold of each
        fold is set on the scores of the others. Strangers are not turned away: the folds are
        alike.
    """
    runs = done.runs
    fewest = min(int(done.good.sum()), int((~done.good).sum()))
    if fewest < MIN_RUNS_PER_CLASS:
        return CrossFitted({}, f"needs {MIN_RUNS_PER_CLASS} runs of each outcome, has {fewest}")
    strides = np.array([run.loss.stride for run in runs.runs])
    pairs = step_grids(runs, horizons, sorted(set(strides.tolist())))
    grids = extract_grids(runs, pairs, SignalSettings(), jobs=jobs)
    if not any(grid.run.size for grid in grids):
        return CrossFitted({}, "needs runs that were logged to the first horizon")
    splits = list(folds(runs, FOLDS, _SEED))
    scores = held_out_scores(runs, grids, splits, seed=_SEED, jobs=jobs)
    rows = tuple(sorted({grid.horizon for grid in grids}))
    looks = {}
    for reads, by_grid in scores.items():
        probability = np.full((len(rows), len(done)), np.nan)
        for grid, chances in zip(grids, by_grid, strict=True):
            # Each run is looked at on its own grid, though it serves the coarser ones too.
            served = (strides == grid.stride) & np.isfinite(chances) & allowed(runs, reads)
            probability[rows.index(grid.horizon), served] = chances[served]
        if np.isfinite(probability).any():
            limits = _thresholds(done, strides, splits, probability, max_false_abort)
            looks[reads] = (probability, np.broadcast_to(limits, probability.shape))
    seen = _validated(done, grids)
    return CrossFitted({reads: _replay(reads, rows, looks, seen) for reads in looks})


def _validated(done: Finished, grids: Sequence[Grid]) -> BoolArray:
    """Return which runs are read by their validation metrics."""
    first = {grid.stride: grid.horizon for grid in sorted(grids, key=lambda grid: -grid.horizon)}
    return np.array(
        [
            metrics_are_read(Evaluations.of(run), first.get(run.loss.stride, 0))
            for run in done.runs.runs
        ],
        dtype=np.bool_,
    )


def _replay(
    reads: Reads,
    rows: tuple[int, ...],
    looks: Mapping[Reads, tuple[FloatArray, FloatArray]],
    seen: BoolArray,
) -> Replay:
    """Return the looks of a model, and of poorer ones at the runs that it cannot look at."""
    probability = np.full_like(looks[reads][0], np.nan)
    threshold = np.zeros_like(probability)
    for model in poorer(reads) or (reads,):
        if model in looks:
            empty = np.isnan(probability)
            if VALIDATION[0] in reads:
                empty &= seen if VALIDATION[0] in model else ~seen
            probability[empty] = looks[model][0][empty]
            threshold[empty] = looks[model][1][empty]
    alone = reads == CONFIGURATION_ALONE
    return Replay(
        name=f"trained on these runs, {'configuration alone' if alone else in_words(reads)}",
        horizons=rows,
        probability=probability,
        strange=np.zeros(probability.shape, dtype=np.bool_),
        threshold=threshold,
    )


def _thresholds(
    done: Finished,
    strides: IntArray,
    splits: Sequence[tuple[BoolArray, BoolArray]],
    probability: FloatArray,
    max_false_abort: float,
) -> FloatArray:
    """Return the threshold for each run, from the lowest scores in the other folds."""
    lowest = np.where(np.isfinite(probability), probability, np.inf).min(axis=0)
    threshold = np.zeros(len(done))
    for fit, held in splits:
        for stride in np.unique(strides):
            good = fit & done.good & np.isfinite(lowest) & (strides == stride)
            runs = done.runs
            scores = independent_scores(lowest[good], runs.configuration[good], runs.network[good])
            limit = abort_threshold(scores, max_false_abort)
            threshold[held & (strides == stride)] = limit or 0.0
    return threshold
