"""The folder that the runs of a sweep share: what is written there is whole, and counts once."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from ledger_writers import LOOKS, READS, train

from grokpredict.live.entry import Entry, LedgerError, LookTaken
from grokpredict.live.ledger import SweepLedger, as_ledger, read_entries
from grokpredict.live.standing import Standing

WRITERS = Path(__file__).parent / "ledger_writers.py"


def entry(name: str = "run 1", **fields: object) -> Entry:
    look = LookTaken(200, "continue", 0.25, 0.1, READS)
    made = Entry(name, 3, 1000, 0.05, {"lr": 1e-3, "seed": 4}, looks=(look,))
    return replace(made, **fields)


def start(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(WRITERS), *map(str, arguments)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_what_is_written_is_read(tmp_path: Path) -> None:
    ledger = SweepLedger(tmp_path / "new" / "sweep")
    ended = entry(end="generalised", ended=7, t4=600, stops=True, share=0.1, audited=True)
    ledger.write(ended)
    ledger.write(entry("run/2 \n ü", number=1))
    read = ledger.read()
    assert read.entries == (entry("run/2 \n ü", number=1), ended)
    assert read.left_out == ()
    assert read.entries[1].looks[0].reads == READS


def test_a_run_that_is_written_again_counts_once(tmp_path: Path) -> None:
    ledger = SweepLedger(tmp_path)
    ledger.write(entry())
    ledger.write(entry(end="ended early"))
    (found,) = ledger.read().entries
    assert found.end == "ended early"
    # Nor does a copy that somebody made of the file.
    shutil.copy(ledger.path("run 1"), tmp_path / "copy of run 1.json")
    read = ledger.read()
    assert read.entries == (found,)
    assert "counts once" in read.left_out[0].reason


def test_names_that_differ_have_files_that_differ(tmp_path: Path) -> None:
    ledger = SweepLedger(tmp_path)
    names = ["a/b", "a b", "a-b", "A-B", "", ".", "..", "x" * 300, "x" * 301, "ü", "a\0b"]
    for name in names:
        ledger.write(entry(name))
    assert sorted(found.name for found in ledger.read().entries) == sorted(names)
    files = [path.name.lower() for path in tmp_path.iterdir()]
    assert len(set(files)) == len(names)
    assert max(map(len, files)) < 100


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"format": "grokpredict ledger 2"}, "format"),
        ({"budget": -1}, "the budget of an entry cannot be '-1'"),
        ({"number": True}, "number"),
        ({"share": 0}, "share"),
        ({"end": "won"}, "end"),
        ({"max_false_abort": 1}, "max_false_abort"),
        ({"looks": {}}, "list of looks"),
        ({"looks": [{"step": 200}]}, "action"),
        ({"looks": [3]}, "step"),
    ],
)
def test_an_entry_that_cannot_be_is_left_out(
    tmp_path: Path, change: dict[str, object], reason: str
) -> None:
    ledger = SweepLedger(tmp_path)
    ledger.write(entry("whole"))
    document = {**entry().to_dict(), **change}
    with pytest.raises(LedgerError, match=reason):
        Entry.from_dict(document)
    ledger.path("run 1").write_text(json.dumps(document))
    read = ledger.read()
    assert [found.name for found in read.entries] == ["whole"]
    assert reason in read.left_out[0].reason


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[" * 100_000, b'{"format": NaN}', b"\xff\xfe", b"9" * 5000, b" " * (2**20 + 1)],
)
def test_a_file_that_is_no_entry_is_left_out(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    (tmp_path / "notes.txt").write_bytes(content)
    (tmp_path / "folder.json").mkdir()
    read = SweepLedger(tmp_path).read()
    assert read.entries == ()
    assert len(read.left_out) == 2
    assert "regular file" in read.left_out[1].reason


def test_where_there_is_no_ledger(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_entries(tmp_path / "none")
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        SweepLedger(tmp_path / "file")
    with pytest.raises(ValueError, match="above 0 and at most 1, got 0"):
        SweepLedger(tmp_path, audit=0)
    ledger = SweepLedger(tmp_path, audit=0.5)
    assert as_ledger(ledger) is ledger
    assert as_ledger(str(tmp_path)).audit == 0.1


def test_who_is_audited_is_the_same_in_every_process(tmp_path: Path) -> None:
    names = [f"run {i}" for i in range(200)]
    ours = [name for name in names if SweepLedger(tmp_path).audits(name)]
    code = (
        "import sys; from grokpredict.live.ledger import SweepLedger\n"
        "ledger = SweepLedger(sys.argv[1])\n"
        "print(*(n for n in map('run {}'.format, range(200)) if ledger.audits(n)), sep=',')"
    )
    theirs = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        env={**os.environ, "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert theirs.stdout.strip().split(",") == ours
    assert len(ours) == 22
    more = SweepLedger(tmp_path, audit=0.3)
    assert set(ours) < {name for name in names if more.audits(name)}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks writers and kills them")
def test_writers_that_are_killed_at_any_moment(tmp_path: Path) -> None:
    """At 40 lines of our code, drawn at random; those that fell into a write left a file behind."""
    out, err = start("kill", tmp_path, 40, 11).communicate(timeout=400)
    assert err == ""
    assert int(out.split()[0]) > 0
    found = read_entries(tmp_path).entries
    assert {run.name: run.end for run in found} == {f"run {i}": "generalised" for i in range(3)}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="umasks of Unix")
def test_two_hosts_with_another_umask_and_clock(tmp_path: Path) -> None:
    """Both write and read all the time; each run counts once, in an order that no clock decides."""
    folder = tmp_path / "shared"
    folder.mkdir(mode=0o770)
    folder.chmod(0o770)
    year = 365 * 86400
    hosts = [
        start("host", folder, "one", 12, "077", 3 * year),
        start("host", folder, "two", 12, "000", -3 * year),
    ]
    assert [host.communicate(timeout=400)[1] for host in hosts] == ["", ""]
    read = read_entries(folder)
    assert read.left_out == ()
    names = [found.name for found in read.entries]
    assert sorted(names) == sorted(f"{host} {i}" for host in ("one", "two") for i in range(12))
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o660}
    for host in ("one", "two"):
        own = [found for found in read.entries if found.name.startswith(host)]
        assert [found.name for found in own] == [f"{host} {i}" for i in range(12)]
        assert [found.end for found in own] == ["generalised", "not by budget"] * 6
        assert sorted(found.ended or 0 for found in own) == [found.ended for found in own]


def test_the_order_is_that_of_what_a_run_could_read(tmp_path: Path) -> None:
    ledger = SweepLedger(tmp_path)
    for i in range(4):
        record = train(ledger, f"run {9 - i}", good=True)
        assert (record.entry.number, record.entry.ended) == (i + 1, i + 1)
        assert [look.step for look in record.entry.looks] == list(LOOKS)
    assert Standing.of(ledger.read().entries, 0.05).number == 5
