"""Scores of good runs, and the threshold that they set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from grokpredict.model.joining import (
    Guarantee,
    Wanted,
    guarantee,
    joined_threshold,
    promise,
)
from grokpredict.model.thresholds import (
    abort_threshold,
    check_max_false_abort,
    expected_threshold,
)
from grokpredict.runs.curve import MAX_STEP, FloatArray

#: By their numbers in a file.
_WANTED: tuple[Wanted, ...] = get_args(Wanted)


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
    user : ndarray, shape (n_user,)
        The same for the user's finished runs, see :func:`grokpredict.calibrate`.
    first_step : int
        No look before this step stops a run.
    wanted : {"expectation", "confidence"}
        How the bound on lost runs is to hold, once the user's runs are enough for it.
    """

    independent: FloatArray
    by_kind: tuple[FloatArray, ...] = ()
    user: FloatArray = field(default_factory=lambda: np.empty(0))
    first_step: int = 0
    wanted: Wanted = "expectation"

    def threshold(self, max_false_abort: float) -> float | None:
        """Return the probability below which a run may be stopped; None if none may.

        The built-in threshold, joined with that of the user's runs where there are some
        (:func:`grokpredict.model.joining.joined_threshold`).
        """
        check_max_false_abort(max_false_abort)
        return _threshold(self, max_false_abort)

    def guarantee(self, max_false_abort: float) -> Guarantee:
        """Return for whose runs, and how, the bound on lost runs holds."""
        return guarantee(self.user.size, max_false_abort, self.wanted)

    def promise(self, max_false_abort: float) -> str:
        """Return the same in words, see :func:`grokpredict.model.joining.promise`."""
        return promise(self.user.size, max_false_abort, self.wanted)

    def built_in(self, max_false_abort: float) -> float | None:
        """Return the threshold of the built-in scores.

        No more than that share of the good runs lie below it, with 95 % confidence over all
        configurations, and in expectation in every kind of task: the rank of a conformal quantile,
        floor(share (n + 1)), in each that has enough good runs to have one. A new kind of task
        then loses what the worst of the others did when the fit had left it out.
        """
        limit = abort_threshold(self.independent, max_false_abort)
        if limit is None:
            return None
        kinds = (expected_threshold(scores, max_false_abort) for scores in self.by_kind)
        return min([limit, *(kind for kind in kinds if kind is not None)])

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return all numbers by name."""
        return {
            "scores": self.independent,
            "kinds": np.concatenate([np.empty(0), *self.by_kind]),
            "sizes": np.array([scores.size for scores in self.by_kind], dtype=np.int64),
            "user": self.user,
            "first_step": np.array(self.first_step, dtype=np.int64),
            "wanted": np.array(_WANTED.index(self.wanted), dtype=np.int64),
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
        step = arrays["first_step"]
        if step.dtype.kind not in "iu" or step.shape != () or not 0 <= int(step) <= MAX_STEP:
            raise ValueError(f"the first step of a threshold must be a step from 0 to {MAX_STEP}")
        # A file from before there was a choice, such as a built-in one, has none.
        wanted = arrays.get("wanted", np.array(0))
        if wanted.dtype.kind not in "iu" or wanted.shape != () or int(wanted) not in (0, 1):
            raise ValueError("how the bound is to hold must be 0 (expectation) or 1 (confidence)")
        scores = (_probabilities(arrays["scores"]), _probabilities(arrays["user"]), *parts)
        if any(np.any(np.diff(part) < 0) for part in scores):
            raise ValueError("calibration scores must be in order")
        return cls(scores[0], scores[2:], scores[1], int(step), _WANTED[int(wanted)])


@lru_cache(maxsize=256)
def _threshold(calibration: Calibration, max_false_abort: float) -> float | None:
    """Return what every look at every run asks for again."""
    return joined_threshold(
        calibration.built_in(max_false_abort),
        calibration.by_kind,
        calibration.user,
        max_false_abort,
        calibration.wanted,
    )


def _probabilities(array: NDArray[np.generic]) -> FloatArray:
    scores = array.astype(np.float64)
    if scores.ndim != 1 or not np.all((scores >= 0) & (scores <= 1)):
        raise ValueError("calibration scores must be probabilities")
    return scores
