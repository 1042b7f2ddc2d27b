"""``grokpredict audit``: what the ledger of a sweep has lost and saved."""

from __future__ import annotations

import click

from grokpredict.cli.options import SHARE, json_option, one_sentence
from grokpredict.cli.output import print_json, warn_left_out
from grokpredict.cli.streams import say


@click.command()
@click.argument("ledger", metavar="LEDGER")
@click.option(
    "--max-false-abort",
    type=SHARE,
    show_default="that of the newest run",
    help="Largest share of good runs that may be lost.",
)
@json_option
@one_sentence
def audit(*, ledger: str, max_false_abort: float | None, as_json: bool) -> None:
    """Say what a sweep's ledger has lost and saved so far, and whether it may go on."""
    from grokpredict.evaluation import audit as look_into

    found = look_into(ledger, max_false_abort)
    warn_left_out(found.left_out)
    if as_json:
        print_json({"ledger": ledger, **found.to_dict()})
        return
    from grokpredict.reporting import audit_text

    say(audit_text(found))
