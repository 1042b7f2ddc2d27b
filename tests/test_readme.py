"""The Python of the pages compiles and imports public names; that of the README runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from lightning_namespace import NAMESPACES

import grokpredict

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"

#: A network for the README's Trainer, and what a user does next.
BEFORE = """
from demo import ModularAddition

class Model(ModularAddition):
    def validation_step(self, batch, batch_idx):
        super().validation_step(batch, batch_idx)
        self.log("val_loss", self.training_step(batch, batch_idx))

model = Model(train_fraction=0.4, weight_decay=0.0)
"""
AFTER = "print(predictor.summary())"


def blocks(page: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)


def snippets() -> list[Any]:
    return [
        pytest.param(block, id=f"{page.relative_to(ROOT)}-{number}")
        for page in (README, *sorted((ROOT / "docs").rglob("*.md")))
        for number, block in enumerate(blocks(page))
    ]


@pytest.mark.parametrize("block", snippets())
def test_the_snippets_import_public_names(block: str) -> None:
    compile(block, "page", "exec")
    for names in re.findall(r"from grokpredict import (.+)", block):
        assert {name.strip() for name in names.split(",")} <= set(grokpredict.__all__)


@pytest.mark.skipif("pytorch_lightning" not in NAMESPACES, reason="the README imports it")
def test_the_first_block_runs_and_looks(tmp_path: Path) -> None:
    block = blocks(README)[0]
    assert "max_steps=10_000" in block
    program = "\n".join([BEFORE, block.replace("max_steps=10_000", "max_steps=250"), AFTER])
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PATH": "", "PYTHONPATH": f"{ROOT}:{ROOT / 'examples'}", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr
    assert "step 200: " in done.stdout
