"""The quality table, from runs that nothing was chosen on. To be run once, after everything is.

    python benchmarks/bench_heldout.py [--json FILE] [--jobs N]

The classifier that comes along, trained on ``data/sweeps``, is replayed on ``data/heldout``:

- networks that it did not see, of kinds of task that it was trained on: AUROC beside that of
  the configuration alone (the same estimator, trained on ``data/sweeps`` too), what would have been
  lost and saved, and the same for every rival;
- the same with one kind of task at a time left out of the training, and
- kinds of task that were held out whole.

Runs that had generalised inside a window are dropped there. ``--train``, ``--heldout`` and
``--classifier`` exist for rehearsals on other data.
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np

from grokpredict.evaluation import evaluate
from grokpredict.features.conditioning import SignalSettings
from grokpredict.logs import read_sweep
from grokpredict.model.classifier import load_classifier
from grokpredict.model.reading import CONFIGURATION_ALONE, in_words
from grokpredict.runs.sweep import Sweep
from grokpredict.training.cross_validation import held_out_scores
from grokpredict.training.digest import facts_of
from grokpredict.training.ranking import auroc, enough
from grokpredict.training.table import extract_grids, known_runs

DATA = Path(__file__).parents[1] / "data"


def trained_elsewhere(train, held, horizons, jobs):
    """Return scores of the held-out runs by models trained on the others, and whose they are.

    Besides all kinds of task, each kind is left out of the training in turn.
    """
    runs, _ = known_runs(Sweep([*train.runs, *held.runs]), None, None)
    ours = {id(run) for run in held.runs}
    own = np.array([id(run) in ours for run in runs.runs])
    family = np.array([str(name) for name in runs.family])
    grids = extract_grids(runs, [(h, 1) for h in horizons], SignalSettings(), jobs=jobs)
    kinds = sorted(set(family[own]))
    splits = [(~own & (family != kind), own & (family == kind)) for kind in kinds]
    left_out = held_out_scores(runs, grids, splits, seed=0, jobs=jobs)
    steps = [grid.horizon for grid in grids]
    return runs, own, family, steps, left_out


def family_areas(runs, own, family, steps, scores):
    """Return by model, horizon and kind of task the area of a model that did not see the kind."""
    found = {}
    for model, by_horizon in scores.items():
        name = in_words(model) if model != CONFIGURATION_ALONE else "configuration only"
        for step, looks in zip(steps, by_horizon, strict=True):
            areas = {}
            for kind in sorted(set(family[own])):
                known = own & (family == kind) & np.isfinite(looks)
                good = runs.generalised[known]
                if enough(good):
                    areas[kind] = auroc(good, looks[known])
            found.setdefault(name, {})[step] = areas
    return found


def report(train, held, which, jobs):
    """Return all figures as what JSON takes."""
    classifier = load_classifier(which)
    known = {facts_of(run, None).family for run in train.runs}
    kinds = [facts_of(run, None).family for run in held.runs]
    runs, own, family, steps, left_out = trained_elsewhere(train, held, classifier.horizons, jobs)
    found = {
        "trained_on": {"runs": len(train.runs), "families": sorted(map(str, known))},
        "left_out": family_areas(runs, own, family, steps, left_out),
    }
    for part, chosen in (("seen", True), ("whole", False)):
        own_kind = [(kind in known) is chosen for kind in kinds]
        sweep = Sweep([run for run, its in zip(held.runs, own_kind, strict=True) if its])
        if not sweep.runs:
            continue
        try:
            replayed = evaluate(sweep, classifier, jobs=jobs)
        except ValueError as error:  # one outcome only
            found[part] = {"reason": str(error)}
            continue
        if replayed.overlap != "none":
            print(f"WARNING: trained on these runs: {replayed.overlap}", file=sys.stderr)
        found[part] = asdict(replayed)
    return found


def share(interval, digits=3):
    """Return a figure with its interval."""
    if interval["value"] is None:
        return "-"
    value, low, high = (f"{interval[key]:.{digits}f}" for key in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def area_table(part):
    """Print the areas of every model at every horizon."""
    print("| reads | steps | runs | good | AUROC | configuration only | lead | ECE |")
    print("| --- | ---: | ---: | ---: | --- | --- | --- | ---: |")
    for look in part["looks"]:
        error = look["reliability"]["calibration_error"]
        print(
            f"| {look['model'].removeprefix('this classifier, ')} | {look['horizon']} "
            f"| {look['n_runs']} | {look['n_good']} | {share(look['auroc'])} "
            f"| {share(look['configuration_auroc'])} | {share(look['lead'])} | {error:.3f} |"
        )
    models = dict.fromkeys(look["model"] for look in part["looks"])
    for model in models:
        own = [look for look in part["looks"] if look["model"] == model]
        means = [
            np.mean([look[key]["value"] for look in own if look[key]["value"] is not None])
            for key in ("auroc", "configuration_auroc", "lead")
        ]
        print(
            f"| {model.removeprefix('this classifier, ')} | mean | | | "
            f"{means[0]:.3f} | {means[1]:.3f} | {means[2]:+.3f} | |"
        )


def left_out_table(areas):
    """Print the median over the kinds of task that each was left out of the training."""
    steps = list(next(iter(areas.values())))
    print("| reads | " + " | ".join(f"{step} steps" for step in steps) + " |")
    print("| --- |" + " ---: |" * len(steps))
    for name, by_step in areas.items():
        cells = [
            f"{np.median(list(own.values())):.3f} ({len(own)})" if own else "-"
            for own in by_step.values()
        ]
        print(f"| {name} | " + " | ".join(cells) + " |")


def ledger_table(ledgers):
    """Print what each rule would have lost and saved."""
    print("| rule | setting | good runs lost | doomed cut | of all steps | of the oracle's |")
    print("| --- | --- | --- | ---: | ---: | --- |")
    for own in ledgers:
        if own["rule"].startswith("trained on these"):
            continue
        flag = "" if own["matched"] else " (none loses so few)"
        cut, every = (
            "-" if own[key] is None else f"{own[key]:.3f}" for key in ("cut", "saved_of_all")
        )
        print(
            f"| {own['rule']} | {own['setting']}{flag} | {share(own['lost'])}, {own['n_lost']} of "
            f"{own['n_good']} | {cut} | {every} | {share(own['saved'])} |"
        )


def family_table(part):
    """Print what the headline model does with each kind of task."""
    print("| kind of task | good | doomed | never judged | good runs lost | of the oracle's |")
    print("| --- | ---: | ---: | ---: | --- | --- |")
    for own in part["families"]:
        print(
            f"| {own['family']} | {own['n_good']} | {own['n_doomed']} | {own['abstained']:.3f} "
            f"| {share(own['ledger']['lost'])} | {share(own['ledger']['saved'])} |"
        )


TITLES = {
    "seen": "Networks that were not seen, of kinds of task that were",
    "whole": "Kinds of task that were held out whole",
}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--train", nargs="+", default=[str(DATA / "sweeps")])
    parser.add_argument("--heldout", nargs="+", default=[str(DATA / "heldout")])
    parser.add_argument("--classifier", default="default")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--jobs", type=int, default=1)
    args = parser.parse_args()
    found = report(read_sweep(args.train), read_sweep(args.heldout), args.classifier, args.jobs)
    if args.json:
        Path(args.json).write_text(json.dumps(found, indent=1, allow_nan=False))
    for name, title in TITLES.items():
        part = found.get(name, {"reason": "there are none"})
        print(f"\n### {title}\n")
        if "reason" in part:
            print(part["reason"])
            continue
        print(json.dumps(part["counts"]), end="\n\n")
        area_table(part)
        for heading, key in (
            ("As they come", "as_is"),
            (f"At the share lost of {part['headline']}, settings in hindsight", "matched"),
            (f"At most {part['max_false_abort']:.0%} lost, settings in hindsight", "at_bound"),
        ):
            print(f"\n{heading}:\n")
            ledger_table(part[key])
        print(f"\nBy kind of task, {part['headline']} as it comes:\n")
        family_table(part)
    print("\n### A kind of task left out of the training: median area over the kinds (how many)\n")
    left_out_table(found["left_out"])


if __name__ == "__main__":
    main()
