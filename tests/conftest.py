"""Fixtures: a classifier for short runs, trained by the real code once per state of that code."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import threadpoolctl

import grokpredict
from grokpredict.model.classifier import GrokClassifier

#: Packages that decide what a classifier is that was trained on given runs.
_IN_TRAINING = ("runs", "features", "model", "training")


@pytest.fixture(scope="session")
def short_classifier_file(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A classifier with horizons of 40 and 80 steps, kept in pytest's cache (10 s to train)."""
    from short_runs import short_classifier

    digest = hashlib.sha256(Path(__file__).with_name("short_runs.py").read_bytes())
    package = Path(grokpredict.__file__).parent
    for name in _IN_TRAINING:
        for source in sorted((package / name).glob("*.py")):
            digest.update(source.read_bytes())
    cache = getattr(request.config, "cache", None)
    folder = cache.mkdir("short-classifier") if cache else tmp_path_factory.mktemp("classifier")
    path = folder / f"{digest.hexdigest()[:16]}.npz"
    if not path.exists():
        # Threads that wait for each other on a busy machine take 20 times as long.
        with threadpoolctl.threadpool_limits(1):
            short_classifier().save(path)
    return path


@pytest.fixture(scope="session")
def planted_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six bundles, for the clusters."""
    from sweep_on_disk import write_sweep

    return write_sweep(tmp_path_factory.mktemp("planted") / "sweep", bundles=6)


@pytest.fixture(scope="session")
def trained_here(planted_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command line makes of them on this machine."""
    from sweep_on_disk import train

    folder = tmp_path_factory.mktemp("here")
    done = train(planted_folder, folder / "c.npz", folder / "cache")
    assert done.returncode == 0, done.stderr
    return folder / "c.npz"


@pytest.fixture(scope="session")
def classifier(short_classifier_file: Path) -> GrokClassifier:
    return GrokClassifier.load(short_classifier_file)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """PyTorch on one thread, as the generator trains: sums come out in one order."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
