"""The demo runs as it stands, with the default classifier, and is right about both runs."""

import subprocess
import sys
from pathlib import Path


def test_the_demo_stops_the_doomed_run_and_leaves_the_good_one_alone() -> None:
    demo = Path(__file__).parents[1] / "examples" / "demo.py"
    done = subprocess.run(
        [sys.executable, str(demo)], capture_output=True, text=True, timeout=600, check=True
    )
    assert "so leaving it alone was right" in done.stdout
    assert "so stopping it was right" in done.stdout
    assert "steps were not trained" in done.stdout
