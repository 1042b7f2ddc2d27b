"""What a ledger has lost and saved, as text for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from grokpredict.reporting.rendering import (
    page,
    percent_with_interval,
    round_percent,
    share,
    table,
    tally,
)

if TYPE_CHECKING:
    from grokpredict.evaluation.auditing import Account, Audit


def audit_text(audit: Audit) -> str:
    """Return whether the ledger stops runs, what that lost and saved, and where."""
    return page((_conclusion(audit), _counts(audit), _table(audit)))


def _conclusion(audit: Audit) -> Iterator[str]:
    bound = round_percent(audit.max_false_abort)
    if audit.alarm is not None:
        yield f"ALARM: runs are only warned of, since {audit.alarm.cause}."
        yield f"It rang with run {audit.alarm.name!r}."
    elif not audit.stops:
        yield (
            f"Runs are only warned of: {audit.calibrated} of {audit.needed} good configurations "
            f"have finished that a bound of {bound} needs."
        )
    else:
        yield (
            f"Runs are stopped at a bound of {bound}, from {audit.calibrated} good configurations "
            "of this sweep."
        )
    total = audit.total
    lost = "not known yet: no good run was looked at under a threshold of this sweep's own"
    if total.lost.value is not None:
        lost = f"{percent_with_interval(total.lost)} %, allowed {bound}"
    yield f"Good runs lost: {lost}."
    yield (
        f"Doomed steps saved: {total.saved:,} ({share(total.saved_share)} of all); the audit cost "
        f"{total.audit_cost:,}."
    ).replace(",", " ")


def _counts(audit: Audit) -> Iterator[str]:
    total = audit.total
    yield f"{total.n} runs in the ledger, {audit.audited} of them audited: never stopped"
    yield from tally(
        (
            (total.good, "generalised by their budget (good)"),
            (total.doomed, "did not (doomed)"),
            (total.stopped, "were stopped"),
            (total.open, "train, were killed, or ended early: outcome unknown"),
        )
    )
    yield from tally([(len(audit.left_out), "files are no entries and were not read")])


def _table(audit: Audit) -> Iterator[str]:
    yield "By configuration: good runs lost, with an interval of 95 % that holds however often one"
    yield "looks, and seen to be lost, of those that could be; doomed steps saved, and audited"
    titles = (
        "runs",
        ">n",
        ">good",
        ">doomed",
        ">stopped",
        "lost, %",
        ">seen",
        ">saved",
        ">audited",
    )
    yield from table(titles, [_cells(account) for account in (audit.total, *audit.axes)])


def _cells(account: Account) -> tuple[object, ...]:
    return (
        account.runs,
        account.n,
        account.good,
        account.doomed,
        account.stopped,
        percent_with_interval(account.lost),
        f"{account.caught} of {account.at_risk}",
        account.saved,
        account.audit_cost,
    )
