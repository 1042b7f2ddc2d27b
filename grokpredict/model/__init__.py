"""From the columns of a look to a probability, and from there to a verdict."""

from grokpredict.model.classifier import GrokClassifier, load_classifier
from grokpredict.model.file import ClassifierFileError
from grokpredict.model.verdict import Verdict, judge

__all__ = ["ClassifierFileError", "GrokClassifier", "Verdict", "judge", "load_classifier"]
