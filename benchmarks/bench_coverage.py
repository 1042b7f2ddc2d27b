"""Does the bound on lost runs hold? Train on a random half of the networks, count in the others.

    python benchmarks/bench_coverage.py [--splits 200] [--max-false-abort 0.05] [SWEEP ...]

Each time the networks of a sweep are halved at random. A classifier is cross-fitted on one half as
``train-classifier`` does on new networks of the same kinds of task, and fitted to all of that half;
its threshold is set on the cross-fitted scores by these rules:

- Neyman-Pearson: the order statistic of Tong, Feng & Li 2018 over as many scores as are
  independent, which grokpredict uses;
- all scores: the same over the scores of all configurations, as if networks did not matter;
- twice the bound: a negative control, the first rule asked for twice the share. It must exceed
  the bound in most halvings, or the simulation could not tell.

The good runs of the other half that would have been stopped at any look are counted, and the steps
of the doomed ones that would have been saved. So that 200 splits take minutes, looks are an octave
apart and an ensemble has 50 trees: what is tried here is the threshold. Every split is printed on
standard error as it is done; after Ctrl-C the table is of those that are.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed

from grokpredict.evaluation.accounting import clopper_pearson
from grokpredict.features.profile import FIRST_LOOK, LOOKS
from grokpredict.model.channels import READABLE
from grokpredict.model.thresholds import abort_threshold, independent_scores
from grokpredict.training import fit as boosting
from grokpredict.training.cross_validation import fit, held_out, lowest_of
from grokpredict.training.gathering import gather
from grokpredict.training.outcomes import outcomes
from grokpredict.training.splits import network_splits
from grokpredict.training.table import LookTable

#: What is read, as far as a run has it.
READS = {
    "all channels": READABLE,
    "training loss": ("train_loss", "spectrum"),
}


def by_configuration(scores, configuration, network):
    """Return the lowest score of each configuration."""
    return independent_scores(scores, configuration, configuration)


RULES = {
    "Neyman-Pearson": (independent_scores, 1),
    "all scores": (by_configuration, 1),
    "twice the bound": (independent_scores, 2),
}


def one_split(runs, table, spent, bound, seed):
    """Return the thresholds' lost and saved shares on the half that was not trained on."""
    boosting.N_TREES = 50  # here, where each process comes by
    names = np.unique(runs.network)
    half = np.random.default_rng(seed).permutation(names)[: len(names) // 2]
    mine = np.isin(runs.network, half)
    place = np.flatnonzero(mine)
    splits = []
    for kept, held in network_splits(runs.only(mine), seed):
        masks = np.zeros((2, len(runs)), dtype=bool)
        masks[0, place[kept]] = masks[1, place[held]] = True
        splits.append(tuple(masks))
    scores = held_out(table, splits, list(READS.values()), whole=False, seed=seed)
    trees = fit(table.among(mine), seed=seed)
    theirs = table.among(~mine)
    shares = {}
    for name, reads in READS.items():
        lowest = lowest_of(table, scores[reads])
        good = np.isfinite(lowest) & table.good & mine
        probability = trees.probability(theirs.reading(reads))
        for rule, (calibration, times) in RULES.items():
            values = calibration(lowest[good], runs.configuration[good], runs.network[good])
            limit = abort_threshold(values, times * bound)
            stops = np.full(len(runs), np.inf)
            below = probability < (-1.0 if limit is None else limit)
            np.minimum.at(stops, theirs.run[below], theirs.step[below])
            good_there = theirs.looked_at & table.good
            doomed = theirs.looked_at & ~table.good
            lost = np.mean(stops[good_there] < np.inf)
            whole = np.maximum(spent - FIRST_LOOK, 0)[doomed].sum()
            saved = np.maximum(spent - stops, 0)[doomed].sum() / whole
            shares[name, rule] = (lost, saved, values.size)
    return shares


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
    records = gather(args.sweeps, jobs=args.jobs).records
    kept, runs, _ = outcomes([record.facts for record in records], None)
    table = LookTable.of([records[i] for i in kept], runs)
    table = table.at(np.isin(table.step, LOOKS[::2]))
    spent = np.array([records[i].facts.last_step + 1.0 for i in kept])
    start = time.process_time()
    tasks = (
        delayed(one_split)(runs, table, spent, args.max_false_abort, seed)
        for seed in range(args.splits)
    )
    results = []
    try:
        for shares in Parallel(n_jobs=args.jobs, return_as="generator")(tasks):
            results.append(shares)
            line = "  ".join(f"{lost:.3f} {saved:.3f}" for lost, saved, _ in shares.values())
            print(f"{len(results)}  {line}  {time.process_time() - start:.0f} s", file=sys.stderr)
    except KeyboardInterrupt:
        pass
    print(
        f"{len(runs)} runs, {runs.generalised.sum()} of them good; {len(results)} halvings, "
        f"{np.unique(runs.network).size} networks\n"
    )
    print("| reads | threshold | scores | lost | halvings over the bound [95 %] | steps saved |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    for name, rule in results[0]:
        lost, saved, size = np.array([shares[name, rule] for shares in results]).T
        over = clopper_pearson(int(np.sum(lost > args.max_false_abort)), len(results))
        print(
            f"| {name} | {rule} | {size.mean():.0f} | {lost.mean():.4f} | {over.value:.3f} "
            f"[{over.low:.3f}, {over.high:.3f}] | {saved.mean():.3f} |"
        )


if __name__ == "__main__":
    main()
