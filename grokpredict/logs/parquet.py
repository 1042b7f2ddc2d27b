"""Parquet with one row a step or sparse rows; also W&B's export of a run's history."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from grokpredict.logs.assembly import sweep_of_table
from grokpredict.logs.columns import Columns
from grokpredict.logs.errors import LogError
from grokpredict.logs.hparams import hparams_beside
from grokpredict.logs.needed import needed
from grokpredict.logs.table import Table, constant
from grokpredict.runs.sweep import Sweep

NAME = "Parquet"


def recognises(path: Path) -> bool:
    """Say whether a file in a sweep folder is one of these, by its name."""
    return path.suffix.lower() in (".parquet", ".pq")


def read(path: Path, columns: Columns) -> Sweep:
    """Read the one run of a file. A null is nothing, a NaN is a value."""
    parquet = needed("pyarrow.parquet", "parquet")
    try:
        with parquet.ParquetFile(path) as file:
            schema = list(file.schema_arrow)
            plain = list(dict.fromkeys(own.name for own in schema if _is_plain(own.type)))
            names = [own.name for own in schema]
            if any(names.count(name) > 1 for name in plain):
                raise LogError(f"a column must be there once, {path} has one twice")
            rows = file.read(columns=plain)
    except LogError:
        raise
    # Arrow has its own kinds of error, which are not all of one family.
    except Exception as error:
        raise LogError(f"{path} cannot be read as Parquet: {error}") from error
    cells: dict[str, list[Any]] = {name: rows[name].to_pylist() for name in plain}
    table = Table(cells, lambda row: row + 1, constant(cells))
    return sweep_of_table(table, columns, hparams_beside(path), str(path))


def _is_plain(kind: Any) -> bool:
    types = needed("pyarrow.types", "parquet")
    return any(
        is_one(kind)
        for is_one in (
            types.is_floating,
            types.is_integer,
            types.is_boolean,
            types.is_string,
            types.is_large_string,
        )
    )
