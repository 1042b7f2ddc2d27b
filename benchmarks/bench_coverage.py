"""Does the bound on lost runs hold? Train on a random half of a sweep, count in the other half.

    python benchmarks/bench_coverage.py [--splits 60] [--max-false-abort 0.05] [SWEEP ...]

Each time the configurations are halved at random. A classifier is cross-fitted on one half as
``train-classifier`` does, on the finest step grid; the good runs of the other half that it would
have stopped at any look are counted, and the steps of the doomed ones that it would have saved.
"""

import argparse
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed

from grokpredict.curves import Sweep, window
from grokpredict.logs import read_sweep
from grokpredict.training import train
from grokpredict.training_table import known_runs

HORIZONS = (200, 400, 800, 1600, 3200)


def lost_and_saved(runs, chosen, bound, seed):
    """Train on the chosen runs; (lost share, saved share) of the others, loss and with context."""
    sweep = Sweep([run for run, own in zip(runs.runs, chosen, strict=True) if own])
    classifier, _ = train(sweep, horizons=HORIZONS, strides=(1,), seed=seed)
    others = [i for i in np.flatnonzero(~chosen) if np.isfinite(runs.runs[i].loss.values).all()]
    found = {}
    for told in (False, True):
        limit = classifier.threshold(1, with_context=told, max_false_abort=bound) or -np.inf
        lost, good, saved, doomed = 0, 0, 0.0, 0.0
        for i in others:
            run, budget = runs.runs[i], int(runs.budget[i])
            looks = [
                h for h in classifier.horizons if h < min(runs.t4[i], budget, len(run.loss) + 1)
            ]
            at = next((h for h in looks if score(classifier, run, h, budget, told) < limit), None)
            if runs.generalised[i] and looks:
                good += 1
                lost += at is not None
            elif looks:
                doomed += budget
                saved += budget - at if at is not None else 0
        found[told] = (lost / good, saved / doomed)
    return found


def score(classifier, run, horizon, budget, told):
    """Return the probability at one look."""
    looks = classifier.look(
        window([run], horizon),
        horizon=horizon,
        contexts=[run.context if told else None],
        budget=budget,
    )
    return looks.probability[0]


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "sweeps", nargs="*", default=[str(Path(__file__).parents[1] / "data/sweeps")]
    )
    parser.add_argument("--splits", type=int, default=60)
    parser.add_argument("--max-false-abort", type=float, default=0.05)
    parser.add_argument("--jobs", type=int, default=-1)
    args = parser.parse_args()
    runs, _ = known_runs(read_sweep(args.sweeps), None, None)
    names = np.unique(runs.configuration)

    def one(seed):
        half = np.random.default_rng(seed).permutation(names)[: len(names) // 2]
        chosen = np.isin(runs.configuration, half)
        return lost_and_saved(runs, chosen, args.max_false_abort, seed)

    results = Parallel(n_jobs=args.jobs)(delayed(one)(seed) for seed in range(args.splits))
    print("| reads | lost, mean | splits over the bound | doomed steps saved, mean |")
    print("| --- | ---: | ---: | ---: |")
    for told, name in ((False, "loss"), (True, "loss + context")):
        lost, saved = np.array([found[told] for found in results]).T
        over = np.mean(lost > args.max_false_abort)
        print(f"| {name} | {lost.mean():.3f} | {over:.3f} | {saved.mean():.3f} |")


if __name__ == "__main__":
    main()
