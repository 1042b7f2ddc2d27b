"""``grokpredict evaluate``: replay finished runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from grokpredict.cli.options import (
    COUNT,
    SHARE,
    backend_options,
    column_options,
    one_sentence,
    strict_option,
)
from grokpredict.cli.output import Steps, bar, drawable, print_json, say_notes, warn_left_out

if TYPE_CHECKING:
    from grokpredict.logs import Columns


@click.command()
@click.argument("sweeps", nargs=-1, required=True, metavar="SWEEPS...")
@click.option(
    "--classifier",
    "which",
    default="default",
    show_default=True,
    metavar="FILE",
    help="A file that train-classifier wrote.",
)
@click.option("--budget", type=COUNT, help="Step by which a run has to generalise.")
@click.option(
    "--max-false-abort",
    type=SHARE,
    default=0.05,
    show_default=True,
    help="Largest share of good runs that may be lost.",
)
@strict_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--plot", metavar="FILE", help="Draw it: .png, .svg or .pdf.")
@column_options
@one_sentence
@backend_options
def evaluate(
    *,
    sweeps: tuple[str, ...],
    which: str,
    budget: int | None,
    max_false_abort: float,
    jobs: int,
    strict: bool,
    as_json: bool,
    plot: str | None,
    columns: Columns,
) -> None:
    """Replay finished runs: what would have been lost and saved, by us and by other rules."""
    target = None if plot is None else drawable(plot)
    from grokpredict.classifier import load_classifier
    from grokpredict.evaluate import evaluate as replay
    from grokpredict.logs import read_sweep, require_all

    classifier = load_classifier(which)
    found = read_sweep(
        sweeps,
        columns,
        jobs=jobs,
        track=lambda logs, total: bar(logs, total, "reading"),
    )
    if strict:
        require_all(found.left_out, len(found))
    warn_left_out(found.left_out)
    say_notes(found.findings)
    with Steps("replaying") as progress:
        evaluation = replay(
            found,
            classifier,
            budget=budget,
            max_false_abort=max_false_abort,
            jobs=jobs,
            progress=progress,
        )
    if target is not None:
        from grokpredict.evaluation_figure import evaluation_figure

        evaluation_figure(evaluation).savefig(target)
    if as_json:
        print_json({"classifier": which, **evaluation.to_dict()})
        return
    from grokpredict.evaluate.text import evaluation_text

    click.echo(evaluation_text(evaluation))
