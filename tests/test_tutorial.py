"""The lines of the tutorial, run by the kernel of a notebook, on a sweep of few good runs."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from sweep_on_disk import write_sweep

RUNS = 16

TUTORIAL = """\
import grokpredict as gp
sweep = gp.read_sweep("sweeps"); sweep.to_pandas()
scores = gp.score_sweep(sweep); scores.to_pandas()
sweep
evaluation = gp.evaluate(sweep); evaluation
evaluation.plot(); sweep.plot_phase("lr", "weight_decay")
mine = gp.calibrate("default", sweep); mine.save("my.npz"); gp.report(sweep, "report.html")
mine
gp.load_classifier("my.npz")
"""


@pytest.mark.filterwarnings("ignore::DeprecationWarning:jupyter_client")
def test_the_tutorial_runs_in_a_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_sweep(tmp_path / "sweeps", bundles=1, runs=RUNS)
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
    assert f"Sweep of {RUNS} runs" in card
    assert len(card) < 20_000
    assert (tmp_path / "report.html").stat().st_size > 900_000
    # Too few good runs for a threshold of their own: it is said, and nothing fails.
    (calibrated,) = [out.data["text/html"] for out in cells[7].outputs]
    assert "of 19: no bound for your runs alone; " in calibrated
    assert "more for 5 % in expectation" in calibrated
    assert "good runs" in cells[8].outputs[0].data["text/html"]
