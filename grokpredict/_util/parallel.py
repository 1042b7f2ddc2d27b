"""Work that joblib spreads over processes: results as they come, and no say for the workers."""

from __future__ import annotations

import signal
import threading
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any


def results(tasks: Iterable[Any], jobs: int, *, ordered: bool = True) -> Iterator[Any]:
    """Do what :func:`joblib.delayed` delayed, in the backend that is active.

    Ray gives results only when all are there. Workers on this machine never see the SIGINT that a
    terminal sends to all processes of a command: the command is what ends them.
    """
    from joblib import Parallel
    from joblib.parallel import BACKENDS, get_active_backend

    backend = get_active_backend()[0]
    if not getattr(backend, "supports_return_generator", False):
        yield from Parallel(n_jobs=jobs)(tasks)
        return
    if isinstance(backend, BACKENDS["loky"]) and jobs != 1:
        _start_workers(jobs)
    kind = "generator" if ordered else "generator_unordered"
    found = Parallel(n_jobs=jobs, return_as=kind, pre_dispatch="2*n_jobs")(tasks)
    try:
        # Around a generator: whoever closes this closes what it yields from, and joblib would warn.
        yield from (result for result in found)
    finally:
        with warnings.catch_warnings():
            # Whoever stops in the middle knows that there are results that nobody takes.
            warnings.simplefilter("ignore")
            found.close()


def _start_workers(jobs: int) -> None:
    """Start the workers that the next call of joblib will use, deaf to SIGINT.

    They inherit the signals that are blocked here, and so do those that joblib's own thread starts
    later. An initializer would come too late: a worker imports NumPy before it runs one.
    """
    from joblib import Parallel, delayed

    with _without_interrupts():
        Parallel(n_jobs=jobs)([delayed(int)()])


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Let SIGINT wait, and have it blocked in the processes that are started meanwhile."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    from multiprocessing import resource_tracker

    from joblib.externals.loky.backend import resource_tracker as loky_tracker

    came: list[int] = []
    # A thread in which it is not blocked may take it, and Python would raise it in this one.
    before = signal.getsignal(signal.SIGINT)
    ours = threading.current_thread() is threading.main_thread() and before is not None
    if ours:
        signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        # Both are started with the first worker otherwise, and unblock SIGINT afterwards.
        resource_tracker.ensure_running()
        loky_tracker.ensure_running()
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    finally:
        if ours:
            signal.signal(signal.SIGINT, before)
    if came:
        signal.raise_signal(signal.SIGINT)
