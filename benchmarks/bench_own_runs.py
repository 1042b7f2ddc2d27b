"""Whether a model learns from a user's own runs: alone, or joined with data/sweeps.

    python benchmarks/bench_own_runs.py             # kinds of task of data/sweeps left out
    python benchmarks/bench_own_runs.py FOLDER...   # sources of runs

Some runs of a task are the user's own, and all models are tried on its others: the built-in model,
which saw none of them; a model of the own runs alone; models of data/sweeps and the own runs, each
of which counts once or ten times. For each the share saved at the threshold that loses 5 % of the
other runs' good ones (in hindsight, so that only the ranking differs), and the AUROC.
"""

import argparse
import sys

import numpy as np
from bench_columns import DATA, SHARE, Known, scored

from grokpredict.model.channels import READABLE
from grokpredict.training.cross_validation import fit
from grokpredict.training.table import LookTable

KINDS = ("addition", "multiplication", "parity", "images", "s4", "easy")
NUMBERS, SPLITS = (100, 200, 400), 2
LEAST_OTHERS = 100


def together(*tables):
    """Return looks at runs that are numbered anew."""
    first = np.cumsum([0, *(table.t4.size for table in tables)])
    return LookTable(
        np.concatenate([table.columns for table in tables]),
        np.concatenate([table.step for table in tables]),
        np.concatenate([table.run + n for table, n in zip(tables, first, strict=False)]),
        np.concatenate([table.t4 for table in tables]),
        np.concatenate([table.budget for table in tables]),
    )


def account(trees, known, others):
    """Return what is saved of the other runs at 5 % lost in hindsight, and the AUROC."""
    scores = scored(trees, known, READABLE)
    saved = known.account(known.stops(scores, known.limit(scores, others)), others)[2]
    return saved, known.area(scores, others)


def models(built_in, own):
    """Yield every way to learn, and its trees."""
    if own.both_outcomes:
        yield "own runs alone", fit(own, seed=0)
    yield "joined", fit(together(built_in, own), seed=0)
    yield "joined, own runs tenfold", fit(together(built_in, *[own] * 10), seed=0)


def compared(name, known, among, built_in):
    """Print what every model saves on the runs of a task that are not the user's own."""
    rows = np.flatnonzero(among)
    before = fit(built_in, seed=0)
    for n_own in NUMBERS:
        if rows.size < n_own + LEAST_OTHERS:
            continue
        results = {}
        for seed in range(SPLITS):
            mine = np.zeros(known.n, dtype=bool)
            mine[np.random.default_rng(seed).permutation(rows)[:n_own]] = True
            others = among & ~mine
            ways = [("built-in", before), *models(built_in, known.table.among(mine))]
            for way, trees in ways:
                results.setdefault(way, []).append(account(trees, known, others))
        cells = " | ".join(
            f"{saved:.2f}, {area:.2f}"
            for saved, area in (np.mean(results[way], axis=0) for way in results)
        )
        print(f"| {name} | {n_own} | {cells} |", flush=True)


def main():
    """Print the table, a line a task and number of own runs."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", nargs="*")
    folders = parser.parse_args().folders
    sweeps = Known([DATA / "sweeps"], coarser=True)
    names = "built-in | own runs alone | joined | joined, own runs tenfold"
    print(f"saved at {100 * SHARE:.0f} % lost, AUROC\n\n| task | own runs | {names} |")
    print("| --- | ---: |" + " --- |" * 4)
    for folder in folders:
        known = Known([folder])
        compared(folder.rsplit("/", 1)[-1], known, np.ones(known.n, dtype=bool), sweeps.table)
    for kind in () if folders else KINDS:
        own = sweeps.family == kind
        compared(kind, sweeps, own, sweeps.table.among(~own))


if __name__ == "__main__":
    sys.exit(main())
