"""Fixtures: a classifier for short runs, a sweep on disk, and what was trained on it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from grokpredict.model.classifier import GrokClassifier

# Ray would join a cluster that somebody else has on this machine.
os.environ["RAY_ADDRESS"] = "local"

#: Files whose tests start a cluster; one at a time is enough for a machine.
WITH_CLUSTERS = ("test_cluster", "test_examples", "test_integrations", "test_ray_cluster")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests of a file in one process, which makes their fixtures once."""
    if not config.pluginmanager.hasplugin("xdist"):  # the lowest versions go without
        return
    for item in items:
        name = item.path.stem
        group = "clusters" if name in WITH_CLUSTERS else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session")
def short_classifier_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier that judges runs of 400 steps by the level of their training loss."""
    from short_runs import short_classifier

    path = tmp_path_factory.mktemp("classifier") / "short.npz"
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
