"""``grokpredict calibrate``: set the abort thresholds from finished runs of your own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from grokpredict._util.text import printable
from grokpredict.cli.options import (
    backend_options,
    budget_option,
    classifier_option,
    column_options,
    json_option,
    one_sentence,
    output_option,
    printed_bound_option,
    strict_option,
)
from grokpredict.cli.output import print_json, writable
from grokpredict.cli.progress import shown
from grokpredict.cli.reading import read_runs
from grokpredict.cli.streams import say

if TYPE_CHECKING:
    from grokpredict.logs import Columns
    from grokpredict.model.joining import Wanted


@click.command()
@click.argument("sweeps", nargs=-1, required=True, metavar="RUNS...")
@output_option("calibrated.npz", "Where to write the classifier with your thresholds.")
@classifier_option
@budget_option
@printed_bound_option
@click.option(
    "--guarantee",
    type=click.Choice(["expectation", "confidence"]),
    default="expectation",
    show_default=True,
    help="How the bound holds: in the mean over sweeps like yours, or with 95 % confidence in this "
    "one, which takes three times as many good runs and saves less.",
)
@strict_option
@json_option
@column_options
@one_sentence
@backend_options
def calibrate(
    *,
    sweeps: tuple[str, ...],
    output: str,
    classifier: str,
    budget: int | None,
    max_false_abort: float,
    guarantee: Wanted,
    jobs: int,
    strict: bool,
    as_json: bool,
    columns: Columns,
) -> None:
    """Set abort thresholds from finished runs of your own; the model stays as it is."""
    target = writable(output)
    from grokpredict.model.classifier import load_classifier
    from grokpredict.training.calibration import calibrate as set_thresholds

    model = load_classifier(classifier)
    sweep = read_runs(sweeps, columns, jobs=jobs, strict=strict)
    with shown("scoring") as progress:
        calibrated, report = set_thresholds(
            model, sweep, budget=budget, guarantee=guarantee, progress=progress
        )
    calibrated.save(target)
    if as_json:
        document = {"classifier": output, "max_false_abort": max_false_abort}
        print_json({**document, **report.to_dict(max_false_abort), **sweep.findings.to_dict()})
        return
    from grokpredict.reporting import calibration_text

    say(calibration_text(report, sweep.findings, max_false_abort))
    say(f"\nClassifier written to {printable(output)}.")
