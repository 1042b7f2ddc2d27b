"""Outputs that cannot be written, full or closed streams, names that a terminal would obey."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planted import hand_made
from sweep_on_disk import COMMAND, command, environment, write_sweep

from grokpredict._util.atomic import replacing

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="devices and signals of Unix")

HOSTILE = "a\x1b[31m\x9b\u202e\n.csv"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    hand_made({("train_loss", "spectrum"): np.full(100, 0.5)}).save(tmp_path / "c.npz")
    rows = "".join(f"{step},{np.exp(-step / 200)}\n" for step in range(500))
    (tmp_path / "loss.csv").write_text("step,train_loss\n" + rows)
    return tmp_path


def program(folder: Path, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        text=True,
        check=False,
        **streams,
    )


SCORE = ("score", "loss.csv", "--classifier", "c.npz")


@pytest.mark.parametrize("kind", ["null", "pipe", "folder"])
@pytest.mark.parametrize("option", ["-o", "--plot"])
def test_an_output_that_is_no_file_stays_what_it_is(folder: Path, kind: str, option: str) -> None:
    output = folder / "out.png"
    if kind == "null":
        output.symlink_to("/dev/null")
    elif kind == "pipe":
        os.mkfifo(output)
    else:
        output.mkdir()
    before = output.stat().st_mode
    arguments = SCORE if option == "--plot" else ("train-classifier", "loss.csv")
    done = program(folder, *arguments, option, str(output))
    assert done.returncode == 2
    assert "must be a regular file" in done.stderr
    assert done.stderr.count("\n") == 1
    assert output.stat().st_mode == before
    with pytest.raises(OSError, match="regular file"), replacing(output):
        pass


def test_a_figure_that_cannot_be_finished_leaves_the_old_one(folder: Path) -> None:
    import resource

    (folder / "a.png").write_text("old")
    done = program(
        folder,
        *SCORE,
        "--plot",
        "a.png",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)),
    )
    assert done.returncode == 2
    assert (folder / "a.png").read_text() == "old"
    assert not list(folder.glob(".a.png*"))


def test_a_full_standard_error_does_not_hide_the_result(folder: Path) -> None:
    (folder / "bad.csv").write_text("step,loss\n0,1\n1,oops\n")
    with Path("/dev/full").open("w") as full:
        done = program(folder, "score", ".", "--classifier", "c.npz", "--json", stderr=full)
        assert (done.returncode, len(json.loads(done.stdout))) == (0, 1)
        for arguments in (("score", "no.csv"), ("score", "--nonsense"), ("score",)):
            assert program(folder, *arguments, stderr=full).returncode == 2


def test_a_full_standard_output_is_one_sentence(folder: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = program(folder, *SCORE, stdout=full)
    assert done.returncode == 2
    assert done.stderr == "Error: standard output: No space left on device\n"


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_closed_stream(folder: Path, number: int) -> None:
    done = program(folder, *SCORE, preexec_fn=lambda: os.close(number))
    assert "Traceback" not in (done.stderr or "")
    assert done.returncode == 0
    if number == 0:
        done = program(folder, "score", "-", preexec_fn=lambda: os.close(0))
        assert done.returncode == 2
        assert done.stderr.startswith("Error: standard input is closed")
        assert done.stderr.count("\n") == 1


def test_a_name_cannot_write_on_the_terminal(folder: Path) -> None:
    (folder / HOSTILE).write_text("step,loss\n0,1\n1,oops\n")
    (folder / f"good{HOSTILE}").write_text((folder / "loss.csv").read_text())
    for arguments in (("score", "."), ("score", HOSTILE), ("score", f"good{HOSTILE}")):
        done = program(folder, *arguments, "--classifier", "c.npz")
        printed = done.stdout + done.stderr
        assert "oops" in printed or "good" in printed
        assert all(letter.isprintable() or letter == "\n" for letter in printed)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads the processes of Linux")
def test_a_terminated_command_leaves_no_process(tmp_path: Path, number: int) -> None:
    sweep = write_sweep(tmp_path / "sweep", bundles=4)
    process = subprocess.Popen(
        [*command(sweep, tmp_path / "c.npz"), "--jobs", "2"],
        env=environment(tmp_path / "cache"),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Tests may run under nohup, and the command leaves alone what it was started to ignore.
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # noqa: PLW1509 - no thread
    )

    def processes() -> int:
        fields = [
            path.read_text().rpartition(")")[2].split()
            for path in Path("/proc").glob("[0-9]*/stat")
            if path.exists()
        ]
        return sum(int(own[3]) == process.pid and own[0] != "Z" for own in fields)

    while not any(path.is_file() for path in (tmp_path / "cache").rglob("??/*")):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(number)  # to the command alone, as a scheduler does
    _, err = process.communicate(timeout=400)
    # A slow machine has printed lines of progress before.
    assert err.splitlines()[-1] == "Error: terminated"
    assert process.returncode == 128 + number
    for _ in range(200):
        if not processes():
            break
        time.sleep(0.1)
    assert not processes()
    assert not (tmp_path / "c.npz").exists()


# --------------------------------------------------------------------- progress

#: The command with a line of progress every so many seconds.
HURRIED = """
import grokpredict.cli.progress
from grokpredict.__main__ import run
grokpredict.cli.progress.EVERY = {}
run()
"""


@pytest.mark.parametrize(("seconds", "told"), [(0.02, True), (3600, False)])
def test_without_a_terminal_there_is_a_line_now_and_then(
    tmp_path: Path, seconds: float, told: bool
) -> None:
    sweep = write_sweep(tmp_path / "sweep", bundles=1)
    program = [sys.executable, "-c", HURRIED.format(seconds)]
    done = subprocess.run(
        [*program, "calibrate", str(sweep), "-o", str(tmp_path / "c.npz")],
        env=environment(tmp_path / "cache"),
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("scoring: ")]
    assert bool(lines) == told
    for line in lines:
        assert re.fullmatch(r"scoring: (started|\d+ of \d+ done), \d+ s", line)
    assert "scoring" not in done.stdout
