"""The training pipeline: log files or runs, their records, a classifier and its report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from grokpredict._util.cache import Cache, key_of
from grokpredict.logs import Columns, Paths
from grokpredict.model.classifier import GrokClassifier
from grokpredict.runs.budget import relative
from grokpredict.runs.labels import LabelRule
from grokpredict.runs.sweep import Sweep
from grokpredict.training.cross_validation import Progress
from grokpredict.training.gathering import Gathered, gather, records_of_many
from grokpredict.training.record import Facts, Record
from grokpredict.training.report import TrainingReport
from grokpredict.training.trainer import train_records


@dataclass(frozen=True, eq=False)
class Trained:
    """What training gives, as the cache keeps it."""

    classifier: GrokClassifier
    report: TrainingReport


def train(
    sweep: Sweep | Paths,
    *,
    columns: Columns | None = None,
    budget: int | None = None,
    rule: LabelRule | None = None,
    seed: int = 0,
    jobs: int = 1,
    progress: Progress | None = None,
) -> tuple[GrokClassifier, TrainingReport]:
    """Train a classifier on finished runs.

    Parameters
    ----------
    sweep : Sweep, path-like or iterable of path-like
        Runs with a training loss and a validation metric, or where to read them. From paths the
        memory that is needed does not grow with the length of the curves.
    columns : Columns, optional
        Names of columns, where they are not recognised.
    budget : int, optional
        Step by which a run has to generalise. By default what each run was planned for.
    rule : LabelRule, optional
        When a run counts as generalised. By default as each run says.
    seed : int
        Of the splits, of the budgets that are drawn and of the channels that are left out.
    jobs : int
        Processes, as joblib counts them.
    progress : callable, optional
        Called with the fits done and to do.

    Returns
    -------
    classifier : GrokClassifier
    report : TrainingReport

    Raises
    ------
    UnsuitableSweepError
        If too few runs can be used, or all of them generalised, or none.
    LogError
        If a path does not exist or holds no log.
    """
    if isinstance(sweep, Sweep):
        records = records_of_many(sweep.runs, rule, jobs=jobs)
        gathered = Gathered(records, tuple(sweep.left_out), sweep.findings)
    else:
        gathered = gather(sweep, columns, rule, jobs=jobs)
    return train_gathered(gathered, budget=budget, seed=seed, jobs=jobs, progress=progress)


def train_gathered(
    gathered: Gathered,
    *,
    budget: int | None = None,
    seed: int = 0,
    jobs: int = 1,
    cache: Cache | None = None,
    progress: Progress | None = None,
) -> tuple[GrokClassifier, TrainingReport]:
    """Train a classifier on what was gathered, as :func:`train`.

    Parameters
    ----------
    gathered : Gathered
        By :func:`~grokpredict.training.gathering.gather`.
    budget, seed, jobs
        As for :func:`train`.
    cache : Cache, optional
        Where the classifier is kept, by all that it depends on.
    progress : callable, optional
        Called with the fits done and to do.
    """
    records, left_out = gathered.records, len(gathered.left_out)
    key = "" if cache is None else key_of(_unmoved(records), left_out, budget, seed)
    trained = cache.get(key, Trained) if cache else None
    if trained is None:
        classifier, report = train_records(
            records,
            left_out=left_out,
            budget=budget,
            seed=seed,
            jobs=jobs,
            progress=progress,
        )
        trained = Trained(classifier, report)
        if cache is not None:
            cache.put(key, trained, Trained)
    return trained.classifier, trained.report


def _unmoved(records: Sequence[Record]) -> list[tuple[Facts, bytes]]:
    """Return what a classifier depends on, the same wherever the sweep lies."""
    names = relative([record.facts.name for record in records])
    return [
        (replace(record.facts, name=name), record.sha256)
        for record, name in zip(records, names, strict=True)
    ]
