"""The Lightning callback: a thin adapter of :class:`~grokpredict.monitor.GrokMonitor`.

Works in ``pytorch_lightning`` and in ``lightning.pytorch``, which refuse each other's callbacks.
"""

from grokpredict.callback.predictor import GrokPredictor
from grokpredict.callback.stopping import StoppingReason

__all__ = ["GrokPredictor", "StoppingReason"]
