"""The model of columns at any cadence, on kinds of task that it was not trained on.

    python benchmarks/bench_columns.py families             # data/sweeps, each kind left out
    python benchmarks/bench_columns.py heldout              # data/heldout
    python benchmarks/bench_columns.py strangers FOLDER...  # logs of others, one folder a source
    python benchmarks/bench_columns.py ablation             # with and without groups of columns
    python benchmarks/bench_columns.py cadence              # the same runs as coarser logs
    python benchmarks/bench_columns.py cost                 # milliseconds a look

*Lost* is the share of the runs that would have generalised, had a look before they did, and were
stopped; *saved* the steps of doomed runs after they were stopped, as a share of stopping all of
them at step 200. Thresholds are those of `train-classifier`, from scores of the *other* kinds
of task by models that have not seen them: no more than 5 % of their good runs lost with 95 %
confidence, nor of any one kind's in expectation. "Hindsight" is the threshold that loses 5 % of
these very runs. AUROC is the mean over thirds of the logarithm of the budget, at the first look in
each.

Rivals: EarlyStopping on the validation loss with the patience chosen on the other kinds of task to
lose 5 % of them, and in hindsight; the last validation accuracy with a conformal rank (the rule of
SureStop) and the same choices; a fixed stop for every run; the activity of the first 400
losses of Notsawo et al. 2023; the configuration alone, by the same trees.
"""

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from grokpredict.evaluation.accounting import clopper_pearson
from grokpredict.features.columns import COLUMNS, SPECTRUM
from grokpredict.features.configuration import CONFIGURATION_COLUMNS, configuration_columns
from grokpredict.features.profile import LOOKS, PROFILED, looks_before
from grokpredict.features.recording import Recording, compute_signatures
from grokpredict.logs import read_sweep
from grokpredict.model.calibration import Calibration
from grokpredict.model.channels import READABLE, only, without
from grokpredict.model.classifier import GrokClassifier
from grokpredict.model.thresholds import independent_scores
from grokpredict.runs.curve import Curve
from grokpredict.training.cross_validation import fit
from grokpredict.training.figures import activity
from grokpredict.training.fit import fit_trees
from grokpredict.training.outcomes import known_runs
from grokpredict.training.patience import PATIENCES, stops_of_patience
from grokpredict.training.ranking import auroc
from grokpredict.training.record import as_logged, thinned
from grokpredict.training.splits import kind_splits
from grokpredict.training.table import LookTable

DATA = Path(__file__).parents[1] / "data"
SHARE = 0.05
FIRST = int(LOOKS[0])

#: What is read, by the name that the table has for it.
READS = {
    "everything": READABLE,
    "both losses, both accuracies, weight norm": PROFILED,
    "both losses, both accuracies": PROFILED[:4],
    "both losses, validation accuracy": ("train_loss", "val_loss", "val_acc"),
    "both losses": ("train_loss", "val_loss"),
    "training loss, spectral signature": ("train_loss", SPECTRUM),
    "training loss, weight norm": ("train_loss", "weight_norm"),
    "training loss": ("train_loss",),
}


