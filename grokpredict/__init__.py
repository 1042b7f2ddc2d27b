"""Says from the first steps of a training run whether it will grok, and stops the doomed ones.

The public names are imported when they are first used: ``import grokpredict`` costs nothing, and a
script that scores logs never loads torch. ``docs/api.md`` lists them and says what stays stable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from grokpredict._util.lazy import lazily

if TYPE_CHECKING:
    from grokpredict.evaluation.scoring import Score as Score
    from grokpredict.evaluation.scoring import score_run as score_run
    from grokpredict.live.lightning import GrokPredictor as GrokPredictor
    from grokpredict.live.monitor import GrokMonitor as GrokMonitor
    from grokpredict.logs import Columns as Columns
    from grokpredict.logs import LogError as LogError
    from grokpredict.logs import read_bundle as read_bundle
    from grokpredict.logs import read_run as read_run
    from grokpredict.logs import read_sweep as read_sweep
    from grokpredict.logs import write_bundle as write_bundle
    from grokpredict.model.classifier import GrokClassifier as GrokClassifier
    from grokpredict.model.classifier import load_classifier as load_classifier
    from grokpredict.model.file import ClassifierFileError as ClassifierFileError
    from grokpredict.model.verdict import Verdict as Verdict
    from grokpredict.runs.configuration import Configuration as Configuration
    from grokpredict.runs.curve import Curve as Curve
    from grokpredict.runs.curve import UnsuitableRunError as UnsuitableRunError
    from grokpredict.runs.labels import LabelRule as LabelRule
    from grokpredict.runs.run import Run as Run
    from grokpredict.runs.sweep import LeftOut as LeftOut
    from grokpredict.runs.sweep import Sweep as Sweep
    from grokpredict.training.trainer import train as train

_HOMES = {
    "ClassifierFileError": "model.file",
    "Columns": "logs",
    "Configuration": "runs.configuration",
    "Curve": "runs.curve",
    "GrokClassifier": "model.classifier",
    "GrokMonitor": "live.monitor",
    "GrokPredictor": "live.lightning",
    "LabelRule": "runs.labels",
    "LeftOut": "runs.sweep",
    "LogError": "logs",
    "Run": "runs.run",
    "Score": "evaluation.scoring",
    "Sweep": "runs.sweep",
    "UnsuitableRunError": "runs.curve",
    "Verdict": "model.verdict",
    "load_classifier": "model.classifier",
    "read_bundle": "logs",
    "read_run": "logs",
    "read_sweep": "logs",
    "score_run": "evaluation.scoring",
    "train": "training.trainer",
    "write_bundle": "logs",
}

__all__ = list(_HOMES)
_get, _names = lazily(__name__, _HOMES)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("grokpredict")
    return _get(name)


def __dir__() -> list[str]:
    return [*_names(), "__version__"]
