"""Standard output and standard error: what may be written there, and when they are full."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

import click

from grokpredict._util.text import printable_lines


def say(text: str) -> None:
    """Print to standard output, with control characters escaped; OSError if it is full."""
    try:
        click.echo(printable_lines(text))
    except BrokenPipeError:
        raise  # whoever read it has had enough, which is no error
    except OSError as error:
        _discard(sys.stdout)
        error.filename = error.filename or "standard output"
        raise


def warn(text: str) -> None:
    """Print to standard error, with control characters escaped.

    A result does not depend on whether a warning could be written.
    """
    try:
        click.echo(printable_lines(text), err=True)
    except OSError:
        _discard(sys.stderr)


def on_terminal() -> bool:
    """Return whether somebody watches standard error, which may be closed."""
    return sys.stderr is not None and sys.stderr.isatty()


class OneLine(click.ClickException):
    """An error that is one line on standard error, if that can be written at all."""

    def show(self, file: Any = None) -> None:
        """Print the line."""
        warn(f"Error: {self.format_message()}")


def one_line(error: Exception) -> str:
    """Return the message of an error as one line, without the number that the system gives it."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        text = error.strerror
        if error.filename is not None:
            text = f"{os.fsdecode(error.filename)}: {text}"
    return " ".join(text.split())


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP, which ends what SIGINT ends: worker processes too."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def terminating() -> Iterator[None]:
    """Raise :class:`Terminated` on SIGTERM and SIGHUP, unless they are handled or ignored.

    By default they would end this process at once and leave its workers behind.
    """
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    ours = threading.current_thread() is threading.main_thread()
    taken = [number for number in numbers if ours and signal.getsignal(number) == signal.SIG_DFL]

    def terminate(number: int, _: Any) -> None:
        raise Terminated(number)

    for number in taken:
        signal.signal(number, terminate)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def _discard(stream: TextIO) -> None:
    """Drop what a full stream still holds: Python would fail on it once more at the end."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
