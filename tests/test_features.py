"""Features: closed forms, antropy and SciPy as references, and what must not change them."""

import math
import tracemalloc
from pathlib import Path

import antropy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from mne.time_frequency import psd_array_multitaper
from scipy.signal.windows import dpss

from grokpredict.features.conditioning import SignalSettings, condition
from grokpredict.features.signal import (
    MIN_SAMPLES,
    Hjorth,
    band_energy,
    extract,
    feature_names,
    hjorth,
    spectrum,
)

DEFAULT = SignalSettings()
NAMES = feature_names()


def named(losses, **changes):
    """Features of one curve by name."""
    row = extract(np.asarray(losses, dtype=float)[None], SignalSettings(**changes))[0]
    return dict(zip(NAMES, row, strict=True))


def curves(seed, n_runs=20, n_samples=400):
    """Falling losses with multiplicative noise, from nearly none to a lot."""
    rng = np.random.default_rng(seed)
    t = np.arange(n_samples) / n_samples
    rate = 10 ** rng.uniform(-1, 1.5, (n_runs, 1))
    sigma = 10 ** rng.uniform(-4, -0.5, (n_runs, 1))
    floor = 10 ** rng.uniform(-4, 0, (n_runs, 1))
    trend = 4.6 * np.exp(-rate * t) + floor
    return trend * np.exp(sigma * rng.standard_normal((n_runs, n_samples)))


def twelve_bits(losses):
    """Round to 12 stored bits of mantissa, a relative error of 2^-13 at most."""
    mantissa, exponent = np.frexp(losses)
    return np.ldexp(np.round(mantissa * 2**13) / 2**13, exponent)


def hjorth_spectral(signal):
    """Hjorth's parameters by moments of the periodogram of the mirrored signal.

    m_k is the sum over |X(w)|^2 / N^2 times (2 sin(w / 2))^k, the gain of a difference. On a
    conditioned curve of 400 samples or more mobility and complexity agree with those by variances
    within 1 %, the rest being the mean slope, which a variance takes out and a moment does not.
    """
    signal = np.asarray(signal, dtype=float)
    if signal.shape[-1] < 3:
        raise ValueError(f"Hjorth's parameters need three samples, got {signal.shape[-1]}")
    signal = np.where(np.isfinite(signal).all(axis=-1, keepdims=True), signal, np.nan)
    m0, m2 = moments(signal)
    slope_m0, slope_m2 = moments(np.diff(signal, axis=-1))
    with np.errstate(invalid="ignore", divide="ignore"):
        mobility = np.sqrt(m2 / m0)
        return Hjorth(m0, mobility, np.sqrt(slope_m2 / slope_m0) / mobility)


def moments(signal):
    centred = signal - signal.mean(axis=-1, keepdims=True)
    mirrored = np.concatenate([centred, centred[..., ::-1]], axis=-1)
    n = mirrored.shape[-1]
    power = np.abs(np.fft.fft(mirrored, axis=-1)) ** 2 / n**2
    gain = 2 * np.sin(np.pi * np.fft.fftfreq(n))
    return power.sum(axis=-1), (power * gain**2).sum(axis=-1)


# Hjorth's parameters


@pytest.mark.parametrize("parameters", [hjorth, hjorth_spectral])
@pytest.mark.parametrize("w", [0.1, 0.7, 2.0])
def test_hjorth_of_a_sine(parameters, w):
    got = parameters(3 * np.sin(w * np.arange(20000)))
    assert got.activity == pytest.approx(4.5, rel=1e-3)
    assert got.mobility == pytest.approx(2 * math.sin(w / 2), rel=1e-3)
    assert got.complexity == pytest.approx(1, rel=2e-3)


