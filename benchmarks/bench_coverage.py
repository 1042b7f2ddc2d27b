"""Does the bound on lost runs hold? Train on a random half of the networks, count in the others.

    python benchmarks/bench_coverage.py [--splits 200] [--max-false-abort 0.05] [SWEEP ...]

Each time the networks of a sweep are halved at random (its configurations, where the networks are
not known). Each model is cross-fitted on one half as ``train-classifier`` does, on the finest step
grid, and fitted to all of that half; its threshold is set on the cross-fitted scores by three
rules:

- Neyman-Pearson: the order statistic of Tong, Feng & Li 2018 over as many scores as are
  independent, which grokpredict uses;
- all scores: the same over the scores of all configurations, as if networks did not matter;
- Learn-then-Test (Angelopoulos et al. 2021, arXiv 2110.01052): thresholds are tested from the
  lowest up by the Hoeffding-Bentkus p-value, as MAPIE does, until one fails, on the scores of the
  first rule. With the exact binomial p-value in its place it is the Neyman-Pearson rule.

The good runs of the other half that would have been stopped at any look are counted, and the steps
of the doomed ones that would have been saved. So that 200 splits take minutes, there are two looks,
each window comes with one budget besides its own, and an ensemble has 50 trees: what is tried here
is the threshold. Every split is printed on standard error as it is done; after Ctrl-C the table is
of those that are.
"""

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from scipy import special

from grokpredict.evaluation.ledger import clopper_pearson, finished
from grokpredict.features.conditioning import SignalSettings
from grokpredict.logs import read_sweep
from grokpredict.model.reading import VALIDATION, WINDOW_READS, columns_read, in_words
from grokpredict.model.thresholds import CONFIDENCE, abort_threshold, independent_scores
from grokpredict.training import fit as boosting
from grokpredict.training import table as training_table
from grokpredict.training.cross_validation import (
    FOLDS,
    fit_reads,
    folds,
    table_for,
)
from grokpredict.training.table import columns, extract_grids, known_runs, training_rows

HORIZONS = (400, 1600)


def learn_then_test(lowest_scores, max_false_abort, confidence=CONFIDENCE):
    """Return the threshold by Learn-then-Test with Hoeffding-Bentkus p-values, or None."""
    scores = np.sort(lowest_scores)
    n = scores.size
    lost = np.arange(n)  # at the k-th smallest score k - 1 runs lie below
    share = np.minimum(lost / max(n, 1), max_false_abort)
    divergence = sum(
        special.rel_entr(own, bound)
        for own, bound in ((share, max_false_abort), (1 - share, 1 - max_false_abort))
    )
    bentkus = np.e * special.bdtr(lost, n, max_false_abort)
    passed = np.minimum(np.exp(-n * divergence), bentkus) <= 1 - confidence
    stop = int(np.argmin(passed)) if not passed.all() else n
    return float(scores[stop - 1]) if stop else None


def by_configuration(scores, configuration, network):
    """Return the lowest score of each configuration."""
    return independent_scores(scores, configuration, configuration)


RULES = {
    "Neyman-Pearson": (independent_scores, abort_threshold),
    "all scores": (by_configuration, abort_threshold),
    "Learn-then-Test": (independent_scores, learn_then_test),
}


def of_half(grids, chosen):
    """Return the grids of the chosen runs, renumbered."""
    place = np.cumsum(chosen) - 1
    found = []
    for grid in grids:
        own = chosen[grid.run]
        rows = {name: getattr(grid, name)[own] for name in ("features", "metrics")}
        found.append(replace(grid, run=place[grid.run[own]], **rows))
    return found


def looks_at(runs, grids, asked, trees, model):
    """Return the score of each run at each horizon; NaN where there is no look."""
    scores = np.full((len(grids), len(asked)), np.nan)
    for row, grid in enumerate(grids):
        seen = np.isfinite(grid.metrics).all(axis=1) if VALIDATION[0] in model else True
        own = np.flatnonzero(asked[grid.run] & seen)
        index = grid.run[own]
        x = columns(runs, grid, own, runs.budget[index])
        scores[row, index] = trees.probability(x[:, columns_read(model)])
    return scores


