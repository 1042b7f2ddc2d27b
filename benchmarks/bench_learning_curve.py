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
from bench_columns import DATA, READS, Known

from grokpredict.model.channels import only
from grokpredict.training.cross_validation import fit
from grokpredict.training.splits import kind_splits, network_splits

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


def left_out(train, judged, marked, splits):
    """Return the probability at each look by fits to marked runs on the other side of a split."""
    scores = np.full(judged.table.step.size, np.nan)
    for fitted, out in splits:
        trees = fit(train.table.among(fitted & marked), seed=0)
        looks = np.flatnonzero(out[judged.table.run])
        scores[looks] = probability(trees, judged.table.columns[looks])
    return scores


def probability(trees, columns):
    return trees.probability(only(columns.astype(float), READ))


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
    by_kind, by_network = kind_splits(train.runs), network_splits(train.runs, options.seed)
    titles = ["kinds left out", "networks left out", *(folder.name for folder in options.folders)]
    print(f"| part of the sweep | networks | runs | {' | '.join(titles)} |")
    print("| --- | ---: | ---: |" + " --- |" * len(titles))
    parts = [("networks", some_networks, share) for share in SHARES]
    parts += [("runs of each network", some_runs, share) for share in SHARES[:-1]]
    for name, draw, share in parts:
        marked = draw(train.runs, share, options.seed)
        scores = [left_out(train, judged, marked, splits) for splits in (by_kind, by_network)]
        row = [cells(judged, probabilities) for probabilities in scores]
        if others:
            trees = fit(train.table.among(marked), seed=0)
            row += [cells(other, probability(trees, other.table.columns)) for other in others]
        networks = np.unique(train.runs.network[marked]).size
        print(f"| {share:.0%} of the {name} | {networks} | {marked.sum()} | {' | '.join(row)} |")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
