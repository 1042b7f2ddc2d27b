"""The one place where a failure of ours is kept from the user's training."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar, cast

Hook = TypeVar("Hook", bound=Callable[..., Any])


class FailedEverywhereError(RuntimeError):
    """Raised in all processes alike, so that none waits for another."""


def guarded(hook: Hook, *, otherwise: Callable[[], Any] = lambda: None) -> Hook:
    """Wrap what a framework calls: an error in it ends the watching, never the training.

    ``KeyboardInterrupt`` and ``SystemExit`` are the user's, and pass.

    The object's ``_fail`` is given the error. Whatever fails in that is let be: there is nobody
    left to tell.

    Parameters
    ----------
    hook : callable
        A method of an object with a ``_fail``.
    otherwise : callable
        Makes what is returned after an error: what lets the training go on.
    """

    def failed(owner: Any, error: Exception) -> Any:
        # A handler or a filter of the user's log may raise, and there may be no memory.
        with suppress(Exception):
            owner._fail(error)
        return otherwise()

    def safe(self: Any, *args: Any, **options: Any) -> Any:
        try:
            return hook(self, *args, **options)
        except Exception as error:  # a defect of ours, or the user's code that a hook reads
            return failed(self, error)

    def at_every_batch(
        self: Any, trainer: Any, module: Any, outputs: Any, batch: Any, n: int
    ) -> Any:
        # The same, for the hook that is called most: to pack the arguments and unpack them would
        # take a tenth of what the hook does.
        try:
            return hook(self, trainer, module, outputs, batch, n)
        except Exception as error:  # likewise
            return failed(self, error)

    wrapper = at_every_batch if hook.__name__ == "on_train_batch_end" else safe
    return cast(Hook, functools.wraps(hook)(wrapper))


def described(error: BaseException) -> str:
    """Return the class and the text of an error, whatever its ``__str__`` does.

    >>> described(KeyError("lr"))
    "KeyError: 'lr'"
    """
    try:
        if isinstance(error, FailedEverywhereError):
            return str(error)
        return f"{type(error).__name__}: {error}"
    except Exception:  # ``__str__`` may be the user's code
        return type(error).__name__
