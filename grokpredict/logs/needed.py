"""Importing a library that only one format needs."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from grokpredict.logs.errors import LogError


def needed(module: str, extra: str) -> Any:
    """Import a module of a library that does not come with grokpredict.

    Parameters
    ----------
    module : str
        Absolute name.
    extra : str
        The extra that brings it.

    Raises
    ------
    LogError
        If it is not installed; the sentence says how to install it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise LogError(
            f"this format needs {package}, which cannot be imported ({error}); install it with "
            f'pip install "grokpredict[{extra}]"'
        ) from error
