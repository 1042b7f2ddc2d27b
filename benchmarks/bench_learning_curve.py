"""What more networks, and more runs of each, are worth: has the learning curve levelled off?

    python benchmarks/bench_learning_curve.py [FOLDER...]

The classifier is fitted to a share of the networks in `data/sweeps`, or to all of them with a share
of the runs of each, and judged on

- kinds of task that were left out of the fit, in fifths,
- networks that were left out of it, in fifths, and
- the logs of others in each FOLDER, by a fit that leaves nothing out.

AUROC is the mean over thirds of the logarithm of the budget. *Saved* are the steps of doomed runs
after they were stopped, as a share of stopping all of them at step 200; the threshold loses 5 % of
the good runs in hindsight. Smaller shares are parts of larger ones. The looks read both losses and
both accuracies.
"""

import argparse
import math
import sys
from pathlib import Path

import numpy as np
from bench_columns import DATA, READS, Known, scored

from grokpredict.training.cross_validation import fit

SHARES = (0.12, 0.25, 0.5, 1.0)
READ = READS["both losses, both accuracies"]


def some_networks(runs, share, seed):
    """Mark the runs of a share of the networks."""
    networks = np.random.default_rng(seed).permutation(np.unique(runs.network))
    return np.isin(runs.network, networks[: math.ceil(share * networks.size)])


def some_runs(runs, share, seed):
    """Mark a share of the runs of each network."""
    order = np.random.default_rng(seed).permutation(len(runs))
    marked = np.zeros(len(runs), dtype=bool)
    for network in np.unique(runs.network):
        members = order[runs.network[order] == network]
        marked[members[: math.ceil(share * members.size)]] = True
    return marked


def fifths(numbers, seed):
    """Return five masks, each of which leaves out whole numbers (of networks, of kinds)."""
    shuffled = np.random.default_rng(seed).permutation(np.unique(numbers))
    return [np.isin(numbers, shuffled[part::5]) for part in range(5)]


def left_out(train, judged, marked, parts):
    """Return the probability at each look, by a fit to the marked runs outside its run's part."""
    scores = np.full(judged.table.step.size, np.nan)
    for out in parts:
        trees = fit(train.table.among(marked & ~out), seed=0)
        looks = out[judged.table.run]
        scores[looks] = scored(trees, judged, READ)[looks]
    return scores


def cells(judged, scores):
    """Return the AUROC, and the share saved at 5 % lost."""
    everyone = np.ones(judged.n, dtype=bool)
    stops = judged.stops(scores, judged.limit(scores, everyone))
    return f"{judged.area(scores, everyone):.3f}, {judged.account(stops, everyone)[2]:.2f}"


def main():
    """Print one line for each share."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--seed", type=int, default=0, help="Draws the networks and the runs.")
    options = parser.parse_args()
    train, judged = Known([DATA / "sweeps"], coarser=True), Known([DATA / "sweeps"])
    others = [Known([folder]) for folder in options.folders]
    splits = [fifths(numbers, options.seed) for numbers in (train.runs.kind, train.runs.network)]
    titles = ["kinds left out", "networks left out", *(folder.name for folder in options.folders)]
    print(f"| part of the sweep | networks | runs | {' | '.join(titles)} |")
    print("| --- | ---: | ---: |" + " --- |" * len(titles))
    parts = [("networks", some_networks, share) for share in SHARES]
    parts += [("runs of each network", some_runs, share) for share in SHARES[:-1]]
    for name, draw, share in parts:
        marked = draw(train.runs, share, options.seed)
        row = [cells(judged, left_out(train, judged, marked, parts_out)) for parts_out in splits]
        if others:
            trees = fit(train.table.among(marked), seed=0)
            row += [cells(other, scored(trees, other, READ)) for other in others]
        networks = np.unique(train.runs.network[marked]).size
        print(f"| {share:.0%} of the {name} | {networks} | {marked.sum()} | {' | '.join(row)} |")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
