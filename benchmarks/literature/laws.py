"""Steps to generalise over weight decay, learning rate and training fraction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from drawing import COLOURS, FAINT, FIGURES, figure, logarithmic
from matplotlib.axes import Axes
from runs import EXPERIMENTS

from grokpredict.runs.curve import FloatArray
from grokpredict.runs.labels import GeneralisationLaw, fit_generalisation_law, phase_times
from grokpredict.runs.run import Run
from grokpredict.sweeps.evaluation import EVALUATE_EVERY

RESAMPLES = 2000
LAW_RESAMPLES = 300  # each takes three nonlinear fits
NAMES = {"weight_decay": "weight decay", "learning_rate": "learning rate"}


@dataclass(frozen=True)
class Line:
    """Runs along which one thing was changed; those that generalised, as arrays over the runs.

    Values at which some seed never did are left out of the fits: there the others are the
    fast ones.
    """

    value: FloatArray
    rate: FloatArray
    decay: FloatArray
    t2: FloatArray
    t4: FloatArray
    contraction: FloatArray  # log of the weight norm at t2 over that at t4
    peak_contraction: FloatArray  # log of the largest norm up to t4 over that at t4
    since_peak: FloatArray  # steps from there to t4
    asked: FloatArray  # the values of all the runs that were made

    def whole(self) -> np.ndarray:
        """Say for each run whether all of its value generalised."""
        return np.array([(self.value == v).sum() == (self.asked == v).sum() for v in self.value])

    def kept(self) -> Line:
        """Return the runs that fits read."""
        rows = self.whole()
        columns = {f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name != "asked"}
        return replace(self, **columns)

    def table(self) -> str:
        """Return a line a value: how many generalised, and when."""
        lines = []
        for value in np.unique(self.asked):
            t4 = self.t4[self.value == value]
            median = f", median t4 {np.median(t4):.0f}" if t4.size else ""
            lines.append(f"  {value:g}: {t4.size} of {(self.asked == value).sum()}{median}")
        return "\n".join(lines)


def line(runs: Sequence[Run], field: str) -> Line:
    rows = []
    for run in runs:
        times = phase_times(run)
        if times.t4 is None:
            continue
        h, norm = run.hparams, run.channels["weight_norm"]
        t2 = np.nan if times.t2 is None else times.t2
        at = np.interp([t2, times.t4], norm.steps, norm.values)
        shrunk = np.log(at[0] / at[1])
        peak = int(norm.values[norm.steps <= times.t4].argmax())
        from_peak = (np.log(norm.values[peak] / at[1]), times.t4 - norm.steps[peak])
        # What an evaluation shows happened on average half an interval before it.
        seen = (t2 - EVALUATE_EVERY / 2, times.t4 - EVALUATE_EVERY / 2)
        rows.append((h[field], h["learning_rate"], h["weight_decay"], *seen, shrunk, *from_peak))
    columns = np.array(rows, dtype=float).T
    return Line(*columns, asked=np.array([run.hparams[field] for run in runs], dtype=float))


def bootstrap(
    statistic: Callable[[np.ndarray], FloatArray], n: int, resamples: int = RESAMPLES
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return a statistic of row indices and the ends of its 95 % percentile interval."""
    rng = np.random.default_rng(0)
    drawn = np.array([statistic(rng.integers(0, n, n)) for _ in range(resamples)])
    low, high = np.nanquantile(drawn, [0.025, 0.975], axis=0)
    return statistic(np.arange(n)), low, high


def exponents(t: FloatArray, *factors: FloatArray) -> str:
    """Return the exponents of a product of powers, by least squares on logarithms."""
    x = np.stack([np.ones_like(t), *(np.log(f) for f in factors)], axis=1)
    y = np.log(t)
    found, low, high = bootstrap(lambda i: np.linalg.lstsq(x[i], y[i])[0], len(t))
    residual = y - x @ found
    r2 = 1 - residual.var() / y.var()
    each = ", ".join(
        f"{value:+.2f} ({a:+.2f} to {b:+.2f})"
        for value, a, b in zip(found[1:], low[1:], high[1:], strict=True)
    )
    return f"{each}, r2 {r2:.2f}, {len(t)} runs"


def fit_law(x: FloatArray, t: FloatArray) -> FloatArray:
    """Return a, gamma, b of t = a x^-gamma + b, with x as a share of its largest value."""
    with np.errstate(over="ignore"):  # a step that the search tries and rejects
        law = fit_generalisation_law(list(x / x.max()), list(t))
    return np.array([law.a * x.max() ** law.gamma, law.gamma, law.b])


def beside_constant(found: Line) -> str:
    x, t = found.value, found.t4
    (_, gamma, b), low, high = bootstrap(lambda i: fit_law(x[i], t[i]), len(t), LAW_RESAMPLES)
    return (
        f"{-gamma:+.2f} ({-high[1]:+.2f} to {-low[1]:+.2f}), "
        f"constant {b:.0f} ({low[2]:.0f} to {high[2]:.0f}) steps"
    )


