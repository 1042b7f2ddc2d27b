"""What a classifier says, its file, and what it refuses."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import hand_made, planted_sweep

from grokpredict.features.columns import BUDGET_COLUMN, COLUMNS
from grokpredict.features.profile import LOOKS
from grokpredict.features.recording import Recording
from grokpredict.model.channels import only
from grokpredict.model.classifier import (
    ClassifierFileError,
    GrokClassifier,
    Looks,
    load_classifier,
)
from grokpredict.model.file import PROTOCOL
from grokpredict.model.trees import Trees
from grokpredict.runs.curve import FloatArray
from grokpredict.training.pipeline import train

SWEEP = planted_sweep(90, seed=3)
TESTS = Path(__file__).parent

#: Look 2 is at step 400.
LOOK = 2
READS = ("train_loss", "val_acc", "spectrum")


@pytest.fixture(scope="module")
def trained() -> GrokClassifier:
    return train(SWEEP)[0]


def rows(budget: float = 4000, n_runs: int = 20, sweep: Any = SWEEP) -> FloatArray:
    return np.concatenate(
        [Recording.of(run.channels).columns([LOOK], budget) for run in sweep.runs[:n_runs]]
    )


def look(classifier: GrokClassifier, budget: float = 4000) -> Looks:
    return classifier.look(rows(budget))


# -- looking ---------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(budgets=st.lists(st.integers(401, 10**6), min_size=2, max_size=6).map(sorted))
def test_probability_never_falls_as_the_budget_grows(
    trained: GrokClassifier, budgets: list[int]
) -> None:
    x = rows()
    scores = []
    for budget in budgets:
        x[:, COLUMNS.index(BUDGET_COLUMN)] = np.log2(budget / LOOKS[LOOK])
        scores.append(trained.look(x).probability)
    assert np.all(np.diff(scores, axis=0) >= 0)
    assert np.all((np.array(scores) > 0) & (np.array(scores) < 1))


def test_probability_answers_to_the_budget(trained: GrokClassifier) -> None:
    early, late = (look(trained, budget).probability for budget in (600, 4000))
    assert (late - early).mean() > 0.2


def test_rows_do_not_depend_on_their_company(trained: GrokClassifier) -> None:
    x = rows(n_runs=7)
    x[::2] = only(x[::2], READS[:2])
    together = trained.look(x)
    for i in range(7):
        alone = trained.look(x[i : i + 1])
        assert alone.probability[0] == together.probability[i]
        assert alone.unlike[0] == together.unlike[i]


def test_new_runs_of_the_same_kind_are_judged(trained: GrokClassifier) -> None:
    fresh = rows(n_runs=300, sweep=planted_sweep(300, seed=77))
    assert sum(reason is not None for reason in trained.look(fresh).unlike) <= 6


@pytest.mark.parametrize(
    ("column", "value"), [("train_loss_level", 6.0), ("log_activity", 5.0), ("val_acc_rise", 9.0)]
)
def test_a_run_far_from_the_training_runs_is_not(
    trained: GrokClassifier, column: str, value: float
) -> None:
    x = rows(n_runs=1)
    x[0, COLUMNS.index(column)] = value
    (reason,) = trained.look(x).unlike
    assert reason is not None
    assert reason.startswith(f"the run is unlike the training runs: {column} = {value:.3g}, ")


def test_a_budget_far_beyond_training_is_a_reason_and_a_short_one_is_none(
    trained: GrokClassifier,
) -> None:
    # Training asked about twenty times the first look at most.
    assert look(trained, 401).unlike == look(trained, 6000).unlike == (None,) * 20
    far = look(trained, 80_000).unlike
    assert all(reason is not None and "200 times the steps so far" in reason for reason in far)


def test_thresholds_are_by_the_channels_read() -> None:
    classifier = hand_made({READS: np.linspace(0, 1, 100)})
    assert classifier.threshold(READS, 0.05) == pytest.approx(1 / 99)
    assert classifier.threshold(READS[:2], 0.05) is None
    assert classifier.n_calibration(READS) == 100
    assert classifier.n_calibration(READS[:2]) == 0
    with pytest.raises(ValueError, match="between 0 and 1"):
        classifier.threshold(READS[:2], 0.0)


# -- the file --------------------------------------------------------------------------------


def test_a_saved_classifier_says_the_same(trained: GrokClassifier, tmp_path: Path) -> None:
    path = tmp_path / "mine.npz"
    trained.save(path)
    loaded = load_classifier(path)
    for again in (loaded, pickle.loads(pickle.dumps(trained))):
        for budget in (500, 4000):
            before, after = look(trained, budget), look(again, budget)
            np.testing.assert_array_equal(after.probability, before.probability)
            assert after.unlike == before.unlike
        assert again.rule == trained.rule
        assert list(again.calibrations) == list(trained.calibrations)
        for reads, calibration in trained.calibrations.items():
            np.testing.assert_array_equal(
                again.calibrations[reads].independent, calibration.independent
            )
    assert dict(loaded.card) == json.loads(json.dumps(dict(trained.card)))
    assert load_classifier(loaded) is loaded
    # What numpy alone can read, without pickle.
    with np.load(path, allow_pickle=False) as file:
        header = json.loads(file["header"].tobytes())
    assert header["magic"] == "grokpredict-classifier"
    assert header["columns"] == list(COLUMNS)


def test_the_same_classifier_makes_the_same_bytes(trained: GrokClassifier, tmp_path: Path) -> None:
    trained.save(tmp_path / "a.npz")
    load_classifier(tmp_path / "a.npz").save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert (tmp_path / "a.npz").stat().st_size < 1_500_000


def refused(path: Path) -> str:
    with pytest.raises(ClassifierFileError) as caught:
        GrokClassifier.load(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def rewritten(source: Path, target: Path, change: Any) -> Path:
    """Save the file's members again after ``change(header, arrays)``."""
    with np.load(source) as file:
        arrays = dict(file)
    header = json.loads(arrays.pop("header").tobytes())
    change(header, arrays)
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    with target.open("wb") as out:
        np.savez(out, **arrays)
    return target


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "good.npz"
    hand_made({READS: np.full(59, 0.5)}).save(path)
    return path


def test_missing_file(tmp_path: Path) -> None:
    assert "no classifier file" in refused(tmp_path / "nowhere.npz")


@pytest.mark.parametrize("keep", [0, 1, 10, 100, 0.5, 0.9, 0.999])
def test_truncated_file(saved: Path, tmp_path: Path, keep: float) -> None:
    whole = saved.read_bytes()
    short = tmp_path / "short.npz"
    short.write_bytes(whole[: int(keep if isinstance(keep, int) else keep * len(whole))])
    assert "train it again" in refused(short)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_flipped_bytes_are_refused_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("flip")
    hand_made().save(folder / "good.npz")
    content = bytearray((folder / "good.npz").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    (folder / "bad.npz").write_bytes(bytes(content))
    try:
        loaded = GrokClassifier.load(folder / "bad.npz")
    except ClassifierFileError:
        return
    assert loaded.look(np.ones((1, len(COLUMNS)))).probability.shape == (1,)


def test_other_files(tmp_path: Path) -> None:
    text = tmp_path / "metrics.csv"
    text.write_text("step,loss\n0,1.0\n")
    refused(text)
    sweep = tmp_path / "sweep.npz"
    np.savez(sweep, train_loss=np.ones((3, 400)))
    refused(sweep)
    pickled = tmp_path / "pickled.npz"
    np.savez(pickled, header=np.array([{"magic": "grokpredict-classifier"}], dtype=object))
    refused(pickled)
    refused(tmp_path)


def test_a_pickle_in_the_file_is_not_executed(saved: Path, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return (os.mkdir, (str(tmp_path / "executed"),))

    def plant(_: Any, arrays: dict[str, Any]) -> None:
        arrays["trees.value"] = np.array([Bomb()], dtype=object)

    refused(rewritten(saved, tmp_path / "bomb.npz", plant))
    assert not (tmp_path / "executed").exists()


def test_a_file_that_claims_to_unpack_to_gigabytes(saved: Path, tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.npz"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.npy", bytes(100 * 2**20))
    assert bomb.stat().st_size < 200_000
    assert "100 MiB" in refused(bomb)


@pytest.mark.parametrize("protocol", [0, PROTOCOL + 1, "1", None])
def test_another_protocol_is_refused(saved: Path, tmp_path: Path, protocol: Any) -> None:
    other = rewritten(saved, tmp_path / "o.npz", lambda h, _: h.update(protocol=protocol))
    message = refused(other)
    assert "protocol" in message
    assert "train it again" in message


def test_unknown_columns_are_refused(saved: Path, tmp_path: Path) -> None:
    def rename(header: dict[str, Any], _: Any) -> None:
        header["columns"][3] = "tea_leaves"

    assert "columns that this version lacks" in refused(
        rewritten(saved, tmp_path / "a.npz", rename)
    )


def _set(name: str, index: int, value: float) -> Any:
    def change(_: Any, arrays: dict[str, Any]) -> None:
        arrays[name] = arrays[name].astype(type(value))
        arrays[name][index] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        _set("trees.left", 1, 0),  # a loop
        _set("trees.left", 0, 0),  # half a leaf
        _set("trees.right", 0, 99),
        _set("trees.right", 0, -1),
        _set("trees.feature", 0, len(COLUMNS)),
        _set("trees.feature", 0, -1),
        _set("trees.root", 0, 3),
        _set("trees.root", 0, -1),
        _set("trees.value", 1, float("nan")),
        _set("trees.value", 1, float("inf")),
        _set("trees.threshold", 0, float("nan")),
        _set("trees.left", 0, 1.5),
        _set("range.low", 0, float("nan")),
        _set("range.high", 0, float("inf")),
        _set("range.high", COLUMNS.index(BUDGET_COLUMN), 60.0),
        _set("range.low", 0, 1e300),  # above its other end
        _set("calibrations.0.scores", 0, 2.0),
        _set("calibrations.0.scores", 0, 0.9),  # out of order
        _set("calibrations.0.scores", 0, float("nan")),
        lambda _, arrays: arrays.update({"calibrations.0.sizes": np.array([3])}),
        lambda _, arrays: arrays.update({"calibrations.0.sizes": np.array([-1, 1])}),
        lambda _, arrays: arrays.update({"calibrations.0.sizes": np.array([0.0])}),
        lambda _, arrays: arrays.pop("calibrations.0.kinds"),
        lambda _, arrays: arrays.update({"trees.value": np.zeros(2)}),
        lambda _, arrays: arrays.update({"trees.root": np.zeros(0, int)}),
        lambda _, arrays: arrays.update({"range.low": np.zeros(5)}),
        lambda _, arrays: arrays.pop("trees.value"),
        lambda _, arrays: arrays.pop("range.low"),
        lambda header, _: header.update(card=None),
        lambda header, _: header.update(rule={"metric": "karma"}),
        lambda header, _: header.update(rule={"colour": "red"}),
        lambda header, _: header.pop("reads"),
        lambda header, _: header.update(reads=[["train_loss", "val_acc"]] * 2),
        lambda header, _: header.update(reads=[["tea_leaves"]]),
        lambda header, _: header.update(reads=[["val_acc", "train_loss"]]),
        lambda header, _: header.update(reads="many"),
        lambda header, _: header.update(reads=[7]),
        lambda header, _: header.update(columns=7),
    ],
)
def test_hostile_contents_are_refused(saved: Path, tmp_path: Path, change: Any) -> None:
    refused(rewritten(saved, tmp_path / "hostile.npz", change))


def test_a_header_that_is_no_object(tmp_path: Path) -> None:
    for i, text in enumerate([b"[1]", b"7", b"{", b"\xff", b"[" * 100_000]):
        path = tmp_path / f"{i}.npz"
        np.savez(path, header=np.frombuffer(text, np.uint8))
        refused(path)


@pytest.mark.skipif(sys.platform == "win32", reason="needs RLIMIT_FSIZE")
def test_a_write_that_fails_midway_keeps_the_old_file(saved: Path) -> None:
    before = saved.read_bytes()
    code = textwrap.dedent(
        f"""
        import resource, signal, sys
        sys.path.insert(0, {str(TESTS)!r})
        from planted import hand_made
        classifier = hand_made()
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            classifier.save({str(saved)!r})
        except OSError as error:
            print("failed:", error)
        """
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "failed:" in done.stdout
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


def test_saving_over_a_file_replaces_it(saved: Path) -> None:
    hand_made({READS: np.full(7, 0.25)}).save(saved)
    assert load_classifier(saved).n_calibration(READS) == 7
    assert len(list(saved.parent.iterdir())) == 1


def test_saving_into_no_folder_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        hand_made().save(tmp_path / "nowhere" / "c.npz")


def test_loading_and_looking_need_no_scikit_learn(saved: Path) -> None:
    code = textwrap.dedent(
        f"""
        import sys
        import numpy as np
        from grokpredict.features.recording import Recording
        from grokpredict.model.classifier import load_classifier
        from grokpredict.model.verdict import judge
        recording = Recording()
        recording.take("train_loss", np.arange(400), np.ones(400))
        recording.take("val_acc", np.arange(0, 400, 20), np.full(20, 0.5))
        row = recording.columns([2], 900)[0]
        verdict = judge(load_classifier({str(saved)!r}), row, 2, reads={READS!r}, budget=900)
        assert verdict.action == "abort", verdict
        print(sorted({{m.split(".")[0] for m in sys.modules}} & {{
            "sklearn", "torch", "matplotlib", "joblib", "pickle5", "skops"}}))
        """
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# -- the trees -------------------------------------------------------------------------------


def _walk(trees: Trees, row: np.ndarray) -> float:
    """The same by recursion, one row and one tree at a time."""
    total = float(trees.baseline[0])
    for root in trees.root.tolist():
        node = root
        while trees.left[node] != node:
            seen = row[trees.feature[node]]
            left = trees.missing_left[node] if np.isnan(seen) else seen <= trees.threshold[node]
            node = int(trees.left[node] if left else trees.right[node])
        total += float(trees.value[node])
    return total


def test_trees_equal_a_walk_node_by_node(trained: GrokClassifier) -> None:
    rng = np.random.default_rng(0)
    trees = trained.trees
    x = rows()
    x = np.concatenate([x, np.where(rng.random(x.shape) < 0.3, np.nan, x)])
    expected = [_walk(trees, row) for row in x]
    np.testing.assert_allclose(trees.log_odds(x), expected, rtol=1e-12)


def test_many_rows_are_evaluated_in_chunks(trained: GrokClassifier) -> None:
    x = np.tile(rows(), (250, 1))
    probability = trained.trees.probability(x)
    np.testing.assert_array_equal(probability, np.tile(probability[:20], 250))
