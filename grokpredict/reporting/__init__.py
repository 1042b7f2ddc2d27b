"""Results as people read them: text and figures.

Figures need matplotlib, so each name is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from grokpredict._util.lazy import lazily

if TYPE_CHECKING:
    from grokpredict.reporting.audits import audit_text as audit_text
    from grokpredict.reporting.calibrations import calibration_conclusion as calibration_conclusion
    from grokpredict.reporting.calibrations import calibration_text as calibration_text
    from grokpredict.reporting.cards import calibrated_html as calibrated_html
    from grokpredict.reporting.cards import classifier_html as classifier_html
    from grokpredict.reporting.cards import evaluation_html as evaluation_html
    from grokpredict.reporting.cards import run_html as run_html
    from grokpredict.reporting.cards import score_html as score_html
    from grokpredict.reporting.cards import scores_html as scores_html
    from grokpredict.reporting.cards import sweep_html as sweep_html
    from grokpredict.reporting.cards import verdict_html as verdict_html
    from grokpredict.reporting.curves_display import CurvesDisplay as CurvesDisplay
    from grokpredict.reporting.curves_display import plot_curves as plot_curves
    from grokpredict.reporting.diagnoses import diagnosis_text as diagnosis_text
    from grokpredict.reporting.diagnoses import run_diagnosis_text as run_diagnosis_text
    from grokpredict.reporting.diagnosis_panels import diagnosis_figure as diagnosis_figure
    from grokpredict.reporting.diagnosis_panels import run_diagnosis_figure as run_diagnosis_figure
    from grokpredict.reporting.evaluation_display import EvaluationDisplay as EvaluationDisplay
    from grokpredict.reporting.evaluation_display import plot_evaluation as plot_evaluation
    from grokpredict.reporting.evaluations import evaluation_text as evaluation_text
    from grokpredict.reporting.page import report as report
    from grokpredict.reporting.phase_display import PhaseDisplay as PhaseDisplay
    from grokpredict.reporting.phase_display import plot_phase as plot_phase
    from grokpredict.reporting.score_display import ScoreDisplay as ScoreDisplay
    from grokpredict.reporting.score_display import plot_score as plot_score
    from grokpredict.reporting.scores import score_text as score_text
    from grokpredict.reporting.training import training_text as training_text

_HOMES = {
    "CurvesDisplay": "curves_display",
    "EvaluationDisplay": "evaluation_display",
    "PhaseDisplay": "phase_display",
    "ScoreDisplay": "score_display",
    "audit_text": "audits",
    "calibrated_html": "cards",
    "calibration_conclusion": "calibrations",
    "calibration_text": "calibrations",
    "classifier_html": "cards",
    "diagnosis_figure": "diagnosis_panels",
    "diagnosis_text": "diagnoses",
    "evaluation_html": "cards",
    "evaluation_text": "evaluations",
    "plot_curves": "curves_display",
    "plot_evaluation": "evaluation_display",
    "plot_phase": "phase_display",
    "plot_score": "score_display",
    "report": "page",
    "run_diagnosis_figure": "diagnosis_panels",
    "run_diagnosis_text": "diagnoses",
    "run_html": "cards",
    "score_html": "cards",
    "score_text": "scores",
    "scores_html": "cards",
    "sweep_html": "cards",
    "training_text": "training",
    "verdict_html": "cards",
}

__all__ = list(_HOMES)
__getattr__, __dir__ = lazily(__name__, _HOMES)
