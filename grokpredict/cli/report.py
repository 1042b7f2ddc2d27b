"""``grokpredict report``: a page about a sweep."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from grokpredict._util.text import printable
from grokpredict.cli.options import (
    backend_options,
    bound_option,
    budget_option,
    classifier_option,
    column_options,
    one_sentence,
    output_option,
    strict_option,
)
from grokpredict.cli.output import print_notes, writable
from grokpredict.cli.progress import shown
from grokpredict.cli.reading import read_runs
from grokpredict.cli.streams import say

if TYPE_CHECKING:
    from grokpredict.logs import Columns


@click.command()
@click.argument("sweeps", nargs=-1, required=True, metavar="RUNS...")
@output_option("report.html", "Where to write the page.")
@classifier_option
@budget_option
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
    from grokpredict.reporting import report as write_report

    sweep = read_runs(sweeps, columns, jobs=jobs, strict=strict)
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
