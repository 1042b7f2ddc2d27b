"""Shells complete commands, options and values, and wait for nothing heavy."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-X", "importtime", str(Path(sys.executable).with_name("grokpredict"))]


def answer(shell: str, words: str, number: int) -> tuple[list[str], set[str]]:
    """What the shell is told to offer for the last word, and what was imported for it."""
    asked = {"COMP_WORDS": words, "COMP_CWORD": str(number)}
    if shell == "fish":
        asked["COMP_CWORD"] = words.rsplit(" ", maxsplit=1)[-1]
    env = {**os.environ, **asked, "_GROKPREDICT_COMPLETE": f"{shell}_complete"}
    done = subprocess.run(COMMAND, env=env, capture_output=True, text=True, check=False)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    return done.stdout.split(), imported


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize(
    ("words", "number", "expected"),
    [
        ("grokpredict tra", 1, "train-classifier"),
        ("grokpredict sweep --dev", 2, "--device"),
        ("grokpredict train-classifier --backend d", 3, "dask"),
    ],
)
def test_completion(shell: str, words: str, number: int, expected: str) -> None:
    offered, imported = answer(shell, words, number)
    assert any(expected in each.split(",") for each in offered)
    assert "click.shell_completion" in imported
    assert not imported & {"numpy", "scipy", "sklearn", "mne", "torch", "joblib", "yaml", "json"}


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_there_is_a_script_for_the_shell(shell: str) -> None:
    env = {**os.environ, "_GROKPREDICT_COMPLETE": f"{shell}_source"}
    done = subprocess.run(COMMAND, env=env, capture_output=True, text=True, check=False)
    assert f"_GROKPREDICT_COMPLETE={shell}_complete" in done.stdout
