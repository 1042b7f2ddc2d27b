"""What a reader raises."""

from collections.abc import Iterator
from contextlib import contextmanager

from grokpredict._util.errors import GrokpredictError


class LogError(GrokpredictError):
    """A log that cannot be read, with the reason as one sentence."""


@contextmanager
def refusing(sentence: str) -> Iterator[None]:
    """Make a LogError, which begins with a sentence, of whatever a library raises in a log.

    NumPy, zipfile, the decompressors, Arrow, protobuf and TensorBoard raise kinds of their own on
    damaged files. They neither list them nor derive them from one class, so that any other tuple
    of exceptions would leave some out.
    """
    try:
        yield
    except LogError:
        raise
    except Exception as error:
        raise LogError(f"{sentence}: {error}") from error
