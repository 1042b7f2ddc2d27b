"""What the callback saw of a run as it trained, and wrote beside its log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Watched:
    """A run through the eyes of the callback: a log has fewer losses, and no weight norm.

    Attributes
    ----------
    budget : int
        Step by which the run had to generalise.
    channels : mapping of str to mapping of str to sequence of float
        For each channel the sums of its bins, as :meth:`grokpredict.features.profile.Sums.state`.
    """

    budget: int
    channels: Mapping[str, Mapping[str, Sequence[float]]]
