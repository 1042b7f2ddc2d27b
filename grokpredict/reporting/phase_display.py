"""The phase diagram of a sweep; needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D

from grokpredict.reporting.axis import ConfigurationAxis
from grokpredict.reporting.drawing import (
    SMALL,
    key,
    label,
    legend_above,
    marker_size,
    one_panel,
    shortened,
)
from grokpredict.reporting.palette import FAINT, INK, PHASES
from grokpredict.runs.axes import axis_named, configuration_columns
from grokpredict.runs.curve import FloatArray
from grokpredict.runs.endings import endings
from grokpredict.runs.labels import BoolArray
from grokpredict.runs.sweep import Sweep

if TYPE_CHECKING:
    from grokpredict.evaluation import Score

#: Cells along each axis that P is averaged in.
CELLS = 12

#: Share of an axis that is empty beyond the outermost runs.
MARGIN = 0.07


@dataclass(eq=False)
class PhaseDisplay:
    """Phases of the runs of a sweep over two axes of their configuration.

    Attributes
    ----------
    x, y : ConfigurationAxis
        Where each run is.
    phases : tuple of str, shape (n_runs,)
        ``"unknown"`` where a log does not tell.
    stopped : ndarray of bool, shape (n_runs,), or None
        Whether the last verdict is to abort; None without scores.
    probability : ndarray, shape (n_runs,), or None
        P(generalises) at the last look; NaN where there was none.
    ax_, figure_ :
        Where it is drawn, after :meth:`plot`.
    """

    x: ConfigurationAxis
    y: ConfigurationAxis
    phases: tuple[str, ...]
    stopped: BoolArray | None = None
    probability: FloatArray | None = None
    ax_: Axes | None = field(default=None, init=False, repr=False)
    figure_: Figure | SubFigure | None = field(default=None, init=False, repr=False)

    @classmethod
    def from_sweep(
        cls,
        sweep: Sweep,
        x: str,
        y: str,
        *,
        scores: Sequence[Score] | None = None,
        budget: int | None = None,
    ) -> PhaseDisplay:
        """Collect what is drawn; see :meth:`grokpredict.Sweep.plot_phase`."""
        columns = configuration_columns(sweep.runs)
        axes = [axis_named(columns, name) for name in (x, y)]
        phases = tuple(
            "unknown" if end.phase is None else end.phase.value
            for end in endings(sweep.runs, budget)
        )
        stopped, probability = None, None
        if scores is not None:
            check_scores(sweep, scores)
            stopped = np.array([score.verdict.action == "abort" for score in scores])
            probability = np.array([score.verdict.probability for score in scores], dtype=float)
        first, second = (ConfigurationAxis.of(name, columns[name]) for name in axes)
        return cls(first, second, phases, stopped, probability)

    def plot(self, ax: Axes | None = None) -> PhaseDisplay:
        """Draw; returns itself."""
        ax = one_panel(ax)
        self.ax_, self.figure_ = ax, ax.figure
        x, y = spread(self.x, self.y)
        self._draw_probability(ax)
        size = marker_size(len(self.phases))
        for name, style in PHASES.items():
            among = np.array([phase == name for phase in self.phases])
            if among.any():
                ax.scatter(x[among], y[among], s=size, c=style.light, marker=style.marker,
                           linewidths=0, zorder=3)  # fmt: skip
        handles = key(PHASES, self.phases)
        if self.stopped is not None and self.stopped.any():
            ring: dict[str, Any] = {"marker": "o", "linestyle": "", "markerfacecolor": "none"}
            width = size**0.5
            ax.plot(x[self.stopped], y[self.stopped], color=INK, zorder=4,
                    markersize=1.75 * width, markeredgewidth=0.2 * width, **ring)  # fmt: skip
            handles.append(Line2D([], [], color=INK, label="stopped", markersize=7, **ring))
        _ticks(ax, self.x, "x")
        _ticks(ax, self.y, "y")
        label(ax, "", self.x.name, self.y.name)
        legend_above(ax, handles)
        return self

    def _draw_probability(self, ax: Axes) -> None:
        """Shade the cells of a coarse grid by the mean of P in them."""
        if self.probability is None or not np.isfinite(self.probability).any():
            return
        means = cell_means(self.x.places, self.y.places, self.probability)
        edges = [_edges(axis) for axis in (self.x, self.y)]
        mesh = ax.pcolormesh(*edges, means.T, cmap="Greys", vmin=0, vmax=2, zorder=1, linewidth=0)
        bar = ax.figure.colorbar(mesh, ax=ax, boundaries=np.linspace(0, 1, 101), ticks=[0, 0.5, 1],
                                 location="bottom", aspect=30, shrink=0.6)  # fmt: skip
        bar.set_label("mean P", fontsize=SMALL, color=FAINT)
        bar.ax.tick_params(labelsize=SMALL)


def plot_phase(
    sweep: Sweep,
    x: str,
    y: str,
    *,
    scores: Sequence[Score] | None = None,
    budget: int | None = None,
    ax: Axes | None = None,
) -> PhaseDisplay:
    """Draw the phase diagram; see :meth:`grokpredict.Sweep.plot_phase`."""
    return PhaseDisplay.from_sweep(sweep, x, y, scores=scores, budget=budget).plot(ax)


def check_scores(sweep: Sweep, scores: Sequence[Score]) -> None:
    """Raise ValueError unless the scores are those of the runs, in their order."""
    if [score.path for score in scores] != [run.name for run in sweep.runs]:
        raise ValueError(
            f"the scores must be those of the {len(sweep)} runs of the sweep, in their order; "
            "score_sweep(sweep) returns them."
        )


def spread(x: ConfigurationAxis, y: ConfigurationAxis) -> tuple[FloatArray, FloatArray]:
    """Return where runs are drawn: repetitions of a configuration beside each other.

    Returns
    -------
    x, y : ndarray, shape (n_runs,)
        Values on the axes. Runs that share a place are laid out like the seeds of a sunflower,
        each within 4 % of the axis.
    """
    places = np.stack([x.places, y.places])
    _, cell, number = np.unique(
        places.round(6), axis=1, return_inverse=True, return_counts=True, equal_nan=False
    )
    rank = np.zeros(cell.size)
    for i in np.flatnonzero(number > 1):
        among = np.flatnonzero(cell == i)
        rank[among] = np.arange(among.size)
    radius = 0.04 * np.sqrt(rank / np.maximum(number[cell] - 1, 1)) * np.minimum(
        1, np.sqrt(number[cell]) / 4
    )  # fmt: skip
    angle = rank * np.pi * (3 - np.sqrt(5))
    shift = np.stack([np.cos(angle), np.sin(angle)]) * radius
    return _value(x, places[0] + shift[0]), _value(y, places[1] + shift[1])


def cell_means(x: FloatArray, y: FloatArray, values: FloatArray) -> FloatArray:
    """Return the mean of the values in each cell, shape (CELLS, CELLS); NaN in empty ones."""
    means = np.full((CELLS, CELLS), np.nan)
    known = np.isfinite(x) & np.isfinite(y) & np.isfinite(values)
    at = np.minimum((np.stack([x[known], y[known]]) * CELLS).astype(int), CELLS - 1)
    for i, j in np.unique(at, axis=1).T:
        means[i, j] = values[known][(at[0] == i) & (at[1] == j)].mean()
    return means


def _edges(axis: ConfigurationAxis) -> FloatArray:
    return _value(axis, np.linspace(0, 1, CELLS + 1))


def _value(axis: ConfigurationAxis, place: FloatArray) -> FloatArray:
    """Return the values at places from 0 to 1: the inverse of ``axis.places``."""
    known = axis.values[np.isfinite(axis.values)]
    low, high = (known.min(), known.max()) if known.size else (0.0, 1.0)
    if low == high:
        # A single value has no width; that of a unit is as good as any.
        return np.asarray(low + (place - 0.5) * (abs(low) or 1.0))
    if axis.scale == "log":
        return np.asarray(np.exp(np.log(low) + place * np.log(high / low)))
    if axis.scale == "symlog":
        ends = np.arcsinh(np.array([low, high]) / axis.smallest)
        return np.asarray(axis.smallest * np.sinh(ends[0] + place * (ends[1] - ends[0])))
    return np.asarray(low + place * (high - low))


def _ticks(ax: Axes, axis: ConfigurationAxis, which: str) -> None:
    set_scale = ax.set_xscale if which == "x" else ax.set_yscale
    set_ticks = ax.set_xticks if which == "x" else ax.set_yticks
    if axis.scale == "category":
        set_ticks(range(len(axis.categories)), [shortened(name) for name in axis.categories])
    elif axis.scale == "symlog":
        set_scale("asinh", linear_width=axis.smallest)
        # Without those that the scale itself has below 0, where no run is.
        first, last = np.log10([axis.smallest, np.nanmax(axis.values)])
        powers = range(int(np.floor(first)), int(np.ceil(last)) + 1)
        set_ticks([0, *(10.0**power for power in powers)],
                  ["0", *(f"$10^{{{power}}}$" for power in powers)])  # fmt: skip
    elif axis.scale == "log":
        set_scale("log")
    set_limits = ax.set_xlim if which == "x" else ax.set_ylim
    set_limits(*_value(axis, np.array([-MARGIN, 1 + MARGIN])))
