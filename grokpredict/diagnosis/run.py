"""What a run's logs alone say about why it went as it did."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from grokpredict.diagnosis.clock import NormClock, decay_rate
from grokpredict.diagnosis.trajectory import Slingshot, Trajectory, slingshots
from grokpredict.runs.curve import Curve
from grokpredict.runs.labels import Phase, PhaseTimes, phase, phase_times
from grokpredict.runs.run import Run

#: Validation accuracy that counts as 100 %, as t2 does for the training accuracy.
WHOLE = 0.995


@dataclass(frozen=True, eq=False)
class RunDiagnosis:
    """What the logs of one run say.

    Attributes
    ----------
    run : Run
        With the norms of a trajectory, where its logs had none.
    budget : int
        Step by which it had to generalise.
    times : PhaseTimes
        t1 to t4; t4 is 95 % held, as everywhere in this package.
    t4_whole : int or None
        First step with a validation accuracy of 100 % (here 99.5 %), the paper's t4.
    phase : Phase or None
        At the budget; None where that cannot be told.
    slingshots : list of Slingshot or None
        None where no channel could confirm one.
    clock : NormClock or None
        At the last step; None where the configuration does not tell.
    trajectory : Trajectory or None
        Of a probe, if there was one.
    """

    run: Run
    budget: int
    times: PhaseTimes
    t4_whole: int | None
    phase: Phase | None
    slingshots: list[Slingshot] | None
    clock: NormClock | None
    trajectory: Trajectory | None = None

    @property
    def delay(self) -> int | None:
        """Steps from memorising to generalising, t4 - t2."""
        if self.times.t2 is None or self.times.t4 is None:
            return None
        return self.times.t4 - self.times.t2

    @property
    def norms(self) -> Curve | None:
        """The weight norm, where it was recorded."""
        curve = self.run.channels.get("weight_norm")
        if curve is None:
            return None
        told = np.isfinite(curve.values)
        return Curve(curve.steps[told], curve.values[told]) if told.any() else None

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as what :func:`json.dumps` takes."""
        clock = self.clock
        return {
            "run": self.run.name,
            "budget": self.budget,
            "last_step": self.run.last_step,
            **asdict(self.times),
            "t4_whole": self.t4_whole,
            "delay": self.delay,
            "phase": None if self.phase is None else self.phase.value,
            "slingshots": None if self.slingshots is None else [asdict(s) for s in self.slingshots],
            "norm_clock": None
            if clock is None
            else {**asdict(clock), "left": clock.left, "needed": clock.needed},
        }


def diagnose_run(
    run: Run,
    *,
    budget: int | None = None,
    goldilocks: float | None = None,
    trajectory: Trajectory | None = None,
) -> RunDiagnosis:
    """Read phases, slingshots and the norm's clock from a run's logs.

    Parameters
    ----------
    run : Run
        Finished or not.
    budget : int, optional
        What the run was planned for, or else its last step.
    goldilocks : float, optional
        The norm w_c, of :func:`~grokpredict.diagnosis.norm.reduced_landscape`.
    trajectory : Trajectory, optional
        Of a :class:`~grokpredict.diagnosis.probe.TrajectoryProbe`.

    Raises
    ------
    ValueError
        If the budget or the norm is not positive.
    """
    if budget is not None and budget < 1:
        raise ValueError(f"the budget must be at least 1 step, got {budget}")
    if goldilocks is not None and not goldilocks > 0:
        raise ValueError(f"the Goldilocks norm must be above 0, got {goldilocks}")
    if trajectory is not None and len(trajectory):
        run = replace(run, channels={**trajectory.curves(), **run.channels})
    end = budget or run.max_steps or run.last_step
    found = RunDiagnosis(
        run=run,
        budget=end,
        times=phase_times(run),
        t4_whole=_first_whole(run.channels.get("val_acc")),
        phase=phase(run, end),
        slingshots=_slingshots(run, trajectory),
        clock=None,
        trajectory=trajectory,
    )
    rate = decay_rate(run.configuration)
    if rate is None and trajectory is not None and len(trajectory) and trajectory.steps[-1] > 0:
        rate = float(trajectory.clock[-1] / trajectory.steps[-1])
    if rate is None:
        return found
    norm = None if found.norms is None else float(found.norms.values[-1])
    return replace(found, clock=NormClock(run.last_step, end, rate, norm, goldilocks))


def _first_whole(curve: Curve | None) -> int | None:
    if curve is None:
        return None
    hits = curve.steps[curve.values >= WHOLE]
    return int(hits[0]) if hits.size else None


def _slingshots(run: Run, trajectory: Trajectory | None) -> list[Slingshot] | None:
    """Find spikes that gradient, direction or norm confirm; None if there is none of these."""
    signs: dict[str, Curve] = {}
    if "grad_norm" in run.channels:
        signs["gradient"] = run.channels["grad_norm"]
    if trajectory is not None and len(trajectory):
        signs["direction"] = Curve(trajectory.steps, 1.0 - trajectory.cos_step)
    norm = run.channels.get("weight_norm")
    if "direction" not in signs and norm is not None and len(norm) > 1:
        change = np.abs(np.diff(norm.values)) / np.diff(norm.steps)
        signs["weight norm"] = Curve(norm.steps[1:], change)
    if not signs:
        return None
    return slingshots(run.loss, signs)