@pytest.mark.parametrize("parameters", [hjorth, hjorth_spectral])
@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9, -0.6])
def test_hjorth_of_a_first_order_autoregression(parameters, phi):
    rng = np.random.default_rng(0)
    x = np.zeros((8, 30000))
    drive = rng.standard_normal(x.shape)
    for i in range(1, x.shape[1]):
        x[:, i] = phi * x[:, i - 1] + drive[:, i]
    got = parameters(x[:, 200:])
    assert got.activity.mean() == pytest.approx(1 / (1 - phi**2), rel=0.03)
    assert got.mobility.mean() == pytest.approx(math.sqrt(2 * (1 - phi)), rel=0.01)
    expected = math.sqrt((3 - phi) / (2 * (1 - phi)))
    assert got.complexity.mean() == pytest.approx(expected, rel=0.01)


def test_hjorth_is_antropys():
    signal = condition(curves(1))
    mobility, complexity = antropy.hjorth_params(signal, axis=-1)
    got = hjorth(signal)
    np.testing.assert_allclose(got.mobility, mobility, rtol=1e-12)
    np.testing.assert_allclose(got.complexity, complexity, rtol=1e-12)
    np.testing.assert_allclose(got.activity, signal.var(axis=-1), rtol=1e-12)


@pytest.mark.parametrize(("n_samples", "rtol"), [(32, 0.15), (400, 0.01), (3200, 0.01)])
def test_variances_and_spectral_moments_agree_when_conditioned(n_samples, rtol):
    losses = curves(2, 200, n_samples)
    for signal in (condition(losses), condition(np.log(losses))):
        one, other = hjorth(signal), hjorth_spectral(signal)
        np.testing.assert_allclose(one.activity, other.activity, rtol=1e-9)
        np.testing.assert_allclose(one.mobility, other.mobility, rtol=rtol)
        np.testing.assert_allclose(one.complexity, other.complexity, rtol=rtol)


@settings(deadline=None, max_examples=50)
@given(
    seed=st.integers(0, 2**32 - 1),
    k=st.floats(1e-3, 1e3),
    offset=st.floats(-100, 100),
    parameters=st.sampled_from([hjorth, hjorth_spectral]),
)
def test_hjorth_under_scaling_and_offset(seed, k, offset, parameters):
    x = np.random.default_rng(seed).standard_normal(100)
    one, other = parameters(x), parameters(k * (x + offset))
    assert other.activity == pytest.approx(k**2 * one.activity, rel=1e-6)
    assert other.mobility == pytest.approx(one.mobility, rel=1e-6)
    assert other.complexity == pytest.approx(one.complexity, rel=1e-6)


@pytest.mark.parametrize("parameters", [hjorth, hjorth_spectral])
def test_hjorth_of_flat_broken_and_short_rows(parameters):
    rows = np.stack([np.zeros(50), np.arange(50.0) % 3, np.arange(50.0) % 3, np.arange(50.0) % 3])
    rows[2, 4], rows[3, 4] = np.nan, np.inf
    got = parameters(rows)
    assert got.activity[0] == 0
    np.testing.assert_array_equal(np.isnan(got.activity), [False, False, True, True])
    for values in (got.mobility, got.complexity):
        np.testing.assert_array_equal(np.isnan(values), [True, False, True, True])
    with pytest.raises(ValueError, match="three samples, got 2"):
        parameters(np.zeros(2))


# Spectrum


@pytest.mark.parametrize("n_samples", [32, 33, 400, 1000, 3200])
def test_white_noise_has_density_two_and_energy_in_proportion_to_bandwidth(n_samples):
    x = np.random.default_rng(0).standard_normal((2000 if n_samples < 1000 else 200, n_samples))
    frequencies, density = spectrum(x, DEFAULT)
    inner = (frequencies > 0.1) & (frequencies < 0.5)
    assert density.mean(axis=0)[inner].mean() == pytest.approx(2, rel=0.03)
    low = band_energy(frequencies, density, 1 / 4, 3 / 8).mean()
    assert low == pytest.approx(1 / 4, rel=0.1)
    total = band_energy(frequencies, density, 0, 1 / 2).mean()
    assert total == pytest.approx(x.var(axis=1).mean(), rel=0.06 if n_samples < 100 else 0.02)


