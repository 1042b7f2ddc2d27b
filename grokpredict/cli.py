"""The command line: parses, calls the library, chooses exit codes; nothing else."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from grokpredict.curves import LeftOut, Run
    from grokpredict.logs import Columns
    from grokpredict.scoring import Score

EXIT_BAD_INPUT = 2
EXIT_ABORT = 3

Command = TypeVar("Command", bound=Callable[..., Any])
Item = TypeVar("Item")


class BadInput(click.ClickException):
    """One sentence on standard error, exit status 2."""

    exit_code = EXIT_BAD_INPUT


def one_sentence(command: Command) -> Command:
    """Turn what the library raises on bad input into :class:`BadInput`.

    The library raises ValueError (all its own errors are) and the system OSError; anything else
    is a mistake of ours, whose traceback should be seen.
    """

    @functools.wraps(command)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except BrokenPipeError:
            raise
        except (ValueError, OSError) as error:
            raise BadInput(" ".join(str(error).split())) from error

    return guarded  # type: ignore[return-value]


def parse_horizons(ctx: click.Context, param: click.Parameter, value: str | None) -> Any:
    """Parse ``200,400``."""
    if value is None:
        return None
    try:
        horizons = tuple(sorted({int(part) for part in value.split(",")}))
    except ValueError:
        horizons = ()
    if not horizons or horizons[0] < 1:
        raise click.BadParameter(
            f"must be whole numbers above 0 with commas between, got {value!r}"
        )
    return horizons


def column_options(command: Command) -> Command:
    """Add the options that name columns, and hand them over as ``columns``."""

    @functools.wraps(command)
    def with_columns(
        *args: Any,
        loss_column: str | None,
        step_column: str | None,
        val_acc_column: str | None,
        **kwargs: Any,
    ) -> Any:
        from grokpredict.logs import Columns

        columns = Columns(loss_column, step_column, val_acc_column)
        return command(*args, columns=columns, **kwargs)

    for name, what in (
        ("--val-acc-column", "validation accuracy"),
        ("--step-column", "optimiser step"),
        ("--loss-column", "training loss"),
    ):
        option = click.option(name, metavar="NAME", help=f"Column with the {what}.")
        with_columns = option(with_columns)
    return with_columns  # type: ignore[return-value]


SHARE = click.FloatRange(0, 1, min_open=True, max_open=True)
COUNT = click.IntRange(min=1)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="grokpredict")
def main() -> None:
    """Say from the first steps of a training run whether it will grok."""


@main.command("train-classifier")
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
    as_json: bool,
    columns: Columns,
) -> None:
    """Learn from finished runs: folders, log files and bundles, searched recursively."""
    target = _writable(output)
    from grokpredict.classifier import DEFAULT_HORIZONS
    from grokpredict.logs import by_reason, read_sweep
    from grokpredict.training import train

    found = read_sweep(
        sweeps,
        columns,
        jobs=jobs,
        track=lambda logs, total: _bar(logs, total, "reading"),
    )
    with _Steps("computing features") as progress:
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
        _print_json({"classifier": output, "left_out": reasons, **report.to_dict()})
        return
    from grokpredict.printing import training_text

    click.echo(training_text(classifier, report, found.left_out, max_false_abort))
    click.echo(f"\nThe classifier was written to {output}.")


@main.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option(
    "--classifier",
    "which",
    default="default",
    show_default=True,
    metavar="FILE",
    help="A file that train-classifier wrote.",
)
@click.option("--budget", type=COUNT, help="Step by which the run has to generalise.")
@click.option("--hparams", metavar="FILE", help="Configuration of the runs, YAML or JSON.")
@click.option(
    "--max-false-abort",
    type=SHARE,
    default=0.05,
    show_default=True,
    help="Largest share of good runs that may be lost.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
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
    from grokpredict.classifier import load_classifier
    from grokpredict.scoring import score_run

    found = _read_for_scoring(runs, hparams, columns)
    if plot is not None:
        _check_plot(plot, found)
    classifier = load_classifier(which)
    scores = [
        score_run(run, classifier, budget=budget, max_false_abort=max_false_abort)
        for run in _bar(found, len(found), "scoring")
    ]
    if plot is not None:
        from grokpredict.plots import score_figure

        score_figure(found[0], scores[0], classifier).savefig(plot)
    if as_json:
        _print_json([each.to_dict() for each in scores])
    else:
        from grokpredict.printing import score_text

        click.echo(score_text(scores))
    if fail_on_abort and _any_abort(scores):
        sys.exit(EXIT_ABORT)


class SweepCommand(click.Command):
    """Lists the families and their sources behind the options, read only when asked for."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a line a family."""
        from grokpredict.sweeps.families import FAMILIES

        with formatter.section("Families"):
            formatter.write_dl([(family.name, family.source) for family in FAMILIES.values()])


