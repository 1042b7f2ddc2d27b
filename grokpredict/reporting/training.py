"""A training report as text for people."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from grokpredict.logs import by_reason, notes, sentence
from grokpredict.model.reading import in_words
from grokpredict.model.thresholds import CONFIDENCE, calibration_runs_needed
from grokpredict.reporting.rendering import (
    MISSING,
    budgets,
    page,
    probability,
    round_percent,
    table,
    tally,
    with_interval,
)
from grokpredict.runs.sweep import Findings, LeftOut

if TYPE_CHECKING:
    from grokpredict.model.classifier import GrokClassifier
    from grokpredict.training.cross_validation import Figures, GridArea
    from grokpredict.training.trainer import TrainingReport

#: Columns of one channel that are shown, the most frequent first.
SHOWN_COLUMNS = 4

#: Reasons for leaving out that are shown, the most frequent first.
SHOWN_REASONS = 10

#: A larger bound than this is not offered to somebody who has too few calibration runs.
LARGEST_OFFER = 0.25


def training_text(
    classifier: GrokClassifier,
    report: TrainingReport,
    left_out: Sequence[LeftOut],
    findings: Findings,
    max_false_abort: float,
) -> str:
    """Return what was read, how good the classifier is, and what its thresholds rest on."""
    return page(
        (
            _runs(report),
            _formats(findings),
            _columns(findings),
            notes(findings),
            _reasons(left_out),
            _figures(report),
            _grids(report),
            _thresholds(classifier, max_false_abort),
        )
    )


def _runs(report: TrainingReport) -> Iterator[str]:
    counts = report.counts
    yield f"{counts.runs} runs found"
    yield f"{counts.generalised:>8}  generalised by their budget: used"
    yield f"{counts.not_generalised:>8}  did not: used"
    yield from tally(
        (
            (counts.in_window, "generalised before the first look: not used"),
            (counts.diverged, "diverged, their loss is not finite: not used"),
            (counts.censored, "ended before their budget, outcome unknown (censored): not used"),
            (counts.no_metric, "have no validation metric: not used"),
            (counts.unfit, "are too short, or on a step grid that allows no look: not used"),
            (counts.left_out, "could not be read"),
        )
    )
    used = counts.generalised + counts.not_generalised
    networks = f" and {counts.networks} networks" if counts.networks else ""
    yield f"The {used} runs that are used have {counts.configurations} configurations{networks}."
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
    unseen = "networks" if report.counts.networks else "configurations"
    yield f"AUROC on {unseen} that were not trained on, with 95 % intervals"
    titles = (">horizon", "reads", ">runs", ">good", "AUROC", "configuration only", "lead")
    rows = [_figure_cells(figures) for figures in report.figures]
    yield from table((*titles, "unseen task types"), rows)


def _figure_cells(figures: Figures) -> tuple[object, ...]:
    return (
        figures.horizon,
        in_words(figures.reads),
        figures.n_runs,
        figures.n_generalised,
        with_interval(figures.auroc),
        with_interval(figures.configuration_auroc),
        with_interval(figures.lead, sign="+"),
        probability(figures.family_median),
    )


def _grids(report: TrainingReport) -> Iterator[str]:
    """Yield a table of step grids and horizons, unless the runs allow for one grid only."""
    strides = sorted({area.stride for area in report.grids})
    horizons = sorted({area.horizon for area in report.grids})
    areas = {(area.stride, area.horizon): area for area in report.grids}
    if len(strides) < 2:
        return
    yield "AUROC by the steps between two logged losses: loss / loss + configuration"
    rows = [(f"every {s}", *(_area(areas.get((s, h))) for h in horizons)) for s in strides]
    yield from table(("steps", *(f">after {horizon}" for horizon in horizons)), rows)


def _area(area: GridArea | None) -> str:
    if area is None:
        return MISSING
    return f"{probability(area.loss)} / {probability(area.with_configuration)}"


def _thresholds(classifier: GrokClassifier, max_false_abort: float) -> Iterator[str]:
    yield (
        f"Abort thresholds: with {CONFIDENCE:.0%} confidence".replace("%", " %")
        + f" at most {round_percent(max_false_abort)} of the good runs are lost"
    )
    rows = []
    for stride in classifier.strides:
        for reader in classifier.readers:
            limit = reader.threshold(stride, max_false_abort)
            number = reader.n_calibration(stride)
            rows.append(
                (
                    f"every {stride}",
                    in_words(reader.reads),
                    f"{limit:.4f}, from {number} independent good configurations"
                    if limit is not None
                    else _why_never(number, max_false_abort),
                )
            )
    yield from table(("steps", "reads", "P below"), rows)


def _why_never(n_calibration: int, max_false_abort: float) -> str:
    """Say what is missing for a threshold.

    >>> _why_never(40, 0.05)
    'never stops: 40 of 59 good runs. Add 19, or allow 8 %.'
    >>> _why_never(2, 0.05)
    'never stops: 2 of 59 good runs. Add 57.'
    """
    needed = calibration_runs_needed(max_false_abort)
    text = f"never stops: {n_calibration} of {needed} good runs. Add {needed - n_calibration}"
    # The smallest whole percentage that so many runs are enough for.
    offer = math.ceil(100 * (1 - (1 - CONFIDENCE) ** (1 / max(n_calibration, 1)))) / 100
    return f"{text}, or allow {round_percent(offer)}." if offer <= LARGEST_OFFER else f"{text}."
