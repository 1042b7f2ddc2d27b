"""The threshold keeps its promise, and a verdict says what it decided and why."""

from __future__ import annotations

import numpy as np
import pytest
from planted import hand_made
from scipy.stats import binom

from grokpredict.features.recording import Recording
from grokpredict.model.classifier import GrokClassifier
from grokpredict.model.thresholds import abort_threshold, calibration_runs_needed
from grokpredict.model.verdict import Verdict, _decide, judge
from grokpredict.runs.curve import Curve

T = np.arange(400)
READS = ("train_loss", "val_acc")
LOG = {
    "train_loss": Curve(T, 3 * np.exp(-T / 100) + 0.01 * np.sin(T)),
    "val_acc": Curve(T[::20], np.full(20, 0.5)),
}
ENOUGH = {READS: np.full(59, 0.5)}


def judged(
    classifier: GrokClassifier, budget: int, max_false_abort: float = 0.05, look: int = 2
) -> Verdict:
    row = Recording.of(LOG).columns([look], budget)[0]
    return judge(classifier, row, look, reads=READS, budget=budget, max_false_abort=max_false_abort)


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
        judged(hand_made(), 4000, alpha)


def test_aborts_below_the_threshold_only() -> None:
    classifier = hand_made(ENOUGH)
    doomed = judged(classifier, 900)
    assert doomed.action == "abort"
    assert doomed.probability == pytest.approx(0.1)
    assert doomed.threshold == 0.5
    assert (doomed.horizon, doomed.budget, doomed.reads) == (400, 900, READS)
    assert "10.0 %" in doomed.reason
    assert "50.0 %" in doomed.reason
    good = judged(classifier, 4000)
    assert good.action == "continue"
    assert good.probability == pytest.approx(0.9)
    assert good.features["budget_left"] == pytest.approx(np.log2(10))
    assert np.isfinite(list(good.features.values())).all()
    assert "log_activity" not in good.features  # it is there, and is not read


def test_a_probability_equal_to_the_threshold_goes_on() -> None:
    probability = judged(hand_made(), 900).probability
    assert probability is not None
    assert judged(hand_made({READS: np.full(59, probability)}), 900).action == "continue"


def test_too_few_calibration_runs_never_abort_and_say_so() -> None:
    classifier = hand_made({READS: np.full(58, 0.5)})
    verdict = judged(classifier, 900)
    assert verdict.action == "continue"
    assert verdict.threshold is None
    assert "58" in verdict.reason
    assert "59" in verdict.reason
    # The same calibration runs do for a looser bound.
    assert judged(classifier, 900, 0.1).action == "abort"


def test_an_unlike_run_abstains_even_below_the_threshold() -> None:
    verdict = judged(hand_made(ENOUGH, reach=1e-6), 900)
    assert verdict.action == "abstain"
    assert "unlike" in verdict.reason
    assert verdict.even_step is verdict.median_step is None


def test_a_look_that_comes_too_early_is_skipped() -> None:
    row = Recording.of({"train_loss": LOG["train_loss"]}).columns([0], 900)[0]
    verdict = judge(hand_made(ENOUGH), row, 0, reads=READS, budget=900)
    assert verdict.action == "continue"
    assert verdict.reason == "Too few samples of val_acc by step 200; look skipped."
    assert verdict.probability is None


def test_a_budget_before_the_look_is_refused() -> None:
    with pytest.raises(ValueError, match="budget must lie beyond the look"):
        judged(hand_made(), 400)


@pytest.mark.parametrize(
    ("chance", "threshold", "said"),
    [
        (
            0.0294,
            0.0461,
            "= 2.9 %, below the abort threshold of 4.6 % "
            "(set to lose at most 5 % of good runs like the built-in ones).",
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
        hand_made({READS: np.full(40, 0.5)}),
        unlike=None,
        chance=chance,
        threshold=threshold,
        step=800,
        reads=READS,
        budget=6000,
        max_false_abort=0.05,
    )
    assert reason.startswith("After 800 steps, P(generalises by 6000) ")
    assert said in reason
    assert (action == "abort") == (" below " in reason)
