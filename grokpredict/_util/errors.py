"""The base of what grokpredict raises."""


class GrokpredictError(ValueError):
    """Bad input, with one sentence as its message: the rule, the value and the remedy.

    Everything that grokpredict raises on purpose under a name of its own derives from this. It is a
    ``ValueError``, which is also what a wrong argument raises.
    """
