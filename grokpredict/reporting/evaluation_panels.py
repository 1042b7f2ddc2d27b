"""An evaluation as a figure; needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from grokpredict.evaluation import Evaluation
from grokpredict.evaluation.figures import LookFigures
from grokpredict.evaluation.ledger import Ledger

INK, FAINT = "#222222", "#8a8a8a"
#: One for each combination of channels that a model reads. Models trained on the runs themselves
#: have the same colours, dashed.
COLOURS = ("#1f5a96", "#b3541e", "#2b7a4b", "#7a3b8f")
#: For rules without a model. Those with many settings make a line, the others marks.
LINES = ((INK, ":"), (INK, "-."), (FAINT, "-"), (FAINT, ":"), (FAINT, "-."))
MARKS = "osv^D<>PX*h"
MANY = 30


def evaluation_figure(evaluation: Evaluation) -> Figure:
    """Draw what would have been lost and saved, and how reliable the probabilities are.

    Parameters
    ----------
    evaluation : Evaluation
        Of :func:`grokpredict.evaluation.comparison.evaluate`.

    Returns
    -------
    matplotlib.figure.Figure
        Three panels: saved against lost, with a curve for each rule that has many settings (best
        so far, from the left), a mark for each setting of the other rules, and filled circles for
        the classifiers as deployed; AUROC by horizon; the reliability diagram. The global state
        of pyplot stays as it is.
    """
    figure = Figure(figsize=(13.5, 6.4), layout=ConstrainedLayoutEngine(w_pad=0.09, h_pad=0.06))
    axes = figure.subplots(1, 3, width_ratios=(1.35, 1, 1))
    models = list(dict.fromkeys(look.model for look in evaluation.looks))
    reads = list(dict.fromkeys(_reads(model) for model in models))
    colours = {model: COLOURS[reads.index(_reads(model))] for model in models}
    _draw_tradeoffs(axes[0], evaluation, colours)
    figure.legend(
        *axes[0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=4,
        fontsize=8,
        frameon=False,
    )
    _draw_areas(axes[1], evaluation.looks, colours)
    _draw_reliability(axes[2], evaluation, colours)
    return figure


def _reads(model: str) -> str:
    return model.split(", ", maxsplit=1)[1]


def _dashes(model: str) -> str:
    return "-" if model.startswith("this classifier") else "--"


def _draw_tradeoffs(axis: Axes, evaluation: Evaluation, colours: dict[str, str]) -> None:
    marks, lines = iter(MARKS), iter(LINES)
    for rule in evaluation.tradeoffs:
        order = np.lexsort((rule.saved, rule.lost))
        lost = np.array(rule.lost)[order]
        saved = np.maximum.accumulate(np.array(rule.saved)[order])
        if rule.classifier:
            (line,) = axis.step(lost, saved, where="post", label=rule.rule, linewidth=1.6)
            line.set(color=colours[rule.rule], linestyle=_dashes(rule.rule))
        elif len(lost) > MANY:
            (line,) = axis.step(lost, saved, where="post", label=rule.rule, linewidth=1.1)
            colour, dashes = next(lines)
            line.set(color=colour, linestyle=dashes)
        else:
            marker = next(marks)
            axis.plot(rule.lost, rule.saved, marker, color=INK, alpha=0.65, ms=4, label=rule.rule)
    _mark_as_deployed(axis, evaluation.as_is, colours)
    axis.axvline(evaluation.max_false_abort, color=FAINT, linewidth=0.8, linestyle=":")
    # Nobody would use a rule that loses more.
    axis.set_xlim(-0.01, max(0.3, 2 * evaluation.max_false_abort))
    axis.set_ylim(-0.02, 1.02)
    _label(axis, "Saved against lost", "share of good runs lost", "saved, share of the oracle's")


def _mark_as_deployed(axis: Axes, ledgers: Sequence[Ledger], colours: dict[str, str]) -> None:
    for ledger in ledgers:
        lost, saved = ledger.lost.value, ledger.saved.value
        if ledger.rule in colours and lost is not None and saved is not None:
            colour = colours[ledger.rule]
            axis.plot(lost, saved, "o", color=colour, markeredgecolor=INK, ms=8, zorder=5)


def _draw_areas(axis: Axes, looks: Sequence[LookFigures], colours: dict[str, str]) -> None:
    horizons = sorted({look.horizon for look in looks})
    for shift, (model, colour) in enumerate(colours.items()):
        shown = [look for look in looks if look.model == model and look.auroc.value is not None]
        x = np.array([horizons.index(look.horizon) for look in shown]) + 0.07 * shift
        areas = np.array([look.auroc.value for look in shown], dtype=float)
        low = np.array([look.auroc.low for look in shown], dtype=float)
        high = np.array([look.auroc.high for look in shown], dtype=float)
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


def _draw_reliability(axis: Axes, evaluation: Evaluation, colours: dict[str, str]) -> None:
    axis.plot([0, 1], [0, 1], color=FAINT, linewidth=0.8)
    shown = [look for look in evaluation.looks if look.model == evaluation.headline]
    for place, look in enumerate(shown):
        bins = look.reliability.bins
        axis.plot(
            [part.predicted for part in bins],
            [part.observed.value or 0.0 for part in bins],
            "o-",
            color=colours[evaluation.headline],
            alpha=0.3 + 0.7 * (place + 1) / len(shown),
            ms=3,
            linewidth=0.6 + 0.3 * place,
            label=f"{look.horizon} steps",
        )
    axis.legend(fontsize=7, loc="lower right", frameon=False)
    axis.set_aspect("equal")
    _label(
        axis, f"Reliability\n{evaluation.headline}", "mean probability", "share that generalised"
    )


def _label(axis: Axes, title: str, x: str, y: str) -> None:
    axis.set_title(title, loc="left", fontsize=10, color=INK)
    axis.set_xlabel(x, fontsize=9, color=INK)
    axis.set_ylabel(y, fontsize=9, color=INK)
    axis.tick_params(which="both", labelsize=8, colors=INK)
    axis.spines[["top", "right"]].set_visible(False)
