"""Bets against a claim: fair while it holds, by exact sums; and what they cost and find."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from scipy.special import bdtrc

from grokpredict.live.standing import ALARM_LEVEL
from grokpredict.model.betting import (
    capital_against,
    capital_on_low_ranks,
    lost_interval,
    rank_values,
)

#: Some of the good runs were audited where others were stopped, some only warned of.
SEEN = np.array([1.0, 0.1, 0.1, 1.0, 0.25, 0.1])


def mean_capital(share: float, claim: float, above: bool) -> float:
    """The mean over everything that can be seen of six good runs of which a share is lost."""
    chance = share * SEEN / (share * SEEN + 1 - share)
    total = 0.0
    for outcome in product([False, True], repeat=SEEN.size):
        lost = np.array(outcome)
        weight = np.prod(np.where(lost, chance, 1 - chance))
        total += float(weight * capital_against(lost, SEEN, claim, above=above)[-1])
    return total


@pytest.mark.parametrize("claim", [0.01, 0.05, 0.3])
def test_the_bets_are_fair_while_the_claim_holds(claim: float) -> None:
    for above in (True, False):
        assert mean_capital(claim, claim, above) == pytest.approx(1)
    assert mean_capital(claim / 2, claim, True) < 1 < mean_capital(2 * claim, claim, True)
    assert mean_capital(2 * claim, claim, False) < 1 < mean_capital(claim / 2, claim, False)


def test_of_runs_none_of_which_is_lost() -> None:
    """1 / 0.95 a run for the bet that none is lost; the ratios are those of Waudby-Smith's grid."""
    n, odds = 59, 0.05 / 0.95
    ratios = np.array([0, 1 / 1.5, 1 / 2, 1 / 3, 1 / 5, 1 / 10, 1 / 20])
    expected = np.mean(((1 + odds) / (1 + ratios * odds)) ** n)
    capital = capital_against(np.zeros(n, dtype=bool), np.ones(n), 0.05, above=False)
    assert capital[-1] == pytest.approx(expected)


def test_the_interval_holds_the_share_and_is_wider_where_less_is_seen() -> None:
    lost = np.arange(200) % 40 == 20  # 5 of 200
    low, high = lost_interval(lost, np.ones(200), ALARM_LEVEL)
    assert (low, high) == pytest.approx((0.00463, 0.0733), abs=5e-5)
    # An audited run stands for ten: 50 of 245.
    low, high = lost_interval(lost, np.full(200, 0.1), ALARM_LEVEL)
    assert (low, high) == pytest.approx((0.0444, 0.4417), abs=5e-4)
    assert lost_interval(np.zeros(0, dtype=bool), np.zeros(0), ALARM_LEVEL) == (0, 1)
    assert lost_interval(np.zeros(30, dtype=bool), np.ones(30), ALARM_LEVEL)[0] == 0


def good_runs(rng: np.random.Generator, share: float, seen: float, n: int) -> np.ndarray:
    return rng.random(n) < share * seen / (share * seen + 1 - share)


def share_of_alarms(rings, n: int = 200, times: int = 200) -> float:
    rng = np.random.default_rng(5)
    return float(np.mean([rings(rng, n) for _ in range(times)]))


@pytest.mark.parametrize(
    ("share", "seen", "pinned"),
    [(0.05, 1.0, 0.01), (0.05, 0.1, 0.015), (0.2, 1.0, 1.0), (0.2, 0.1, 0.5)],
)
def test_how_often_too_many_lost_runs_ring(share: float, seen: float, pinned: float) -> None:
    """Under the bound at most at the level, whatever is seen; above it, the sooner the more is."""

    def rings(rng: np.random.Generator, n: int) -> bool:
        lost = good_runs(rng, share, seen, n)
        return bool(capital_against(lost, np.full(n, seen), 0.05).max() >= 1 / ALARM_LEVEL)

    found = share_of_alarms(rings)
    assert found == pytest.approx(pinned, abs=0.01)
    assert (found <= ALARM_LEVEL) == (share <= 0.05)


def test_a_test_made_anew_after_every_run_breaks_the_level() -> None:
    """The negative control: an exact test of one sample, looked at after every run."""

    def rings(rng: np.random.Generator, n: int) -> bool:
        lost = np.cumsum(good_runs(rng, 0.05, 1.0, n))
        return bool(np.any(bdtrc(lost - 1.0, np.arange(1, n + 1), 0.05) <= ALARM_LEVEL))

    found = share_of_alarms(rings)
    assert found == pytest.approx(0.16, abs=0.01)
    assert found > ALARM_LEVEL


def test_ranks_are_fair_for_runs_in_random_order() -> None:
    """Over all orders of five scores, two of them equal, the mean capital is 1.

    The capital is linear in the random number of each tie, so their middle stands for all.
    """
    scores = [0.1, 0.4, 0.4, 0.7, 0.9]
    capital = [
        capital_on_low_ranks(rank_values(order, [0.5] * 5))[-1] for order in permutations(scores)
    ]
    assert np.mean(capital) == pytest.approx(1)
    assert np.std(capital) > 0.1


@pytest.mark.parametrize(
    ("moves", "pinned"), [(0.0, 0.01), (1.0, 0.01), (-0.5, 0.51), (-1.0, 0.995)]
)
def test_how_often_a_drift_of_the_scores_rings(moves: float, pinned: float) -> None:
    """Half way the scores move by so many standard deviations; upwards is no cause for alarm."""

    def rings(rng: np.random.Generator, n: int) -> bool:
        scores = rng.normal(size=n) + np.where(np.arange(n) < n // 2, 0, moves)
        ranks = rank_values(scores.tolist(), rng.random(n).tolist())
        return bool(capital_on_low_ranks(ranks).max() >= 1 / ALARM_LEVEL)

    found = share_of_alarms(rings)
    assert found == pytest.approx(pinned, abs=0.01)
    assert (found <= ALARM_LEVEL) == (moves >= 0)


def test_a_capital_too_large_to_hold_stays_what_it_was() -> None:
    capital = capital_on_low_ranks(np.zeros(2000))
    assert np.all(np.isfinite(capital))
    assert capital[-1] >= 1e100
    everything = capital_against(np.ones(2000, dtype=bool), np.ones(2000), 0.05)
    assert 1e99 < everything[-1] < np.inf
