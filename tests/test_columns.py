"""Profiles and columns: against slow references, closed forms, and the same run on other grids."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from grokpredict.features.columns import BUDGET_COLUMN, COLUMNS, SIGNATURE, columns
from grokpredict.features.profile import (
    EDGES,
    FIRST_LOOK,
    LOOKS,
    MIN_SAMPLES,
    PLACES,
    PROFILED,
    Bins,
    Sums,
    looks_before,
    profiles,
)
from grokpredict.logs import read_sweep
from grokpredict.runs.curve import Curve, FloatArray
from grokpredict.runs.run import Run
from grokpredict.training.record import thinning

SWEEPS = Path(__file__).parents[1] / "data/sweeps"

NO_SIGNATURE = np.full((1, len(SIGNATURE)), np.nan)

#: Look 8 is at 3 200 steps.
LOOK = 8


def run_of(**channels: Curve) -> dict[str, Bins]:
    return {name: Bins.of(name, curve) for name, curve in channels.items()}


def row_of(channels: dict[str, Bins], look: int = LOOK, budget: float = 10_000) -> dict[str, float]:
    levels = profiles(channels, [look])
    values = columns(levels, NO_SIGNATURE, LOOKS[[look]], np.array([budget]))[0]
    return dict(zip(COLUMNS, values.tolist(), strict=True))


def every(stride: int, end: int = 40_000) -> np.ndarray:
    return np.arange(stride - 1, end, stride)


def power_law(stride: int, exponent: float = -1.0) -> Curve:
    steps = every(stride)
    return Curve(steps, 50 * (steps + 1.0) ** exponent)


def test_looks_are_at_every_factor_of_root_2() -> None:
    assert LOOKS[0] == FIRST_LOOK
    assert np.allclose(LOOKS[2::2] / LOOKS[:-2:2], 2, rtol=0.01)
    assert LOOKS[-1] > 2**24
    assert looks_before(10_000)[-1] == 9050
    assert looks_before(FIRST_LOOK).size == 0
    assert (np.diff(EDGES) >= 0).all()


@pytest.mark.parametrize("look", [0, 3, LOOK, 12])
def test_bins_are_those_of_a_plain_loop(look: int) -> None:
    """The slow reference adds samples one by one and never sees those after the look."""
    rng = np.random.default_rng(look)
    steps = np.unique(rng.integers(0, 30_000, 900))
    values = np.exp(rng.standard_normal(steps.size))
    values[rng.random(steps.size) < 0.05] = np.nan
    sums: dict[int, list[float]] = {}
    for step, value in zip(steps.tolist(), values.tolist(), strict=True):
        if step + 1 > LOOKS[look] or not np.isfinite(value):
            continue
        own = [i for i in range(len(EDGES) - 1) if EDGES[i] < step + 1 <= EDGES[i + 1]]
        for i in own:
            total = sums.setdefault(i, [0, 0.0, 0.0])
            total[0] += 1
            total[1] += np.log2(step + 1)
            total[2] += np.log10(value)
    places = sorted(sums)
    when = [sums[i][1] / sums[i][0] for i in places]
    level = [sums[i][2] / sums[i][0] for i in places]
    expected = np.interp(np.log2(LOOKS[look]) - PLACES, when, level)
    (levels,) = Bins.of("train_loss", Curve(steps, values)).levels([look])
    known = np.isfinite(levels)
    assert known.sum() > 10
    assert np.allclose(levels[known], expected[known], rtol=0, atol=1e-12)


def test_nothing_after_a_look_is_seen() -> None:
    steps = every(50)
    loss = np.exp(-steps / 5000.0)
    changed = np.where(steps + 1 > LOOKS[LOOK], 1e3, loss)
    before, after = (row_of(run_of(train_loss=Curve(steps, own))) for own in (loss, changed))
    assert before == after or all(
        a == b or (np.isnan(a) and np.isnan(b))
        for a, b in zip(before.values(), after.values(), strict=True)
    )


@pytest.mark.parametrize("stride", [1, 10, 50, 200])
def test_a_power_law_has_its_exponent_in_every_change(stride: int) -> None:
    """Of t^a the level falls by a log10(2) an octave, straight, with its least value last."""
    a = -0.7
    row = row_of(run_of(train_loss=power_law(stride, a)))
    octave = a * np.log10(2)
    assert row["train_loss_change"] == pytest.approx(octave / 2, abs=0.01)
    assert row["train_loss_change_before"] == pytest.approx(octave / 2, abs=0.01)
    assert row["train_loss_change_octave"] == pytest.approx(octave, abs=0.01)
    assert row["train_loss_above_low"] == pytest.approx(0, abs=1e-9)
    assert row["train_loss_rise"] == pytest.approx(0, abs=1e-9)
    assert row["train_loss_roughness"] < -1.8
    assert row["train_loss_level"] == pytest.approx(
        np.log10(50) + a * (np.log10(LOOKS[LOOK]) - np.log10(2) / 8), abs=0.02
    )


def test_where_the_least_validation_loss_lies() -> None:
    """A U in log time with its least value two octaves before the look, half a decade below."""
    steps = every(10)
    back = np.log2(LOOKS[LOOK]) - np.log2(steps + 1.0)
    row = row_of(run_of(val_loss=Curve(steps, 10 ** (0.25 * np.abs(back - 2.125)))))
    assert row["val_loss_low_when"] == pytest.approx(2.0)
    assert row["val_loss_above_low"] == pytest.approx(0.25 * 2, abs=0.02)
    assert row["val_loss_rise"] == pytest.approx(0.25 * 2, abs=0.02)


def test_gaps_and_how_long_the_training_set_has_been_fitted() -> None:
    steps = every(10)
    fitted = steps + 1 > LOOKS[LOOK] / 4
    row = row_of(
        run_of(
            train_loss=Curve(steps, np.full(steps.size, 0.01)),
            val_loss=Curve(steps, np.full(steps.size, 10.0)),
            train_acc=Curve(steps, np.where(fitted, 1.0, 0.5)),
            val_acc=Curve(steps, np.full(steps.size, 0.5)),
        )
    )
    assert row["loss_gap"] == pytest.approx(3)
    assert row["over_start"] == pytest.approx(3)
    assert row["val_acc_level"] == pytest.approx(0)
    assert row["acc_gap"] == row["train_acc_level"] == pytest.approx(np.log10(1001))
    assert row["fitted_for"] == pytest.approx(2)


def test_the_budget_counts_as_a_ratio_alone() -> None:
    """Ten times the steps and ten times the budget look the same."""
    loss = run_of(train_loss=power_law(1))
    assert row_of(loss, budget=12_800)[BUDGET_COLUMN] == pytest.approx(2)
    one = row_of(loss, LOOK, 4.0 * LOOKS[LOOK])
    other = row_of(loss, LOOK + 4, 4.0 * LOOKS[LOOK + 4])
    apart = {"train_loss_level"}
    for name in COLUMNS:
        if name not in apart:
            assert one[name] == pytest.approx(other[name], abs=0.01, nan_ok=True)


def test_a_constant_factor_moves_levels_and_nothing_else() -> None:
    rng = np.random.default_rng(1)
    steps = every(50)
    loss = np.exp(rng.standard_normal(steps.size) * 0.3)
    one, other = (row_of(run_of(train_loss=Curve(steps, own))) for own in (loss, 7 * loss))
    assert other["train_loss_level"] - one["train_loss_level"] == pytest.approx(np.log10(7))
    for name in COLUMNS:
        if name != "train_loss_level":
            assert one[name] == pytest.approx(other[name], abs=1e-9, nan_ok=True)


def test_a_missing_channel_is_missing_and_changes_no_other() -> None:
    both = row_of(run_of(train_loss=power_law(50), val_acc=Curve(every(50), np.full(800, 0.1))))
    alone = row_of(run_of(train_loss=power_law(50)))
    for name in COLUMNS:
        if name.startswith("val_acc"):
            assert np.isnan(alone[name])
            assert np.isfinite(both[name])
        elif name.startswith("train_loss") or name == BUDGET_COLUMN:
            assert alone[name] == both[name]
        else:
            assert np.isnan(alone[name])


def seen(curve: Curve, look: int) -> bool:
    levels = Bins.of("val_loss", curve).levels([look])
    assert np.isnan(levels).all() == np.isnan(levels[0, 0])
    return bool(np.isfinite(levels[0, 0]))


def test_a_look_needs_six_samples_and_a_new_one() -> None:
    few = Curve(every(50)[: MIN_SAMPLES - 1], np.ones(MIN_SAMPLES - 1))
    enough = Curve(every(50)[:MIN_SAMPLES], np.ones(MIN_SAMPLES))
    assert not seen(few, 1)
    assert not seen(enough, 0)  # four of them by step 200
    assert seen(enough, 2)  # 300 is after look 1, at 282
    assert not seen(enough, 3)  # nothing after look 2


@pytest.mark.parametrize("channel", PROFILED)
def test_whatever_was_logged_columns_are_numbers_or_missing(channel: str) -> None:
    rng = np.random.default_rng(0)
    steps = every(7)
    strange: list[FloatArray] = [
        np.zeros(steps.size),
        np.full(steps.size, -1e300),
        np.full(steps.size, 1e300),
        np.full(steps.size, 5e-324),
        np.where(rng.random(steps.size) < 0.5, np.inf, 0.3),
        np.where(rng.random(steps.size) < 0.9, np.nan, 0.3),
    ]
    for values in strange:
        row = row_of(run_of(**{channel: Curve(steps, values)}))
        own = [value for name, value in row.items() if name.startswith(channel)]
        assert np.isfinite(own).all()
    for values in (np.full(steps.size, np.nan), np.full(steps.size, np.inf)):
        assert np.isnan(Bins.of(channel, Curve(steps, values)).levels([LOOK])).all()


def test_a_nan_after_its_start_has_no_memory() -> None:
    """A level before the first sample is missing, but for the width of a bin."""
    steps = every(500)
    (levels,) = Bins.of("val_loss", Curve(steps, np.ones(steps.size))).levels([LOOK])
    before = np.log2(LOOKS[LOOK] / 500) + 0.25 < PLACES
    assert np.isnan(levels[before]).all()
    assert np.isfinite(levels[~before]).all()
    assert before.any()


def thinned(run: Run, stride: int) -> dict[str, Bins]:
    """Return a run as a log of every ``stride`` steps has it."""
    found = {}
    for name, curve in run.channels.items():
        kept = thinning(curve.steps, stride)
        if name in PROFILED:
            found[name] = Bins.of(name, Curve(curve.steps[kept], curve.values[kept]))
    return found


def test_real_runs_look_alike_at_every_cadence() -> None:
    """Median over the runs and columns of how far a cadence moves a column, in its deviations."""
    runs = read_sweep(sorted(SWEEPS.glob("addition-1-000[0-3].npz"))).runs
    rows = {
        stride: np.concatenate(
            [
                columns(
                    profiles(thinned(run, stride), [LOOK]),
                    NO_SIGNATURE,
                    LOOKS[[LOOK]],
                    np.array([float(run.max_steps or 10_000)]),
                )
                for run in runs
            ]
        )
        for stride in (1, 50, 100, 200)
    }
    there = np.isfinite(rows[1]).any(axis=0)
    spread = np.nanstd(np.where(there, rows[1], 0.0), axis=0)
    some = np.nan_to_num(spread) > 1e-9
    apart = {}
    for stride in (50, 100, 200):
        moved = np.abs(rows[stride] - rows[1])[:, some] / spread[some]
        apart[stride] = float(np.nanmedian(moved))
    # Pinned as measured; a column that depended on the cadence would be off by some tenths.
    assert apart[50] < 0.02
    assert apart[100] < 0.05
    assert apart[200] < 0.1


@pytest.mark.parametrize("at_once", [1, 7, 1000])
def test_a_live_run_and_its_log_have_the_same_bins(at_once: int) -> None:
    """To the last bit, however the samples come, and after a resume."""
    rng = np.random.default_rng(at_once)
    steps = np.arange(5000)
    loss = np.exp(rng.standard_normal(steps.size))
    loss[rng.random(steps.size) < 0.01] = np.nan
    live = Sums("train_loss")
    for first in range(0, steps.size, at_once):
        part = slice(first, first + at_once)
        live.take(steps[part], loss[part])
        if first == 7 * (3000 // 7 // at_once) * at_once:
            resumed = Sums("train_loss")
            resumed.restore(json.loads(json.dumps(live.state())))
            live = resumed
    logged, own = Bins.of("train_loss", Curve(steps, loss)), live.bins()
    for name in ("index", "count", "when", "level"):
        np.testing.assert_array_equal(getattr(logged, name), getattr(own, name))
    assert own.index.size < 60
