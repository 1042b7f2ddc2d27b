"""Whatever a log holds, its reading ends in runs or in a reason, and other runs are read."""

from __future__ import annotations

from pathlib import Path

import fuzzing
import numpy as np
import pytest

from grokpredict.logs import read_sweep
from grokpredict.runs.curve import MAX_STEP
from grokpredict.training.record import records_of

pytestmark = pytest.mark.filterwarnings("ignore")

#: Damaged copies of each format; benchmarks/bench_fuzz.py takes more.
COPIES = 25


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLFLOW_ALLOW_FILE_STORE", "MLFLOW_DISABLE_TELEMETRY"):
            patch.setenv(name, "true")
        return fuzzing.whole_logs(tmp_path_factory.mktemp("whole"))


def test_damaged_logs_are_read_or_left_out_with_a_reason(
    logs: dict[str, Path], tmp_path: Path
) -> None:
    good = "step,train_loss\n" + "".join(f"{step},{1 / (1 + step)}\n" for step in range(50))
    rng = np.random.default_rng(7)
    refused = 0
    for name, log in logs.items():
        for i, place in fuzzing.damaged(log, tmp_path / name, COPIES, rng):
            (place / "good.csv").write_text(good)
            sweep = read_sweep(place)
            assert any(run.name.endswith("good.csv") for run in sweep.runs), (name, i)
            assert all(left.reason and left.path for left in sweep.left_out), (name, i)
            for run in sweep.runs:
                assert all(curve.steps[-1] <= MAX_STEP for curve in run.channels.values())
            records_of(sweep.runs)
            refused += bool(sweep.left_out)
    assert refused > len(logs)  # the damage is felt
