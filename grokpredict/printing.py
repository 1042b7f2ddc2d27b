"""What the command line prints for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from grokpredict.curves import LeftOut
from grokpredict.logs import by_reason, sentence
from grokpredict.scoring import Score

if TYPE_CHECKING:
    from grokpredict.classifier import GrokClassifier
    from grokpredict.ranking import Interval
    from grokpredict.training import TrainingReport
    from grokpredict.validation import Figures

#: From this many runs on each gets one line.
ONE_LINE_FROM = 6

#: Features that a block of text shows, three in a line; ``--json`` has them all.
SHOWN_FEATURES = 6

#: Reasons for leaving out that are shown, the most frequent first.
SHOWN_REASONS = 10


def score_text(scores: Sequence[Score]) -> str:
    """Return a block for each run, or a line for each if there are many."""
    if len(scores) < ONE_LINE_FROM:
        return "\n\n".join("\n".join(_block(score)) for score in scores)
    return "\n".join(_lines(scores))


def _block(score: Score) -> Iterator[str]:
    verdict = score.verdict
    yield score.path
    chance = "" if verdict.probability is None else f", P = {verdict.probability:.3f}"
    yield f"  verdict   {verdict.action}{chance}"
    yield f"  reason    {verdict.reason}"
    yield f"  run       {score.steps} steps recorded, has to generalise by step {verdict.budget}"
    if score.looks:
        looks = (f"{look.horizon}: {_chance(look.probability)}" for look in score.looks)
        limit = (
            "never aborts" if verdict.threshold is None else f"aborts below {verdict.threshold:.3f}"
        )
        yield f"  looks     {'  '.join(looks)}   ({limit})"
    told = list(verdict.features.items())[:SHOWN_FEATURES]
    width = max((len(name) for name, _ in told), default=0)
    for i in range(0, len(told), 3):
        cells = (f"{name:<{width}} {value:>9.4g}" for name, value in told[i : i + 3])
        yield f"  {'features' if i == 0 else '':<8}  {'   '.join(cells)}"


def _lines(scores: Sequence[Score]) -> Iterator[str]:
    width = max(len("run"), *(len(score.path) for score in scores))
    yield f"{'run':<{width}}  {'steps':>7}  {'horizon':>7}  {'P':>5}  verdict"
    for score in scores:
        verdict = score.verdict
        horizon = "-" if verdict.horizon is None else str(verdict.horizon)
        why = f": {verdict.reason}" if verdict.action == "abstain" else ""
        yield (
            f"{score.path:<{width}}  {score.steps:>7}  {horizon:>7}  "
            f"{_chance(verdict.probability):>5}  {verdict.action}{why}"
        )
    actions = [score.verdict.action for score in scores]
    told = (f"{actions.count(action)} {action}" for action in dict.fromkeys(sorted(actions)))
    yield f"{len(scores)} runs: {', '.join(told)}"


def _chance(probability: float | None) -> str:
    return "-" if probability is None else f"{probability:.3f}"


def training_text(
    classifier: GrokClassifier,
    report: TrainingReport,
    left_out: Sequence[LeftOut],
    max_false_abort: float,
) -> str:
    """Return what was found, how good the classifier is, and what its threshold rests on."""
    parts = (
        _found(report),
        _reasons(left_out),
        _figures(report),
        _bound(classifier, max_false_abort),
    )
    return "\n\n".join("\n".join(lines) for lines in map(list, parts) if lines)


def _found(report: TrainingReport) -> Iterator[str]:
    counts = report.counts
    yield f"{counts.runs} runs found"
    yield f"{counts.generalised:>8}  generalised by their budget: used"
    yield f"{counts.not_generalised:>8}  did not: used"
    for number, what in (
        (counts.in_window, "had generalised within the first window: not used"),
        (counts.diverged, "had a loss that is not finite: not used"),
        (counts.censored, "ended before their budget, outcome not known (censored): not used"),
        (counts.no_metric, "have no validation metric: not used"),
        (counts.unfit, "are too short, or on a step grid that serves no horizon: not used"),
        (counts.left_out, "could not be read"),
    ):
        if number:
            yield f"{number:>8}  {what}"
    used = counts.generalised + counts.not_generalised
    yield f"The {used} used runs are of {counts.configurations} configurations."


def _reasons(left_out: Sequence[LeftOut]) -> Iterator[str]:
    groups = by_reason(left_out)
    if groups:
        yield "Could not be read, with an example each:"
    for number, example in groups[:SHOWN_REASONS]:
        yield f"{number:>8}  {sentence(example)}"
    if len(groups) > SHOWN_REASONS:
        yield f"          and {len(groups) - SHOWN_REASONS} more reasons"


def _figures(report: TrainingReport) -> Iterator[str]:
    yield "AUROC on configurations that the fit did not see, with 95 % intervals"
    yield (
        f"{'horizon':>8}  {'reads':<14}  {'runs':>6}  {'good':>5}  {'AUROC':<20}  "
        f"{'configuration only':<20}  {'lead':<22}  other tasks"
    )
    for figures in report.figures:
        yield _figure_line(figures)


def _figure_line(figures: Figures) -> str:
    reads = "loss + context" if figures.with_context else "loss"
    family = "-" if figures.family_median is None else f"{figures.family_median:.3f}"
    return (
        f"{figures.horizon:>8}  {reads:<14}  {figures.n_runs:>6}  {figures.n_generalised:>5}  "
        f"{_interval(figures.auroc):<20}  {_interval(figures.configuration_auroc):<20}  "
        f"{_interval(figures.lead, sign='+'):<22}  {family}"
    )


def _interval(interval: Interval, sign: str = "") -> str:
    if interval.value is None:
        return "-"
    text = f"{interval.value:{sign}.3f}"
    if interval.low is None or interval.high is None:
        return text
    return f"{text} [{interval.low:{sign}.2f}, {interval.high:{sign}.2f}]"


def _bound(classifier: GrokClassifier, max_false_abort: float) -> Iterator[str]:
    yield (
        f"Runs are stopped below these probabilities, so that with 95 % confidence at most "
        f"{max_false_abort:.1%} of the runs that would generalise are lost"
    )
    for stride in classifier.strides:
        for told in (False, True) if classifier.with_context is not None else (False,):
            limit = classifier.threshold(stride, with_context=told, max_false_abort=max_false_abort)
            number = classifier.n_calibration(stride, with_context=told)
            reads = "loss + context" if told else "loss"
            said = "never, too few" if limit is None else f"{limit:.4f}"
            yield f"  every {stride:<4}  {reads:<14}  {said:<14}  from {number} configurations"