class Known:
    """Runs whose outcome is known, and all their looks."""

    def __init__(self, paths, *, coarser=False):
        self.runs, _ = known_runs(read_sweep(paths))
        self.n = len(self.runs)
        self.good = self.runs.generalised
        self.family = np.array([str(name) for name in self.runs.family])
        ended = np.array([run.last_step + 1 for run in self.runs.runs], dtype=float)
        early = self.good | np.array([run.diverged for run in self.runs.runs])
        self.spent = np.where(early, np.minimum(ended, self.runs.budget), self.runs.budget)
        self.table = self.looks(coarser)

    def looks(self, coarser):
        draw = np.random.default_rng(0).integers(0, 2**31, self.n) if coarser else np.zeros(self.n)
        channels = [as_logged(run, int(d)) for run, d in zip(self.runs.runs, draw, strict=True)]
        return table_of(channels, self.runs)

    def lowest(self, scores, table=None):
        table = table or self.table
        found = np.full(self.n, np.inf)
        known = np.isfinite(scores)
        np.minimum.at(found, table.run[known], scores[known])
        return found

    def stops(self, scores, limit):
        """Return the step of the first look below a limit, infinite where there is none."""
        found = np.full(self.n, np.inf)
        below = scores < limit
        np.minimum.at(found, self.table.run[below], self.table.step[below])
        return found

    @property
    def looked(self):
        found = np.zeros(self.n, dtype=bool)
        found[self.table.run] = True
        return found

    def account(self, stops, among):
        """Return lost, good runs, and saved, of the runs that are marked."""
        good, doomed = among & self.good & self.looked, among & ~self.good
        lost = int(np.sum(good & (stops < self.runs.t4)))
        steps = np.maximum(self.spent - np.maximum(stops, FIRST), 0)[doomed].sum()
        whole = np.maximum(self.spent - FIRST, 0)[doomed].sum()
        return lost, int(good.sum()), steps / whole if whole else np.nan

    def limit(self, scores, among):
        """Return the score below which :data:`SHARE` of the good runs ever fall."""
        lowest = np.sort(self.lowest(scores)[among & self.good & self.looked])
        lowest = lowest[np.isfinite(lowest)]
        return lowest[int(SHARE * lowest.size)] if lowest.size else -np.inf

    def shipped(self, scores, among):
        """Return the limit that `train-classifier` would set on the runs that are marked."""
        lowest = self.lowest(scores)
        used = np.flatnonzero(among & self.good & np.isfinite(lowest))
        own, configuration, kind = lowest[used], self.runs.configuration[used], self.family[used]
        independent = independent_scores(own, configuration, self.runs.network[used])
        by_kind = tuple(
            independent_scores(own[here], configuration[here], configuration[here])
            for here in (kind == name for name in np.unique(kind))
        )
        limit = Calibration(independent, by_kind).threshold(SHARE) if own.size else None
        return -np.inf if limit is None else limit

    def area(self, scores, among):
        """Return the area over thirds of the log of the budget, at the first look in each."""
        budget = self.runs.budget[self.table.run]
        place = np.log(self.table.step / FIRST) / np.log(budget / FIRST)
        areas = []
        for third in range(3):
            here = np.flatnonzero(
                among[self.table.run]
                & (3 * place >= third)
                & (3 * place < third + 1)
                & np.isfinite(scores)
            )
            first = here[np.unique(self.table.run[here], return_index=True)[1]]
            good = self.good[self.table.run[first]]
            if 3 <= good.sum() <= good.size - 3:
                areas.append(auroc(good, scores[first]))
        return float(np.mean(areas)) if areas else np.nan


def table_of(channels, runs):
    """Return all looks at runs with these channels."""
    recordings = [Recording.of(of_run) for of_run in channels]
    compute_signatures(recordings)
    ends = np.minimum(runs.t4, runs.budget)
    looks = [np.arange(looks_before(end).size) for end in ends]
    rows = [
        recording.columns(look.tolist(), budget)
        for recording, look, budget in zip(recordings, looks, runs.budget, strict=True)
    ]
    there = [np.isfinite(row[:, 0]) for row in rows]
    looks = [look[seen] for look, seen in zip(looks, there, strict=True)]
    rows = [row[seen] for row, seen in zip(rows, there, strict=True)]
    return LookTable.joined(looks, rows, runs.t4, runs.budget)


def scored(trees, known, reads):
    """Return the probability at each look, reading these channels as far as they are there."""
    return trees.probability(only(known.table.columns.astype(float), reads))


def of_configuration(known, rows):
    return configuration_columns(
        [known.runs.configurations[i] for i in known.table.run[rows]],
        known.runs.budget[known.table.run[rows]],
    )


def configuration_alone(known, fit):
    """Fit the same trees to the configuration and the budget of the runs that are marked."""
    rows = np.flatnonzero(fit[known.table.run])
    first = rows[np.unique(known.table.run[rows], return_index=True)[1]]
    y = known.good[known.table.run[first]]
    return fit_trees(
        of_configuration(known, first), y, CONFIGURATION_COLUMNS, rows_per_run=1, seed=0
    )


