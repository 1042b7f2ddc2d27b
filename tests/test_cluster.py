"""A real Dask scheduler with two worker processes does what this machine does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sweep_on_disk import COMMAND, command, environment, train

distributed = pytest.importorskip("distributed")

DASK = Path(sys.executable).with_name("dask")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """The address of a scheduler, and its workers, each with a working folder of its own."""
    told = tmp_path / "scheduler.json"
    log = (tmp_path / "dask.log").open("wb")
    base = [str(DASK)]
    file = ["--scheduler-file", str(told)]
    quiet = {"env": environment(tmp_path / "elsewhere"), "stdout": log, "stderr": log}
    scheduler = subprocess.Popen(
        [*base, "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", *file],
        **quiet,  # type: ignore[call-overload]
    )
    workers = []
    for number in range(2):
        own = tmp_path / f"worker{number}"
        own.mkdir()
        options = ["--nthreads", "1", "--no-dashboard", "--no-nanny", "--local-directory", str(own)]
        workers.append(
            subprocess.Popen([*base, "worker", *options, *file], cwd=own, **quiet)  # type: ignore[call-overload]
        )
    with distributed.Client(scheduler_file=str(told)) as client:
        client.wait_for_workers(2, timeout=120)
        address = client.scheduler.address
    yield address, workers
    for process in (*workers, scheduler):
        process.kill()
        process.wait()
    log.close()


def test_a_cluster_trains_the_same_classifier_and_a_killed_worker_loses_nothing(
    cluster: tuple[str, list[subprocess.Popen[bytes]]],
    planted_folder: Path,
    trained_here: Path,
    tmp_path: Path,
) -> None:
    address, workers = cluster
    sweep, local = planted_folder, trained_here.read_bytes()
    on_cluster = ["--backend", "dask", "--scheduler", address]
    cache = tmp_path / "cache"
    # Relative to the folder of this process, not to those of the workers.
    done = train(Path(sweep.name), tmp_path / "a.npz", cache, *on_cluster, cwd=sweep.parent)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.npz").read_bytes() == local
    process = subprocess.Popen(
        [*command(sweep, tmp_path / "b.npz"), *on_cluster],
        env=environment(tmp_path / "other cache"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not any(path.is_file() for path in (tmp_path / "other cache").rglob("*")):
        assert process.poll() is None
        time.sleep(0.01)
    workers[0].send_signal(signal.SIGKILL)
    _, err = process.communicate()
    assert process.returncode == 0, err
    assert (tmp_path / "b.npz").read_bytes() == local


def test_a_cluster_evaluates_alike(
    cluster: tuple[str, list[subprocess.Popen[bytes]]], planted_folder: Path, trained_here: Path
) -> None:
    sweep = [f"{planted_folder.name}/{number:03}.npz" for number in range(2)]
    run = [*COMMAND, "evaluate", *sweep, "--classifier", str(trained_here), "--json"]
    here, there = (
        subprocess.run([*run, *options], cwd=planted_folder.parent, check=True, capture_output=True)
        for options in ([], ["--backend", "dask", "--scheduler", cluster[0]])
    )
    assert json.loads(there.stdout)["counts"]
    assert there.stdout == here.stdout


def test_a_cluster_makes_the_same_sweep(
    cluster: tuple[str, list[subprocess.Popen[bytes]]], tmp_path: Path
) -> None:
    made = []
    for name, options in (
        ("here", []),
        ("there", ["--backend", "dask", "--scheduler", cluster[0]]),
    ):
        (tmp_path / name).mkdir()
        run = [*COMMAND, "sweep", "easy", "--runs", "48", "--steps", "50", *options]
        subprocess.run(run, cwd=tmp_path / name, check=True, env=dict(os.environ))
        made.append({p.name: p.read_bytes() for p in (tmp_path / name).rglob("*.npz")})
    assert len(made[0]) == 2
    assert made[0] == made[1]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--backend", "dask"], "the backend dask needs a scheduler address, got None"),
        (["--scheduler", "tcp://x:1"], "the backend loky takes no scheduler address"),
        (
            ["--backend", "dask", "--scheduler", "tcp://127.0.0.1:1"],
            "Timed out trying to connect to tcp://127.0.0.1:1",
        ),
    ],
)
def test_a_wrong_address_is_one_sentence(
    options: list[str], told: str, planted_folder: Path, tmp_path: Path
) -> None:
    env = {**environment(tmp_path), "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "1s"}
    run = [*command(planted_folder, tmp_path / "c.npz"), *options]
    done = subprocess.run(run, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr
