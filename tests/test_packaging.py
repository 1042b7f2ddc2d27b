"""What is declared in one file and repeated in another says the same."""

from __future__ import annotations

import re
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomllib")

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

#: Installed at another version than the lowest; constraints-lowest.txt says why.
NOT_LOWEST = {"torch"}

#: Extras that are not installed at their lowest versions; constraints-lowest.txt says why.
NOT_INSTALLED = {"wandb", "transformers", "dask", "ray"}


def lowest_declared() -> dict[str, str]:
    extras = PROJECT["optional-dependencies"]
    declared = [
        *PROJECT["dependencies"],
        *(line for name in extras.keys() - NOT_INSTALLED for line in extras[name]),
    ]
    bounds = (re.match(r"([\w-]+)[^>]*>=([\d.]+)", line) for line in declared)
    return {bound[1].lower(): bound[2] for bound in bounds if bound}


def lowest_tested() -> dict[str, str]:
    lines = (ROOT / "constraints-lowest.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def padded(numbers: str) -> tuple[int, ...]:
    parts = tuple(map(int, numbers.split(".")))
    return parts + (0,) * (3 - len(parts))


def test_the_lowest_versions_are_those_that_are_tested() -> None:
    declared, tested = lowest_declared(), lowest_tested()
    assert declared.keys() == tested.keys()
    for name in declared.keys() - NOT_LOWEST:
        assert padded(declared[name]) == padded(tested[name]), name


def test_every_file_names_the_same_version() -> None:
    assert PROJECT["version"] == version("grokpredict")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]


def test_the_changelog_has_a_place_for_the_next_entry() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "[Unreleased]"
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", each) for each in headings[1:])
