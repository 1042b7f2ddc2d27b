"""Names of files and runs, as they may be printed."""

from __future__ import annotations


def printable(name: object) -> str:
    r"""Return a name with everything escaped that a terminal would obey and not show.

    Parameters
    ----------
    name : object
        A path, the name of a run or of a column: text that somebody else chose.

    Returns
    -------
    str
        One line. Control characters, what turns the direction of writing around, and bytes that
        are no text stand as Python would write them.

    Examples
    --------
    >>> print(printable("a\x1b[31m.csv"))
    a\x1b[31m.csv
    >>> print(printable("größe 2\n.csv"))
    größe 2\n.csv
    """
    text = str(name)
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def printable_lines(text: str) -> str:
    """Return a text of several lines, each as :func:`printable` returns it."""
    return "\n".join(map(printable, text.split("\n")))
