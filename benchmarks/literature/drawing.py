"""What all figures share."""

from pathlib import Path

from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

FIGURES = Path(__file__).parents[1] / "figures"
COLOURS = ("#1f5a96", "#b3541e")
FAINT = "#8a8a8a"
rcParams.update({"font.size": 8, "axes.titlesize": 8, "legend.fontsize": 7})


def figure(n_rows: int, n_columns: int, *, width: float, height: float) -> Figure:
    """Return a figure in inches with its axes."""
    FIGURES.mkdir(exist_ok=True)
    made = Figure(figsize=(width, height), layout="constrained", dpi=100)
    made.subplots(n_rows, n_columns)
    return made


def logarithmic(axes: Axes, which: str) -> None:
    """Make an axis (``"x"`` or ``"y"``) logarithmic, marked at 1, 2 and 5 of each decade."""
    getattr(axes, f"set_{which}scale")("log")
    axis = getattr(axes, f"{which}axis")
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())
