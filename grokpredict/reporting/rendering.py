"""How text is laid out: numbers, intervals, tallies, tables, pages. All text uses these."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from grokpredict.training.ranking import Interval

#: What stands where there is no number.
MISSING = "-"

#: Sources of budgets that are shown, the most frequent first.
SHOWN_BUDGETS = 4


def probability(value: float | None) -> str:
    """Return three decimals.

    >>> probability(0.24317), probability(None)
    ('0.243', '-')
    """
    return MISSING if value is None else f"{value:.3f}"


def share(value: float | None) -> str:
    """Return a share as a percentage.

    >>> share(0.0137)
    '1.4 %'
    """
    return MISSING if value is None else f"{value:.1%}".replace("%", " %")


def percent(value: float | None) -> str:
    """Return a share as a percentage that a sentence can take: two digits where it is small.

    >>> percent(0.8132), percent(0.0137), percent(0.0), percent(None)
    ('81 %', '1.4 %', '0 %', 'an unknown share')
    """
    if value is None:
        return "an unknown share"
    return f"{100 * value:.{0 if value == 0 or value >= 0.0995 else 1}f} %"


def round_percent(value: float) -> str:
    """Return a share that somebody chose, with no more digits than it needs.

    >>> round_percent(0.05), round_percent(0.025)
    ('5 %', '2.5 %')
    """
    return f"{100 * value:.4g} %"


def with_interval(interval: Interval, sign: str = "") -> str:
    """Return a value with its interval, or alone where there is none.

    >>> from grokpredict.training.ranking import Interval
    >>> with_interval(Interval(0.715, 0.68, 0.75)), with_interval(Interval(0.071, 0.05, 0.1), "+")
    ('0.715 [0.68, 0.75]', '+0.071 [+0.05, +0.10]')
    """
    if interval.value is None:
        return MISSING
    text = f"{interval.value:{sign}.3f}"
    if interval.low is None or interval.high is None:
        return text
    return f"{text} [{interval.low:{sign}.2f}, {interval.high:{sign}.2f}]"


def percent_with_interval(interval: Interval) -> str:
    """Return a share and its interval as percentages, without the sign.

    >>> from grokpredict.training.ranking import Interval
    >>> percent_with_interval(Interval(0.014, 0.004, 0.034))
    '1.4 [0.4, 3.4]'
    """
    if interval.value is None or interval.low is None or interval.high is None:
        return MISSING
    return f"{100 * interval.value:.1f} [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def tally(rows: Iterable[tuple[int, str]]) -> Iterator[str]:
    """Yield a line for each number that is not zero.

    >>> list(tally([(3, "used"), (0, "diverged")]))
    ['       3  used']
    """
    return (f"{number:>8}  {text}" for number, text in rows if number)


def budgets(numbers: Mapping[str, int]) -> Iterator[str]:
    """Yield where the budgets of runs come from, the most frequent source first.

    >>> list(budgets({"max_steps of its configuration": 2}))
    ['Budget of 2 runs: max_steps of its configuration']
    """
    ordered = sorted(numbers.items(), key=lambda item: -item[1])
    for source, number in ordered[:SHOWN_BUDGETS]:
        yield f"Budget of {number} run{'' if number == 1 else 's'}: {source}"
    rest = len(ordered) - SHOWN_BUDGETS
    if rest > 0:
        yield f"and {rest} more budgets; --json lists them"


def configurations(runs: int, number: int, networks: int = 0) -> str:
    """Say how many configurations, and networks where these are known, runs have.

    >>> configurations(119, 48)
    'The 119 runs that are used have 48 configurations.'
    >>> configurations(119, 119)
    'Each of the 119 runs that are used counts as a configuration of its own.'
    """
    if runs == number and not networks:
        return f"Each of the {runs} runs that are used counts as a configuration of its own."
    known = f" and {networks} networks" if networks else ""
    return f"The {runs} runs that are used have {number} configurations{known}."


def table(titles: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    r"""Yield the lines of a table, two blanks before each column.

    Parameters
    ----------
    titles : sequence of str
        One a column. A column whose title begins with ``>`` is aligned to the right.
    rows : sequence of sequence
        Cells. Empty ones at the end of a line leave no blanks behind.

    >>> print("\n".join(table(["model", ">runs"], [["loss", 12], ["all", 7]])))
      model  runs
      loss     12
      all       7
    """
    right = [title.startswith(">") for title in titles]
    cells = [[title.removeprefix(">") for title in titles], *([str(c) for c in r] for r in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        aligned = (
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        )
        yield "".join(f"  {cell}" for cell in aligned).rstrip()


def page(parts: Iterable[Iterable[str]]) -> str:
    """Return parts with an empty line between them; those without a line are left out."""
    return "\n\n".join("\n".join(lines) for lines in map(list, parts) if lines)
