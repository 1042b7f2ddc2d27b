"""One axis of a configuration: numbers on a linear or logarithmic scale, or categories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from grokpredict.runs.curve import FloatArray

Scale = Literal["linear", "log", "symlog", "category"]

#: Numbers that span this factor are drawn on a logarithmic scale.
WIDE = 20.0


@dataclass(frozen=True, eq=False)
class ConfigurationAxis:
    """A column of configurations as an axis.

    Attributes
    ----------
    name : str
        Of the column.
    scale : {"linear", "log", "symlog", "category"}
        Symmetric logarithmic where a wide range has a zero, such as no weight decay.
    values : ndarray, shape (n_runs,)
        Numbers, or the places of categories; NaN where a run has no value.
    categories : tuple of str
        In the order of their places.
    """

    name: str
    scale: Scale
    values: FloatArray
    categories: tuple[str, ...] = ()

    @classmethod
    def of(cls, name: str, column: Sequence[Any]) -> ConfigurationAxis:
        """Choose the scale of a column.

        >>> [ConfigurationAxis.of("", column).scale for column in ([1e-4, 1e-2], [29, 31])]
        ['log', 'linear']
        >>> ConfigurationAxis.of("optimizer", ["sgd", "adamw", None]).categories
        ('adamw', 'sgd')
        """
        known = [value for value in column if value is not None]
        if known and all(isinstance(v, int | float) and not isinstance(v, bool) for v in known):
            values = np.array([np.nan if v is None else float(v) for v in column])
            return cls(name, _scale(values[np.isfinite(values)]), values)
        categories = tuple(sorted({str(value) for value in known}))
        places = {category: place for place, category in enumerate(categories)}
        values = np.array([np.nan if v is None else places[str(v)] for v in column], dtype=float)
        return cls(name, "category", values, categories)

    @property
    def smallest(self) -> float:
        """The smallest number above zero: where a symmetric logarithmic scale turns linear."""
        above = self.values[self.values > 0]
        return float(above.min()) if above.size else 1.0

    @property
    def places(self) -> FloatArray:
        """Where the runs are along the axis, from 0 to 1; 0.5 if all are at one place."""
        place = self.values
        if self.scale == "log":
            place = np.log(place)
        elif self.scale == "symlog":
            place = np.arcsinh(place / self.smallest)
        low, high = (np.nanmin(place), np.nanmax(place)) if np.isfinite(place).any() else (0, 0)
        return (place - low) / (high - low) if high > low else 0.0 * place + 0.5


def _scale(values: FloatArray) -> Scale:
    if not values.size or values.min() < 0:
        return "linear"
    above = values[values > 0]
    if not above.size or above.max() < WIDE * above.min():
        return "linear"
    return "log" if values.min() > 0 else "symlog"
