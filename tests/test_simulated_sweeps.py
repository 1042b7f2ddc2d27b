"""The core of benchmarks/bench_calibrate.py: its accounts, and simulated sweeps that can fail."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from grokpredict.model.calibration import Calibration

CORE = Path(__file__).parents[1] / "benchmarks/simulated_sweeps.py"
EMPTY = Calibration(np.empty(0))


@pytest.fixture(scope="module")
def core() -> ModuleType:
    spec = importlib.util.spec_from_file_location("simulated_sweeps", CORE)
    module = importlib.util.module_from_spec(spec)
    sys.modules["simulated_sweeps"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def made(core: ModuleType, n: int, seed: int):
    """Half of the runs good; one look each at step 400 with a uniform score, lower if doomed."""
    rng = np.random.default_rng(seed)
    good = np.arange(n) % 2 == 0
    each = np.arange(n)
    return core.Replayed(
        run=each,
        step=np.full(n, 400.0),
        score=np.where(good, rng.random(n), rng.random(n) / 4),
        t4=np.where(good, 900.0, np.inf),
        budget=np.full(n, 1000.0),
        spent=np.where(good, 900.0, 1000.0),
        configuration=each,
        network=each,
    )


def test_lost_and_saved_by_hand(core: ModuleType) -> None:
    runs = core.Replayed(
        run=np.array([0, 0, 1, 2, 2, 3]),
        step=np.array([200.0, 400.0, 200.0, 200.0, 400.0, 600.0]),
        score=np.array([0.5, 0.1, 0.9, 0.6, 0.2, 0.05]),
        t4=np.array([800.0, 500.0, np.inf, np.inf, 150.0]),
        budget=np.full(5, 1000.0),
        spent=np.array([800.0, 500.0, 1000.0, 600.0, 150.0]),
        configuration=np.array([0, 0, 1, 2, 3]),
        network=np.array([0, 0, 1, 2, 3]),
    )
    everyone = np.ones(5, dtype=bool)
    assert runs.stops(0.3).tolist() == [400, np.inf, 400, 600, np.inf]
    # Lost: the first. Saved: 600 of 800 steps of the third, none of 400 of the fourth.
    assert runs.account(runs.stops(0.3), everyone) == (1, 2, 600 / 1200)
    assert runs.own(everyone).tolist() == [0.1]  # two repetitions; the last was never looked at


def shares(core: ModuleType, rule: str) -> dict[str, tuple[int, int]]:
    """Lost and good runs of sixty simulated sweeps under a rule."""
    lost, good = 0, 0
    for seed in range(60):
        runs = made(core, 300, seed)
        rng = np.random.default_rng(seed)
        result = core.simulate(
            runs,
            core.random_order(300, 300, rng),
            lambda known, runs=runs: runs.stops(getattr(core, rule)(runs.own(known), EMPTY)),
            audited=rng.random(300) < 0.1,
        )
        assert result.began is not None
        assert 19 + 8 <= result.began < 80
        lost, good = lost + result.lost, good + result.good
    return {"made": (lost, good)}


def test_recalibrating_keeps_the_bound_and_twice_of_it_does_not(core: ModuleType) -> None:
    kept, broken = shares(core, "joined"), shares(core, "leaking")
    assert core.keeps_the_bound(kept)
    assert not core.keeps_the_bound(broken)
    lost, good = kept["made"]
    assert lost / good == pytest.approx(0.0410, abs=0.0005)


def test_what_was_stopped_is_not_known(core: ModuleType) -> None:
    runs = made(core, 200, 0)
    audited = np.arange(200) % 10 == 3
    asked = []

    def stops(known: np.ndarray) -> np.ndarray:
        asked.append(known.copy())
        return runs.stops(0.5)

    result = core.simulate(runs, np.arange(200), stops, audited=audited, workers=4)
    assert result.began == 36 + 4  # the nineteenth good run is in row 36
    for known in asked:
        assert known[:36].all()
        assert not (known & ~audited)[result.began :].any()


def test_a_drifting_order_moves(core: ModuleType) -> None:
    axis = np.random.default_rng(0).random(400)
    order = core.drifting_order(axis, 200, np.random.default_rng(1))
    assert np.unique(order).size == 200
    assert axis[order[:100]].max() <= np.quantile(axis, 0.7)
    assert axis[order[100:]].min() >= np.quantile(axis, 0.3)
    assert axis[order[:100]].mean() < 0.4 < 0.6 < axis[order[100:]].mean()


def test_halving_stops_all_but_the_best_quarter_of_each_rung(core: ModuleType) -> None:
    # Eight doomed runs with the accuracies 8, 7, ..., 1 at steps 200 and 800: each is beaten by all
    # before it, and may go on while these are fewer than a quarter, so only the first does.
    n = 8
    runs = core.Replayed(
        run=np.repeat(np.arange(n), 2),
        step=np.tile([200.0, 800.0], n),
        score=np.repeat(np.arange(n, 0, -1.0), 2),
        t4=np.full(n, np.inf),
        budget=np.full(n, 1000.0),
        spent=np.full(n, 1000.0),
        configuration=np.arange(n),
        network=np.arange(n),
    )
    assert core.halving(runs, np.arange(n)).saved == 7 / 8
    # Each better than all before it: none is stopped.
    assert core.halving(runs, np.arange(n)[::-1]).saved == 0


def test_a_patience_is_chosen_on_what_is_known(core: ModuleType) -> None:
    runs = made(core, 40, 0)
    first = np.full(40, 300.0)
    doomed_only = np.where(runs.good, np.inf, 500.0)
    settings = np.array([first, doomed_only, np.full(40, np.inf)])
    assert core.chosen(runs, settings, np.ones(40, dtype=bool)) == 1
    assert core.chosen(runs, settings, ~runs.good) == 0
