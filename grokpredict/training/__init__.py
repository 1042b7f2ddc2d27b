"""From finished runs to a classifier and a report on how far to trust it."""

from grokpredict.training.calibration import calibrate
from grokpredict.training.calibration_report import Calibrated, CalibrationReport
from grokpredict.training.pipeline import train
from grokpredict.training.report import TrainingReport

__all__ = ["Calibrated", "CalibrationReport", "TrainingReport", "calibrate", "train"]
