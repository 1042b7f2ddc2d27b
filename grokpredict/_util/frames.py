"""Columns as a table of pandas, where it is installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any


def frame(columns: Mapping[str, Sequence[Any]]) -> Any:
    """Return columns as a ``pandas.DataFrame``, or as a dict of lists without pandas.

    Parameters
    ----------
    columns : mapping of str to sequence
        Equally long.
    """
    if find_spec("pandas") is None:
        return {name: list(column) for name, column in columns.items()}
    import pandas as pd

    return pd.DataFrame(dict(columns))
