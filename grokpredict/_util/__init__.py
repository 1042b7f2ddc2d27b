"""Files, the cache, processes, clusters, the base of all errors: knows nothing of runs."""
