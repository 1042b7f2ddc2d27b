"""Says from the first steps of a training run whether it will grok, and stops the doomed ones.

The public names are imported when they are first used, so that ``import grokpredict`` costs
nothing and a script that scores logs never loads torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from grokpredict.archive import ClassifierFileError as ClassifierFileError
    from grokpredict.callback import GrokPredictor as GrokPredictor
    from grokpredict.classifier import GrokClassifier as GrokClassifier
    from grokpredict.classifier import load_classifier as load_classifier
    from grokpredict.curves import Context as Context
    from grokpredict.curves import Curve as Curve
    from grokpredict.curves import LeftOut as LeftOut
    from grokpredict.curves import Run as Run
    from grokpredict.curves import Sweep as Sweep
    from grokpredict.curves import UnsuitableRunError as UnsuitableRunError
    from grokpredict.decision import Verdict as Verdict
    from grokpredict.labels import LabelRule as LabelRule
    from grokpredict.logs import Columns as Columns
    from grokpredict.logs import LogError as LogError
    from grokpredict.logs import read_bundle as read_bundle
    from grokpredict.logs import read_run as read_run
    from grokpredict.logs import read_sweep as read_sweep
    from grokpredict.logs import write_bundle as write_bundle
    from grokpredict.monitor import GrokMonitor as GrokMonitor
    from grokpredict.scoring import Score as Score
    from grokpredict.scoring import score_run as score_run
    from grokpredict.training import train as train

_HOME = {
    "ClassifierFileError": "archive",
    "Columns": "logs",
    "Context": "curves",
    "Curve": "curves",
    "GrokClassifier": "classifier",
    "GrokMonitor": "monitor",
    "GrokPredictor": "callback",
    "LabelRule": "labels",
    "LeftOut": "curves",
    "LogError": "logs",
    "Run": "curves",
    "Score": "scoring",
    "Sweep": "curves",
    "UnsuitableRunError": "curves",
    "Verdict": "decision",
    "load_classifier": "classifier",
    "read_bundle": "logs",
    "read_run": "logs",
    "read_sweep": "logs",
    "score_run": "scoring",
    "train": "training",
    "write_bundle": "logs",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("grokpredict")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME, "__version__"])
