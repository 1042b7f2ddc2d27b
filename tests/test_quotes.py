"""The figures on the pages are those that were measured."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
RECORDED = json.loads((ROOT / "benchmarks" / "figures.json").read_text())


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[ModuleType, ModuleType]]:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import check_quotes
    import record_quotes

    yield check_quotes, record_quotes
    for name in ("check_quotes", "record_quotes"):
        del sys.modules[name]


def test_every_quote_is_what_was_recorded(scripts: tuple[ModuleType, ModuleType]) -> None:
    check, _ = scripts
    assert check.complaints(RECORDED) == []
    quotes = [page for page in check.pages() if "<!-- figure: " in page.read_text()]
    assert ROOT / "README.md" in quotes


def test_what_was_recorded_of_the_classifier_is_in_its_file(
    scripts: tuple[ModuleType, ModuleType],
) -> None:
    _, record = scripts
    assert record.classifier() == RECORDED["classifier"]["figures"]


@pytest.mark.parametrize(
    ("page", "complaint", "mended"),
    [
        (
            "It\nlost <!-- figure: a.lost .1%i -->1.4 %<!-- end --> of them.",
            "page.md:2: a.lost is '2.0 % [0.5, 4.1]'",
            "It\nlost <!-- figure: a.lost .1%i -->2.0 % [0.5, 4.1]<!-- end --> of them.",
        ),
        ("lost <!-- figure: a.gone -->1<!-- end -->", "page.md:1: nothing recorded a.gone", None),
        ("<!-- figure: a.runs , -->1 042<!-- end --> runs", "must not begin with a quote", None),
    ],
)
def test_a_quote_that_has_drifted_is_named_and_mended(
    scripts: tuple[ModuleType, ModuleType],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    page: str,
    complaint: str,
    mended: str | None,
) -> None:
    check, _ = scripts
    monkeypatch.setattr(check, "ROOT", tmp_path)
    (tmp_path / "page.md").write_text(page)
    figures: dict[str, Any] = {"runs": 1042, "lost": {"value": 0.02, "low": 0.005, "high": 0.041}}
    text, wrong = check.checked(tmp_path / "page.md", {"a": {"figures": figures}})
    assert len(wrong) == 1
    assert complaint in wrong[0]
    assert text == (mended or page)


def test_figures_of_another_classifier_are_not_quoted(
    scripts: tuple[ModuleType, ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    check, _ = scripts
    monkeypatch.setattr(check, "digest", lambda: "another")
    assert check.complaints(RECORDED) == [
        f"{name} was measured with another built-in classifier; run: "
        f"python benchmarks/record_quotes.py {name}"
        for name in RECORDED
    ]
