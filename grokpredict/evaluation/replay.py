"""What a classifier would have said at each look at runs that are finished."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from grokpredict.evaluation.ledger import NEVER, Finished, Rule
from grokpredict.features.metrics import Evaluations
from grokpredict.live.policy import WindowPolicy
from grokpredict.model.classifier import GrokClassifier
from grokpredict.model.reading import CONFIGURATION, VALIDATION, Reads
from grokpredict.runs.curve import FloatArray, IntArray, UnsuitableRunError, serves
from grokpredict.runs.labels import BoolArray
from grokpredict.runs.run import window

#: Runs whose windows are in memory at once.
_CHUNK = 256

#: Thresholds that a rule is tried with in hindsight, at most.
MOST_THRESHOLDS = 400


@dataclass(frozen=True, eq=False)
class Replay:
    """Every look at every run.

    Attributes
    ----------
    name : str
        What looked.
    horizons : tuple of int
        Steps after which it looked, ascending.
    probability : ndarray, shape (n_horizons, n_runs)
        P(generalises by the run's budget); NaN where there was no look.
    strange : ndarray of bool, shape (n_horizons, n_runs)
        Whether the look abstained, since the run is unlike the training runs.
    threshold : ndarray, shape (n_horizons, n_runs)
        A look below it stops the run; 0 where nothing is ever stopped.
    """

    name: str
    horizons: tuple[int, ...]
    probability: FloatArray
    strange: BoolArray
    threshold: FloatArray

    @property
    def as_is(self) -> FloatArray:
        """Step at which each run is stopped, infinite where it is not."""
        return self._first(self._looks < self.threshold)

    def stops(self, limits: FloatArray) -> FloatArray:
        """Return the same for one threshold at all looks, shape (n_limits, n_runs)."""
        return self._first(self._looks[:, None, :] < limits[:, None])

    def _first(self, hits: BoolArray) -> FloatArray:
        """Return the first horizon that is marked, infinite where none is."""
        steps = np.array(self.horizons, dtype=float)[hits.argmax(axis=0)]
        return np.where(hits.any(axis=0), steps, NEVER)

    @property
    def _looks(self) -> FloatArray:
        """The probabilities that count, infinite where nothing was judged."""
        return np.where(self._judged, self.probability, np.inf)

    @property
    def _judged(self) -> BoolArray:
        return np.asarray(np.isfinite(self.probability) & ~self.strange, dtype=np.bool_)

    @property
    def abstained(self) -> BoolArray:
        """Whether a run was never judged, since it was strange at every look or had none."""
        return np.asarray(~self._judged.any(axis=0), dtype=np.bool_)

    def rule(self, done: Finished) -> Rule:
        """Return it as a rule: as it is, and with every threshold that makes a difference."""
        lowest = np.sort(self._looks.min(axis=0)[done.good & ~self.abstained])
        candidates = np.unique(np.r_[lowest, np.inf])
        if candidates.size > MOST_THRESHOLDS:
            # The lowest matter: they decide among the settings that lose few.
            rest = np.linspace(MOST_THRESHOLDS // 2, candidates.size - 1, MOST_THRESHOLDS // 2)
            candidates = np.r_[candidates[: MOST_THRESHOLDS // 2], candidates[rest.astype(int)]]
            candidates = np.unique(candidates)
        return Rule(
            name=self.name,
            settings=tuple(f"P < {value:.3g}" for value in candidates),
            stops=self.stops(candidates),
            as_is=self.as_is,
        )


def replay(
    done: Finished,
    classifier: GrokClassifier,
    *,
    max_false_abort: float,
    reads: Reads,
    name: str,
) -> Replay:
    """Look at finished runs as a monitor would have while they trained, at all horizons.

    Parameters
    ----------
    done : Finished
        Each is asked about its own budget.
    classifier : GrokClassifier
        Decides horizons, thresholds and who is a stranger.
    max_false_abort : float
        Largest share of the runs that would generalise that may be stopped.
    reads : tuple of str
        What it may read, where that is known: one of
        :data:`~grokpredict.model.reading.WINDOW_READS`.
    name : str
        What it is called.

    Returns
    -------
    Replay
        The looks of :func:`~grokpredict.evaluation.scoring.score`, in batches, and those after
        an abort.
    """
    horizons = classifier.horizons
    shape = (len(horizons), len(done))
    probability = np.full(shape, np.nan)
    strange = np.zeros(shape, dtype=np.bool_)
    threshold = np.zeros(shape)
    configured = CONFIGURATION in reads
    for policy, runs in _by_policy(done, classifier).items():
        grid = policy.grid
        metrics = _metrics_read(done, runs, policy) if VALIDATION[0] in reads else {}
        limits = np.array(
            [reader.threshold(grid, max_false_abort) or 0.0 for reader in classifier.readers]
        )
        for horizon in policy.horizons:
            row = horizons.index(horizon)
            for index in _chunks(_looked_at(done, runs, policy, horizon, metrics)):
                chunk = [done.runs.runs[i] for i in index]
                looks = classifier.look(
                    window(chunk, horizon, grid),
                    horizon=horizon,
                    stride=grid,
                    configurations=[run.configuration for run in chunk] if configured else None,
                    evaluations=[metrics.get(i) for i in index.tolist()],
                    budget=done.runs.budget[index],
                )
                probability[row, index] = looks.probability
                strange[row, index] = [reason is not None for reason in looks.stranger]
                threshold[row, index] = limits[looks.reader]
    return Replay(name, horizons, probability, strange, threshold)


def _by_policy(done: Finished, classifier: GrokClassifier) -> Mapping[WindowPolicy, IntArray]:
    """Return the runs that each grid of the classifier serves."""
    runs: dict[WindowPolicy, list[int]] = {}
    for i, run in enumerate(done.runs.runs):
        try:
            runs.setdefault(WindowPolicy.on(classifier, run.loss.stride), []).append(i)
        except UnsuitableRunError:
            continue
    return {policy: np.array(index, dtype=np.int64) for policy, index in runs.items()}


def _metrics_read(done: Finished, among: IntArray, policy: WindowPolicy) -> dict[int, Evaluations]:
    """Return the validation metrics of the runs that are read by them."""
    metrics = {i: Evaluations.of(done.runs.runs[i]) for i in among.tolist()}
    return {i: of_run for i, of_run in metrics.items() if policy.reads_metrics(of_run)}


def _looked_at(
    done: Finished,
    among: IntArray,
    policy: WindowPolicy,
    horizon: int,
    metrics: Mapping[int, Evaluations],
) -> IntArray:
    """Return the runs that a monitor judges after ``horizon`` steps."""
    kept = []
    rule = policy.classifier.rule
    for i in among.tolist():
        if done.runs.budget[i] <= horizon or done.runs.t4[i] <= horizon:
            continue
        if i in metrics and policy.skipped(metrics[i], horizon) is not None:
            continue
        run = done.runs.runs[i]
        if not serves(run.loss, horizon, policy.grid):
            continue
        metric = run.channels.get(rule.metric)
        if metric is None or policy.left_alone(metric.latest(horizon)) is None:
            kept.append(i)
    return np.array(kept, dtype=np.int64)


def _chunks(index: IntArray) -> Iterator[IntArray]:
    for start in range(0, len(index), _CHUNK):
        yield index[start : start + _CHUNK]
