"""The figure of a diagnosis; needs matplotlib."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, SymmetricalLogLocator

from grokpredict.diagnosis.run import RunDiagnosis
from grokpredict.runs.curve import Curve
from grokpredict.runs.run import Run

if TYPE_CHECKING:
    from grokpredict.diagnosis.network import Diagnosis
    from grokpredict.diagnosis.slices import Slice

INK, FAINT, TRAIN, VALIDATION = "#222222", "#8a8a8a", "#1f5a96", "#b3541e"
OTHER = "#2b7a4b"
LABELS = {
    "train_loss": "training",
    "val_loss": "validation",
    "train_acc": "training",
    "val_acc": "validation",
    "weight_norm": "weights",
    "grad_norm": "gradient",
}
#: Most points that a curve is drawn with.
POINTS = 4000
Draw = Callable[[Axes], None]


def run_diagnosis_figure(found: RunDiagnosis) -> Figure:
    """Draw losses, accuracies and norms of a run with its phases and slingshots."""
    return _figure(_panels_of_run(found), found.run.name)


def diagnosis_figure(found: Diagnosis) -> Figure:
    """Draw a run and its network: curvature, lines and plane of the landscape besides.

    Returns
    -------
    matplotlib.figure.Figure
        Three panels in a row, lettered. No global state of pyplot is touched.
    """
    return _figure(
        [*_panels_of_run(found.of_run), *_panels_of_network(found)], found.of_run.run.name
    )


def _figure(panels: Sequence[Draw], name: str) -> Figure:
    rows = -(-len(panels) // 3)
    figure = Figure(figsize=(10.5, 0.35 + 2.75 * rows), layout="constrained", dpi=150)
    axes = figure.subplots(rows, 3, squeeze=False).ravel()
    for letter, (axis, draw) in zip("abcdefghijkl", zip(axes, panels, strict=False), strict=False):
        draw(axis)
        axis.set_title(f"{letter}  {axis.get_title(loc='left')}", loc="left", fontsize=9, color=INK)
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    figure.suptitle(name if len(name) <= 90 else "..." + name[-87:], fontsize=9, color=INK)
    return figure


def _panels_of_run(found: RunDiagnosis) -> list[Draw]:
    run = found.run
    panels: list[Draw] = [lambda axis: _losses(axis, found)]
    if "train_acc" in run.channels or "val_acc" in run.channels:
        panels.append(lambda axis: _accuracies(axis, found))
    if "weight_norm" in run.channels or "grad_norm" in run.channels:
        panels.append(lambda axis: _norms(axis, found))
    if found.trajectory is not None and len(found.trajectory) > 1:
        panels.append(lambda axis: _cosines(axis, found))
    return panels


def _panels_of_network(found: Diagnosis) -> list[Draw]:
    panels: list[Draw] = [lambda axis: _eigenvalues(axis, found)]
    if any(each.sharpness is not None for each in found.curvatures):
        panels.append(lambda axis: _sharpness(axis, found))
    panels.extend(partial(_line, found=line) for line in found.slices)
    if found.modes is not None:
        panels.append(lambda axis: _modes(axis, found))
        if found.plane is not None:
            panels.append(lambda axis: _plane(axis, found))
    return panels


def _losses(axis: Axes, found: RunDiagnosis) -> None:
    _channels(axis, found.run, ("train_loss", "val_loss"))
    values = found.run.loss.values
    if np.all(values[np.isfinite(values)] > 0):
        axis.set_yscale("log")
    for number, each in enumerate(found.slingshots or ()):
        axis.axvline(
            each.step, color=OTHER, lw=0.6, alpha=0.5, label=None if number else "slingshot"
        )
    _finish(axis, "Loss", "optimiser step", "loss", legend=True)


def _accuracies(axis: Axes, found: RunDiagnosis) -> None:
    _channels(axis, found.run, ("train_acc", "val_acc"))
    marks: dict[int, list[str]] = {}
    for name, step in asdict(found.times).items():
        if step is not None:
            marks.setdefault(max(step, 1), []).append(name)
    for step, names in marks.items():
        axis.axvline(step, color=FAINT, lw=0.8, ls=":")
        side = "left" if step == 1 else "center"
        axis.text(step, 1.04, ", ".join(names), fontsize=7, color=INK, ha=side)
    axis.set_xscale("log")
    axis.set_ylim(-0.03, 1.12)
    _finish(axis, "Accuracy and phases", "optimiser step", "accuracy", legend=True)


def _norms(axis: Axes, found: RunDiagnosis) -> None:
    _channels(axis, found.run, ("weight_norm", "grad_norm"))
    axis.set_yscale("log")
    if found.clock is not None and found.clock.goldilocks is not None:
        axis.axhline(found.clock.goldilocks, color=FAINT, lw=0.8, ls="--", label="w_c")
    _finish(axis, "Norms", "optimiser step", "Euclidean norm", legend=True)


def _cosines(axis: Axes, found: RunDiagnosis) -> None:
    trajectory = found.trajectory
    assert trajectory is not None
    for values, label, colour in (
        (trajectory.cos_step, "parameters, record before", TRAIN),
        (trajectory.cos_start, "parameters, start", VALIDATION),
        (trajectory.cos_grad, "gradient, record before", OTHER),
    ):
        axis.plot(trajectory.steps, values, color=colour, lw=0.9, label=label)
    _finish(axis, "Cosines", "optimiser step", "cosine", legend=True)


def _eigenvalues(axis: Axes, found: Diagnosis) -> None:
    steps = np.array(found.steps)
    for name, colour in (("largest", TRAIN), ("smallest", VALIDATION)):
        values = np.array([getattr(each, name).value for each in found.curvatures])
        errors = [getattr(each, name).residual for each in found.curvatures]
        label = "lambda_max" if name == "largest" else "lambda_min"
        axis.errorbar(steps, values, errors, fmt="o-", ms=3, lw=0.9, color=colour, label=label)
    rayleigh = np.array([each.rayleigh for each in found.curvatures])
    axis.plot(steps, rayleigh, "s--", ms=2.5, lw=0.7, color=OTHER, label="along the gradient")
    axis.axhline(0, color=FAINT, lw=0.6)
    top = max(abs(each.largest.value) for each in found.curvatures)
    linear = max(1e-3 * top, 1e-12)
    axis.set_yscale("symlog", linthresh=linear)
    ticks = SymmetricalLogLocator(base=10, linthresh=linear)
    ticks.set_params(numticks=7)  # else labels about 0 overlap
    axis.yaxis.set_major_locator(ticks)
    _finish(axis, "Curvature", "optimiser step", "eigenvalue of the Hessian", legend=True)


def _sharpness(axis: Axes, found: Diagnosis) -> None:
    told = [each for each in found.curvatures if each.sharpness is not None]
    steps = [each.step for each in told]
    label = "as is" if told[-1].preconditioned is None else "preconditioned"
    values = np.array([each.sharpness for each in told], dtype=float)
    axis.plot(steps, values, "o-", ms=3, lw=0.9, color=TRAIN, label=label)
    limits = [each.stable_below for each in told]
    axis.plot(steps, limits, color=FAINT, lw=0.9, ls="--", label="stable below")
    axis.set_yscale("log")
    _finish(axis, "Edge of stability", "optimiser step", "learning rate x lambda_max", legend=True)


def _line(axis: Axes, found: Slice) -> None:
    axis.plot(found.axes[0], found.train_loss, "-", color=TRAIN, lw=1.1, label="training")
    axis.plot(found.axes[0], found.val_loss, "-", color=VALIDATION, lw=1.1, label="validation")
    finite = np.concatenate([found.train_loss, found.val_loss])
    finite = finite[np.isfinite(finite)]
    if finite.size and finite.min() > 0 and finite.max() > 20 * finite.min():
        axis.set_yscale("log")
    for place in (0.0, 1.0) if found.name.endswith("to the end") else (0.0,):
        axis.axvline(place, color=FAINT, lw=0.6, ls=":")
    axis.xaxis.set_major_locator(MaxNLocator(6))
    title = found.name[0].upper() + found.name[1:]
    _finish(axis, title, "multiple of the direction", "loss", legend=True)


def _modes(axis: Axes, found: Diagnosis) -> None:
    assert found.modes is not None
    modes = np.arange(1, min(len(found.modes.shares), 8) + 1)
    shares, null = found.modes.shares[: len(modes)], found.modes.null[: len(modes)]
    axis.bar(modes - 0.2, shares, 0.4, color=TRAIN, label="this run")
    axis.bar(modes + 0.2, null, 0.4, color=FAINT, label="random walk")
    axis.set_xticks(modes)
    _finish(axis, "Modes of the trajectory", "mode", "share of the variance", legend=True)


def _plane(axis: Axes, found: Diagnosis) -> None:
    assert found.plane is not None
    assert found.modes is not None
    loss = found.plane.train_loss
    finite = loss[np.isfinite(loss) & (loss > 0)]
    norm = (
        LogNorm(finite.min(), finite.max()) if finite.size and finite.max() > finite.min() else None
    )
    drawn = axis.pcolormesh(
        found.plane.axes[0],
        found.plane.axes[1],
        loss.T,
        norm=norm,
        cmap="viridis",
        shading="nearest",
    )
    colours = axis.figure.colorbar(drawn, ax=axis, pad=0.02)
    colours.ax.tick_params(labelsize=7)
    path = found.modes.coordinates
    axis.plot(path[:, 0], path[:, 1], "o-", color="white", ms=2.5, lw=0.8)
    axis.plot(*path[-1], "*", color="#ff5a36", ms=9)
    _finish(axis, "Training loss, two leading modes", "mode 1", "mode 2")


def _channels(axis: Axes, run: Run, names: Sequence[str]) -> None:
    labels = {"train_loss": "training", "train_acc": "training", "weight_norm": "weights"}
    others = {"val_loss": "validation", "val_acc": "validation", "grad_norm": "gradient"}
    for name, colour in zip(names, (TRAIN, VALIDATION), strict=True):
        curve = run.channels.get(name)
        if curve is not None and len(curve):
            thin = _thinned(curve)
            axis.plot(
                thin.steps, thin.values, color=colour, lw=0.9, label={**labels, **others}[name]
            )


def _thinned(curve: Curve) -> Curve:
    every = -(-len(curve) // POINTS)
    return Curve(curve.steps[::every], curve.values[::every])


def _finish(axis: Axes, title: str, x: str, y: str, *, legend: bool = False) -> None:
    axis.set_title(title, loc="left", fontsize=9, color=INK)
    axis.set_xlabel(x, fontsize=8, color=INK)
    axis.set_ylabel(y, fontsize=8, color=INK)
    axis.tick_params(which="both", labelsize=7, colors=INK)
    axis.spines[["top", "right"]].set_visible(False)
    if legend and axis.get_legend_handles_labels()[0]:
        # Curves that cross a legend are seen through it, and its text can be read.
        axis.legend(fontsize=6.5, edgecolor="none", framealpha=0.8)
