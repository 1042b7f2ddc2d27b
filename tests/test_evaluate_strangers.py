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


def test_a_grid_that_is_not_known_is_left_alone(
    strangers: ModuleType, default: GrokClassifier
) -> None:
    for run in strangers.other_grid():
        verdict = score(run, default).verdict
        assert verdict.action == "abstain", run.name
        assert str(run.loss.stride) in verdict.reason


def test_a_run_that_diverges_is_left_alone(strangers: ModuleType, default: GrokClassifier) -> None:
    at_once = [run for run in strangers.diverging() if not np.isfinite(run.loss.values).all()]
    assert len(at_once) == 4
    for run in at_once:
        scored = score(run, default)
        assert {look.action for look in scored.looks} == {"abstain"}, run.name
        assert "not finite" in scored.verdict.reason


def test_a_loss_of_nothing_is_left_alone(strangers: ModuleType, default: GrokClassifier) -> None:
    verdict = score(strangers.constant()[0], default).verdict
    assert verdict.action == "abstain"
    assert "unlike those of the training runs" in verdict.reason


def test_a_configuration_that_is_not_known_is_left_alone(
    strangers: ModuleType, default: GrokClassifier
) -> None:
    # Nobody trains at a rate of a thousand, whatever the sweeps will hold.
    for run in strangers.at_once():
        odd = replace(run, configuration=replace(run.configuration, learning_rate=1e3))
        verdict = score(odd, default).verdict
        assert verdict.action == "abstain", run.name
        assert "configuration is unlike" in verdict.reason
