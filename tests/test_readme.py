"""The README shows what the commands print."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import grokpredict
from grokpredict.model.classifier import load_classifier
from grokpredict.reporting import training_text
from grokpredict.runs.sweep import Findings
from grokpredict.training.ranking import Interval
from grokpredict.training.report import Account, Counts, LookFigures, TrainingReport

README = (Path(__file__).parents[1] / "README.md").read_text()


def figures(values: dict[str, Any]) -> LookFigures:
    intervals = {
        name: Interval(**values[name]) for name in ("auroc", "configuration_auroc", "lead")
    }
    return LookFigures(**{**values, **intervals})


def test_the_training_output_is_that_of_the_built_in_classifier() -> None:
    """Its file keeps the report, so that nothing has to be trained again."""
    classifier = load_classifier("default")
    card = classifier.card["report"]
    report = TrainingReport(
        counts=Counts(**card["counts"]),
        figures=tuple(map(figures, card["figures"])),
        accounts=tuple(Account(**account) for account in card["accounts"]),
        kinds_left_out=card["kinds_left_out"],
        usual_reads=tuple(card["usual_reads"]),
        calibration=card["calibration"],
    )
    printed = training_text(classifier, report, (), Findings(), 0.05).splitlines()
    blocks = re.findall(r"(?:^(?: {4}.*)?\n)+", README, re.M)
    shown = [block for block in blocks if "runs found" in block or "AUROC on" in block]
    lines = [line.removeprefix("    ") for block in shown for line in block.splitlines()]
    lines = [line for line in lines if line not in ("", "...")]
    assert len(lines) > 30
    assert [line for line in lines if line not in printed] == []


@pytest.mark.parametrize("block", re.findall(r"```python\n(.*?)```", README, re.DOTALL))
def test_the_snippets_import_public_names(block: str) -> None:
    compile(block, "README.md", "exec")
    for names in re.findall(r"from grokpredict import (.+)", block):
        assert {name.strip() for name in names.split(",")} <= set(grokpredict.__all__)
