"""The classifier: P(generalises by a budget | what a run has shown so far)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grokpredict.features.columns import BUDGET_COLUMN, COLUMNS
from grokpredict.model.calibration import Calibration
from grokpredict.model.channels import Reads, all_reads
from grokpredict.model.file import (
    ClassifierFileError,
    damaged,
    incompatible,
    read_archive,
    within,
    write_archive,
)
from grokpredict.model.thresholds import check_max_false_abort
from grokpredict.model.trees import Trees
from grokpredict.runs.curve import FloatArray
from grokpredict.runs.labels import BoolArray, LabelRule

__all__ = ["ClassifierFileError", "GrokClassifier", "Looks", "load_classifier"]

#: A column may leave the training range by this share of the range's width, and by at least this
#: much: columns are decades or octaves, and one may have been constant in training.
RANGE_MARGIN, LEAST_MARGIN = 0.5, 0.5

#: Budgets may lie so many octaves after a look: a step is at most 2^53.
MAX_OCTAVES = 53

_BUDGET = COLUMNS.index(BUDGET_COLUMN)
_PRETRAINED = Path(__file__).parent / "pretrained"


@dataclass(frozen=True, eq=False)
class Looks:
    """What a classifier makes of some looks.

    Attributes
    ----------
    probability : ndarray, shape (n_looks,)
        P(generalises by the budget).
    unlike : tuple of (str or None), length n_looks
        In what a run is unlike the training runs, so that it must not be judged; None if in
        nothing.
    columns : ndarray, shape (n_looks, n_columns)
        What was read, in the order of :data:`~grokpredict.features.columns.COLUMNS`.
    """

    probability: FloatArray
    unlike: tuple[str | None, ...]
    columns: FloatArray


@dataclass(frozen=True, eq=False)
class GrokClassifier:
    """One ensemble for all channels that a run may have, with a threshold for each combination.

    Parameters
    ----------
    trees : Trees
        Read :data:`~grokpredict.features.columns.COLUMNS`, NaN where a channel is missing.
    calibrations : mapping of tuple of str to Calibration
        By the channels read, out of :func:`~grokpredict.model.channels.all_reads`. Runs that are
        read by a combination without one are never stopped.
    low, high : ndarray, shape (n_columns,)
        Range of each column in training.
    rule : LabelRule
        What it takes for having generalised.
    card : mapping
        Training report, versions, hash of the training data.
    """

    trees: Trees
    calibrations: Mapping[Reads, Calibration]
    low: FloatArray
    high: FloatArray
    rule: LabelRule = field(default_factory=LabelRule)
    card: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "calibrations", MappingProxyType(dict(self.calibrations)))
        object.__setattr__(self, "card", MappingProxyType(dict(self.card)))

    def __reduce__(self) -> tuple[Any, ...]:
        # A mapping proxy cannot be pickled.
        calibrations, card = dict(self.calibrations), dict(self.card)
        return type(self), (self.trees, calibrations, self.low, self.high, self.rule, card)

    def __repr__(self) -> str:
        report = self.card.get("report", {}).get("counts", {})
        used = report.get("generalised", 0) + report.get("not_generalised", 0)
        trained = f"trained on {used} runs, " if used else ""
        return (
            f"<GrokClassifier: {self.trees.root.size} trees, {trained}"
            f"thresholds for {len(self.calibrations)} combinations of channels>"
        )

    def look(self, columns: FloatArray) -> Looks:
        """Say how likely runs are to generalise.

        Parameters
        ----------
        columns : ndarray, shape (n_looks, n_columns)
            Of :meth:`grokpredict.features.recording.Recording.columns`, of one run or many;
            :func:`~grokpredict.model.channels.only` takes away what must not be read.

        Raises
        ------
        ValueError
            If the shape is another, or a budget does not lie beyond its look.
        """
        columns = np.asarray(columns, dtype=float)
        if columns.ndim != 2 or columns.shape[1] != len(COLUMNS):
            raise ValueError(f"looks have {len(COLUMNS)} columns, got shape {columns.shape}")
        if not np.all(columns[:, _BUDGET] > 0):
            raise ValueError("the budget must lie beyond the look")
        return Looks(self.trees.probability(columns), self._unlike(columns), columns)

    def reads(self, readable: Reads, max_false_abort: float) -> Reads:
        """Return which channels looks at a run read: the most that have a threshold.

        Parameters
        ----------
        readable : tuple of str
            Channels that the first look can read.
        max_false_abort : float
            As for :meth:`threshold`.

        Returns
        -------
        tuple of str
            All of them if no combination has a threshold.
        """
        combinations = [
            reads
            for reads, calibration in self.calibrations.items()
            if set(reads) <= set(readable) and calibration.threshold(max_false_abort) is not None
        ]
        return max(combinations, key=len, default=readable)

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
        calibration = self.calibrations.get(reads)
        if calibration is None or (step is not None and step < calibration.first_step):
            return None
        return calibration.threshold(max_false_abort)

    def n_calibration(self, reads: Reads) -> int:
        """Return how many independent good configurations the built-in threshold rests on."""
        return self.calibrations[reads].independent.size if reads in self.calibrations else 0

    def n_user(self, reads: Reads) -> int:
        """Return how many independent good configurations of the user set the threshold too."""
        return self.calibrations[reads].user.size if reads in self.calibrations else 0

    def first_step(self, reads: Reads) -> int:
        """Return the step before which no look that reads these channels stops a run."""
        return self.calibrations[reads].first_step if reads in self.calibrations else 0

    def _unlike(self, columns: FloatArray) -> tuple[str | None, ...]:
        """Say of each look which column lies far outside the training runs'."""
        margin = np.maximum(RANGE_MARGIN * (self.high - self.low), LEAST_MARGIN)
        low, high = self.low - margin, self.high + margin
        low[_BUDGET] = -np.inf  # a short budget is no reason: the probability falls with it
        outside: BoolArray = np.less(columns, low) | np.greater(columns, high)
        reasons: list[str | None] = [None] * len(columns)
        for row in np.flatnonzero(outside.any(axis=1)):
            column = int(np.argmax(outside[row]))
            reasons[row] = self._reason(column, float(columns[row, column]))
        return tuple(reasons)

    def _reason(self, column: int, value: float) -> str:
        low, high = self.low[column], self.high[column]
        if column == _BUDGET:
            return (
                f"the budget is {2**value:.0f} times the steps so far; the training runs had at "
                f"most {2**high:.0f}"
            )
        return (
            f"the run is unlike the training runs: {COLUMNS[column]} = {value:.3g}, theirs was "
            f"{low:.3g} to {high:.3g}"
        )

    def save(self, path: str | Path) -> None:
        """Write the classifier to a file; an older one is replaced whole or not at all."""
        header = {
            "columns": COLUMNS,
            "rule": asdict(self.rule),
            "reads": [list(reads) for reads in self.calibrations],
            "card": dict(self.card),
        }
        parts: dict[str, Mapping[str, NDArray[np.generic]]] = {
            "range": {"low": self.low, "high": self.high},
            "trees": self.trees.arrays(),
        }
        for i, calibration in enumerate(self.calibrations.values()):
            parts[f"calibrations.{i}"] = calibration.arrays()
        arrays = {
            f"{part}.{name}": array
            for part, members in parts.items()
            for name, array in members.items()
        }
        write_archive(Path(path), header, arrays)

    @classmethod
    def load(cls, path: str | Path) -> GrokClassifier:
        """Read a classifier that :meth:`save` wrote; nothing in the file is executed.

        Raises
        ------
        ClassifierFileError
            If the file is missing, broken, or written by a version that reads other columns.
        """
        header, arrays = read_archive(Path(path))
        if header.get("columns") != list(COLUMNS):
            raise incompatible(Path(path), "was trained on columns that this version lacks")
        try:
            return cls(**_rebuilt(header, arrays))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise damaged(Path(path), error) from error


