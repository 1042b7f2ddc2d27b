"""An evaluation: lost and saved, AUROC by look, calibration; needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from grokpredict.reporting.drawing import PAGE, SMALL, label, nothing, panels, shortened
from grokpredict.reporting.palette import FAINT, INK, VERDICTS
from grokpredict.runs.curve import FloatArray

if TYPE_CHECKING:
    from grokpredict.evaluation import Evaluation
    from grokpredict.evaluation.accounting import Account
    from grokpredict.evaluation.reliability import Bin
    from grokpredict.training.ranking import Interval

OURS, OTHER, LOST = VERDICTS["continue"].light, "#b9bfc5", VERDICTS["abort"].light


@dataclass(eq=False)
class EvaluationDisplay:
    """What would have been lost and saved, how runs are ranked, whether P means what it says.

    Attributes
    ----------
    accounts : tuple of Account
        The classifier as deployed, and every other rule with the setting that, in hindsight,
        saves most while it loses no larger share.
    max_false_abort : float
        The bound that was asked for.
    steps : tuple of int, shape (n_looks,)
        Of the looks.
    auroc, configuration_auroc : tuple of Interval, shape (n_looks,)
        Of the classifier, and of the configuration alone.
    look : int or None
        Step of the look that the bins are of; the middle one.
    bins : tuple of Bin
        Its probabilities beside what happened.
    """

    accounts: tuple[Account, ...]
    max_false_abort: float
    steps: tuple[int, ...]
    auroc: tuple[Interval, ...]
    configuration_auroc: tuple[Interval, ...]
    look: int | None
    bins: tuple[Bin, ...]
    axes_: list[Axes] = field(default_factory=list, init=False, repr=False)
    figure_: Figure | SubFigure | None = field(default=None, init=False, repr=False)

    @property
    def size(self) -> tuple[float, float]:
        """Width and height, inches: a page of a paper, as high as the rules need."""
        return PAGE, 0.9 + max(0.19 * len(self.accounts), 1.9)

    @classmethod
    def from_evaluation(cls, evaluation: Evaluation) -> EvaluationDisplay:
        """Collect what is drawn; see :meth:`grokpredict.Evaluation.plot`."""
        looks = [look for look in evaluation.looks if look.model == evaluation.headline]
        middle = looks[len(looks) // 2] if looks else None
        return cls(
            accounts=evaluation.matched,
            max_false_abort=evaluation.max_false_abort,
            steps=tuple(look.horizon for look in looks),
            auroc=tuple(look.auroc for look in looks),
            configuration_auroc=tuple(look.configuration_auroc for look in looks),
            look=None if middle is None else middle.horizon,
            bins=() if middle is None else middle.reliability.bins,
        )

    def plot(self, ax: Axes | None = None) -> EvaluationDisplay:
        """Draw; returns itself."""
        self.axes_ = panels(ax, 1, 3, self.size, width_ratios=(1.1, 1, 1))
        self.figure_ = self.axes_[0].figure
        self._draw_accounts(self.axes_[0])
        self._draw_areas(self.axes_[1])
        self._draw_bins(self.axes_[2])
        return self

    def _draw_accounts(self, axis: Axes) -> None:
        """Draw lost to the left and saved to the right of a rule, each with its interval."""
        places = np.arange(len(self.accounts))[::-1]
        colours = [OURS, *[OTHER] * (len(self.accounts) - 1)]
        saved, saved_low, saved_high = 100 * _columns([account.saved for account in self.accounts])
        lost, lost_low, lost_high = -100 * _columns([account.lost for account in self.accounts])
        axis.barh(places, saved, color=colours, height=0.65, linewidth=0)
        axis.barh(places, lost, color=LOST, height=0.65, linewidth=0)
        axis.hlines(places, saved_low, saved_high, color=INK, linewidth=0.8)
        axis.hlines(places, lost_high, lost_low, color=INK, linewidth=0.8)
        axis.axvline(0, color=INK, linewidth=0.6)
        axis.axvline(-100 * self.max_false_abort, color=LOST, linewidth=0.8, linestyle="--")
        axis.set_yticks(places, [shortened(account.rule, 30) for account in self.accounts])
        axis.xaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
        label(axis, "a  lost and saved", "good runs lost, %  |  doomed steps saved, %", "")
        axis.tick_params(axis="y", length=0, labelsize=SMALL - 1)

    def _draw_areas(self, axis: Axes) -> None:
        title = "b  AUROC by look"
        if all(area.value is None for area in self.auroc):
            nothing(axis, title, "too few runs of an outcome")
            return
        value, low, high = _columns(self.auroc)
        axis.errorbar(self.steps, value, [value - low, high - value], fmt="o-", color=OURS,
                      markersize=3, linewidth=1, label="this classifier")  # fmt: skip
        base = _columns(self.configuration_auroc)[0]
        if np.isfinite(base).any():
            axis.plot(self.steps, base, "s:", color=FAINT, markersize=3, linewidth=1,
                      label="configuration only")  # fmt: skip
        axis.axhline(0.5, color=FAINT, linewidth=0.6)
        axis.set_xscale("log")
        axis.set_ylim(top=1.02)
        axis.legend(fontsize=SMALL, loc="best", frameon=False)
        label(axis, title, "steps seen", "AUROC")

    def _draw_bins(self, axis: Axes) -> None:
        if not self.bins:
            nothing(axis, "c  calibration", "no look was taken")
            return
        axis.plot([0, 1], [0, 1], color=FAINT, linewidth=0.8, linestyle="--")
        predicted = np.array([part.predicted for part in self.bins])
        value, low, high = _columns([part.observed for part in self.bins])
        axis.errorbar(predicted, value, [value - low, high - value], fmt="o", color=OURS,
                      ecolor=FAINT, elinewidth=0.9, markersize=4)  # fmt: skip
        for part, share in zip(self.bins, value, strict=True):
            axis.annotate(str(part.n), (part.predicted, share), xytext=(4, 2),
                          textcoords="offset points", fontsize=SMALL, color=INK)  # fmt: skip
        axis.set_xlim(-0.03, 1.08)
        axis.set_ylim(-0.03, 1.08)
        label(axis, f"c  calibration after {self.look} steps", "mean P", "share that generalised")


def plot_evaluation(evaluation: Evaluation, ax: Axes | None = None) -> EvaluationDisplay:
    """Draw an evaluation; see :meth:`grokpredict.Evaluation.plot`."""
    return EvaluationDisplay.from_evaluation(evaluation).plot(ax)


def _columns(intervals: Sequence[Interval]) -> FloatArray:
    """Return values, lower and upper ends, shape (3, n); NaN where there is none."""
    rows = [(each.value, each.low, each.high) for each in intervals]
    return np.asarray(np.array(rows, dtype=float).reshape(-1, 3).T)
