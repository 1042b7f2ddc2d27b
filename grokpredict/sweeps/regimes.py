"""How the second generation of shards is drawn: networks, budgets, optimisers, rates.

What a seed has drawn once it must draw for good: change nothing here once shards are published.
Ranges were set by how runs of another seed ended, never by what a classifier makes of them.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator

from grokpredict.sweeps.config import RunConfig
from grokpredict.sweeps.draws import log_uniform
from grokpredict.sweeps.evaluation import on_grid
from grokpredict.sweeps.tasks import Dataset

Drawn = dict[str, Any]
#: Draws what the runs of one shard share, given its number.
Structure = Callable[[Generator, int], Drawn]
#: Draws what a configuration changes in :func:`draw_run`'s ranges, given its budget.
Varied = Callable[[Generator, int], Drawn]

#: Runs of a shard, and how many of them have a configuration of their own: the others repeat
#: one with another seed, which shows how much of an outcome is luck.
SHARD_RUNS = 24
SHARD_CONFIGURATIONS = 20
#: Budgets are log-uniform between these; costly networks get no more than SECONDS of one core.
LEAST_STEPS, MOST_STEPS = 3000, 100_000
SECONDS = 2.0


@dataclass(frozen=True)
class Regime:
    """A named family of the second generation.

    Parameters
    ----------
    name, source : str
        What ``grokpredict sweep`` is asked for, and where the task is from.
    data : callable
        Makes the data set of a configuration.
    structure : callable
        Draws what the runs of a shard share, given the number of the shard. ``train_fraction`` in
        it is the centre of what the runs draw.
    varied : callable
        Draws what a configuration changes in :func:`draw_run`'s ranges, given its budget.
    pace : tuple of float, optional
        For four fifths of the runs, bounds of the learning rate (of Adam; those of others follow)
        times the budget: where the task is easy, a usual rate would be through at once.
    optimisers : sequence of (str, float)
        How often a shard has each of them.
    """

    name: str
    source: str
    data: Callable[[RunConfig], Dataset]
    structure: Structure
    varied: Varied = lambda rng, budget: {}
    optimisers: tuple[tuple[str, float], ...] = (
        ("adamw", 0.5), ("muon", 0.1), ("lion", 0.12), ("adam", 0.08), ("rmsprop", 0.08),
        ("sgd", 0.12),
    )  # fmt: skip
    pace: tuple[float, float] | None = None


def draw_shard(regime: Regime, shard: int, seed: int) -> list[RunConfig]:
    """Draw the configurations of one shard; the same three arguments give the same ones."""
    rng = np.random.default_rng([seed, zlib.crc32(regime.name.encode()), shard])
    structure = {"family": regime.name, "generation": 2, **regime.structure(rng, shard)}
    centre = structure.pop("train_fraction")
    spread = structure.pop("spread", 1.2)
    most = structure.pop("most_steps", MOST_STEPS)
    least_share = structure.pop("least_share", 0.0)
    seconds = structure.pop("seconds", SECONDS)
    habits = draw_habits(rng, regime, structure)
    probe = RunConfig(
        **structure, optimizer="adamw", learning_rate=0.0, weight_decay=0.0,
        train_fraction=centre, max_steps=0, seed=0,
    )  # fmt: skip
    most = min(most, seconds / seconds_per_step(probe, regime.data(probe)))
    most = max(most, 2 * LEAST_STEPS)
    usual = log_uniform(rng, max(LEAST_STEPS, least_share * most), most)
    drawn: list[Drawn] = []
    for _ in range(SHARD_CONFIGURATIONS):
        budget = on_grid(np.clip(usual * log_uniform(rng, 0.6, 1.7), LEAST_STEPS, MOST_STEPS))
        run = draw_run(rng, habits, budget, regime.pace) | regime.varied(rng, budget)
        room = min(spread, 1 + (1 - centre) / 2)  # a centre near one leaves little
        fraction = float(np.clip(centre * log_uniform(rng, 1 / room, room), 0.01, 0.95))
        drawn.append({**structure, **run, "train_fraction": round(fraction, 3)})
    repeated = [drawn[i % SHARD_CONFIGURATIONS] for i in range(SHARD_RUNS)]
    return [RunConfig(**run, seed=int(rng.integers(2**31))) for run in repeated]


@dataclass(frozen=True)
class Habits:
    """What the runs of a shard may vary, as one person's sweep would: not everything at once."""

    optimisers: tuple[str, ...]
    scales: tuple[float, float]
    clips: tuple[float, ...]
    dropouts: tuple[float, ...]
    noises: tuple[float, ...]
    cosine: float
    beta2: tuple[float, ...]


