"""``grokpredict train-classifier``: learn from finished runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from grokpredict.cli.options import (
    COUNT,
    SHARE,
    column_options,
    one_sentence,
    parse_horizons,
    strict_option,
)
from grokpredict.cli.output import Steps, bar, print_json, writable

if TYPE_CHECKING:
    from grokpredict.logs import Columns


@click.command("train-classifier")
@click.argument("sweeps", nargs=-1, required=True, metavar="SWEEPS...")
@click.option(
    "-o",
    "--output",
    default="grokpredict.npz",
    show_default=True,
    metavar="FILE",
    help="Where to write the classifier.",
)
@click.option("--budget", type=COUNT, help="Step by which a run has to generalise.")
@click.option(
    "--horizons",
    callback=parse_horizons,
    metavar="N,N,...",
    help="Steps after which to look.  [default: 200,400,800,1600,3200]",
)
@click.option(
    "--max-false-abort",
    type=SHARE,
    default=0.05,
    show_default=True,
    help="Largest share of good runs that may be lost, for the threshold that is shown.",
)
@click.option("--jobs", type=int, default=1, show_default=True, help="Processes; -1 is all cores.")
@strict_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@column_options
@one_sentence
def train_classifier(
    *,
    sweeps: tuple[str, ...],
    output: str,
    budget: int | None,
    horizons: tuple[int, ...] | None,
    max_false_abort: float,
    jobs: int,
    strict: bool,
    as_json: bool,
    columns: Columns,
) -> None:
    """Learn from finished runs: folders, log files and bundles, searched recursively."""
    target = writable(output)
    from grokpredict.classifier import DEFAULT_HORIZONS
    from grokpredict.logs import by_reason, read_sweep, require_all
    from grokpredict.training import train

    found = read_sweep(
        sweeps,
        columns,
        jobs=jobs,
        track=lambda logs, total: bar(logs, total, "reading"),
    )
    if strict:
        require_all(found)
    with Steps("computing features") as progress:
        classifier, report = train(
            found,
            horizons=horizons or DEFAULT_HORIZONS,
            budget=budget,
            jobs=jobs,
            progress=progress,
        )
    classifier.save(target)
    if as_json:
        reasons = [
            {"runs": number, "path": example.path, "reason": example.reason}
            for number, example in by_reason(found.left_out)
        ]
        told = {"classifier": output, "left_out": reasons, **found.findings.to_dict()}
        print_json({**told, **report.to_dict()})
        return
    from grokpredict.printing import training_text

    click.echo(training_text(classifier, report, found.left_out, found.findings, max_false_abort))
    click.echo(f"\nThe classifier was written to {output}.")
