"""The step by which a run generalises is where the probability crosses a quantile."""

from __future__ import annotations

import numpy as np
import pytest
from planted import TURN, hand_made, planted_sweep

from grokpredict.features.columns import BUDGET_COLUMN, COLUMNS
from grokpredict.features.profile import LOOKS
from grokpredict.features.recording import Recording
from grokpredict.model.classifier import GrokClassifier
from grokpredict.model.forecast import QUANTILES, Steps, generalisation_steps
from grokpredict.model.verdict import judge
from grokpredict.runs.curve import FloatArray
from grokpredict.training.pipeline import train

LOOK = 2  # at step 400
STEP = int(LOOKS[LOOK])
BUDGET = COLUMNS.index(BUDGET_COLUMN)


def rows(budget: float, n_runs: int = 1) -> FloatArray:
    runs = planted_sweep(n_runs, seed=8).runs
    return np.concatenate([Recording.of(run.channels).columns([LOOK], budget) for run in runs])


def forecast(classifier: GrokClassifier, x: FloatArray) -> Steps:
    return generalisation_steps(classifier, classifier.look(x), np.full(len(x), STEP))


@pytest.fixture(scope="module")
def trained() -> GrokClassifier:
    return train(planted_sweep(90, seed=3))[0]


@pytest.mark.parametrize("budget", [500, 1600, 6000])
def test_a_step_in_the_probability_is_found_whatever_the_budget(budget: int) -> None:
    # 0.1 up to a budget of 1600 steps, 0.9 above: all quartiles are at the step.
    classifier = hand_made(reach=5.0)
    # 33 budgets over five octaves are 0.15 octaves apart.
    found = forecast(classifier, rows(budget)).within
    np.testing.assert_allclose(np.log2(found / STEP), np.full((1, 3), TURN), atol=0.16)


def test_nothing_is_said_of_steps_beyond_what_was_watched() -> None:
    classifier = hand_made(reach=1.5)  # octaves: less than the turn
    assert np.isnan(forecast(classifier, rows(800)).within).all()
    verdict = judge(hand_made(reach=1.5), rows(800)[0], LOOK, reads=("train_loss",), budget=800)
    assert verdict.even_step is None


def test_it_inverts_the_probability_of_a_trained_classifier(trained: GrokClassifier) -> None:
    x = rows(2000, 40)
    steps = forecast(trained, x).within
    assert np.isfinite(steps).any()
    octaves = float(trained.high[BUDGET])
    apart = 1.02 * 2 ** (octaves / 32)

    def chance(row: FloatArray, budget: float) -> float:
        asked = row[None].copy()
        asked[:, BUDGET] = np.log2(max(budget / STEP, 1.001))
        return float(trained.look(asked).probability[0])

    for row, of_run in zip(x, steps, strict=True):
        assert np.all(np.diff(of_run[np.isfinite(of_run)]) >= 0)
        for step, quantile in zip(of_run, QUANTILES, strict=True):
            if np.isnan(step):
                assert chance(row, STEP * 2**octaves) < quantile
            else:
                assert chance(row, step / apart) <= quantile or step < apart * 1.05 * STEP
                assert chance(row, step * apart) >= quantile


def test_if_at_all_the_budget_is_kept(trained: GrokClassifier) -> None:
    for early, median, late in forecast(trained, rows(2000, 20)).if_at_all:
        assert STEP < early <= median <= late <= 2000 * 1.2


def test_a_verdict_says_when() -> None:
    verdict = judge(hand_made(reach=5.0), rows(6000)[0], LOOK, reads=("train_loss",), budget=6000)
    # 0.1 up to step 1600 and 0.9 from there: a ninth is early, the rest at the step.
    for step in (verdict.even_step, verdict.early_step, verdict.median_step, verdict.late_step):
        assert isinstance(step, int)
        assert step == pytest.approx(1600, rel=0.2)
    assert verdict.early_step <= verdict.median_step <= verdict.late_step  # type: ignore[operator]  # they are numbers, asserted above
