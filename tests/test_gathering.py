"""What training keeps of a sweep is the same however it was worked through, and is kept."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from planted import planted_sweep
from sweep_on_disk import write_sweep

from grokpredict._util import cache as cache_module
from grokpredict._util.cache import Cache, default_folder
from grokpredict.logs import read_sweep
from grokpredict.runs.labels import LabelRule
from grokpredict.runs.run import Run
from grokpredict.training import gathering, pipeline
from grokpredict.training.gathering import gather, records_of_many
from grokpredict.training.pipeline import train, train_gathered
from grokpredict.training.record import Record


def assert_same(one: Sequence[Record], other: Sequence[Record]) -> None:
    assert [record.facts for record in one] == [record.facts for record in other]
    for mine, theirs in zip(one, other, strict=True):
        assert mine.sha256 == theirs.sha256
        for name in ("look", "columns", "patience"):
            np.testing.assert_array_equal(getattr(mine, name), getattr(theirs, name))


def write_csv(path: Path, run: Run) -> None:
    accuracy = dict(zip(*map(np.ndarray.tolist, dataclasses.astuple(run.channels["val_acc"]))))  # noqa: B905
    loss = dict(zip(*map(np.ndarray.tolist, dataclasses.astuple(run.loss))))  # noqa: B905
    rows = (
        f"{step},{loss.get(step, '')},{accuracy.get(step, '')}\n"
        for step in sorted({*loss, *accuracy})
    )
    path.write_text("step,train_loss,val_acc\n" + "".join(rows))
    hparams = {**run.hparams, "max_steps": run.max_steps}
    path.with_suffix(".yaml").write_text("".join(f"{k}: {v}\n" for k, v in hparams.items()))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two bundles and some CSV files, of which one is broken."""
    where = write_sweep(tmp_path / "sweep", bundles=2)
    for i, run in enumerate(planted_sweep(5, seed=7).runs):
        write_csv(where / f"{i}.csv", run)
    (where / "broken.csv").write_text("step,loss\n1,2,3\n")
    return where


def read_count(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The logs that are read from now on."""
    seen: list[Path] = []
    read = gathering.read_log

    def counted(path: Path, columns: object) -> object:
        seen.append(path)
        return read(path, columns)  # type: ignore[arg-type]

    monkeypatch.setattr(gathering, "read_log", counted)
    return seen


def test_logs_give_what_their_runs_give_in_memory(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "TASK_LOGS", 3)
    monkeypatch.setattr(gathering, "CHUNK", 4)
    sweep = read_sweep([folder])
    expected = records_of_many(sweep.runs)
    assert sum(record.look.size for record in expected) > 100
    for jobs in (1, 2):
        found = gather([folder], jobs=jobs)
        assert_same(found.records, expected)
        assert list(found.left_out) == list(sweep.left_out)
        assert found.findings == sweep.findings


def test_what_has_not_changed_is_not_read_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = Cache(tmp_path / "cache")
    first = gather([folder], cache=cache)
    seen = read_count(monkeypatch)
    again = gather([folder], cache=cache)
    assert_same(again.records, first.records)
    assert (again.left_out, again.findings) == (first.left_out, first.findings)
    # Nothing was learnt of that one.
    assert seen == [folder / "broken.csv"]

    def read_after() -> list[str]:
        seen.clear()
        gather([folder], cache=cache)
        return sorted(path.name for path in seen if path.name != "broken.csv")

    (folder / "0.csv").touch()
    assert read_after() == []
    text = (folder / "0.csv").read_text()
    (folder / "0.csv").write_text(text.replace("0.1", "0.2"))
    assert read_after() == ["0.csv"]
    with (folder / "1.yaml").open("a") as file:
        file.write("width: 8\n")
    assert read_after() == ["1.csv"]
    seen.clear()
    gather([folder], rule=LabelRule(threshold=0.9), cache=cache)
    assert len(seen) == 8
    # Whatever is broken in the cache is made anew.
    for path in (tmp_path / "cache").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:50])
    assert len(read_after()) == 7
    assert read_after() == []


def test_a_copied_or_moved_sweep_is_known(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under its new paths: of what was left out, and of what is remarked on."""
    (folder / "0.yaml").unlink()  # what has no configuration is known by its losses
    with np.load(folder / "000.npz") as bundle:
        arrays = dict(bundle)
    arrays["hparams"][3] = "[]"
    np.savez(folder / "000.npz", **arrays)
    (folder / "version_0").mkdir()
    (folder / "version_0" / "metrics.csv").write_text((folder / "1.csv").read_text())
    (folder / "output").mkdir()
    history = [{"step": step, "loss": 0.5} for step in range(1, 400)]
    (folder / "output" / "trainer_state.json").write_text(json.dumps({"log_history": history}))
    cache = Cache(tmp_path / "cache")
    first = gather([folder], cache=cache)
    classifier, _ = train_gathered(first, cache=cache)
    assert [path for _, path in first.findings.remarks.values()] == [str(folder / "output")]
    for move in (shutil.copytree, shutil.move):
        elsewhere = tmp_path / move.__name__ / "other"
        elsewhere.parent.mkdir()
        move(folder, elsewhere)
        expected = gather([elsewhere])
        with monkeypatch.context() as patch:
            seen = read_count(patch)
            patch.setattr(pipeline, "train_records", None)
            found = gather([elsewhere], cache=cache)
            again, _ = train_gathered(found, cache=cache)
        assert [path.name for path in seen] == ["broken.csv"]
        assert_same(found.records, expected.records)
        assert list(found.left_out) == list(expected.left_out)
        assert str(elsewhere) in found.left_out[0].path
        assert found.findings == expected.findings
        again.save(tmp_path / "again.npz")
        classifier.save(tmp_path / "first.npz")
        assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "first.npz").read_bytes()


