"""Writing a figure whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from grokpredict._util.atomic import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_figure(figure: Figure, path: Path) -> None:
    """Write a figure in the format that its name ends in; OSError if that cannot be done."""
    with replacing(path) as file:
        figure.savefig(file, format=path.suffix[1:].lower())
