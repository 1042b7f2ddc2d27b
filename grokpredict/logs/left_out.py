"""What there is to say of the runs that were read and of those that were left out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from grokpredict.logs.errors import LogError
from grokpredict.runs.sweep import Findings, LeftOut


def by_reason(left_out: Iterable[LeftOut]) -> list[tuple[int, LeftOut]]:
    """Group runs that were left out for the same reason.

    Parameters
    ----------
    left_out : iterable of LeftOut
        Reasons that differ in nothing but the file and the numbers in them are the same.

    Returns
    -------
    list of (int, LeftOut)
        How many, and the first of them; the most frequent reason first.
    """
    groups: dict[str, list[LeftOut]] = {}
    for run in left_out:
        key = re.sub(r"[\d.]+", "0", run.reason.replace(run.path, ""))
        groups.setdefault(key, []).append(run)
    ordered = sorted(groups.values(), key=len, reverse=True)
    return [(len(group), group[0]) for group in ordered]


def require_all(left_out: Sequence[LeftOut], n_runs: int) -> None:
    """Raise LogError if a run was left out beside ``n_runs`` others, naming one."""
    if left_out:
        raise LogError(
            f"every run must be readable under --strict, {len(left_out)} of "
            f"{n_runs + len(left_out)} are not; the first: {sentence(left_out[0])}"
        )


def notes(findings: Findings) -> list[str]:
    """Return a line for each remark: of how many runs it is true, and one of them."""
    groups: dict[str, tuple[int, str, str]] = {}
    for text, (number, example) in findings.remarks.items():
        # Remarks that differ in their numbers alone are one.
        key = re.sub(r"[\d.]+", "0", text)
        before, first, shown = groups.get(key, (0, example, text))
        groups[key] = (before + number, first, shown)
    lines = [
        f"note on {number} run{'' if number == 1 else 's'}, such as {example}: {text}"
        for number, example, text in groups.values()
    ]
    if findings.unread:
        kinds = ", ".join(f"{number} {kind}" for kind, (number, _) in findings.unread.items())
        example = next(iter(findings.unread.values()))[1]
        lines.append(f"not read, since they are no logs: {kinds}, such as {example}")
    return lines


def sentence(left_out: LeftOut) -> str:
    """Return the reason, with the path before it unless it names the path itself."""
    if left_out.path in left_out.reason:
        return left_out.reason
    return f"{left_out.path}: {left_out.reason}"
