"""The model that reads whatever channels a run has, at any cadence, to the end of its budget.

One path for a live run, a finished log, and a thousand of them:

- keep :class:`~grokpredict.features.profile.Sums` of each channel as it trains, or take
  :meth:`Bins.of <grokpredict.features.profile.Bins.of>` a curve: both give the same to the last
  digit, at any cadence, and are bounded;
- looks are at :func:`~grokpredict.features.profile.looks_before` the budget; look number i is at
  ``LOOKS[i]``. :func:`~grokpredict.features.profile.profiles` makes its levels;
- :func:`read_by` says which channels a look can read. The first look decides for the run: later
  ones read :func:`only` these and are skipped where one is missing, since a threshold is for
  all looks that read the same;
- :meth:`LookModel.look` takes the profiles of any number of looks, of one run or many, and returns
  the probability of each and why it must not be judged;
- :meth:`LookModel.threshold` is the probability below which a run that is read like this may be
  stopped; None if none may.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import combinations
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grokpredict.features.columns import BUDGET_COLUMN, COLUMNS, columns
from grokpredict.features.profile import PROFILED
from grokpredict.model.file import MAX_STEP
from grokpredict.model.joining import Guarantee, guarantee, joined_threshold
from grokpredict.model.reading import VALIDATION, Reads, checked_scores, within
from grokpredict.model.thresholds import (
    abort_threshold,
    check_max_false_abort,
    expected_threshold,
)
from grokpredict.model.trees import Trees
from grokpredict.runs.curve import FloatArray, IntArray

#: A column may leave the training range by this share of the range's width, and by at least this
#: much: columns are decades or octaves, and one may have been constant in training.
RANGE_MARGIN, LEAST_MARGIN = 0.5, 0.5


def all_reads() -> tuple[Reads, ...]:
    """Return every combination of channels that has a threshold: the loss, and any others.

    >>> len(all_reads()), all_reads()[0]
    (16, ('train_loss',))
    """
    loss, *others = PROFILED
    return tuple(
        (loss, *chosen) for n in range(len(others) + 1) for chosen in combinations(others, n)
    )


def read_by(profiles: FloatArray) -> tuple[Reads, ...]:
    """Return the channels that each look can read, shape (n_looks, n_channels, N_LEVELS) -> n."""
    known = np.isfinite(profiles[:, :, 0])
    return tuple(
        tuple(name for name, there in zip(PROFILED, row, strict=True) if there)
        for row in known.tolist()
    )


def settles(reads: Reads) -> bool:
    """Whether all later looks at a run read what this one can: the training loss and a metric.

    A threshold is for looks that read the same. The first that can read this much decides.
    """
    return "train_loss" in reads and bool(set(reads) & set(VALIDATION))


def only(profiles: FloatArray, reads: Reads) -> FloatArray:
    """Return profiles of which all channels but ``reads`` are missing."""
    unread = [row for row, name in enumerate(PROFILED) if name not in reads]
    found: FloatArray = profiles.copy()
    found[:, unread] = np.nan
    return found


@dataclass(frozen=True, eq=False)
class Seen:
    """What the model makes of some looks.

    Attributes
    ----------
    probability : ndarray, shape (n_looks,)
        P(generalises by the budget).
    stranger : tuple of (str or None), length n_looks
        Why a run must not be judged at this look; None where it is like the training runs.
    columns : ndarray, shape (n_looks, n_columns)
        In the order of :data:`~grokpredict.features.columns.COLUMNS`.
    """

    probability: FloatArray
    stranger: tuple[str | None, ...]
    columns: FloatArray


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
    """

    independent: FloatArray
    by_kind: tuple[FloatArray, ...] = ()
    user: FloatArray = field(default_factory=lambda: np.empty(0))
    first_step: int = 0

    def threshold(self, max_false_abort: float) -> float | None:
        """Return the probability below which a run may be stopped; None if none may.

        The built-in threshold, joined with that of the user's runs where there are some
        (:func:`grokpredict.model.joining.joined_threshold`).
        """
        check_max_false_abort(max_false_abort)
        return _threshold(self, max_false_abort)

    def guarantee(self, max_false_abort: float) -> Guarantee:
        """Return for whose runs, and how, the bound on lost runs holds."""
        return guarantee(self.user.size, max_false_abort)

    def built_in(self, max_false_abort: float) -> float | None:
        """Return the threshold of the built-in scores.

        No more than that share of the good runs lie below it, with 95 % confidence over all
        configurations, and in expectation in every kind of task: the rank of a conformal quantile,
        floor(share (n + 1)), in each that has enough good runs to have one. What a new kind
        loses is so as good as what the worst of the known ones did when it was new.
        """
        limit = abort_threshold(self.independent, max_false_abort)
        if limit is None:
            return None
        kinds = (expected_threshold(scores, max_false_abort) for scores in self.by_kind)
        return min([limit, *(kind for kind in kinds if kind is not None)])


