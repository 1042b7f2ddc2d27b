"""What each part of what the classifier reads is worth, beside generic time-series classifiers.

    python benchmarks/bench_features.py [ladder] [ablation] [ceilings] [curve] [--sweeps FOLDER ...]

On the finest grid, by five folds over whole networks with runs left out at horizons within
which they generalised, and by leaving out each family whole. Printed for each: the AUROC at each
horizon; the mean over horizons of the median AUROC over families left out; the share of the
oracle's saving (all doomed runs stopped at the first horizon) at 5 % of good runs lost, threshold
in hindsight. Only runs with validation loss and accuracy count, so that all rows are of the same
runs.

`ablation` has differences to all columns with 95 % intervals: from a bootstrap over networks, and
Student's over families left out.

`ceilings` needs `pip install aeon pycatch22`, in an environment of their own.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.stats import t
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from grokpredict import read_sweep
from grokpredict.evaluation.ledger import finished
from grokpredict.features.conditioning import SignalSettings
from grokpredict.features.signal import feature_names, log10_loss
from grokpredict.features.window import WINDOW_COLUMNS
from grokpredict.model.reading import (
    CONFIGURATION_ALONE,
    WINDOW_READS,
    columns_read,
    in_words,
)
from grokpredict.runs.run import window
from grokpredict.training import table as training_table
from grokpredict.training.cross_validation import FOLDS, family_folds, folds
from grokpredict.training.fit import fit_trees
from grokpredict.training.ranking import auroc, enough
from grokpredict.training.table import (
    EXTRA_BUDGETS,
    Rows,
    columns,
    extract_grids,
    known_runs,
    training_rows,
)

HORIZONS = (200, 400, 800, 1600, 3200)
ABLATED_HORIZONS = (400, 1600)
RESAMPLES = 300
NORM_TERMS = ("norm_change", "norm_half", "norm_size", "gradient_change", "gradient_over_norm")
N_LOSS = len(feature_names())


@dataclass(frozen=True)
class Bench:
    """Runs, their windows and how they are split."""

    runs: object
    grids: list
    spent: np.ndarray
    everyone: "Bench | None" = None

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
    names = [WINDOW_COLUMNS[i] for i in chosen] + [f"extra_{i}" for i in range(width)]
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
            size = w[-1] - np.log10(run.configuration.n_parameters) / 2
            rows.append([w[-1] - w[0], w[-1] - w[half], size, g[-1] - g[0], g[-1] - w[-1]])
        found.append(np.array(rows))
    return found


def log_losses(bench: Bench, n: int) -> list[np.ndarray]:
    """Return log10 of the loss at ``n`` log-spaced steps, for each grid; medians in between."""
    found = []
    for grid in bench.grids:
        curves = window([bench.runs.runs[i] for i in grid.run], grid.horizon)
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
        found.append(log10_loss(curves, 1e-8))
    return found


def ladder(bench: Bench) -> None:
    """Print what each rung adds."""
    header("Ladder")
    norms = norm_terms(bench)
    line(bench, "configuration alone", columns_read(CONFIGURATION_ALONE))
    for reads in WINDOW_READS:
        line(bench, in_words(reads), columns_read(reads))
        if "configuration" in reads:
            line(bench, f"{in_words(reads)} + norms", columns_read(reads), extra=norms)


#: Groups of columns that the ablation leaves out, by their names or the beginnings of these.
LOSS_GROUPS = {
    "signature of the raw loss": (
        "loss_activity",
        "loss_mobility",
        "loss_complexity",
        "loss_energy",
    ),
    "signature of the relative loss": ("relative_",),
    "signature of the log-loss": ("log_activity", "log_mobility", "log_complexity", "log_energy"),
    "levels": ("start_level", "end_level"),
    "drop": ("drop",),
    "slopes and curvature": ("slope_", "loglog_slope", "curvature"),
    "times of falling": ("fall_",),
    "rebound and share of rises": ("rebound", "up_share"),
    "roughness": ("roughness",),
    "spikes": ("spike_",),
}
CONTEXT_GROUPS = {
    "learning rate, decay": ("log10_learning_rate", "log10_weight_decay", "no_weight_decay"),
    "their products with steps": ("log10_lr_",),
    "momentum, optimiser": ("momentum", "optimizer_"),
    "training-set size": ("log10_train_size",),
}
VALIDATION_GROUPS = {
    "val_loss, levels": ("val_loss_level", "val_loss_best", "val_loss_gap"),
    "val_loss, changes": ("val_loss_rise", "val_loss_change", "val_loss_best_when"),
    "val_acc, levels": ("val_acc_log_odds", "val_acc_best"),
    "val_acc, changes": ("val_acc_change", "val_acc_gain", "val_acc_half_when"),
}
UNIONS = {
    "signature, all": (
        "signature of the raw loss",
        "signature of the relative loss",
        "signature of the log-loss",
    ),
    "shape, all": (
        "levels",
        "drop",
        "slopes and curvature",
        "times of falling",
        "rebound and share of rises",
        "roughness",
        "spikes",
    ),
}


@dataclass(frozen=True)
class Areas:
    """AUROC, the mean over horizons, of one choice of columns.

    ``networks`` is over runs of networks that were not trained on, for the runs as they are and
    for each resample of whole networks; ``families`` of each family left out.
    """

    networks: np.ndarray
    families: np.ndarray


def _areas(bench: Bench, rows: Rows, chosen: np.ndarray, resamples: np.ndarray) -> Areas:
    good = bench.runs.generalised
    own = held_out(bench, rows, bench.splits, chosen)
    by_horizon = [
        [auroc(good[k], row[k], weight[k]) for weight in resamples]
        for row in own
        for k in [np.isfinite(row)]
    ]
    left = held_out(bench, rows, bench.families, chosen)
    families = []
    for _, out in bench.families:
        found = [
            auroc(good[k], row[k])
            for row in left
            for k in [out & np.isfinite(row)]
            if enough(good[k])
        ]
        families.append(np.mean(found) if found else np.nan)
    return Areas(np.mean(by_horizon, axis=0), np.array(families))


def held_out(bench: Bench, rows: Rows, splits: Sequence, chosen: np.ndarray) -> np.ndarray:
    """Return held-out probabilities of fits to some columns, shape (n_horizons, n_runs)."""
    found = np.full((len(bench.grids), len(bench.runs)), np.nan)
    names = [WINDOW_COLUMNS[i] for i in chosen]
    for fitted, held in splits:
        own = rows.among(fitted)
        model = trees(own.x[:, chosen], own.y, names, len(own.y) / np.unique(own.run).size)
        for row, grid in enumerate(bench.grids):
            asked = np.flatnonzero(held[grid.run])
            if asked.size:
                index = grid.run[asked]
                x = columns(bench.runs, grid, asked, bench.runs.budget[index])
                found[row, index] = model(x[:, chosen])
    return found


def _compared(bench: Bench, title: str, whole: np.ndarray, choices: dict[str, np.ndarray]) -> None:
    """Print the areas of all columns, and the difference that each choice of columns makes."""
    rows = training_rows(
        bench.runs, bench.grids, np.ones(len(bench.runs), bool), np.random.default_rng(0)
    )
    _, network = np.unique(bench.runs.network, return_inverse=True)
    n = network.max() + 1
    counts = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), RESAMPLES)
    resamples = np.concatenate([np.ones((1, n)), counts])[:, network]
    everything = _areas(bench, rows, whole, resamples)
    print(
        f"\n{title}: all {whole.size} columns {everything.networks[0]:.3f} on networks held out, "
        f"{np.nanmean(everything.families):.3f} on families left out\n\n"
        "| columns | networks out | difference | families out | difference | better in |\n"
        "| --- | ---: | --- | ---: | --- | ---: |",
        flush=True,
    )
    for name, chosen in choices.items():
        own = _areas(bench, rows, chosen, resamples)
        change = own.networks - everything.networks
        low, high = np.quantile(change[1:], [0.025, 0.975])
        by_family = own.families - everything.families
        by_family = by_family[np.isfinite(by_family)]
        wide = t.ppf(0.975, by_family.size - 1) * by_family.std(ddof=1) / np.sqrt(by_family.size)
        print(
            f"| {name} | {own.networks[0]:.3f} | {change[0]:+.3f} [{low:+.3f}, {high:+.3f}] "
            f"| {np.nanmean(own.families):.3f} | {by_family.mean():+.3f} "
            f"[{by_family.mean() - wide:+.3f}, {by_family.mean() + wide:+.3f}] "
            f"| {(by_family > 0).sum()} of {by_family.size} |",
            flush=True,
        )


def _named(beginnings: Sequence[str]) -> np.ndarray:
    """Return the columns whose names begin so."""
    return np.array(
        [i for i, name in enumerate(WINDOW_COLUMNS) if name.startswith(tuple(beginnings))]
    )


def _groups(kinds: Sequence[dict[str, tuple[str, ...]]]) -> dict[str, np.ndarray]:
    found = {name: _named(own) for kind in kinds for name, own in kind.items()}
    if LOSS_GROUPS in kinds:
        found |= {
            name: np.concatenate([found[part] for part in parts]) for name, parts in UNIONS.items()
        }
    return found


def ablation(bench: Bench) -> None:
    """Print what each group of columns is worth: left out, and alone with grid and budget.

    At two horizons, with one budget besides each run's own, so that 1 200 fits take minutes.
    """
    assert bench.everyone is not None
    few, everyone = (
        replace(own, grids=[grid for grid in own.grids if grid.horizon in ABLATED_HORIZONS])
        for own in (bench, bench.everyone)
    )
    validated = [LOSS_GROUPS, CONTEXT_GROUPS, VALIDATION_GROUPS]
    usual, training_table.EXTRA_BUDGETS = training_table.EXTRA_BUDGETS, 1
    for own, reads, kinds in (
        (everyone, WINDOW_READS[0], [LOSS_GROUPS]),
        (everyone, WINDOW_READS[1], [LOSS_GROUPS, CONTEXT_GROUPS]),
        (few, WINDOW_READS[3], validated),
    ):
        title, whole = in_words(reads), columns_read(reads)
        groups = _groups(kinds)
        choices = {f"without {name}": np.setdiff1d(whole, cut) for name, cut in groups.items()}
        if title == "loss":
            rest = np.setdiff1d(whole, np.arange(N_LOSS))
            choices |= {f"only {name}": np.r_[kept, rest] for name, kept in groups.items()}
        _compared(own, title, whole, choices)
    training_table.EXTRA_BUDGETS = usual


def ceilings(bench: Bench) -> None:
    """Print generic features and estimators."""
    header("Ceilings: what replaces the features of the loss, with the context")
    both = columns_read(WINDOW_READS[1])
    rest = both[N_LOSS:]
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
    for reads in WINDOW_READS[1::2]:
        for share in (0.25, 0.5, 0.75, 1.0):
            line(
                bench,
                f"{in_words(reads)}, {share:.0%}",
                columns_read(reads),
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
    pairs = [(horizon, 1) for horizon in HORIZONS]
    everyone = Bench(done.runs, extract_grids(done.runs, pairs, SignalSettings()), done.spent)
    measured = np.array(["val_acc" in run.channels for run in done.runs.runs])
    runs = done.runs.only(measured)
    grids = extract_grids(runs, pairs, SignalSettings())
    kept = [np.isfinite(grid.metrics).all(axis=1) for grid in grids]
    grids = [
        replace(grid, run=grid.run[k], features=grid.features[k], metrics=grid.metrics[k])
        for grid, k in zip(grids, kept, strict=True)
    ]
    bench = Bench(runs, grids, done.spent[measured], everyone)
    print(f"{len(runs)} runs, {runs.generalised.sum()} of them generalise")
    for name in args.tables:
        TABLES[name](bench)


if __name__ == "__main__":
    main()
