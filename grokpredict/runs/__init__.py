"""What a run is (its curves and its configuration), and when it generalised."""

from grokpredict.runs.configuration import Configuration
from grokpredict.runs.curve import Curve, UnsuitableRunError
from grokpredict.runs.labels import LabelRule
from grokpredict.runs.run import Run, window
from grokpredict.runs.sweep import Findings, LeftOut, Sweep, UnsuitableSweepError

__all__ = [
    "Configuration",
    "Curve",
    "Findings",
    "LabelRule",
    "LeftOut",
    "Run",
    "Sweep",
    "UnsuitableRunError",
    "UnsuitableSweepError",
    "window",
]