def draw_habits(rng: Generator, regime: Regime, structure: Drawn) -> Habits:
    """Draw what the runs of a shard vary: at most two optimisers, seldom clipping or dropout."""
    names, weights = zip(*regime.optimisers, strict=True)
    number = 1 if rng.random() < 0.3 else 2
    chosen = [str(name) for name in rng.choice(names, number, replace=False, p=weights)]
    if "adamw" in chosen:  # has most of the runs, as it has elsewhere
        chosen += ["adamw", "adamw"]
    square = structure.get("activation") == "square"
    large = 3.0 if square or structure["architecture"] == "transformer" else 8.0
    scaled = rng.random() < 0.45
    classes = structure.get("loss") != "squared_error"
    return Habits(
        optimisers=tuple(chosen),
        scales=(0.3, large) if scaled else (1.0, 1.0),
        clips=(0.0, 1.0, 0.1, 0.01) if rng.random() < 0.25 else (0.0,),
        dropouts=(0.0, 0.1, 0.3) if rng.random() < 0.08 else (0.0,),
        noises=(0.0, 0.01, 0.03, 0.06) if classes and rng.random() < 0.1 else (0.0,),
        cosine=float(rng.choice([0.0, 0.2, 0.6], p=[0.6, 0.25, 0.15])),
        beta2=((0.98,), (0.999,), (0.98, 0.999), (0.95, 0.99))[int(rng.integers(4))],
    )


def draw_run(
    rng: Generator, habits: Habits, budget: int, pace: tuple[float, float] | None
) -> Drawn:
    """Draw optimiser, rate, decay, schedule and initial scale of one configuration.

    For most runs the product of rate, decay and budget is drawn, and the decay follows:
    it says how far the weights decay within the budget, so that a longer budget is not just more
    of it (Omnigrok's t ~ 1 / gamma).
    """
    optimizer = str(rng.choice(habits.optimisers))
    rates, decays = RANGES[optimizer]
    low, high = habits.scales
    rate = log_uniform(rng, *rates)
    if pace is not None and rng.random() < 0.8:
        rate = log_uniform(rng, *pace) / budget * rates[0] / RANGES["adam"][0][0]
    momentum, beta2 = 0.9, float(rng.choice(habits.beta2))
    if optimizer in ("sgd", "rmsprop"):
        momentum = float(rng.choice([0.0, 0.9]))
        rate *= 1.0 - momentum if optimizer == "rmsprop" else 1.0
    elif optimizer == "muon":
        momentum = 0.95
    decay = log_uniform(rng, *decays)
    kind = rng.random()
    if kind < 0.6:
        decay = log_uniform(rng, 2.5, 80.0) * (1.0 - (momentum if optimizer == "sgd" else 0.0))
        decay = float(f"{np.clip(decay / (rate * budget), decays[0] / 3, decays[1] * 3):.3g}")
    elif kind > 0.93:
        decay = 0.0
    return {
        "max_steps": budget,
        "optimizer": optimizer,
        "learning_rate": float(f"{rate:.3g}"),
        "weight_decay": decay,
        "momentum": momentum,
        "beta2": beta2,
        "warmup_steps": int(rng.choice([0, 10, 100, 500], p=[0.55, 0.25, 0.12, 0.08])),
        "schedule": "cosine" if rng.random() < habits.cosine else "constant",
        "clip_norm": float(rng.choice(habits.clips)),
        "dropout": float(rng.choice(habits.dropouts)),
        "label_noise": float(rng.choice(habits.noises)),
        "init_scale": log_uniform(rng, low, high) if low < high else 1.0,
    }