@pytest.mark.parametrize("frequency", [0.06, 0.18, 0.4])
def test_the_energy_of_a_sine_is_half_its_square_and_in_its_band(frequency):
    x = 3 * np.sin(2 * np.pi * frequency * np.arange(1500))[None]
    bands = [band_energy(*spectrum(x, DEFAULT), *b)[0] for b in ((1 / 32, 1 / 8), (1 / 8, 1 / 4))]
    bands.append(band_energy(*spectrum(x, DEFAULT), 1 / 4, 1 / 2)[0])
    where = int(np.argmax(bands))
    assert where == (0 if frequency < 1 / 8 else 1 if frequency < 1 / 4 else 2)
    assert bands[where] == pytest.approx(4.5, rel=0.02)


def test_an_oscillation_from_one_step_to_the_next_is_in_the_high_band():
    x = (-1.0) ** np.arange(400)[None]
    assert band_energy(*spectrum(x, DEFAULT), 1 / 4, 1 / 2)[0] == pytest.approx(1, rel=0.01)


@pytest.mark.parametrize("n", [32, 33, 200, 399, 400])
@pytest.mark.parametrize("time_bandwidth", [1.0, 2.0, 3.5, 8.0])
def test_spectrum_is_that_of_mne(n, time_bandwidth):
    x = np.random.default_rng(n).standard_normal((4, n)) + 3.0
    frequencies, density = spectrum(x, SignalSettings(time_bandwidth=time_bandwidth))
    expected, places = psd_array_multitaper(
        x, sfreq=1.0, bandwidth=2 * time_bandwidth / n, verbose="ERROR"
    )
    np.testing.assert_array_equal(frequencies, places)
    np.testing.assert_allclose(density, expected, rtol=1e-12)


def test_spectrum_is_the_mean_of_tapered_periodograms():
    x = np.random.default_rng(3).standard_normal(400)
    tapers, weights = dpss(400, 2.0, 4, sym=False, return_ratios=True)
    tapers, weights = tapers[weights > 0.9], weights[weights > 0.9]
    power = 2 * np.abs(np.fft.rfft(tapers * (x - x.mean()))) ** 2
    expected = (weights[:, None] * power).sum(axis=0) / weights.sum()
    _, density = spectrum(x[None], DEFAULT)
    np.testing.assert_allclose(density[0, 1:-1], expected[1:-1], rtol=1e-3)


@pytest.mark.parametrize("middle", [100, 500, 900])
def test_no_part_of_a_long_window_is_left_out_of_the_spectrum(middle):
    x = np.zeros((1, 1001))
    x[0, middle - 20 : middle + 20] = np.sin(np.arange(40))
    frequencies, density = spectrum(x, DEFAULT)
    assert band_energy(frequencies, density, 1 / 8, 1 / 4)[0] > 0.2 * x.var()


# The signature that extract gives


def test_signature_of_a_modulated_loss():
    w, depth = 2 * np.pi * 0.1, 0.05
    got = named(np.exp(depth * np.sin(w * np.arange(3000))), noise_floor=1e-9)
    band = (1 - 1 / (1 + (math.tan(math.pi * 0.1) / math.tan(math.pi / 32)) ** 4)) / (
        1 + math.tan(math.pi * 0.1) ** 4
    )
    power = depth**2 / 2 * band**2
    decades = 2 * math.log10(math.log(10))
    assert got["log_activity"] == pytest.approx(math.log10(power) - decades, abs=0.01)
    assert got["log_mobility"] == pytest.approx(2 * math.sin(w / 2), rel=0.01)
    assert got["log_complexity"] == pytest.approx(1, abs=0.02)
    assert got["loss_activity"] == pytest.approx(math.log10(power), abs=0.01)
    assert got["loss_mobility"] == pytest.approx(2 * math.sin(w / 2), rel=0.01)
    assert got["log_energy_low"] == pytest.approx(got["log_energy"], abs=0.001)
    assert got["log_energy_low"] == pytest.approx(math.log10(depth**2 / 2) - decades, abs=0.02)
    assert got["log_energy_middle"] < got["log_energy_low"] - 2


