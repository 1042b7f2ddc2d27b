"""The ``run-ID.wandb`` file that W&B keeps on the disk of every run, online and offline.

W&B has no reader of its own for it (its ``Api`` asks a server). The records are W&B's protocol
buffers, which come from the ``wandb`` package; around them lies the log format of LevelDB
(https://github.com/google/leveldb/blob/main/doc/log_format.md) with a plain CRC-32.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from grokpredict.logs.columns import Columns
from grokpredict.logs.errors import LogError, refusing
from grokpredict.logs.from_table import sweep_of_table
from grokpredict.logs.hparams import hparams_beside, unnested
from grokpredict.logs.needed import needed
from grokpredict.logs.source import opened
from grokpredict.logs.table import Table, constant
from grokpredict.runs.sweep import Sweep

NAME = "W&B run file"

MAGIC = b":W&B"

_BLOCK = 32768
_FILE_HEADER = struct.Struct("<4sHB")  # the magic bytes, 0xBEE1, version 0
_HEADER = struct.Struct("<IHB")  # checksum, length, kind
_FULL, _FIRST, _MIDDLE, _LAST = range(1, 5)


def recognises(path: Path) -> bool:
    """Say whether a file in a sweep folder is one of these, by its name."""
    return path.suffix == ".wandb"


def read(path: Path, columns: Columns) -> Sweep:
    """Read the one run of a file, up to where it breaks off.

    Its columns are what was given to ``wandb.log``. ``_step`` counts the calls of it and is taken
    for the optimiser step only if nothing else counts those. The configuration is W&B's.
    """
    schema = needed("wandb.proto.wandb_internal_pb2", "wandb")
    hparams: dict[str, Any] = {}
    rows: list[dict[str, Any]] = []
    with refusing(f"{path} holds a record that W&B cannot decode"):
        for data in _records(_content(path), path):
            record = schema.Record.FromString(data)
            kind = record.WhichOneof("record_type")
            if kind == "history":
                rows.append(_values(record.history.item))
            elif kind == "run":
                hparams.update(_values(record.run.config.update))
            elif kind == "config":
                hparams.update(_values(record.config.update))
    header = dict.fromkeys(key for row in rows for key in row)
    cells = {key: [row.get(key) for row in rows] for key in header}
    table = Table(cells, lambda row: row + 1, constant(cells))
    hparams.pop("_wandb", None)
    configuration = {**unnested(hparams), **hparams_beside(path)}
    return sweep_of_table(table, columns, configuration, str(path))


def _values(items: Iterable[Any]) -> dict[str, Any]:
    values = {}
    for item in items:
        parts = {field.name: value for field, value in item.ListFields()}
        key = parts.pop("key", "") or ".".join(parts.pop("nested_key", ()))
        # A value is one JSON text; newer schemas have a field for each kind as well.
        for kind, value in parts.items():
            values[key] = json.loads(value) if kind in ("value_json", "json") else value
    return values


def _content(path: Path) -> bytes:
    with opened(path) as file:
        begin = file.read(_FILE_HEADER.size)
        if len(begin) < _FILE_HEADER.size or _FILE_HEADER.unpack(begin)[0] != MAGIC:
            raise LogError(f"a .wandb file must begin with {MAGIC.decode()}, {path} does not")
        return begin + file.read()


def _records(data: bytes, path: Path) -> Iterator[bytes]:
    position = _FILE_HEADER.size
    parts: list[bytes] = []
    while True:
        if _BLOCK - position % _BLOCK < _HEADER.size:
            position += _BLOCK - position % _BLOCK  # the rest of a block is padding
        if position + _HEADER.size > len(data):
            return
        checksum, length, kind = _HEADER.unpack_from(data, position)
        body = data[position + _HEADER.size : position + _HEADER.size + length]
        if len(body) < length:
            return  # the run was killed while it was written
        if zlib.crc32(body, zlib.crc32(bytes([kind]))) != checksum:
            raise LogError(f"{path} is damaged at byte {position}")
        position += _HEADER.size + length
        if kind in (_FULL, _FIRST):
            parts = []
        parts.append(body)
        if kind in (_FULL, _LAST):
            yield b"".join(parts)
