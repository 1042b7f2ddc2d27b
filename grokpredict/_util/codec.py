"""Dataclasses and arrays as JSON and bytes, from which nothing but the expected type is built.

Pickle would do, but reading one runs what its author wants. Here the caller names the type, and
of what a file says only plain values and numbers are taken.
"""

from __future__ import annotations

import json
import math
import re
import struct
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

_LENGTH = struct.Struct("<Q")
_PLAIN = (bool, int, float, str, type(None))

#: Types of arrays that are kept: ``<f8``, ``|b1``.
_NUMBERS = re.compile(r"[<>|][biuf]\d{1,2}")

#: What :func:`decoded` raises. An entry may be cut short, of another shape, or nested too deep.
DAMAGED = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    OverflowError,
    RecursionError,
    struct.error,
)


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
    arrays: Arrays = []
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
    One of :data:`DAMAGED`
        If it is damaged, or another label's or type's, or the type cannot be built from it.
    """
    (length,) = _LENGTH.unpack_from(data)
    document = json.loads(data[_LENGTH.size : _LENGTH.size + length])
    if (document["label"], document["kind"]) != (label, str(kind)):
        raise ValueError("the entry is another's")
    arrays = []
    position = _LENGTH.size + length
    for name, shape in document["arrays"]:
        if not _NUMBERS.fullmatch(name) or any(n < 0 for n in shape):
            raise ValueError(f"an array must hold numbers, got {name}")
        dtype = np.dtype(name)
        count = math.prod(shape)
        arrays.append(np.frombuffer(data, dtype, count, position).reshape(shape).copy())
        position += count * dtype.itemsize
    if position != len(data):
        raise ValueError("the entry has another length than it says")
    return _decode(document["value"], kind, arrays)


Arrays = list[np.ndarray[Any, Any]]


@dataclass(frozen=True)
class _Form:
    """How values of some types are kept.

    Attributes
    ----------
    fits : callable
        Whether a type is one of them.
    encode : callable
        Given a value, its type, and the arrays so far, to which it adds.
    decode : callable
        Given what ``encode`` returned, the type and all arrays.
    """

    fits: Callable[[Any], bool]
    encode: Callable[[Any, Any, Arrays], Any]
    decode: Callable[[Any, Any, Arrays], Any]


def _encode(value: Any, kind: Any, arrays: Arrays) -> Any:
    kind = _required(kind, missing=value is None)
    return _form(kind).encode(value, kind, arrays)


def _decode(tree: Any, kind: Any, arrays: Arrays) -> Any:
    kind = _required(kind, missing=tree is None)
    return _form(kind).decode(tree, kind, arrays)


def _form(kind: Any) -> _Form:
    for form in _FORMS:
        if form.fits(kind):
            return form
    raise TypeError(f"there is no way to keep {kind}")


def _keep_array(value: Any, kind: Any, arrays: Arrays) -> int:
    arrays.append(value)
    return len(arrays) - 1


def _fields(value: Any, kind: Any, arrays: Arrays) -> dict[str, Any]:
    return {
        name: _encode(getattr(value, name), hint, arrays) for name, hint in _hints(kind).items()
    }


def _built(tree: Any, kind: Any, arrays: Arrays) -> Any:
    return kind(**{name: _decode(tree[name], hint, arrays) for name, hint in _hints(kind).items()})


def _items(value: Any, kind: Any, arrays: Arrays) -> list[Any]:
    return [_encode(item, hint, arrays) for item, hint in _with_hints(value, kind)]


def _tuple(tree: Any, kind: Any, arrays: Arrays) -> tuple[Any, ...]:
    return tuple(_decode(item, hint, arrays) for item, hint in _with_hints(tree, kind))


def _with_hints(items: Any, kind: Any) -> Iterable[tuple[Any, Any]]:
    """Return each item of a tuple, list or sequence with its type."""
    inner = get_args(kind)
    if get_origin(kind) is tuple and Ellipsis not in inner:
        return zip(items, inner, strict=True)
    return ((item, inner[0]) for item in items)


def _pairs(value: Any, kind: Any, arrays: Arrays) -> list[list[Any]]:
    of_key, of_item = get_args(kind)
    return [
        [_encode(key, of_key, arrays), _encode(item, of_item, arrays)]
        for key, item in value.items()
    ]


def _mapping(tree: Any, kind: Any, arrays: Arrays) -> dict[Any, Any]:
    of_key, of_item = get_args(kind)
    return {_decode(key, of_key, arrays): _decode(item, of_item, arrays) for key, item in tree}


def _plain(value: Any, kind: Any, arrays: Arrays) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    return dict(value) if isinstance(value, Mapping) else value


def _is_plain(kind: Any) -> bool:
    return kind is Any or kind in _PLAIN or get_origin(kind) in (Mapping, Literal)


#: The first that fits is taken.
_FORMS = (
    _Form(
        lambda kind: get_origin(kind) is np.ndarray,
        _keep_array,
        lambda tree, kind, arrays: arrays[tree],
    ),
    _Form(lambda kind: isinstance(kind, type) and is_dataclass(kind), _fields, _built),
    _Form(lambda kind: get_origin(kind) in (tuple, list, Sequence), _items, _tuple),
    _Form(
        lambda kind: get_origin(kind) is Mapping and get_args(kind)[1] is not Any,
        _pairs,
        _mapping,
    ),
    _Form(
        lambda kind: kind is bytes,
        lambda value, kind, arrays: value.hex(),
        lambda tree, kind, arrays: bytes.fromhex(tree),
    ),
    _Form(
        lambda kind: kind is Path,
        lambda value, kind, arrays: str(value),
        lambda tree, kind, arrays: Path(tree),
    ),
    _Form(_is_plain, _plain, lambda tree, kind, arrays: tree),
)


def _required(kind: Any, *, missing: bool) -> Any:
    """Return the type without its None, or None's type if the value is missing."""
    if get_origin(kind) in (Union, types.UnionType):
        inner = [option for option in get_args(kind) if option is not type(None)]
        return type(None) if missing else inner[0]
    return kind


@lru_cache
def _hints(kind: Any) -> Mapping[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}
