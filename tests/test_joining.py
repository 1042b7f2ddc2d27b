"""The joined threshold: its ranks, its bound whatever is built in, and what it takes from where."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta

from grokpredict.model.calibration import Calibration
from grokpredict.model.joining import (
    RISK,
    guarantee,
    joined_threshold,
    posterior_threshold,
    promise,
)
from grokpredict.model.thresholds import (
    abort_threshold,
    calibration_runs_needed,
    expected_threshold,
    runs_needed_in_expectation,
)

BOUND = 0.05

#: How a promise names each guarantee.
WORDS = {
    "built-in": "built-in",
    "expectation": "in expectation",
    "confidence": "with 95 % confidence",
}

#: Kinds of task that agree that 0.9 loses one good run of fifty.
CARELESS = (np.r_[0.0, np.linspace(0.9, 1, 49)],) * 6


@pytest.mark.parametrize(
    ("n", "bound", "rank"),
    [(18, 0.05, 0), (19, 0.05, 1), (38, 0.05, 1), (39, 0.05, 2), (99, 0.29, 29), (9, 0.1, 1)],
)
def test_the_rank_in_expectation(n: int, bound: float, rank: int) -> None:
    scores = np.random.default_rng(0).permutation(np.arange(1.0, n + 1))
    assert expected_threshold(scores, bound) == (rank or None)


@pytest.mark.parametrize(("bound", "expected", "confident"), [(0.05, 19, 59), (0.1, 9, 29)])
def test_the_fewest_runs_of_each_guarantee(bound: float, expected: int, confident: int) -> None:
    assert runs_needed_in_expectation(bound) == expected
    assert calibration_runs_needed(bound) == confident
    for n, which in (
        (0, "built-in"),
        (expected - 1, "built-in"),
        (expected, "expectation"),
        (confident - 1, "expectation"),
        (confident, "confidence"),
    ):
        assert guarantee(n, bound, "confidence") == which
        assert WORDS[which] in promise(n, bound, "confidence")
        # Unless it is asked for, the rank of 95 % confidence is never taken.
        usual = "expectation" if which == "confidence" else which
        assert guarantee(n, bound) == usual
        assert WORDS[usual] in promise(n, bound)


def lost(n: int, rule: str, draws: int = 1000) -> float:
    """The mean share that is lost of good runs with uniform scores, of which n are known."""
    rng = np.random.default_rng(1)
    shares = []
    for scores in np.sort(rng.random((draws, n)), axis=1):
        limit = {
            "joined": lambda own=scores: joined_threshold(0.95, CARELESS, own, BOUND),
            "posterior": lambda own=scores: posterior_threshold(CARELESS, own, BOUND),
            "twice": lambda own=scores: expected_threshold(own, 2 * BOUND),
        }[rule]()
        shares.append(limit or 0.0)
    return float(np.mean(shares))


@pytest.mark.parametrize(("n", "mean"), [(19, 0.05), (31, 0.03125), (45, 0.0435), (70, 0.0423)])
def test_the_bound_holds_whatever_is_built_in(n: int, mean: float) -> None:
    share = lost(n, "joined")
    assert share <= BOUND + 0.003  # two standard errors of 1000 draws
    assert share == pytest.approx(mean, abs=0.003)


def test_it_would_not_without_the_runs_own_threshold_or_at_twice_the_bound() -> None:
    assert lost(19, "posterior") > 2 * BOUND
    assert lost(31, "twice") > BOUND + 0.02


def test_many_good_runs_set_the_threshold_alone() -> None:
    scores = np.sort(np.random.default_rng(2).random(130))
    for built_in in (None, 0.0, 1.0):
        expected = joined_threshold(built_in, CARELESS, scores, BOUND)
        confident = joined_threshold(built_in, CARELESS, scores, BOUND, "confidence")
        assert expected == expected_threshold(scores, BOUND) == scores[5]
        assert confident == abort_threshold(scores, BOUND) == scores[2]


def test_confidence_takes_what_there_is_until_the_runs_are_enough_for_it() -> None:
    scores = np.sort(np.random.default_rng(3).random(59))
    for n in (5, 18, 19, 58):
        some = scores[:n]
        assert joined_threshold(0.5, CARELESS, some, BOUND, "confidence") == joined_threshold(
            0.5, CARELESS, some, BOUND
        )
    assert joined_threshold(0.5, CARELESS, scores, BOUND, "confidence") == scores[0]
    assert joined_threshold(0.5, CARELESS, scores, BOUND) == scores[2]


def test_few_good_runs_only_lower_it() -> None:
    scores = np.array([0.2, 0.4, 0.6])
    assert joined_threshold(0.1, (), scores, BOUND) == 0.1
    assert joined_threshold(0.3, (), scores, BOUND) == 0.2
    assert joined_threshold(0.1, CARELESS, scores, BOUND) == 0.2
    assert joined_threshold(0.3, CARELESS, scores[:0], BOUND) == 0.3


def test_without_anything_built_in_the_user_needs_enough() -> None:
    scores = np.linspace(0.1, 0.9, 19)
    assert joined_threshold(None, (), scores[:18], BOUND) is None
    assert joined_threshold(None, (), scores, BOUND) == 0.1


def by_hand(kinds: list[np.ndarray], scores: np.ndarray, bound: float) -> float:
    """The same threshold by the distribution of scipy.stats, one limit after the other."""
    found = 0.0
    for limit in sorted({*np.concatenate(kinds).tolist(), *scores.tolist()}):
        lost = np.array([np.mean(kind < limit) for kind in kinds])
        mean = lost.mean()
        noise = mean * (1 - mean) * np.mean([1 / kind.size for kind in kinds])
        spread = max(lost.var(ddof=1) - noise, 1e-6)
        runs = min(max(mean * (1 - mean) / spread - 1, 0.5), 200)
        k = int(np.sum(scores < limit))
        over = beta.sf(bound, runs * mean + k + 1e-9, runs * (1 - mean) + scores.size - k + 1e-9)
        if over > RISK:
            break
        found = limit
    return found


@pytest.mark.parametrize("n", [0, 3, 12, 40])
def test_the_posterior_is_that_of_a_beta_distribution(n: int) -> None:
    rng = np.random.default_rng(n)
    kinds = [np.sort(rng.beta(2, size, 60)) for size in (2, 3, 4, 6, 8, 9)]
    scores = np.sort(rng.beta(2, 5, n))
    found = posterior_threshold(kinds, scores, BOUND)
    assert found == by_hand(kinds, scores, BOUND)
    assert found is not None
    assert 0 < found < 0.2


def test_kinds_that_are_few_or_small_tell_nothing_of_how_tasks_differ() -> None:
    kinds = [np.linspace(0.1, 1, 60)] * 4 + [np.linspace(0.1, 1, 4)] * 4
    assert posterior_threshold(kinds, np.empty(0), BOUND) is None


def test_good_runs_that_score_low_lower_the_posterior() -> None:
    kinds = [np.linspace(low, 1, 100) for low in (0.05, 0.1, 0.15, 0.2, 0.25)]
    limits = [posterior_threshold(kinds, np.full(10, score), BOUND) for score in (0.9, 0.12, 0.01)]
    assert limits[0] > limits[1] > limits[2]


def test_a_calibration_without_a_user_is_as_it_was() -> None:
    independent = np.linspace(0.1, 1, 100)
    kinds = tuple(np.linspace(low, 1, 40) for low in (0.05, 0.2, 0.3, 0.4, 0.5))
    calibration = Calibration(independent, kinds)
    assert calibration.threshold(BOUND) == pytest.approx(0.05 + 0.95 / 39)
    assert calibration.threshold(BOUND) == calibration.built_in(BOUND)
