"""The step by which a run generalises is where the probability crosses a quantile."""

from __future__ import annotations

import numpy as np
import pytest
from planted import hand_made, read

from grokpredict.model.classifier import GrokClassifier
from grokpredict.model.forecast import QUANTILES, generalisation_steps
from grokpredict.model.verdict import judge
from grokpredict.runs.configuration import Configuration

LOSSES = 3 * np.exp(-np.arange(400) / 100) + 0.01 * np.sin(np.arange(400))


@pytest.mark.parametrize("budget", [500, 1000, 4000])
@pytest.mark.parametrize("told", [False, True])
def test_a_step_in_the_probability_is_found_whatever_the_budget(budget: int, told: bool) -> None:
    # 0.1 or 0.2 up to a budget of 1000 steps, 0.9 or 0.8 above: all quartiles are at the step.
    configuration = Configuration(learning_rate=1e-3) if told else None
    classifier = hand_made()
    looks = classifier.look(
        LOSSES[None], horizon=400, budget=budget, configurations=[configuration]
    )
    assert read(classifier, looks, "configuration") == [told]
    # 33 budgets from 420 to 10^5 steps are 0.074 decades apart.
    np.testing.assert_allclose(
        np.log10(generalisation_steps(hand_made(), looks).within), np.full((1, 3), 3.0), atol=0.08
    )


def test_nothing_is_said_of_steps_beyond_what_was_watched() -> None:
    classifier = hand_made()
    classifier.familiar.budget_high[0] = np.log10(900)
    looks = classifier.look(LOSSES[None], horizon=400, budget=800)
    assert np.isnan(generalisation_steps(classifier, looks).within).all()
    assert judge(classifier, LOSSES, horizon=400, budget=800).even_step is None


def test_a_loss_that_is_not_finite_has_no_step() -> None:
    looks = hand_made().look(np.full((1, 400), np.nan), horizon=400, budget=900)
    steps = generalisation_steps(hand_made(), looks)
    assert np.isnan(steps.within).all()
    assert np.isnan(steps.if_at_all).all()


def test_it_inverts_the_probability_of_a_trained_classifier(classifier: GrokClassifier) -> None:
    rng = np.random.default_rng(0)
    strength = rng.uniform(0, 1, (40, 1))
    t = np.arange(80)
    wave = 1 + 0.3 * strength * np.sin(2 * np.pi * t / 10) + 0.01 * rng.standard_normal((40, 80))
    epochs = (3 * np.exp(-t / 40) + 0.1) * wave
    looks = classifier.look(epochs, horizon=80, budget=200)
    steps = generalisation_steps(classifier, looks).within
    assert np.isfinite(steps).any()
    for row, own in enumerate(steps):
        assert np.all(np.diff(own[np.isfinite(own)]) >= 0)
        for step, quantile in zip(own, QUANTILES, strict=True):
            # Just above and below, by asking the classifier: the grid's spacing is 5 %.
            at = [400] if np.isnan(step) else [max(step / 1.06, 81), step * 1.06]
            chance = [
                classifier.look(epochs[row : row + 1], horizon=80, budget=b).probability[0]
                for b in at
            ]
            if np.isnan(step):
                assert chance[0] < quantile
            else:
                assert chance[0] <= quantile or step < 1.06 * 84
                assert chance[1] >= quantile


def test_if_at_all_the_budget_is_kept(classifier: GrokClassifier) -> None:
    t = np.arange(80)
    epochs = ((3 * np.exp(-t / 40) + 0.1) * (1 + 0.1 * np.sin(2 * np.pi * t / 10)))[None]
    looks = classifier.look(epochs, horizon=80, budget=300)
    early, median, late = generalisation_steps(classifier, looks).if_at_all[0]
    assert 80 < early <= median <= late <= 300 * 1.06
    for step, quantile in ((early, 0.25), (median, 0.5), (late, 0.75)):
        below, above = (
            classifier.look(epochs, horizon=80, budget=max(b, 81)).probability[0]
            for b in (step / 1.06, step * 1.06)
        )
        assert below <= quantile * looks.probability[0] or step < 1.06 * 84
        assert above >= quantile * looks.probability[0]


def test_a_run_that_abstains_has_no_steps() -> None:
    verdict = judge(hand_made(reach=1e-9), LOSSES, horizon=400, budget=4000)
    assert verdict.action == "abstain"
    assert verdict.even_step is verdict.median_step is None


def test_a_verdict_tells_them() -> None:
    verdict = judge(hand_made(), LOSSES, horizon=400, budget=4000)
    # 0.1 up to step 1000 and 0.9 from there: a ninth is early, the rest at the step.
    for step in (verdict.even_step, verdict.early_step, verdict.median_step, verdict.late_step):
        assert isinstance(step, int)
        assert step == pytest.approx(1000, rel=0.2)
    assert verdict.early_step <= verdict.median_step <= verdict.late_step  # type: ignore[operator]
