"""What a reader raises."""


class LogError(ValueError):
    """A log that cannot be read, with the reason as one sentence."""