def test_energies_add_up_and_fall_into_their_bands():
    for name, frequency in (("low", 0.06), ("middle", 0.18), ("high", 0.4)):
        wave = np.exp(0.1 * np.sin(2 * np.pi * frequency * np.arange(800)))
        got = named(wave)
        for prefix in ("relative", "log"):
            bands = {b: got[f"{prefix}_energy_{b}"] for b in ("low", "middle", "high")}
            assert max(bands, key=bands.get) == name
        assert 10 ** got["log_energy"] == pytest.approx(
            sum(10 ** got[f"log_energy_{b}"] for b in ("low", "middle", "high"))
        )
        scale = 2 * math.log10(wave.mean())
        assert 10 ** (got["loss_energy"] - scale) == pytest.approx(
            sum(10 ** got[f"relative_energy_{b}"] for b in ("low", "middle", "high"))
        )


def test_signature_is_antropys_on_the_conditioned_loss_where_noise_is_above_the_floor():
    losses = curves(4)
    got = extract(losses, SignalSettings(noise_floor=1e-12))
    for prefix, raw in (("loss", losses), ("log", np.log10(losses))):
        signal = condition(raw)
        mobility, complexity = antropy.hjorth_params(signal, axis=-1)
        expected = {
            "activity": np.log10(signal.var(axis=-1)),
            "mobility": mobility,
            "complexity": complexity,
        }
        for name, values in expected.items():
            np.testing.assert_allclose(got[:, NAMES.index(f"{prefix}_{name}")], values, rtol=1e-6)


def test_a_flat_loss_looks_like_white_noise_at_the_floor():
    got = named(np.full(400, 4.6))
    s = 2.0**-11
    assert got["loss_activity"] == pytest.approx(2 * math.log10(4.6 * s))
    assert got["relative_activity"] == pytest.approx(2 * math.log10(s))
    assert got["log_activity"] == pytest.approx(2 * math.log10(s / math.log(10)))
    for prefix in ("loss", "log"):
        assert got[f"{prefix}_mobility"] == pytest.approx(math.sqrt(2))
        assert got[f"{prefix}_complexity"] == pytest.approx(math.sqrt(1.5))
    widths = {"low": 3 / 32, "middle": 1 / 8, "high": 1 / 4}
    for band, width in widths.items():
        expected = math.log10(2 * width) + 2 * math.log10(s)
        assert got[f"relative_energy_{band}"] == pytest.approx(expected, abs=0.02)


def test_other_settings_reach_both_signals():
    losses = curves(11, 1)[0]
    default, other = named(losses), named(losses, trend_cutoff=1 / 16, smooth_cutoff=1 / 3)
    for name in ("loss_mobility", "relative_energy_low", "log_mobility", "log_energy_low"):
        assert abs(default[name] - other[name]) > 0.01, name


# What must not change the features


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), decades=st.floats(-6, 6))
def test_scaling_the_loss_shifts_what_has_a_unit_and_nothing_else(seed, decades):
    losses = curves(seed, 4, 200)
    shift = dict.fromkeys(NAMES, 0.0)
    shift |= {"loss_activity": 2, "loss_energy": 2}
    expected = extract(losses) + decades * np.array(list(shift.values()))
    np.testing.assert_allclose(extract(losses * 10**decades), expected, atol=1e-6)


def test_twelve_bits_of_mantissa_move_no_feature_materially():
    t = np.arange(400)
    smooth = [
        4.6 * np.exp(-t / 80),
        4.6 * np.exp(-t / 20) + 0.01,
        4.6 / (1 + t / 10) ** 1.3,
        4.6 - 0.3 * np.tanh((t - 200) / 50),
        4.6 * np.exp(-t / 100) * (1 + 0.02 * np.sin(0.8 * t)),
    ]
    rng = np.random.default_rng(0)
    for sigma in (0.0, 5e-4, 2e-3, 1e-2, 1e-1):
        noisy = np.exp(sigma * rng.standard_normal((20, 400)))
        for losses in smooth:
            raw = losses * noisy
            moved = np.abs(extract(twelve_bits(raw)) - extract(raw)).max(axis=0)
            assert moved.max() < 0.03, (sigma, NAMES[int(moved.argmax())], moved.max())