@lru_cache(maxsize=256)
def _threshold(calibration: Calibration, max_false_abort: float) -> float | None:
    """Return what every look at every run asks for again."""
    return joined_threshold(
        calibration.built_in(max_false_abort),
        calibration.by_kind,
        calibration.user,
        max_false_abort,
    )


@dataclass(frozen=True, eq=False)
class LookModel:
    """One ensemble for all channels that a run may or may not have, with a threshold for each case.

    Parameters
    ----------
    trees : Trees
        Read :data:`~grokpredict.features.columns.COLUMNS`, NaN where a channel is missing.
    calibrations : mapping of Reads to Calibration
        By the channels read. What has none is never stopped.
    low, high : ndarray, shape (n_columns,)
        Range of each column in training.
    """

    trees: Trees
    calibrations: Mapping[Reads, Calibration]
    low: FloatArray
    high: FloatArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "calibrations", MappingProxyType(dict(self.calibrations)))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.trees, dict(self.calibrations), self.low, self.high)

    def look(self, profiles: FloatArray, step: IntArray, budget: FloatArray) -> Seen:
        """Say how likely runs are to generalise.

        Parameters
        ----------
        profiles : ndarray, shape (n_looks, n_channels, N_LEVELS)
            As :func:`grokpredict.features.profile.profiles`.
        step, budget : ndarray, shape (n_looks,)
            Step of each look; step by which the run has to generalise, beyond it.

        Raises
        ------
        ValueError
            If a budget does not lie beyond its look.
        """
        if np.any(np.asarray(budget) <= step):
            raise ValueError("the budget must lie beyond the look")
        x = columns(profiles, step, np.asarray(budget, dtype=float))
        return Seen(self.trees.probability(x), self._reasons(x), x)

    def threshold(
        self, reads: Reads, max_false_abort: float, step: int | None = None
    ) -> float | None:
        """Return the probability below which a run may be stopped, or None if none may.

        Parameters
        ----------
        reads : tuple of str
            Channels that all looks at the run read.
        max_false_abort : float
            Largest share of the generalising runs that may be lost over the whole sequence of
            looks, see :meth:`Calibration.threshold`.
        step : int, optional
            Of the look; none stops a run before :meth:`first_step`.
        """
        check_max_false_abort(max_false_abort)
        own = self.calibrations.get(reads)
        if own is None or (step is not None and step < own.first_step):
            return None
        return own.threshold(max_false_abort)

    def n_calibration(self, reads: Reads) -> int:
        """Return how many independent good configurations the built-in threshold rests on."""
        return self.calibrations[reads].independent.size if reads in self.calibrations else 0

    def n_user(self, reads: Reads) -> int:
        """Return how many independent good configurations of the user set the threshold too."""
        return self.calibrations[reads].user.size if reads in self.calibrations else 0

    def first_step(self, reads: Reads) -> int:
        """Return the step before which no look that reads these channels stops a run."""
        return self.calibrations[reads].first_step if reads in self.calibrations else 0

    def _reasons(self, x: FloatArray) -> tuple[str | None, ...]:
        """Say of each look which column lies far outside the training runs'."""
        margin = np.maximum(RANGE_MARGIN * (self.high - self.low), LEAST_MARGIN)
        # A short budget is no stranger: the probability falls with it, and is right to.
        low = np.where(np.array(COLUMNS) == BUDGET_COLUMN, -np.inf, self.low - margin)
        outside = np.less(x, low) | np.greater(x, self.high + margin)
        found: list[str | None] = [None] * len(x)
        for row in np.flatnonzero(outside.any(axis=1)):
            column = int(np.argmax(outside[row]))
            if COLUMNS[column] == BUDGET_COLUMN:
                found[row] = (
                    f"the budget is {2 ** x[row, column]:.0f} times the steps so far; the training "
                    f"runs had at most {2 ** self.high[column]:.0f}"
                )
            else:
                found[row] = (
                    f"the run is unlike the training runs: {COLUMNS[column]} = "
                    f"{x[row, column]:.3g}, theirs was {self.low[column]:.3g} to "
                    f"{self.high[column]:.3g}"
                )
        return tuple(found)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return all numbers by name; :attr:`calibrations` in the order of its keys."""
        found: dict[str, NDArray[np.generic]] = {"low": self.low, "high": self.high}
        found |= {f"trees.{name}": array for name, array in self.trees.arrays().items()}
        for i, own in enumerate(self.calibrations.values()):
            found[f"scores.{i}"] = own.independent
            found[f"kinds.{i}"] = np.concatenate([np.empty(0), *own.by_kind])
            found[f"sizes.{i}"] = np.array([part.size for part in own.by_kind], dtype=np.int64)
            if own.user.size:
                found[f"user.{i}"] = own.user
                found[f"first_step.{i}"] = np.array([own.first_step], dtype=np.int64)
        return found

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, NDArray[np.generic]], reads: Sequence[Sequence[str]]
    ) -> LookModel:
        """Rebuild from :meth:`arrays`; ValueError if a shape or value is impossible.

        Parameters
        ----------
        arrays : mapping of str to ndarray
            As they were read from a file.
        reads : sequence of sequence of str
            Keys of the calibrations, in the order of the arrays.
        """
        known = set(all_reads())
        keys = [tuple(own) for own in reads]
        if len(set(keys)) < len(keys) or not set(keys) <= known:
            raise ValueError("thresholds must be for channels that this version reads")
        low, high = (arrays[name].astype(np.float64) for name in ("low", "high"))
        if not low.shape == high.shape == (len(COLUMNS),) or not np.all(low <= high):
            raise ValueError("the range of the columns must have ends in order")
        found = {}
        for i, key in enumerate(keys):
            sizes = arrays[f"sizes.{i}"].astype(np.int64)
            joined = _ascending(arrays[f"kinds.{i}"], sizes)
            user, first_step = _of_user(arrays, i)
            found[key] = Calibration(_ascending(arrays[f"scores.{i}"])[0], joined, user, first_step)
        return cls(Trees.from_arrays(within(arrays, "trees"), len(COLUMNS)), found, low, high)


def _of_user(arrays: Mapping[str, NDArray[np.generic]], i: int) -> tuple[FloatArray, int]:
    """Return the user's scores of a calibration, and its first step; none in most files."""
    if f"user.{i}" not in arrays:
        return np.empty(0), 0
    step = arrays[f"first_step.{i}"]
    if step.dtype.kind not in "iu" or step.shape != (1,) or not 0 <= int(step[0]) <= MAX_STEP:
        raise ValueError(f"the first step of a threshold must be a step from 0 to {MAX_STEP}")
    return _ascending(arrays[f"user.{i}"])[0], int(step[0])


def _ascending(array: NDArray[np.generic], sizes: IntArray | None = None) -> tuple[FloatArray, ...]:
    """Return calibration scores out of a file; ValueError unless they are sorted probabilities."""
    scores = checked_scores(array)
    sizes = np.array([scores.size]) if sizes is None else sizes
    if sizes.ndim != 1 or np.any(sizes < 0) or sizes.sum() != scores.size:
        raise ValueError("kinds of task must share out the calibration scores")
    parts = tuple(np.split(scores, np.cumsum(sizes)[:-1])) if sizes.size else ()
    if any(np.any(np.diff(part) < 0) for part in parts):
        raise ValueError("calibration scores must be in order")
    return parts
