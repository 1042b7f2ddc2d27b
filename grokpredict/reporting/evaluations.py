"""An evaluation as text for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from grokpredict.reporting.rendering import (
    MISSING,
    budgets,
    configurations,
    page,
    percent,
    percent_with_interval,
    probability,
    round_percent,
    share,
    table,
    tally,
    with_interval,
)

if TYPE_CHECKING:
    from grokpredict.evaluation.accounting import Account
    from grokpredict.evaluation.figures import FamilyFigures, LookFigures
    from grokpredict.evaluation.result import Evaluation

#: Looks at which the families are ranked, evenly spread; --json has all.
SHOWN_LOOKS = 8

_OVERLAP = {
    "some": (
        "The classifier was trained on the configurations of {seen} of these runs. Its scores on "
        "them mean\nnothing, so these runs are left out."
    ),
    "all": (
        "THE CLASSIFIER WAS TRAINED ON THESE RUNS. Its scores on them mean nothing and are not "
        "shown.\nShown instead are classifiers trained in the same way. Each scores only networks, "
        "or configurations\nwhere networks are unknown, that it was not trained on."
    ),
    "unknown": (
        "The classifier file does not say what it was trained on. IF IT WAS TRAINED ON THESE RUNS, "
        "its\nfigures below mean nothing."
    ),
}


def evaluation_text(evaluation: Evaluation) -> str:
    """Return what was replayed, and for each rule what it would have lost and saved."""
    bound = round_percent(evaluation.max_false_abort)
    return page(
        (
            conclusion(evaluation),
            _runs(evaluation),
            _overlap(evaluation),
            _looks(evaluation.looks),
            _reliability(evaluation),
            _families(evaluation),
            _rules(
                f"As deployed, no setting chosen on the runs that it stops (bound {bound}).\n"
                "Lost: of good runs. Steps: given back, of all. Saved: of what an oracle saves.",
                evaluation.as_is,
            ),
            _rules(
                "At equal loss: other rules, tuned on these runs to lose no more than\n"
                f"{evaluation.headline}",
                evaluation.matched,
            ),
            _rules(f"At most {bound} lost: every rule, tuned on these runs", evaluation.at_bound),
            (f"not shown: {reason}" for reason in evaluation.missing),
        )
    )


def conclusion(evaluation: Evaluation) -> Iterator[str]:
    """Yield what the headline model would have done, and the best other rule, a sentence each."""
    account, rival = evaluation.deployed, evaluation.best_rival
    yield (
        f"Stopped {percent(account.cut)} of {evaluation.counts.doomed} doomed runs, lost "
        f"{percent(account.lost.value)} of {account.n_good} good ones, gave back "
        f"{percent(account.saved_of_all)} of all steps."
    )
    yield f"The runs are finished and were replayed: {evaluation.headline}."
    if rival is None:
        yield "No other rule loses so few, whatever its setting."
    else:
        yield (
            f"{rival.rule}, {rival.setting}, gives back {percent(rival.saved_of_all)}: the best "
            "other rule that loses no more."
        )


def _runs(evaluation: Evaluation) -> Iterator[str]:
    counts = evaluation.counts
    yield f"{counts.runs} runs found"
    yield f"{counts.good:>8}  generalised by their budget (good): used"
    yield f"{counts.doomed:>8}  did not (doomed): used"
    yield from tally(
        (
            (counts.seen, "have configurations that the classifier was trained on: not used"),
            (counts.early, "were over, or had generalised, by the first look: not used"),
            (counts.never_looked_at, "have too few losses for any look: not used"),
            (counts.censored, "ended before their budget, outcome unknown (censored): not used"),
            (counts.no_metric, "have no validation metric: not used"),
            (counts.left_out, "could not be read"),
        )
    )
    used = counts.good + counts.doomed
    yield configurations(used, counts.configurations)
    yield from budgets(counts.budgets)
    for channels, number in evaluation.channels.items():
        yield f"{number:>8}  read: {channels}"


def _overlap(evaluation: Evaluation) -> Iterator[str]:
    if evaluation.overlap in _OVERLAP:
        yield _OVERLAP[evaluation.overlap].format(seen=evaluation.counts.seen)


def _looks(looks: Sequence[LookFigures]) -> Iterator[str]:
    yield "AUROC by look with its 95 % interval, that of the configuration alone, and the lead."
    yield "ECE is the expected calibration error."
    for model in dict.fromkeys(look.model for look in looks):
        yield f"{model}:"
        titles = (">steps", ">runs", ">good", "AUROC", "configuration", "lead", ">ECE")
        rows = [_look_cells(look) for look in looks if look.model == model]
        yield from table((*titles, ">abstain"), rows)


def _look_cells(look: LookFigures) -> tuple[object, ...]:
    return (
        look.horizon,
        look.n_runs,
        look.n_good,
        with_interval(look.auroc),
        with_interval(look.configuration_auroc),
        with_interval(look.lead, "+"),
        probability(look.reliability.calibration_error),
        share(look.strange),
    )


def _reliability(evaluation: Evaluation) -> Iterator[str]:
    looks = _of_headline(evaluation)
    for look in looks[len(looks) // 2 : len(looks) // 2 + 1]:
        yield f"Reliability of {evaluation.headline} after {look.horizon} steps"
        rows = [
            (
                f"{part.low:.1f} and {part.high:.1f}",
                part.n,
                probability(part.predicted),
                with_interval(part.observed),
            )
            for part in look.reliability.bins
        ]
        yield from table(("P between", ">runs", ">mean P", "generalised"), rows)


def _of_headline(evaluation: Evaluation) -> list[LookFigures]:
    return [look for look in evaluation.looks if look.model == evaluation.headline]


def _families(evaluation: Evaluation) -> Iterator[str]:
    if not evaluation.families:
        return
    yield f"By family of tasks: {evaluation.headline}, as deployed"
    titles = ("family", ">good", ">doomed", ">never judged", "lost, %", "saved, % of the oracle's")
    yield from table(titles, [_family_cells(family) for family in evaluation.families])
    looks = _of_headline(evaluation)
    looks = looks[:: 1 + len(looks) // (SHOWN_LOOKS + 1)]
    yield f"AUROC by family and look: {evaluation.headline}"
    areas = [(family.family, *_areas(family, looks)) for family in evaluation.families]
    yield from table(("family", *(f">{look.horizon}" for look in looks)), areas)


def _family_cells(family: FamilyFigures) -> tuple[object, ...]:
    return (
        family.family,
        family.n_good,
        family.n_doomed,
        share(family.abstained),
        percent_with_interval(family.account.lost),
        percent_with_interval(family.account.saved),
    )


def _areas(family: FamilyFigures, looks: Sequence[LookFigures]) -> Iterator[str]:
    for look in looks:
        area = look.family_auroc.get(family.family)
        yield MISSING if area is None else f"{area:.2f}"


def _rules(title: str, accounts: Sequence[Account]) -> Iterator[str]:
    yield title
    titles = ("rule", "setting", "lost, %", ">steps", "saved, %")
    yield from table(titles, [_rule_cells(account) for account in accounts])
    if not all(account.matched for account in accounts):
        yield "  * No setting loses so few; this is the one that loses least."


def _rule_cells(account: Account) -> tuple[object, ...]:
    return (
        account.rule if account.matched else f"{account.rule} *",
        account.setting,
        percent_with_interval(account.lost),
        share(account.saved_of_all),
        percent_with_interval(account.saved),
    )
