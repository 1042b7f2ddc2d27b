"""What a classifier says, its file, and what it refuses."""

from __future__ import annotations

import dataclasses
import json
import os
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
from planted import hand_made, planted_sweep, read

from grokpredict.features.configuration import CONTEXT_TERMS
from grokpredict.features.signal import feature_names
from grokpredict.features.window import WINDOW_COLUMNS
from grokpredict.model.classifier import (
    ClassifierFileError,
    GrokClassifier,
    Looks,
    load_classifier,
)
from grokpredict.model.file import PROTOCOL
from grokpredict.model.reading import WINDOW_READS
from grokpredict.model.trees import Trees
from grokpredict.runs.configuration import Configuration
from grokpredict.runs.curve import UnsuitableRunError
from grokpredict.runs.run import window
from grokpredict.training.gathering import train

SWEEP = planted_sweep(90, seed=3)
TESTS = Path(__file__).parent


@pytest.fixture(scope="module")
def trained() -> GrokClassifier:
    return train(SWEEP, horizons=(200, 400), strides=(1, 10))[0]


def look(
    classifier: GrokClassifier, *, configuration: bool, budget: Any = 4000, stride: int = 1
) -> Looks:
    runs = SWEEP.runs[:20]
    return classifier.look(
        window(runs, 400, stride),
        horizon=400,
        stride=stride,
        configurations=[run.configuration for run in runs] if configuration else None,
        budget=budget,
    )


# -- looking ---------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    budgets=st.lists(st.integers(401, 10**6), min_size=2, max_size=6).map(sorted),
    configuration=st.booleans(),
    stride=st.sampled_from([1, 10]),
)
def test_probability_never_falls_as_the_budget_grows(
    trained: GrokClassifier, budgets: list[int], configuration: bool, stride: int
) -> None:
    scores = np.array(
        [
            look(trained, configuration=configuration, budget=b, stride=stride).probability
            for b in budgets
        ]
    )
    assert np.all(np.diff(scores, axis=0) >= 0)
    assert np.all((scores > 0) & (scores < 1))


def test_probability_answers_to_the_budget(trained: GrokClassifier) -> None:
    early, late = (look(trained, configuration=False, budget=b).probability for b in (600, 4000))
    assert (late - early).mean() > 0.2


def test_each_run_may_have_its_own_budget(trained: GrokClassifier) -> None:
    budgets = np.linspace(500, 4000, 20).astype(int)
    together = look(trained, configuration=True, budget=budgets).probability
    one = [
        look(trained, configuration=True, budget=b).probability[i] for i, b in enumerate(budgets)
    ]
    np.testing.assert_array_equal(together, one)


def test_rows_do_not_depend_on_their_company(trained: GrokClassifier) -> None:
    runs = SWEEP.runs[:7]
    epochs = window(runs, 400)
    configurations = [run.configuration if i % 2 else None for i, run in enumerate(runs)]
    together = trained.look(epochs, horizon=400, configurations=configurations, budget=4000)
    assert read(trained, together, "configuration") == [False, True] * 3 + [False]
    for i in range(7):
        alone = trained.look(
            epochs[i : i + 1], horizon=400, configurations=configurations[i : i + 1], budget=4000
        )
        assert alone.probability[0] == together.probability[i]
        assert alone.stranger[0] == together.stranger[i]
        np.testing.assert_array_equal(alone.features[0], together.features[i])


def test_context_that_is_not_read_leaves_nan_in_its_features(trained: GrokClassifier) -> None:
    n = len(CONTEXT_TERMS)
    assert np.isnan(look(trained, configuration=False).features[:, -n:]).all()
    told = look(trained, configuration=True).features[:, -n:]
    assert np.isfinite(told[:, 0]).all()
    # Batch and training-set size were not known.
    assert np.isnan(told[:, CONTEXT_TERMS.index("log10_train_size")]).all()


