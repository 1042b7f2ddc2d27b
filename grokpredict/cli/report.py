"""``grokpredict report``: a page about a sweep."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from grokpredict._util.text import printable
from grokpredict.cli.options import (
    COUNT,
    backend_options,
    bound_option,
    classifier_option,
    column_options,
    one_sentence,
    strict_option,
)
from grokpredict.cli.output import print_notes, warn_left_out, writable
from grokpredict.cli.progress import counted, shown
from grokpredict.cli.streams import say

if TYPE_CHECKING:
    from grokpredict.logs import Columns


@click.command()
@click.argument("sweeps", nargs=-1, required=True, metavar="RUNS...")
@click.option(
    "-o",
    "--output",
    default="report.html",
    show_default=True,
    metavar="FILE",
    help="Where to write the page.",
)
@classifier_option
@click.option("--budget", type=COUNT, help="Step by which a run has to generalise.")
@bound_option
@strict_option
@column_options
@one_sentence
@backend_options
def report(
    *,
    sweeps: tuple[str, ...],
    output: str,
    classifier: str,
    budget: int | None,
    max_false_abort: float,
    jobs: int,
    strict: bool,
    columns: Columns,
) -> None:
    """Write a page about finished runs: one HTML file with figures and a table of all runs."""
    target = writable(output)
    from grokpredict.logs import read_sweep, require_all
    from grokpredict.reporting import report as write_report

    sweep = read_sweep(
        sweeps,
        columns,
        jobs=jobs,
        track=lambda logs, total: counted(logs, total, "reading"),
    )
    if strict:
        require_all(sweep.left_out, len(sweep))
    warn_left_out(sweep.left_out)
    print_notes(sweep.findings)
    with shown("reporting") as progress:
        write_report(
            sweep,
            target,
            classifier,
            budget=budget,
            max_false_abort=max_false_abort,
            jobs=jobs,
            progress=progress,
        )
    say(f"Report written to {printable(output)}.")
