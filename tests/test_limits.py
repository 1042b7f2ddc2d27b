"""What is opened: regular files only, and of what is compressed no more than a limit."""

from __future__ import annotations

import ast
import gzip
import io
import os
import socket
import sqlite3
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import grokpredict
from grokpredict.logs import LogError, read_hparams, read_run, read_sweep
from grokpredict.logs.content import content_digest

#: What may be held at most while a small file is refused: the free part, twice.
MEMORY = 300 * 2**20

NAMES = ("a", "a.csv", "a.csv.gz", "a.jsonl", "a.npz", "a.parquet", "a.wandb", "a.db")
NAMES += ("events.out.tfevents.1.host", "trainer_state.json", "a.yaml")

unix = pytest.mark.skipif(sys.platform == "win32", reason="files of Unix")


def refused(path: Path, reading: Callable[[Path], object] = read_run) -> str:
    """The one sentence; reading has taken little memory."""
    tracemalloc.start()
    try:
        with pytest.raises(LogError) as caught:
            reading(path)
        assert tracemalloc.get_traced_memory()[1] < MEMORY
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@unix
@pytest.mark.parametrize("name", NAMES)
def test_a_pipe_is_refused_whatever_its_name(tmp_path: Path, name: str) -> None:
    """Opening it would wait for somebody who writes, for ever."""
    os.mkfifo(tmp_path / name)
    assert "named pipe" in refused(tmp_path / name)
    with pytest.raises(OSError, match="named pipe"):
        content_digest(tmp_path / name)


@unix
@pytest.mark.parametrize("name", NAMES)
def test_a_device_is_refused_whatever_its_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).symlink_to("/dev/zero")
    assert "device" in refused(tmp_path / name)


@unix
def test_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # its path may only be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("a.csv")
        assert "cannot be opened" in refused(Path("a.csv"))


@unix
def test_a_configuration_that_is_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "c.yaml")
    assert "named pipe" in refused(tmp_path / "c.yaml", read_hparams)


@pytest.mark.parametrize("name", NAMES)
def test_a_sparse_file_of_a_gigabyte(tmp_path: Path, name: str) -> None:
    with (tmp_path / name).open("wb") as file:
        file.truncate(2**30)
    refused(tmp_path / name)


@pytest.mark.parametrize("name", NAMES)
def test_a_sparse_file_of_a_terabyte(tmp_path: Path, name: str) -> None:
    with (tmp_path / name).open("wb") as file:
        file.truncate(2**40)
    assert "2 GiB" in refused(tmp_path / name)


