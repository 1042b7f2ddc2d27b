"""Readers of training logs, one module a format."""