def test_learning_rate_or_weight_decay_must_be_known_for_the_context(
    trained: GrokClassifier,
) -> None:
    epochs = window(SWEEP.runs[:4], 400)
    configurations = [
        None,
        Configuration(optimizer="adamw", batch_size=512),
        Configuration(weight_decay=0.0),
        Configuration(learning_rate=1e-3),
    ]
    lenient = dataclasses.replace(trained, context_fields=())
    looks = lenient.look(epochs, horizon=400, configurations=configurations, budget=4000)
    assert read(trained, looks, "configuration") == [False, False, True, True]
    bare = trained.look(epochs, horizon=400, budget=4000)
    np.testing.assert_array_equal(looks.probability[:2], bare.probability[:2])
    # What is known of the second was not read, so it is not shown either.
    assert np.isnan(looks.features[:2, -len(CONTEXT_TERMS) :]).all()


def test_the_default_reads_a_configuration_without_the_size_of_the_network() -> None:
    # Hyperparameters seldom tell it, and of new networks it told nothing.
    configuration = Configuration("adamw", 1e-3, 0.1, 0.9, train_size=500)
    epochs = window(SWEEP.runs[:1], 400)
    default = load_classifier()
    looks = default.look(epochs, horizon=400, configurations=[configuration])
    assert read(default, looks, "configuration") == [True]
    # Where it is told it makes no difference, unless it is quite another size.
    usual, huge = (
        default.look(
            epochs,
            horizon=400,
            configurations=[dataclasses.replace(configuration, n_parameters=size)],
        )
        for size in (10_000, 10**9)
    )
    assert usual.probability == looks.probability
    assert usual.stranger[0] is None
    assert "log10_parameters_over_train_size" in str(huge.stranger[0])


def test_non_finite_losses_get_no_probability_and_a_reason(trained: GrokClassifier) -> None:
    epochs = window(SWEEP.runs[:3], 400)
    epochs[1, 5] = np.nan
    looks = trained.look(epochs, horizon=400, budget=4000)
    assert np.isnan(looks.probability).tolist() == [False, True, False]
    assert "not finite" in str(looks.stranger[1])
    assert np.isnan(looks.features[1, 0])


