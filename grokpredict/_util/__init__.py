"""Atomic files, the cache, processes and clusters: knows nothing of runs."""
