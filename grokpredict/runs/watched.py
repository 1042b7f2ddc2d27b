"""What the callback saw of a run as it trained, and wrote beside its log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Watched:
    """A run through the eyes of the callback: a log has fewer losses, and no weight norm.

    Attributes
    ----------
    budget : int
        Step by which the run had to generalise.
    recording : mapping
        As :meth:`grokpredict.features.recording.Recording.state`.
    """

    budget: int
    recording: Mapping[str, Any]