@main.command(cls=SweepCommand)
@click.argument("families", nargs=-1, required=True, metavar="FAMILY...")
@click.option(
    "-o",
    "--output",
    default="sweeps",
    show_default=True,
    metavar="DIR",
    help="Folder for the bundles, made if it is not there.",
)
@click.option(
    "--runs",
    type=COUNT,
    default=240,
    show_default=True,
    help="Runs of each family, rounded up to whole shards of 24.",
)
@click.option("--steps", type=COUNT, help="Cut every run off here; a multiple of 50.")
@click.option("--seed", type=int, default=0, show_default=True, help="Decides the configurations.")
@click.option("--jobs", type=int, default=1, show_default=True, help="Processes; -1 is all cores.")
@click.option(
    "--device", default="cpu", show_default=True, help="A PyTorch device, for example cuda."
)
@one_sentence
def sweep(
    *,
    families: tuple[str, ...],
    output: str,
    runs: int,
    steps: int | None,
    seed: int,
    jobs: int,
    device: str,
) -> None:
    """Make sweep data: train many small networks that may grok."""
    from grokpredict.sweeps.generate import generate

    generate(
        families,
        Path(output),
        runs=runs,
        steps=steps,
        seed=seed,
        jobs=jobs,
        device=device,
        progress=_on_terminal(),
    )
    click.echo(f"The runs were written to {output}.")


def _read_for_scoring(paths: Sequence[str], hparams: str | None, columns: Columns) -> list[Run]:
    from grokpredict.logs import LogError, read_hparams, read_sweep, with_hparams

    told = {} if hparams is None else read_hparams(hparams)
    runs: list[Run] = []
    for path in paths:
        found = read_sweep([path], columns)
        if not found.runs:
            raise LogError(found.left_out[0].reason if found.left_out else f"{path} holds no run")
        _warn(found.left_out)
        runs.extend(found.runs)
    return [with_hparams(run, told) for run in runs] if told else runs


def _warn(left_out: Sequence[LeftOut]) -> None:
    from grokpredict.logs import by_reason, sentence

    for number, example in by_reason(left_out):
        more = "" if number == 1 else f" (and {number - 1} more like it)"
        click.echo(f"left out: {sentence(example)}{more}", err=True)


def _check_plot(plot: str, runs: Sequence[Run]) -> None:
    if len(runs) != 1:
        raise ValueError(f"--plot draws one run, {len(runs)} were given; name one")
    _writable(plot)
    if find_spec("matplotlib") is None:
        raise ValueError(
            "--plot needs matplotlib, which is not installed; "
            "install it with pip install 'grokpredict[plot]'"
        )


def _any_abort(scores: Iterable[Score]) -> bool:
    return any(each.verdict.action == "abort" for each in scores)


def _writable(path: str) -> Path:
    """Return the path, or complain before an hour of work that it cannot be written."""
    target = Path(path)
    if target.is_dir() or not target.parent.is_dir():
        raise ValueError(f"the output must be a file in an existing folder, got {path}")
    return target


def _print_json(document: Any) -> None:
    click.echo(json.dumps(document, indent=2, allow_nan=False))


def _on_terminal() -> bool:
    return sys.stderr.isatty()


def _bar(items: Iterable[Item], total: int, what: str) -> Iterable[Item]:
    if total < 2 or not _on_terminal():
        return items
    from tqdm import tqdm

    return tqdm(items, total=total, desc=what, file=sys.stderr, leave=False)


class _Steps:
    """A progress bar for a library function that calls back with (done, all)."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.bar: Any = None

    def __enter__(self) -> Callable[[int, int], None] | None:
        return self if _on_terminal() else None

    def __call__(self, done: int, total: int) -> None:
        if self.bar is None:
            from tqdm import tqdm

            self.bar = tqdm(total=total, desc=self.what, file=sys.stderr, leave=False)
        self.bar.total = total
        self.bar.update(done - self.bar.n)

    def __exit__(self, *error: object) -> None:
        if self.bar is not None:
            self.bar.close()