def _rebuilt(header: dict[str, Any], arrays: dict[str, NDArray[np.generic]]) -> dict[str, Any]:
    """Return the fields of a classifier out of its file, checked."""
    reads = [tuple(channels) for channels in header["reads"]]
    if len(set(reads)) < len(reads) or not set(reads) <= set(all_reads()):
        raise ValueError("thresholds must be for channels that this version reads")
    low, high = (arrays[f"range.{end}"].astype(np.float64) for end in ("low", "high"))
    if not low.shape == high.shape == (len(COLUMNS),):
        raise ValueError("every column must have a range")
    if not np.all(np.isfinite(low) & np.isfinite(high) & (low <= high)):
        raise ValueError("the range of the columns must have ends in order")
    if high[_BUDGET] > MAX_OCTAVES:
        raise ValueError(f"budgets may lie {MAX_OCTAVES} octaves after a look")
    return {
        "trees": Trees.from_arrays(within(arrays, "trees"), len(COLUMNS)),
        "calibrations": {
            channels: Calibration.from_arrays(within(arrays, f"calibrations.{i}"))
            for i, channels in enumerate(reads)
        },
        "low": low,
        "high": high,
        "rule": LabelRule(**header["rule"]),
        "card": dict(header["card"]),
    }


def load_classifier(which: str | Path | GrokClassifier = "default") -> GrokClassifier:
    """Return a classifier by name or path; ``"default"`` is the built-in one.

    Parameters
    ----------
    which : str, Path or GrokClassifier
        ``"default"``, a file written by :meth:`GrokClassifier.save`, or a classifier, which is
        returned as it is.
    """
    if isinstance(which, GrokClassifier):
        return which
    if which == "default":
        return GrokClassifier.load(_PRETRAINED / "default.npz")
    return GrokClassifier.load(which)
