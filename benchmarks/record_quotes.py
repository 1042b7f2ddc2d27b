"""Record the figures that pages quote of the built-in classifier.

    python benchmarks/record_quotes.py classifier   # from its file
    python benchmarks/record_quotes.py heldout      # replays the held-out runs; some minutes

``python benchmarks/check_quotes.py --write`` then sets the quotes.
"""

import argparse
from collections.abc import Iterable
from typing import Any

from check_quotes import ROOT, record, shown

from grokpredict import Sweep, evaluate, load_classifier, read_sweep

#: The runs of the latest report, and the families among them of which no run is in data/sweeps.
HELD_OUT, NEW = "heldout", {"dihedral", "polynomial"}


def classifier() -> dict[str, Any]:
    """Return how many runs the built-in classifier was trained on."""
    counts = load_classifier("default").card["report"]["counts"]
    return {
        "runs": counts["runs"],
        "used": counts["generalised"] + counts["not_generalised"],
        "good": counts["generalised"],
        "networks": counts["networks"],
    }


def heldout(jobs: int) -> dict[str, Any]:
    """Return what the built-in classifier does on held-out runs of the families that it knows."""
    runs = read_sweep(ROOT / "data" / HELD_OUT).runs
    known = [run for run in runs if run.hparams["family"] not in NEW]
    return of_evaluation(evaluate(Sweep(known), jobs=jobs).to_dict())


def of_evaluation(found: dict[str, Any]) -> dict[str, Any]:
    """Return what pages say of an evaluation."""
    ours = next(row for row in found["as_is"] if row["rule"] == found["headline"])
    rivals = [row for row in found["matched"] if row["matched"] and _is_rival(row["rule"])]
    rivals.sort(key=lambda row: -row["saved"]["value"])
    return {
        "runs": found["counts"]["good"] + found["counts"]["doomed"],
        "good": found["counts"]["good"],
        "doomed": found["counts"]["doomed"],
        "lost": ours["lost"],
        "stopped": ours["cut"],
        "saved": ours["saved"],
        "saved_of_all": ours["saved_of_all"],
        "rival_saved": rivals[0]["saved"],
        "rules": _rules([{**ours, "rule": "**grokpredict**"}, *rivals]),
        "ranking": _ranking(look for look in found["looks"] if look["model"] == found["headline"]),
    }


def _is_rival(rule: str) -> bool:
    return not rule.startswith(("this classifier", "retrained"))


def _rules(rows: Iterable[dict[str, Any]]) -> str:
    """Return what each rule lost and saved as a table."""
    lines = ["| rule | setting | good runs lost | saved |", "| --- | --- | --- | --- |"]
    for row in rows:
        lost, saved = _cell(row["lost"], ".1%i"), _cell(row["saved"], ".0%i")
        lines.append(f"| {row['rule']} | {row['setting']} | {lost} | {saved} |")
    return _block(lines)


def _ranking(looks: Iterable[dict[str, Any]]) -> str:
    """Return the AUROC at each look, beside that of the configuration alone, as a table."""
    lines = [
        "| steps | runs | good | AUROC | configuration only | lead |",
        "| ---: | ---: | ---: | --- | --- | --- |",
    ]
    for look in looks:
        if look["auroc"]["value"] is None:  # too few runs of an outcome
            continue
        areas = (_cell(look[name], ".2fi") for name in ("auroc", "configuration_auroc", "lead"))
        counts = (_cell(look[name], ",") for name in ("horizon", "n_runs", "n_good"))
        lines.append(f"| {' | '.join([*counts, *areas])} |")
    return _block(lines)


def _cell(figure: Any, form: str) -> str:
    """Return a figure that a narrow screen does not break into two lines."""
    return shown(figure, form).replace(" ", "\N{NO-BREAK SPACE}")


def _block(lines: list[str]) -> str:
    """Return lines as a block of their own between two comments."""
    return "\n\n" + "\n".join(lines) + "\n\n"


def main() -> None:
    """Record one section."""
    parser = argparse.ArgumentParser()
    parser.add_argument("section", choices=["classifier", "heldout"])
    parser.add_argument("--jobs", type=int, default=1)
    arguments = parser.parse_args()
    section = arguments.section
    figures = classifier() if section == "classifier" else heldout(arguments.jobs)
    record(section, f"python benchmarks/record_quotes.py {section}", figures)


if __name__ == "__main__":
    main()
