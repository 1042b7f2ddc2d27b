"""Finished runs replayed: what would have been lost and saved, beside the rules that people use.

Scoring one run must not load what training needs, so each name is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from grokpredict._util.lazy import lazily

if TYPE_CHECKING:
    from grokpredict.evaluation.auditing import Audit as Audit
    from grokpredict.evaluation.auditing import audit as audit
    from grokpredict.evaluation.comparison import evaluate as evaluate
    from grokpredict.evaluation.result import Evaluation as Evaluation
    from grokpredict.evaluation.scores import Scores as Scores
    from grokpredict.evaluation.scores import score_sweep as score_sweep
    from grokpredict.evaluation.scoring import Score as Score
    from grokpredict.evaluation.scoring import score as score

_HOMES = {
    "Audit": "auditing",
    "Evaluation": "result",
    "Score": "scoring",
    "Scores": "scores",
    "audit": "auditing",
    "evaluate": "comparison",
    "score": "scoring",
    "score_sweep": "scores",
}

__all__ = list(_HOMES)
__getattr__, __dir__ = lazily(__name__, _HOMES)
