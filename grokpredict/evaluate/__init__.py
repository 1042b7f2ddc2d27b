"""Replaying finished runs: what would have been lost and saved, beside the rules people use."""

from grokpredict.evaluate.evaluation import Evaluation, evaluate

__all__ = ["Evaluation", "evaluate"]
