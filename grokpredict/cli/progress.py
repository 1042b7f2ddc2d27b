"""Progress of a command on standard error: a bar on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar

from grokpredict._util.progress import Progress, showing
from grokpredict.cli.streams import on_terminal, warn

Item = TypeVar("Item")

#: Seconds from one line to the next.
EVERY = 30.0


def shown(title: str) -> AbstractContextManager[Progress]:
    """Give a function that takes how much is done and how much there is to do."""
    return showing(True, title) if on_terminal() else _lines(title)


def counted(items: Iterable[Item], total: int, title: str) -> Iterable[Item]:
    """Return the items and show how many were taken, if there are several."""
    return items if total < 2 else _counted(items, total, title)


def _counted(items: Iterable[Item], total: int, title: str) -> Iterator[Item]:
    with shown(title) as show:
        for done, item in enumerate(items):
            show(done, total)
            yield item


@contextmanager
def _lines(title: str) -> Iterator[Progress]:
    """Print a line every half minute, whether or not there is news: a log shows it is alive."""
    latest = (0, 0)
    began = time.monotonic()
    ended = threading.Event()

    def show(done: int, total: int) -> None:
        nonlocal latest
        latest = done, total

    def report() -> None:
        while not ended.wait(EVERY):
            done, total = latest
            parts = f"{done} of {total} done" if total else "started"
            warn(f"{title}: {parts}, {time.monotonic() - began:.0f} s")

    reporter = threading.Thread(target=report, daemon=True)
    reporter.start()
    try:
        yield show
    finally:
        ended.set()
        # Its line comes before the result, unless nobody reads standard error.
        reporter.join(timeout=1)
