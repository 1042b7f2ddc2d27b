"""Parquet with one row a step or sparse rows; also W&B's export of a run's history."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from grokpredict._util.opening import unpacked_limit
from grokpredict.logs.cells import Gathered
from grokpredict.logs.columns import Columns
from grokpredict.logs.errors import LogError, refusing
from grokpredict.logs.from_table import sweep_of_table
from grokpredict.logs.hparams import hparams_beside
from grokpredict.logs.needed import needed
from grokpredict.logs.source import opened, too_large
from grokpredict.logs.table import Table, constant
from grokpredict.runs.sweep import Sweep

NAME = "Parquet"

_BYTES_OF_NUMBER = 8

#: Rows that are turned into Python's numbers at a time.
_ROWS = 100_000


def recognises(path: Path) -> bool:
    """Say whether a file in a sweep folder is one of these, by its name."""
    return path.suffix.lower() in (".parquet", ".pq")


def read(path: Path, columns: Columns) -> Sweep:
    """Read the runs of a file. A null is nothing, a NaN is a value."""
    cells = _cells(path)
    table = Table(cells, lambda row: row + 1, constant(cells))
    return sweep_of_table(table, columns, hparams_beside(path), str(path))


def _cells(path: Path) -> dict[str, Sequence[Any]]:
    parquet = needed("pyarrow.parquet", "parquet")
    with refusing(f"{path} cannot be read as Parquet"), opened(path) as raw:
        with parquet.ParquetFile(raw) as file:
            schema = list(file.schema_arrow)
            plain = {field.name: field.type for field in schema if _is_plain(field.type)}
            names = [field.name for field in schema]
            if any(names.count(name) > 1 for name in plain):
                raise LogError(f"a column must be there once, {path} has one twice")
            size = _unpacked(file.metadata, len(plain))
        texts = [name for name, kind in plain.items() if _is_text(kind)]
        limit = unpacked_limit(os.fstat(raw.fileno()).st_size)
        if size > limit:
            raise too_large(path, size, limit)
        raw.seek(0)
        gathered = {name: Gathered() for name in plain}
        # A text that is repeated in every row is kept once.
        with parquet.ParquetFile(raw, read_dictionary=texts) as file:
            for batch in file.iter_batches(_ROWS, columns=list(plain)):
                for name, column in gathered.items():
                    column.add(_values(batch[name]))
    return {name: column.column() for name, column in gathered.items()}


def _unpacked(metadata: Any, n_columns: int) -> int:
    """Return the bytes that the columns take in memory: equal values may take none in the file."""
    groups = map(metadata.row_group, range(metadata.num_row_groups))
    packed = sum(group.total_byte_size for group in groups)
    return max(int(packed), _BYTES_OF_NUMBER * int(metadata.num_rows) * n_columns)


def _values(column: Any) -> Sequence[Any]:
    """Return the values of a part of a column; equal texts are one."""
    types = needed("pyarrow.types", "parquet")
    if not types.is_dictionary(column.type):
        return list(column.to_pylist())
    texts = column.dictionary.to_pylist()
    return [None if i is None else texts[i] for i in column.indices.to_pylist()]


def _is_text(kind: Any) -> bool:
    types = needed("pyarrow.types", "parquet")
    if types.is_dictionary(kind):  # what pandas calls a category
        kind = kind.value_type
    return bool(types.is_string(kind) or types.is_large_string(kind))


def _is_plain(kind: Any) -> bool:
    types = needed("pyarrow.types", "parquet")
    numbers = (types.is_floating, types.is_integer, types.is_boolean)
    return _is_text(kind) or any(is_one(kind) for is_one in numbers)
