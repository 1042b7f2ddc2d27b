"""What the page of a report shows, as one plain document: :func:`json.dumps` takes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from grokpredict.diagnosis.run import diagnose_run
from grokpredict.evaluation.tabular import stopped_at
from grokpredict.logs import by_reason, sentence
from grokpredict.reporting.axis import ConfigurationAxis
from grokpredict.reporting.diagnoses import run_sentences
from grokpredict.reporting.evaluations import conclusion
from grokpredict.reporting.palette import OUTCOMES, PHASES, VERDICTS
from grokpredict.reporting.rendering import round_percent
from grokpredict.reporting.thinning import points_each, thinned
from grokpredict.runs.axes import configuration_columns, varied
from grokpredict.runs.endings import Ending, endings
from grokpredict.runs.run import Run
from grokpredict.runs.sweep import Sweep

if TYPE_CHECKING:
    from grokpredict.evaluation import Evaluation, Score
    from grokpredict.model.verdict import Verdict
    from grokpredict.training.ranking import Interval

#: Channels whose curves are on the page.
DRAWN = ("train_loss", "val_acc")

#: Axes that people look at first, where runs differ in them.
FIRST_AXES = ("learning_rate", "weight_decay", "train_fraction")


def page_data(
    sweep: Sweep,
    scores: Sequence[Score],
    evaluation: Evaluation | str,
    *,
    classifier: str,
    max_false_abort: float,
    budget: int | None = None,
) -> dict[str, Any]:
    """Collect what the page shows.

    Parameters
    ----------
    sweep : Sweep
        The runs.
    scores : sequence of Score
        One for each of them, in their order.
    evaluation : Evaluation or str
        Of the same runs; or one sentence that says why there is none.
    classifier : str
        What it is called.
    max_false_abort : float
        The bound that was asked for.
    budget : int, optional
        Step by which the runs had to generalise, where it was asked for.

    Returns
    -------
    dict
        Text, numbers and lists of them, without a NaN. Names stand as they are: whoever shows them
        escapes them.
    """
    ends = endings(sweep.runs, budget)
    columns = configuration_columns(sweep.runs)
    points = points_each(len(sweep))
    return {
        "conclusion": _conclusion(scores, evaluation),
        "made": f"{len(sweep)} runs; classifier: {classifier}; bound on good runs lost: "
        f"{round_percent(max_false_abort)}.",
        "max_false_abort": max_false_abort,
        "rules_note": _rules_note(evaluation),
        "rules": [] if isinstance(evaluation, str) else _rules(evaluation),
        "calibration": [] if isinstance(evaluation, str) else _calibration(evaluation),
        "styles": {
            name: {kind: style._asdict() for kind, style in styles.items()}
            for name, styles in (("phases", PHASES), ("verdicts", VERDICTS), ("outcomes", OUTCOMES))
        },
        "axes": _axes(columns),
        "runs": [
            _run(run, score, end, {name: column[i] for name, column in columns.items()}, points)
            for i, (run, score, end) in enumerate(zip(sweep.runs, scores, ends, strict=True))
        ],
        "left_out": _left_out(sweep, ends, evaluation),
    }


def _conclusion(scores: Sequence[Score], evaluation: Evaluation | str) -> list[str]:
    if not isinstance(evaluation, str):
        return [*conclusion(evaluation), *_OVERLAP.get(evaluation.overlap, ())]
    stopped = sum(score.verdict.action == "abort" for score in scores)
    return [
        f"{stopped} of {len(scores)} runs would be stopped.",
        f"No figures of lost and saved runs: {evaluation}",
    ]


_OVERLAP = {
    "all": ("The classifier was trained on these runs: verdicts and P below mean nothing.",),
    "some": ("The classifier was trained on some of these runs; lost and saved leave those out.",),
    "unknown": ("Whether the classifier was trained on these runs is unknown.",),
}


def _rules_note(evaluation: Evaluation | str) -> str:
    if isinstance(evaluation, str):
        return ""
    return (
        "The first bar is the classifier as deployed. Every other rule has the setting that, in "
        "hindsight, saves most while it loses no larger share. Lines are 95 % intervals. The "
        "dashed line is the bound."
    )


def _rules(evaluation: Evaluation) -> list[dict[str, Any]]:
    return [
        {
            "name": account.rule,
            "setting": account.setting,
            "ours": account.rule == evaluation.headline,
            "lost": _rounded(account.lost),
            "saved": _rounded(account.saved),
            "n_lost": account.n_lost,
            "n_good": account.n_good,
        }
        for account in evaluation.matched
    ]


def _rounded(interval: Interval) -> dict[str, float | None]:
    return {name: _short(value) for name, value in asdict(interval).items()}


def _calibration(evaluation: Evaluation) -> list[dict[str, Any]]:
    return [
        {
            "step": look.horizon,
            "bins": [
                {
                    "n": part.n,
                    "predicted": _short(part.predicted),
                    "observed": _short(part.observed.value),
                    "low": _short(part.observed.low),
                    "high": _short(part.observed.high),
                }
                for part in look.reliability.bins
            ],
        }
        for look in evaluation.looks
        if look.model == evaluation.headline
    ]


def _axes(columns: Mapping[str, list[Any]]) -> dict[str, dict[str, Any]]:
    names = varied(columns)
    first = [name for name in FIRST_AXES if name in names]
    axes = [
        ConfigurationAxis.of(name, columns[name])
        for name in dict.fromkeys((*first, *names))
    ]  # fmt: skip
    return {
        axis.name: {
            "scale": axis.scale,
            "smallest": axis.smallest,
            "categories": list(axis.categories),
        }
        for axis in axes
    }


def _run(
    run: Run, score: Score, end: Ending, configuration: Mapping[str, Any], points: int
) -> dict[str, Any]:
    verdict = score.verdict
    times = end.times
    return {
        "name": run.name,
        "outcome": end.outcome,
        "phase": "unknown" if end.phase is None else end.phase.value,
        "times": [times.t1, times.t2, times.t3, times.t4],
        "budget": end.budget.steps,
        "budget_source": end.budget.source,
        "last_step": run.last_step,
        "verdict": verdict.action,
        "reason": verdict.reason,
        "probability": _short(verdict.probability),
        "stopped": stopped_at(verdict),
        "looks": [_look(look) for look in score.looks],
        "configuration": {
            name: value for name, value in configuration.items() if value is not None
        },
        "curves": {
            name: _samples(run, name, points) for name in DRAWN if len(run.channels.get(name, ()))
        },
        "diagnosis": list(run_sentences(diagnose_run(run, budget=end.budget.steps))),
        "notes": list(score.notes),
    }


def _look(look: Verdict) -> dict[str, Any]:
    return {
        "step": look.horizon,
        "probability": _short(look.probability),
        "threshold": _short(look.threshold),
        "action": look.action,
        "reason": look.reason,
    }


def _samples(run: Run, name: str, points: int) -> list[list[float]]:
    steps, values = thinned(run.channels[name], points)
    return [steps.tolist(), [float(f"{value:.4g}") for value in values.tolist()]]


def _left_out(sweep: Sweep, ends: Sequence[Ending], evaluation: Evaluation | str) -> list[str]:
    lines = [
        f"{number} could not be read: {sentence(example)}"
        for number, example in by_reason(sweep.left_out)
    ]
    unknown = sum(end.generalised is None for end in ends)
    if unknown:
        lines.append(
            f"{unknown} runs ended before their budget, or have no validation metric: their "
            "outcome is unknown. They are drawn, and not in the figures of lost and saved runs."
        )
    if isinstance(evaluation, str):
        return lines
    counts = evaluation.counts
    if counts.seen:
        lines.append(f"{counts.seen} runs have configurations the classifier was trained on.")
    if counts.early:
        lines.append(f"{counts.early} runs were over, or had generalised, by the first look.")
    if counts.never_looked_at:
        lines.append(f"{counts.never_looked_at} runs have too few losses for any look.")
    return [*lines, *(f"Not shown: {reason}." for reason in evaluation.missing)]


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
