"""Writing a figure whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grokpredict._util.atomic import replacing


class Display(Protocol):
    """A figure that is collected and not drawn yet."""

    @property
    def size(self) -> tuple[float, float]:
        """Width and height, inches."""

    def plot(self, ax: Axes | None = None) -> object:
        """Draw."""


def write_display(display: Display, path: Path) -> None:
    """Draw a display and write it; no window is opened, whatever the backend of pyplot."""
    figure = Figure(figsize=display.size, layout="constrained", dpi=150)
    display.plot(figure.subplots())
    write_figure(figure, path)


def write_figure(figure: Figure, path: Path) -> None:
    """Write a figure in the format that its name ends in; OSError if that cannot be done."""
    # Text of a vector figure stays text, which a paper's own fonts may replace.
    with rc_context({"pdf.fonttype": 42, "svg.fonttype": "none"}), replacing(path) as file:
        figure.savefig(file, format=path.suffix[1:].lower())
