"""The threshold keeps its promise, and a verdict says what it decided and why."""

from __future__ import annotations

import numpy as np
import pytest
from planted import hand_made
from scipy.stats import binom

from grokpredict.model.thresholds import abort_threshold, calibration_runs_needed
from grokpredict.model.verdict import _decide, judge
from grokpredict.runs.configuration import Configuration
from grokpredict.runs.curve import UnsuitableRunError

LOSSES = 3 * np.exp(-np.arange(400) / 100) + 0.01 * np.sin(np.arange(400))
ENOUGH = {(False, 1): np.full(59, 0.5), (True, 1): np.full(59, 0.15)}


@pytest.mark.parametrize(("n", "alpha"), [(59, 0.05), (100, 0.1), (300, 0.05), (40, 0.2)])
def test_share_lost_exceeds_the_bound_as_rarely_as_the_binomial_says(n: int, alpha: float) -> None:
    # Scores are uniform, so that the share of new runs below a threshold is the threshold.
    rng = np.random.default_rng(n)
    draws = 4000
    thresholds = np.array([abort_threshold(rng.random(n), alpha) for _ in range(draws)])
    exceeded = np.mean(thresholds > alpha)
    # The largest k for which P(Bin(n, alpha) < k) stays below five per cent.
    k = max(k for k in range(1, n + 1) if binom.cdf(k - 1, n, alpha) <= 0.05)
    exact = binom.cdf(k - 1, n, alpha)
    assert exceeded == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / draws))
    assert exceeded < 0.065
    assert thresholds.mean() == pytest.approx(k / (n + 1), abs=0.01)


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.1, 0.3])
def test_fewest_runs_needed_are_the_fewest_with_a_threshold(alpha: float) -> None:
    need = calibration_runs_needed(alpha)
    assert abort_threshold(np.zeros(need), alpha) == 0.0
    assert abort_threshold(np.zeros(need - 1), alpha) is None


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, float("nan")])
def test_impossible_bounds_are_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match="must be a share between 0 and 1"):
        abort_threshold(np.zeros(100), alpha)
    with pytest.raises(ValueError, match="must be a share between 0 and 1"):
        judge(hand_made(), LOSSES, horizon=400, budget=4000, max_false_abort=alpha)


def test_aborts_below_the_threshold_only() -> None:
    classifier = hand_made(scores=ENOUGH)
    doomed = judge(classifier, LOSSES, horizon=400, budget=900)
    assert doomed.action == "abort"
    assert doomed.probability == pytest.approx(0.1)
    assert doomed.threshold == 0.5
    assert (doomed.horizon, doomed.budget) == (400, 900)
    assert "10.0 %" in doomed.reason
    assert "50.0 %" in doomed.reason
    good = judge(classifier, LOSSES, horizon=400, budget=4000)
    assert good.action == "continue"
    assert good.probability == pytest.approx(0.9)
    assert good.features["log10_horizon"] == pytest.approx(np.log10(400))
    assert np.isfinite(list(good.features.values())).all()


def test_a_probability_equal_to_the_threshold_goes_on() -> None:
    probability = judge(hand_made(), LOSSES, horizon=400, budget=900).probability
    assert probability is not None
    classifier = hand_made(scores={(False, 1): np.full(59, probability)})
    assert judge(classifier, LOSSES, horizon=400, budget=900).action == "continue"


def test_known_configuration_uses_its_own_probability_and_threshold() -> None:
    configuration = Configuration(learning_rate=1e-3, weight_decay=1.0)
    verdict = judge(
        hand_made(scores=ENOUGH), LOSSES, horizon=400, configuration=configuration, budget=900
    )
    assert verdict.probability == pytest.approx(0.2)
    assert verdict.threshold == 0.15
    assert verdict.action == "continue"


def test_too_few_calibration_runs_never_abort_and_say_so() -> None:
    classifier = hand_made(scores={(False, 1): np.full(58, 0.5)})
    verdict = judge(classifier, LOSSES, horizon=400, budget=900)
    assert verdict.action == "continue"
    assert verdict.threshold is None
    assert "58" in verdict.reason
    assert "59" in verdict.reason
    # The same calibration runs do for a looser bound.
    assert judge(classifier, LOSSES, horizon=400, budget=900, max_false_abort=0.1).action == "abort"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_loss_that_is_not_finite_abstains(bad: float) -> None:
    losses = LOSSES.copy()
    losses[17] = bad
    verdict = judge(hand_made(scores=ENOUGH), losses, horizon=400, budget=900)
    assert verdict.action == "abstain"
    assert verdict.probability is None
    assert "not finite" in verdict.reason


def test_a_stranger_abstains_even_below_the_threshold() -> None:
    verdict = judge(hand_made(scores=ENOUGH, reach=1e-6), LOSSES, horizon=400, budget=900)
    assert verdict.action == "abstain"
    assert "unlike" in verdict.reason


def test_refusals_name_what_would_do() -> None:
    classifier = hand_made()
    with pytest.raises(UnsuitableRunError, match="every 1, 10 steps, not every 7"):
        judge(classifier, LOSSES, horizon=400, stride=7, budget=4000)
    with pytest.raises(UnsuitableRunError, match="looks after 200, 400 steps, not 300"):
        judge(classifier, LOSSES[:300], horizon=300, budget=4000)
    with pytest.raises(ValueError, match="shape"):
        judge(classifier, LOSSES[:300], horizon=400, budget=4000)
    with pytest.raises(ValueError, match="budget must lie beyond the horizon of 400, got 400"):
        judge(classifier, LOSSES, horizon=400, budget=400)


@pytest.mark.parametrize(
    ("chance", "threshold", "said"),
    [
        (
            0.0294,
            0.0461,
            "= 2.9 %, below the abort threshold of 4.6 % (set to lose at most 5 % of good runs).",
        ),
        (0.086, 0.0461, "= 8.6 %; the abort threshold is 4.6 %."),
        (0.04608, 0.0461, "= 4.608 %, below the abort threshold of 4.610 % (set"),
        (0.0461, 0.0461, "= 4.6 %; the abort threshold is 4.6 %."),
        (
            0.0294,
            None,
            "= 2.9 %. Never aborts at max_false_abort 0.05: 40 of the 59 good runs",
        ),
    ],
)
def test_the_reason_shows_on_which_side_of_the_threshold_the_probability_is(
    chance: float, threshold: float | None, said: str
) -> None:
    action, reason = _decide(
        chance,
        threshold,
        stranger=None,
        look="After 800 steps, P(generalises by 6000)",
        max_false_abort=0.05,
        n_calibration=40,
    )
    assert reason.startswith("After 800 steps, P(generalises by 6000) ")
    assert said in reason
    assert (action == "abort") == (" below " in reason)
