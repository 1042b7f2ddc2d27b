"""What each part of what the classifier reads is worth, beside generic time-series classifiers.

    python benchmarks/bench_features.py [ladder] [ablation] [ceilings] [curve] [--sweeps FOLDER ...]

On the finest grid, by five folds over whole configurations with runs left out at horizons within
which they generalised, and by leaving out each family whole. Printed for each: the AUROC at each
horizon; the mean over horizons of the median AUROC over families left out; the share of the
oracle's saving (all doomed runs stopped at the first horizon) at 5 % of good runs lost, threshold
in hindsight. Only runs with validation loss and accuracy count, so that all rows are of the same
runs.

`ceilings` needs `pip install aeon pycatch22`, in an environment of their own.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from grokpredict import read_sweep
from grokpredict.boosting import fit_trees
from grokpredict.classifier import all_feature_names, columns_read
from grokpredict.conditioning import SignalSettings
from grokpredict.curves import window
from grokpredict.evaluate.ledger import among, finished
from grokpredict.features import feature_names, log10_loss
from grokpredict.ranking import auroc
from grokpredict.terms import CONTEXT_TERMS, GRID_TERMS
from grokpredict.training_table import (
    EXTRA_BUDGETS,
    columns,
    extract_grids,
    known_runs,
    training_rows,
)
from grokpredict.validation import FOLDS, family_folds, folds

HORIZONS = (200, 400, 800, 1600, 3200)
NORM_TERMS = ("norm_change", "norm_half", "norm_size", "gradient_change", "gradient_over_norm")
N_LOSS = len(feature_names())
SIGNATURE = [
    i
    for i, name in enumerate(feature_names())
    if "energy" in name or name.endswith(("activity", "mobility", "complexity"))
]
LEVELS = [
    feature_names().index(name)
    for name in ("loss_activity", "loss_energy", "start_level", "end_level")
]


@dataclass(frozen=True)
class Bench:
    """Runs, their windows and how they are split."""

    runs: object
    grids: list
    spent: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "splits", list(folds(self.runs, FOLDS, 0)))
        object.__setattr__(self, "families", [own[1:] for own in family_folds(self.runs)])


def trees(x, y, names, per_run):
    """Fit the classifier's own estimator; return a function that gives probabilities."""
    return fit_trees(x, y, names, rows_per_run=per_run, seed=0).probability


def sklearn_model(make: Callable) -> Callable:
    """Return an estimator in the form of :func:`trees`."""

    def fit(x, y, names, per_run):
        model = make(per_run).fit(x, y)
        return lambda rows: model.predict_proba(rows)[:, 1]

    return fit


ESTIMATORS = {
    "extremely randomised trees": sklearn_model(
        lambda per_run: make_pipeline(
            SimpleImputer(strategy="median"),
            ExtraTreesClassifier(200, min_samples_leaf=round(per_run), random_state=0),
        )
    ),
    "logistic regression": sklearn_model(
        lambda per_run: make_pipeline(
            SimpleImputer(strategy="median"),
            StandardScaler(),
            LogisticRegression(C=0.1, max_iter=500),
        )
    ),
}


def scores(
    bench: Bench,
    splits: Sequence,
    chosen: np.ndarray,
    *,
    extra: Sequence[np.ndarray] | None = None,
    fit: Callable = trees,
    share: float = 1.0,
) -> np.ndarray:
    """Return held-out probabilities, shape (n_horizons, n_runs).

    ``extra`` has more columns for each grid's windows; ``share`` of the configurations are kept.
    """
    runs, grids = bench.runs, bench.grids
    found = np.full((len(grids), len(runs)), np.nan)
    width = extra[0].shape[1] if extra else 0
    names = [all_feature_names()[i] for i in chosen] + [f"extra_{i}" for i in range(width)]
    for number, (fitted, held) in enumerate(splits):
        kept = fitted
        if share < 1:
            every = np.unique(runs.configuration[fitted])
            order = np.random.default_rng(number).permutation(every)
            kept = fitted & np.isin(runs.configuration, order[: round(share * every.size)])
        rows = training_rows(runs, grids, kept, np.random.default_rng(0))
        x = rows.x[:, chosen]
        if extra:
            parts = [own[kept[grid.run]] for own, grid in zip(extra, grids, strict=True)]
            x = np.column_stack([x, np.repeat(np.concatenate(parts), EXTRA_BUDGETS + 1, axis=0)])
        model = fit(x, rows.y, names, len(rows.y) / np.unique(rows.run).size)
        for row, grid in enumerate(grids):
            own = np.flatnonzero(held[grid.run])
            if own.size:
                index = grid.run[own]
                asked = columns(runs, grid, own, runs.budget[index])[:, chosen]
                if extra:
                    asked = np.column_stack([asked, extra[row][own]])
                found[row, index] = model(asked)
    return found


