"""Tables in which each run has columns of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from grokpredict.logs.columns import KNOWN_NAMES, Columns, normalised, shown
from grokpredict.logs.errors import LogError
from grokpredict.logs.table import Table, constant

#: A name with the number of a run in it: "train_loss/seed 3", "run2_val_acc".
_NUMBERED = re.compile(r"(?P<run>(?:run|seed|trial|rep|fold|model|exp)[ _\-]?\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Part:
    """The rows of one run.

    Attributes
    ----------
    table : Table
    label : str
        What tells it from other runs of the log; empty where it is the only one.
    columns : Columns
        What of the user's columns is still to be taken.
    notes : tuple of str
    """

    table: Table
    label: str
    columns: Columns
    notes: tuple[str, ...] = ()


def wide(table: Table, columns: Columns, name: str) -> Iterator[Part]:
    """Yield the runs of a table in which each run has columns of its own; none for another.

    Raises
    ------
    LogError
        If there is a column a run, and nothing says that it is the training loss.
    """
    header = list(table.columns)
    if columns.loss is not None and columns.loss not in header and "*" in columns.loss:
        yield from _by_pattern(table, columns, name)
        return
    if any(normalised(title) in KNOWN_NAMES["train_loss"] for title in header) or columns.loss:
        return
    groups: dict[str, dict[str, str]] = {}
    for title in header:
        numbered = _NUMBERED.search(title)
        if numbered is not None:
            rest = (title[: numbered.start()] + " " + title[numbered.end() :]).strip(" _-/.:")
            groups.setdefault(numbered["run"], {})[title] = rest
    if len(groups) < 2:
        return
    if not all(
        any(normalised(rest) in KNOWN_NAMES["train_loss"] for rest in titles.values())
        for titles in groups.values()
    ):
        if not any(rest for titles in groups.values() for rest in titles.values()):
            first = next(iter(next(iter(groups.values()))))
            pattern = re.sub(r"\d+", "*", first)
            raise LogError(
                f"a run must have a column with the training loss, {name} has {shown(header)}; if "
                f"each is the training loss of one run, say --loss-column '{pattern}'"
            )
        return
    shared = {
        title: titles for title, titles in table.columns.items() if not _NUMBERED.search(title)
    }
    for run, titles in groups.items():
        cells = {**shared, **{rest: table.columns[title] for title, rest in titles.items()}}
        part = replace(table, columns=cells, constants=constant(cells))
        yield Part(part, run, columns, (f"its columns are those with {run!r} in their names",))


def _by_pattern(table: Table, columns: Columns, name: str) -> Iterator[Part]:
    assert columns.loss is not None
    taken = [title for title in table.columns if fnmatchcase(title, columns.loss)]
    if not taken:
        raise LogError(
            f"there is no column like {columns.loss!r} in {name}, which has "
            f"{shown(list(table.columns))}"
        )
    for title in taken:
        part = table.without([other for other in taken if other != title])
        yield Part(part, title, replace(columns, loss=title))