def last_value(known):
    """Return the latest validation accuracy at each look."""
    return known.table.columns[:, COLUMNS.index("val_acc_level")].astype(float)


def patience(known):
    """Return the stops of every patience on the validation loss, shape (n_patiences, n_runs)."""
    stops = np.full((PATIENCES.size, known.n), np.inf)
    for i, run in enumerate(known.runs.runs):
        if "val_loss" in run.channels:
            stops[:, i] = stops_of_patience(run.channels["val_loss"], PATIENCES, maximise=False)
    return stops


def fixed(known):
    """Return the stops of every fixed stop, one a look."""
    return np.repeat(LOOKS[:24, None].astype(float), known.n, axis=1)


def chosen(known, stops, among):
    """Return the row of ``stops`` that saves most of the marked runs and loses no more than 5 %."""
    best, row = -1.0, len(stops) - 1
    for i, own in enumerate(stops):
        lost, good, saved = known.account(own, among)
        if good and lost <= SHARE * good and saved > best:
            best, row = saved, i
    return row


def print_row(name, known, stops, hindsight, area, groups):
    """Print one line: as chosen elsewhere, and in hindsight, over all runs and by kind of task."""
    everyone = np.ones(known.n, dtype=bool)
    lost, good, saved = known.account(stops, everyone)
    share = clopper_pearson(lost, good)
    low, high = 100 * (share.low or 0), 100 * (share.high or 1)
    shares = []
    for kind in groups:
        own_lost, own_good, _ = known.account(stops, known.family == kind)
        if own_good >= 10:
            shares.append((own_lost / own_good, kind))
    worst = "-" if not shares else f"{100 * max(shares)[0]:.0f} % {max(shares)[1]}"
    _, _, late = known.account(hindsight, everyone)
    print(
        f"| {name} | {area:.3f} | {lost}/{good}, {100 * lost / max(good, 1):.1f} % "
        f"[{low:.1f}, {high:.1f}] | {worst} | {saved:.2f} | {late:.2f} |",
        flush=True,
    )


HEADER = """\
| | AUROC | lost | worst kind | saved | saved, hindsight |
| --- | ---: | ---: | --- | ---: | ---: |"""


def by_scores(name, known, scores, kinds):
    """Print a rule that stops below a score; the limit of each kind is that of the others."""
    everyone = np.ones(known.n, dtype=bool)
    stops = np.full(known.n, np.inf)
    for kind in kinds:
        own = known.family == kind
        stops[own] = known.stops(scores, known.shipped(scores, ~own))[own]
    hindsight = known.stops(scores, known.limit(scores, everyone))
    print_row(name, known, stops, hindsight, known.area(scores, everyone), kinds)


def by_settings(name, known, settings, kinds):
    """Print a rule of which the setting for each kind is chosen on the others."""
    everyone = np.ones(known.n, dtype=bool)
    stops = np.full(known.n, np.inf)
    for kind in kinds:
        own = known.family == kind
        stops[own] = settings[chosen(known, settings, ~own)][own]
    print_row(name, known, stops, settings[chosen(known, settings, everyone)], np.nan, kinds)


def families():
    """Print the table of kinds of task left out whole."""
    train, known = Known([DATA / "sweeps"], coarser=True), Known([DATA / "sweeps"])
    kinds = sorted(set(known.family))
    scores = {name: np.full(known.table.step.size, np.nan) for name in READS}
    alone = np.full(known.table.step.size, np.nan)
    for kind in kinds:
        kept, own = train.family != kind, np.flatnonzero(known.family[known.table.run] == kind)
        model = fit(train.table.among(kept), seed=0)
        for name, reads in READS.items():
            scores[name][own] = scored(model, known, reads)[own]
        trees = configuration_alone(known, kept)
        alone[own] = trees.probability(of_configuration(known, own))
        print(f"{kind} left out", file=sys.stderr, flush=True)
    print(HEADER)
    for name, own in scores.items():
        by_scores(name, known, own, kinds)
    by_scores("configuration alone", known, alone, kinds)
    by_scores("last validation accuracy", known, last_value(known), kinds)
    by_scores("activity of 400 steps", known, activity(known.table), kinds)
    by_settings("EarlyStopping(val_loss)", known, patience(known), kinds)
    by_settings("fixed stop", known, fixed(known), kinds)


