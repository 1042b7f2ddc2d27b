"""Progress of functions that take long: told to whoever asks, or shown as a bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Called with how much is done and how much there is to do.
Progress = Callable[[int, int], None]


@contextmanager
def showing(progress: Progress | bool | None, title: str) -> Iterator[Progress]:
    """Give a function that takes the progress.

    Parameters
    ----------
    progress : callable, bool or None
        A callable is given back. True shows a bar, in a notebook that of a notebook; False and
        None show nothing.
    title : str
        Beside the bar.
    """
    if callable(progress):
        yield progress
        return
    if not progress:
        yield lambda done, total: None
        return
    from tqdm.auto import tqdm

    with tqdm(desc=title, leave=False) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show
