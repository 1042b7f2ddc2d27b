"""Configurations of many runs as named columns: the axes of a sweep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

from grokpredict.runs.configuration import CONFIGURATION_NAMES, Configuration, field_named
from grokpredict.runs.run import REPETITION_KEYS, Run

#: Hyperparameters that tell runs apart without saying what was tried.
_LABELS = REPETITION_KEYS | {"data_seed"}

#: One value a run; None where it is not known.
Column = list[Any]


def configuration_columns(runs: Sequence[Run]) -> dict[str, Column]:
    """Return the configuration of each run as columns.

    Parameters
    ----------
    runs : sequence of Run
        Columns are the fields of :class:`~grokpredict.runs.configuration.Configuration` and, under
        the names that they were logged with, all other hyperparameters; mappings within them are
        joined with dots. A column in which no run has a value is left out.
    """
    columns: dict[str, Column] = {}
    rows = [_row(run) for run in runs]
    names = dict.fromkeys(field.name for field in fields(Configuration))
    for row in rows:
        names.update(dict.fromkeys(row))
    for name in names:
        column = [row.get(name) for row in rows]
        if any(value is not None for value in column):
            columns[name] = column
    return columns


def axis_named(columns: Mapping[str, Column], name: str) -> str:
    """Return the column that a user means.

    Parameters
    ----------
    columns : mapping of str to list
        Of :func:`configuration_columns`.
    name : str
        A column, or another usual name of one: ``lr`` is ``learning_rate``.

    Raises
    ------
    ValueError
        If there is none.
    """
    known = name if name in columns else field_named(name)
    if known is None or known not in columns:
        raise ValueError(
            f"an axis must be a column of the configuration, got {name!r}; "
            f"these runs have {', '.join(columns) or 'none'}."
        )
    return known


def varied(columns: Mapping[str, Column]) -> list[str]:
    """Return the columns in which runs differ; not seeds and names, which no one compares.

    >>> varied({"lr": [0.1, 0.2, 0.1], "wd": [1, 1, 1], "seed": [1, 2, 3]})
    ['lr']
    """
    return [
        name
        for name, column in columns.items()
        if len({str(value) for value in column}) > 1 and name.lower() not in _LABELS
    ]


def _row(run: Run) -> dict[str, Any]:
    known = run.configuration.known()
    logged = dict(_flat(run.hparams))
    others = {name: value for name, value in logged.items() if not _is_field(name, known)}
    return {**others, **known}


def _is_field(name: str, known: Mapping[str, Any]) -> bool:
    lowered = name.lower().replace("-", "_")
    return lowered in CONFIGURATION_NAMES and field_named(lowered) in known


def _flat(hparams: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in hparams.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}.")
        elif isinstance(value, bool | int | float | str) or value is None:
            yield name, value
        else:
            yield name, str(value)
