"""Thresholds from some finished runs of a task, tried on its other runs.

    python benchmarks/bench_calibrate.py scores data/sweeps sweeps.npz  # kinds left out in fifths
    python benchmarks/bench_calibrate.py scores FOLDER source.npz       # by the built-in classifier
    python benchmarks/bench_calibrate.py families sweeps.npz            # each kind of task in turn
    python benchmarks/bench_calibrate.py sources source.npz...          # each source
    python benchmarks/bench_calibrate.py sweeps sweeps.npz source.npz.. # simulated sweeps

`scores` computes every look once; the others work on arrays. *Lost* is the share of good runs that
had a look before they generalised and were stopped, *saved* the steps of doomed runs after they
were stopped, as a share of stopping all of them at step 200. The bound is 5 %.

`families` and `sources`: 40, 80 or 160 finished runs are known, and rules are tried on the others,
over 20 random splits. What a classifier brings to a kind of data/sweeps are scores of the other
kinds. Beside: EarlyStopping on the validation loss with the patience that saves most of the known
runs and loses at most 5 % of them; the last validation accuracy by SureStop's rule; the
configuration alone, by trees that learn from the known runs (`sources`, five splits).

`sweeps`: at least 500 sweeps of up to 200 runs, 8 at once, in random order and with a range that
moves half way: the learning rate, or where all have the same the size of the training set. Stopping
begins with 19 good runs; a tenth of the runs is never stopped. Beside them successive halving, and
in the first five sweeps of each kind or source the configuration alone.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from simulated_sweeps import (
    FIRST,
    RULES,
    SHARE,
    Replayed,
    chosen,
    drifting_order,
    halving,
    joined,
    keeps_the_bound,
    last_value,
    leaking,
    random_order,
    simulate,
    split,
)

from grokpredict.features.configuration import CONFIGURATION_COLUMNS, configuration_columns
from grokpredict.model.calibration import Calibration
from grokpredict.model.channels import may_stop, only, read_by
from grokpredict.model.classifier import load_classifier
from grokpredict.model.thresholds import expected_threshold, independent_scores
from grokpredict.training.cross_validation import fit

DATA = Path(__file__).parents[1] / "data"
KNOWN = (40, 80, 160)
SPLITS, FITTED_SPLITS = 20, 5
AUDIT, SIZE = 0.1, 200
FAMILY_SWEEPS, SOURCE_SWEEPS = 30, 50
#: A kind of task is large enough for splits with so many runs and good ones.
LEAST_RUNS, LEAST_GOOD = 200, 40


# -- scores ----------------------------------------------------------------------------------


def settled(table):
    """Return by run what its looks read, and which looks read it."""
    reads, looks = {}, np.zeros(table.step.size, dtype=bool)
    channels_of = read_by(table.columns)
    for i, (run, channels) in enumerate(zip(table.run.tolist(), channels_of, strict=True)):
        if run not in reads and may_stop(channels):
            reads[run] = channels
        looks[i] = run in reads and set(reads[run]) <= set(channels)
    return reads, looks


def scores(source, out):
    """Write the scores of every look at some runs."""
    from bench_columns import Known, last_value, patience

    known = Known([source])
    table = known.table
    reads, looks = settled(table)
    found = {name: np.full(table.step.size, np.nan) for name in ("score", "loss")}
    for rows, trees in models(source, known):
        for own in {reads[run] for run in table.run[rows[looks[rows]]].tolist()}:
            mine = rows[[bool(looks[i]) and reads[table.run[i]] == own for i in rows]]
            found["score"][mine] = seen(trees, table, mine, own)
        found["loss"][rows] = seen(trees, table, rows, ("train_loss",))
    first = [max(reads.values(), key=list(reads.values()).count)] if reads else [()]
    np.savez(
        out,
        **found,
        run=table.run,
        step=table.step,
        t4=known.runs.t4,
        budget=known.runs.budget,
        spent=known.spent,
        family=known.family,
        configuration=known.runs.configuration,
        network=known.runs.network,
        patience=patience(known),
        last=last_value(known),
        context=configuration_columns(known.runs.configurations, known.runs.budget),
        reads=np.array(first[0]),
    )


def models(source, known):
    """Yield looks, and trees that have not seen their kind of task."""
    from bench_columns import Known

    everything = np.arange(known.table.step.size)
    if Path(source).resolve() != (DATA / "sweeps").resolve():
        yield everything, load_classifier().trees
        return
    train = Known([source], coarser=True)
    kinds = np.array(sorted(set(known.family)))
    for part in range(5):
        out = kinds[part::5]
        rows = np.flatnonzero(np.isin(known.family, out)[known.table.run])
        yield rows, fit(train.table.among(~np.isin(train.family, out)), seed=0)


def seen(trees, table, rows, reads):
    """Return the probability at some looks."""
    return trees.probability(only(table.columns[rows].astype(float), reads))


class Source:
    """One kind of task, or one source of runs: what the tables need of it."""

    def __init__(self, name, arrays, among, calibration, column="score"):
        self.name, self.calibration = name, calibration
        rows = np.flatnonzero(among)
        self.n = rows.size
        self.context = arrays["context"][rows]
        self.patience = arrays["patience"][:, rows]
        self.replayed = self.looks(arrays, rows, arrays[column])
        self.last = self.looks(arrays, rows, arrays["last"])
        self.constant = self.looks(arrays, rows, np.zeros(arrays["run"].size))

    @staticmethod
    def looks(arrays, rows, score):
        place = np.full(arrays["t4"].size, -1)
        place[rows] = np.arange(rows.size)
        kept = (place[arrays["run"]] >= 0) & np.isfinite(score)
        of_runs = ("t4", "budget", "spent", "configuration", "network")
        return Replayed(
            place[arrays["run"][kept]],
            arrays["step"][kept].astype(float),
            score[kept],
            *(arrays[name][rows] for name in of_runs),
        )

    @property
    def axis(self):
        """What drifts: the learning rate, or else the size of the training set; or None."""
        for name in ("log10_learning_rate", "log10_train_size"):
            values = self.context[:, CONFIGURATION_COLUMNS.index(name)]
            if np.isfinite(values).all() and np.unique(values).size >= 4:
                return values
        return None


def families(path, column="score"):
    """Return the kinds of task of cross-fitted scores, each with what the others bring."""
    arrays = dict(np.load(path))
    whole = Source("all", arrays, np.ones(arrays["t4"].size, dtype=bool), None, column).replayed
    counted, family = whole.good & whole.looked, arrays["family"]
    found = []
    for name in np.unique(family):
        own = family == name
        if own.sum() < LEAST_RUNS or (own & counted).sum() < LEAST_GOOD:
            continue
        others = [counted & (family == kind) for kind in np.unique(family) if kind != name]
        good = counted & ~own
        calibration = Calibration(
            independent_scores(whole.lowest[good], whole.configuration[good], whole.network[good]),
            tuple(whole.own(kind) for kind in others if kind.any()),
        )
        found.append(Source(str(name), arrays, own, calibration, column))
    return found


def sources(paths, column="score"):
    """Return sources that the built-in classifier scored."""
    calibrations = load_classifier().calibrations
    found = []
    for path in paths:
        arrays = dict(np.load(path))
        reads = tuple(arrays["reads"].tolist()) if column == "score" else ("train_loss",)
        calibration = calibrations.get(reads, Calibration(np.empty(0)))
        everyone = np.ones(arrays["t4"].size, dtype=bool)
        found.append(Source(Path(path).stem, arrays, everyone, calibration, column))
    return found


# -- tables ----------------------------------------------------------------------------------


def configuration_alone(source, known, seed):
    """Stop at once what trees of the known configurations score low, or None without two outcomes.

    The threshold is in expectation, from scores of known runs that each fifth's trees did not see.
    """
    from grokpredict.training.fit import fit_trees

    runs, x = source.replayed, source.context
    index = np.flatnonzero(known & (runs.looked | ~runs.good))
    if not np.isfinite(x[index]).any() or np.unique(x[index], axis=0).shape[0] < 5:
        return None
    number = np.unique(runs.configuration[index], return_inverse=True)[1]
    fold = np.random.default_rng(seed).permutation(number.max() + 1)[number] % 5
    held = np.full(runs.t4.size, np.nan)
    for part in range(5):
        fit, out = index[fold != part], index[fold == part]
        if 0 < runs.good[fit].sum() < fit.size and out.size:
            trees = fit_trees(x[fit], runs.good[fit], CONFIGURATION_COLUMNS, rows_per_run=1, seed=0)
            held[out] = trees.probability(x[out])
    good = known & runs.good & np.isfinite(held)
    if not 0 < runs.good[index].sum() < index.size:
        return None
    limit = expected_threshold(held[good], SHARE) or 0.0
    trees = fit_trees(x[index], runs.good[index], CONFIGURATION_COLUMNS, rows_per_run=1, seed=0)
    return np.where(trees.probability(x) < limit, float(FIRST), np.inf)


def rules_of(source, known, seed, fitted):
    """Return where each rule stops the runs of a source, given those that are known.

    The configuration alone only in the first ``fitted`` splits.
    """
    runs = source.replayed
    own = runs.own(known)
    stops = {name: runs.stops(rule(own, source.calibration)) for name, rule in RULES.items()}
    stops["EarlyStopping, patience of the known runs"] = source.patience[
        chosen(runs, source.patience, known)
    ]
    stops["last accuracy, SureStop's rule"] = last_value(source.last, known)
    if seed < fitted:
        alone = configuration_alone(source, known, seed)
        if alone is not None:
            stops["configuration alone"] = alone
    return stops


def split_table(of, n_known, n_splits=SPLITS, fitted=0):
    """Return by rule and source the share lost and the mean saved; and good runs known a source."""
    found, good = {}, {}
    for source in of:
        accounts = {}
        for seed in range(n_splits):
            known = split(source.n, n_known, seed)
            good.setdefault(source.name, []).append(source.replayed.own(known).size)
            for name, stops in rules_of(source, known, seed, fitted).items():
                accounts.setdefault(name, []).append(source.replayed.account(stops, ~known))
        for name, rows in accounts.items():
            lost, n_good, saved = np.array(rows, dtype=float).T
            share = lost.sum() / n_good.sum() if n_good.sum() else np.nan
            found.setdefault(name, {})[source.name] = (share, float(np.nanmean(saved)))
    return found, {name: float(np.mean(numbers)) for name, numbers in good.items()}


def print_splits(of, by_source):
    """Print mean and worst of each rule, and each source where asked for."""
    for n_known in KNOWN:
        large = [source for source in of if source.n >= n_known + 40]
        fitted = FITTED_SPLITS if by_source else 0
        table, good = split_table(large, n_known, fitted=fitted)
        numbers = ", ".join(f"{name} {number:.0f}" for name, number in good.items())
        print(f"\n{n_known} finished runs known; good configurations: {numbers}\n")
        names = [source.name for source in large] if by_source else []
        print("| | lost | worst | saved |" + "".join(f" {name} |" for name in names))
        print("| --- | ---: | --- | ---: |" + " ---: |" * len(names))
        for rule, cells in table.items():
            values = np.array(list(cells.values()))
            worst = list(cells)[int(values[:, 0].argmax())]
            row = "".join(
                f" {100 * cells[name][0]:.1f} % / {cells[name][1]:.2f} |" if name in cells else " |"
                for name in names
            )
            print(
                f"| {rule} | {100 * values[:, 0].mean():.1f} % | "
                f"{100 * values[:, 0].max():.1f} % {worst} | {values[:, 1].mean():.2f} |{row}",
                flush=True,
            )


def learned_again(source, seed):
    """Return the configuration alone as a rule of a sweep, learned at every twentieth known run."""
    stops = {}

    def stops_of(known):
        number = int(known.sum()) // 20
        if number not in stops:
            stops[number] = configuration_alone(source, known, seed)
        found = stops[number]
        return np.full(source.n, np.inf) if found is None else found

    return stops_of


def stoppers(source, seed):
    """Return the rules of a simulated sweep: which runs are known -> where each is stopped."""
    runs, brought = source.replayed, source.calibration
    return {
        "calibrate": lambda known: runs.stops(joined(runs.own(known), brought)),
        "calibrate --guarantee confidence": lambda known: runs.stops(
            RULES["calibrate --guarantee confidence"](runs.own(known), brought)
        ),
        "EarlyStopping": lambda known: source.patience[chosen(runs, source.patience, known)],
        "last accuracy, SureStop's rule": lambda known: last_value(source.last, known),
        "twice the bound (control)": lambda known: runs.stops(leaking(runs.own(known), brought)),
        **({"configuration alone": learned_again(source, seed)} if seed < FITTED_SPLITS else {}),
    }


def print_sweeps(of, sweeps):
    """Print the simulated sweeps, in random order and with drift."""
    for drift in (False, True):
        results = {}
        for source, number in zip(of, sweeps, strict=True):
            size = min(SIZE, source.n)
            if drift and source.axis is None:
                continue
            for seed in range(number):
                rng = np.random.default_rng([int(drift), seed])
                audited = rng.random(source.n) < AUDIT
                order = (
                    drifting_order(source.axis, size, rng)
                    if drift
                    else random_order(source.n, size, rng)
                )
                for name, stops_of in stoppers(source, seed).items():
                    result = simulate(source.replayed, order, stops_of, audited=audited)
                    results.setdefault(name, []).append((source.name, result))
                result = halving(source.last, order)
                results.setdefault("successive halving", []).append((source.name, result))
        n = len(next(iter(results.values())))
        print(f"\n{n} sweeps, {'a range moves half way' if drift else 'in random order'}\n")
        print("| | lost | sweeps over 10 % | worst source | saved | began at run | keeps 5 % |")
        print("| --- | ---: | ---: | --- | ---: | ---: | --- |")
        for name, rows in results.items():
            print_sweep_row(name, rows)


def print_sweep_row(name, rows):
    """Print one rule of the simulated sweeps."""
    totals = {}
    for source, result in rows:
        lost, good = totals.get(source, (0, 0))
        totals[source] = (lost + result.lost, good + result.good)
    shares = {source: lost / good for source, (lost, good) in totals.items() if good}
    worst = max(shares, key=shares.get)
    lost, good = np.array(list(totals.values())).sum(axis=0)
    each = np.array([result.lost / result.good for _, result in rows if result.good])
    began = [result.began for _, result in rows if result.began is not None]
    print(
        f"| {name} | {100 * lost / good:.1f} % | {100 * np.mean(each > 0.1):.0f} % | "
        f"{100 * shares[worst]:.1f} % {worst} | {np.mean([r.saved for _, r in rows]):.2f} | "
        f"{np.median(began):.0f} ({len(rows) - len(began)} never) | "
        f"{'yes' if keeps_the_bound(totals) else 'no'} |",
        flush=True,
    )


def main():
    """Print one table, or write scores."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("table", choices=["scores", "families", "sources", "sweeps"])
    parser.add_argument("paths", nargs="+")
    parser.add_argument("--loss", action="store_true", help="read the training loss alone")
    options = parser.parse_args()
    column = "loss" if options.loss else "score"
    if options.table == "scores":
        scores(*options.paths)
    elif options.table == "families":
        print_splits(families(options.paths[0], column), by_source=False)
    elif options.table == "sources":
        print_splits(sources(options.paths, column), by_source=True)
    else:
        kinds, others = families(options.paths[0], column), sources(options.paths[1:], column)
        numbers = [FAMILY_SWEEPS] * len(kinds) + [SOURCE_SWEEPS] * len(others)
        print_sweeps([*kinds, *others], numbers)


if __name__ == "__main__":
    sys.exit(main())