@pytest.mark.parametrize(
    ("losses", "what"),
    [
        (np.full(400, 2.0), "flat"),
        (1e4 + np.arange(400.0), "rising from ten thousand"),
        (np.random.default_rng(0).random(400), "white noise"),
        (np.sin(np.arange(400) / 3) + 1.1, "a sine"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_curves_of_another_kind_are_strangers(
    trained: GrokClassifier, losses: np.ndarray, what: str
) -> None:
    stranger = trained.look(losses[None], horizon=400, budget=4000).stranger[0]
    assert stranger is not None, what
    assert "training runs" in stranger
    assert any(name in stranger for name in feature_names())


def test_new_runs_of_the_same_kind_are_no_strangers(trained: GrokClassifier) -> None:
    runs = planted_sweep(300, seed=77).runs
    looks = trained.look(
        window(runs, 400),
        horizon=400,
        configurations=[run.configuration for run in runs],
        budget=4000,
    )
    assert sum(reason is not None for reason in looks.stranger) <= 6


@pytest.mark.parametrize(
    ("configuration", "named"),
    [
        (Configuration("adamw", 10.0, 0.1), "log10_learning_rate"),
        (Configuration("adamw", 1e-3, 50.0), "log10_weight_decay"),
        (Configuration("sgd", 1e-3, 0.1), "sgd|adamw"),
    ],
)
def test_a_configuration_far_from_training_is_a_stranger(
    trained: GrokClassifier, configuration: Configuration, named: str
) -> None:
    epochs = window(SWEEP.runs[:1], 400)
    reason = trained.look(
        epochs, horizon=400, configurations=[configuration], budget=4000
    ).stranger[0]
    assert reason is not None
    assert any(name in reason for name in named.split("|"))


def test_a_budget_far_beyond_training_is_a_stranger(trained: GrokClassifier) -> None:
    assert look(trained, configuration=False, budget=7000).stranger == (None,) * 20
    far = look(trained, configuration=False, budget=40_000).stranger
    assert all(reason is not None and "40000" in reason and "4000" in reason for reason in far)


def test_grids_and_their_horizons(trained: GrokClassifier) -> None:
    assert trained.horizons == (200, 400)
    assert trained.strides == (1, 10)
    assert trained.horizons_on(1) == (200, 400)
    # Twenty samples are too few for the features.
    assert trained.horizons_on(10) == (400,)
    with pytest.raises(UnsuitableRunError, match="every 1, 10 steps, not every 3"):
        trained.horizons_on(3)


def test_thresholds_per_grid_and_variant() -> None:
    classifier = hand_made(scores={(False, 1): np.linspace(0, 1, 100)})
    loss, configured = WINDOW_READS[:2]
    assert classifier.threshold(loss, 1, 0.05) == pytest.approx(1 / 99)
    assert classifier.threshold(configured, 1, 0.05) is None
    assert classifier.threshold(loss, 10, 0.05) is None
    assert classifier.n_calibration(loss, 1) == 100
    with pytest.raises(UnsuitableRunError):
        classifier.threshold(loss, 7, 0.05)


# -- the file --------------------------------------------------------------------------------


def test_a_saved_classifier_says_the_same(trained: GrokClassifier, tmp_path: Path) -> None:
    path = tmp_path / "own.npz"
    trained.save(path)
    loaded = load_classifier(path)
    for configuration in (False, True):
        for budget in (500, 4000):
            before = look(trained, configuration=configuration, budget=budget)
            after = look(loaded, configuration=configuration, budget=budget)
            np.testing.assert_allclose(after.probability, before.probability, rtol=0, atol=1e-12)
            assert after.stranger == before.stranger
    for name in ("grids", "rule", "budget", "settings"):
        assert getattr(loaded, name) == getattr(trained, name)
    for again, reader in zip(loaded.readers, trained.readers, strict=True):
        assert again.reads == reader.reads
        assert list(again.scores) == list(reader.scores)
        for stride, scores in reader.scores.items():
            np.testing.assert_array_equal(again.scores[stride], scores)
    assert dict(loaded.card) == json.loads(json.dumps(dict(trained.card)))
    assert load_classifier(loaded) is loaded
    # What numpy alone can read, without pickle.
    with np.load(path, allow_pickle=False) as file:
        header = json.loads(file["header"].tobytes())
    assert header["magic"] == "grokpredict-classifier"
    assert header["feature_names"] == list(WINDOW_COLUMNS)


def test_without_a_context_ensemble_the_loss_alone_is_read(tmp_path: Path) -> None:
    whole = hand_made(scores={(False, 1): np.full(59, 0.5)})
    bare = dataclasses.replace(whole, readers=whole.readers[:1])
    bare.save(tmp_path / "bare.npz")
    loaded = load_classifier(tmp_path / "bare.npz")
    looks = loaded.look(
        window(SWEEP.runs[:1], 400),
        horizon=400,
        configurations=[Configuration(learning_rate=1.0)],
        budget=900,
    )
    assert read(loaded, looks, "configuration") == [False]
    assert looks.probability[0] == pytest.approx(0.1)


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
    hand_made(scores={(False, 1): np.full(59, 0.5)}).save(path)
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
    assert loaded.look(np.ones((1, 400)), horizon=400, budget=900).probability.shape == (1,)


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
        arrays["readers.0.trees.value"] = np.array([Bomb()], dtype=object)

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


def test_unknown_features_and_settings_are_refused(saved: Path, tmp_path: Path) -> None:
    def rename(header: dict[str, Any], _: Any) -> None:
        header["feature_names"][3] = "tea_leaves"

    def add(header: dict[str, Any], _: Any) -> None:
        header["signal"]["wavelet"] = "db4"

    assert "features that this version" in refused(rewritten(saved, tmp_path / "a.npz", rename))
    assert "settings that this version" in refused(rewritten(saved, tmp_path / "b.npz", add))


def _set(name: str, index: int, value: float) -> Any:
    def change(_: Any, arrays: dict[str, Any]) -> None:
        arrays[name] = arrays[name].astype(type(value))
        arrays[name][index] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        _set("readers.0.trees.left", 1, 0),  # a loop
        _set("readers.0.trees.left", 0, 0),  # half a leaf
        _set("readers.0.trees.right", 0, 99),
        _set("readers.0.trees.right", 0, -1),
        _set("readers.0.trees.feature", 0, 32 + 4),  # a context term, which the loss alone lacks
        _set("readers.0.trees.feature", 0, -1),
        _set("readers.0.trees.root", 0, 3),
        _set("readers.0.trees.root", 0, -1),
        _set("readers.0.trees.value", 1, float("nan")),
        _set("readers.0.trees.value", 1, float("inf")),
        _set("readers.0.trees.threshold", 0, float("nan")),
        _set("readers.0.trees.left", 0, 1.5),
        _set("familiar.scale", 0, 0.0),
        _set("familiar.limit", 0, float("nan")),
        _set("readers.0.scores.0", 0, 2.0),
        lambda _, arrays: arrays.update({"readers.0.trees.value": np.zeros(2)}),
        lambda _, arrays: arrays.update({"readers.0.trees.root": np.zeros(0, int)}),
        lambda _, arrays: arrays.update({"familiar.low": np.zeros((3, 5))}),
        lambda _, arrays: arrays.pop("readers.0.trees.value"),
        lambda _, arrays: arrays.pop("familiar.limit"),
        lambda header, _: header.update(grids=[]),
        lambda header, _: header.update(grids=[[400, 0]]),
        lambda header, _: header.update(grids=[[400, 1], [400, 1], [200, 1]]),
        lambda header, _: header.update(grids=[[20, 1], [400, 1], [200, 1]]),
        lambda header, _: header.update(grids="many"),
        lambda header, _: header.update(budget="soon"),
        lambda header, _: header.update(budget=-3),
        lambda header, _: header.update(card=None),
        lambda header, _: header.update(rule={"metric": "karma"}),
        lambda header, _: header.update(rule={"colour": "red"}),
        lambda header, _: header["signal"].update(order=-1),
        lambda header, _: header.pop("readers"),
        lambda header, _: header["readers"].pop(0),
        lambda header, _: header["readers"].reverse(),
        lambda header, _: header["readers"][0].pop("strides"),
        lambda header, _: header["readers"][0].update(strides=[1, 2]),
        lambda header, _: header["readers"][1].update(reads=["train_loss"]),
        lambda header, _: header["readers"][1].update(reads=["tea_leaves"]),
        lambda header, _: header.update(feature_names=7),
        lambda header, _: header.update(signal=7),
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
    hand_made(scores={(False, 1): np.full(7, 0.25)}).save(saved)
    assert load_classifier(saved).n_calibration(("train_loss",), 1) == 7
    assert len(list(saved.parent.iterdir())) == 1


def test_saving_into_no_folder_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        hand_made().save(tmp_path / "nowhere" / "c.npz")


def test_loading_and_looking_need_no_scikit_learn(saved: Path) -> None:
    code = textwrap.dedent(
        f"""
        import sys
        import numpy as np
        from grokpredict.model.classifier import load_classifier
        from grokpredict.model.verdict import judge
        verdict = judge(load_classifier({str(saved)!r}), np.ones(400), horizon=400, budget=900)
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
    trees = trained.readers[1].trees
    x = look(trained, configuration=True).features
    x = np.concatenate([x, np.where(rng.random(x.shape) < 0.3, np.nan, x)])
    expected = [_walk(trees, row) for row in x]
    np.testing.assert_allclose(trees.log_odds(x), expected, rtol=1e-12)


def test_many_rows_are_evaluated_in_chunks(trained: GrokClassifier) -> None:
    x = np.tile(look(trained, configuration=False).features[:, :36], (250, 1))
    found = trained.readers[0].trees.probability(x)
    np.testing.assert_array_equal(found, np.tile(found[:20], 250))
