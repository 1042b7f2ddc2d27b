"""The cache: nothing in it is executed, nobody else can write to it, nothing else is removed."""

from __future__ import annotations

import os
import pickle
import stat
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planted import hand_made

from grokpredict._util.cache import Cache, default_folder
from grokpredict._util.codec import DAMAGED, decoded, encoded
from grokpredict.model.classifier import GrokClassifier

unix = pytest.mark.skipif(sys.platform == "win32", reason="owners and modes of Unix")


def entries(cache: Cache) -> list[Path]:
    return [path for path in cache.folder.glob("??/*") if path.is_file()]


def test_a_pickle_in_the_cache_is_not_executed(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return (os.mkdir, (str(tmp_path / "executed"),))

    cache = Cache(tmp_path / "cache")
    cache.put("abc", 1, int)
    (entry,) = entries(cache)
    entry.write_bytes(pickle.dumps(Bomb()))
    assert cache.get("abc", int) is None
    assert not (tmp_path / "executed").exists()


def test_a_result_under_another_key_or_of_another_type_is_none(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    cache.put("abc", 1, int)
    (entry,) = entries(cache)
    entry.with_name("d").write_bytes(entry.read_bytes())
    assert cache.get("abc", int) == 1
    assert cache.get("abd", int) is None
    assert cache.get("abc", str) is None


@unix
@pytest.mark.parametrize("umask", [0o002, 0o000, 0o777])
def test_only_the_user_can_read_and_write(tmp_path: Path, umask: int) -> None:
    cache = Cache(tmp_path / "cache")
    (tmp_path / "cache").mkdir()
    before = os.umask(umask)
    try:
        cache.put("abc", 1, int)
    finally:
        os.umask(before)
    if umask != 0o777:  # folders in it are then closed to the user too
        assert cache.get("abc", int) == 1
        (entry,) = entries(cache)
        assert stat.S_IMODE(entry.stat().st_mode) == 0o600
    assert stat.S_IMODE(cache.folder.stat().st_mode) == 0o700


@unix
@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_a_folder_that_others_can_write_to_is_not_used(
    tmp_path: Path, mode: int, caplog: pytest.LogCaptureFixture
) -> None:
    cache = Cache(tmp_path)
    cache.put("abc", 1, int)
    cache.folder.chmod(mode)
    assert cache.get("abc", int) is None
    cache.put("abd", 1, int)
    assert "others can write to it" in caplog.text
    assert len(entries(cache)) == 1


@unix
@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root gives away")
def test_a_folder_of_somebody_else_is_not_used(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.put("abc", 1, int)
    os.chown(cache.folder, 12345, -1)
    assert cache.get("abc", int) is None


@unix
def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    cache.put("abc", 1, int)
    cache.folder.rename(tmp_path / "elsewhere")
    cache.folder.symlink_to(tmp_path / "elsewhere")
    assert cache.get("abc", int) is None


def test_tidying_removes_nothing_of_the_user(tmp_path: Path) -> None:
    """``GROKPREDICT_CACHE`` may name a folder that has been in use for years."""
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("")
    (tmp_path / "0123456789abcdef").mkdir()
    (tmp_path / "notes").write_text("")
    for path in tmp_path.iterdir():
        os.utime(path, (time.time() - 400 * 24 * 3600,) * 2)
    before = sorted(tmp_path.rglob("*"))
    Cache(tmp_path).tidy()
    assert sorted(tmp_path.rglob("*")) == before


@unix
def test_no_home_folder(tmp_path: Path) -> None:
    """Of a user whom the system does not know, in a container."""
    code = (
        "import pwd\n"
        "def unknown(*_): raise KeyError\n"
        "pwd.getpwuid = pwd.getpwnam = unknown\n"
        "from grokpredict.cli import main\n"
        "main()\n"
    )
    names = ("HOME", "XDG_CACHE_HOME", "GROKPREDICT_CACHE")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    (tmp_path / "sweep").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", code, "train-classifier", "sweep", "-o", "c.npz"],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    note, error = done.stderr.splitlines()
    assert note.startswith("nothing is cached: there is no home folder")
    assert error.startswith("Error: ")
    assert done.returncode == 2


@dataclass(frozen=True)
class Inner:
    steps: np.ndarray[Any, np.dtype[np.int64]]
    name: str | None = None
    digest: bytes = b""


@dataclass(frozen=True)
class Outer:
    parts: tuple[Inner, ...]
    share: float
    folder: Path


def test_what_is_decoded_is_what_was_encoded() -> None:
    value = Outer(
        (Inner(np.arange(6).reshape(2, 3), None, b"\0\xff"), Inner(np.empty(0, np.int64), "b")),
        float("inf"),
        Path("a") / "b",
    )
    again = decoded(encoded(value, Outer, "k"), Outer, "k")
    assert (again.share, again.folder) == (value.share, value.folder)
    for one, other in zip(again.parts, value.parts, strict=True):
        np.testing.assert_array_equal(one.steps, other.steps)
        assert (one.name, one.digest, one.steps.dtype) == (
            other.name,
            other.digest,
            other.steps.dtype,
        )


def test_damaged_bytes_are_an_error_or_harmless(tmp_path: Path) -> None:
    """Whatever byte is wrong: a classifier, or an error that the cache takes for no entry."""
    data = encoded(hand_made(), GrokClassifier, "k")
    random = np.random.default_rng(0)
    for _ in range(300):
        bad = bytearray(data[: random.integers(len(data))] if random.random() < 0.3 else data)
        for at in random.integers(len(bad), size=2) if bad else ():
            bad[at] = random.integers(256)
        with suppress(*DAMAGED):
            assert isinstance(decoded(bytes(bad), GrokClassifier, "k"), GrokClassifier)


def test_the_folder_of_a_user_without_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("GROKPREDICT_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert default_folder() is None
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "grokpredict"
