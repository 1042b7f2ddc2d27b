"""Count what the sweep data hold, as the table in README.md beside this file.

python data/card.py            # print the table
python data/card.py --write    # put it into README.md
"""

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from grokpredict.logs import read_sweep
from grokpredict.runs.labels import outcome, phase
from grokpredict.runs.run import Run

HERE = Path(__file__).parent
BEGIN, END = "<!-- counts -->\n", "<!-- end of counts -->\n"
HEADER = (
    "| family | runs | configurations | generalise | do not | censored | comprehension | grokking "
    "| memorisation | confusion | not yet at the usual budget | diverged |\n"
    "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n"
)
TENTHS = (
    "| t4 in which tenth of the budget | generalise | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 |\n"
    "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n"
)
PARTS = ("sweeps", "heldout", "heldout-1", "heldout-2")


def count(runs: Sequence[Run]) -> Counter[str]:
    found: Counter[str] = Counter()
    configurations = set()
    usual: dict[str, int] = {}
    for run in runs:
        assert run.max_steps is not None
        usual[shard(run)] = min(run.max_steps, usual.get(shard(run), run.max_steps))
    for run in runs:
        found["runs"] += 1
        configurations.add(run.configuration_key)
        result = outcome(run)
        assert result is not None
        assert run.max_steps is not None
        found[{True: "good", False: "bad", None: "censored"}[result.by(run.max_steps)]] += 1
        stage = phase(run, run.max_steps)
        if stage is not None:
            found[stage.value] += 1
        found["diverged"] += run.diverged
        # A tenth of the runs were planned for three times the usual budget of their shard: what
        # a shorter one would have called "never" was perhaps "not yet".
        # Budgets of the second generation are all different.
        first = run.hparams.get("generation", 1) == 1
        if first and run.max_steps > usual[shard(run)] and result.by(usual[shard(run)]) is False:
            found["long"] += 1
            found["late"] += result.t4 is not None
    found["configurations"] = len(configurations)
    return found


def shard(run: Run) -> str:
    """Return the bundle that a run lies in."""
    return run.name.rsplit("[", 1)[0]


def row(name: str, found: Counter[str]) -> str:
    stages = " | ".join(
        str(found[stage]) for stage in ("comprehension", "grokking", "memorisation", "confusion")
    )
    return (
        f"| {name} | {found['runs']} | {found['configurations']} | {found['good']} "
        f"| {found['bad']} | {found['censored']} | {stages} "
        f"| {found['late']} of {found['long']} | {found['diverged']} |\n"
    )


def tenths(name: str, runs: Sequence[Run]) -> str:
    """Return which share of the runs that generalised did so in which tenth of their budget."""
    shares = [
        result.t4 / run.max_steps
        for run in runs
        if (result := outcome(run)) and result.t4 is not None and run.max_steps
    ]
    counts = Counter(min(int(10 * share), 9) for share in shares)
    cells = " | ".join(f"{100 * counts[k] / max(len(shares), 1):.0f} %" for k in range(10))
    return f"| {name} | {len(shares)} | {cells} |\n"


def table() -> str:
    lines = [HEADER]
    late = [TENTHS]
    for part in PARTS:
        runs = read_sweep([HERE / part]).runs
        for generation in (1, 2):
            made = [run for run in runs if run.hparams.get("generation", 1) == generation]
            if made:
                late.append(tenths(f"{part}, generation {generation}", made))
        families = sorted({run.hparams["family"] for run in runs})
        lines += [
            row(name, count([run for run in runs if run.hparams["family"] == name]))
            for name in families
        ]
        lines.append(row(f"**{part}**", count(runs)))
    return "".join([*lines, "\n", *late])


def main() -> None:
    if "--write" not in sys.argv:
        print(table(), end="")
        return
    card = HERE / "README.md"
    text = card.read_text()
    before, rest = text.split(BEGIN)
    card.write_text(before + BEGIN + table() + END + rest.split(END)[1])


if __name__ == "__main__":
    main()
