"""Cold start: commands as processes of their own beside the imports that they cannot do without.

    python benchmarks/bench_cold.py [--repeats 15]

All are started in turn, so that a busy machine is busy for all of them; medians of the clock and,
which other processes disturb less, of the processor time.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

RUN = "import sys; from grokpredict.cli import main; main()"

#: What is started; a command and what it is compared with.
PAIRS = (
    ("score loss.csv", "import sklearn.linear_model, scipy.signal", 1.3),
    ("--help", "import click", 1.5),
    ("completion of a command", "import click", 1.5),
    ("import grokpredict", "import numpy", 1.2),
)


def started(arguments: list[str], env: dict[str, str]) -> tuple[float, float]:
    """Seconds by the clock and of the processor."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    done = subprocess.run(arguments, env=env, capture_output=True, check=False)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr.decode()
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "loss.csv"
        t = np.arange(400)
        loss = np.exp(-t / 100) + 0.1 + 0.01 * np.sin(t)
        log.write_text("loss\n" + "".join(f"{value}\n" for value in loss))
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        completing = {
            "_GROKPREDICT_COMPLETE": "bash_complete",
            "COMP_WORDS": "grokpredict tra",
            "COMP_CWORD": "1",
        }
        grokpredict = str(Path(sys.executable).with_name("grokpredict"))
        work = {
            "score loss.csv": ([grokpredict, "score", str(log)], env),
            "--help": ([grokpredict, "--help"], env),
            "completion of a command": ([grokpredict], {**env, **completing}),
        }
        for pair in PAIRS:
            for name in pair[:2]:
                if name.startswith("import"):
                    work[name] = ([sys.executable, "-c", name], env)
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in work}
        for _ in range(repeats + 1):
            for name, own in work.items():
                found[name].append(started(*own))
    median = {
        name: [statistics.median(column) * 1e3 for column in zip(*own[1:], strict=True)]
        for name, own in found.items()
    }
    print("| command | ms | of CPU | beside | ms | of CPU | ratio | of CPU | target |")
    print("| --- | ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: |")
    for name, beside, target in PAIRS:
        (a, b), (c, d) = median[name], median[beside]
        print(
            f"| `{name}` | {a:.0f} | {b:.0f} | `{beside}` | {c:.0f} | {d:.0f} "
            f"| {a / c:.2f} | {b / d:.2f} | {target} |"
        )
    print(f"load at the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", file=sys.stderr)


if __name__ == "__main__":
    main()
