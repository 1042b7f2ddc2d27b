"""Scores of good runs, and the threshold that they set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from grokpredict.model.thresholds import abort_threshold, check_max_false_abort
from grokpredict.runs.curve import FloatArray


@dataclass(frozen=True, eq=False)
class Calibration:
    """Scores of good runs behind the threshold of one combination of channels.

    Parameters
    ----------
    independent : ndarray, shape (n_independent,)
        For configurations that generalised and that the fit did not see, the lowest probability
        at any look before they did; ascending, as many as are independent of each other
        (:func:`grokpredict.model.thresholds.independent_scores`).
    by_kind : tuple of ndarray
        The same for each kind of task that the fit left out whole, all configurations.
    """

    independent: FloatArray
    by_kind: tuple[FloatArray, ...] = ()

    def threshold(self, max_false_abort: float) -> float | None:
        """Return the probability below which a run may be stopped; None if none may.

        No more than that share of the good runs lie below it, with 95 % confidence over all
        configurations, and in expectation in every kind of task: the rank of a conformal quantile,
        floor(share (n + 1)), in each that has enough good runs to have one. A new kind of task
        then loses what the worst of the others did when the fit had left it out.
        """
        check_max_false_abort(max_false_abort)
        limit = abort_threshold(self.independent, max_false_abort)
        if limit is None:
            return None
        limits = [limit]
        for scores in self.by_kind:
            rank = int(np.floor(max_false_abort * (scores.size + 1)))
            if rank:
                limits.append(float(scores[rank - 1]))
        return min(limits)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return all numbers by name."""
        return {
            "scores": self.independent,
            "kinds": np.concatenate([np.empty(0), *self.by_kind]),
            "sizes": np.array([scores.size for scores in self.by_kind], dtype=np.int64),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Calibration:
        """Rebuild from :meth:`arrays`; ValueError unless they are sorted probabilities."""
        if arrays["sizes"].ndim != 1 or arrays["sizes"].dtype.kind not in "iu":
            raise ValueError("sizes of the kinds of task must be counts")
        sizes = arrays["sizes"].astype(np.int64)
        if np.any(sizes < 0):
            raise ValueError("sizes of the kinds of task must be counts")
        together = _probabilities(arrays["kinds"])
        if int(sizes.sum()) != together.size:
            raise ValueError("kinds of task must share out the calibration scores")
        parts = np.split(together, np.cumsum(sizes)[:-1]) if sizes.size else []
        scores = (_probabilities(arrays["scores"]), *parts)
        if any(np.any(np.diff(part) < 0) for part in scores):
            raise ValueError("calibration scores must be in order")
        return cls(scores[0], scores[1:])


def _probabilities(array: NDArray[np.generic]) -> FloatArray:
    scores = array.astype(np.float64)
    if scores.ndim != 1 or not np.all((scores >= 0) & (scores <= 1)):
        raise ValueError("calibration scores must be probabilities")
    return scores
