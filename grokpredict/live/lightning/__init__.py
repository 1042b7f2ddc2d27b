"""The Lightning callback: a thin adapter of :class:`~grokpredict.live.monitor.GrokMonitor`.

Works in ``pytorch_lightning`` and in ``lightning.pytorch``, which refuse each other's callbacks.
"""

from grokpredict.live.lightning.predictor import GrokPredictor
from grokpredict.live.lightning.stopping import StoppingReason

__all__ = ["GrokPredictor", "StoppingReason"]
