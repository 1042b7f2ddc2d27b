"""Says from the first steps of a training run whether it will grok, and stops the doomed ones.

The public names are imported when they are first used: ``import grokpredict`` costs nothing, and a
script that scores logs never loads torch. ``docs/api.md`` lists them and says what stays stable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from grokpredict._util.lazy import lazily

if TYPE_CHECKING:
    from grokpredict._util.cluster import running_on as running_on
    from grokpredict._util.errors import GrokpredictError as GrokpredictError
    from grokpredict.diagnosis import TrajectoryProbe as TrajectoryProbe
    from grokpredict.diagnosis import diagnose as diagnose
    from grokpredict.evaluation import Audit as Audit
    from grokpredict.evaluation import Evaluation as Evaluation
    from grokpredict.evaluation import Score as Score
    from grokpredict.evaluation import Scores as Scores
    from grokpredict.evaluation import audit as audit
    from grokpredict.evaluation import evaluate as evaluate
    from grokpredict.evaluation import score as score
    from grokpredict.evaluation import score_sweep as score_sweep
    from grokpredict.live import GrokMonitor as GrokMonitor
    from grokpredict.live import SweepLedger as SweepLedger
    from grokpredict.live.lightning import GrokPredictor as GrokPredictor
    from grokpredict.logs import Columns as Columns
    from grokpredict.logs import LogError as LogError
    from grokpredict.logs import read_bundle as read_bundle
    from grokpredict.logs import read_run as read_run
    from grokpredict.logs import read_sweep as read_sweep
    from grokpredict.logs import write_bundle as write_bundle
    from grokpredict.model import ClassifierFileError as ClassifierFileError
    from grokpredict.model import GrokClassifier as GrokClassifier
    from grokpredict.model import Verdict as Verdict
    from grokpredict.model import load_classifier as load_classifier
    from grokpredict.reporting import report as report
    from grokpredict.runs import Configuration as Configuration
    from grokpredict.runs import Curve as Curve
    from grokpredict.runs import LabelRule as LabelRule
    from grokpredict.runs import LeftOut as LeftOut
    from grokpredict.runs import Run as Run
    from grokpredict.runs import Sweep as Sweep
    from grokpredict.runs import UnsuitableRunError as UnsuitableRunError
    from grokpredict.runs import UnsuitableSweepError as UnsuitableSweepError
    from grokpredict.training import Calibrated as Calibrated
    from grokpredict.training import CalibrationReport as CalibrationReport
    from grokpredict.training import TrainingReport as TrainingReport
    from grokpredict.training import calibrate as calibrate
    from grokpredict.training import train as train

_HOMES = {
    "Audit": "evaluation",
    "Calibrated": "training",
    "CalibrationReport": "training",
    "ClassifierFileError": "model",
    "Columns": "logs",
    "Configuration": "runs",
    "Curve": "runs",
    "Evaluation": "evaluation",
    "GrokClassifier": "model",
    "GrokMonitor": "live",
    "GrokPredictor": "live.lightning",
    "GrokpredictError": "_util.errors",
    "LabelRule": "runs",
    "LeftOut": "runs",
    "LogError": "logs",
    "Run": "runs",
    "Score": "evaluation",
    "Scores": "evaluation",
    "Sweep": "runs",
    "SweepLedger": "live",
    "TrainingReport": "training",
    "TrajectoryProbe": "diagnosis",
    "UnsuitableRunError": "runs",
    "UnsuitableSweepError": "runs",
    "Verdict": "model",
    "audit": "evaluation",
    "calibrate": "training",
    "diagnose": "diagnosis",
    "evaluate": "evaluation",
    "load_classifier": "model",
    "read_bundle": "logs",
    "read_run": "logs",
    "read_sweep": "logs",
    "report": "reporting",
    "running_on": "_util.cluster",
    "score": "evaluation",
    "score_sweep": "evaluation",
    "train": "training",
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
