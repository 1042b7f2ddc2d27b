"""What the command line prints for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from grokpredict.evaluation.scoring import Score
from grokpredict.logs import by_reason, notes, sentence
from grokpredict.model.validated import reading
from grokpredict.runs.sweep import Findings, LeftOut

if TYPE_CHECKING:
    from grokpredict.model.classifier import GrokClassifier
    from grokpredict.model.verdict import Verdict
    from grokpredict.training.cross_validation import Figures, GridArea
    from grokpredict.training.ranking import Interval
    from grokpredict.training.trainer import TrainingReport

#: From this many runs on each gets one line.
ONE_LINE_FROM = 6

#: Features that a block of text shows, three in a line; ``--json`` has them all.
SHOWN_FEATURES = 6

#: Columns of one channel that are shown, the most frequent first.
SHOWN_COLUMNS = 4

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
    if verdict.probability is not None and verdict.action != "abstain":
        yield f"  when      {_when(verdict)}"
    told = list(verdict.features.items())[:SHOWN_FEATURES]
    width = max((len(name) for name, _ in told), default=0)
    for i in range(0, len(told), 3):
        cells = (f"{name:<{width}} {value:>9.4g}" for name, value in told[i : i + 3])
        yield f"  {'features' if i == 0 else '':<8}  {'   '.join(cells)}"


def _when(verdict: Verdict) -> str:
    """Return when the run generalises if it does, and by when it is as likely as not to have."""
    known = f"as likely as not by step {verdict.even_step}"
    even = known if verdict.even_step is not None else "more likely not, as far as is known"
    if verdict.median_step is None:
        return even
    between = f"{verdict.early_step} to {verdict.late_step}"
    return f"{even}; if by step {verdict.budget}, then by {verdict.median_step} (half: {between})"


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
    findings: Findings,
    max_false_abort: float,
) -> str:
    """Return what was found, how good the classifier is, and what its threshold rests on."""
    parts = (
        _found(report),
        _formats(findings),
        _columns(findings),
        notes(findings),
        _reasons(left_out),
        _figures(report),
        _grids(report),
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
    networks = f" of {counts.networks} networks" if counts.networks else ""
    yield f"The {used} used runs are of {counts.configurations} configurations{networks}."


def _formats(findings: Findings) -> Iterator[str]:
    if findings.formats:
        yield "Read, by format"
    for name, number in sorted(findings.formats.items(), key=lambda each: -each[1]):
        if number:
            yield f"{number:>8}  {name}"


def _columns(findings: Findings) -> Iterator[str]:
    """One line a channel: the columns that were taken for it, and for how many runs."""
    taken: dict[str, list[tuple[str, int]]] = {}
    for (channel, column), number in findings.columns.items():
        taken.setdefault(channel, []).append((column, number))
    if taken:
        yield "Columns that were taken for what is needed; name others with --loss-column and so on"
    for channel, columns in taken.items():
        most = sorted(columns, key=lambda each: -each[1])
        told = ", ".join(f"{column!r} ({number})" for column, number in most[:SHOWN_COLUMNS])
        more = f" and {len(most) - SHOWN_COLUMNS} more" if len(most) > SHOWN_COLUMNS else ""
        yield f"  {channel:<11}  {told}{more}"


def _reasons(left_out: Sequence[LeftOut]) -> Iterator[str]:
    groups = by_reason(left_out)
    if groups:
        yield "Could not be read, with an example each:"
    for number, example in groups[:SHOWN_REASONS]:
        yield f"{number:>8}  {sentence(example)}"
    if len(groups) > SHOWN_REASONS:
        yield f"          and {len(groups) - SHOWN_REASONS} more reasons"


def _figures(report: TrainingReport) -> Iterator[str]:
    unseen = "networks" if report.counts.networks else "configurations"
    yield f"AUROC on {unseen} that the fit did not see, with 95 % intervals"
    yield (
        f"{'horizon':>8}  {'reads':<27}  {'runs':>6}  {'good':>5}  {'AUROC':<20}  "
        f"{'configuration only':<20}  {'lead':<22}  other tasks"
    )
    for figures in report.figures:
        yield _figure_line(figures)


def _figure_line(figures: Figures) -> str:
    reads = reading(figures.with_context, figures.with_validation)
    family = "-" if figures.family_median is None else f"{figures.family_median:.3f}"
    return (
        f"{figures.horizon:>8}  {reads:<27}  {figures.n_runs:>6}  {figures.n_generalised:>5}  "
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


def _grids(report: TrainingReport) -> Iterator[str]:
    """Yield a table of step grids and horizons, unless the runs allow for one grid only."""
    strides = sorted({area.stride for area in report.grids})
    horizons = sorted({area.horizon for area in report.grids})
    areas = {(area.stride, area.horizon): area for area in report.grids}
    if len(strides) < 2:
        return
    yield "The AUROC where the loss was recorded less often: loss / loss + context"
    yield f"{'every':>8}" + "".join(f"  {f'by {horizon}':>13}" for horizon in horizons)
    for stride in strides:
        cells = (areas.get((stride, horizon)) for horizon in horizons)
        yield f"{stride:>8}" + "".join(f"  {_area(each):>13}" for each in cells)


def _area(area: GridArea | None) -> str:
    return "-" if area is None else f"{_chance(area.loss)} / {_chance(area.with_context)}"


def _bound(classifier: GrokClassifier, max_false_abort: float) -> Iterator[str]:
    yield (
        f"Runs are stopped below these probabilities, so that with 95 % confidence at most "
        f"{max_false_abort:.1%} of the runs that would generalise are lost"
    )
    for stride in classifier.strides:
        for told, validated in classifier.models:
            limit = classifier.threshold(
                stride,
                with_context=told,
                with_validation=validated,
                max_false_abort=max_false_abort,
            )
            number = classifier.n_calibration(stride, with_context=told, with_validation=validated)
            said = "never, too few" if limit is None else f"{limit:.4f}"
            yield (
                f"  every {stride:<4}  {reading(told, validated):<27}  {said:<14}  "
                f"from {number} independent configurations"
            )
