"""All curves of a sweep; needs matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure, SubFigure

from grokpredict.reporting.drawing import (
    COLUMN,
    key,
    label,
    legend_above,
    marker_size,
    nothing,
    panels,
)
from grokpredict.reporting.palette import OUTCOMES, VERDICTS, Style
from grokpredict.reporting.phase_display import check_scores
from grokpredict.reporting.thinning import points_each, thinned
from grokpredict.runs.curve import FloatArray, IntArray
from grokpredict.runs.endings import endings
from grokpredict.runs.sweep import Sweep

if TYPE_CHECKING:
    from grokpredict.evaluation import Score

#: Channels that are drawn, with the names of their axes.
DRAWN = {"train_loss": "training loss", "val_acc": "validation accuracy"}


@dataclass(eq=False)
class CurvesDisplay:
    """Training loss and validation accuracy of every run of a sweep.

    Attributes
    ----------
    curves : mapping of str to list of (ndarray, ndarray) or None
        For each channel the thinned steps and values of each run; None where it has none.
    classes : tuple of str, shape (n_runs,)
        Verdict of each run, or its outcome.
    styles : mapping of str to Style
        How each class is drawn.
    axes_ : list of Axes
        Where it is drawn, after :meth:`plot`.
    """

    curves: Mapping[str, list[tuple[IntArray, FloatArray] | None]]
    classes: tuple[str, ...]
    styles: Mapping[str, Style]
    axes_: list[Axes] = field(default_factory=list, init=False, repr=False)
    figure_: Figure | SubFigure | None = field(default=None, init=False, repr=False)

    @classmethod
    def from_sweep(
        cls, sweep: Sweep, *, scores: Sequence[Score] | None = None, budget: int | None = None
    ) -> CurvesDisplay:
        """Collect what is drawn; see :meth:`grokpredict.Sweep.plot_curves`."""
        if scores is not None:
            check_scores(sweep, scores)
            classes = tuple(str(score.verdict.action) for score in scores)
        else:
            classes = tuple(end.outcome for end in endings(sweep.runs, budget))
        points = points_each(len(sweep))
        curves = {
            name: [
                thinned(run.channels[name], points) if len(run.channels.get(name, ())) else None
                for run in sweep.runs
            ]
            for name in DRAWN
        }
        return cls(curves, classes, OUTCOMES if scores is None else VERDICTS)

    def plot(self, ax: Axes | None = None) -> CurvesDisplay:
        """Draw; returns itself."""
        self.axes_ = panels(ax, len(DRAWN), 1, (COLUMN, 4.2))
        self.figure_ = self.axes_[0].figure
        for axis, (name, title) in zip(self.axes_, DRAWN.items(), strict=True):
            if any(curve is not None and curve[0].size for curve in self.curves[name]):
                self._draw(axis, name, title)
            else:
                nothing(axis, title, "no run has it")
        legend_above(self.axes_[0], key(self.styles, self.classes, lines=True))
        return self

    def _draw(self, axis: Axes, name: str, title: str) -> None:
        opacity = float(np.clip(8 / np.sqrt(len(self.classes) + 1), 0.15, 0.9))
        size = marker_size(len(self.classes))
        for kind, style in self.styles.items():
            lines = [
                np.column_stack([np.maximum(curve[0], 1), curve[1]])
                for curve, of_run in zip(self.curves[name], self.classes, strict=True)
                if curve is not None and curve[0].size and of_run == kind
            ]
            if not lines:
                continue
            axis.add_collection(
                LineCollection(lines, colors=style.light, linewidths=0.7, alpha=opacity)
            )
            # A marker at the end of each curve says the class once more, for who sees no colours.
            ends = np.array([line[-1] for line in lines])
            axis.scatter(
                ends[:, 0],
                ends[:, 1],
                s=size,
                c=style.light,
                marker=style.marker,
                linewidths=0,
                zorder=3,
            )
        axis.set_xscale("log")
        axis.autoscale_view()
        values = np.concatenate([curve[1] for curve in self.curves[name] if curve is not None])
        if name == "train_loss" and (values > 0).any():
            axis.set_yscale("log")
            # One run that diverges must not flatten all others.
            low, high = np.quantile(values[values > 0], [0.001, 0.98])
            axis.set_ylim(low / 2, 5 * high)
        label(axis, "", "optimiser step", title)


def plot_curves(
    sweep: Sweep,
    *,
    scores: Sequence[Score] | None = None,
    budget: int | None = None,
    ax: Axes | None = None,
) -> CurvesDisplay:
    """Draw all curves; see :meth:`grokpredict.Sweep.plot_curves`."""
    return CurvesDisplay.from_sweep(sweep, scores=scores, budget=budget).plot(ax)
