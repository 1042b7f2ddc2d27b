"""What a ledger has lost and saved, by hand on a few runs, and as the command prints it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from ledger_writers import BUDGET, READS

import grokpredict
from grokpredict.cli import main
from grokpredict.evaluation import audit
from grokpredict.live.entry import Entry, LedgerError, LookTaken
from grokpredict.live.ledger import SweepLedger
from grokpredict.live.standing import ALARM_LEVEL
from grokpredict.model.betting import lost_interval
from grokpredict.reporting import audit_text

NUMBERS = iter(range(10_000))


def run(end: str | None, *looks: tuple[int, float], **fields: object) -> Entry:
    """A run under a threshold of 0.1 that stops the others; audited runs go on."""
    number = next(NUMBERS)
    taken = tuple(
        LookTaken(step, "abort" if p < 0.1 else "continue", p, 0.1, READS) for step, p in looks
    )
    made = Entry(
        f"run {number}",
        number,
        BUDGET,
        0.05,
        looks=taken,
        share=0.1,
        stops=True,
        calibrated=True,
        end=end,
        ended=None if end is None else number,
        last_step={"stopped": taken[-1].step if taken else 0}.get(end, BUDGET),
        t4=700 if end == "generalised" else None,
    )
    return replace(made, **fields)


def ledger_of(folder: Path, entries: list[Entry]) -> SweepLedger:
    """The runs began in random order, and ended in that in which they are given."""
    ledger = SweepLedger(folder)
    order = np.random.default_rng(0).permutation(len(entries)).tolist()
    for entry, number in zip(entries, order, strict=True):
        ledger.write(replace(entry, number=number))
    return ledger


def a_sweep() -> list[Entry]:
    """Twenty audited good runs, one of them given up; doomed ones, stopped and audited."""
    good = [
        run("generalised", (200, 0.3 + i / 100), audited=True, configuration={"lr": 0.1, "n": i})
        for i in range(19)
    ]
    caught = run(
        "generalised", (200, 0.2), (400, 0.05), audited=True, configuration={"lr": 0.01, "n": 20}
    )
    stopped = [
        run("stopped", (200, 0.2), (400, 0.02), configuration={"lr": 0.01, "n": i})
        for i in range(30)
    ]
    doomed = run(
        "not by budget", (200, 0.08), (400, 0.2), audited=True, configuration={"lr": 0.01, "n": 40}
    )
    spared = run("not by budget", (200, 0.4), configuration={"lr": 0.1, "n": 41})
    late = run("generalised", (200, 0.3), (800, 0.01), configuration={"lr": 0.1, "n": 42})
    early = run("generalised", configuration={"lr": 0.1, "n": 43})
    return [*good, caught, *stopped, doomed, spared, late, early, run(None), run("ended early")]


def test_the_figures_of_a_sweep_by_hand(tmp_path: Path) -> None:
    found = audit(ledger_of(tmp_path, a_sweep()))
    total = found.total
    assert (total.n, total.good, total.doomed, total.stopped, total.open) == (56, 22, 2, 30, 2)
    # The run that generalised before a look cannot be lost; an abort after it has is none.
    assert (total.at_risk, total.caught) == (21, 1)
    # The audited one stands for ten: 10 of 30.
    assert total.lost.value == pytest.approx(10 / 30)
    lost = np.array([False] * 19 + [True, False])
    expected = lost_interval(lost, np.full(21, 0.1), ALARM_LEVEL)
    assert (total.lost.low, total.lost.high) == pytest.approx(expected)
    # 30 runs were stopped 600 steps before their end; nine of them were good, by the audit.
    assert total.saved == 30 * 600 - 9 * 600
    assert total.trained == 26 * 1000 + 30 * 400
    assert total.saved_share == pytest.approx(12_600 / 50_600)
    assert total.audit_cost == 800
    assert found.audited == 21
    # The good run that is not audited was not stopped by luck: it sets no threshold.
    assert (found.calibrated, found.needed, found.stops) == (20, 19, True)
    assert found.alarm is None


def test_the_axes_add_up_to_the_whole(tmp_path: Path) -> None:
    found = audit(ledger_of(tmp_path, a_sweep()))
    names = [account.runs for account in found.axes]
    assert names == ["lr = 0.01", "lr = 0.1", "lr = unknown", "n <= 16", "n > 16", "n = unknown"]
    for part in (found.axes[:3], found.axes[3:]):
        for figure in ("n", "good", "doomed", "stopped", "open", "at_risk", "caught", "trained"):
            assert sum(getattr(a, figure) for a in part) == getattr(found.total, figure)
    by_rate = {account.runs: account.lost.value for account in found.axes}
    assert by_rate["lr = 0.01"] == 1
    assert by_rate["lr = 0.1"] == 0
    assert by_rate["lr = unknown"] is None


def test_the_conclusion_comes_first(tmp_path: Path) -> None:
    text = audit_text(audit(ledger_of(tmp_path, a_sweep())))
    lines = text.splitlines()
    assert lines[:3] == [
        "Runs are stopped at a bound of 5 %, from 20 good configurations of this sweep.",
        "Good runs lost: 33.3 [0.0, 72.8] %, allowed 5 %.",
        "Doomed steps saved: 12 600 (24.9 % of all); the audit cost 800.",
    ]
    assert max(map(len, lines)) <= 100


def test_before_enough_good_runs_it_says_how_many_are_missing(tmp_path: Path) -> None:
    few = [
        run("generalised", (200, 0.05), configuration={"n": i}, stops=False, calibrated=False)
        for i in range(7)
    ]
    found = audit(ledger_of(tmp_path, few))
    assert not found.stops
    first, lost, *_ = audit_text(found).splitlines()
    assert first == (
        "Runs are only warned of: 7 of 19 good configurations have finished that a bound of 5 % "
        "needs."
    )
    # A built-in threshold would have lost them all. It is not the one that will stop runs.
    assert lost.startswith("Good runs lost: not known yet")
    assert found.alarm is None
    # At a looser bound fewer are needed: it is that of the newest run unless told otherwise.
    assert audit(tmp_path, 0.2).needed == 4


def test_an_alarm_is_the_first_word(tmp_path: Path) -> None:
    sweep = a_sweep()
    sweep += [run("generalised", (200, 0.05), audited=True) for _ in range(4)]
    found = audit(ledger_of(tmp_path / "audited", sweep))
    assert not found.stops
    assert found.alarm is not None
    first, second, *_ = audit_text(found).splitlines()
    assert first.startswith("ALARM: runs are only warned of, since ")
    assert second == f"It rang with run {found.alarm.name!r}."
    # Had they been warned of only, all such runs had been seen, and not a tenth of them.
    warned = [replace(entry, stops=False) for entry in sweep]
    assert audit(ledger_of(tmp_path / "warned", warned)).alarm is None


def test_the_command(tmp_path: Path) -> None:
    ledger_of(tmp_path / "sweep", a_sweep())
    (tmp_path / "sweep" / "odd.json").write_text("{}")
    shown = CliRunner().invoke(main, ["audit", str(tmp_path / "sweep")])
    assert shown.exit_code == 0
    assert shown.stdout == audit_text(audit(tmp_path / "sweep")) + "\n"
    assert shown.stderr.startswith("left out: ")
    printed = CliRunner().invoke(main, ["audit", str(tmp_path / "sweep"), "--json"])
    document = json.loads(printed.stdout)
    assert document["total"]["caught"] == 1
    assert document["stops"] is True
    assert document["ledger"] == str(tmp_path / "sweep")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["none"], "Error: none: No such file or directory\n"),
        (["file"], "Error: file: Not a directory\n"),
        (
            ["empty"],
            "Error: a ledger must hold at least one run, 'empty' holds none; give the folder to "
            "GrokPredictor(ledger=...) or GrokMonitor(ledger=...) and train\n",
        ),
    ],
)
def test_what_is_no_ledger_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    shown = CliRunner().invoke(main, ["audit", *arguments])
    assert (shown.exit_code, shown.stderr, shown.stdout) == (2, sentence, "")
    assert not (tmp_path / "none").exists()


def test_from_python(tmp_path: Path) -> None:
    ledger = grokpredict.SweepLedger(tmp_path)
    with pytest.raises(LedgerError):
        grokpredict.audit(ledger)
    ledger.write(run("not by budget", (200, 0.3)))
    found = grokpredict.audit(ledger)
    assert isinstance(found, grokpredict.Audit)
    assert found.total.lost.value is None
    assert "not known yet" in audit_text(found)
