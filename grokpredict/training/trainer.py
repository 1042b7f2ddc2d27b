"""Training: from what is kept of a sweep to a classifier and a report on how far to trust it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from grokpredict.features.columns import COLUMNS, SPECTRUM
from grokpredict.features.profile import LOOKS
from grokpredict.model.channels import READABLE, VALIDATION, Reads, all_reads, may_stop
from grokpredict.model.classifier import GrokClassifier
from grokpredict.runs.curve import FloatArray
from grokpredict.runs.labels import LabelRule
from grokpredict.runs.sweep import UnsuitableSweepError
from grokpredict.training.cross_validation import (
    Progress,
    calibrated,
    configuration_alone,
    fit,
    held_out,
    signature_alone,
)
from grokpredict.training.figures import accounts, activity, look_figures
from grokpredict.training.outcomes import Runs, outcomes
from grokpredict.training.record import Facts, Record, fingerprint
from grokpredict.training.report import Counts, TrainingReport
from grokpredict.training.splits import Split, kind_splits, network_splits
from grokpredict.training.table import LookTable

#: Fewest runs of each outcome.
MIN_RUNS_PER_CLASS = 10

#: A sweep of which less than this share can be used is refused.
MIN_USABLE = 1 / 3

#: Runs to learn from at most: bounded trees, intervals and thresholds hardly gain by more.
MAX_RUNS = 10_000

#: What the figures of the loss alone read.
_LOSS: Reads = ("train_loss", SPECTRUM)

#: Where a look that reads validation has a number.
_VALIDATED = [COLUMNS.index(f"{channel}_level") for channel in VALIDATION]


@dataclass(frozen=True, eq=False)
class Sample:
    """Runs that are learned from, with their looks."""

    records: Sequence[Record]
    runs: Runs
    table: LookTable


def train_records(
    records: Sequence[Record],
    *,
    left_out: int = 0,
    budget: int | None = None,
    seed: int = 0,
    jobs: int = 1,
    progress: Progress | None = None,
) -> tuple[GrokClassifier, TrainingReport]:
    """Train a classifier on what was kept of a sweep, as :func:`grokpredict.train`.

    Parameters
    ----------
    records : sequence of Record
        Of the runs that could be read.
    left_out : int
        Runs that could not be read, for the report.
    budget, seed, jobs
        As for :func:`grokpredict.train`.
    progress : callable, optional
        Called with the fits done and to do.
    """
    kept, runs, lost = outcomes([record.facts for record in records], budget)
    labelled = [records[i] for i in kept]
    table = LookTable.of(labelled, runs)
    counts = _counts(len(records), left_out, runs, table, lost)
    _check(counts)
    sample = _sample(labelled, runs, table, seed)
    networks, kinds = network_splits(sample.runs, seed), kind_splits(sample.runs)
    splits = kinds or networks
    tell = _counting(progress, len(networks) + len(splits) + 1)
    tell(0)(0, 1)
    stopping = [reads for reads in all_reads() if may_stop(reads)]
    probability = held_out(sample.table, splits, stopping, seed=seed, jobs=jobs, progress=tell(0))
    trees = fit(sample.table, seed=seed)
    tell(len(splits))(1, 1)
    calibrations = calibrated(
        sample.table,
        sample.runs,
        probability,
        np.ones(len(sample.runs), dtype=np.bool_),
        by_kind=bool(kinds),
    )
    scores = _scores(sample, networks, seed=seed, jobs=jobs, progress=tell(len(splits) + 1))
    low, high = _range(sample.table)
    report = TrainingReport(
        counts=counts,
        figures=look_figures(
            sample.table,
            sample.runs,
            scores,
            configuration_alone(sample.runs, networks, seed=seed),
            seed=seed,
        ),
        accounts=accounts(
            sample.table, sample.runs, sample.records, probability, splits, by_kind=bool(kinds)
        ),
        kinds_left_out=bool(kinds),
        usual_reads=_usual(sample.table),
        calibration={
            " + ".join(reads): calibration.independent.size
            for reads, calibration in calibrations.items()
        },
    )
    classifier = GrokClassifier(
        trees=trees,
        calibrations=calibrations,
        low=low,
        high=high,
        rule=_rule([record.facts for record in labelled]),
        card=_card(report, labelled, seed),
    )
    return classifier, report


def _sample(records: Sequence[Record], runs: Runs, table: LookTable, seed: int) -> Sample:
    """Return the runs with a look, or those of networks at random, :data:`MAX_RUNS` at most."""
    looked = np.flatnonzero(table.looked_at)
    if looked.size > MAX_RUNS:
        network = runs.network[looked]
        sizes = np.bincount(network)
        order = np.random.default_rng(seed).permutation(sizes.size)
        chosen = np.zeros(sizes.size, dtype=np.bool_)
        chosen[order[np.cumsum(sizes[order]) <= MAX_RUNS]] = True
        looked = looked[chosen[network]]
    some, part = [records[i] for i in looked.tolist()], runs.only(looked)
    return Sample(some, part, LookTable.of(some, part))


def _scores(
    sample: Sample,
    splits: Sequence[Split],
    *,
    seed: int,
    jobs: int,
    progress: Progress,
) -> dict[str, FloatArray]:
    """Return what the figures are of, by name: probabilities of models that saw other networks."""
    table = sample.table
    scores = held_out(
        table, splits, (_LOSS, READABLE), whole=False, seed=seed, jobs=jobs, progress=progress
    )
    validated = np.isfinite(table.columns[:, _VALIDATED]).any(axis=1)
    return {
        "training loss": scores[_LOSS],
        "with validation": np.where(validated, scores[READABLE], np.nan),
        "signature alone": signature_alone(table, splits, seed=seed),
        "activity": activity(table),
    }


def _usual(table: LookTable) -> Reads:
    """Return what most runs are read by; empty if no run can be read with validation."""
    counts = Counter(table.settled().values())
    return counts.most_common(1)[0][0] if counts else ()


def _range(table: LookTable) -> tuple[FloatArray, FloatArray]:
    """Return the smallest and the largest value of each column, 0 where it was never there."""
    there = np.isfinite(table.columns).any(axis=0)
    full = np.where(there, table.columns.astype(float), 0.0)
    return np.nanmin(full, axis=0), np.nanmax(full, axis=0)


def _rule(facts: Sequence[Facts]) -> LabelRule:
    """Return the rule that most runs were labelled by: that of a sweep of regressions is a loss."""
    return Counter(fact.rule for fact in facts).most_common(1)[0][0]


def _counting(progress: Progress | None, total: int) -> Callable[[int], Progress]:
    """Return what makes the progress of a part, before which so many fits are done."""

    def after(before: int) -> Progress:
        def tell(done: int, _: int) -> None:
            if progress is not None:
                progress(before + done, total)

        return tell

    return after


def _counts(
    read: int, left_out: int, runs: Runs, table: LookTable, lost: Mapping[str, int]
) -> Counts:
    used, good = table.looked_at, runs.generalised
    early = good & (runs.t4 <= LOOKS[0])
    return Counts(
        runs=read + left_out,
        left_out=left_out,
        no_metric=lost["no_metric"],
        censored=lost["censored"],
        too_few_samples=int(np.sum(~used & ~early)),
        early=int(np.sum(early)),
        generalised=int(np.sum(used & good)),
        not_generalised=int(np.sum(used & ~good)),
        configurations=int(np.unique(runs.configuration[used]).size),
        networks=int(np.unique(runs.network[used]).size) if runs.by_network else 0,
        budgets=dict(Counter(runs.budget_source)),
    )


def _check(counts: Counts) -> None:
    """Raise UnsuitableSweepError unless the sweep can train a classifier."""
    unusable = counts.left_out + counts.no_metric + counts.censored + counts.too_few_samples
    if counts.runs - unusable < MIN_USABLE * counts.runs or not counts.runs:
        raise UnsuitableSweepError(
            f"at least a third of a sweep must be usable, {counts.runs - unusable} of "
            f"{counts.runs} runs are: {counts.left_out} could not be read, {counts.no_metric} "
            f"have no validation metric, {counts.censored} ended before their budget, "
            f"{counts.too_few_samples} have too few losses for a look (six by step 200, or later); "
            "give the column names, or a smaller --budget"
        )
    for kind, number in (
        ("generalised", counts.generalised),
        ("did not generalise", counts.not_generalised),
    ):
        if number < MIN_RUNS_PER_CLASS:
            raise UnsuitableSweepError(
                f"training needs {MIN_RUNS_PER_CLASS} runs of each outcome, {number} {kind} by "
                "their budget and after the first look; add runs, or choose another --budget"
            )
    if counts.configurations < 2:
        raise UnsuitableSweepError(
            "training needs runs of two configurations, these are of one; add runs"
        )


def _card(report: TrainingReport, records: Sequence[Record], seed: int) -> dict[str, Any]:
    sha256 = hashlib.sha256(b"".join(record.sha256 for record in records)).hexdigest()
    fingerprints = {fingerprint(record.facts.configuration_key) for record in records}
    return {
        "report": report.to_dict(),
        "seed": seed,
        "versions": _versions(),
        "data_sha256": sha256,
        "trained_on": sorted(fingerprints),
    }


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    versions = {}
    for name in ("grokpredict", "numpy", "scipy", "scikit-learn", "mne"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "unknown"
    return versions
