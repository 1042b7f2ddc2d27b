"""Sweeps to a classifier."""