@pytest.mark.parametrize("line", [b"0.5\n", b"1,0.5\n", b'{"loss": 1}\n', b"\n", b'"'])
def test_gzip_that_unpacks_to_a_thousand_times_its_size(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "a.csv.gz"
    block = line * (2**20 // len(line))
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(400):
            file.write(block)
    assert path.stat().st_size < 4 * 2**20
    assert "holds" in refused(path)


def bundle(path: Path, **arrays: np.ndarray) -> Path:
    np.savez_compressed(path, **arrays)
    return path


@pytest.mark.parametrize(
    "arrays",
    [
        {"train_loss": np.zeros((10**8, 0))},
        {"train_loss": np.zeros((10**6, 1), dtype=np.float32)},
        {"train_loss": np.zeros((300_000, 2), dtype=np.float32)},
        {"train_loss": np.zeros((2, 3 * 10**7), dtype=np.float32)},
        {"train_loss": np.zeros((2, 2)), "junk": np.zeros(10**8, dtype=np.uint8)},
        {"train_loss": np.zeros((2, 2)), "names": np.full(2, "n" * 10**7)},
    ],
    ids=["no losses", "one loss", "runs", "losses", "something else", "names"],
)
def test_an_npz_bomb(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    path = bundle(tmp_path / "a.npz", **arrays)
    assert path.stat().st_size < 2**20
    with pytest.raises(LogError, match=r"may hold|unpacks to"):
        read_sweep([path]).runs or read_run(path)


def test_an_npz_that_declares_more_than_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive, archive.open("train_loss.npy", "w") as member:
        declared = {"descr": "<f8", "fortran_order": False, "shape": (10**9, 10**3)}
        np.lib.format.write_array_header_1_0(member, declared)
    assert "declares more" in refused(path)


@pytest.mark.parametrize("column", ["loss", "step"])
def test_a_parquet_bomb(tmp_path: Path, column: str) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "a.parquet"
    rows = arrow.table({"train_loss": np.zeros(10**7), column: np.zeros(10**7)})
    parquet.write_table(rows, path)
    assert path.stat().st_size < 2**20
    assert "may hold" in refused(path)


def test_a_long_text_in_every_row_of_parquet_is_kept_once(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "a.parquet"
    n = 50_000
    note = arrow.DictionaryArray.from_arrays(np.zeros(n, dtype=np.int32), ["x" * 10**5])
    columns = {"step": np.arange(n), "train_loss": np.linspace(2, 1, n), "note": note}
    parquet.write_table(arrow.table(columns), path)
    tracemalloc.start()
    run = read_run(path)
    assert tracemalloc.get_traced_memory()[1] < MEMORY
    tracemalloc.stop()
    assert run.hparams["note"] == "x" * 10**5


def nested_aliases(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    for i in range(1, levels):
        lines.append(f"a{i}: &a{i} [" + ", ".join([f"*a{i - 1}"] * 9) + "]")
    return "\n".join(lines)


def nested_merges(levels: int) -> str:
    lines = ["a0: &a0 {" + ", ".join(f"k{i}: 1" for i in range(9)) + "}"]
    for i in range(1, levels):
        lines.append(f"a{i}: &a{i} {{<<: [" + ", ".join([f"*a{i - 1}"] * 9) + "]}")
    return "\n".join(lines)


@pytest.mark.parametrize(
    "text",
    [
        nested_aliases(9),
        nested_aliases(40),
        nested_merges(9),
        "a: &a " + "x" * 10**5 + "\nb: [" + ", ".join(["*a"] * 1000) + "]",
        "a: &a {b: *a}",
        "a: &a [*a]",
        "a: &a {b: [{c: *a}]}",
        "a: " + "[" * 60 + "]" * 60,
        "[" * 10**5,
        "a: " + "9" * 5000,
        "x" * (2**20 + 1),
    ],
    ids=lambda text: text[:12].strip(),
)
@pytest.mark.filterwarnings("error")
def test_a_yaml_bomb(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.yaml").write_text(text)
    refused(tmp_path / "c.yaml", read_hparams)


def test_aliases_that_people_have_are_read(tmp_path: Path) -> None:
    """PyYAML itself writes them, for one list that is under two names."""
    (tmp_path / "c.yaml").write_text("betas: &id001 [0.9, 0.98]\nother: *id001\nlr: 0.1\n")
    found = read_hparams(tmp_path / "c.yaml")
    assert found == {"betas": [0.9, 0.98], "other": [0.9, 0.98], "lr": 0.1}


@pytest.mark.parametrize("text", ["[" * 10**5, '{"a":' * 60 + "1" + "}" * 60, " " * (2**20 + 1)])
def test_a_json_bomb(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.json").write_text(text)
    refused(tmp_path / "c.json", read_hparams)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="limits of sqlite3")
def test_a_database_whose_values_are_computed(tmp_path: Path) -> None:
    """A generated column is no byte in the file and as many as it likes when it is read."""
    with sqlite3.connect(tmp_path / "a.db") as database:
        database.executescript(
            """
            CREATE TABLE runs (run_uuid TEXT, lifecycle_stage TEXT, start_time INT);
            CREATE TABLE metrics (run_uuid TEXT, key TEXT, value REAL, timestamp INT, step INT,
                is_nan INT);
            CREATE TABLE params (run_uuid TEXT, key TEXT,
                value TEXT AS (hex(zeroblob(2000000))));
            INSERT INTO runs VALUES ('r', 'active', 0);
            INSERT INTO params (run_uuid, key) SELECT 'r', 'lr';
            INSERT INTO metrics VALUES ('r', 'train_loss', 2.0, 0, 0, 0),
                ('r', 'train_loss', 1.0, 0, 1, 0);
            """
        )
    refused(tmp_path / "a.db")


def test_standard_input_has_the_same_limits(tmp_path: Path) -> None:
    """A program that never stops writing."""
    code = "from grokpredict.logs import read_run; read_run('-')"
    with Path("/dev/zero").open("rb") as endless:
        done = subprocess.run(
            [sys.executable, "-c", code], stdin=endless, capture_output=True, text=True, check=False
        )
    assert "LogError: a log must be text, standard input is not" in done.stderr


def test_a_file_named_like_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"step,loss\n0,9\n1,8\n")))
    Path("-").absolute().write_text("step,loss\n0,2\n1,1\n")
    assert read_run("./-").loss.values.tolist() == [2, 1]
    assert read_run("-").loss.values.tolist() == [9, 8]


def test_no_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(LogError, match="standard input is closed"):
        read_run("-")


# ------------------------------------------------------------- by construction

#: Methods that open a file by its path, or a library's that do.
OPENERS = {"open", "fdopen", "read_text", "read_bytes", "fromfile", "memmap", "loadtxt", "load"}
OPENERS |= {"genfromtxt", "connect", "ZipFile", "GzipFile", "ParquetFile", "_loader"}

#: Calls after which such a library may open what they let through, or is given an open file.
CHECKS = {"opened", "check_regular"}

#: What may open files without a limit: the digest of a log, which takes no memory.
UNLIMITED = {"content.py"}

#: What only writes.
WRITES = {"write_bundle"}


def opens(node: ast.AST) -> bool:
    """Whether a part of a module opens a file without the limits."""
    functions = [inner.func for inner in ast.walk(node) if isinstance(inner, ast.Call)]
    names = {f.id for f in functions if isinstance(f, ast.Name)}
    methods = {f.attr for f in functions if isinstance(f, ast.Attribute)}
    return bool(names & {"open", "open_regular"} or (methods & OPENERS and not names & CHECKS))


def unchecked(folder: Path) -> list[str]:
    """Functions that open what was not let through by the limits, and modules that do."""
    places = []
    for path in sorted(folder.rglob("*.py")):
        if path.name == "source.py" or path.name in UNLIMITED:
            continue
        tree = ast.parse(path.read_text())
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        places += [
            f"{path.name}: {function.name}"
            for function in functions
            if function.name not in WRITES and opens(function)
        ]
        outside = [
            node for node in tree.body if not isinstance(node, ast.FunctionDef | ast.ClassDef)
        ]
        places += [f"{path.name}: the module" for node in outside if opens(node)]
    return places


def test_logs_are_opened_within_the_limits_and_nowhere_else() -> None:
    assert unchecked(Path(grokpredict.__file__).parent / "logs") == []


@pytest.mark.parametrize(
    "line",
    [
        "open(path)",
        "path.open('rb')",
        "path.read_text()",
        "np.load(path)",
        "gzip.open(path)",
        "sqlite3.connect(path)",
        "parquet.ParquetFile(path)",
        "open_regular(path)",
    ],
)
def test_the_check_sees_what_opens_a_file(tmp_path: Path, line: str) -> None:
    (tmp_path / "novel.py").write_text(f"def read(path):\n    return {line}\n")
    assert unchecked(tmp_path) == ["novel.py: read"]
    (tmp_path / "novel.py").write_text(f"DATA = {line}\n")
    assert unchecked(tmp_path) == ["novel.py: the module"]
    (tmp_path / "novel.py").write_text("def read(path):\n    return read_text(path)\n")
    assert unchecked(tmp_path) == []
