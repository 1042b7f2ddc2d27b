"""The model that reads whatever channels a run has, at any cadence, to the end of its budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grokpredict.features.columns import BUDGET_COLUMN, COLUMNS, columns
from grokpredict.features.profile import PROFILED
from grokpredict.model.thresholds import abort_threshold
from grokpredict.model.trees import Trees
from grokpredict.runs.curve import FloatArray, IntArray

#: Channels that a look reads, in the order of :data:`PROFILED`.
Reads = tuple[str, ...]

#: A column may leave the training range by this share of the range's width.
RANGE_MARGIN = 0.5

#: One of these must be read for a run to be stopped. The ranking of the others on tasks that were
#: not trained on is near to chance (docs/classifier.md).
VALIDATION = ("val_loss", "val_acc")


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
class LookModel:
    """One ensemble for all channels that a run may or may not have, with a threshold for each case.

    Parameters
    ----------
    trees : Trees
        Read :data:`~grokpredict.features.columns.COLUMNS`, NaN where a channel is missing.
    lowest_scores : mapping of Reads to ndarray
        By the channels read: for configurations that generalised and that the fit did not see,
        the lowest probability at any look before they did, as many as are independent.
    low, high : ndarray, shape (n_columns,)
        Range of each column in training.
    """

    trees: Trees
    lowest_scores: Mapping[Reads, FloatArray]
    low: FloatArray
    high: FloatArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "lowest_scores", MappingProxyType(dict(self.lowest_scores)))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.trees, dict(self.lowest_scores), self.low, self.high)

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

    def threshold(self, reads: Reads, max_false_abort: float) -> float | None:
        """Return the probability below which a run may be stopped, or None if none may.

        Parameters
        ----------
        reads : tuple of str
            Channels that all looks at the run read.
        max_false_abort : float
            Largest share of the generalising runs that may be lost over the whole sequence of
            looks, with 95 % confidence.
        """
        return abort_threshold(self.scores(reads), max_false_abort)

    def scores(self, reads: Reads) -> FloatArray:
        """Return the calibration scores of one combination of channels; none if it has none."""
        return self.lowest_scores.get(reads, np.empty(0))

    def _reasons(self, x: FloatArray) -> tuple[str | None, ...]:
        """Say of each look which column lies far outside the training runs'."""
        margin = RANGE_MARGIN * (self.high - self.low)
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
        """Return all numbers by name; :attr:`lowest_scores` in the order of its keys."""
        found: dict[str, NDArray[np.generic]] = {"low": self.low, "high": self.high}
        found |= {f"trees.{name}": array for name, array in self.trees.arrays().items()}
        return found | {
            f"scores.{i}": scores for i, scores in enumerate(self.lowest_scores.values())
        }

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
            Keys of the lowest scores, in the order of the arrays.
        """
        known = set(all_reads())
        keys = [tuple(own) for own in reads]
        if len(set(keys)) < len(keys) or not set(keys) <= known:
            raise ValueError("thresholds must be for channels that this version reads")
        low, high = (arrays[name].astype(np.float64) for name in ("low", "high"))
        if not low.shape == high.shape == (len(COLUMNS),) or not np.all(low <= high):
            raise ValueError("the range of the columns must have ends in order")
        trees = {
            name.removeprefix("trees."): array
            for name, array in arrays.items()
            if name.startswith("trees.")
        }
        scores = {}
        for i, key in enumerate(keys):
            own = arrays[f"scores.{i}"].astype(np.float64)
            if own.ndim != 1 or not np.all((own >= 0) & (own <= 1)):
                raise ValueError("calibration scores must be probabilities")
            scores[key] = own
        return cls(Trees.from_arrays(trees, len(COLUMNS)), scores, low, high)
