"""Runs to named columns: signal, shape, metrics, configuration."""