def line(bench: Bench, name: str, chosen: np.ndarray, *, by_family: bool = True, **options):
    """Print one row of a table."""
    good = bench.runs.generalised
    own = scores(bench, bench.splits, chosen, **options)
    areas = [auroc(good[k], row[k]) for row in own for k in [np.isfinite(row)]]
    least = np.where(np.isfinite(own), own, np.inf).min(axis=0)
    limit = np.sort(least[good])[int(0.05 * good.sum())]
    hits = own < limit
    first = np.array(HORIZONS)[hits.argmax(axis=0)]
    doomed = ~good & hits.any(axis=0)
    saved = np.maximum(bench.spent - first, 0)[doomed].sum()
    oracle = np.maximum(bench.spent - HORIZONS[0], 0)[~good].sum()
    family = "-"
    if by_family:
        left = scores(bench, bench.families, chosen, **options)
        by_horizon = []
        for row in left:
            found = [
                auroc(good[k], row[k])
                for _, held in bench.families
                for k in [held & np.isfinite(row)]
                if min(good[k].sum(), (~good[k]).sum()) >= 5
            ]
            by_horizon.append(np.median(found))
        family = f"{np.mean(by_horizon):.3f}"
    cells = " | ".join(f"{area:.3f}" for area in areas)
    print(
        f"| {name} | {cells} | {np.mean(areas):.3f} | {family} | {saved / oracle:.2f} |", flush=True
    )


def header(title: str) -> None:
    """Print the head of a table."""
    print(f"\n{title}\n\n| reads | {' | '.join(map(str, HORIZONS))} | mean | family out | saved |")
    print("| --- |" + " ---: |" * (len(HORIZONS) + 3))


def without(dropped: Sequence[int]) -> np.ndarray:
    """Return all columns but some."""
    return np.setdiff1d(columns_read(True, True), dropped)


def norm_terms(bench: Bench) -> list[np.ndarray]:
    """Return what weight norm and gradient norm tell, for each grid."""
    found = []
    for grid in bench.grids:
        rows = []
        for i in grid.run:
            run = bench.runs.runs[i]
            weight, gradient = (run.channels[name] for name in ("weight_norm", "grad_norm"))
            n = int(np.searchsorted(weight.steps, grid.horizon))
            w = np.log10(np.maximum(weight.values[:n], 1e-12))
            g = np.log10(np.maximum(gradient.values[:n], 1e-12))
            half = int(np.searchsorted(weight.steps, grid.horizon / 2, side="right")) - 1
            size = w[-1] - np.log10(run.context.n_parameters) / 2
            rows.append([w[-1] - w[0], w[-1] - w[half], size, g[-1] - g[0], g[-1] - w[-1]])
        found.append(np.array(rows))
    return found


def log_losses(bench: Bench, n: int) -> list[np.ndarray]:
    """Return log10 of the loss at ``n`` log-spaced steps, for each grid; medians in between."""
    found = []
    for grid in bench.grids:
        curves = window([bench.runs.runs[i] for i in grid.run], grid.horizon)[:, 0]
        logs = log10_loss(curves, 1e-8)
        edges = np.unique(np.geomspace(1, grid.horizon, n + 1).round().astype(int))
        at = np.searchsorted(edges, np.geomspace(1, grid.horizon - 1, n), side="right") - 1
        steps = [np.median(logs[:, edges[k] - 1 : edges[k + 1]], axis=1) for k in at]
        found.append(np.column_stack(steps))
    return found


def catch22(bench: Bench) -> list[np.ndarray]:
    """Return catch24 of log10 of the loss."""
    import pycatch22

    logs = _resampled(bench)
    return [
        np.array([pycatch22.catch22_all(c.tolist(), catch24=True)["values"] for c in own])
        for own in logs
    ]


def minirocket(bench: Bench) -> list[np.ndarray]:
    """Return MiniRocket's features of log10 of the loss, the 64 with the largest variance kept."""
    from aeon.transformations.collection.convolution_based import MiniRocket

    found = []
    for own in _resampled(bench):
        made = np.asarray(MiniRocket(n_kernels=840, random_state=0).fit_transform(own[:, None]))
        found.append(made[:, np.argsort(-made.var(axis=0))[:64]])
    return found


