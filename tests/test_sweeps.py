"""The sweep generator: what it trains is what a plain PyTorch loop would train."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
import torch
from sweep_configs import FIRST_GENERATION as BASE
from torch import nn

from grokpredict.logs.bundle import read_bundle
from grokpredict.runs.labels import outcome
from grokpredict.sweeps import tasks
from grokpredict.sweeps.config import RunConfig
from grokpredict.sweeps.families import FAMILIES, draw_shard
from grokpredict.sweeps.generate import generate, write_records
from grokpredict.sweeps.models import build, laid_out
from grokpredict.sweeps.optimisers import StackedOptimiser, schedule
from grokpredict.sweeps.record import Record
from grokpredict.sweeps.regimes import SHARD_CONFIGURATIONS
from grokpredict.sweeps.trainer import train_stack

ADDITION = tasks.modular("add", 11)

pytestmark = pytest.mark.usefixtures("one_thread")


def test_modular_tasks_are_the_operations():
    for name in tasks.OPERATIONS:
        data = tasks.modular(name, 7)
        for (a, b), c in zip(data.inputs.tolist(), data.targets.tolist(), strict=True):
            expected = {
                "add": a + b,
                "subtract": a - b,
                "multiply": a * b,
                "divide": c,
                "quadratic": a * a + a * b + b * b,
            }[name]
            assert c == expected % 7
            if name == "divide":
                assert b
                assert c * b % 7 == a
        assert len(data.targets) == (42 if name == "divide" else 49)


def test_composition_is_the_group_s3():
    data = tasks.composition(3)
    elements = list(permutations(range(3)))
    table = data.targets.reshape(6, 6)
    for i, g in enumerate(elements):
        for j, h in enumerate(elements):
            assert elements[table[i, j]] == tuple(g[h[x]] for x in range(3))
    # Every row and column of a group's table holds each element once.
    assert all(len(set(line)) == 6 for line in [*table, *table.T])


def test_parity_depends_on_k_bits_only():
    data = tasks.sparse_parity(6, 3, 4000, seed=1)
    bits = data.inputs > 0
    relevant = [
        i
        for i in range(6)
        # Flipping a relevant bit changes the label of every sample with the same other bits.
        if len(
            {
                (*row[:i], *row[i + 1 :], bool(row[i] ^ t))
                for row, t in zip(bits, data.targets, strict=True)
            }
        )
        == 2**5
    ]
    assert len(relevant) == 3


def test_regression_targets_have_unit_variance():
    data = tasks.teacher_student(5, 5, 3, 500, seed=0)
    assert data.is_regression
    np.testing.assert_allclose(data.targets.std(axis=0), 1.0, rtol=1e-5)


def _reference_mlp(config: RunConfig, initial: dict[str, torch.Tensor]) -> nn.Module:
    vocabulary = config.modulus
    net = nn.Sequential(
        nn.Linear(2 * vocabulary, config.width), nn.ReLU(), nn.Linear(config.width, vocabulary)
    )
    with torch.no_grad():
        net[0].weight.copy_(initial["hidden0.weight"].T)
        net[0].bias.copy_(initial["hidden0.bias"])
        net[2].weight.copy_(initial["output.weight"].T)
        net[2].bias.copy_(initial["output.bias"])
    return net


def test_a_run_equals_a_plain_pytorch_loop():
    """The reference: nn.Linear on one-hot vectors, torch.optim.AdamW, full batch."""
    record = train_stack([BASE], ADDITION)[0]
    generator = torch.Generator().manual_seed(BASE.seed)
    train = torch.randperm(121, generator=generator)[: record.train_size]
    drawn = {n: p.draw(generator) for n, p in build(BASE, ADDITION).initial.items()}
    net = _reference_mlp(BASE, drawn)
    optimizer = torch.optim.AdamW(
        net.parameters(), lr=BASE.learning_rate, betas=(0.9, 0.98), weight_decay=0.5
    )
    one_hot = torch.eye(11)[torch.as_tensor(ADDITION.inputs)].flatten(1)
    targets = torch.as_tensor(ADDITION.targets)
    losses = []
    for _ in range(100):
        loss = nn.functional.cross_entropy(net(one_hot[train]), targets[train])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    np.testing.assert_allclose(record.train_loss, losses, rtol=2e-4)
    val = torch.tensor([i for i in range(121) if i not in set(train.tolist())])
    accuracy = (net(one_hot[val]).argmax(dim=1) == targets[val]).float().mean().item()
    assert record.evaluations["val_acc"][-1] == pytest.approx(accuracy, abs=1e-6)
    norm = torch.cat([p.flatten() for p in net.parameters()]).norm().item()
    assert record.evaluations["weight_norm"][-1] == pytest.approx(norm, rel=1e-4)


def test_gru_equals_pytorchs():
    config = replace(BASE, architecture="gru", width=5, embedding=4)
    model = build(config, ADDITION)
    generator = torch.Generator().manual_seed(0)
    drawn = {n: p.draw(generator) for n, p in model.initial.items()}
    inputs = torch.as_tensor(ADDITION.inputs)
    ours = model({n: p.unsqueeze(0) for n, p in drawn.items()}, inputs.unsqueeze(0), lambda x: x)
    gru = nn.GRU(4, 5, batch_first=True)
    with torch.no_grad():
        gru.weight_ih_l0.copy_(drawn["input.weight"].T)
        gru.bias_ih_l0.copy_(drawn["input.bias"])
        gru.weight_hh_l0.copy_(drawn["recurrent.weight"].T)
        gru.bias_hh_l0.copy_(drawn["recurrent.bias"])
        hidden = gru(drawn["embedding"][inputs])[0][:, -1]
        expected = hidden @ drawn["output.weight"] + drawn["output.bias"]
    torch.testing.assert_close(ours[0].detach(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("depth", [1, 2])
def test_transformer_equals_pytorchs_encoder(depth):
    """Against nn.TransformerEncoderLayer (pre-norm) with a causal mask, read at the last token."""
    config = replace(
        BASE, architecture="transformer", width=8, heads=2, depth=depth, layer_norm=True
    )
    model = build(config, ADDITION)
    generator = torch.Generator().manual_seed(0)
    drawn = {n: p.draw(generator) for n, p in model.initial.items()}
    inputs = torch.as_tensor(ADDITION.inputs)
    ours = model({n: p.unsqueeze(0) for n, p in drawn.items()}, inputs.unsqueeze(0), lambda x: x)
    x = drawn["embedding"][nn.functional.pad(inputs, (0, 1), value=11)] + drawn["position"]
    mask = nn.Transformer.generate_square_subsequent_mask(3)
    with torch.no_grad():
        for i in range(depth):
            layer = nn.TransformerEncoderLayer(
                8, 2, 32, dropout=0.0, batch_first=True, norm_first=True
            )
            names = ("query", "key", "value")
            layer.self_attn.in_proj_weight.copy_(
                torch.cat([drawn[f"{n}{i}.weight"].T for n in names])
            )
            layer.self_attn.in_proj_bias.copy_(torch.cat([drawn[f"{n}{i}.bias"] for n in names]))
            for module, name in (
                (layer.self_attn.out_proj, "mix"),
                (layer.linear1, "up"),
                (layer.linear2, "down"),
            ):
                module.weight.copy_(drawn[f"{name}{i}.weight"].T)
                module.bias.copy_(drawn[f"{name}{i}.bias"])
            x = layer(x, src_mask=mask)
        x = nn.functional.layer_norm(x[:, -1], (8,))
        expected = x @ drawn["output.weight"] + drawn["output.bias"]
    torch.testing.assert_close(ours[0].detach(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("adamw", lambda p, c: torch.optim.AdamW(
            p, c.learning_rate, (c.momentum, c.beta2), weight_decay=c.weight_decay)),
        ("adam", lambda p, c: torch.optim.Adam(
            p, c.learning_rate, (c.momentum, c.beta2), weight_decay=c.weight_decay)),
        ("sgd", lambda p, c: torch.optim.SGD(
            p, c.learning_rate, c.momentum, weight_decay=c.weight_decay)),
    ],
)  # fmt: skip
def test_optimisers_equal_pytorchs(name, make):
    """Two runs with different rates and decays in one stack, each against torch.optim."""
    configs = [
        replace(BASE, optimizer=name, learning_rate=0.01, weight_decay=0.3, momentum=0.8),
        replace(BASE, optimizer=name, learning_rate=0.1, weight_decay=0.0, beta2=0.999),
    ]
    torch.manual_seed(0)
    params = torch.randn(2, 6)
    references = [params[i].clone().requires_grad_() for i in range(2)]
    torch_optimisers = [make([r], c) for r, c in zip(references, configs, strict=True)]
    ours = StackedOptimiser(configs, params)
    rates = torch.tensor([[c.learning_rate] for c in configs])
    for step in range(20):
        grads = torch.randn(2, 6)
        for reference, optimiser, g in zip(references, torch_optimisers, grads, strict=True):
            reference.grad = g.clone()
            optimiser.step()
        ours.step(params, grads, rates, step)
    expected = torch.stack([r.detach() for r in references])
    torch.testing.assert_close(params, expected, rtol=1e-4, atol=1e-6)


def test_lion_equals_its_paper():
    """Algorithm 2 of arXiv 2302.06675, written out in float64."""
    config = replace(BASE, optimizer="lion", learning_rate=0.01, weight_decay=0.3, beta2=0.99)
    rng = np.random.default_rng(0)
    theta = rng.normal(size=6)
    params = torch.tensor(theta, dtype=torch.float32).unsqueeze(0)
    ours = StackedOptimiser([config], params)
    m = np.zeros(6)
    for step in range(20):
        g = rng.normal(size=6)
        update = np.sign(0.9 * m + 0.1 * g)
        theta = theta - 0.01 * (update + 0.3 * theta)
        m = 0.99 * m + 0.01 * g
        ours.step(
            params, torch.tensor(g, dtype=torch.float32).unsqueeze(0), torch.tensor([[0.01]]), step
        )
    np.testing.assert_allclose(params.numpy()[0], theta, rtol=1e-4)


def test_schedules():
    configs = [
        replace(BASE, learning_rate=1.0, warmup_steps=10),
        replace(BASE, learning_rate=1.0, schedule="cosine", max_steps=100),
    ]
    rates = schedule(configs, torch.arange(101))[:, :, 0]
    assert rates[:10, 0].tolist() == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert rates[10:, 0].tolist() == [1.0] * 91
    assert rates[[1, 100], 1].tolist() == pytest.approx([1.0, 0.0], abs=1e-6)
    assert bool((rates[1:, 1].diff() <= 0).all())


MIXED = [
    replace(BASE, seed=1),
    replace(BASE, seed=2, optimizer="sgd", learning_rate=0.03, weight_decay=1e-3),
    replace(BASE, seed=3, optimizer="lion", learning_rate=3e-4, train_fraction=0.7),
    replace(BASE, seed=4, dropout=0.2, clip_norm=0.5, warmup_steps=10),
    replace(BASE, seed=5, label_noise=0.2, init_scale=3.0, schedule="cosine"),
    replace(BASE, seed=6, optimizer="adam", train_fraction=0.5, weight_decay=1e-4),
]


@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"batch_size": 16},
        {"embedding": 8, "depth": 2, "batch_size": 16},
        {"architecture": "transformer", "heads": 2, "layer_norm": True},
        {"architecture": "transformer", "heads": 2, "depth": 2, "batch_size": 16},
        {"architecture": "gru", "embedding": 8, "loss": "squared_error"},
    ],
)
def test_a_run_of_a_stack_equals_the_run_alone(shape):
    """Every step of the first hundred, whatever the neighbours do and when they leave.

    In float64: how a processor sums a stack decides the last bit, which in float32 grows too far.
    """
    configs = [replace(c, **shape, precision="float64") for c in MIXED]
    configs[1] = replace(configs[1], max_steps=50)  # leaves early: the stack shrinks
    together = train_stack(configs, ADDITION)
    for config, record in zip(configs, together, strict=True):
        alone = train_stack([config], ADDITION)[0]
        assert record.config == config
        assert record.n_steps == alone.n_steps == config.max_steps
        np.testing.assert_allclose(record.train_loss, alone.train_loss, rtol=1e-5)
        for name, values in record.evaluations.items():
            np.testing.assert_allclose(values, alone.evaluations[name], rtol=1e-5)


def test_steps_between_evaluations_are_refused():
    with pytest.raises(ValueError, match="multiple of 50"):
        train_stack([BASE], ADDITION, max_steps=60)


def test_runs_of_different_structures_are_refused():
    with pytest.raises(ValueError, match="one structure"):
        train_stack([BASE, replace(BASE, width=8)], ADDITION)


def test_what_has_generalised_for_good_or_diverged_leaves_the_stack():
    easy = tasks.Dataset(np.eye(4, dtype=np.float32).repeat(8, 0), np.arange(4).repeat(8), 4)
    long = replace(BASE, task="easy", modulus=0, max_steps=2000, learning_rate=0.05)
    good, wild = train_stack([long, replace(long, optimizer="sgd", learning_rate=1e30)], easy)
    assert good.n_steps < 1000
    assert (good.evaluations["val_acc"][-8:] >= 0.95).all()
    assert wild.n_steps < 1000
    assert not np.isfinite(wild.train_loss[-1])


def test_a_small_sweep_goes_on_where_it_stopped(tmp_path):
    paths = generate(["easy", "images"], tmp_path, runs=1, steps=100, seed=5)
    first = {p: p.read_bytes() for p in paths}
    assert [p.name for p in paths] == ["easy-5-0000.npz", "images-5-0000.npz"]
    paths[0].unlink()
    kept = paths[1].stat().st_mtime_ns
    generate(["easy", "images"], tmp_path, runs=1, steps=100, seed=5)
    # What was missing is made again, to the same bytes; what was there is not touched.
    assert {p: p.read_bytes() for p in paths} == first
    assert paths[1].stat().st_mtime_ns == kept
    run = read_bundle(paths[1]).runs[0]
    assert run.loss.steps.tolist() == list(range(100))
    assert run.channels["val_acc"].steps.tolist() == [0, 50, 100]
    assert run.max_steps == 100
    assert {"optimizer", "learning_rate", "weight_decay", "batch_size", "train_size"} <= set(
        run.configuration.known()
    )


def test_a_regression_is_labelled_by_its_validation_loss(tmp_path):
    values = np.array([1.0, 0.04, 0.03, 0.02], dtype=np.float32)
    evaluations = {
        n: np.full(4, np.nan, np.float32) if n.endswith("acc") else values
        for n in ("train_loss", "train_acc", "val_loss", "val_acc", "weight_norm", "grad_norm")
    }
    record = Record(BASE, 5, 7, 150, np.ones(150, np.float32), np.arange(0, 200, 50), evaluations)
    write_records(tmp_path / "r.npz", [record])
    run = read_bundle(tmp_path / "r.npz").runs[0]
    assert outcome(run).t4 == 50


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda f: f.name)
def test_every_family_draws_stacks_that_can_be_built(family):
    for shard in range(6):
        configs = draw_shard(family, shard, seed=0)
        assert configs == draw_shard(family, shard, seed=0)
        assert len({c.structure for c in configs}) == 1
        assert len({replace(c, seed=0) for c in configs}) == SHARD_CONFIGURATIONS
        build(configs[0], laid_out(configs[0], family.data(configs[0])))
    assert "arXiv" in family.source


@pytest.mark.parametrize(
    ("families", "options", "message"),
    [
        (["sums"], {}, r"one of addition, .*got 'sums'"),
        (["easy"], {"runs": 0}, "at least 1 run"),
        (["easy"], {"jobs": 0}, "1 process, got 240 and 0"),
        (["easy"], {"steps": 120}, "multiple of 50.*got 120"),
        (["easy"], {"device": "abacus"}, "got 'abacus'"),
    ],
)
def test_bad_orders_are_refused_before_anything_is_made(tmp_path, families, options, message):
    with pytest.raises(ValueError, match=message):
        generate(families, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
