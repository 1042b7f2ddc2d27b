"""What the validation metrics of a run's first steps tell, as numbers.

Scale-free: a validation loss is compared with the training loss of the same window, an accuracy
counts by its log-odds, times by their share of the window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from grokpredict.runs.curve import Curve, FloatArray, IntArray
from grokpredict.runs.run import Run

#: docs/features.md gives the formulas.
METRIC_TERMS = (
    "val_loss_level",
    "val_loss_best",
    "val_loss_rise",
    "val_loss_change",
    "val_loss_best_when",
    "val_loss_gap",
    "val_acc_log_odds",
    "val_acc_best",
    "val_acc_change",
    "val_acc_gain",
    "val_acc_half_when",
)

#: Below this an accuracy is not told from 0, and above 1 minus this not from 1.
ACCURACY_FLOOR = 1e-3

#: The smallest validation loss that has a logarithm here.
_TINY = 1e-12


@dataclass(frozen=True, eq=False)
class Evaluations:
    """Validation loss and accuracy of one run, where both were measured.

    Attributes
    ----------
    steps : ndarray of int, shape (n,)
        Updates made before each, increasing.
    loss : ndarray, shape (n,)
        Finite.
    accuracy : ndarray, shape (n,)
        A share of 1.
    """

    steps: IntArray
    loss: FloatArray
    accuracy: FloatArray

    @classmethod
    def of(cls, run: Run) -> Evaluations:
        """Return those of a logged run: the steps that have both, finite."""
        loss, accuracy = (run.channels.get(name, _NOTHING) for name in ("val_loss", "val_acc"))
        steps, first, second = np.intersect1d(
            loss.steps, accuracy.steps, assume_unique=True, return_indices=True
        )
        return cls.known(steps, loss.values[first], accuracy.values[second])

    @classmethod
    def known(cls, steps: IntArray, loss: FloatArray, accuracy: FloatArray) -> Evaluations:
        """Return those of which both values are finite."""
        kept = np.isfinite(loss) & np.isfinite(accuracy)
        return cls(steps[kept], loss[kept], accuracy[kept])

    def before(self, horizon: int) -> Evaluations:
        """Return those with fewer updates than ``horizon``."""
        n = int(np.searchsorted(self.steps, horizon))
        return Evaluations(self.steps[:n], self.loss[:n], self.accuracy[:n])

    def serve(self, horizon: int) -> bool:
        """Whether they tell enough: one in the first half of the window, one in the last quarter.

        An evaluation every quarter of the window, or more often, always serves.
        """
        steps = self.steps[: np.searchsorted(self.steps, horizon)]
        return bool(steps.size and steps[0] < horizon / 2 and steps[-1] >= 0.75 * horizon)


_NOTHING = Curve(np.empty(0, dtype=np.int64), np.empty(0))


def metric_terms(
    evaluations: Sequence[Evaluations | None], horizon: int, start: FloatArray, end: FloatArray
) -> FloatArray:
    """Return :data:`METRIC_TERMS`, a row a run.

    Parameters
    ----------
    evaluations : sequence of (Evaluations or None), length n_runs
        Those after the window are not looked at.
    horizon : int
        Steps of the window.
    start, end : ndarray, shape (n_runs,)
        ``start_level`` and ``end_level`` of the training loss, in decades.

    Returns
    -------
    ndarray, shape (n_runs, n_terms)
        NaN throughout where the evaluations do not :meth:`~Evaluations.serve`.

    Examples
    --------
    >>> steps = np.array([0, 50, 100, 150])
    >>> seen = Evaluations(steps, np.array([1.0, 1.0, 10.0, 10.0]), np.full(4, 0.5))
    >>> terms = metric_terms([seen], 200, np.zeros(1), np.full(1, -2.0))
    >>> dict(zip(METRIC_TERMS, terms[0].tolist()))["val_loss_gap"]
    3.0
    """
    terms = np.full((len(evaluations), len(METRIC_TERMS)), np.nan)
    for row, own in enumerate(evaluations):
        if own is not None and own.serve(horizon):
            terms[row] = _terms(own.before(horizon), horizon, start[row], end[row])
    return terms


def _terms(own: Evaluations, horizon: int, start: float, end: float) -> list[float]:
    half = int(np.searchsorted(own.steps, horizon / 2, side="right")) - 1
    loss = np.log10(np.maximum(own.loss, _TINY))
    best = int(loss.argmin())
    share = np.clip(own.accuracy, 0, 1)
    odds = np.log10((share + ACCURACY_FLOOR) / (1 - share + ACCURACY_FLOOR))
    risen = int(np.argmax(share >= share.max() / 2))
    return [
        loss[-1] - start,
        loss[best] - start,
        loss[-1] - loss[best],
        loss[-1] - loss[half],
        np.log10((own.steps[best] + 1) / horizon),
        loss[-1] - end,
        odds[-1],
        odds.max(),
        odds[-1] - odds[half],
        odds[-1] - odds[0],
        np.log10((own.steps[risen] + 1) / horizon),
    ]