def elsewhere(sources):
    """Print what a model of all of ``data/sweeps`` does on other runs, one table a source."""
    train, judged = Known([DATA / "sweeps"], coarser=True), Known([DATA / "sweeps"])
    model = fit(train.table, seed=0)
    trees = configuration_alone(judged, np.ones(judged.n, dtype=bool))
    limits = left_out_limits(train, judged)
    everyone = np.ones(judged.n, dtype=bool)
    for source in sources:
        known = Known([source])
        mine = np.ones(known.n, dtype=bool)
        kinds = sorted(set(known.family))
        good = int((known.good & known.looked).sum())
        print(f"\n{Path(source).name}: {known.n} runs, {good} good ones looked at\n\n{HEADER}")
        for name, reads in READS.items():
            scores = scored(model, known, reads)
            stops = known.stops(scores, limits[name])
            late = known.stops(scores, known.limit(scores, mine))
            print_row(name, known, stops, late, known.area(scores, mine), kinds)
        rows = np.arange(known.table.step.size)
        scores = trees.probability(of_configuration(known, rows))
        late = known.stops(scores, known.limit(scores, mine))
        print_row("configuration alone", known, late, late, known.area(scores, mine), kinds)
        scores = last_value(known)
        stops = known.stops(scores, judged.shipped(last_value(judged), everyone))
        late = known.stops(scores, known.limit(scores, mine))
        print_row("last validation accuracy", known, stops, late, known.area(scores, mine), kinds)
        for name, make in (("EarlyStopping(val_loss)", patience), ("fixed stop", fixed)):
            settings = make(known)
            stops = settings[chosen(judged, make(judged), everyone)]
            late = settings[chosen(known, settings, mine)]
            print_row(name, known, stops, late, np.nan, kinds)


def left_out_limits(train, judged):
    """Return the limit of each reading, from kinds of task left out in fifths."""
    kinds = np.array(sorted(set(judged.family)))
    scores = {name: np.full(judged.table.step.size, np.nan) for name in READS}
    for part in range(5):
        out = kinds[part::5]
        own = np.flatnonzero(np.isin(judged.family, out)[judged.table.run])
        model = fit(train.table.among(~np.isin(train.family, out)), seed=0)
        for name, reads in READS.items():
            scores[name][own] = scored(model, judged, reads)[own]
    everyone = np.ones(judged.n, dtype=bool)
    return {name: judged.shipped(own, everyone) for name, own in scores.items()}


#: Groups of channels that the fit and the looks of an ablation go without.
ABLATIONS = {"all columns": (), "without the spectral signature": (SPECTRUM,)}


def ablation(seeds=(0, 1)):
    """Print what groups of columns are worth on kinds of task left out in fifths."""
    train, known = Known([DATA / "sweeps"], coarser=True), Known([DATA / "sweeps"])
    kinds = sorted(set(known.family))
    everyone = np.ones(known.n, dtype=bool)
    print("| columns | seed | reads | AUROC | lost, mean of kinds | worst | saved | hindsight |")
    print("| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: |")
    for seed in seeds:
        for name, gone in ABLATIONS.items():
            missing = np.array([channel in gone for channel in READABLE])
            fitted = replace(train.table, columns=without(train.table.columns, missing))
            scores = {reads: np.full(known.table.step.size, np.nan) for reads in READS}
            for kept, out in kind_splits(known.runs):
                trees = fit(fitted.among(kept), seed=seed)
                own = np.flatnonzero(out[known.table.run])
                for title, reads in READS.items():
                    channels = tuple(channel for channel in reads if channel not in gone)
                    x = only(known.table.columns[own].astype(float), channels)
                    scores[title][own] = trees.probability(x)
            for title, values in scores.items():
                stops = np.full(known.n, np.inf)
                shares = []
                for kind in kinds:
                    mine = known.family == kind
                    stops[mine] = known.stops(values, known.shipped(values, ~mine))[mine]
                    lost, good, _ = known.account(stops, mine)
                    shares += [lost / good] if good >= 10 else []
                _, _, saved = known.account(stops, everyone)
                late = known.stops(values, known.limit(values, everyone))
                print(
                    f"| {name} | {seed} | {title} | {known.area(values, everyone):.3f} "
                    f"| {100 * np.mean(shares):.1f} % | {100 * max(shares):.1f} % | {saved:.3f} "
                    f"| {known.account(late, everyone)[2]:.3f} |",
                    flush=True,
                )


