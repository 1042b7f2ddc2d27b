"""``grokpredict evaluate``: replay finished runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from grokpredict.cli.options import (
    backend_options,
    bound_option,
    budget_option,
    classifier_option,
    column_options,
    format_options,
    one_sentence,
    strict_option,
)
from grokpredict.cli.output import drawable, print_csv, print_json, print_notes
from grokpredict.cli.progress import shown
from grokpredict.cli.reading import read_runs
from grokpredict.cli.streams import say

if TYPE_CHECKING:
    from grokpredict.logs import Columns


@click.command()
@click.argument("sweeps", nargs=-1, required=True, metavar="SWEEPS...")
@classifier_option
@budget_option
@bound_option
@strict_option
@format_options
@click.option("--plot", metavar="FILE", help="Draw the evaluation: .png, .svg or .pdf.")
@column_options
@one_sentence
@backend_options
def evaluate(
    *,
    sweeps: tuple[str, ...],
    classifier: str,
    budget: int | None,
    max_false_abort: float,
    jobs: int,
    strict: bool,
    form: str,
    plot: str | None,
    columns: Columns,
) -> None:
    """Replay finished runs: good runs lost and compute saved, beside other rules."""
    target = None if plot is None else drawable(plot)
    from grokpredict.evaluation import evaluate as replay
    from grokpredict.model.classifier import load_classifier

    model = load_classifier(classifier)
    sweep = read_runs(sweeps, columns, jobs=jobs, strict=strict)
    print_notes(sweep.findings)
    with shown("replaying") as progress:
        evaluation = replay(
            sweep,
            model,
            budget=budget,
            max_false_abort=max_false_abort,
            jobs=jobs,
            progress=progress,
        )
    if target is not None:
        from grokpredict.reporting import EvaluationDisplay
        from grokpredict.reporting.figure_file import write_display

        write_display(EvaluationDisplay.from_evaluation(evaluation), target)
    if form == "csv":
        from grokpredict.evaluation.tabular import evaluation_columns

        print_csv(evaluation_columns(evaluation))
        return
    if form == "json":
        print_json({"classifier": classifier, **evaluation.to_dict()})
        return
    from grokpredict.reporting import evaluation_text

    say(evaluation_text(evaluation))
