"""Standard output, standard error and output files, as several commands use them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from grokpredict._util.text import printable
from grokpredict.cli.streams import say, warn

if TYPE_CHECKING:
    from pathlib import Path

    from grokpredict.runs.sweep import Findings, LeftOut

#: Kinds of figure that are drawn.
FIGURES = (".png", ".svg", ".pdf")


def writable(path: str) -> Path:
    """Return the path; raise before an hour of work if it cannot be written."""
    from pathlib import Path

    from grokpredict._util.atomic import check_replaceable

    target = Path(path)
    check_replaceable(target)
    return target


def drawable(path: str) -> Path:
    """Return the path of a figure; raise if it cannot be drawn or written."""
    target = writable(path)
    if target.suffix.lower() not in FIGURES:
        raise ValueError(f"a figure must be {', '.join(FIGURES)}, got {path}")
    return target


def warn_left_out(left_out: Sequence[LeftOut]) -> None:
    """Print to standard error which runs could not be read, one line for each reason."""
    from grokpredict.logs import by_reason, sentence

    for number, example in by_reason(left_out):
        more = "" if number == 1 else f" (and {number - 1} more like it)"
        warn(f"left out: {printable(sentence(example))}{more}")


def print_notes(findings: Findings) -> None:
    """Print remarks on the runs that were read to standard error."""
    from grokpredict.logs import notes

    for note in notes(findings):
        warn(printable(note))


def print_json(document: Any) -> None:
    """Print one JSON document. A NaN in it is a bug of ours and raises."""
    import json

    say(json.dumps(document, indent=2, allow_nan=False))


def print_csv(columns: Mapping[str, Sequence[Any]]) -> None:
    """Print columns as comma-separated values; what is missing is empty."""
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    say(text.getvalue().removesuffix("\n"))