def _resampled(bench: Bench) -> list[np.ndarray]:
    """Return log10 of the loss, every so many steps that 200 are left."""
    found = []
    for grid in bench.grids:
        curves = window([bench.runs.runs[i] for i in grid.run], grid.horizon, grid.horizon // 200)
        found.append(log10_loss(curves[:, 0], 1e-8))
    return found


def ladder(bench: Bench) -> None:
    """Print what each rung adds."""
    header("Ladder")
    norms = norm_terms(bench)
    context = np.arange(len(all_feature_names()))[-len(CONTEXT_TERMS) :]
    grid = all_feature_names().index(GRID_TERMS[0])
    line(bench, "configuration alone", np.r_[grid : grid + 4, context])
    line(bench, "loss", columns_read(False, False))
    line(bench, "loss + context", columns_read(True, False))
    line(bench, "loss + context + norms", columns_read(True, False), extra=norms)
    line(bench, "loss + validation", columns_read(False, True))
    line(bench, "loss + context + validation", columns_read(True, True))
    line(bench, "loss + context + validation + norms", columns_read(True, True), extra=norms)


def ablation(bench: Bench) -> None:
    """Print what is lost without each group of columns."""
    names = all_feature_names()
    header("Without each group of columns: loss + context + validation")
    shape = sorted(set(range(N_LOSS)) - set(SIGNATURE))
    line(bench, "all", without([]))
    line(bench, "without the spectral signature", without(SIGNATURE))
    line(bench, "without the shape", without(shape))
    line(bench, "without levels of the loss", without(LEVELS))
    for part in ("val_loss", "val_acc"):
        own = [i for i, name in enumerate(names) if name.startswith(part)]
        line(bench, f"without {part}", without(own))
    own = [i for i, name in enumerate(names) if "lr_" in name]
    line(bench, "without products of the learning rate", without(own))


def ceilings(bench: Bench) -> None:
    """Print generic features and estimators."""
    header("Ceilings: what replaces the features of the loss, with the context")
    rest = columns_read(True, False)[N_LOSS:]
    both = columns_read(True, False)
    line(bench, "ours", both)
    for name, fit in ESTIMATORS.items():
        line(bench, f"ours, {name}", both, fit=fit)
    logs = log_losses(bench, 64)
    line(bench, "log-loss at 64 log-spaced steps", rest, extra=logs)
    line(bench, "ours and these", both, extra=logs)
    for make in (catch22, minirocket):
        try:
            line(bench, make.__name__, rest, extra=make(bench))
        except ModuleNotFoundError as error:
            print(f"{make.__name__} left out: {error}")


def curve(bench: Bench) -> None:
    """Print the learning curve."""
    header("Share of the training configurations")
    for told, validated in ((True, False), (True, True)):
        for share in (0.25, 0.5, 0.75, 1.0):
            name = "loss + context" + " + validation" * validated
            line(
                bench,
                f"{name}, {share:.0%}",
                columns_read(told, validated),
                by_family=False,
                share=share,
            )


TABLES = {"ladder": ladder, "ablation": ablation, "ceilings": ceilings, "curve": curve}


def main() -> None:
    """Print the tables asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("tables", nargs="*", default=list(TABLES))
    parser.add_argument(
        "--sweeps", nargs="+", default=[str(Path(__file__).parents[1] / "data/sweeps")]
    )
    args = parser.parse_args()
    done = finished(known_runs(read_sweep(args.sweeps), None, None)[0], HORIZONS[0])
    measured = np.array(["val_acc" in run.channels for run in done.runs.runs])
    runs = among(done.runs, measured)
    grids = extract_grids(runs, [(horizon, 1) for horizon in HORIZONS], SignalSettings())
    kept = [np.isfinite(grid.metrics).all(axis=1) for grid in grids]
    grids = [
        replace(grid, run=grid.run[k], features=grid.features[k], metrics=grid.metrics[k])
        for grid, k in zip(grids, kept, strict=True)
    ]
    bench = Bench(runs, grids, done.spent[measured])
    print(f"{len(runs)} runs, {runs.generalised.sum()} of them generalise")
    for name in args.tables:
        TABLES[name](bench)


if __name__ == "__main__":
    main()
