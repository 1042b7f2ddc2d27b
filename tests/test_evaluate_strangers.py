"""Strange runs are left alone: those of the benchmark, by the classifier that comes along."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from grokpredict.evaluation.scoring import score
from grokpredict.model.classifier import GrokClassifier, load_classifier

BENCHMARK = Path(__file__).parents[1] / "benchmarks/bench_strangers.py"


@pytest.fixture(scope="module")
def strangers() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_strangers", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def default() -> GrokClassifier:
    return load_classifier("default")


def test_any_grid_is_looked_at(strangers: ModuleType, default: GrokClassifier) -> None:
    for run in strangers.other_grid():
        assert score(run, default).looks[-1].probability is not None, run.name


def test_a_run_that_diverges_is_left_alone(strangers: ModuleType, default: GrokClassifier) -> None:
    at_once = [run for run in strangers.diverging() if not np.isfinite(run.loss.values).all()]
    assert len(at_once) == 4
    for run in at_once:
        scored = score(run, default)
        assert "abort" not in {look.action for look in scored.looks}, run.name


def test_the_loss_alone_stops_nothing_and_says_so(
    strangers: ModuleType, default: GrokClassifier
) -> None:
    for run in strangers.at_once():
        verdict = score(replace(run, channels={"train_loss": run.loss}), default).verdict
        assert verdict.action != "abort", run.name
        assert verdict.threshold is None
