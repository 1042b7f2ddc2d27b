"""The sweep data in the repository: the card says what they hold, and they can be made again."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from grokpredict.logs import read_bundle
from grokpredict.sweeps.config import LATER, RunConfig
from grokpredict.sweeps.families import FAMILIES, draw_shard
from grokpredict.sweeps.kinds import REGIMES
from grokpredict.sweeps.trainer import train_stack

DATA = Path(__file__).parents[1] / "data"
PARTS = ("sweeps", "heldout", "heldout-1", "heldout-2")
SHARDS = sorted(path for part in PARTS for path in (DATA / part).glob("*.npz"))

#: In no training, with the number of their shards that an earlier report read.
HELD_OUT_FAMILIES = {"dihedral": 5, "polynomial": 6}

#: The first of three shards that are held out.
FIRST_HELD_OUT = HELD_OUT_FAMILIES | {
    "quadratic": 8,
    "s4": 8,
    "s3": 5,
    "s5": 5,
    "random-labels": 5,
}


SECOND = {regime.name for regime in REGIMES}


def _script(name):
    spec = importlib.util.spec_from_file_location(name, DATA / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_cards_counts_agree_with_the_data():
    card = _script("card")
    assert card.table() in (DATA / "README.md").read_text()


def test_what_is_held_out_follows_the_rule():
    for path in SHARDS:
        family, _, shard = path.stem.rsplit("-", 2)
        if family in SECOND:
            assert path.parent.name == _script("place").folder(family, int(shard))
            continue
        first = FIRST_HELD_OUT.get(family, 14)
        if int(shard) in range(first, first + 3):
            assert path.parent.name == "heldout"
        elif family in HELD_OUT_FAMILIES:
            assert path.parent.name == "heldout-1"
        else:
            assert path.parent.name == "sweeps"


@pytest.mark.parametrize("path", SHARDS, ids=lambda p: p.stem)
def test_every_shard_holds_the_configurations_that_its_name_draws(path):
    family, seed, shard = path.stem.rsplit("-", 2)
    drawn = draw_shard(FAMILIES[family], int(shard), int(seed))
    with np.load(path) as bundle:
        stored = [json.loads(line) for line in bundle["hparams"]]
    for config, hparams in zip(drawn, stored, strict=True):
        wanted = config.to_dict()
        assert set(LATER) & set(hparams) == set(LATER) & set(wanted)
        # A full batch is written as its size.
        assert {**wanted, "batch_size": 0} == {**{k: hparams[k] for k in wanted}, "batch_size": 0}
        assert hparams["full_batch"] == (config.batch_size == 0)


def test_the_rule_of_the_second_generation_is_the_written_one():
    place = _script("place")
    assert {n: place.folder(n, 0) for n in ("gcd", "graphs", "xor-clusters", "embedded")} == {
        "gcd": "heldout-2", "graphs": "heldout-2",
        "xor-clusters": "heldout-2", "embedded": "sweeps",
    }  # fmt: skip
    held_out = [k for k in range(20) if place.folder("embedded", k) == "heldout-2"]
    assert held_out == [1, 4, 7]


def test_the_data_are_small_enough_for_a_repository():
    sizes = {path: path.stat().st_size for path in SHARDS}
    assert sum(p.stat().st_size for p in DATA.rglob("*") if p.is_file()) < 100e6
    second = [size for path, size in sizes.items() if path.stem.rsplit("-", 2)[0] in SECOND]
    assert sum(second) <= 3000 * 24 * len(second)


def _sample():
    """Three shards of the first generation, and one of every third family of the second."""
    by_family = {path.stem.rsplit("-", 2)[0]: path for path in reversed(SHARDS)}
    first = [path for path in SHARDS if path.stem.rsplit("-", 2)[0] not in SECOND]
    second = [path for family, path in sorted(by_family.items()) if family in SECOND]
    return first[:: max(len(first) // 3, 1)] + second[::3]


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("path", _sample(), ids=lambda p: p.stem)
def test_a_sample_of_runs_is_made_again_to_the_same_curves(path):
    """The first 100 steps of one run alone; its neighbours in the stack make no difference."""
    family, seed, shard = path.stem.rsplit("-", 2)
    config: RunConfig = draw_shard(FAMILIES[family], int(shard), int(seed))[7]
    again = train_stack([config], FAMILIES[family].data(config), max_steps=100)[0]
    stored = read_bundle(path).runs[7].loss.values[:100]
    # Loose after the first steps: another processor sums in another order, and it grows.
    np.testing.assert_allclose(again.train_loss[:20], stored[:20], rtol=2e-3)
    np.testing.assert_allclose(again.train_loss, stored, rtol=0.2, atol=1e-3)
