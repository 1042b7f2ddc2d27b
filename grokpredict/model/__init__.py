"""Columns to a probability, and from there to a verdict."""
