"""The command line: parses, calls the library, chooses the exit status; nothing else."""

from __future__ import annotations

import click

from grokpredict.cli.calibrate import calibrate
from grokpredict.cli.diagnose import diagnose
from grokpredict.cli.evaluate import evaluate
from grokpredict.cli.options import Program
from grokpredict.cli.score import score
from grokpredict.cli.sweep import sweep
from grokpredict.cli.train_classifier import train_classifier


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="grokpredict")
def main() -> None:
    """Forecast from the first steps of a training run whether it will grok."""


for command in (train_classifier, calibrate, score, evaluate, diagnose, sweep):
    main.add_command(command)
