"""The public names: what they take, what they show, what they raise."""

from __future__ import annotations

import pkgutil
from pathlib import Path

import numpy as np
import pytest
from planted import planted_sweep
from short_runs import BUDGET, run
from test_cli import as_bundle

import grokpredict
from grokpredict import (
    ClassifierFileError,
    Columns,
    Curve,
    Evaluation,
    GrokClassifier,
    GrokpredictError,
    LogError,
    Sweep,
    UnsuitableRunError,
    UnsuitableSweepError,
    evaluate,
    load_classifier,
    read_run,
    read_sweep,
    score,
    train,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("runs")
    as_bundle(place / "a.npz", list(planted_sweep(40, steps=220, stride=5).runs))
    as_bundle(place / "b.npz", list(planted_sweep(20, steps=220, stride=5, seed=1).runs))
    return place


@pytest.fixture(scope="module")
def loss_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "loss.csv"
    rows = (
        f"{step},{loss!r}\n" for step, loss in enumerate(np.exp(-np.arange(500) / 200).tolist())
    )
    path.write_text("step,train_loss\n" + "".join(rows))
    return path


def test_one_path_or_several(folder: Path) -> None:
    for paths in (str(folder), folder, [folder], [str(folder / "a.npz"), folder / "b.npz"]):
        assert len(read_sweep(paths)) == 60
    assert len(read_sweep(iter([folder]))) == 60
    with pytest.raises(LogError, match="No file or folder 'sweeps'"):
        read_sweep("sweeps")


def test_training_from_paths_is_training_from_the_runs(folder: Path, tmp_path: Path) -> None:
    from_paths, report = train(str(folder))
    from_runs, again = train(read_sweep(folder))
    assert report.to_dict() == again.to_dict()
    from_paths.save(tmp_path / "paths.npz")
    from_runs.save(str(tmp_path / "runs.npz"))
    assert (tmp_path / "paths.npz").read_bytes() == (tmp_path / "runs.npz").read_bytes()


def test_scoring_a_path_is_scoring_its_run(loss_csv: Path, folder: Path) -> None:
    classifier = load_classifier("default")
    expected = score(read_run(loss_csv), classifier)
    for path in (loss_csv, str(loss_csv)):
        assert score(path).to_dict() == expected.to_dict()
    known = {"lr": 1e-3, "weight_decay": 1.0, "optimizer": "adamw", "train_size": 300, "betas": 0.9}
    assert (
        score(loss_csv, columns=Columns(hparams={**known, "max_steps": 3000})).verdict.budget
        == 3000
    )
    with pytest.raises(LogError, match="40 runs, not one"):
        score(folder / "a.npz")
    with pytest.raises(ClassifierFileError):
        score(loss_csv, folder / "a.npz")


def test_evaluating_paths_is_evaluating_the_runs(folder: Path, found: Evaluation) -> None:
    assert evaluate([folder / "a.npz", folder / "b.npz"]).to_dict() == found.to_dict()


@pytest.fixture(scope="module")
def found(folder: Path) -> Evaluation:
    return evaluate(read_sweep(str(folder)))


def test_every_object_shows_itself_in_one_line(
    folder: Path, loss_csv: Path, found: Evaluation, classifier: GrokClassifier
) -> None:
    sweep = read_sweep(folder)
    scored = score(loss_csv)
    shown = [sweep, sweep.runs[0].loss, load_classifier("default"), classifier]
    for thing in (*shown, found, scored.verdict, *scored.looks):
        assert "\n" not in repr(thing)
        assert len(repr(thing)) <= 160
    for thing in (sweep.runs[0], scored):  # these hold a path
        assert len(repr(thing).replace(str(folder), "").replace(str(loss_csv), "")) <= 160
    assert repr(sweep) == "<Sweep of 60 runs>"
    assert repr(Curve([], [])) == "<Curve without samples>"
    assert repr(load_classifier("default")).startswith("<GrokClassifier: 150 trees, trained on ")
    assert "after 400 steps, P(generalises by 10000) = " in repr(scored)


def test_our_errors_have_one_base(tmp_path: Path) -> None:
    for kind in (LogError, UnsuitableRunError, UnsuitableSweepError, ClassifierFileError):
        assert issubclass(kind, GrokpredictError)
    assert issubclass(GrokpredictError, ValueError)
    with pytest.raises(GrokpredictError, match="there is no classifier file"):
        load_classifier(tmp_path / "none.npz")
    few = [run(seed) for seed in range(8)]
    with pytest.raises(UnsuitableSweepError, match="needs 10 runs of each outcome"):
        train(Sweep(few), budget=BUDGET)
    doomed = [one for one in few if one.channels["val_acc"].values.max() < 0.5]
    assert 0 < len(doomed) < len(few)
    with pytest.raises(UnsuitableSweepError, match="needs runs of both outcomes"):
        evaluate(Sweep(doomed), budget=BUDGET)


def test_every_public_name_is_documented() -> None:
    docs = Path(__file__).parents[1] / "docs"
    promised = (docs / "api.md").read_text()
    reference = (docs / "reference" / "python.md").read_text().splitlines()
    shown = {line.rpartition(" ")[2].rpartition(".")[2] for line in reference if ":: " in line}
    for name in grokpredict.__all__:
        assert f"`{name}" in promised, name
    assert set(grokpredict.__all__) <= shown


def test_no_module_is_called_like_a_name_of_its_package() -> None:
    """Importing such a module would put it in the name's place."""
    packages = ["grokpredict"] + [
        f"grokpredict.{name}"
        for name in ("runs", "logs", "model", "training", "live", "evaluation", "reporting")
    ]
    for name in packages:
        package = __import__(name, fromlist=["*"])
        modules = {module.name for module in pkgutil.iter_modules(package.__path__)}
        assert not modules & set(package.__all__), name
    assert callable(grokpredict.evaluate)
