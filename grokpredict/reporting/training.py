"""A training report as text for people."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from grokpredict.logs import by_reason, notes, sentence
from grokpredict.model.channels import READABLE, Reads
from grokpredict.model.thresholds import CONFIDENCE, calibration_runs_needed
from grokpredict.reporting.calibrations import training_conclusion
from grokpredict.reporting.rendering import (
    MISSING,
    budgets,
    configurations,
    page,
    round_percent,
    share,
    table,
    tally,
    with_interval,
)
from grokpredict.runs.sweep import Findings, LeftOut

if TYPE_CHECKING:
    from grokpredict.model.classifier import GrokClassifier
    from grokpredict.training.report import LookFigures, TrainingReport

#: Columns of one channel that are shown, the most frequent first.
SHOWN_COLUMNS = 4

#: Reasons for leaving out that are shown, the most frequent first.
SHOWN_REASONS = 10

#: Combinations of channels whose threshold is shown; --json has the number of runs behind all.
SHOWN_READS: tuple[Reads, ...] = (
    ("train_loss", "val_acc"),
    ("train_loss", "val_loss"),
    ("train_loss", "val_loss", "val_acc"),
    ("train_loss", "val_loss", "train_acc", "val_acc"),
    READABLE,
)

#: A larger bound than this is not offered to somebody who has too few calibration runs.
LARGEST_OFFER = 0.25


def training_text(
    classifier: GrokClassifier,
    report: TrainingReport,
    left_out: Sequence[LeftOut],
    findings: Findings,
    max_false_abort: float,
) -> str:
    """Return what came out, what was read, how good it is, and what the thresholds rest on."""
    return page(
        (
            [conclusion(classifier, report, max_false_abort)],
            _runs(report),
            _formats(findings),
            _columns(findings),
            notes(findings),
            _reasons(left_out),
            _figures(report),
            _accounts(report),
            _thresholds(classifier, report, max_false_abort),
        )
    )


def conclusion(classifier: GrokClassifier, report: TrainingReport, max_false_abort: float) -> str:
    """Say in a sentence or two which bound holds, what is missing, and what was lost and saved."""
    if not report.usual_reads:
        return (
            "This classifier never stops a run: no run logs a validation loss or accuracy often "
            "enough to be read (six evaluations by a look). Evaluate more often."
        )
    reads = classifier.reads(report.usual_reads, max_false_abort)
    says = training_conclusion(classifier.n_calibration(reads), max_false_abort)
    if classifier.threshold(reads, max_false_abort) is None or not report.accounts:
        return says
    account = report.accounts[0]
    unseen = "kinds of task" if report.kinds_left_out else "networks"
    return (
        f"{says} On {unseen} left out, with a bound of 5 %, it lost {account.lost} of "
        f"{account.n_generalised} good runs and saved {share(account.saved)}."
    )


def _runs(report: TrainingReport) -> Iterator[str]:
    counts = report.counts
    yield f"{counts.runs} runs found"
    yield f"{counts.generalised:>8}  generalised by their budget: used"
    yield f"{counts.not_generalised:>8}  did not: used"
    yield from tally(
        (
            (counts.early, "generalised before the first look: not used"),
            (counts.censored, "ended before their budget, outcome unknown (censored): not used"),
            (counts.no_metric, "have no validation metric: not used"),
            (counts.too_few_samples, "have too few losses for a look: not used"),
            (counts.left_out, "could not be read"),
        )
    )
    used = counts.generalised + counts.not_generalised
    yield configurations(used, counts.configurations, counts.networks)
    yield from budgets(counts.budgets)


def _formats(findings: Findings) -> Iterator[str]:
    lines = list(tally((n, name) for name, n in sorted(findings.formats.items(), key=_most)))
    if lines:
        yield "Runs by log format"
        yield from lines


def _most(item: tuple[str, int]) -> int:
    return -item[1]


def _columns(findings: Findings) -> Iterator[str]:
    """One line a channel: the columns that were taken for it, and for how many runs."""
    taken: dict[str, list[tuple[str, int]]] = {}
    for (channel, column), number in findings.columns.items():
        taken.setdefault(channel, []).append((column, number))
    if taken:
        yield (
            "Columns that were read; choose others with --loss-column, --step-column, "
            "--val-acc-column"
        )
    for channel, columns in taken.items():
        shown = sorted(columns, key=_most)[:SHOWN_COLUMNS]
        names = ", ".join(f"{column!r} ({number})" for column, number in shown)
        more = len(columns) - len(shown)
        yield f"  {channel:<11}  {names}{f' and {more} more' if more else ''}"


def _reasons(left_out: Sequence[LeftOut]) -> Iterator[str]:
    groups = by_reason(left_out)
    if groups:
        yield "Could not be read, with one example for each reason"
    yield from tally((number, sentence(example)) for number, example in groups[:SHOWN_REASONS])
    if len(groups) > SHOWN_REASONS:
        yield f"          and {len(groups) - SHOWN_REASONS} more reasons"


def _figures(report: TrainingReport) -> Iterator[str]:
    if not report.figures:
        return
    unseen = "networks" if report.counts.networks else "configurations"
    yield f"AUROC on {unseen} that were not trained on, with 95 % intervals"
    titles = (">look at", "reads", ">runs", ">good", "AUROC", "configuration only", "lead")
    yield from table(titles, [_figure_cells(figures) for figures in report.figures])


def _figure_cells(figures: LookFigures) -> tuple[object, ...]:
    return (
        figures.step,
        figures.reads,
        figures.n_runs,
        figures.n_generalised,
        with_interval(figures.auroc),
        with_interval(figures.configuration_auroc),
        with_interval(figures.lead, sign="+"),
    )


def _accounts(report: TrainingReport) -> Iterator[str]:
    unseen = "kinds of task" if report.kinds_left_out else "networks"
    yield f"On {unseen} left out, with settings chosen on the others to lose at most 5 %"
    rows = [
        (
            account.name,
            f"{account.lost} of {account.n_generalised}",
            share(account.mean_lost),
            MISSING if account.worst is None else f"{share(account.worst)} {account.worst_family}",
            share(account.saved),
        )
        for account in report.accounts
    ]
    yield from table(("rule", ">good runs lost", ">mean", "worst kind of task", ">saved"), rows)


def _thresholds(
    classifier: GrokClassifier, report: TrainingReport, max_false_abort: float
) -> Iterator[str]:
    where = ", and as many in expectation in each kind of task" if report.kinds_left_out else ""
    yield (
        f"Abort thresholds: with {round_percent(CONFIDENCE)} confidence at most "
        f"{round_percent(max_false_abort)} of the good runs are lost{where}"
    )
    rows = []
    for reads in SHOWN_READS:
        limit = classifier.threshold(reads, max_false_abort)
        number = classifier.n_calibration(reads)
        if not number:
            continue  # no good run logs all of them
        rows.append(
            (
                ", ".join(reads),
                f"{limit:.4f}, from {number} independent good configurations"
                if limit is not None
                else _why_never(number, max_false_abort),
            )
        )
    rows.append(("no validation metric", "never stops"))
    yield from table(("reads", "P below"), rows)


def _why_never(n_calibration: int, max_false_abort: float) -> str:
    """Say what is missing for a threshold.

    >>> _why_never(40, 0.05)
    'never stops a run: 40 of 59 good runs. Add 19, or allow 8 %.'
    >>> _why_never(2, 0.05)
    'never stops a run: 2 of 59 good runs. Add 57.'
    """
    needed = calibration_runs_needed(max_false_abort)
    missing = needed - n_calibration
    text = f"never stops a run: {n_calibration} of {needed} good runs. Add {missing}"
    # The smallest whole percentage that so many runs are enough for.
    offer = math.ceil(100 * (1 - (1 - CONFIDENCE) ** (1 / max(n_calibration, 1)))) / 100
    return f"{text}, or allow {round_percent(offer)}." if offer <= LARGEST_OFFER else f"{text}."
