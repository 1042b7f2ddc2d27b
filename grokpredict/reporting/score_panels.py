"""A score as a figure; needs matplotlib."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator

from grokpredict._util.text import printable
from grokpredict.evaluation.scoring import Score
from grokpredict.features.conditioning import MIN_SAMPLES, SignalSettings, condition
from grokpredict.features.signal import spectrum
from grokpredict.runs.curve import FloatArray
from grokpredict.runs.run import Run

INK, FAINT, LOSS, SIGNAL = "#222222", "#8a8a8a", "#1f5a96", "#b3541e"
#: A loss that falls by less than this factor is drawn on a linear axis.
DECADE = 10
#: Looks that are labelled, of a long run.
MOST_TICKS = 7

ACTION_COLOURS = {"continue": "#2b7a4b", "abort": "#b3261e", "abstain": "#6a6a6a"}


def score_figure(run: Run, score: Score) -> Figure:
    """Draw one run, its looks and its verdict.

    Parameters
    ----------
    run : Run
        The run that was scored.
    score : Score
        What :func:`grokpredict.score` returned for it.

    Returns
    -------
    matplotlib.figure.Figure
        Four panels: the loss with the looks, the conditioned signal and its spectrum up to the
        last look, where the loss is on an even grid, and P at every look. The global state of
        pyplot stays as it is; ``figure.savefig`` writes any format that matplotlib knows.
    """
    layout = ConstrainedLayoutEngine(h_pad=0.09, w_pad=0.09)
    figure = Figure(figsize=(10.0, 7.2), layout=layout)
    verdict = score.verdict
    chance = "" if verdict.probability is None else f"   P = {verdict.probability:.3f}"
    figure.suptitle(
        f"{_shortened(printable(score.path))}:  {verdict.action}{chance}\n"
        + textwrap.fill(verdict.reason, 110),
        fontsize=11,
        color=ACTION_COLOURS[verdict.action],
        x=0.015,
        ha="left",
    )
    axes = figure.subplots(2, 2)
    _draw_loss(axes[0, 0], run, score)
    _draw_looks(axes[0, 1], score)
    samples, stride = _window(run, score), run.loss.stride
    settings = SignalSettings()
    if samples.size >= MIN_SAMPLES and np.isfinite(samples).all():
        signal = condition(samples[None], settings)[0]
        _draw_signal(axes[1, 0], signal, stride)
        frequencies, density = spectrum(signal[None], settings)
        kept = settings.trend_cutoff / stride, settings.smooth_cutoff / stride
        _draw_spectrum(axes[1, 1], frequencies / stride, density[0] * stride, kept)
    else:
        for axis, title in (
            (axes[1, 0], "Conditioned signal"),
            (axes[1, 1], "Spectrum of the signal"),
        ):
            _draw_nothing(axis, title, f"needs {MIN_SAMPLES} finite losses on an even grid")
    return figure


def _window(run: Run, score: Score) -> FloatArray:
    """Return the samples up to the last look, or all there are; none on an uneven grid."""
    loss = run.loss
    horizon = score.verdict.horizon or run.last_step + 1
    return loss.values[: np.searchsorted(loss.steps, horizon)] if loss.even else np.empty(0)


def _draw_loss(axis: Axes, run: Run, score: Score) -> None:
    loss = run.loss
    finite = loss.values[np.isfinite(loss.values)]
    axis.plot(loss.steps, loss.values, color=LOSS, linewidth=0.9)
    if finite.size and 0 < finite.min() < finite.max() / DECADE:
        axis.set_yscale("log")
    for look in score.looks:
        if look.horizon is not None:
            axis.axvline(look.horizon, color=ACTION_COLOURS[look.action], linewidth=1, alpha=0.7)
    title = "Training loss"
    axis.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    _label(axis, title + (", lines at the looks" if score.looks else ""), "optimiser step", "loss")


def _draw_looks(axis: Axes, score: Score) -> None:
    looks = [look for look in score.looks if look.probability is not None]
    title = f"P(generalises by step {score.verdict.budget})"
    if not looks:
        _draw_nothing(axis, title, "no look was taken")
        return
    positions = range(len(looks))
    chances = [look.probability or 0.0 for look in looks]
    axis.plot(positions, chances, color=FAINT, linewidth=1, zorder=1)
    axis.scatter(
        positions, chances, c=[ACTION_COLOURS[look.action] for look in looks], s=42, zorder=3
    )
    threshold = score.verdict.threshold
    if threshold is not None:
        axis.axhline(threshold, color=ACTION_COLOURS["abort"], linewidth=1, linestyle="--")
        axis.annotate(
            f"stopped below {threshold:.3f}",
            (0, threshold),
            xycoords=("axes fraction", "data"),
            xytext=(4, 3),
            textcoords="offset points",
            ha="left",
            va="bottom",
            fontsize=8,
            color=ACTION_COLOURS["abort"],
        )
    every = -(-len(looks) // MOST_TICKS)
    axis.set_xticks(list(positions)[::every], [str(look.horizon) for look in looks][::every])
    axis.set_xlim(-0.5, len(looks) - 0.5)
    axis.set_ylim(-0.03, 1.03)
    _label(axis, title, "steps seen", "probability")


def _draw_signal(axis: Axes, signal: FloatArray, stride: int) -> None:
    steps = np.arange(1, signal.size + 1) * stride - (1 if stride == 1 else 0)
    axis.axhline(0, color=FAINT, linewidth=0.6)
    axis.plot(steps, signal, color=SIGNAL, linewidth=0.8)
    # The steep start would flatten everything else.
    reach = 1.3 * float(np.quantile(np.abs(signal), 0.98))
    if reach > 0:
        axis.set_ylim(-reach, reach)
    axis.ticklabel_format(axis="y", scilimits=(-3, 3))
    axis.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    _label(axis, "Conditioned signal: trend removed, smoothed", "optimiser step", "loss")


def _draw_spectrum(
    axis: Axes, frequencies: FloatArray, density: FloatArray, kept: tuple[float, float]
) -> None:
    above = (frequencies > 0) & (density > 0)
    if not above.any():
        _draw_nothing(axis, "Spectrum of the signal", "the signal is flat")
        return
    axis.axvspan(*kept, color=SIGNAL, alpha=0.08, linewidth=0)
    axis.plot(frequencies[above], density[above], color=SIGNAL, linewidth=0.9)
    axis.set_yscale("log")
    title = "Spectrum of the signal, shaded where the filters pass"
    _label(axis, title, "frequency (cycles per step)", "loss² per (cycle per step)")


def _draw_nothing(axis: Axes, title: str, why: str) -> None:
    axis.text(0.5, 0.5, why, transform=axis.transAxes, ha="center", va="center", color=FAINT)
    axis.set_xticks([])
    axis.set_yticks([])
    _label(axis, title, "", "")
    axis.spines[:].set_visible(False)


def _label(axis: Axes, title: str, x: str, y: str) -> None:
    style: dict[str, Any] = {"fontsize": 9, "color": INK}
    axis.set_title(title, loc="left", fontsize=10, color=INK)
    axis.set_xlabel(x, **style)
    axis.set_ylabel(y, **style)
    axis.tick_params(which="both", labelsize=8, colors=INK)
    axis.spines[["top", "right"]].set_visible(False)


def _shortened(path: str) -> str:
    return path if len(path) <= 70 else "..." + path[-67:]