def test_without_the_floor_rounding_would_be_taken_for_oscillation():
    losses = (4.6 * np.exp(-np.arange(400) / 80))[None]
    tiny = SignalSettings(noise_floor=1e-12)
    moved = np.abs(extract(twelve_bits(losses), tiny) - extract(losses, tiny))
    assert moved[0, NAMES.index("log_activity")] > 1


def test_a_stationary_loss_has_the_same_signature_in_a_longer_window():
    rng = np.random.default_rng(0)
    noise = np.exp(0.1 * rng.standard_normal((200, 3200)))
    short, long = extract(noise[..., :400]).mean(axis=0), extract(noise).mean(axis=0)
    np.testing.assert_allclose(short, long, atol=0.03)


def test_a_row_does_not_depend_on_the_other_rows():
    losses = curves(6, 1400, 400)
    together = extract(losses)
    for row in (0, 1, 654, 655, 656, 1399):
        np.testing.assert_array_equal(extract(losses[row : row + 1])[0], together[row])


# Curves that are not nice


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_broken_run_is_nan_throughout_and_leaves_the_others_alone(bad):
    losses = curves(7, 5)
    expected = extract(losses)
    losses[2, 399] = bad
    got = extract(losses)
    assert np.isnan(got[2]).all()
    np.testing.assert_array_equal(np.delete(got, 2, axis=0), np.delete(expected, 2, axis=0))


@settings(deadline=None, max_examples=100)
@given(
    hnp.arrays(
        float,
        st.tuples(st.just(1), st.integers(MIN_SAMPLES, 70)),
        elements=st.floats(allow_nan=False, allow_infinity=False),
    )
)
def test_every_finite_curve_has_finite_features(losses):
    assert np.isfinite(extract(losses)).all()


@pytest.mark.parametrize("level", [0.0, -1.0, 5e-324, 1e-300, 1.7e308])
def test_flat_curves_of_every_size_have_finite_features(level):
    assert np.isfinite(extract(np.full((1, 64), level))).all()


def test_zeros_after_a_denormal_start_have_finite_features():
    assert np.isfinite(extract(np.r_[np.full(5, 5e-324), np.zeros(60)][None])).all()


def test_zero_and_negative_losses_count_as_the_floor():
    losses = np.full(400, 2.0)
    losses[200:] = 2e-8
    expected = named(losses)
    for low in (0.0, -1e-9, 1e-12):
        losses[200:] = low
        got = named(losses)
        assert got["log_activity"] == pytest.approx(expected["log_activity"])


def test_shapes_and_errors():
    assert extract(np.empty((0, 400))).shape == (0, len(NAMES))
    with pytest.raises(ValueError, match="at least 32 samples, got 20"):
        extract(np.ones((1, 20)))
    with pytest.raises(ValueError, match=r"losses\[None, :\]"):
        extract(np.ones(400))


# Cost


def test_memory_is_bounded_by_chunks():
    losses = np.tile(curves(9, 10), (400, 1))
    extract(losses[:1])
    tracemalloc.start()
    extract(losses)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6  # about 13 MB of input a thousand rows: ten copies would be 128 MB


# Names and documentation


def test_names_are_unique_and_stable():
    assert len(set(NAMES)) == len(NAMES) == 15
    assert all(name.isidentifier() for name in feature_names())


def test_every_feature_and_every_setting_stands_in_the_docs():
    text = (Path(__file__).parents[1] / "docs" / "features.md").read_text(encoding="utf-8")
    missing = [name for name in NAMES if f"`{name}`" not in text]
    missing += [name for name in SignalSettings.__dataclass_fields__ if f"`{name}`" not in text]
    assert not missing
