"""Results as people read them: text and figures.

Figures need matplotlib, so each name is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from grokpredict._util.lazy import lazily

if TYPE_CHECKING:
    from grokpredict.reporting.calibrations import calibration_text as calibration_text
    from grokpredict.reporting.calibrations import training_conclusion as training_conclusion
    from grokpredict.reporting.diagnoses import diagnosis_text as diagnosis_text
    from grokpredict.reporting.diagnoses import run_diagnosis_text as run_diagnosis_text
    from grokpredict.reporting.diagnosis_panels import diagnosis_figure as diagnosis_figure
    from grokpredict.reporting.diagnosis_panels import run_diagnosis_figure as run_diagnosis_figure
    from grokpredict.reporting.evaluation_panels import evaluation_figure as evaluation_figure
    from grokpredict.reporting.evaluations import evaluation_text as evaluation_text
    from grokpredict.reporting.score_panels import score_figure as score_figure
    from grokpredict.reporting.scores import score_text as score_text
    from grokpredict.reporting.training import training_text as training_text

_HOMES = {
    "calibration_text": "calibrations",
    "diagnosis_figure": "diagnosis_panels",
    "diagnosis_text": "diagnoses",
    "evaluation_figure": "evaluation_panels",
    "evaluation_text": "evaluations",
    "run_diagnosis_figure": "diagnosis_panels",
    "run_diagnosis_text": "diagnoses",
    "score_figure": "score_panels",
    "score_text": "scores",
    "training_conclusion": "calibrations",
    "training_text": "training",
}

__all__ = list(_HOMES)
__getattr__, __dir__ = lazily(__name__, _HOMES)
