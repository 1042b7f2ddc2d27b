"""Colours and markers of phases, outcomes and verdicts, the same in every figure and on the page.

Within each scale the colours differ in lightness, so that they survive grey printing, and differ
when seen without the green cones (deuteranopia). Markers say the same once more.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import NamedTuple


class Style(NamedTuple):
    """How one class is drawn.

    Attributes
    ----------
    light, dark : str
        Colour on a white and on a black ground.
    marker : str
        Of matplotlib.
    shape : str
        The same marker as Vega names it.
    """

    light: str
    dark: str
    marker: str
    shape: str


#: Phases of Liu et al. 2022; ``unknown`` where a log does not tell.
PHASES = MappingProxyType(
    {
        "grokking": Style("#eba400", "#ffd166", "o", "circle"),
        "comprehension": Style("#3a94da", "#58b0f2", "s", "square"),
        "memorisation": Style("#b03a4e", "#d4697c", "^", "triangle-up"),
        "confusion": Style("#43306f", "#7a68b8", "v", "triangle-down"),
        "unknown": Style("#8f8f8f", "#9a9a9a", "D", "diamond"),
    }
)

VERDICTS = MappingProxyType(
    {
        "continue": Style("#1b5299", "#4f97e6", "o", "circle"),
        "abort": Style("#d95f00", "#ffb066", "X", "cross"),
        "abstain": Style("#a6a6a6", "#7d7d7d", "D", "diamond"),
    }
)

OUTCOMES = MappingProxyType(
    {
        "good": Style("#1b5299", "#4f97e6", "o", "circle"),
        "doomed": Style("#d95f00", "#ffb066", "X", "cross"),
        "unknown": Style("#a6a6a6", "#7d7d7d", "D", "diamond"),
    }
)

INK, FAINT = "#222222", "#767676"
