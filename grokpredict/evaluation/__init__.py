"""Finished runs replayed: what would have been lost and saved, beside the rules people use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from grokpredict.evaluation.comparison import Evaluation as Evaluation
    from grokpredict.evaluation.comparison import evaluate as evaluate

__all__ = ["Evaluation", "evaluate"]


def __getattr__(name: str) -> Any:
    # Scoring one run must not load what training needs.
    if name in __all__:
        from grokpredict.evaluation import comparison

        return getattr(comparison, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
