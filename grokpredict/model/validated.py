"""The models for runs whose validation metrics are known besides the loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grokpredict.features.metrics import METRIC_TERMS
from grokpredict.model.trees import Trees
from grokpredict.runs.curve import FloatArray
from grokpredict.runs.labels import BoolArray

#: A term may leave the training range by this share of the range's width.
RANGE_MARGIN = 0.5


def reading(with_context: bool, with_validation: bool) -> str:
    """Return in words what a model reads.

    >>> reading(True, True)
    'loss + configuration + validation'
    """
    return "loss" + " + configuration" * with_context + " + validation" * with_validation


@dataclass(frozen=True, eq=False)
class ValidatedModels:
    """What a classifier has for runs with a validation loss and accuracy.

    Parameters
    ----------
    loss_only, with_context : Trees
        Read the loss and the metrics; the second, which may be None, the configuration too.
    lowest_scores : mapping of (bool, int) to ndarray
        As :attr:`grokpredict.model.classifier.GrokClassifier.lowest_scores`, of these models.
    low, high : ndarray, shape (n_metric_terms,)
        Range of each term in training.
    """

    loss_only: Trees
    with_context: Trees | None
    lowest_scores: Mapping[tuple[bool, int], FloatArray]
    low: FloatArray
    high: FloatArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "lowest_scores", MappingProxyType(dict(self.lowest_scores)))

    def __reduce__(self) -> tuple[Any, ...]:
        parts = (self.loss_only, self.with_context, dict(self.lowest_scores), self.low, self.high)
        return type(self), parts

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return all numbers by name."""
        found: dict[str, NDArray[np.generic]] = {"low": self.low, "high": self.high}
        for part, trees in (("loss_only", self.loss_only), ("with_context", self.with_context)):
            if trees is not None:
                found |= {f"{part}.{name}": array for name, array in trees.arrays().items()}
        return found | {
            f"scores.{i}": scores for i, scores in enumerate(self.lowest_scores.values())
        }

    @classmethod
    def from_arrays(
        cls,
        arrays: Mapping[str, NDArray[np.generic]],
        keys: list[tuple[bool, int]],
        n_features: int,
        n_context: int,
    ) -> ValidatedModels:
        """Rebuild from :meth:`arrays`; ValueError if a shape or value is impossible.

        Parameters
        ----------
        arrays : mapping of str to ndarray
            As they were read from a file.
        keys : list of (bool, int)
            Of the lowest scores, in the order of the arrays.
        n_features, n_context : int
            Columns that the first model reads, and that the other reads besides.
        """
        parts: dict[str, dict[str, NDArray[np.generic]]] = {}
        for name, array in arrays.items():
            part, _, own = name.partition(".")
            parts.setdefault(part, {})[own] = array
        low, high = (arrays[name].astype(np.float64) for name in ("low", "high"))
        if not low.shape == high.shape == (len(METRIC_TERMS),) or not np.all(low <= high):
            raise ValueError("the range of the validation terms must have ends in order")
        return cls(
            loss_only=Trees.from_arrays(parts["loss_only"], n_features),
            with_context=Trees.from_arrays(parts["with_context"], n_features + n_context)
            if "with_context" in parts
            else None,
            lowest_scores={
                key: checked_scores(parts["scores"][str(i)]) for i, key in enumerate(keys)
            },
            low=low,
            high=high,
        )


def metric_reasons(models: ValidatedModels | None, terms: FloatArray) -> tuple[str | None, ...]:
    """Say of each run which validation term lies far outside the training runs'.

    Parameters
    ----------
    models : ValidatedModels or None
        With None nothing is read, and nothing strange.
    terms : ndarray, shape (n_runs, n_metric_terms)
        NaN where they are not read, which is never strange.
    """
    if models is None:
        return (None,) * len(terms)
    low, high = models.low, models.high
    margin = RANGE_MARGIN * (high - low)
    outside: BoolArray = np.logical_or(terms < low - margin, terms > high + margin)
    found: list[str | None] = [None] * len(terms)
    for row in np.flatnonzero(np.logical_or.reduce(outside, axis=1)):
        column = int(np.argmax(outside[row]))
        found[row] = (
            f"the validation metrics are unlike those of the training runs: {METRIC_TERMS[column]} "
            f"= {terms[row, column]:.3g}, theirs was {low[column]:.3g} to {high[column]:.3g}"
        )
    return tuple(found)


def checked_scores(array: NDArray[np.generic]) -> FloatArray:
    """Return calibration scores out of a file; ValueError unless they are probabilities."""
    scores = array.astype(np.float64)
    if scores.ndim != 1 or not np.all((scores >= 0) & (scores <= 1)):
        raise ValueError("calibration scores must be probabilities")
    return scores
