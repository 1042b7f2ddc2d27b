"""``grokpredict sweep``: make sweep data."""

from __future__ import annotations

import click

from grokpredict._util.text import printable
from grokpredict.cli.options import COUNT, backend_options, one_sentence
from grokpredict.cli.progress import shown
from grokpredict.cli.streams import say


class SweepCommand(click.Command):
    """Lists the families and their sources after the options, imported only for ``--help``."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one line for each family."""
        from grokpredict.sweeps.families import FAMILIES

        with formatter.section("Families"):
            formatter.write_dl([(family.name, family.source) for family in FAMILIES.values()])


@click.command(cls=SweepCommand)
@click.argument("families", nargs=-1, required=True, metavar="FAMILY...")
@click.option(
    "-o",
    "--output",
    default="sweeps",
    show_default=True,
    metavar="DIR",
    help="Folder for the bundles; created if missing.",
)
@click.option(
    "--runs",
    type=COUNT,
    default=240,
    show_default=True,
    help="Runs of each family, rounded up to whole bundles of 24.",
)
@click.option("--steps", type=COUNT, help="Stop every run here; a multiple of 50.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the configurations.")
@click.option(
    "--device", default="cpu", show_default=True, help="A PyTorch device, for example cuda."
)
@one_sentence
@backend_options
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
    from pathlib import Path

    from grokpredict.sweeps.generate import generate

    with shown("training") as progress:
        generate(
            families,
            Path(output),
            runs=runs,
            steps=steps,
            seed=seed,
            jobs=jobs,
            device=device,
            progress=progress,
        )
    say(f"Runs written to {printable(output)}.")
