"""The learning rate x weight decay map, and how well the first 400 steps foretell it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from drawing import FIGURES, figure
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from runs import DECAYS, EXPERIMENTS, WINDOW
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from grokpredict.features.conditioning import SignalSettings
from grokpredict.features.signal import extract, feature_names
from grokpredict.runs.curve import FloatArray
from grokpredict.runs.labels import LabelRule, Phase, outcome, phase, phase_times
from grokpredict.runs.run import Run, window
from grokpredict.training.ranking import Interval, auroc_intervals

#: A run whose training accuracy never exceeds this learned nothing: dead.
ALIVE = 0.5
#: A random order of the folds is no part of the result: predictions are averaged over so many.
ORDERS = 5
CUTOFFS = (1 / 128, 1 / 64, 1 / 16)
#: Next to no noise floor; the rounding of the stored losses, one part in 8 192, remains.
BARE = 1e-12


@dataclass(frozen=True)
class Map:
    """Arrays over the runs of one grid whose outcome and window are known."""

    rate: FloatArray
    decay: FloatArray
    accuracy: FloatArray
    generalised: np.ndarray
    inside: np.ndarray  # generalised within the window
    dead: np.ndarray
    barren: np.ndarray  # at a weight decay at which no run ever memorised
    features: Mapping[str, FloatArray]
    left_out: int


def measure(grid: Sequence[Run]) -> Map:
    runs = [run for run in grid if len(run.loss) >= WINDOW]  # the others diverged before
    losses = window(runs, WINDOW)
    table = extract(losses)
    features = dict(zip(feature_names(), table.T, strict=True))
    activity = list(feature_names()).index("loss_activity")
    for cutoff in CUTOFFS:
        other = extract(losses, SignalSettings(trend_cutoff=cutoff))
        features[f"activity above 1/{1 / cutoff:.0f}"] = other[:, activity]
    bare = extract(losses, SignalSettings(noise_floor=BARE))
    features["activity without noise floor"] = bare[:, activity]
    features["variance of the raw loss"] = np.log10(losses.var(axis=1))
    outcomes = [outcome(run) for run in runs]
    by = [o.by(run.max_steps) for o, run in zip(outcomes, runs, strict=True)]
    known = np.isfinite(table[:, 0]) & np.array([b is not None for b in by])

    def column(values: Sequence[float]) -> np.ndarray:
        return np.array(values)[known]

    decay = column([run.hparams["weight_decay"] for run in runs])
    memorised = column([phase_times(run).t2 is not None for run in runs])
    t4 = column([np.inf if o.t4 is None else o.t4 for o in outcomes])
    return Map(
        rate=column([run.hparams["learning_rate"] for run in runs]),
        decay=decay,
        accuracy=column([run.channels["val_acc"].values[-1] for run in runs]),
        generalised=column([bool(b) for b in by]),
        inside=t4 <= WINDOW,
        dead=column([np.nanmax(run.channels["train_acc"].values) <= ALIVE for run in runs]),
        barren=~np.isin(decay, decay[memorised]),
        features={name: values[known] for name, values in features.items()},
        left_out=len(grid) - int(known.sum()),
    )


def cross_validated(x: FloatArray, y: np.ndarray) -> FloatArray:
    """Return out-of-fold probabilities of a logistic regression with squares and products."""
    model = make_pipeline(
        StandardScaler(), PolynomialFeatures(2, include_bias=False), LogisticRegression()
    )
    found = [
        cross_val_predict(
            model, x, y, cv=StratifiedKFold(5, shuffle=True, random_state=k), method="predict_proba"
        )[:, 1]
        for k in range(ORDERS)
    ]
    return np.mean(found, axis=0)


def scores(m: Map, kept: np.ndarray) -> dict[str, FloatArray]:
    y = m.generalised[kept]
    rate = np.log10(m.rate[kept])
    decay = np.log10(np.maximum(m.decay[kept], DECAYS[1] / 2))
    activity = m.features["loss_activity"][kept]
    both = np.stack([rate, decay], axis=1)
    found = {
        "activity": activity,
        "spectral energy": m.features["loss_energy"][kept],
        "variance of the raw loss": m.features["variance of the raw loss"][kept],
    }
    found |= {
        name: values[kept] for name, values in m.features.items() if name.startswith("activity ")
    }
    found |= {
        "relative activity": m.features["relative_activity"][kept],
        "activity of the log loss": m.features["log_activity"][kept],
        "learning rate": rate,
        "weight decay": decay,
        "their product": rate + decay,
        "activity, fitted": cross_validated(activity[:, None], y),
        "configuration and activity, fitted": cross_validated(np.column_stack([both, activity]), y),
        "configuration, fitted": cross_validated(both, y),
    }
    return found


def maps() -> None:
    """Print and draw the maps of both networks."""
    print("## The learning rate x weight decay map\n")
    drawn = figure(2, 3, width=9.5, height=6.0)
    for row, name in enumerate(("map-mlp", "map-transformer")):
        runs = EXPERIMENTS[name].runs()
        m = measure(runs)
        stages = [phase(run, run.max_steps) for run in runs]
        counts = ", ".join(f"{stages.count(p)} {p.value}" for p in Phase)
        print(
            f"{name}: {len(runs)} runs, {counts}; left out {m.left_out} (diverged inside the "
            f"window, or censored); generalised inside the window {m.inside.sum()}, dead "
            f"{m.dead.sum()}, at decays at which no run memorised {m.barren.sum()}\n"
        )
        lost = m.generalised & (m.accuracy < LabelRule().threshold)
        print(f"had generalised and lost it again by the end: {lost.sum()}\n")
        subsets = {
            "all": np.ones_like(m.dead),
            "without the dead": ~m.dead,
            "without decays at which none memorised": ~m.barren,
            "not yet generalised at 400": ~m.inside,
        }
        _print_table(m, subsets)
        _draw(drawn.axes[3 * row : 3 * row + 3], m, name.removeprefix("map-"), drawn)
    drawn.savefig(FIGURES / "maps.png")


def _print_table(m: Map, subsets: Mapping[str, np.ndarray]) -> None:
    columns = []
    for kept in subsets.values():
        found = scores(m, kept)
        y = m.generalised[kept]
        areas, leads = auroc_intervals(
            y, np.array(list(found.values())), np.arange(len(y)), np.random.default_rng(0)
        )
        cells = [_cell(area) for area in areas]
        order = list(found)
        both = order.index("configuration and activity, fitted")
        cells.append(_cell(leads[both]))
        columns.append([f"{y.sum()} of {len(y)}", *cells])
    names = ["generalised", *order, "lead of activity over configuration"]
    print("| AUROC | " + " | ".join(subsets) + " |\n| --- |" + " ---: |" * len(subsets))
    for name, *cells in zip(names, *columns, strict=True):
        print(f"| {name} | " + " | ".join(cells) + " |")
    print()


def _cell(found: Interval) -> str:
    return f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})"


def _draw(axes: Sequence[Axes], m: Map, network: str, drawn: Figure) -> None:
    panels = (
        ("final validation accuracy", m.accuracy, {"vmin": 0, "vmax": 1}),
        ("log10 of spectral energy", m.features["loss_energy"], {}),
        ("log10 of activity", m.features["loss_activity"], {}),
    )
    rates, columns = np.unique(m.rate, return_inverse=True)
    decays, rows = np.unique(m.decay, return_inverse=True)
    every = -(-len(rates) // 4)
    for place, (title, values, limits) in zip(axes, panels, strict=True):
        grid = np.full((len(decays), len(rates)), np.nan)
        grid[rows, columns] = values
        image = place.imshow(grid, origin="lower", cmap="viridis", aspect="auto", **limits)
        drawn.colorbar(image, ax=place)
        place.plot(columns[m.generalised], rows[m.generalised], ".", color="w", ms=2.5)
        place.plot(columns[m.dead], rows[m.dead], "x", color="r", ms=3, mew=0.8)
        place.set(title=f"{network}: {title}", xlabel="learning rate", ylabel="weight decay")
        place.set_xticks(range(0, len(rates), every), [f"{r:.2g}" for r in rates[::every]])
        place.set_yticks(range(0, len(decays), 2), [f"{d:.2g}" for d in decays[::2]])
