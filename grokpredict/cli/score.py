"""``grokpredict score``: look at runs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

from grokpredict.cli.options import (
    COUNT,
    bound_option,
    classifier_option,
    column_options,
    json_option,
    one_sentence,
)
from grokpredict.cli.output import bar, drawable, print_json, say_notes, warn_left_out

if TYPE_CHECKING:
    from grokpredict.evaluation.scoring import Score
    from grokpredict.logs import Columns
    from grokpredict.runs.run import Run

EXIT_ABORT = 3


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@classifier_option
@click.option("--budget", type=COUNT, help="Step by which the run has to generalise.")
@click.option("--hparams", metavar="FILE", help="Configuration of the runs, YAML or JSON.")
@bound_option
@json_option
@click.option("--plot", metavar="FILE", help="Draw the one run: .png, .svg or .pdf.")
@click.option("--fail-on-abort", is_flag=True, help="Exit with 3 if a verdict is abort.")
@column_options
@one_sentence
def score(
    *,
    runs: tuple[str, ...],
    which: str,
    budget: int | None,
    hparams: str | None,
    max_false_abort: float,
    as_json: bool,
    plot: str | None,
    fail_on_abort: bool,
    columns: Columns,
) -> None:
    """Look at runs: log files, folders, bundles, or - for standard input."""
    from grokpredict.evaluation.scoring import score_run
    from grokpredict.model.classifier import load_classifier

    found = _read_for_scoring(runs, hparams, columns)
    if plot is not None:
        _check_plot(plot, found)
    classifier = load_classifier(which)
    scores = [
        score_run(run, classifier, budget=budget, max_false_abort=max_false_abort)
        for run in bar(found, len(found), "scoring")
    ]
    if plot is not None:
        from grokpredict.reporting.score_figure import score_figure

        score_figure(found[0], scores[0], classifier).savefig(plot)
    if as_json:
        print_json([each.to_dict() for each in scores])
    else:
        from grokpredict.reporting.text import score_text

        click.echo(score_text(scores))
    if fail_on_abort and _any_abort(scores):
        sys.exit(EXIT_ABORT)


def _read_for_scoring(paths: Sequence[str], hparams: str | None, columns: Columns) -> list[Run]:
    from dataclasses import replace

    from grokpredict.logs import LogError, read_hparams, read_sweep

    if hparams is not None:
        columns = replace(columns, hparams=read_hparams(hparams))
    runs: list[Run] = []
    for path in paths:
        found = read_sweep([path], columns)
        if not found.runs:
            raise LogError(found.left_out[0].reason if found.left_out else f"{path} holds no run")
        warn_left_out(found.left_out)
        say_notes(found.findings)
        runs.extend(found.runs)
    return runs


def _check_plot(plot: str, runs: Sequence[Run]) -> None:
    if len(runs) != 1:
        raise ValueError(f"--plot draws one run, {len(runs)} were given; name one")
    drawable(plot)


def _any_abort(scores: Iterable[Score]) -> bool:
    return any(each.verdict.action == "abort" for each in scores)
