"""An evaluation as text for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from grokpredict.evaluation.comparison import Evaluation
from grokpredict.evaluation.ledger import Ledger
from grokpredict.evaluation.looks import LookFigures
from grokpredict.evaluation.reliability import Reliability
from grokpredict.training.ranking import Interval

_OVERLAP = {
    "some": (
        "{seen} runs are of configurations that the classifier was trained on. What it says about "
        "them means nothing, so they are left out."
    ),
    "all": (
        "THE CLASSIFIER WAS TRAINED ON THESE RUNS. What it says about them means nothing and is "
        "not shown.\nIn its place stand classifiers trained like it, each run looked at by one "
        "that did not see its network or, where networks are not known, its configuration."
    ),
    "unknown": (
        "The classifier's file does not say what it was trained on. IF IT WAS TRAINED ON THESE "
        "RUNS,\nits figures below mean nothing."
    ),
}


def evaluation_text(found: Evaluation) -> str:
    """Return what was replayed, and for each rule what it would have lost and saved."""
    parts = (
        _counts(found),
        _overlap(found),
        _looks(found.looks),
        _reliability(found),
        _families(found),
        _ledgers(
            "As they come, with nothing chosen in hindsight "
            f"(max_false_abort {found.max_false_abort:g})",
            found.as_is,
        ),
        _ledgers(
            f"At the share lost of {found.headline}: every other rule with the setting that, "
            "in hindsight,\nsaves most while it loses no larger share",
            found.matched,
        ),
        _ledgers(
            f"At most {found.max_false_abort:.1%} lost: every rule with the setting that, in "
            "hindsight, saves most",
            found.at_bound,
        ),
        _missing(found.missing),
    )
    return "\n\n".join("\n".join(lines) for lines in map(list, parts) if lines)


def _counts(found: Evaluation) -> Iterator[str]:
    counts = found.counts
    yield f"{counts.runs} runs found"
    yield f"{counts.good:>8}  generalised by their budget: used"
    yield f"{counts.doomed:>8}  did not (doomed): used"
    for number, what in (
        (counts.seen, "are of configurations that the classifier was trained on: not used"),
        (counts.early, "were over, or had generalised, by the first look: not used"),
        (counts.censored, "ended before their budget, outcome not known (censored): not used"),
        (counts.no_metric, "have no validation metric: not used"),
        (counts.left_out, "could not be read"),
    ):
        if number:
            yield f"{number:>8}  {what}"
    yield (
        f"The {counts.good + counts.doomed} used runs are of {counts.configurations} "
        "configurations."
    )


def _overlap(found: Evaluation) -> Iterator[str]:
    if found.overlap in _OVERLAP:
        yield _OVERLAP[found.overlap].format(seen=found.counts.seen)


def _looks(looks: Sequence[LookFigures]) -> Iterator[str]:
    yield "AUROC by horizon, with 95 % intervals; ECE is the expected calibration error"
    width = max(len(look.model) for look in looks)
    yield (
        f"  {'model':<{width}}  {'steps':>6}  {'runs':>5}  {'good':>5}  {'AUROC':<19}  "
        f"{'configuration only':<19}  {'lead':<21}  {'ECE':>5}  {'strange':>7}"
    )
    for look in looks:
        error = look.reliability.calibration_error
        yield (
            f"  {look.model:<{width}}  {look.horizon:>6}  {look.n_runs:>5}  {look.n_good:>5}  "
            f"{_area(look.auroc):<19}  {_area(look.configuration_auroc):<19}  "
            f"{_area(look.lead, '+'):<21}  {'-' if error is None else f'{error:.3f}':>5}  "
            f"{look.strange:>7.1%}"
        )


def _reliability(found: Evaluation) -> Iterator[str]:
    own = [look for look in found.looks if look.model == found.headline]
    for look in own[len(own) // 2 : len(own) // 2 + 1]:
        yield f"Reliability of {found.headline} after {look.horizon} steps"
        yield f"  {'P between':<12}  {'runs':>5}  {'mean P':>7}  generalised"
        yield from _bins(look.reliability)


def _bins(table: Reliability) -> Iterator[str]:
    for own in table.bins:
        yield (
            f"  {own.low:.1f} and {own.high:.1f}   {own.n:>5}  {own.predicted:>7.3f}  "
            f"{_area(own.observed)}"
        )


def _families(found: Evaluation) -> Iterator[str]:
    if not found.families:
        return
    own = [look for look in found.looks if look.model == found.headline]
    width = max(len("kind of task"), *(len(each.family) for each in found.families))
    yield f"By kind of task: {found.headline}, as it comes"
    areas = "  ".join(f"{look.horizon:>5}" for look in own)
    yield (
        f"  {'kind of task':<{width}}  {'good':>4}  {'doomed':>6}  {'never judged':>12}  "
        f"{'lost':<16}  {'of the oracle':<17}  AUROC at {areas}"
    )
    for each in found.families:
        chances = (look.family_auroc.get(each.family) for look in own)
        areas = "  ".join("    -" if area is None else f"{area:>5.2f}" for area in chances)
        yield (
            f"  {each.family:<{width}}  {each.n_good:>4}  {each.n_doomed:>6}  "
            f"{each.abstained:>12.1%}  {_percent(each.ledger.lost):<16}  "
            f"{_percent(each.ledger.saved):<17}           {areas}"
        )


def _ledgers(title: str, ledgers: Sequence[Ledger]) -> Iterator[str]:
    yield title
    width = max(len("rule"), *(len(each.rule) for each in ledgers))
    setting = max(len("setting"), *(len(each.setting) for each in ledgers))
    yield (
        f"  {'rule':<{width}}  {'setting':<{setting}}  {'good runs lost, %':<26}  "
        f"{'doomed cut':>10}  {'of all steps':>12}  saved, of the oracle's"
    )
    for each in ledgers:
        counted = f"{_percent(each.lost)}  {each.n_lost} of {each.n_good}"
        flag = "" if each.matched else "   no setting loses so few"
        yield (
            f"  {each.rule:<{width}}  {each.setting:<{setting}}  {counted:<26}  "
            f"{_share(each.cut):>10}  {_share(each.saved_of_all):>12}  "
            f"{_percent(each.saved)}{flag}"
        )


def _missing(missing: Sequence[str]) -> Iterator[str]:
    for each in missing:
        yield f"not shown: {each}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _percent(interval: Interval) -> str:
    if interval.value is None or interval.low is None or interval.high is None:
        return "-"
    return f"{100 * interval.value:.1f} [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def _area(interval: Interval, sign: str = "") -> str:
    if interval.value is None or interval.low is None or interval.high is None:
        return "-"
    return f"{interval.value:{sign}.3f} [{interval.low:{sign}.2f}, {interval.high:{sign}.2f}]"
