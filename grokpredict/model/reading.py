"""What a run is read by: the channels, the model that reads them, and its calibration scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grokpredict.features import window
from grokpredict.features.configuration import SIZE_TERMS
from grokpredict.features.window import WINDOW_COLUMNS
from grokpredict.model.thresholds import abort_threshold
from grokpredict.model.trees import Trees
from grokpredict.runs.curve import FloatArray, IntArray

#: What a model reads of a run: names of channels, and ``"configuration"``.
Reads = tuple[str, ...]

#: Channels that tell of validation. A model of windows reads both or none; one that takes whatever
#: channels there are (:mod:`grokpredict.model.looks`) stops no run without either, since the
#: ranking of the others on tasks that were not trained on is near to chance (docs/classifier.md).
VALIDATION = ("val_loss", "val_acc")
CONFIGURATION = "configuration"

#: What models of windows read, the poorest first: a run is read by the last that it allows.
WINDOW_READS: tuple[Reads, ...] = (
    ("train_loss",),
    ("train_loss", CONFIGURATION),
    ("train_loss", *VALIDATION),
    ("train_loss", *VALIDATION, CONFIGURATION),
)

#: What every figure is compared with.
CONFIGURATION_ALONE: Reads = (CONFIGURATION,)


def in_words(reads: Reads) -> str:
    """Return in words what a model of windows reads.

    >>> in_words(("train_loss", "val_loss", "val_acc", "configuration"))
    'loss + configuration + validation'
    """
    words = {"train_loss": "loss", CONFIGURATION: CONFIGURATION, VALIDATION[0]: "validation"}
    return " + ".join(word for name, word in words.items() if name in reads)


def poorer(reads: Reads) -> tuple[Reads, ...]:
    """Return the models of windows that read no more than ``reads``, the richest first.

    >>> [in_words(own) for own in poorer(("train_loss", "configuration"))]
    ['loss + configuration', 'loss']
    """
    return tuple(own for own in reversed(WINDOW_READS) if set(own) <= set(reads))


@cache
def columns_read(reads: Reads) -> IntArray:
    """Return the columns among :data:`~grokpredict.features.window.WINDOW_COLUMNS` of a model.

    The grid and the budget are among them, whatever else is.
    """
    columns = np.arange(len(WINDOW_COLUMNS))
    configuration = columns[window.CONFIGURATION][: -len(SIZE_TERMS)]
    chosen = np.concatenate(
        [
            columns[window.LOSS] if "train_loss" in reads else columns[:0],
            columns[window.GRID],
            columns[window.BUDGET],
            columns[window.METRICS] if VALIDATION[0] in reads else columns[:0],
            configuration if CONFIGURATION in reads else columns[:0],
        ]
    )
    chosen.flags.writeable = False
    return chosen


@dataclass(frozen=True, eq=False)
class Reader:
    """A model of windows, what it reads, and how low good runs score.

    Parameters
    ----------
    reads : tuple of str
        One of :data:`WINDOW_READS`.
    trees : Trees
        Read the columns of :func:`columns_read`.
    scores : mapping of int to ndarray
        By stride: for configurations that generalised and that the fit did not see, the lowest
        probability at any look before they did, as many as are independent of each other
        (:func:`grokpredict.model.thresholds.independent_scores`).
    """

    reads: Reads
    trees: Trees
    scores: Mapping[int, FloatArray]

    def __post_init__(self) -> None:
        object.__setattr__(self, "scores", MappingProxyType(dict(self.scores)))

    def __reduce__(self) -> tuple[Any, ...]:
        # A mapping proxy cannot be pickled.
        return type(self), (self.reads, self.trees, dict(self.scores))

    def probability(self, rows: FloatArray) -> FloatArray:
        """Return the probability of rows of windows, shape (n_windows,)."""
        return self.trees.probability(rows[:, columns_read(self.reads)])

    def threshold(self, stride: int, max_false_abort: float) -> float | None:
        """Return the probability below which a run may be stopped, or None if none may.

        As :func:`grokpredict.model.thresholds.abort_threshold`, of the scores on this stride.
        """
        return abort_threshold(self.scores.get(stride, np.empty(0)), max_false_abort)

    def n_calibration(self, stride: int) -> int:
        """Return how many independent good configurations the threshold rests on."""
        return int(self.scores[stride].size) if stride in self.scores else 0

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return all numbers by name; the scores in the order of their strides."""
        trees = {f"trees.{name}": array for name, array in self.trees.arrays().items()}
        return trees | {f"scores.{i}": own for i, own in enumerate(self.scores.values())}

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, NDArray[np.generic]], reads: Reads, strides: Sequence[int]
    ) -> Reader:
        """Rebuild from :meth:`arrays`; ValueError if a shape or value is impossible."""
        if reads not in WINDOW_READS:
            raise ValueError("models must read what this version knows")
        return cls(
            reads,
            Trees.from_arrays(within(arrays, "trees"), columns_read(reads).size),
            {stride: checked_scores(arrays[f"scores.{i}"]) for i, stride in enumerate(strides)},
        )


def checked_scores(array: NDArray[np.generic]) -> FloatArray:
    """Return calibration scores out of a file; ValueError unless they are probabilities."""
    scores = array.astype(np.float64)
    if scores.ndim != 1 or not np.all((scores >= 0) & (scores <= 1)):
        raise ValueError("calibration scores must be probabilities")
    return scores


def within(arrays: Mapping[str, NDArray[np.generic]], part: str) -> dict[str, NDArray[np.generic]]:
    """Return the arrays of a part of a file by their names in it."""
    prefix = f"{part}."
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }
