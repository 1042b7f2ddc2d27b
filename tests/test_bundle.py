"""Bundles: written whole or not at all, read by numpy alone, equal up to the stated rounding."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from grokpredict.logs import LogError, read_bundle, write_bundle
from grokpredict.logs.mantissa import round_mantissa

STEPS = np.arange(40)
LOSS = np.stack([np.exp(-STEPS / 7), 3 * np.exp(-STEPS / 11)])


def written(path: Path, **options: object) -> Path:
    arguments: dict = {"channels": {"train_loss": (STEPS, LOSS)}, **options}
    write_bundle(path, **arguments)
    return path


@pytest.mark.parametrize("compact", [False, True])
def test_what_was_written_is_read_back(tmp_path: Path, compact: bool) -> None:
    evaluated = np.array([9, 19, 29, 39])
    accuracy = np.array([[0.0, 0.1, 0.4, 1.0], [0.0, 0.0, 0.1, np.nan]])
    path = written(
        tmp_path / "b.npz",
        channels={"train_loss": (STEPS, LOSS), "val_acc": (evaluated, accuracy)},
        n_steps=[40, 30],
        hparams=[{"lr": np.float64(1e-3), "max_steps": 4000, "seed": 1}, {"lr": 0.01}],
        names=["a", "b"],
        compact=compact,
    )
    sweep = read_bundle(path)
    first, second = sweep.runs
    assert not sweep.left_out
    assert first.name == f"{path}[a]"
    assert first.configuration.learning_rate == 1e-3
    assert (first.max_steps, second.max_steps) == (4000, None)
    assert len(second.loss) == 30  # what stands at and after n_steps is padding
    np.testing.assert_array_equal(second.channels["val_acc"].steps, [9, 19, 29])
    np.testing.assert_array_equal(first.channels["val_acc"].values, round_mantissa(accuracy[0]))
    np.testing.assert_allclose(first.loss.values, LOSS[0], rtol=2**-13)


def test_numpy_alone_reads_it(tmp_path: Path) -> None:
    plain = np.load(written(tmp_path / "p.npz", hparams=[{"a": 1}, {}]), allow_pickle=False)
    assert plain["train_loss"].shape == (2, 40)
    assert json.loads(str(plain["hparams"][0])) == {"a": 1}
    compact = np.load(written(tmp_path / "c.npz", compact=True), allow_pickle=False)
    kept = np.cumsum(compact["train_loss_delta"], axis=1).astype(np.uint32)
    np.testing.assert_array_equal((kept << 11).view(np.float32), plain["train_loss"])


def test_compact_is_much_smaller_for_a_smooth_loss(tmp_path: Path) -> None:
    t = np.arange(4000)
    runs = np.stack([np.exp(-t / tau) + 0.01 for tau in (300.0, 700.0, 1900.0)])
    sizes = [
        written(tmp_path / "b", channels={"train_loss": (t, runs)}, compact=compact).stat().st_size
        for compact in (False, True)
    ]
    assert sizes[1] < 0.5 * sizes[0]


def test_equal_runs_are_equal_files(tmp_path: Path) -> None:
    one, two = written(tmp_path / "a.npz"), written(tmp_path / "b.npz")
    assert one.read_bytes() == two.read_bytes()
    with zipfile.ZipFile(one) as archive:
        assert {member.date_time[0] for member in archive.infolist()} == {1980}


def test_an_old_file_is_replaced_not_written_over(tmp_path: Path) -> None:
    path = written(tmp_path / "b.npz")
    other = tmp_path / "other.npz"
    other.hardlink_to(path)
    before = other.read_bytes()
    written(path, names=["x", "y"])
    assert other.read_bytes() == before


def test_trailing_nan_is_padding_only_where_nobody_says_how_long_the_run_was(
    tmp_path: Path,
) -> None:
    loss = LOSS.copy()
    loss[1, 25:] = np.nan
    channels = {"train_loss": (STEPS, loss)}
    assert len(read_bundle(written(tmp_path / "a.npz", channels=channels)).runs[1].loss) == 25
    told = read_bundle(written(tmp_path / "b.npz", channels=channels, n_steps=[40, 40])).runs[1]
    assert len(told.loss) == 40
    assert told.diverged


def test_a_file_of_somebody_else_with_one_run(tmp_path: Path) -> None:
    path = tmp_path / "theirs.npz"
    np.savez(path, train_loss=LOSS[0], val_acc=[0.1, 0.2], val_acc_steps=[10, 20])
    (run,) = read_bundle(path).runs
    np.testing.assert_array_equal(run.loss.values, LOSS[0])
    assert run.name == f"{path}[0]"


def test_one_bad_run_does_not_take_the_others_with_it(tmp_path: Path) -> None:
    path = tmp_path / "b.npz"
    loss = np.stack([LOSS[0], np.full(40, np.nan), LOSS[1]])
    np.savez(path, train_loss=loss, hparams=["{}", "{}", "{lr"])
    sweep = read_bundle(path)
    assert len(sweep) == 1
    assert [each.path for each in sweep.left_out] == [f"{path}[1]", f"{path}[2]"]
    assert "training loss" in sweep.left_out[0].reason
    assert "not JSON" in sweep.left_out[1].reason


@pytest.mark.parametrize(
    ("arrays", "rule"),
    [
        ({"loss": LOSS}, "must hold an array train_loss"),
        ({"train_loss": LOSS, "train_loss_steps": STEPS[:-1]}, "must have shape"),
        ({"train_loss": LOSS, "train_loss_steps": STEPS[::-1]}, "that increase"),
        ({"train_loss": LOSS, "val_acc": np.zeros((3, 4))}, "must be numbers of shape"),
        ({"train_loss": np.array([["a", "b"]] * 2)}, "must be numbers"),
        ({"train_loss": LOSS, "n_steps": [40]}, "n_steps"),
        ({"train_loss": LOSS, "names": [1, 2]}, "must be text"),
    ],
)
def test_arrays_that_do_not_fit_together(tmp_path: Path, arrays: dict, rule: str) -> None:
    np.savez(tmp_path / "b.npz", **arrays)
    with pytest.raises(LogError, match=rule):
        read_bundle(tmp_path / "b.npz")


def test_damaged_and_foreign_files(tmp_path: Path) -> None:
    whole = written(tmp_path / "b.npz").read_bytes()
    for content in (b"", b"not a zip", whole[: len(whole) // 2], whole[:200] + b"\xff" * 50):
        (tmp_path / "bad.npz").write_bytes(content)
        with pytest.raises(LogError):
            read_bundle(tmp_path / "bad.npz")
    np.savez(tmp_path / "pickled.npz", train_loss=np.array([{}], dtype=object))
    with pytest.raises(LogError, match="cannot be read"):
        read_bundle(tmp_path / "pickled.npz")


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "b.npz")
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="no space"):
        written(path, names=["x", "y"])
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"channels": {"val_acc": (STEPS, LOSS)}}, "must hold train_loss"),
        ({"channels": {"train_loss": (STEPS, LOSS), "foo": (STEPS, LOSS)}}, "'foo'"),
        ({"channels": {"train_loss": (STEPS[1:], LOSS)}}, "must have shape"),
        ({"names": ["one"]}, "names must have shape"),
    ],
)
def test_what_cannot_be_written(tmp_path: Path, options: dict, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        written(tmp_path / "b.npz", **options)
    assert not list(tmp_path.iterdir())


@given(arrays(np.float32, st.integers(1, 30), elements=st.floats(width=32)))
def test_rounding(values: np.ndarray) -> None:
    rounded = round_mantissa(values)
    finite = np.isfinite(values)
    np.testing.assert_array_equal(rounded[~finite], values[~finite])
    assert not np.any(rounded[finite].view(np.uint32) & 0x7FF)
    normal = finite & (np.abs(values) > 2e-38) & np.isfinite(rounded)
    error = np.abs(rounded[normal].astype(float) / values[normal].astype(float) - 1)
    assert np.all(error <= 2**-13)
    np.testing.assert_array_equal(round_mantissa(rounded), rounded)


def test_percentages_of_one_run_tell_those_of_the_others(tmp_path: Path) -> None:
    """The second is at chance, one in a hundred: alone it could be a share of 0.97."""
    path = tmp_path / "b.npz"
    steps = np.arange(60)
    accuracies = np.stack([np.linspace(1, 99, 60), np.full(60, 0.97)])
    losses = np.tile(np.exp(-steps / 20), (2, 1))
    write_bundle(path, channels={"train_loss": (steps, losses), "val_acc": (steps, accuracies)})
    good, chance = read_bundle(path).runs
    np.testing.assert_allclose(good.channels["val_acc"].values, accuracies[0] / 100, rtol=2**-12)
    np.testing.assert_allclose(chance.channels["val_acc"].values, 0.0097, rtol=2**-12)


def test_evaluations_that_were_not_made_are_missing(tmp_path: Path) -> None:
    path = tmp_path / "b.npz"
    steps = np.arange(60)
    accuracies = np.where(steps % 10 == 0, 0.5, np.nan)[None]
    write_bundle(
        path, channels={"train_loss": (steps, np.ones((1, 60))), "val_acc": (steps, accuracies)}
    )
    (run,) = read_bundle(path).runs
    assert run.channels["val_acc"].steps.tolist() == list(range(0, 60, 10))
