"""``grokpredict diagnose``: why a run went as it did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from grokpredict.cli.options import COUNT, column_options, json_option, one_sentence
from grokpredict.cli.output import drawable, print_json, print_notes
from grokpredict.cli.progress import shown

if TYPE_CHECKING:
    from grokpredict.diagnosis.network import Diagnosis
    from grokpredict.logs import Columns
    from grokpredict.runs.run import Run


@click.command()
@click.argument("run", metavar="RUN")
@click.option(
    "--checkpoint",
    "checkpoints",
    multiple=True,
    metavar="FILE",
    help="A checkpoint of the run; several, each with the option, show how it changed.",
)
@click.option(
    "--module",
    "factory",
    metavar="PACKAGE.MODULE:FUNCTION",
    help="A function that returns (module, loss, train_batch, val_batch); needed for checkpoints.",
)
@click.option("--budget", type=COUNT, help="Step by which the run has to generalise.")
@click.option(
    "--goldilocks",
    type=click.FloatRange(min=0, min_open=True),
    metavar="NORM",
    help="Weight norm w_c at which the validation loss is least.",
)
@click.option("--hparams", metavar="FILE", help="Configuration of the run, YAML or JSON.")
@click.option("--row", type=click.IntRange(min=0), help="Which run of a bundle; the first is 0.")
@click.option("-o", "--output", metavar="FILE", help="Draw the figure: .png, .svg or .pdf.")
@click.option("--noise", is_flag=True, help="Measure gradient noise and sharpness too.")
@json_option
@column_options
@one_sentence
def diagnose(
    *,
    run: str,
    checkpoints: tuple[str, ...],
    factory: str | None,
    budget: int | None,
    goldilocks: float | None,
    hparams: str | None,
    row: int | None,
    output: str | None,
    noise: bool,
    as_json: bool,
    columns: Columns,
) -> None:
    """Say why one run went as it did: phases, slingshots, norm; the landscape with a checkpoint."""
    if bool(checkpoints) != (factory is not None):
        raise ValueError("--checkpoint and --module go together: one has the numbers, one the code")
    target = None if output is None else drawable(output)
    from grokpredict.diagnosis.run import diagnose_run

    logged = _read(run, row, hparams, columns)
    if factory is None:
        found = diagnose_run(logged, budget=budget, goldilocks=goldilocks)
        if target is not None:
            from grokpredict.reporting import run_diagnosis_figure
            from grokpredict.reporting.figure_file import write_figure

            write_figure(run_diagnosis_figure(found), target)
        if as_json:
            print_json(found.to_dict())
        else:
            from grokpredict.reporting import run_diagnosis_text

            click.echo(run_diagnosis_text(found))
        return
    whole = _with_network(
        logged, checkpoints, factory, budget=budget, goldilocks=goldilocks, noise=noise
    )
    if target is not None:
        from grokpredict.reporting import diagnosis_figure
        from grokpredict.reporting.figure_file import write_figure

        write_figure(diagnosis_figure(whole), target)
    if as_json:
        print_json(whole.to_dict())
    else:
        from grokpredict.reporting import diagnosis_text

        click.echo(diagnosis_text(whole))


def _read(path: str, row: int | None, hparams: str | None, columns: Columns) -> Run:
    from dataclasses import replace

    from grokpredict.logs import LogError, read_hparams, read_sweep

    if hparams is not None:
        columns = replace(columns, hparams=read_hparams(hparams))
    found = read_sweep([path], columns)
    if not found.runs:
        raise LogError(found.left_out[0].reason if found.left_out else f"{path} holds no run")
    number = len(found.runs)
    if number > 1 and row is None:
        raise LogError(f"a diagnosis is of one run, {path} holds {number}; choose one with --row")
    if row is not None and row >= number:
        raise LogError(f"{path} holds {number} runs, there is no row {row}")
    print_notes(found.findings)
    return found.runs[row or 0]


def _with_network(
    run: Run, checkpoints: tuple[str, ...], factory: str, **options: Any
) -> Diagnosis:
    from grokpredict.diagnosis.network import diagnose as of_network
    from grokpredict.diagnosis.snapshots import read_checkpoint

    module, loss, train_batch, val_batch = _called(factory)
    snapshots = [read_checkpoint(path, module) for path in checkpoints]
    with shown("diagnosing") as progress:
        return of_network(
            module, loss, train_batch, val_batch, snapshots, run=run, progress=progress, **options
        )


def _called(factory: str) -> Any:
    """Import what the user named, as Python itself would from here, and call it."""
    import sys
    from importlib import import_module
    from importlib.util import find_spec

    name, _, function = factory.partition(":")
    if not name or not function:
        raise ValueError(f"--module must be PACKAGE.MODULE:FUNCTION, got {factory!r}")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        there = find_spec(name) is not None
    except ModuleNotFoundError:
        there = False
    if not there:
        raise ValueError(
            f"--module names {name!r}, which cannot be imported from here; "
            "run the command where 'import' finds it, or install it"
        )
    make = getattr(import_module(name), function, None)
    if not callable(make):
        raise ValueError(f"{name} has no function {function!r}")
    made = make()
    if not isinstance(made, tuple) or len(made) != 4:
        raise ValueError(f"{factory} must return (module, loss, train_batch, val_batch)")
    return made
