"""What several commands share: kinds of options, and how bad input is told."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130

SHARE = click.FloatRange(0, 1, min_open=True, max_open=True)
COUNT = click.IntRange(min=1)


class BadInput(click.ClickException):
    """One sentence on standard error, exit status 2."""

    exit_code = EXIT_BAD_INPUT


class Interrupted(click.ClickException):
    """Told like that, with the exit status of what a SIGINT ends."""

    exit_code = EXIT_INTERRUPTED


class Program(click.Group):
    """The commands; an interrupt of any is one line."""

    def invoke(self, ctx: click.Context) -> Any:
        """Parse the arguments of a command and run it."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Interrupted("interrupted") from None


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


classifier_option = click.option(
    "--classifier",
    "which",
    default="default",
    show_default=True,
    metavar="FILE",
    help="A file that train-classifier wrote.",
)

bound_option = click.option(
    "--max-false-abort",
    type=SHARE,
    default=0.05,
    show_default=True,
    help="Largest share of good runs that may be lost.",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")

strict_option = click.option(
    "--strict", is_flag=True, help="Fail if a run cannot be read, instead of leaving it out."
)


def column_options(command: Command) -> Command:
    """Add the options that name columns, and hand them over as ``columns``."""

    @functools.wraps(command)
    def with_columns(
        *args: Any,
        loss_column: str | None,
        step_column: str | None,
        val_acc_column: str | None,
        step_unit: str | None,
        split_column: str | None,
        **kwargs: Any,
    ) -> Any:
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
    return with_columns  # type: ignore[return-value]


def backend_options(command: Command) -> Command:
    """Add the options that say where the work is done; the command is handed ``jobs``.

    What the command does with joblib is done there. Stands under :func:`one_sentence`.
    """

    @functools.wraps(command)
    def on_backend(
        *args: Any, jobs: int | None, backend: str, scheduler: str | None, **kwargs: Any
    ) -> Any:
        if backend == "loky" and scheduler is None:
            return command(*args, jobs=1 if jobs is None else jobs, **kwargs)
        from grokpredict._util.cluster import running_on

        # Workers have a working folder of their own.
        paths = {name: _absolute(kwargs[name]) for name in _PATHS & kwargs.keys()}
        with running_on(backend, scheduler):
            return command(*args, jobs=-1 if jobs is None else jobs, **{**kwargs, **paths})

    for option in (
        click.option("--scheduler", metavar="ADDRESS", help="Of the Dask or Ray cluster."),
        click.option(
            "--backend",
            type=click.Choice(["loky", "dask", "ray"]),
            default="loky",
            show_default=True,
            help="Where to work: here, or on a cluster.",
        ),
        click.option("--jobs", type=int, help="Processes; -1 is all cores.  [default: 1]"),
    ):
        on_backend = option(on_backend)
    return on_backend  # type: ignore[return-value]


#: Arguments that name what workers read or write.
_PATHS = frozenset({"sweeps", "output"})


def _absolute(paths: str | tuple[str, ...]) -> str | tuple[str, ...]:
    from pathlib import Path

    if isinstance(paths, str):
        return str(Path(paths).absolute())
    return tuple(str(Path(path).absolute()) for path in paths)


cache_option = click.option(
    "--no-cache",
    is_flag=True,
    help="Do not use or keep results of earlier runs in ~/.cache/grokpredict.",
)
