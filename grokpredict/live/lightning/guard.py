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
    """Wrap a hook of a callback: an error in it ends the watching, never the training.

    ``KeyboardInterrupt`` and ``SystemExit`` are the user's, and pass.

    The callback's ``_fail`` is given the error. Whatever fails in that is let be: there is nobody
    left to tell.

    Parameters
    ----------
    hook : callable
        A method of the callback.
    otherwise : callable
        Makes what is returned after an error.
    """

    def failed(callback: Any, error: Exception) -> Any:
        # A handler or a filter of the user's log may raise, and there may be no memory.
        with suppress(Exception):
            callback._fail(error)
        return otherwise()

    def safe(self: Any, *args: Any, **options: Any) -> Any:
        try:
            return hook(self, *args, **options)
        except Exception as error:  # a failure of ours must never end a user's run
            return failed(self, error)

    def at_every_batch(
        self: Any, trainer: Any, module: Any, outputs: Any, batch: Any, n: int
    ) -> Any:
        # The same; to pack the arguments and unpack them would take as long as the hook.
        try:
            return hook(self, trainer, module, outputs, batch, n)
        except Exception as error:  # a failure of ours must never end a user's run
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
    except Exception:  # an exception of the user's own
        return type(error).__name__
