"""One run, the looks at it and its verdict; needs matplotlib."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import NullLocator

from grokpredict.reporting.drawing import COLUMN, SMALL, key, label, legend_above, nothing, panels
from grokpredict.reporting.palette import FAINT, INK, VERDICTS
from grokpredict.runs.curve import Curve, FloatArray

if TYPE_CHECKING:
    from grokpredict.evaluation import Score

#: A loss that falls by less than this factor is drawn on a linear axis.
DECADE = 10
#: Of P, on a logit axis.
TICKS = (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999)
LOSS, ACCURACY = "#3b3b3b", "#1b5299"


@dataclass(eq=False)
class ScoreDisplay:
    """Curves of a run above, P at each look below.

    Attributes
    ----------
    name, verdict, reason : str
        Of the run, and of its last look.
    curves : mapping of str to Curve
        ``train_loss`` and, where it was logged, ``val_acc``.
    budget : int
        Step by which the run has to generalise.
    steps, probability, threshold : ndarray, shape (n_looks,)
        Of the looks that have a probability; NaN where there is no threshold.
    actions : tuple of str, shape (n_looks,)
        Their verdicts.
    """

    name: str
    verdict: str
    reason: str
    curves: Mapping[str, Curve]
    budget: int
    steps: FloatArray
    probability: FloatArray
    threshold: FloatArray
    actions: tuple[str, ...]
    axes_: list[Axes] = field(default_factory=list, init=False, repr=False)
    figure_: Figure | SubFigure | None = field(default=None, init=False, repr=False)

    @property
    def size(self) -> tuple[float, float]:
        """Width and height, inches: a column of a paper."""
        return COLUMN, 3.8

    @classmethod
    def from_score(cls, score: Score) -> ScoreDisplay:
        """Collect what is drawn; see :meth:`grokpredict.Score.plot`."""
        looks = [look for look in score.looks if look.probability is not None]
        channels = {} if score.run is None else score.run.channels
        return cls(
            name=score.path,
            verdict=score.verdict.action,
            reason=score.verdict.reason,
            curves={
                name: channels[name]
                for name in ("train_loss", "val_acc")
                if len(channels.get(name, ()))
            },
            budget=score.verdict.budget,
            steps=np.array([look.horizon for look in looks], dtype=float),
            probability=np.array([look.probability for look in looks], dtype=float),
            threshold=np.array([look.threshold for look in looks], dtype=float),
            actions=tuple(look.action for look in looks),
        )

    def plot(self, ax: Axes | None = None) -> ScoreDisplay:
        """Draw; returns itself."""
        above, below = panels(ax, 2, 1, self.size, height_ratios=(1.3, 1))
        self.axes_, self.figure_ = [above, below], above.figure
        below.sharex(above)
        self._draw_curves(above)
        self._draw_looks(below)
        for axis in self.axes_:
            axis.axvline(self.budget, color=FAINT, linewidth=0.8, linestyle=":")
        above.set_xscale("log")
        above.tick_params(labelbottom=False)
        above.annotate("budget", (self.budget, 1), xycoords=("data", "axes fraction"), ha="right",
                       va="top", xytext=(-2, 0), textcoords="offset points", fontsize=SMALL,
                       color=FAINT)  # fmt: skip
        above.set_title(textwrap.fill(self.reason, 54), loc="left", fontsize=SMALL, color=INK)
        return self

    def _draw_curves(self, axis: Axes) -> None:
        loss = self.curves.get("train_loss")
        if loss is None:
            nothing(axis, "", "the run is not in the score")
            return
        axis.plot(np.maximum(loss.steps, 1), loss.values, color=LOSS, linewidth=0.8)
        finite = loss.values[np.isfinite(loss.values)]
        if finite.size and 0 < finite.min() < finite.max() / DECADE:
            axis.set_yscale("log")
        label(axis, "", "", "training loss")
        accuracy = self.curves.get("val_acc")
        if accuracy is None:
            return
        beside = axis.twinx()
        beside.plot(np.maximum(accuracy.steps, 1), accuracy.values, color=ACCURACY, linewidth=1.1,
                    linestyle="--")  # fmt: skip
        beside.set_ylim(-0.03, 1.03)
        label(beside, "", "", "validation accuracy (dashed)")
        beside.yaxis.label.set_color(ACCURACY)
        beside.spines["right"].set_visible(True)

    def _draw_looks(self, axis: Axes) -> None:
        if not self.steps.size:
            nothing(axis, "", "no look was taken")
            return
        chance = np.clip(self.probability, 5e-4, 1 - 5e-4)
        axis.plot(self.steps, chance, color=FAINT, linewidth=0.9, zorder=1)
        for name, style in VERDICTS.items():
            among = np.array([action == name for action in self.actions])
            axis.scatter(self.steps[among], chance[among], s=26, c=style.light,
                         marker=style.marker, linewidths=0, zorder=3)  # fmt: skip
        axis.step(self.steps, self.threshold, where="post", color=VERDICTS["abort"].light,
                  linewidth=1, linestyle="--")  # fmt: skip
        axis.set_yscale("logit")
        axis.set_ylim(3e-4, 1 - 3e-4)
        axis.yaxis.set_minor_locator(NullLocator())
        axis.set_yticks(TICKS, [f"{tick:g}" for tick in TICKS])
        label(axis, "", "optimiser step", f"P(generalises by {self.budget})")
        legend_above(axis, key(VERDICTS, self.actions))


def plot_score(score: Score, ax: Axes | None = None) -> ScoreDisplay:
    """Draw a score; see :meth:`grokpredict.Score.plot`."""
    return ScoreDisplay.from_score(score).plot(ax)
