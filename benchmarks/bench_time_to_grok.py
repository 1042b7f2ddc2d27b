"""How far off is the step by which a run is said to generalise, beside the delay law?

    python benchmarks/bench_time_to_grok.py [SWEEP ...]

Models are fitted to four fifths of the configurations and asked about the others, in turn, on the
finest grid. Of the runs that generalise after the horizon and within their budget it prints the
median absolute error in per cent of t4 (a run of which nothing is said has an infinite one), the
share of which nothing is said, and how many t4 lie between the quartiles told. "If at all" takes
for granted that the run generalises within its budget, which is true of all of them, and no more
than the delay law does.

The delay law (arXiv 2603.13331, 2605.18845): after memorisation at t2 the squared weight norm
shrinks at the rate 2 lr wd, so t4 = t2 + log(|w(t2)|^2 / |w(t4)|^2) / (2 lr wd). It is for AdamW
runs with weight decay that memorised inside the window, and is given what no forecast has, the norm
at the end: uncalibrated, calibrated by one factor (the median over the other runs), and without
that gift, with the median of the other runs' log ratios.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from grokpredict import load_classifier, read_sweep
from grokpredict.features.conditioning import SignalSettings
from grokpredict.features.metrics import METRIC_TERMS, Evaluations
from grokpredict.model.forecast import generalisation_steps
from grokpredict.model.reading import CONFIGURATION, VALIDATION, WINDOW_READS, Reader, in_words
from grokpredict.runs.labels import phase_times
from grokpredict.runs.run import window
from grokpredict.training.cross_validation import (
    FOLDS,
    fit_reads,
    folds,
    table_for,
)
from grokpredict.training.table import extract_grids, known_runs, training_rows

HORIZONS = (200, 400, 800, 1600, 3200)


def fold_classifier(runs, grids, fit):
    """Return the default classifier with its trees fitted to some of the runs."""
    rows = training_rows(runs, grids, fit, np.random.default_rng(0))
    wide = np.full(len(METRIC_TERMS), 1e9)
    default = load_classifier()
    return replace(
        default,
        readers=tuple(
            Reader(reads, fit_reads(table_for(reads, rows, runs), reads, seed=0), {})
            for reads in WINDOW_READS
        ),
        familiar=replace(default.familiar, metric_low=-wide, metric_high=wide),
    )


def forecasts(runs, grids, splits):
    """Return by what is read and horizon the three steps of each run, NaN if it was not asked."""
    found = {}
    for fit, held in splits:
        classifier = fold_classifier(runs, grids, fit)
        for grid in grids:
            index = grid.run[held[grid.run] & runs.generalised[grid.run]]
            own = [runs.runs[i] for i in index]
            seen = [Evaluations.of(run) for run in own]
            for reads in WINDOW_READS:
                looks = classifier.look(
                    window(own, grid.horizon),
                    horizon=grid.horizon,
                    configurations=[
                        run.configuration if CONFIGURATION in reads else None for run in own
                    ],
                    budget=runs.budget[index],
                    evaluations=seen if VALIDATION[0] in reads else None,
                )
                steps = generalisation_steps(classifier, looks)
                for name, values in (("", steps.within), (", if at all", steps.if_at_all)):
                    of_runs = found.setdefault(
                        (in_words(reads) + name, grid.horizon), np.full((len(runs.runs), 3), np.nan)
                    )
                    of_runs[index] = values
    return found


def law(runs):
    """Return t2, lr wd and the log of the norm's ratio of each run; NaN where the law is silent."""
    found = np.full((len(runs.runs), 3), np.nan)
    for i, run in enumerate(runs.runs):
        rate, decay = run.configuration.learning_rate, run.configuration.weight_decay
        t2 = phase_times(run).t2
        if (
            run.configuration.optimizer == "adamw"
            and decay
            and t2 is not None
            and runs.generalised[i]
        ):
            norm = run.channels["weight_norm"]
            at = np.interp([t2, runs.t4[i]], norm.steps, norm.values)
            found[i] = t2, rate * decay, np.log(at[0] / at[1])
    return found


def line(name, t4, steps):
    """Print a line of the table."""
    with np.errstate(invalid="ignore"):
        median = steps[:, 1] if steps.ndim > 1 else steps
        off = np.where(np.isfinite(median), np.abs(median / t4 - 1), np.inf)
        inside = "-"
        if steps.ndim > 1:
            late = np.where(np.isnan(steps[:, 2]), np.inf, steps[:, 2])
            inside = f"{np.mean((steps[:, 0] <= t4) & (t4 <= late)):.2f}"
    print(
        f"| {name} | {t4.size} | {100 * np.median(off):.0f} % | {np.isnan(median).mean():.2f} "
        f"| {inside} |"
    )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "sweeps", nargs="*", default=[str(Path(__file__).parents[1] / "data/sweeps")]
    )
    args = parser.parse_args()
    runs, _ = known_runs(read_sweep(args.sweeps), None, None)
    grids = extract_grids(runs, [(h, 1) for h in HORIZONS], SignalSettings())
    splits = list(folds(runs, FOLDS, 0))
    found = forecasts(runs, grids, splits)
    t2, rate, ratio = law(runs).T
    shrank = ratio > 0
    measured = np.array(["val_acc" in run.channels for run in runs.runs])
    for grid in grids:
        late = runs.generalised & (runs.t4 > grid.horizon) & measured
        covered = late & np.isfinite(ratio) & (t2 < grid.horizon)
        constant, ratios, factors = (np.full(len(late), np.nan) for _ in range(3))
        for fit, held in splits:
            constant[held] = np.median(runs.t4[late & fit])
            ratios[held] = np.median(((runs.t4 - t2) * rate)[covered & fit])
            known = covered & fit & shrank
            factors[held] = np.median((runs.t4 - t2)[known] * rate[known] / ratio[known])
        print(f"\nAfter {grid.horizon} steps\n")
        print("| forecast | runs | error, median | nothing said | t4 between the quartiles |")
        print("| --- | ---: | ---: | ---: | ---: |")
        for part, among in (("", late), ("law's runs: ", covered)):
            t4 = runs.t4[among]
            for (name, horizon), steps in found.items():
                if horizon == grid.horizon:
                    line(part + name, t4, steps[among])
            line(part + "median t4 of the other runs", t4, constant[among])
        t4 = runs.t4[covered]
        line("law, norm at the end given", t4, (t2 + ratio / rate)[covered])
        line("the same, calibrated", t4, (t2 + factors * ratio / rate)[covered])
        line("law, median norm ratio", t4, (t2 + ratios / rate)[covered])


if __name__ == "__main__":
    main()
