"""``grokpredict train-classifier``: learn from finished runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from grokpredict._util.text import printable
from grokpredict.cli.options import (
    backend_options,
    budget_option,
    cache_option,
    column_options,
    json_option,
    one_sentence,
    output_option,
    printed_bound_option,
    strict_option,
)
from grokpredict.cli.output import print_json, writable
from grokpredict.cli.progress import shown
from grokpredict.cli.reading import reading
from grokpredict.cli.streams import say, warn

if TYPE_CHECKING:
    from grokpredict.logs import Columns


@click.command("train-classifier")
@click.argument("sweeps", nargs=-1, required=True, metavar="SWEEPS...")
@output_option("grokpredict.npz", "Where to write the classifier.")
@budget_option
@printed_bound_option
@strict_option
@cache_option
@json_option
@column_options
@one_sentence
@backend_options
def train_classifier(
    *,
    sweeps: tuple[str, ...],
    output: str,
    budget: int | None,
    max_false_abort: float,
    jobs: int,
    strict: bool,
    no_cache: bool,
    as_json: bool,
    columns: Columns,
) -> None:
    """Learn from finished runs: folders, log files and bundles, searched recursively."""
    target = writable(output)
    from grokpredict._util.cache import Cache, default_folder
    from grokpredict.logs import by_reason, require_all
    from grokpredict.training.gathering import gather
    from grokpredict.training.pipeline import train_gathered

    folder = None if no_cache else default_folder()
    cache = None if folder is None else Cache(folder)
    if cache is not None:
        cache.tidy()
    elif not no_cache:
        warn("nothing is cached: there is no home folder; set GROKPREDICT_CACHE to a folder")
    gathered = gather(sweeps, columns, jobs=jobs, track=reading, cache=cache)
    if strict:
        require_all(gathered.left_out, len(gathered.records))
    with shown("fitting") as progress:
        classifier, report = train_gathered(
            gathered, budget=budget, jobs=jobs, cache=cache, progress=progress
        )
    classifier.save(target)
    if as_json:
        reasons = [
            {"runs": number, "path": example.path, "reason": example.reason}
            for number, example in by_reason(gathered.left_out)
        ]
        document = {"classifier": output, "left_out": reasons, **gathered.findings.to_dict()}
        print_json({**document, **report.to_dict()})
        return
    from grokpredict.reporting import training_text

    say(training_text(classifier, report, gathered.left_out, gathered.findings, max_false_abort))
    say(f"\nClassifier written to {printable(output)}.")
