"""Thin adapters of :class:`~grokpredict.monitor.GrokMonitor` to other libraries."""
