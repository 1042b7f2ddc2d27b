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
            _rules(f"As deployed, nothing tuned on these runs (bound {bound})", evaluation.as_is),
            _rules(
                f"At equal loss: other rules, tuned on these runs to lose no more than "
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
    yield "AUROC by horizon, with 95 % intervals; ECE is the expected calibration error"
    titles = ("model", ">steps", ">runs", ">good", "AUROC", "configuration only", "lead")
    yield from table((*titles, ">ECE", ">abstained"), [_look_cells(look) for look in looks])


def _look_cells(look: LookFigures) -> tuple[object, ...]:
    return (
        look.model,
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
    looks = _of_headline(evaluation)
    yield f"By family of tasks: {evaluation.headline}, as deployed"
    titles = ("family", ">good", ">doomed", ">never judged", "lost, %", "saved, % of the oracle's")
    areas = (f">AUROC at {look.horizon}" for look in looks)
    rows = [_family_cells(family, looks) for family in evaluation.families]
    yield from table((*titles, *areas), rows)


def _family_cells(family: FamilyFigures, looks: Sequence[LookFigures]) -> tuple[object, ...]:
    areas = (look.family_auroc.get(family.family) for look in looks)
    return (
        family.family,
        family.n_good,
        family.n_doomed,
        share(family.abstained),
        percent_with_interval(family.account.lost),
        percent_with_interval(family.account.saved),
        *(MISSING if area is None else f"{area:.2f}" for area in areas),
    )


def _rules(title: str, accounts: Sequence[Account]) -> Iterator[str]:
    yield title
    titles = ("rule", "setting", "good runs lost, %", ">doomed stopped", ">saved of all steps")
    rows = [_rule_cells(account) for account in accounts]
    yield from table((*titles, "saved, % of the oracle's"), rows)


def _rule_cells(account: Account) -> tuple[object, ...]:
    flag = "" if account.matched else "   no setting loses so few"
    return (
        account.rule,
        account.setting,
        f"{percent_with_interval(account.lost)}  {account.n_lost} of {account.n_good}",
        share(account.cut),
        share(account.saved_of_all),
        percent_with_interval(account.saved) + flag,
    )
