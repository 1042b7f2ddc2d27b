"""Scores of runs as text for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from grokpredict._util.text import printable
from grokpredict.model.verdict import read_and_missing
from grokpredict.reporting.rendering import MISSING, page, probability, table

if TYPE_CHECKING:
    from grokpredict.evaluation.scoring import Score
    from grokpredict.model.verdict import Verdict

#: From this many runs on each gets one line.
ONE_LINE_FROM = 6

#: Features that a block of text shows, three in a line; ``--json`` has them all.
SHOWN_FEATURES = 6


def score_text(scores: Sequence[Score]) -> str:
    """Return a block for each run, or a line for each if there are many."""
    if len(scores) < ONE_LINE_FROM:
        return page(map(_block, scores))
    return "\n".join(_lines(scores))


def _block(score: Score) -> Iterator[str]:
    verdict = score.verdict
    yield printable(score.path)
    chance = "" if verdict.probability is None else f", P = {verdict.probability:.3f}"
    yield f"  verdict   {verdict.action}{chance}"
    yield f"  reason    {verdict.reason}"
    if verdict.reads:
        yield f"  channels  {read_and_missing(verdict)}"
    source = f" ({score.budget_source})" if score.budget_source else ""
    yield f"  run       {score.steps} steps recorded, budget {verdict.budget}{source}"
    for note in score.notes:
        yield f"  note      {note}"
    if score.looks:
        shown = score.looks[(len(score.looks) - 1) % 2 :: 2]  # one an octave, with the last
        looks = (f"{look.horizon}: {probability(look.probability)}" for look in shown)
        limit = (
            "never aborts" if verdict.threshold is None else f"aborts below {verdict.threshold:.3f}"
        )
        yield f"  looks     {'  '.join(looks)}   ({limit})"
    if verdict.probability is not None and verdict.action != "abstain":
        yield f"  when      {_when(verdict)}"
    features = list(verdict.features.items())[:SHOWN_FEATURES]
    width = max((len(name) for name, _ in features), default=0)
    for i in range(0, len(features), 3):
        cells = (f"{name:<{width}} {value:>9.4g}" for name, value in features[i : i + 3])
        yield f"  {'features' if i == 0 else '':<8}  {'   '.join(cells)}"


def _when(verdict: Verdict) -> str:
    """Return by when the run generalises with even odds, and when it does if it makes it."""
    even = (
        "Probably not within the range that can be forecast."
        if verdict.even_step is None
        else f"50 % chance by step {verdict.even_step}."
    )
    if verdict.median_step is None:
        return even
    middle = f"{verdict.early_step} to {verdict.late_step}"
    return f"{even} If within the budget: step {verdict.median_step} (middle 50 %: {middle})."


def _lines(scores: Sequence[Score]) -> Iterator[str]:
    titles = ("run", ">steps", ">budget", ">horizon", ">P", "verdict")
    # A note is said once, below, and its number on the line of every run that it is about.
    remarks = [(f"budget: {score.budget_source}", *score.notes) for score in scores]
    numbers = {note: i for i, note in enumerate(dict.fromkeys(chain.from_iterable(remarks)), 1)}
    marks = ["".join(f" [{numbers[note]}]" for note in notes) for notes in remarks]
    lines = table(titles, [_cells(*each) for each in zip(scores, marks, strict=True)])
    yield from (line.removeprefix("  ") for line in lines)
    yield from (f"[{number}] {note}" for note, number in numbers.items())
    actions = Counter(score.verdict.action for score in scores)
    counts = (f"{number} {action}" for action, number in sorted(actions.items()))
    yield f"{len(scores)} runs: {', '.join(counts)}"


def _cells(score: Score, marks: str) -> tuple[object, ...]:
    verdict = score.verdict
    why = f": {verdict.reason}" if verdict.action == "abstain" else ""
    return (
        printable(score.path),
        score.steps,
        verdict.budget,
        verdict.horizon or MISSING,
        probability(verdict.probability),
        f"{verdict.action}{why}{marks}",
    )
