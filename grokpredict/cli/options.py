"""Options that several commands share, and errors as one line."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import click

from grokpredict.cli.streams import OneLine, Terminated, one_line, terminating, warn

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")
Command = TypeVar("Command", bound=Callable[..., Any])

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130

SHARE = click.FloatRange(0, 1, min_open=True, max_open=True)
COUNT = click.IntRange(min=1)


class BadInput(OneLine):
    """One sentence on standard error, exit status 2."""

    exit_code = EXIT_BAD_INPUT


class Interrupted(OneLine):
    """One-line error, exit status 130 (as after SIGINT)."""

    exit_code = EXIT_INTERRUPTED


class Program(click.Group):
    """The commands. An interrupt prints one line."""

    def invoke(self, ctx: click.Context) -> Any:
        """Parse the arguments of a command and run it."""
        try:
            with terminating():
                return super().invoke(ctx)
        except Terminated as error:
            warn("Error: terminated")
            sys.exit(128 + error.number)
        except KeyboardInterrupt:
            raise Interrupted("interrupted") from None

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the program; where no error can be written, its exit status is all there is."""
        try:
            return super().main(*args, **kwargs)
        except OSError:
            sys.exit(EXIT_BAD_INPUT)


def one_sentence(command: Callable[Arguments, Answer]) -> Callable[Arguments, Answer]:
    """Turn what the library raises on bad input into :class:`BadInput`.

    The library raises ValueError, from which all errors of its own derive, and the system raises
    OSError. Anything else is a bug of ours, and its traceback should be seen.
    """

    @functools.wraps(command)
    def guarded(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Answer:
        try:
            return command(*args, **kwargs)
        except BrokenPipeError:
            raise
        except (ValueError, OSError) as error:
            raise BadInput(one_line(error)) from error

    return guarded


classifier_option = click.option(
    "--classifier",
    default="default",
    show_default="the built-in classifier",
    metavar="FILE",
    help="Classifier file, written by train-classifier.",
)

budget_option = click.option("--budget", type=COUNT, help="Step by which a run has to generalise.")


def output_option(default: str, what: str) -> Callable[[Command], Command]:
    """Return the option that names the file to write."""
    return click.option(
        "-o", "--output", default=default, show_default=True, metavar="FILE", help=what
    )


def _bound_option(what: str) -> Callable[[Command], Command]:
    return click.option("--max-false-abort", type=SHARE, default=0.05, show_default=True, help=what)


bound_option = _bound_option("Largest share of good runs that may be lost.")

#: For a command that writes a classifier, which can be asked for any bound.
printed_bound_option = _bound_option(
    "Largest share of good runs that may be lost, for what is printed; the file keeps all."
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


def format_options(command: Callable[..., Answer]) -> Callable[..., Answer]:
    """Add ``--format``, and ``--json`` for one of its values. The command gets ``form``."""

    @functools.wraps(command)
    def with_form(*args: Any, form: str, as_json: bool, **kwargs: Any) -> Answer:
        return command(*args, form="json" if as_json else form, **kwargs)

    for option in (
        json_option,
        click.option(
            "--format",
            "form",
            type=click.Choice(["table", "json", "csv"]),
            default="table",
            show_default=True,
            help="Text for people, one JSON document, or a table with a line each.",
        ),
    ):
        with_form = option(with_form)
    return with_form


strict_option = click.option(
    "--strict", is_flag=True, help="Fail if a run cannot be read; otherwise it is left out."
)


def column_options(command: Callable[..., Answer]) -> Callable[..., Answer]:
    """Add the options that name columns. The command gets them as ``columns``."""

    @functools.wraps(command)
    def with_columns(
        *args: Any,
        loss_column: str | None,
        step_column: str | None,
        val_acc_column: str | None,
        step_unit: str | None,
        split_column: str | None,
        **kwargs: Any,
    ) -> Answer:
        from grokpredict.logs import Columns

        columns = Columns(loss_column, step_column, val_acc_column, step_unit, split_column)
        return command(*args, columns=columns, **kwargs)

    for name, metavar, what in (
        ("--split-column", "NAME", "Column that tells several runs apart."),
        ("--step-unit", "UNIT", "What steps count: step, epoch, row, or N steps each."),
        ("--val-acc-column", "NAME", "Column with the validation accuracy."),
        ("--step-column", "NAME", "Column with the optimiser step."),
        ("--loss-column", "NAME", "Column with the training loss."),
    ):
        option = click.option(name, metavar=metavar, help=what)
        with_columns = option(with_columns)
    return with_columns


def backend_options(command: Callable[..., Answer]) -> Callable[..., Answer]:
    """Add the options for processes and clusters. The command gets ``jobs``.

    Everything that the command does with joblib runs there. Decorate with this below
    :func:`one_sentence`, so that a cluster that cannot be reached is one sentence too.
    """

    @functools.wraps(command)
    def on_backend(
        *args: Any, jobs: int | None, backend: str, scheduler: str | None, **kwargs: Any
    ) -> Answer:
        if backend == "loky" and scheduler is None:
            return command(*args, jobs=1 if jobs is None else jobs, **kwargs)
        from grokpredict._util.cluster import running_on

        # A worker has another working folder.
        paths = {name: _absolute(kwargs[name]) for name in _PATHS & kwargs.keys()}
        with running_on(backend, scheduler):
            return command(*args, jobs=-1 if jobs is None else jobs, **{**kwargs, **paths})

    for option in (
        click.option("--scheduler", metavar="ADDRESS", help="Address of the Dask or Ray cluster."),
        click.option(
            "--backend",
            type=click.Choice(["loky", "dask", "ray"]),
            default="loky",
            show_default=True,
            help="Where to work: this machine (loky) or a cluster.",
        ),
        click.option("--jobs", type=int, help="Processes; -1 is all cores.  [default: 1]"),
    ):
        on_backend = option(on_backend)
    return on_backend


#: Arguments with paths that workers read or write.
_PATHS = frozenset({"sweeps", "output"})


def _absolute(paths: str | tuple[str, ...]) -> str | tuple[str, ...]:
    from pathlib import Path

    if isinstance(paths, str):
        return str(Path(paths).absolute())
    return tuple(str(Path(path).absolute()) for path in paths)


cache_option = click.option(
    "--no-cache",
    is_flag=True,
    help="Neither use nor keep earlier results in ~/.cache/grokpredict.",
)