def cadence():
    """Print how far the probability of a run moves when its log is a coarser one."""
    train, known = Known([DATA / "sweeps"], coarser=True), Known([DATA / "heldout"])
    models = [fit(train.table, seed=seed) for seed in (0, 1)]
    probability = [scored(model, known, READABLE) for model in models]
    places = {pair: i for i, pair in enumerate(zip(known.table.run, known.table.step, strict=True))}
    print("| cadence | looks | median difference of P | 90 % | of log-odds, median |")
    print("| --- | ---: | ---: | ---: | ---: |")

    def show(name, one, other):
        moved = np.abs(one - other)
        odds = np.abs(np.log(one / (1 - one)) - np.log(other / (1 - other)))
        print(
            f"| {name} | {moved.size} | {np.median(moved):.3f} | {np.quantile(moved, 0.9):.3f} "
            f"| {np.median(odds):.2f} |",
            flush=True,
        )

    show("another seed of the fit", *probability)
    for stride in (10, 50, 100, 200, 1000):
        coarse = [thinned(run.channels, stride) for run in known.runs.runs]
        known_as = table_of(coarse, known.runs)
        p = models[0].probability(known_as.columns.astype(float))
        both = [places.get(pair, -1) for pair in zip(known_as.run, known_as.step, strict=True)]
        there = np.array(both) >= 0
        show(f"every {stride} steps", probability[0][np.array(both)[there]], p[there])


def cost():
    """Print what one look costs, from the curves on and from the sums that a live run keeps."""
    train = Known(sorted((DATA / "sweeps").glob("addition-*.npz"))[:4])
    everything = train.table.columns
    model = GrokClassifier(
        fit(train.table, seed=0), {}, np.nanmin(everything, axis=0), np.nanmax(everything, axis=0)
    )
    rng = np.random.default_rng(0)
    print("| steps logged, each | from curves, ms | from what is kept, ms |")
    print("| ---: | ---: | ---: |")
    for n in (400, 3200, 40_000, 300_000):
        curves = {name: Curve(np.arange(n), np.exp(-rng.random(n))) for name in PROFILED}
        look = looks_before(n).size - 1

        def judged(recording, look=look, n=n):
            return model.look(recording.columns([look], 2.0 * n))

        def timed(work):
            best = np.inf
            for _ in range(20):
                start = time.perf_counter()
                work()
                best = min(best, time.perf_counter() - start)
            return 1e3 * best

        kept = Recording.of(curves)
        whole = timed(lambda c=curves, j=judged: j(Recording.of(c)))
        print(f"| {n} | {whole:.2f} | {timed(lambda k=kept, j=judged: j(k)):.2f} |")


TABLES = {"families": families, "ablation": ablation, "cadence": cadence, "cost": cost}


def main():
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("table", choices=[*TABLES, "heldout", "strangers"])
    parser.add_argument("folders", nargs="*")
    options = parser.parse_args()
    if options.table == "heldout":
        elsewhere([DATA / "heldout"])
    elif options.table == "strangers":
        elsewhere(options.folders)
    else:
        TABLES[options.table]()


if __name__ == "__main__":
    main()
