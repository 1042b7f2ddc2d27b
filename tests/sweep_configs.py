"""A configuration of each generation of sweeps, small enough to train in a test."""

from dataclasses import replace

from grokpredict.sweeps.config import RunConfig

# Rates are small where two ways of computing are compared: large ones make training chaotic, and
# the last bit of a sum grows to a difference that says nothing.
FIRST_GENERATION = RunConfig(
    family="addition",
    task="add",
    modulus=11,
    architecture="mlp",
    width=16,
    depth=1,
    optimizer="adamw",
    learning_rate=5e-3,
    weight_decay=0.5,
    train_fraction=0.6,
    max_steps=100,
    seed=3,
)
SECOND_GENERATION = replace(
    FIRST_GENERATION,
    family="test",
    task="pairs",
    operation="add",
    learning_rate=2e-3,
    generation=2,
)
