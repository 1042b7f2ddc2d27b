"""Why a run does what it does: its trajectory, curvature, landscape, norm and dimension.

What the logs alone tell needs no torch, so each name is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from grokpredict._util.lazy import lazily

if TYPE_CHECKING:
    from grokpredict.diagnosis.network import Diagnosis as Diagnosis
    from grokpredict.diagnosis.network import diagnose as diagnose
    from grokpredict.diagnosis.norm import ReducedLandscape as ReducedLandscape
    from grokpredict.diagnosis.norm import fixed_norm as fixed_norm
    from grokpredict.diagnosis.norm import reduced_landscape as reduced_landscape
    from grokpredict.diagnosis.probe import TrajectoryProbe as TrajectoryProbe
    from grokpredict.diagnosis.run import RunDiagnosis as RunDiagnosis
    from grokpredict.diagnosis.run import diagnose_run as diagnose_run
    from grokpredict.diagnosis.snapshots import Snapshot as Snapshot
    from grokpredict.diagnosis.snapshots import read_checkpoint as read_checkpoint
    from grokpredict.diagnosis.trajectory import Trajectory as Trajectory

_HOMES = {
    "Diagnosis": "network",
    "ReducedLandscape": "norm",
    "RunDiagnosis": "run",
    "Snapshot": "snapshots",
    "Trajectory": "trajectory",
    "TrajectoryProbe": "probe",
    "diagnose": "network",
    "diagnose_run": "run",
    "fixed_norm": "norm",
    "read_checkpoint": "snapshots",
    "reduced_landscape": "norm",
}

__all__ = list(_HOMES)
__getattr__, __dir__ = lazily(__name__, _HOMES)
