"""Attributes read without running anybody's code."""

from __future__ import annotations

import inspect
from types import MemberDescriptorType
from typing import Any


def plain(owner: Any, name: str, default: Any = None) -> Any:
    """Return what ``owner`` holds under ``name``; a property or ``__getattr__`` is not called.

    A property of the user's may draw random numbers, log, or wait for a device: a training in
    which it is called once more is another training.

    Parameters
    ----------
    owner : object
        Anything: an optimiser, a loader, a data set, a module.
    name : str
        Of the attribute.
    default : object
        What is returned where there is no such attribute, or only code that would compute it.

    Examples
    --------
    >>> class Loader:
    ...     batch_size = 8
    ...     dataset = property(lambda self: 1 / 0)
    >>> plain(Loader(), "batch_size"), plain(Loader(), "dataset")
    (8, None)
    """
    try:
        value = inspect.getattr_static(owner, name)
    except AttributeError:
        return default
    if isinstance(value, MemberDescriptorType):  # a slot holds a value
        try:
            return value.__get__(owner)
        except AttributeError:
            return default
    return default if hasattr(type(value), "__get__") else value


def number(value: Any) -> float | None:
    """Return a Python or NumPy number, or a tensor of torch's own, as a float; else None."""
    if isinstance(value, bool):
        return None
    home = type(value).__module__.partition(".")[0]
    if isinstance(value, (int, float)) or home in ("numpy", "torch"):
        try:
            return float(value)
        except (TypeError, ValueError, RuntimeError):
            return None
    return None