def powers() -> None:
    """Print and draw t4 and t4 - t2 over weight decay and over learning rate."""
    print("## Steps to generalise over weight decay and learning rate\n")
    drawn = figure(1, 4, width=12.0, height=3.3)
    places = iter(drawn.axes)
    for task in ("addition", "digits"):
        pooled = []
        for kind, field in (("decay", "weight_decay"), ("rate", "learning_rate")):
            every = line(EXPERIMENTS[f"{kind}-{task}"].runs(), field)
            print(f"{task}, {NAMES[field]}: how many generalised")
            print(every.table())
            found = every.kept()
            pooled.append(found)
            late = found.t4 > found.t2
            print(f"{task}, {NAMES[field]} {found.value.min()} to {found.value.max()}:")
            print(f"  exponent of t4: {exponents(found.t4, found.value)}")
            print(f"  exponent of t4 beside a constant: {beside_constant(found)}")
            delay = (found.t4 - found.t2)[late]
            print(f"  exponent of t4 - t2: {exponents(delay, found.value[late])}")
            middle = np.median(np.unique(found.value))
            for name, half in (
                ("lower", found.value <= middle),
                ("upper", found.value >= middle),
            ):
                part = exponents(found.t4[half], found.value[half])
                print(f"  exponent of t4, {name} half of the values: {part}")
            _draw_power(next(places), every, f"{task}: {NAMES[field]}")
        _delays(task, pooled)
    drawn.savefig(FIGURES / "powers.png")


def _delays(task: str, lines: Sequence[Line]) -> None:
    """Print what the delay laws of arXiv 2603.13331 and 2605.18845 speak of."""
    pooled = {f.name: np.concatenate([getattr(one, f.name) for one in lines]) for f in fields(Line)}
    t4, rate, decay = pooled["t4"], pooled["rate"], pooled["decay"]
    print(f"{task}, both lines:")
    print(f"  exponents of learning rate and weight decay: {exponents(t4, rate, decay)}")
    print(f"  exponent of their product: {exponents(t4, rate * decay)}")
    starts = (
        ("t2", t4 - pooled["t2"], pooled["contraction"]),
        ("the peak of the norm", pooled["since_peak"], pooled["peak_contraction"]),
    )
    for start, steps, shrunk in starts:
        clear = steps >= 4 * EVALUATE_EVERY  # shorter delays are known too badly
        clock = (steps * rate * decay)[clear]
        print(f"  from {start} to t4, {clear.sum()} runs, quartiles of:")
        print(f"    log of norm at start over norm at t4: {_quartiles(shrunk[clear])}")
        print(f"    steps times lr wd: {_quartiles(clock)}")
        print(f"    kappa, the first over the second: {_quartiles(shrunk[clear] / clock)}")
    print()


def _quartiles(values: FloatArray) -> str:
    return " ".join(f"{q:.2f}" for q in np.quantile(values, [0.25, 0.5, 0.75]))


def _draw_power(axes: Axes, found: Line, title: str) -> None:
    values = np.unique(found.value)
    for t, name, colour in ((found.t2, "t2, memorised", 1), (found.t4, "t4, generalised", 0)):
        axes.plot(found.value, t, ".", color=COLOURS[colour], ms=4, alpha=0.6)
        middle = [np.nanmedian(t[found.value == value]) for value in values]
        axes.plot(values, middle, "-", color=COLOURS[colour], lw=1, label=name)
    centre = np.exp(np.log(found.t4).mean()) * np.exp(np.log(found.value).mean())
    axes.plot(values, centre / values, "--", color=FAINT, lw=1, label="slope -1")
    logarithmic(axes, "x")
    logarithmic(axes, "y")
    axes.set(title=title, xlabel=title.split(": ")[1], ylabel="steps")
    axes.legend(frameon=False)


def fractions() -> None:
    """Print and draw t4 over the training fraction with the law of Notsawo et al. 2023."""
    print("## Steps to generalise over the training fraction\n")
    every = line(EXPERIMENTS["fraction-addition"].runs(), "train_fraction")
    found = every.kept()
    r, t4 = found.value, found.t4
    value, low, high = bootstrap(lambda i: fit_law(r[i], t4[i]), len(r), LAW_RESAMPLES)
    law = GeneralisationLaw(*value)
    print(f"a + b mod 23, fractions {r.min()} to {r.max()}, {len(r)} runs:")
    for name, v, a, b in zip(("a", "gamma", "b"), value, low, high, strict=True):
        print(f"  {name} = {v:.2f} ({a:.2f} to {b:.2f})")
    shares = np.unique(r)
    middle = np.array([np.median(t4[r == x]) for x in shares])
    print(f"  r2 of log t4: {_r2(law, r, t4):.2f}, over medians {_r2(law, shares, middle):.2f}")
    print(f"  power law without b: exponent {exponents(t4, r)}")
    print(every.table() + "\n")

    drawn = figure(1, 1, width=4.0, height=3.3)
    (axes,) = drawn.axes
    axes.plot(every.value, every.t4, ".", color=COLOURS[0], ms=4, alpha=0.6)
    grid = np.linspace(r.min(), r.max(), 100)
    label = rf"${law.a:.3g}\,r^{{-{law.gamma:.2f}}} + {law.b:.0f}$"
    axes.plot(grid, [law(x) for x in grid], "-", color=COLOURS[1], lw=1, label=label)
    logarithmic(axes, "y")
    axes.set(title="a + b mod 23", xlabel="training fraction r", ylabel="t4, steps")
    axes.legend(frameon=False)
    drawn.savefig(FIGURES / "fractions.png")


def _r2(law: GeneralisationLaw, r: FloatArray, t4: FloatArray) -> float:
    y = np.log(t4)
    return float(1 - np.square(y - np.log([law(x) for x in r])).mean() / y.var())
