"""What a classifier would have said at each look at runs that are finished."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from grokpredict.evaluation.accounting import NEVER, Finished, Rule
from grokpredict.evaluation.looks import Choice, PastLooks, distinct
from grokpredict.features.profile import LOOKS
from grokpredict.model.channels import READABLE, without
from grokpredict.model.classifier import GrokClassifier
from grokpredict.runs.curve import FloatArray
from grokpredict.runs.labels import BoolArray

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
        return np.stack([self._first(self._looks < limit) for limit in limits])

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
    looks: PastLooks,
    choice: Choice,
    classifier: GrokClassifier,
    *,
    max_false_abort: float,
    name: str,
) -> Replay:
    """Look at finished runs as a monitor would have while they trained, all in one batch.

    Parameters
    ----------
    looks : PastLooks
        The looks; each is asked about its run's budget.
    choice : Choice
        What they read.
    classifier : GrokClassifier
        Decides probabilities, thresholds and who is a stranger.
    max_false_abort : float
        Largest share of the runs that would generalise that may be stopped.
    name : str
        What it is called.

    Returns
    -------
    Replay
        The looks of :func:`~grokpredict.evaluation.scoring.score`, and those after an abort.
    """
    rows = np.array([i for i, reads in enumerate(choice.reads) if reads], dtype=np.int64)
    unread = np.array(
        [[channel not in (choice.reads[i] or ()) for channel in READABLE] for i in rows],
        dtype=np.bool_,
    ).reshape(-1, len(READABLE))
    answers = classifier.look(without(looks.table.columns[rows], unread))
    limits = {
        reads: classifier.threshold(reads, max_false_abort) or 0.0 for reads in distinct(choice)
    }
    by_row = np.array([limits[reads] for i in rows if (reads := choice.reads[i]) is not None])
    return arranged(
        looks,
        rows,
        name,
        answers.probability,
        np.where(choice.settled[rows], by_row, 0.0),
        np.array([reason is not None for reason in answers.unlike], dtype=np.bool_),
    )


def arranged(
    looks: PastLooks,
    rows: np.ndarray,
    name: str,
    probability: FloatArray,
    threshold: FloatArray,
    strange: BoolArray | None = None,
) -> Replay:
    """Return some looks as a replay, by their numbers and runs; a value a row."""
    n_looks = int(looks.number.max(initial=0)) + 1
    shape = (n_looks, looks.table.t4.size)
    places = (looks.number[rows], looks.table.run[rows])
    found = Replay(
        name=name,
        horizons=tuple(LOOKS[:n_looks].tolist()),
        probability=np.full(shape, np.nan),
        strange=np.zeros(shape, dtype=np.bool_),
        threshold=np.zeros(shape),
    )
    found.probability[places] = probability
    found.threshold[places] = threshold
    if strange is not None:
        found.strange[places] = strange
    return found
