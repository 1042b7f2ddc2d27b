"""The picture of an evaluation; needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from grokpredict.evaluation import Evaluation
from grokpredict.evaluation.ledger import Ledger
from grokpredict.evaluation.looks import LookFigures

INK, FAINT = "#222222", "#8a8a8a"
#: By what a model reads; models trained on the runs themselves have the same, dashed.
COLOURS = ("#1f5a96", "#b3541e", "#2b7a4b", "#7a3b8f")
#: Rules without a model: those with many settings make a line, the others marks.
LINES = ((INK, ":"), (INK, "-."), (FAINT, "-"), (FAINT, ":"), (FAINT, "-."))
MARKS = "osv^D<>PX*h"
MANY = 30


def evaluation_figure(found: Evaluation) -> Figure:
    """Draw what would have been lost and saved, and how good the probabilities are.

    Parameters
    ----------
    found : Evaluation
        Of :func:`grokpredict.evaluation.comparison.evaluate`.

    Returns
    -------
    matplotlib.figure.Figure
        Three panels: saved against lost, with a curve for each rule that has many settings (best
        so far, from the left) and a mark for each setting of the others, filled circles for the
        classifiers as they come; AUROC by horizon; the reliability diagram. No global state
        of pyplot is touched.
    """
    figure = Figure(figsize=(13.5, 6.4), layout=ConstrainedLayoutEngine(w_pad=0.09, h_pad=0.06))
    axes = figure.subplots(1, 3, width_ratios=(1.35, 1, 1))
    models = list(dict.fromkeys(look.model for look in found.looks))
    reads = list(dict.fromkeys(_reads(model) for model in models))
    colours = {model: COLOURS[reads.index(_reads(model))] for model in models}
    _draw_tradeoffs(axes[0], found, colours)
    figure.legend(
        *axes[0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=4,
        fontsize=8,
        frameon=False,
    )
    _draw_areas(axes[1], found.looks, colours)
    _draw_reliability(axes[2], found, colours)
    return figure


def _reads(model: str) -> str:
    return model.split(", ", maxsplit=1)[1]


def _dashes(model: str) -> str:
    return "-" if model.startswith("this classifier") else "--"


def _draw_tradeoffs(axis: Axes, found: Evaluation, colours: dict[str, str]) -> None:
    marks, lines = iter(MARKS), iter(LINES)
    for own in found.tradeoffs:
        order = np.lexsort((own.saved, own.lost))
        lost, saved = np.array(own.lost)[order], np.maximum.accumulate(np.array(own.saved)[order])
        if own.classifier:
            (line,) = axis.step(lost, saved, where="post", label=own.rule, linewidth=1.6)
            line.set(color=colours[own.rule], linestyle=_dashes(own.rule))
        elif len(lost) > MANY:
            (line,) = axis.step(lost, saved, where="post", label=own.rule, linewidth=1.1)
            colour, dashes = next(lines)
            line.set(color=colour, linestyle=dashes)
        else:
            axis.plot(own.lost, own.saved, next(marks), color=INK, alpha=0.65, ms=4, label=own.rule)
    _mark_as_is(axis, found.as_is, colours)
    axis.axvline(found.max_false_abort, color=FAINT, linewidth=0.8, linestyle=":")
    # Nobody uses a rule that loses more.
    axis.set_xlim(-0.01, max(0.3, 2 * found.max_false_abort))
    axis.set_ylim(-0.02, 1.02)
    _label(axis, "Saved against lost", "share of good runs lost", "saved, share of the oracle's")


def _mark_as_is(axis: Axes, ledgers: Sequence[Ledger], colours: dict[str, str]) -> None:
    for own in ledgers:
        if own.rule in colours and own.lost.value is not None and own.saved.value is not None:
            axis.plot(
                own.lost.value,
                own.saved.value,
                "o",
                color=colours[own.rule],
                markeredgecolor=INK,
                ms=8,
                zorder=5,
            )


def _draw_areas(axis: Axes, looks: Sequence[LookFigures], colours: dict[str, str]) -> None:
    horizons = sorted({look.horizon for look in looks})
    for shift, (model, colour) in enumerate(colours.items()):
        own = [look for look in looks if look.model == model and look.auroc.value is not None]
        x = np.array([horizons.index(look.horizon) for look in own]) + 0.07 * shift
        areas = np.array([look.auroc.value for look in own], dtype=float)
        low = np.array([look.auroc.low for look in own], dtype=float)
        high = np.array([look.auroc.high for look in own], dtype=float)
        bars = [areas - low, high - areas]
        axis.errorbar(x, areas, bars, fmt=f"o{_dashes(model)}", color=colour, ms=4, lw=1.2)
    last = [look for look in looks if look.model == list(colours)[-1]]
    base = [look for look in last if look.configuration_auroc.value is not None]
    if base:
        x = np.array([horizons.index(look.horizon) for look in base])
        axis.plot(
            x,
            np.array([look.configuration_auroc.value for look in base], dtype=float),
            ":",
            color=INK,
            label="configuration only",
        )
        axis.legend(fontsize=7, loc="lower right", frameon=False)
    axis.axhline(0.5, color=FAINT, linewidth=0.6)
    axis.set_xticks(range(len(horizons)), [str(h) for h in horizons])
    axis.set_ylim(min(0.45, axis.get_ylim()[0]), 1.01)
    _label(axis, "AUROC by horizon, with 95 % intervals", "steps seen", "AUROC")


def _draw_reliability(axis: Axes, found: Evaluation, colours: dict[str, str]) -> None:
    axis.plot([0, 1], [0, 1], color=FAINT, linewidth=0.8)
    own = [look for look in found.looks if look.model == found.headline]
    for place, look in enumerate(own):
        bins = look.reliability.bins
        axis.plot(
            [each.predicted for each in bins],
            [each.observed.value or 0.0 for each in bins],
            "o-",
            color=colours[found.headline],
            alpha=0.3 + 0.7 * (place + 1) / len(own),
            ms=3,
            linewidth=0.6 + 0.3 * place,
            label=f"{look.horizon} steps",
        )
    axis.legend(fontsize=7, loc="lower right", frameon=False)
    axis.set_aspect("equal")
    _label(axis, f"Reliability\n{found.headline}", "mean probability", "share that generalised")


def _label(axis: Axes, title: str, x: str, y: str) -> None:
    axis.set_title(title, loc="left", fontsize=10, color=INK)
    axis.set_xlabel(x, fontsize=9, color=INK)
    axis.set_ylabel(y, fontsize=9, color=INK)
    axis.tick_params(which="both", labelsize=8, colors=INK)
    axis.spines[["top", "right"]].set_visible(False)
