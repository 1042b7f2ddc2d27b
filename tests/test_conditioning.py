"""Conditioning: the trend goes, the oscillation stays where and as large as it was."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from grokpredict.features.conditioning import (
    MIN_SAMPLES,
    SignalSettings,
    condition,
    detrend,
    low_pass,
)

DEFAULT = SignalSettings()


def noise(seed, shape=(3, 400)):
    return np.random.default_rng(seed).standard_normal(shape)


def gain(frequency, cutoff, order=2):
    return 1 / (1 + (np.tan(np.pi * frequency) / np.tan(np.pi * cutoff)) ** (2 * order))


@pytest.mark.parametrize("frequency", [0.005, 1 / 32, 0.1, 0.25, 0.4])
@pytest.mark.parametrize("cutoff", [1 / 32, 0.25])
def test_low_pass_scales_a_sine_by_the_closed_form_and_does_not_shift_it(frequency, cutoff):
    time = np.arange(4000)
    wave = np.sin(2 * np.pi * frequency * time)
    inner = slice(500, -500)
    np.testing.assert_allclose(
        low_pass(wave, cutoff)[inner], gain(frequency, cutoff) * wave[inner], atol=1e-6
    )


@pytest.mark.parametrize("frequency", [0.01, 1 / 32, 0.08, 0.2, 0.4])
def test_condition_keeps_the_band_between_its_cutoffs(frequency):
    wave = np.sin(2 * np.pi * frequency * np.arange(4000))[None]
    expected = (1 - gain(frequency, 1 / 32)) * gain(frequency, 1 / 4)
    got = condition(wave)[..., 500:-500]
    np.testing.assert_allclose(got, expected * wave[..., 500:-500], atol=2e-3)


def test_low_pass_is_scipys_filtfilt_in_transfer_function_form():
    b, a = signal.butter(2, 2 * 0.1)
    expected = signal.filtfilt(b, a, noise(0), axis=-1, padlen=10)
    np.testing.assert_allclose(low_pass(noise(0), 0.1), expected, atol=1e-10)


def test_detrend_is_scipys_line_and_then_the_trend():
    level = signal.detrend(noise(1) + np.arange(400), axis=-1)
    expected = level - low_pass(level, DEFAULT.trend_cutoff, DEFAULT.order)
    np.testing.assert_allclose(detrend(noise(1) + np.arange(400), DEFAULT), expected, atol=1e-10)


@settings(deadline=None, max_examples=50)
@given(
    seed=st.integers(0, 2**32 - 1),
    level=st.floats(-1e3, 1e3),
    slope=st.floats(-10, 10),
    factor=st.floats(-100, 100),
    n_samples=st.integers(MIN_SAMPLES, 300),
)
def test_condition_is_linear_and_blind_to_straight_lines(seed, level, slope, factor, n_samples):
    curves = noise(seed, (2, n_samples))
    line = level + slope * np.arange(n_samples)
    got = condition(factor * curves + line)
    np.testing.assert_allclose(got, factor * condition(curves), atol=1e-8)
    assert got.shape == curves.shape


def test_a_slow_fall_leaves_little_and_a_fast_oscillation_on_it_stays():
    time = np.arange(400)
    slow = 4.6 * np.exp(-time / 100)
    fast = 0.05 * np.sin(0.8 * time)
    alone = condition(slow[None])
    assert alone.std() < 0.01
    got = condition((slow + fast)[None])[0, 50:-50]
    assert np.corrcoef(got, fast[50:-50])[0, 1] > 0.99


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_sample_that_is_not_finite_spoils_its_own_run_only(bad):
    curves = noise(2)
    curves[1, 17] = bad
    got = condition(curves)
    assert np.isnan(got[1]).all()
    got[1] = 0
    assert np.isfinite(got).all()
    np.testing.assert_array_equal(got[[0, 2]], condition(noise(2))[[0, 2]])


@pytest.mark.parametrize("level", [0.0, 4.6, -1e9, 1 / 3])
def test_a_flat_curve_is_exactly_zero(level):
    assert not condition(np.full((1, 400), level)).any()


def test_a_row_is_the_same_alone_and_among_others_and_the_input_is_left_alone():
    curves = noise(3, (40, 257))
    before = curves.copy()
    together = condition(curves)
    np.testing.assert_array_equal(curves, before)
    for row in range(40):
        np.testing.assert_array_equal(condition(curves[row : row + 1])[0], together[row])


@pytest.mark.parametrize("shape", [(400,), (1, 1, 400)])
def test_a_wrong_shape_is_refused_with_the_shape(shape):
    with pytest.raises(ValueError, match=r"\(n_runs, n_samples\), got \("):
        condition(np.zeros(shape))


def test_a_short_window_is_refused_and_the_shortest_allowed_one_is_not():
    with pytest.raises(ValueError, match="at least 32 samples, got 31"):
        condition(np.zeros((1, 31)))
    assert np.isfinite(condition(noise(4, (2, 32)))).all()


def test_no_runs_give_no_rows():
    assert condition(np.empty((0, 64))).shape == (0, 64)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trend_cutoff": 0.0}, "0 < trend_cutoff"),
        ({"trend_cutoff": 0.3}, "trend_cutoff < smooth_cutoff"),
        ({"smooth_cutoff": 0.5}, "smooth_cutoff < 0.5"),
        ({"band_edges": (0.1, 0.2, 0.5)}, "four frequencies"),
        ({"band_edges": (0.1, 0.11, 0.2, 0.5)}, "no band"),
        ({"band_edges": (0.1, 0.2, 0.3, 0.6)}, "from 0 to 0.5"),
        ({"order": 0}, "order"),
        ({"segment": 10}, "segment"),
        ({"time_bandwidth": 0.5}, "time_bandwidth"),
        ({"noise_floor": 0.0}, "noise_floor"),
        ({"log_floor": -1.0}, "log_floor"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        SignalSettings(**change)


def test_settings_survive_json():
    read = SignalSettings(**json.loads(json.dumps(asdict(DEFAULT))))
    assert read == DEFAULT
    assert hash(read) == hash(DEFAULT)  # a list among the fields would have none
