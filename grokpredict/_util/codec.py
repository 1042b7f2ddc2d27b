"""Dataclasses and arrays as JSON and bytes, from which nothing but the expected type is built.

Pickle would do, but reading one runs what its author wants. Here the caller names the type, and
of what a file says only plain values and numbers are taken.
"""

from __future__ import annotations

import dataclasses
import json
import math
import struct
import types
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

_LENGTH = struct.Struct("<Q")
_PLAIN = (bool, int, float, str, type(None))


def encoded(value: Any, kind: Any, label: str) -> bytes:
    """Return a value as bytes.

    Parameters
    ----------
    value : object
        Of the type ``kind``: a dataclass, or tuple, sequence or mapping of such, whose fields
        are plain values, arrays of numbers, or such again.
    kind : type
        With the types of its items, such as ``tuple[A, B]``.
    label : str
        What it is the value of; see :func:`decoded`.
    """
    arrays: list[np.ndarray[Any, Any]] = []
    tree = _encode(value, kind, arrays)
    shapes = [[array.dtype.str, list(array.shape)] for array in arrays]
    document = {"label": label, "kind": str(kind), "value": tree, "arrays": shapes}
    header = json.dumps(document, separators=(",", ":")).encode()
    data = [np.ascontiguousarray(array).tobytes() for array in arrays]
    return b"".join([_LENGTH.pack(len(header)), header, *data])


def decoded(data: bytes, kind: Any, label: str) -> Any:
    """Return the value of which :func:`encoded` made ``data``.

    Raises
    ------
    ValueError
        If it is damaged, or another label's or type's.
    Exception
        What building the type from it raises.
    """
    (length,) = _LENGTH.unpack_from(data)
    document = json.loads(data[_LENGTH.size : _LENGTH.size + length])
    if (document["label"], document["kind"]) != (label, str(kind)):
        raise ValueError("the entry is another's")
    arrays = []
    position = _LENGTH.size + length
    for name, shape in document["arrays"]:
        dtype = np.dtype(name)
        if dtype.kind not in "biuf" or any(n < 0 for n in shape):
            raise ValueError(f"an array must hold numbers, got {name}")
        count = math.prod(shape)
        arrays.append(np.frombuffer(data, dtype, count, position).reshape(shape).copy())
        position += count * dtype.itemsize
    if position != len(data):
        raise ValueError("the entry has another length than it says")
    return _decode(document["value"], kind, arrays)


def _encode(value: Any, kind: Any, arrays: list[np.ndarray[Any, Any]]) -> Any:  # noqa: PLR0911 - one for each kind of value
    kind = _required(kind, missing=value is None)
    if isinstance(value, np.ndarray):
        arrays.append(value)
        return len(arrays) - 1
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        hints = _hints(kind)
        return {name: _encode(getattr(value, name), hint, arrays) for name, hint in hints.items()}
    origin, inner = get_origin(kind), get_args(kind)
    if origin is tuple and Ellipsis not in inner:
        return [_encode(item, own, arrays) for item, own in zip(value, inner, strict=True)]
    if origin in (tuple, list, Sequence):
        return [_encode(item, inner[0], arrays) for item in value]
    if origin is Mapping and inner[1] is not Any:
        return [
            [_encode(key, inner[0], arrays), _encode(item, inner[1], arrays)]
            for key, item in value.items()
        ]
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, np.generic):
        return value.item()
    return dict(value) if isinstance(value, Mapping) else value


def _decode(tree: Any, kind: Any, arrays: Sequence[np.ndarray[Any, Any]]) -> Any:  # noqa: PLR0911 - one for each kind of value
    kind = _required(kind, missing=tree is None)
    if get_origin(kind) is np.ndarray:
        return arrays[tree]
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        hints = _hints(kind)
        return kind(**{name: _decode(tree[name], hint, arrays) for name, hint in hints.items()})
    origin, inner = get_origin(kind), get_args(kind)
    if origin is tuple and Ellipsis not in inner:
        return tuple(_decode(item, own, arrays) for item, own in zip(tree, inner, strict=True))
    if origin in (tuple, list, Sequence):
        return tuple(_decode(item, inner[0], arrays) for item in tree)
    if origin is Mapping and inner[1] is not Any:
        return {
            _decode(key, inner[0], arrays): _decode(item, inner[1], arrays) for key, item in tree
        }
    if kind is bytes:
        return bytes.fromhex(tree)
    if kind is Path:
        return Path(tree)
    if kind in (Any, type(None)) or origin in (Mapping, Literal) or kind in _PLAIN:
        return tree
    raise TypeError(f"there is no way to build {kind}")


def _required(kind: Any, *, missing: bool) -> Any:
    """Return the type without its None, or None's type if the value is missing."""
    if get_origin(kind) in (Union, types.UnionType):
        return (
            type(None) if missing else next(own for own in get_args(kind) if own is not type(None))
        )
    return kind


@lru_cache
def _hints(kind: Any) -> Mapping[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}
