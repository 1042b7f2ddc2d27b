"""The threshold keeps its bound, for independent runs and for runs that share networks."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from grokpredict.model.thresholds import abort_threshold, independent_scores

BOUND = 0.05


def shared(rng: np.random.Generator, n_networks: int, correlation: float) -> tuple[np.ndarray, ...]:
    """Standard normal scores, correlated within networks of 1 to 24 configurations."""
    sizes = rng.integers(1, 25, n_networks)
    network = np.repeat(np.arange(n_networks), sizes)
    of_network = np.sqrt(correlation) * rng.standard_normal(n_networks)[network]
    return of_network + np.sqrt(1 - correlation) * rng.standard_normal(network.size), network


def broken(correlation: float, *, reckoned: bool, asked: float = BOUND) -> float:
    """The share of draws after which more than the bound of all runs would be lost."""
    rng = np.random.default_rng(0)
    over = 0
    for _ in range(400):
        scores, network = shared(rng, 60, correlation)
        if reckoned:
            scores = independent_scores(scores, np.arange(scores.size), network)
        limit = abort_threshold(scores, asked)
        over += limit is not None and norm.cdf(limit) > BOUND
    return over / 400


@pytest.mark.parametrize("correlation", [0.0, 0.2, 0.5])
def test_the_bound_holds_for_networks_that_were_not_seen(correlation: float) -> None:
    # 5 % may be over; of 400 draws that is up to 7.1 % in 97.5 of 100 experiments.
    assert broken(correlation, reckoned=True) <= 0.071


def test_it_would_not_if_all_runs_counted() -> None:
    assert broken(0.5, reckoned=False) > 0.15


def test_a_rule_that_leaks_twice_the_bound_is_caught() -> None:
    """The negative control: asked for twice the share, it exceeds the bound most of the time."""
    assert broken(0.0, reckoned=True, asked=2 * BOUND) > 0.8
    assert broken(0.2, reckoned=True, asked=2 * BOUND) > 0.5


def test_runs_of_their_own_networks_all_count() -> None:
    scores = np.random.default_rng(1).random(80)
    own = np.arange(80)
    np.testing.assert_array_equal(independent_scores(scores, own, own), np.sort(scores))


def test_networks_that_decide_everything_count_once_each() -> None:
    of_network = np.linspace(0.1, 0.9, 30)
    network = np.repeat(np.arange(30), 5)
    found = independent_scores(of_network[network], np.arange(150), network)
    np.testing.assert_allclose(found, of_network)


def test_of_repetitions_the_lowest_counts() -> None:
    scores = np.array([0.4, 0.1, 0.3, 0.2])
    configuration = np.array([7, 7, 3, 3])
    np.testing.assert_array_equal(
        independent_scores(scores, configuration, configuration), [0.1, 0.2]
    )


def test_no_score_is_no_threshold() -> None:
    nobody = np.empty(0, dtype=np.int64)
    assert abort_threshold(independent_scores(np.empty(0), nobody, nobody), BOUND) is None


#: Twenty configurations of five networks; the two lowest scores belong to the third one.
SIZES = np.array([2, 3, 4, 5, 6])
NETWORK = np.repeat(np.arange(5), SIZES)
SCORES = np.r_[np.arange(2, 7), [0, 1], np.arange(7, 20)] / 20


def test_the_effective_number_is_the_one_calculated_by_hand() -> None:
    """One tenth of 20 are the two lowest scores: 2 of 4 in the third network, none elsewhere.

    Between networks (4 * 0.4^2 + 16 * 0.1^2) / 4 = 0.2, within them 4 * 0.5^2 / 15 = 1 / 15. With
    n0 = (20 - 90 / 20) / 4 = 3.875 the correlation is (0.2 - 1 / 15) / (0.2 + 2.875 / 15)
    = 16 / 47. A configuration's network has 90 / 20 = 4.5 on average, so the effect is
    1 + 3.5 * 16 / 47 = 2.191: nine scores, at 0, 2.19, 4.38, ... of the twenty in order.
    """
    places = [0, 2, 4, 6, 8, 10, 13, 15, 17]
    worth = independent_scores(SCORES, np.arange(20), NETWORK)
    np.testing.assert_array_equal(worth, np.array(places) / 20)


@pytest.mark.parametrize(
    ("n", "rank"), [(58, None), (59, 1), (92, 1), (93, 2), (123, 2), (124, 3), (153, 4), (181, 5)]
)
def test_the_threshold_is_the_order_statistic_of_the_tables(n: int, rank: int | None) -> None:
    """Wilks 1941: 59, 93, 124, 153, 181 samples for 95 % confidence in the 95 % quantile."""
    scores = np.random.default_rng(n).permutation(np.arange(1.0, n + 1))
    assert abort_threshold(scores, BOUND) == rank
