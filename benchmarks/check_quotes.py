"""The figures that pages quote, each from what a script recorded.

    python benchmarks/check_quotes.py            # name every quote that has drifted
    python benchmarks/check_quotes.py --write    # set the quotes to what was recorded

A script that makes figures calls :func:`record`, which keeps them in ``figures.json`` with the
command that makes them again and with the built-in classifier that they were measured with. A page
quotes a figure between two comments, which its readers do not see:

    lost <!-- figure: heldout.lost .1%i -->1.4 % [0.4, 3.4]<!-- end --> of the good runs

The name is that of the section and that of the figure. What follows is Python's format; with ``i``
at its end the interval is shown too. A text, such as a table, has no format.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RECORDED = ROOT / "benchmarks" / "figures.json"
CLASSIFIER = ROOT / "grokpredict" / "model" / "pretrained" / "default.npz"
PAGES = ("*.md", "docs/**/*.md", "benchmarks/*.md", "data/*.md", "grokpredict/**/*.md")

_QUOTE = re.compile(
    r"(?P<before><!-- figure: (?P<name>[\w.+-]+)(?: (?P<form>\S+))? -->)"
    r"(?P<text>.*?)(?P<after><!-- end -->)",
    re.DOTALL,
)
#: Markdown shows a line that begins with a comment as it is, its other text included.
_HIDES = re.compile(r"^ *<!-- figure: [^>]*-->[^\n]", re.MULTILINE)


def digest() -> str:
    """Return what tells one built-in classifier from another."""
    return sha256(CLASSIFIER.read_bytes()).hexdigest()[:16]


def record(section: str, command: str, figures: dict[str, Any]) -> None:
    """Keep what a script measured with the built-in classifier, in place of what it had before.

    A figure is a number, a text, or a mapping with ``value``, ``low`` and ``high``.
    """
    recorded = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
    recorded[section] = {"command": command, "classifier": digest(), "figures": figures}
    RECORDED.write_text(json.dumps(recorded, indent=1, sort_keys=True, allow_nan=False) + "\n")


def shown(figure: Any, form: str | None) -> str:
    """Return a figure as a page has it: ``1 042``, ``54 %``, ``54 % [46, 61]``."""
    if isinstance(figure, str):
        return figure
    form = form or ""
    interval = form.endswith("i")
    form = form.removesuffix("i")
    if not isinstance(figure, dict):
        return format(figure, form).replace(",", " ").replace("%", " %")
    if figure["value"] is None:  # too few runs
        return "-"
    value = shown(figure["value"], form)
    if not interval:
        return value
    low, high = (format(figure[end], form).removesuffix("%") for end in ("low", "high"))
    return f"{value} [{low}, {high}]"


def checked(page: Path, recorded: dict[str, Any]) -> tuple[str, list[str]]:
    """Return a page as it should be, and a line for each quote in it that is wrong."""
    old = page.read_text()
    wrong = []

    def mended(quote: re.Match[str]) -> str:
        section, _, name = quote["name"].partition(".")
        figures = recorded.get(section, {}).get("figures", {})
        line = f"{page.relative_to(ROOT)}:{old.count(chr(10), 0, quote.start()) + 1}"
        if name not in figures:
            wrong.append(f"{line}: nothing recorded {quote['name']}")
            return quote[0]
        figure = shown(figures[name], quote["form"])
        if figure != quote["text"]:
            new = "another table" if "\n" in figure else repr(figure)
            wrong.append(f"{line}: {quote['name']} is {new}; run check_quotes.py --write")
        return quote["before"] + figure + quote["after"]

    text = _QUOTE.sub(mended, old)
    if _HIDES.search(text):
        wrong.append(f"{page.relative_to(ROOT)}: a line must not begin with a quote")
    return text, wrong


def complaints(recorded: dict[str, Any]) -> list[str]:
    """Return a line for everything that is wrong."""
    wrong = [
        f"{name} was measured with another built-in classifier; run: {section['command']}"
        for name, section in recorded.items()
        if section["classifier"] != digest()
    ]
    for page in pages():
        wrong += checked(page, recorded)[1]
    return wrong


def pages() -> list[Path]:
    """Return the pages that may quote."""
    return sorted({page for pattern in PAGES for page in ROOT.glob(pattern)})


def main() -> None:
    """Check; with ``--write`` set the quotes first."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true", help="set the quotes")
    recorded = json.loads(RECORDED.read_text())
    if parser.parse_args().write:
        for page in pages():
            page.write_text(checked(page, recorded)[0])
    wrong = complaints(recorded)
    print("\n".join(wrong) or "every quote is what was recorded")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
