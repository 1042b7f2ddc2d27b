"""What several commands do with standard output, standard error and files."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from pathlib import Path

    from grokpredict.runs.sweep import Findings, LeftOut

Item = TypeVar("Item")


def writable(path: str) -> Path:
    """Return the path, or complain before an hour of work that it cannot be written."""
    from pathlib import Path

    target = Path(path)
    if target.is_dir() or not target.parent.is_dir():
        raise ValueError(f"the output must be a file in an existing folder, got {path}")
    return target


def drawable(path: str) -> Path:
    """Return the path of a figure, or complain that it cannot be written or drawn."""
    from importlib.util import find_spec

    if find_spec("matplotlib") is None:
        raise ValueError(
            "--plot needs matplotlib, which is not installed; "
            "install it with pip install 'grokpredict[plot]'"
        )
    return writable(path)


def warn_left_out(left_out: Sequence[LeftOut]) -> None:
    """Say on standard error which runs could not be read, one line a reason."""
    from grokpredict.logs import by_reason, sentence

    for number, example in by_reason(left_out):
        more = "" if number == 1 else f" (and {number - 1} more like it)"
        click.echo(f"left out: {sentence(example)}{more}", err=True)


def say_notes(findings: Findings) -> None:
    """Say on standard error what should be known of the runs that were read."""
    from grokpredict.logs import notes

    for note in notes(findings):
        click.echo(note, err=True)


def print_json(document: Any) -> None:
    """Print one JSON document; NaN is a mistake of ours, not of JSON."""
    import json

    click.echo(json.dumps(document, indent=2, allow_nan=False))


def on_terminal() -> bool:
    """Return whether somebody watches standard error."""
    return sys.stderr.isatty()


def bar(items: Iterable[Item], total: int, what: str) -> Iterable[Item]:
    """Return the items behind a progress bar, if there are several and somebody watches."""
    if total < 2 or not on_terminal():
        return items
    from tqdm import tqdm

    return tqdm(items, total=total, desc=what, file=sys.stderr, leave=False)


class Steps:
    """A progress bar for a library function that calls back with (done, all)."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.bar: Any = None

    def __enter__(self) -> Callable[[int, int], None] | None:
        return self if on_terminal() else None

    def __call__(self, done: int, total: int) -> None:
        """Show how far it is."""
        if self.bar is None:
            from tqdm import tqdm

            self.bar = tqdm(total=total, desc=self.what, file=sys.stderr, leave=False)
        self.bar.total = total
        self.bar.update(done - self.bar.n)

    def __exit__(self, *error: object) -> None:
        if self.bar is not None:
            self.bar.close()
