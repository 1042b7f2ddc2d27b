"""What a reader raises."""

from grokpredict._util.errors import GrokpredictError


class LogError(GrokpredictError):
    """A log that cannot be read, with the reason as one sentence."""
