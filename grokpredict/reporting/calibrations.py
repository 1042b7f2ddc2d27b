"""A calibration as text for people, its conclusion first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from grokpredict.logs import notes
from grokpredict.model.joining import Wanted, guarantee
from grokpredict.model.thresholds import calibration_runs_needed, runs_needed_in_expectation
from grokpredict.reporting.rendering import MISSING, budgets, page, round_percent, table, tally
from grokpredict.runs.sweep import Findings

if TYPE_CHECKING:
    from grokpredict.training.calibration_report import (
        CalibratedReads,
        CalibrationReport,
        WouldHave,
    )

#: Bounds for which the thresholds are shown besides the one asked for.
SHOWN_BOUNDS = (0.01, 0.05, 0.1)


def calibration_text(report: CalibrationReport, findings: Findings, max_false_abort: float) -> str:
    """Return what the thresholds promise, what they would have done, and what they rest on."""
    return page(
        (
            _conclusion(report, max_false_abort),
            _runs(report),
            notes(findings),
            _thresholds(report.parts, max_false_abort),
        )
    )


def calibration_conclusion(report: CalibrationReport, max_false_abort: float) -> str:
    """Return in one sentence what the thresholds promise, and how many good runs are missing."""
    return next(_conclusion(report, max_false_abort))


def bound_in_words(
    n_good: int,
    max_false_abort: float,
    noun: str = "good run",
    wanted: Wanted = "expectation",
) -> str:
    """Say which bound so many good runs or configurations are enough for, and how many miss.

    >>> bound_in_words(31, 0.05)
    '31 good runs of 59: bound 5 % in expectation; 28 more for 95 % confidence'
    >>> bound_in_words(12, 0.05)
    '12 good runs of 19: no bound for your runs alone; 7 more for 5 % in expectation'
    >>> bound_in_words(59, 0.05)
    '59 good runs: bound 5 % in expectation; enough for 95 % confidence (--guarantee confidence)'
    >>> bound_in_words(59, 0.05, wanted="confidence")
    '59 good runs: bound 5 % with 95 % confidence'
    """
    share = round_percent(max_false_abort)
    confident = calibration_runs_needed(max_false_abort)
    expected = runs_needed_in_expectation(max_false_abort)
    which = guarantee(n_good, max_false_abort, wanted)
    runs = f"{n_good} {noun}{'' if n_good == 1 else 's'}"
    if which == "confidence":
        return f"{runs}: bound {share} with 95 % confidence"
    if n_good >= confident:
        return (
            f"{runs}: bound {share} in expectation; enough for 95 % confidence "
            "(--guarantee confidence)"
        )
    if which == "expectation":
        return (
            f"{runs} of {confident}: bound {share} in expectation; {confident - n_good} more for "
            "95 % confidence"
        )
    return (
        f"{runs} of {expected}: no bound for your runs alone; {expected - n_good} more for {share} "
        "in expectation"
    )


def training_conclusion(n_good: int, max_false_abort: float) -> str:
    """Say first what a newly trained classifier may stop, and what to do where it may not.

    Parameters
    ----------
    n_good : int
        Independent good configurations behind its threshold.
    max_false_abort : float
        The bound asked for.

    Examples
    --------
    >>> print(training_conclusion(40, 0.05))
    40 good runs of 59: this classifier never stops a run at 5 %; it needs 19 more. `grokpredict \
calibrate` on the same runs keeps the built-in model and bounds 5 % in expectation.
    >>> print(training_conclusion(12, 0.05))
    12 good runs of 59: this classifier never stops a run at 5 %; it needs 47 more. `grokpredict \
calibrate` on the same runs keeps the built-in model and joins its threshold with these runs.
    >>> print(training_conclusion(80, 0.05))
    80 good runs: bound 5 % with 95 % confidence.
    """
    needed = calibration_runs_needed(max_false_abort)
    if n_good >= needed:
        return f"{bound_in_words(n_good, max_false_abort, wanted='confidence')}."
    share = round_percent(max_false_abort)
    offer = (
        f"bounds {share} in expectation"
        if guarantee(n_good, max_false_abort) == "expectation"
        else "joins its threshold with these runs"
    )
    return (
        f"{n_good} good runs of {needed}: this classifier never stops a run at {share}; it needs "
        f"{needed - n_good} more. `grokpredict calibrate` on the same runs keeps the built-in "
        f"model and {offer}."
    )


def _conclusion(report: CalibrationReport, max_false_abort: float) -> Iterator[str]:
    part = report.parts[0]
    result = part.would_have(max_false_abort)
    repeated = part.lowest.size < report.counts.good
    noun = "good configuration" if repeated else "good run"
    calibration = part.calibration
    bound = bound_in_words(calibration.user.size, max_false_abort, noun, calibration.wanted)
    yield f"{bound}; {_would_have(result)}."
    yield f"Lost: each {noun} against the threshold that the others set."
    if result.saved is not None:
        yield (
            "Saved: steps of doomed runs after their stop, of what stopping all at the first look "
            "saves."
        )


def _would_have(result: WouldHave) -> str:
    lost = f"would have lost {result.lost} of {result.good}"
    if result.saved is None:
        return f"{lost}; no run was doomed, so nothing was saved"
    return f"{lost} and saved {100 * result.saved:.0f} %"


def _runs(report: CalibrationReport) -> Iterator[str]:
    counts = report.counts
    yield f"{counts.runs} runs found"
    configurations = report.parts[0].lowest.size
    repeats = f", of {configurations} configurations" if configurations < counts.good else ""
    yield from tally(
        (
            (counts.good, f"generalised by their budget: used{repeats}"),
            (counts.doomed, "did not: used"),
            (counts.no_look, "generalised before a look could read them: not used"),
            (counts.censored, "ended before their budget, outcome unknown (censored): not used"),
            (counts.no_metric, "have no validation metric: not used"),
            (counts.left_out, "could not be read"),
        )
    )
    yield from budgets(counts.budgets)


def _thresholds(parts: Sequence[CalibratedReads], max_false_abort: float) -> Iterator[str]:
    bounds = sorted({max_false_abort, *SHOWN_BOUNDS})
    titles = (">bound", ">P below", "holds", ">lost", ">saved")
    yield "Abort thresholds, by what a run is read by"
    for part in parts:
        yield f"{part.runs} runs by {', '.join(part.reads)}"
        yield from table(titles, [_threshold_cells(part, bound) for bound in bounds])


def _threshold_cells(part: CalibratedReads, bound: float) -> tuple[object, ...]:
    limit = part.calibration.threshold(bound)
    result = part.would_have(bound)
    return (
        round_percent(bound),
        MISSING if limit is None else f"{100 * limit:.2f} %",
        "never stops" if limit is None else _HOLDS[part.calibration.guarantee(bound)],
        f"{result.lost} of {result.good}",
        MISSING if result.saved is None else f"{100 * result.saved:.0f} %",
    )


_HOLDS = {
    "confidence": "with 95 % confidence",
    "expectation": "in expectation",
    "built-in": "with the built-in runs",
}