def one_split(runs, grids, spent, bound, seed):
    """Return the thresholds' lost and saved shares on the half that was not trained on."""
    training_table.EXTRA_BUDGETS = 1  # here, where each process comes by
    boosting.N_TREES = 50
    names = np.unique(runs.network)
    half = np.random.default_rng(seed).permutation(names)[: len(names) // 2]
    chosen = np.isin(runs.network, half)
    own, theirs = runs.only(chosen), of_half(grids, chosen)
    found = {}
    everyone = np.ones(len(own), dtype=bool)
    rows = training_rows(own, theirs, everyone, np.random.default_rng(seed))
    splits = [*folds(own, FOLDS, seed), (everyone, None)]
    for model in WINDOW_READS:
        scores = np.full((len(grids), len(own)), np.nan)
        for fit, held in splits:
            table = table_for(model, rows.among(fit), own)
            trees = fit_reads(table, model, seed=seed)
            if held is not None:
                part = looks_at(own, theirs, held, trees, model)
                scores = np.where(np.isnan(part), scores, part)
        least = np.where(np.isfinite(scores), scores, np.inf).min(axis=0)
        good = own.generalised & np.isfinite(least)
        looks = looks_at(runs, grids, ~chosen, trees, model)
        looked = np.isfinite(looks).any(axis=0)
        for rule, (calibration, threshold) in RULES.items():
            scores = calibration(least[good], own.configuration[good], own.network[good])
            limit = threshold(scores, bound)
            hits = looks < (-1.0 if limit is None else limit)
            at = np.where(hits.any(axis=0), np.array(HORIZONS)[hits.argmax(axis=0)], np.inf)
            doomed = looked & ~runs.generalised
            saved = np.maximum(spent - at, 0)[doomed].sum() / spent[doomed].sum()
            lost = np.isfinite(at)[looked & runs.generalised].mean()
            found[model, rule] = (lost, saved, scores.size)
    return found


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "sweeps", nargs="*", default=[str(Path(__file__).parents[1] / "data/sweeps")]
    )
    parser.add_argument("--splits", type=int, default=200)
    parser.add_argument("--max-false-abort", type=float, default=0.05)
    parser.add_argument("--jobs", type=int, default=1)
    args = parser.parse_args()
    done = finished(known_runs(read_sweep(args.sweeps), None, None)[0], HORIZONS[0])
    runs = done.runs
    grids = extract_grids(runs, [(h, 1) for h in HORIZONS], SignalSettings(), jobs=args.jobs)
    start = time.process_time()
    tasks = (
        delayed(one_split)(runs, grids, done.spent, args.max_false_abort, seed)
        for seed in range(args.splits)
    )
    results = []
    try:
        for found in Parallel(n_jobs=args.jobs, return_as="generator")(tasks):
            results.append(found)
            line = "  ".join(f"{lost:.3f} {saved:.3f}" for lost, saved, _ in found.values())
            print(f"{len(results)}  {line}  {time.process_time() - start:.0f} s", file=sys.stderr)
    except KeyboardInterrupt:
        pass
    good = runs.generalised.sum()
    print(
        f"{len(runs)} runs, {good} of them good; {len(results)} halvings, "
        f"{np.unique(runs.network).size} networks\n"
    )
    print("| reads | threshold | scores | lost | halvings over the bound [95 %] | steps saved |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    for model, rule in results[0]:
        lost, saved, size = np.array([own[model, rule] for own in results]).T
        over = clopper_pearson(int(np.sum(lost > args.max_false_abort)), len(results))
        print(
            f"| {in_words(model)} | {rule} | {size.mean():.0f} | {lost.mean():.4f} "
            f"| {over.value:.3f} "
            f"[{over.low:.3f}, {over.high:.3f}] | {saved.mean():.3f} |"
        )


if __name__ == "__main__":
    main()
