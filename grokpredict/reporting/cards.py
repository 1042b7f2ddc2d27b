"""Results as a cell of a notebook shows them: one screen of HTML, every name escaped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from grokpredict.model.thresholds import calibration_runs_needed
from grokpredict.reporting.calibrations import calibration_conclusion
from grokpredict.reporting.evaluations import conclusion
from grokpredict.reporting.rendering import (
    MISSING,
    percent_with_interval,
    probability,
)
from grokpredict.runs.axes import configuration_columns, varied
from grokpredict.runs.endings import endings

if TYPE_CHECKING:
    from grokpredict.evaluation import Evaluation, Score
    from grokpredict.model.classifier import GrokClassifier
    from grokpredict.model.verdict import Verdict
    from grokpredict.runs.run import Run
    from grokpredict.runs.sweep import Sweep
    from grokpredict.training.calibration_report import Calibrated

#: Rows of a table that are shown, so that a cell is one screen.
ROWS = 10
#: Hyperparameters of a run, and axes of a sweep, that are shown.
NAMES = 12


def run_html(run: Run) -> str:
    """Return the channels and the configuration of a run."""
    rows = [
        (name, len(curve), int(curve.steps[0]), int(curve.steps[-1]), f"{curve.values[-1]:.4g}")
        for name, curve in run.channels.items()
        if len(curve)
    ]
    budget = MISSING if run.max_steps is None else f"{run.max_steps} steps, {run.budget_source}"
    settings = {**run.hparams, **run.configuration.known()}
    return _card(
        run.name,
        f"Budget: {budget}.",
        _table(("channel", "samples", "first step", "last step", "last value"), rows),
        _names(f"{name} = {value}" for name, value in settings.items()),
        *run.notes,
    )


def sweep_html(sweep: Sweep) -> str:
    """Return how many runs there are of each outcome and phase, and what they differ in."""
    ends = endings(sweep.runs)
    outcomes = Counter(end.outcome for end in ends)
    phases = Counter("unknown" if end.phase is None else end.phase.value for end in ends)
    columns = configuration_columns(sweep.runs)
    rows = [_axis(name, columns[name]) for name in varied(columns)[:ROWS]]
    return _card(
        f"Sweep of {len(sweep)} runs",
        f"{_tally(outcomes)} at their budgets. Phases: {_tally(phases)}.",
        _table(("hyperparameter", "values", "from", "to"), rows),
        f"{len(sweep.left_out)} left out." if sweep.left_out else "",
    )


def score_html(score: Score) -> str:
    """Return the verdict on a run and the looks that led to it."""
    rows = [
        (look.horizon or MISSING, probability(look.probability), probability(look.threshold),
         look.action)
        for look in score.looks
    ]  # fmt: skip
    return _card(
        f"{score.path}: {score.verdict.action}",
        score.verdict.reason,
        _table(("steps", "P", "threshold", "verdict"), rows[-ROWS:]),
        *score.notes,
    )


def scores_html(scores: Sequence[Score]) -> str:
    """Return how many runs have each verdict, and the first of them."""
    rows = [
        (score.path, score.verdict.action, probability(score.verdict.probability),
         score.verdict.horizon or MISSING)
        for score in scores[:ROWS]
    ]  # fmt: skip
    more = len(scores) - len(rows)
    return _card(
        f"Scores of {len(scores)} runs",
        _tally(Counter(score.verdict.action for score in scores)) + ".",
        _table(("run", "verdict", "P", "steps"), rows),
        f"and {more} more; to_pandas() has all." if more else "",
    )


def verdict_html(verdict: Verdict) -> str:
    """Return what one look decided, and why."""
    rows = [
        ("steps", verdict.horizon or MISSING),
        ("P(generalises)", probability(verdict.probability)),
        ("abort threshold", probability(verdict.threshold)),
        ("budget", verdict.budget),
        ("50 % chance by step", verdict.even_step or MISSING),
        ("reads", ", ".join(verdict.reads) or MISSING),
    ]
    return _card(verdict.action, verdict.reason, _table((), rows))


def classifier_html(classifier: GrokClassifier) -> str:
    """Return what a classifier reads, and what its thresholds rest on."""
    rows = [
        (", ".join(reads), classifier.n_calibration(reads),
         probability(classifier.threshold(reads, 0.05)))
        for reads in classifier.calibrations
    ]  # fmt: skip
    return _card(
        "GrokClassifier",
        "Stops runs under a bound on the good runs lost; a bound of 5 % needs "
        f"{calibration_runs_needed(0.05)} good runs.",
        _table(("channels read", "good runs", "abort threshold at 5 %"), rows),
    )


def calibrated_html(calibrated: Calibrated) -> str:
    """Return what thresholds from finished runs promise, and what they rest on."""
    rows = [
        (", ".join(part.reads), part.runs, part.calibration.user.size,
         probability(part.calibration.threshold(0.05)))
        for part in calibrated.report.parts
    ]  # fmt: skip
    counts = calibrated.report.counts
    return _card(
        calibration_conclusion(calibrated.report, 0.05),
        f"{counts.good} good and {counts.doomed} doomed runs. save(path) writes the classifier.",
        _table(("channels read", "runs", "good configurations", "abort threshold at 5 %"), rows),
    )


def evaluation_html(evaluation: Evaluation) -> str:
    """Return what would have been lost and saved, beside the other rules."""
    rows = [
        (account.rule, account.setting, percent_with_interval(account.lost),
         percent_with_interval(account.saved))
        for account in evaluation.matched[:ROWS]
    ]  # fmt: skip
    return _card(
        next(conclusion(evaluation)),
        f"{evaluation.counts.good} good and {evaluation.counts.doomed} doomed runs. Other rules "
        "have the setting that, in hindsight, saves most at no more lost.",
        _table(("rule", "setting", "good runs lost, %", "doomed steps saved, %"), rows),
    )


def _axis(name: str, column: Sequence[object]) -> tuple[object, ...]:
    values = [value for value in column if value is not None]
    texts = sorted({str(value) for value in values})
    numbers = [value for value in values if isinstance(value, int | float)]
    if len(numbers) == len(values):
        return name, len(texts), f"{min(numbers):.4g}", f"{max(numbers):.4g}"
    return name, len(texts), texts[0], texts[-1]


def _tally(counts: Counter[str]) -> str:
    return ", ".join(f"{number} {name}" for name, number in counts.most_common())


def _names(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - NAMES} more" if len(listed) > NAMES else ""
    return ", ".join(listed[:NAMES]) + more


def _card(title: str, *parts: str | _Html) -> str:
    body = "".join(
        str(part) if isinstance(part, _Html) else f"<div>{escape(part)}</div>"
        for part in parts
        if part
    )
    return f"<div><strong>{escape(title)}</strong>{body}</div>"


class _Html(str):
    """Text that is HTML already."""


def _table(titles: Sequence[str], rows: Sequence[Sequence[object]]) -> _Html:
    head = "".join(f"<th>{escape(title)}</th>" for title in titles)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows
    )
    return _Html(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")