#: Learning rates and weight decays of each optimiser.
RANGES: dict[str, tuple[tuple[float, float], tuple[float, float]]] = {
    "adamw": ((7e-4, 1e-2), (0.07, 2.0)),
    "muon": ((2e-3, 3e-2), (0.05, 2.0)),
    "lion": ((5e-5, 1e-3), (0.3, 10.0)),
    "adam": ((5e-4, 1e-2), (1e-5, 1e-2)),
    "rmsprop": ((5e-4, 5e-3), (1e-5, 1e-2)),
    "sgd": ((3e-2, 1.0), (1e-5, 5e-3)),
}


def seconds_per_step(config: RunConfig, data: Dataset) -> float:
    """Estimate what a step of one run in a stack costs one core, as measured on one machine."""
    samples = config.batch_size or round(config.train_fraction * len(data.inputs))
    w, vocabulary = config.width, data.vocabulary or 1
    length = data.inputs.shape[1]
    overhead = 2e-5
    if config.architecture == "transformer":
        products = length * vocabulary * w + 9 * w * w + w * data.n_outputs
    elif config.architecture == "mlp":
        deeper = max(config.depth - 1, 0) * w * w
        products = length * vocabulary * w + deeper + w * data.n_outputs
    elif config.architecture == "gcn":
        products = config.depth * config.bits * w * (4 * config.bits + w)
    else:  # a recurrent network takes its tokens one after another
        products = length * 8 * w * w
        overhead = 2e-5 * length
    slowness = 2.0 if config.precision == "float64" else 1.0
    return float(overhead + slowness * 6 * products * samples / 3.5e10)


def transformer(rng: Generator, *, layer_norm: float = 0.35) -> Drawn:
    """Draw a transformer of one layer."""
    return {
        "architecture": "transformer",
        "depth": 1,
        "width": int(rng.choice([16, 24, 32, 48], p=[0.1, 0.3, 0.35, 0.25])),
        "heads": int(rng.choice([1, 2, 4], p=[0.2, 0.4, 0.4])),
        "layer_norm": bool(rng.random() < layer_norm),
        "activation": str(rng.choice(["relu", "gelu"], p=[0.7, 0.3])),
        "embedding_std": float(rng.choice([0.0, 1.0], p=[0.7, 0.3])),
        "parametrisation": str(rng.choice(["pytorch", "xavier", "fan_in"], p=[0.6, 0.25, 0.15])),
    }


def mlp(rng: Generator, *, embedded: bool, squared: float = 0.2) -> Drawn:
    """Draw a multi-layer perceptron, on one-hot or on embedded tokens."""
    loss = "squared_error" if rng.random() < squared else "cross_entropy"
    kinds = ["pytorch", "xavier", "fan_in", "mean_field"]
    return {
        "architecture": "mlp",
        "depth": int(rng.choice([1, 2, 3], p=[0.7, 0.24, 0.06])),
        "width": int(rng.choice([16, 24, 32, 48, 64], p=[0.05, 0.2, 0.3, 0.25, 0.2])),
        "activation": str(
            rng.choice(["relu", "gelu", "square", "tanh"], p=[0.45, 0.2, 0.28, 0.07])
        ),
        "embedding": int(rng.choice([8, 16, 32])) if embedded else 0,
        "tied": bool(rng.random() < 0.6),
        "bias": bool(rng.random() < 0.6),
        "loss": loss,
        "parametrisation": str(rng.choice(kinds, p=[0.5, 0.21, 0.21, 0.08])),
        "precision": "float64" if rng.random() < 0.07 else "float32",
    }


def token_network(rng: Generator, shard: int) -> Drawn:
    """Draw a network on tokens: transformers and MLPs of both kinds in turn."""
    turn = shard % 3
    drawn = transformer(rng) if turn == 0 else mlp(rng, embedded=turn == 1)
    return drawn | batches(rng)


def batches(rng: Generator, full: float = 0.75) -> Drawn:
    """Draw a full batch, or the size of a smaller one."""
    return {"batch_size": 0 if rng.random() < full else int(rng.choice([32, 64, 128]))}


def needed(rng: Generator, p: int, low: float, high: float) -> float:
    """Draw a training fraction about the share that arithmetic mod p takes, 5.8 ln(p) / p."""
    return float(np.clip(5.8 * math.log(p) / p * log_uniform(rng, low, high), 0.2, 0.93))
