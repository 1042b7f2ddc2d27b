"""What a calibration rests on, and what it would have done to the runs that it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from grokpredict._util.lazy import reporting
from grokpredict.features.profile import FIRST_LOOK
from grokpredict.model.calibration import Calibration
from grokpredict.model.channels import Reads
from grokpredict.model.classifier import GrokClassifier
from grokpredict.model.thresholds import independent_scores
from grokpredict.runs.curve import FloatArray, IntArray
from grokpredict.training.outcomes import Unused


@dataclass(frozen=True)
class CalibrationCounts(Unused):
    """What became of the runs of a sweep, with those of :class:`~.outcomes.Unused`.

    Attributes
    ----------
    no_look : int
        Good runs that generalised before any look could read them: no rule can lose these.
    good, doomed : int
        Used.
    budgets : mapping of str to int
        Runs whose outcome is known, by where their budget comes from.
    """

    no_look: int
    good: int
    doomed: int
    budgets: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class WouldHave:
    """What a threshold would have done to the runs that set it.

    Attributes
    ----------
    lost, good : int
        Good configurations that would have been stopped, and all of them. Each is compared with
        the threshold that the others set.
    saved : float or None
        Steps of doomed runs after they were stopped, as a share of stopping all of them at the
        first look; None without a doomed run. Doomed runs set no threshold.
    """

    lost: int
    good: int
    saved: float | None


@dataclass(frozen=True, eq=False)
class CalibratedReads:
    """Runs of a sweep that are read by the same channels.

    Attributes
    ----------
    reads : tuple of str
        The channels.
    runs : int
        Runs whose looks read them.
    calibration : Calibration
        The joined scores of the classifier.
    lowest : ndarray, shape (n_configurations,)
        For each good configuration, the lowest probability at any look before it generalised.
    network : ndarray of int, shape (n_configurations,)
        Configurations of one network resemble each other.
    run, step, score : ndarray, shape (n_looks,)
        Every look at the doomed runs: whose it is, where, and the probability.
    spent : ndarray, shape (n_doomed,)
        Steps that each doomed run took.
    """

    reads: Reads
    runs: int
    calibration: Calibration
    lowest: FloatArray
    network: IntArray
    run: IntArray
    step: IntArray
    score: FloatArray
    spent: FloatArray

    def would_have(self, max_false_abort: float) -> WouldHave:
        """Return what the threshold at this bound would have lost and saved."""
        lost = 0
        rows = np.arange(self.lowest.size)
        for row in rows:
            others = rows != row
            scores = independent_scores(self.lowest[others], rows[others], self.network[others])
            limit = replace(self.calibration, user=scores).threshold(max_false_abort)
            lost += limit is not None and self.lowest[row] < limit
        return WouldHave(int(lost), self.lowest.size, self._saved(max_false_abort))

    def _saved(self, max_false_abort: float) -> float | None:
        whole = float(np.maximum(self.spent - FIRST_LOOK, 0).sum())
        if not whole:
            return None
        limit = self.calibration.threshold(max_false_abort)
        stops = np.full(self.spent.size, np.inf)
        if limit is not None:
            below = (self.score < limit) & (self.step >= self.calibration.first_step)
            np.minimum.at(stops, self.run[below], self.step[below])
        return float(np.maximum(self.spent - stops, 0).sum()) / whole


@dataclass(frozen=True, eq=False)
class CalibrationReport:
    """What a calibration rests on.

    Attributes
    ----------
    counts : CalibrationCounts
        What became of the sweep's runs.
    parts : tuple of CalibratedReads
        By what the runs are read by, the most frequent first; the last is the training loss
        alone, as if nothing else had been logged.
    """

    counts: CalibrationCounts
    parts: tuple[CalibratedReads, ...]

    def to_dict(self, max_false_abort: float) -> dict[str, Any]:
        """Return the report at a bound as what :func:`json.dumps` takes."""
        parts = [
            {
                "reads": list(part.reads),
                "runs": part.runs,
                "good_configurations": int(part.calibration.user.size),
                "guarantee": part.calibration.guarantee(max_false_abort),
                "threshold": part.calibration.threshold(max_false_abort),
                "would_have": asdict(part.would_have(max_false_abort)),
            }
            for part in self.parts
        ]
        return {"counts": asdict(self.counts), "parts": parts}


class Calibrated(NamedTuple):
    """A classifier with thresholds of your own, and what they rest on.

    Attributes
    ----------
    classifier : GrokClassifier
        With the thresholds.
    report : CalibrationReport
        What they rest on.
    """

    classifier: GrokClassifier
    report: CalibrationReport

    def save(self, path: str | Path) -> None:
        """Write the classifier, see :meth:`grokpredict.GrokClassifier.save`."""
        self.classifier.save(path)

    def __repr__(self) -> str:
        return f"<Calibrated: {reporting().calibration_conclusion(self.report, 0.05)}>"

    def _repr_html_(self) -> str:
        return str(reporting().calibrated_html(self))
