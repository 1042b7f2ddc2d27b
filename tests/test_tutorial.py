"""The lines of the tutorial, run by the kernel of a notebook."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from report_sweep import report_sweep
from short_runs import BUDGET

from grokpredict.logs.bundle import write_bundle

TUTORIAL = """\
import grokpredict as gp
sweep = gp.read_sweep("sweeps"); sweep.to_pandas()
scores = gp.score_sweep(sweep); scores.to_pandas()
sweep
evaluation = gp.evaluate(sweep); evaluation
evaluation.plot(); sweep.plot_phase("lr", "weight_decay")
gp.report(sweep, "report.html")
"""


@pytest.mark.filterwarnings("ignore::DeprecationWarning:jupyter_client")
def test_the_tutorial_runs_in_a_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = report_sweep().runs
    (tmp_path / "sweeps").mkdir()
    write_bundle(
        tmp_path / "sweeps" / "runs.npz",
        channels={
            name: (
                runs[0].channels[name].steps,
                [run.channels[name].values for run in runs],
            )
            for name in ("train_loss", "val_acc")
        },
        n_steps=[BUDGET] * len(runs),
        hparams=[{**run.hparams, "max_steps": BUDGET} for run in runs],
    )
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    cells = [nbformat.v4.new_code_cell(line) for line in TUTORIAL.splitlines()]
    notebook = nbformat.v4.new_notebook(cells=cells)
    client = NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    )
    client.execute()
    shown = [{kind for out in cell.outputs for kind in out.get("data", ())} for cell in cells]
    assert all("text/html" in kinds for kinds in shown[1:5])
    assert "image/png" in shown[5]
    assert sum("image/png" in out.get("data", ()) for out in cells[5].outputs) == 2
    (card,) = [out.data["text/html"] for out in cells[3].outputs]
    assert f"Sweep of {len(runs)} runs" in card
    assert len(card) < 20_000
    assert (tmp_path / "report.html").stat().st_size > 900_000
