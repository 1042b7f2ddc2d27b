"""Results of joblib's workers as they come, where the backend can give them so."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def results(tasks: Iterable[Any], jobs: int, *, ordered: bool = True) -> Iterable[Any]:
    """Do what :func:`joblib.delayed` delayed, in the backend that is active.

    Ray gives results only when all are there.
    """
    from joblib import Parallel
    from joblib.parallel import get_active_backend

    if getattr(get_active_backend()[0], "supports_return_generator", False):
        kind = "generator" if ordered else "generator_unordered"
        found = Parallel(n_jobs=jobs, return_as=kind, pre_dispatch="2*n_jobs")(tasks)
    else:
        found = Parallel(n_jobs=jobs)(tasks)
    return found  # type: ignore[no-any-return]
