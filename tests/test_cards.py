"""What a cell of a notebook shows: one screen, every name as text."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from report_sweep import HOSTILE, report_sweep

from grokpredict import GrokClassifier, Sweep, evaluate, score_sweep

#: Lines that fit on one screen.
SCREEN = 40


class Reader(HTMLParser):
    """Collects tags and text; fails on a tag that is not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.rows = 0
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open.append(tag)
        self.tags.add(tag)
        self.rows += tag in ("tr", "div")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += f"{data}\n"


def read(shown: object) -> Reader:
    reader = Reader()
    reader.feed(shown._repr_html_())
    reader.close()
    assert reader.open == []
    assert reader.tags <= {"div", "strong", "table", "thead", "tbody", "tr", "th", "td"}
    assert reader.rows <= SCREEN
    return reader


@pytest.fixture(scope="module")
def sweep() -> Sweep:
    return report_sweep()


def test_runs_sweeps_and_verdicts_are_one_screen_of_text(
    sweep: Sweep, classifier: GrokClassifier
) -> None:
    scores = score_sweep(sweep, classifier)
    hostile = sweep.runs[7]
    assert HOSTILE in read(hostile).text
    assert "learning_rate = " in read(hostile).text
    table = sweep.to_pandas()
    shown = read(sweep)
    assert f"Sweep of {len(sweep)} runs" in shown.text
    for name, number in table["outcome"].value_counts().items():
        assert f"{number} {name}" in shown.text
    assert "1 left out" in shown.text
    assert HOSTILE in read(scores[7]).text
    assert scores[7].verdict.reason in read(scores[7]).text
    assert scores[7].verdict.reason in read(scores[7].verdict).text
    aborts = sum(own.verdict.action == "abort" for own in scores)
    assert f"{aborts} abort" in read(scores).text
    assert "6 more" in read(scores).text


def test_an_evaluation_begins_with_its_conclusion(sweep: Sweep, classifier: GrokClassifier) -> None:
    found = evaluate(sweep, classifier)
    text = read(found).text
    assert text.startswith("Stopped ")
    assert all(account.rule in text for account in found.matched[:3])
    assert f"{found.counts.good} good and {found.counts.doomed} doomed runs" in text


def test_a_classifier_shows_what_its_thresholds_rest_on(classifier: GrokClassifier) -> None:
    text = read(classifier).text
    assert "train_loss" in text
    assert "needs 59 good runs" in text


def test_a_sweep_of_many_hyperparameters_is_still_one_screen(sweep: Sweep) -> None:
    from dataclasses import replace

    wide = Sweep(
        [
            replace(run, hparams={f"setting {k}": i * k for k in range(200)})
            for i, run in enumerate(sweep.runs)
        ]
    )
    read(wide)
    read(wide.runs[0])
