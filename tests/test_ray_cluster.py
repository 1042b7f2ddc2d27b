"""A real Ray cluster of two nodes does what this machine does."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from sweep_on_disk import train

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    cluster_utils = pytest.importorskip("ray.cluster_utils", reason="Ray is not installed")

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Of a cluster whose every process belongs to this one."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    options = {"num_cpus": 1, "object_store_memory": 100 * 2**20}
    cluster = cluster_utils.Cluster(
        initialize_head=True, head_node_args={**options, "include_dashboard": False}
    )
    try:
        cluster.add_node(**options)
        yield cluster.address
    finally:
        cluster.shutdown()


def test_a_cluster_trains_the_same_classifier(
    address: str, planted_folder: Path, trained_here: Path, tmp_path: Path
) -> None:
    on_cluster = ["--backend", "ray", "--scheduler", address]
    done = train(
        Path(planted_folder.name),
        tmp_path / "there.npz",
        tmp_path / "cache",
        *on_cluster,
        cwd=planted_folder.parent,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "there.npz").read_bytes() == trained_here.read_bytes()
