"""Does the weight norm rise, and then fall before the run generalises?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from drawing import COLOURS, FAINT, FIGURES, figure, logarithmic
from matplotlib.axes import Axes
from runs import DATA, EXPERIMENTS
from scipy.stats import binomtest

from grokpredict.logs import read_sweep
from grokpredict.runs.curve import FloatArray
from grokpredict.runs.labels import Phase, phase, phase_times
from grokpredict.runs.run import Run

#: Share of the norm by which it must rise, and fall, to count.
MARGIN = 0.05
#: log10 of steps over t2, or over t4, at which curves are averaged.
GRID = np.linspace(-1.0, 1.5, 101)
GROUPS = {
    "addition, MLP": ("decay-addition", "rate-addition", "fraction-addition", "map-mlp"),
    "addition, transformer": ("map-transformer",),
    "digits, eightfold initial weights": ("decay-digits", "rate-digits"),
}


@dataclass(frozen=True)
class Shape:
    """How the weight norm of one run went up to a step."""

    rose: bool
    fell: bool
    peak: float  # step of the maximum


def shape(run: Run, until: int) -> Shape:
    norm = run.channels["weight_norm"]
    values = norm.values[norm.steps <= until]
    peak = int(values.argmax())
    return Shape(
        rose=bool(values[peak] >= values[0] * (1 + MARGIN)),
        fell=bool(values[-1] <= values[peak] * (1 - MARGIN)),
        peak=float(norm.steps[peak]),
    )


def norms() -> None:
    """Print and draw the curves of the weight norm."""
    print("## The weight norm\n")
    print(
        "| runs | grokked | rose, then fell by t4 | only rose | only fell | neither "
        "| peak over t2 | peak over t4 | never generalised: rose, then fell |"
    )
    print("| --- |" + " ---: |" * 8)
    groups = {
        group: [run for name in names for run in EXPERIMENTS[name].runs()]
        for group, names in GROUPS.items()
    }
    drawn = figure(2, 3, width=9.5, height=5.2)
    for column, (group, runs) in enumerate(groups.items()):
        _print_row(group, runs)
        _draw(drawn.axes[column], drawn.axes[3 + column], runs, group)
    drawn.savefig(FIGURES / "norms.png")
    sweep = read_sweep([DATA.parent / "sweeps"]).runs
    for family in sorted({run.hparams["family"] for run in sweep}):
        _print_row(f"sweep: {family}", [r for r in sweep if r.hparams["family"] == family])
    _print_row(f"sweep: all {len(sweep)}", sweep)
    splits = {
        "initial scale up to 1": lambda h: h["init_scale"] <= 1,
        "initial scale above 1": lambda h: h["init_scale"] > 1,
        "transformer": lambda h: h["architecture"] == "transformer",
        "GRU": lambda h: h["architecture"] == "gru",
        "MLP, square": lambda h: h["architecture"] == "mlp" and h["activation"] == "square",
        "MLP, other": lambda h: h["architecture"] == "mlp" and h["activation"] != "square",
    }
    for name, chosen in splits.items():
        _print_row(f"sweep: {name}", [run for run in sweep if chosen(run.hparams)])
    print()


def _print_row(name: str, runs: Sequence[Run]) -> None:
    stages = [phase(run, run.max_steps) for run in runs]
    grokked = [run for run, stage in zip(runs, stages, strict=True) if stage is Phase.GROKKING]
    others = [run for run, stage in zip(runs, stages, strict=True) if stage is Phase.MEMORISATION]
    if not grokked:
        return
    times = [phase_times(run) for run in grokked]
    shapes = [shape(run, t.t4) for run, t in zip(grokked, times, strict=True)]
    n = len(shapes)
    both = sum(s.rose and s.fell for s in shapes)
    ci = binomtest(both, n).proportion_ci(method="wilson")
    risen = [(s, t) for s, t in zip(shapes, times, strict=True) if s.rose and s.fell and t.t2]
    over_t2 = f"{np.median([s.peak / t.t2 for s, t in risen]):.2f}" if risen else "-"
    over_t4 = f"{np.median([s.peak / t.t4 for s, t in risen]):.2f}" if risen else "-"
    never = [shape(run, run.max_steps) for run in others]
    never_both = f"{sum(s.rose and s.fell for s in never)} of {len(never)}"
    print(
        f"| {name} | {n} | {both} = {both / n:.2f} ({ci.low:.2f} to {ci.high:.2f}) "
        f"| {sum(s.rose and not s.fell for s in shapes)} "
        f"| {sum(s.fell and not s.rose for s in shapes)} "
        f"| {sum(not s.fell and not s.rose for s in shapes)} "
        f"| {over_t2} | {over_t4} | {never_both} |"
    )


def aligned(runs: Sequence[Run], moments: Sequence[int]) -> FloatArray:
    """Return log of the norm over that at ``moments``, on :data:`GRID`; NaN outside a run."""
    rows = []
    for run, moment in zip(runs, moments, strict=True):
        norm = run.channels["weight_norm"]
        steps = moment * 10**GRID
        at = np.interp(steps, norm.steps, norm.values, right=np.nan)
        rows.append(np.log(at / np.interp(moment, norm.steps, norm.values)))
    return np.array(rows)


def _draw(top: Axes, bottom: Axes, runs: Sequence[Run], group: str) -> None:
    kinds = {Phase.GROKKING: [], Phase.MEMORISATION: []}
    for run in runs:
        stage = phase(run, run.max_steps)
        if stage in kinds and phase_times(run).t2:
            kinds[stage].append(run)
    names = {Phase.GROKKING: "grokked", Phase.MEMORISATION: "memorised only"}
    for colour, (stage, chosen) in zip(COLOURS, kinds.items(), strict=False):
        for place, moment in ((top, "t2"), (bottom, "t4")):
            moments = [getattr(phase_times(run), moment) for run in chosen]
            if len(chosen) < 5 or None in moments:
                continue
            curves = aligned(chosen, moments)
            many = np.isfinite(curves).mean(axis=0) >= 0.5
            x, y = 10 ** GRID[many], np.exp(curves[:, many])
            low, high = np.nanquantile(y, [0.25, 0.75], axis=0)
            label = f"{names[stage]}, {len(chosen)} runs"
            place.plot(x, np.exp(np.nanmean(curves[:, many], axis=0)), color=colour, label=label)
            place.fill_between(x, low, high, color=colour, alpha=0.2, lw=0)
    for place, moment in ((top, "t2"), (bottom, "t4")):
        place.axvline(1.0, color=FAINT, lw=0.8, ls="--")
        logarithmic(place, "x")
        place.set(
            title=group,
            xlabel=f"steps / {moment}",
            ylabel=f"weight norm / that at {moment}",
        )
        if place.get_legend_handles_labels()[0]:
            place.legend(frameon=False)
