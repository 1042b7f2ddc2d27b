"""``grokpredict score``: look at logged runs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

from grokpredict.cli.options import (
    bound_option,
    budget_option,
    classifier_option,
    column_options,
    format_options,
    one_sentence,
)
from grokpredict.cli.output import drawable, print_csv, print_json, print_notes, warn_left_out
from grokpredict.cli.progress import counted
from grokpredict.cli.streams import say

if TYPE_CHECKING:
    from grokpredict.evaluation.scoring import Score
    from grokpredict.logs import Columns
    from grokpredict.runs.run import Run

EXIT_ABORT = 3


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@classifier_option
@budget_option
@click.option("--hparams", metavar="FILE", help="Configuration of the runs, YAML or JSON.")
@bound_option
@format_options
@click.option("--plot", metavar="FILE", help="Draw the run (only one): .png, .svg or .pdf.")
@click.option("--fail-on-abort", is_flag=True, help="Exit with status 3 if a verdict is abort.")
@column_options
@one_sentence
def score(
    *,
    runs: tuple[str, ...],
    classifier: str,
    budget: int | None,
    hparams: str | None,
    max_false_abort: float,
    form: str,
    plot: str | None,
    fail_on_abort: bool,
    columns: Columns,
) -> None:
    """Judge logged runs: files, folders, bundles, BUNDLE::NAME for one of many, - for stdin."""
    from grokpredict.evaluation.scores import score_or_reason
    from grokpredict.evaluation.scoring import score as score_run
    from grokpredict.model.classifier import load_classifier
    from grokpredict.runs.sweep import LeftOut

    logged = _read_for_scoring(runs, hparams, columns)
    if plot is not None:
        _check_plot(plot, logged)
    model = load_classifier(classifier)
    scores: list[Score] = []
    failed: list[LeftOut] = []
    attempt = score_or_reason if len(logged) > 1 else score_run
    for run in counted(logged, len(logged), "scoring"):
        result = attempt(run, model, budget=budget, max_false_abort=max_false_abort)
        if isinstance(result, LeftOut):
            failed.append(result)
        else:
            scores.append(result)
    warn_left_out(failed)
    if plot is not None:
        from pathlib import Path

        from grokpredict.reporting import ScoreDisplay
        from grokpredict.reporting.figure_file import write_display

        write_display(ScoreDisplay.from_score(scores[0]), Path(plot))
    if form == "json":
        print_json([score.to_dict() for score in scores])
    elif form == "csv":
        from grokpredict.evaluation.tabular import score_columns

        print_csv(score_columns(scores))
    else:
        from grokpredict.reporting import score_text

        say(score_text(scores))
    if fail_on_abort and _any_abort(scores):
        sys.exit(EXIT_ABORT)


def _read_for_scoring(paths: Sequence[str], hparams: str | None, columns: Columns) -> list[Run]:
    from dataclasses import replace

    from grokpredict.logs import LogError, read_hparams, read_sweep
    from grokpredict.logs.selection import named, split_name
    from grokpredict.runs.sweep import Findings

    if hparams is not None:
        columns = replace(columns, hparams=read_hparams(hparams))
    runs: list[Run] = []
    for path in paths:
        file, name = split_name(path)
        sweep = read_sweep(file, columns)
        if name is not None:
            sweep = named(sweep, name)
        if not sweep.runs:
            raise LogError(sweep.left_out[0].reason if sweep.left_out else f"{path} holds no run")
        warn_left_out(sweep.left_out)
        print_notes(Findings(unread=sweep.findings.unread))  # notes are with the results
        runs.extend(sweep.runs)
    return runs


def _check_plot(plot: str, runs: Sequence[Run]) -> None:
    if len(runs) != 1:
        raise ValueError(f"--plot draws one run, got {len(runs)}; name one.")
    drawable(plot)


def _any_abort(scores: Iterable[Score]) -> bool:
    return any(score.verdict.action == "abort" for score in scores)
