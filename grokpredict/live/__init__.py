"""One run as it trains: the monitor, and one adapter for each training framework.

``GrokPredictor`` is in :mod:`grokpredict.live.lightning`, since it needs Lightning.
"""

from grokpredict.live.ledger import SweepLedger
from grokpredict.live.monitor import GrokMonitor

__all__ = ["GrokMonitor", "SweepLedger"]
