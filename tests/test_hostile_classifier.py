"""Classifier files whose numbers would cost hours or gigabytes: refused before any are spent."""

from __future__ import annotations

import json
import os
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planted import hand_made

from grokpredict.model.classifier import ClassifierFileError, GrokClassifier
from grokpredict.model.trees import MAX_DEPTH, Trees

#: More than the file may unpack to, with the room that reading and checking it take.
MEMORY = 150 * 2**20

Change = Callable[[dict[str, Any], dict[str, Any]], None]


def written(path: Path, change: Change, **options: Any) -> Path:
    """A good classifier's file after ``change(header, arrays)``, compressed."""
    hand_made().save(path)
    with np.load(path) as file:
        arrays = dict(file)
    header = json.loads(arrays.pop("header").tobytes())
    change(header, arrays)
    arrays.setdefault("header", np.frombuffer(json.dumps(header).encode(), np.uint8))
    with zipfile.ZipFile(path, "w", options.get("method", zipfile.ZIP_DEFLATED)) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, array)
    return path


def refused(path: Path) -> str:
    """The one sentence; reading the file has taken little memory."""
    tracemalloc.start()
    try:
        with pytest.raises(ClassifierFileError) as caught:
            GrokClassifier.load(path)
        assert tracemalloc.get_traced_memory()[1] < MEMORY
    finally:
        tracemalloc.stop()
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def chain(length: int) -> dict[str, Any]:
    """The arrays of one tree in which every inner node's left child is a leaf."""
    n = 2 * length + 1
    own = np.arange(n)
    inner = (own % 2 == 0) & (own < n - 1)
    return {
        "trees.root": np.zeros(1, dtype=np.int64),
        "trees.feature": np.zeros(n, dtype=np.int64),
        "trees.threshold": np.zeros(n),
        "trees.left": np.where(inner, own + 1, own),
        "trees.right": np.where(inner, own + 2, own),
        "trees.missing_left": np.zeros(n, dtype=bool),
        "trees.value": np.zeros(n),
    }


def nodes(count: int) -> dict[str, Any]:
    """Leaves without number, a byte each, which become eight bytes each when they are taken in."""
    return {
        f"trees.{name}": np.zeros(count, dtype=np.uint8) for name in ("feature", "left", "right")
    }


def header(**entries: Any) -> Change:
    return lambda header, _: header.update(entries)


def arrays(**entries: Any) -> Change:
    return lambda _, arrays: arrays.update(entries)


def deep(levels: int) -> Any:
    found: Any = 0
    for _ in range(levels):
        found = {"in": found}
    return found


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (arrays(**chain(200_000)), "levels deep"),
        (arrays(**chain(MAX_DEPTH + 1)), "levels deep"),
        (arrays(**nodes(5_000_000)), "nodes"),
        (arrays(**{"trees.root": np.zeros(50_000, dtype=np.uint8)}), "trees"),
        (arrays(**{"trees.value": np.zeros(3_000_000)}), "equally long"),
        (arrays(surplus=np.zeros(40 * 2**20, dtype=np.uint8)), "unpacks to"),
        (arrays(**{f"surplus.{i}": np.zeros(1) for i in range(300)}), "arrays"),
        (arrays(header=np.full(17 * 2**20, 32, dtype=np.uint8)), "header"),
        (header(card=deep(100)), "nests deeper"),
        (header(card=deep(900)), "nests deeper"),
        (header(reads=[["train_loss"]] * 2000), "combinations"),
        (header(columns=["train_loss_level"] * 10**5), "columns"),
    ],
)
def test_too_much_is_refused(tmp_path: Path, change: Change, reason: str) -> None:
    path = written(tmp_path / "c.npz", change)
    assert path.stat().st_size < 3 * 2**20
    assert reason in refused(path)


def test_a_tree_of_the_greatest_depth_is_read(tmp_path: Path) -> None:
    """The negative control: one level less than what is refused above."""
    path = written(tmp_path / "c.npz", arrays(**chain(MAX_DEPTH - 1)))
    assert isinstance(GrokClassifier.load(path).trees, Trees)


def test_an_array_that_declares_more_than_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "c.npz"
    with zipfile.ZipFile(path, "w") as archive, archive.open("header.npy", "w") as member:
        declared = {"descr": "|u1", "fortran_order": False, "shape": (10**15,)}
        np.lib.format.write_array_header_1_0(member, declared)
    assert "declares more than it holds" in refused(path)


def test_a_decompressor_that_asks_for_gigabytes(tmp_path: Path) -> None:
    """An LZMA member names the size of its dictionary, which is allocated at once."""
    path = written(tmp_path / "c.npz", lambda _, __: None, method=zipfile.ZIP_LZMA)
    GrokClassifier.load(path)
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        at = archive.infolist()[0].header_offset
    name = int.from_bytes(content[at + 26 : at + 28], "little")
    extra = int.from_bytes(content[at + 28 : at + 30], "little")
    dictionary = at + 30 + name + extra + 5
    content[dictionary : dictionary + 4] = (2**32 - 1).to_bytes(4, "little")
    path.write_bytes(content)
    assert "4 GiB to unpack" in refused(path)


def test_two_arrays_of_one_name(tmp_path: Path) -> None:
    path = written(tmp_path / "c.npz", lambda _, __: None)
    with (
        pytest.warns(UserWarning, match="Duplicate"),
        zipfile.ZipFile(path, "a") as archive,
        archive.open("range.low.npy", "w") as member,
    ):
        np.lib.format.write_array(member, np.ones(1))
    assert "twice" in refused(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
def test_a_pipe_and_a_device_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.npz")
    assert "named pipe" in refused(tmp_path / "pipe.npz")
    assert "device" in refused(Path("/dev/zero"))
    assert "folder" in refused(tmp_path)
