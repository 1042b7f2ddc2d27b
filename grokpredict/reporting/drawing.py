"""What all figures share: a place to draw, sizes for a paper, labels; needs matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.gridspec import GridSpecBase
from matplotlib.lines import Line2D

from grokpredict.reporting.palette import FAINT, INK, Style

#: Inches: one column and both columns of a paper.
COLUMN, PAGE = 3.5, 7.1
TEXT, SMALL = 8, 7


def one_panel(ax: Axes | None, height: float = 2.8) -> Axes:
    """Return the axes to draw in; those of a new figure where there are none."""
    if ax is None:
        _, ax = plt.subplots(figsize=(COLUMN, height), layout="constrained", dpi=150)
    return ax


def panels(
    ax: Axes | None, rows: int, columns: int, size: tuple[float, float], **grid: object
) -> list[Axes]:
    """Return axes within the bounds of ``ax``, row by row, or in a new figure.

    As scikit-learn's ``PartialDependenceDisplay`` does with a single axes.
    """
    figure: Figure | SubFigure
    specification: GridSpecBase
    if ax is None:
        figure = plt.figure(figsize=size, layout="constrained", dpi=150)
        specification = figure.add_gridspec(rows, columns, **grid)
    else:
        ax.set_axis_off()
        figure = ax.figure
        place = ax.get_subplotspec()
        if place is None:
            raise ValueError("ax must be a cell of a grid, such as plt.subplots() returns")
        specification = place.subgridspec(rows, columns, **grid)
    return [
        figure.add_subplot(specification[row, column])
        for row in range(rows)
        for column in range(columns)
    ]


def label(axis: Axes, title: str, x: str, y: str) -> None:
    """Write the title and the names of both axes."""
    axis.set_title(title, loc="left", fontsize=TEXT, color=INK)
    axis.set_xlabel(x, fontsize=TEXT, color=INK)
    axis.set_ylabel(y, fontsize=TEXT, color=INK)
    axis.tick_params(which="both", labelsize=SMALL, colors=INK)
    axis.spines[["top", "right"]].set_visible(False)


def nothing(axis: Axes, title: str, why: str) -> None:
    """Say why there is nothing to draw."""
    axis.text(0.5, 0.5, why, transform=axis.transAxes, ha="center", va="center", color=FAINT,
              fontsize=TEXT, wrap=True)  # fmt: skip
    axis.set_xticks([])
    axis.set_yticks([])
    label(axis, title, "", "")
    axis.spines[:].set_visible(False)


def marker_size(number: int) -> float:
    """Return the area of a marker, points squared: the more runs, the smaller.

    >>> [marker_size(number) for number in (10, 200, 10_000)]
    [16.0, 8.0, 5.0]
    """
    return min(max(1600 / number, 5.0), 16.0)


def key(styles: Mapping[str, Style], names: Sequence[str], *, lines: bool = False) -> list[Line2D]:
    """Return handles for a legend of the classes that occur, in the order of their scale."""
    return [
        Line2D(
            [],
            [],
            color=style.light,
            marker=style.marker,
            linestyle="-" if lines else "",
            markersize=5,
            label=name,
        )
        for name, style in styles.items()
        if name in names
    ]


def legend_above(axis: Axes, handles: Sequence[Line2D]) -> None:
    """Put a legend above the panel, three entries in a row."""
    axis.legend(
        handles=handles,
        fontsize=SMALL,
        frameon=False,
        ncols=3,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        borderaxespad=0,
        handletextpad=0.4,
        columnspacing=0.8,
    )


def shortened(name: str, most: int = 40) -> str:
    """Return the end of a long name, where paths differ.

    >>> shortened("sweeps/a/b.csv", 8)
    '...b.csv'
    """
    return name if len(name) <= most else "..." + name[3 - most :]