def test_other_code_or_libraries_do_not_find_what_this_one_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Cache(tmp_path).put("abc", 1, int)
    assert Cache(tmp_path).get("abc", int) == 1
    monkeypatch.setattr(cache_module, "version", lambda name: "0.0")
    cache_module.generation.cache_clear()
    try:
        assert Cache(tmp_path).get("abc", int) is None
    finally:
        cache_module.generation.cache_clear()


def test_a_cache_that_cannot_be_written_costs_only_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    cache = Cache(tmp_path / "file" / "cache")
    with caplog.at_level(logging.WARNING):
        cache.put("abc", 1, int)
        cache.put("abd", 1, int)
    assert cache.get("abc", int) is None
    assert len(caplog.records) == 1


def test_old_results_go(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.put("abc", 1, int)
    old = tmp_path / "grokpredict-0123456789abcdef" / "ab" / "c"
    old.parent.mkdir(parents=True)
    old.write_text("")
    cache.tidy()
    assert old.exists()
    os.utime(old.parent.parent, (time.time() - 31 * 24 * 3600,) * 2)
    cache.tidy()
    assert not old.parent.parent.exists()
    assert cache.get("abc", int) == 1


def test_the_folder_is_where_people_look_for_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("GROKPREDICT_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert default_folder() == Path.home() / ".cache" / "grokpredict"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "grokpredict"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert default_folder() == Path.home() / ".cache" / "grokpredict"
    monkeypatch.setenv("GROKPREDICT_CACHE", str(tmp_path / "own"))
    assert default_folder() == tmp_path / "own"


def test_the_fits_are_counted(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    found = gather([write_sweep(tmp_path / "sweep", bundles=3)])
    train_gathered(found, progress=lambda done, total: told.append((done, total)))
    done, totals = zip(*told, strict=True)
    assert len(set(totals)) == 1
    assert list(done) == sorted(done)
    assert (done[0], done[-1]) == (0, totals[0])
    assert len(set(done)) == 12  # five folds for thresholds, five for figures, and the whole


def test_a_kept_classifier_is_the_one_that_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_sweep(tmp_path / "sweep")
    cache = Cache(tmp_path / "cache")
    found = gather([folder], cache=cache)
    first, report = train_gathered(found, cache=cache)
    direct, expected = train(read_sweep([folder]))
    assert report == expected
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "train_records", None)
        again, _ = train_gathered(gather([folder], cache=cache), cache=cache)
        with pytest.raises(TypeError):
            train_gathered(found, budget=3000, cache=cache)
    for name, each in (("a", first), ("b", direct), ("c", again)):
        each.save(tmp_path / name)
    assert len({(tmp_path / name).read_bytes() for name in "abc"}) == 1
