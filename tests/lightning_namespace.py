"""The Lightning that the tests drive: ``pytorch_lightning``, or ``lightning.pytorch`` if alone.

``GROKPREDICT_TEST_NAMESPACE`` names the other one where both are installed.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
from typing import Any


def _installed(namespace: str) -> bool:
    return importlib.util.find_spec(namespace.partition(".")[0]) is not None


NAMESPACES = [name for name in ("pytorch_lightning", "lightning.pytorch") if _installed(name)]
NAMESPACE = os.environ.get("GROKPREDICT_TEST_NAMESPACE", NAMESPACES[0])

# What jsonargparse thinks of Lightning's use of it, at import already.
os.environ["JSONARGPARSE_DEPRECATION_WARNINGS"] = "off"

pl: Any = importlib.import_module(NAMESPACE)
for _name in ("callbacks", "cli", "loggers.logger", "strategies", "tuner"):
    importlib.import_module(f"{NAMESPACE}.{_name}")

#: How a checkpoint is to be loaded, where this Lightning can be told.
WEIGHTS_ONLY: dict[str, Any] = (
    {"weights_only": True} if "weights_only" in inspect.signature(pl.Trainer.fit).parameters else {}
)
