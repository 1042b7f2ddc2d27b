"""Lightning's two namespaces: ``pytorch_lightning`` and ``lightning.pytorch``."""

from __future__ import annotations

import importlib
import importlib.metadata
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

#: Malicious releases of Lightning, which must not even be imported.
MALICIOUS = ("2.6.2", "2.6.3")


@contextmanager
def _messages_stay() -> Iterator[None]:
    """Keep the logger of the Lightning that was imported before, if one was.

    Both namespaces share a module through which they log, and the one that is imported last takes
    it over: a user who had silenced the first would hear the second.
    """
    if not {"pytorch_lightning", "lightning.pytorch"} & sys.modules.keys():
        yield
        return
    shared = importlib.import_module("lightning_utilities.core.rank_zero")
    kept = {name: getattr(shared, name) for name in ("log", "rank_zero_deprecation_category")}
    try:
        yield
    finally:
        for name, value in kept.items():
            setattr(shared, name, value)


def callback_bases() -> tuple[type, ...]:
    """Return the ``Callback`` class of each Lightning namespace that is installed.

    Each trainer tests for its own; importing the second namespace costs 0.1 s.
    """
    found: list[type] = []
    for distribution, module in (
        ("pytorch-lightning", "pytorch_lightning"),
        ("lightning", "lightning.pytorch"),
    ):
        try:
            if importlib.metadata.version(distribution) in MALICIOUS:
                continue
            with _messages_stay():
                found.append(importlib.import_module(module).Callback)
        except ImportError:
            continue
    if not found:
        raise ModuleNotFoundError(
            "GrokPredictor needs Lightning: pip install pytorch-lightning (or lightning)"
        )
    return tuple(found)


def logger_beside(trainer: Any) -> logging.Logger:
    """Return a child of the logger of the trainer's Lightning: it shows what that shows.

    Lightning gives its own logger a level, and a handler where the user has set up none.
    """
    for kind in type(trainer).__mro__:
        namespace = kind.__module__.partition(".trainer")[0]
        if namespace in ("pytorch_lightning", "lightning.pytorch"):
            return logging.getLogger(f"{namespace}.grokpredict")
    return logging.getLogger("grokpredict")
