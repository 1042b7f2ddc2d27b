"""Interrupts, kills and full disks, with real processes: the old file stays, no partial one."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from planted import hand_made
from sweep_on_disk import command, environment, train, write_sweep

from grokpredict.model.classifier import load_classifier

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and limits of Unix")

BUNDLES = 8

#: What ends just before the new file takes the place of the old one.
KILLED_IN_SAVE = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from planted import hand_made
os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
hand_made().save(Path(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sweep(tmp_path_factory.mktemp("interrupted") / "sweep", bundles=BUNDLES)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    hand_made().save(tmp_path / "c.npz")
    return tmp_path / "c.npz"


def started(sweep: Path, output: Path, cache: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*command(sweep, output), "--jobs", "2"],
        env=environment(cache),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def at_work(session: int) -> list[int]:
    """Processes of a session, without those that have ended and wait for their parent."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # ended just now
            state, _, _, own = path.read_text().rpartition(")")[2].split()[:4]
            if int(own) == session and state != "Z":
                found.append(int(path.parent.name))
    return found


def imports(process: int, _: Path) -> bool:
    return "numpy" in Path(f"/proc/{process}/maps").read_text()


def starts_workers(process: int, _: Path) -> bool:
    return len(at_work(process)) > 3  # itself, two processes that tidy up, the first worker


def reads(_: int, cache: Path) -> bool:
    return kept(cache) > 0


def fits(_: int, cache: Path) -> bool:
    return kept(cache) == BUNDLES


def kept(cache: Path) -> int:
    """Logs in the cache; of one that is being written there is another file, in ``tmp``."""
    return sum(path.is_file() and path.parent.name != "tmp" for path in cache.rglob("*"))


def wait_for(moment: Callable[[int, Path], bool], process: subprocess.Popen[str], c: Path) -> None:
    while not moment(process.pid, c):
        assert process.poll() is None
        time.sleep(0.01)


def unfinished(folder: Path) -> Iterator[Path]:
    return folder.glob(".c.npz*")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads the processes of Linux")
@pytest.mark.parametrize("moment", [imports, starts_workers, reads, fits])
def test_an_interrupt_is_one_line(
    moment: Callable[[int, Path], bool], sweep: Path, old: Path, tmp_path: Path
) -> None:
    before = old.read_bytes()
    process = started(sweep, old, tmp_path / "cache")
    wait_for(moment, process, tmp_path / "cache")
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    out, err = process.communicate(timeout=400)
    assert (out, err) == ("", "Error: interrupted\n")
    # Python ends by the signal itself where it came inside an eval; to a shell both are 130.
    assert process.returncode in (130, -signal.SIGINT)
    assert old.read_bytes() == before
    assert not any(unfinished(tmp_path))
    for _ in range(100):
        if not at_work(process.pid):
            break
        time.sleep(0.1)
    assert not at_work(process.pid)


def test_after_a_kill_the_next_run_goes_on(sweep: Path, old: Path, tmp_path: Path) -> None:
    before = old.read_bytes()
    cache = tmp_path / "cache"
    process = started(sweep, old, cache)
    wait_for(reads, process, cache)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert old.read_bytes() == before
    load_classifier(old)
    assert train(sweep, old, cache).returncode == 0
    assert train(sweep, tmp_path / "whole.npz", tmp_path / "other").returncode == 0
    assert old.read_bytes() == (tmp_path / "whole.npz").read_bytes()


def test_killed_in_the_middle_of_saving(old: Path, tmp_path: Path) -> None:
    before = old.read_bytes()
    here = str(Path(__file__).parent)
    done = subprocess.run([sys.executable, "-c", KILLED_IN_SAVE, str(old), here], check=False)
    assert done.returncode == -signal.SIGKILL
    assert old.read_bytes() == before
    (left,) = unfinished(tmp_path)
    # It may be another process that is at work; after an hour it is not.
    hand_made().save(old)
    assert left.exists()
    os.utime(left, (time.time() - 2 * 3600,) * 2)
    hand_made().save(old)
    assert not any(unfinished(tmp_path))


def test_a_full_disk_is_one_sentence(sweep: Path, old: Path, tmp_path: Path) -> None:
    before = old.read_bytes()

    def no_large_files() -> None:
        # Python ignores SIGXFSZ: what is written beyond this fails as on a full disk.
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

    done = train(sweep, old, tmp_path / "cache", preexec_fn=no_large_files)
    assert done.returncode == 2
    *cached, last = done.stderr.splitlines()
    assert last.startswith("Error: ")
    assert "File too large" in last
    assert str(old) in last
    assert all(line.startswith("nothing more is cached in") for line in cached)
    assert len(cached) == 1
    assert old.read_bytes() == before
    assert not any(unfinished(tmp_path))
    assert not any((tmp_path / "cache").rglob("tmp/*"))
