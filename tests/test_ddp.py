"""Two real processes with gloo: the same verdict at the same step, and no deadlock."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from lightning_namespace import pl
from lightning_runs import GOOD, LIGHTNING_WARNINGS, QUIET, Follows, batches
from short_runs import BUDGET

from grokpredict.live.lightning import GrokPredictor
from grokpredict.model.classifier import GrokClassifier

pytestmark = [pytest.mark.filterwarnings(text) for text in LIGHTNING_WARNINGS]

PROGRAM = Path(__file__).with_name("ddp_program.py")
#: A deadlock would last for ever.
DEADLINE = 400


@pytest.fixture(scope="module")
def folder(short_classifier_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes wrote; they ran all cases one after the other."""
    folder = tmp_path_factory.mktemp("ddp")
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    environment = {
        **os.environ,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": "2",
        "NODE_RANK": "0",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(PROGRAM.parent), str(PROGRAM.parent.parent)]),
    }
    processes = [
        subprocess.Popen(
            [sys.executable, str(PROGRAM), str(short_classifier_file), str(folder)],
            env={**environment, "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        outputs = [process.communicate(timeout=DEADLINE)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], "\n".join(outputs)
    return folder


def both(folder: Path, case: str) -> dict[str, Any]:
    """What the two processes held, which must be the same."""
    first, second = (json.loads((folder / f"{case}-{rank}.json").read_text()) for rank in (0, 1))
    assert first == second
    return first


def test_differing_losses_give_the_verdict_on_their_mean(
    folder: Path, classifier: GrokClassifier
) -> None:
    alone = GrokPredictor(classifier, budget=BUDGET)
    trainer = pl.Trainer(callbacks=[alone], max_steps=290, **QUIET)
    trainer.fit(Follows(GOOD), batches(2 * BUDGET, batch_size=2))
    told = both(folder, "differing")
    assert [verdict["horizon"] for verdict in told["verdicts"]] == [200, 282]
    for verdict, expected in zip(told["verdicts"], alone.verdicts, strict=True):
        assert verdict["probability"] == expected.probability
        assert verdict["features"] == pytest.approx(dict(expected.features), rel=1e-3, abs=1e-3)


def test_only_the_first_process_writes(folder: Path) -> None:
    found = sorted(path.name for path in (folder / "logs").rglob("grokpredict*"))
    assert found == ["grokpredict.json"]


def test_a_doomed_run_is_stopped_in_both_at_the_same_step(folder: Path) -> None:
    told = both(folder, "doomed")
    assert told["global_step"] == told["stopped_step"] == 201


def test_nan_in_one_process_is_missing_in_both(folder: Path) -> None:
    told = both(folder, "nan")
    assert all("look skipped" in verdict["reason"] for verdict in told["verdicts"])
    assert told["global_step"] == 290


def test_uneven_last_batches_under_accumulation(folder: Path) -> None:
    uneven, whole = both(folder, "uneven"), both(folder, "differing")
    assert [own["horizon"] for own in uneven["verdicts"]] == [200, 282]
    for own, expected in zip(uneven["verdicts"], whole["verdicts"], strict=True):
        loss_features = {n: v for n, v in own["features"].items() if n.startswith("train_loss")}
        assert loss_features
        assert loss_features == pytest.approx(
            {name: expected["features"][name] for name in loss_features}, rel=1e-3, abs=1e-3
        )


def test_a_resumed_run_has_the_losses_of_both(folder: Path) -> None:
    assert both(folder, "resumed")["verdicts"] == both(folder, "differing")["verdicts"]


def test_weights_that_are_sharded_change_nothing(folder: Path) -> None:
    sharded, whole = both(folder, "sharded"), both(folder, "differing")
    assert [own["horizon"] for own in sharded["verdicts"]] == [200, 282]
    for own, expected in zip(sharded["verdicts"], whole["verdicts"], strict=True):
        # A process holds a shard only, so the norm of the weights is not known.
        assert set(expected["reads"]) - set(own["reads"]) == {"weight_norm"}
        assert own["features"].items() <= expected["features"].items()
    assert both(folder, "sharded-doomed")["stopped_step"] == 201


def test_a_failure_in_one_process_never_splits_them(folder: Path) -> None:
    second = both(folder, "failure-second")
    assert second["global_step"] == second["stopped_step"] == 201
    assert [own["horizon"] for own in both(folder, "failure-second-good")["verdicts"]] == [200, 282]
    first = both(folder, "failure-first")
    assert first["global_step"] == 290
    assert first["verdicts"] == []
    assert "leaves this run alone" in first["message"]


def test_validation_that_differs_never_splits_them(folder: Path) -> None:
    told = both(folder, "validation")
    assert told["global_step"] == told["stopped_step"] == 201


def test_state_asked_for_in_one_process_does_not_wait_for_the_other(folder: Path) -> None:
    assert both(folder, "asked")["global_step"] == 290
    assert json.loads((folder / "alone.json").read_text())["complete"] is False


def test_a_fault_while_deciding_never_splits_them(folder: Path) -> None:
    """In the first process nothing is decided; in the second its answer is not asked for."""
    for place in ("can_stop", "Validation.spared", "GrokPredictor._ending", "Stop.ending"):
        assert both(folder, f"deciding-1-{place}")["stopped_step"] == 205, place
        told = both(folder, f"deciding-0-{place}")
        assert (told["global_step"], told["stopped_step"]) == (210, None), place


def test_weights_and_random_numbers_are_bit_identical(folder: Path) -> None:
    for rank in (0, 1):
        weights = json.loads((folder / f"weights-{rank}.json").read_text())
        assert weights["looks"] == [200]
        assert weights["with"] == weights["without"]
