"""The second generation of sweeps: its tasks, networks, optimisers and draws."""

import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from sweep_configs import SECOND_GENERATION as BASE
from torch import nn

from grokpredict.logs.bundle import read_bundle
from grokpredict.sweeps import samples, tables, tasks
from grokpredict.sweeps.evaluation import evaluation_steps, on_grid
from grokpredict.sweeps.families import FAMILIES, draw_shard
from grokpredict.sweeps.generate import write_records
from grokpredict.sweeps.kinds import REGIMES
from grokpredict.sweeps.models import build, laid_out
from grokpredict.sweeps.optimisers import StackedOptimiser, orthogonalised
from grokpredict.sweeps.trainer import train_stack

ADDITION = tables.pairs("add", 11)

pytestmark = pytest.mark.usefixtures("one_thread")


# Tasks


def test_operations_on_numbers_are_pythons():
    expected = {
        "maximum": max, "minimum": min, "difference": lambda a, b: abs(a - b),
        "less": lambda a, b: int(a < b), "next_less": lambda a, b: int((a + 1) % 16 < b),
        "gcd": lambda a, b: math.gcd(a + 1, b + 1), "xor": lambda a, b: a ^ b,
        "and": lambda a, b: a & b, "or": lambda a, b: a | b,
    }  # fmt: skip
    assert set(expected) == set(tables.NUMBERS)
    for name, function in expected.items():
        data = tables.pairs(name, 16)
        assert len(data.targets) == 256
        values = [function(a, b) for a, b in data.inputs.tolist()]
        # The classes are the values that occur, in order.
        assert data.targets.tolist() == [sorted(set(values)).index(v) for v in values]
        assert data.n_outputs == len(set(values))


def test_polynomials_are_python_s():
    expected = {
        "add": lambda a, b: a + b, "subtract": lambda a, b: a - b, "multiply": lambda a, b: a * b,
        "squares": lambda a, b: a * a + b * b, "weighted": lambda a, b: 2 * a + 3 * b,
        "shifted_product": lambda a, b: a * b + a + b, "square_of_sum": lambda a, b: (a + b) ** 2,
        "cubic": lambda a, b: a**3 + a * b,
    }  # fmt: skip
    assert set(expected) == set(tables.POLYNOMIALS)
    for name, function in expected.items():
        data = tables.pairs(name, 13)
        values = [function(a, b) % 13 for a, b in data.inputs.tolist()]
        assert data.targets.tolist() == [sorted(set(values)).index(v) for v in values]


@pytest.mark.parametrize("operation", tables.SYMMETRIC)
def test_no_unordered_pair_is_the_mirror_of_another(operation):
    data = tables.pairs(operation, 13, unordered=True)
    assert len(data.inputs) == 13 * 14 // 2
    assert len({frozenset(pair) for pair in data.inputs.tolist()}) == len(data.inputs)
    a, b = data.inputs.T
    function = tables.POLYNOMIALS[operation]
    assert (function(a, b, 13) == function(b, a, 13)).all()


def test_triples_are_sums_of_three():
    for name, function in (
        ("sum", lambda a, b, c: a + b + c),
        ("alternating", lambda a, b, c: a - b + c),
        ("mixed", lambda a, b, c: a + b * c),
    ):
        data = tables.triples(name, 5)
        assert len(data.targets) == 125
        assert data.targets.tolist() == [function(*x) % 5 for x in data.inputs.tolist()]


@pytest.mark.parametrize(
    ("name", "n", "order"),
    [
        ("dicyclic", 2, 8), ("dicyclic", 5, 20), ("alternating", 4, 12), ("affine", 5, 20),
        ("heisenberg", 2, 8), ("invertible", 3, 48), ("cyclic_product", 8, 16),
    ],
)  # fmt: skip
def test_groups_are_groups(name, n, order):
    data = tables.group(name, n)
    times = data.targets.reshape(order, order)
    # Associative, and every row and column holds each element once.
    a, b, c = np.meshgrid(*[np.arange(order)] * 3, indexing="ij")
    assert (times[times[a, b], c] == times[a, times[b, c]]).all()
    assert all(len(set(line)) == order for line in [*times.tolist(), *times.T.tolist()])


def test_the_dicyclic_group_of_order_eight_is_the_quaternions():
    times = tables.group("dicyclic", 2).targets.reshape(8, 8)
    one = next(e for e in range(8) if times[e].tolist() == list(range(8)))
    assert sorted(int(times[x, x]) == one for x in range(8)) == [False] * 6 + [True] * 2


def test_matrices_multiply_as_numpys():
    data = tables.group("matrices", 2)
    elements = [np.array(m).reshape(2, 2) for m in product(range(2), repeat=4)]
    for (i, j), k in zip(data.inputs.tolist(), data.targets.tolist(), strict=True):
        assert ((elements[i] @ elements[j]) % 2 == elements[k]).all()


def test_majorities_and_parities_depend_on_k_bits():
    for name, function in (("majority", lambda n: n > 1.5), ("parity", lambda n: n % 2)):
        data = samples.boolean(name, 6, 3, 500, seed=2)
        bits = data.inputs > 0
        fits = [
            chosen
            for chosen in product(range(6), repeat=3)
            if len(set(chosen)) == 3
            and (function(bits[:, chosen].sum(axis=1)) == data.targets).all()
        ]
        assert len(fits) == 6  # one set of bits, in its six orders


def test_a_normal_form_has_both_classes():
    for seed in range(5):
        assert 0.2 <= samples.boolean("dnf", 15, 3, 1000, seed).targets.mean() <= 0.8


@pytest.mark.parametrize(
    "data",
    [
        samples.staircase(10, 3, 400, 0), samples.sparse_linear(10, 2, 400, 0),
        samples.products(10, 2, 400, 0), samples.linear_teacher(10, 400, 0),
        samples.omnigrok_teacher(400, 0), samples.table("diabetes"),
        samples.graphs(6, 2, 400, 0, regression=True),
    ],
)  # fmt: skip
def test_regressions_have_targets_of_mean_zero_and_variance_one(data):
    assert data.is_regression
    np.testing.assert_allclose(data.targets.mean(axis=0), 0.0, atol=1e-5)
    np.testing.assert_allclose(data.targets.std(axis=0), 1.0, rtol=1e-4)


def test_a_staircase_has_k_levels():
    data = samples.staircase(8, 3, 2000, seed=1)
    assert len(np.unique(data.targets.round(4))) == 4


def test_markov_sequences_follow_their_chains():
    """Counted transitions of both classes agree if the chains do, and differ if they do not."""
    for distance, agree in ((0.0, True), (1.0, False)):
        data = tables.words(4000, 10, 4, distance, seed=3)
        counts = np.zeros((2, 4, 4))
        for label in (0, 1):
            rows = data.inputs[data.targets == label]
            np.add.at(counts[label], (rows[:, :-1].ravel(), rows[:, 1:].ravel()), 1)
        shares = counts / counts.sum(axis=2, keepdims=True)
        assert (np.abs(shares[0] - shares[1]).max() < 0.05) == agree


def test_the_energy_of_a_graph_is_a_sum_over_its_edges():
    """What the adjacency and the kinds say explains it exactly, and the classes are its sign."""
    data = samples.graphs(6, 2, 300, 0, regression=True)
    adjacency = data.inputs[:, :36].reshape(-1, 6, 6)
    kinds = data.inputs[:, 36:].reshape(-1, 6, 2)
    edges = (adjacency > 0) & ~np.eye(6, dtype=bool)
    assert (edges == edges.transpose(0, 2, 1)).all()
    counts = np.einsum("sij,sia,sjb->sab", edges.astype(float), kinds, kinds).reshape(-1, 4)
    design = np.column_stack([counts, np.ones(300)])
    solved = design @ np.linalg.lstsq(design, data.targets, rcond=None)[0]
    np.testing.assert_allclose(solved, data.targets, atol=1e-4)
    classes = samples.graphs(6, 2, 300, 0, regression=False)
    median = np.median(data.targets)
    assert (classes.targets == (data.targets[:, 0] > median)).all()


def test_clusters_are_an_exclusive_or():
    data = samples.xor_clusters(10, 3000, 4.0, seed=0)
    for label in (0, 1):  # each class has its mean in the middle: no plane tells them apart
        assert np.linalg.norm(data.inputs[data.targets == label].mean(axis=0)) < 0.3


@pytest.mark.parametrize("name", ["wine", "breast_cancer", "iris", "digits"])
def test_tables_are_standardised(name):
    data = samples.table(name)
    np.testing.assert_allclose(data.inputs.mean(axis=0), 0.0, atol=1e-5)
    assert set(np.unique(data.targets)) == set(range(data.n_outputs))


# Networks


def _drawn(model, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {name: p.draw(generator) for name, p in model.initial.items()}


def _outputs(model, drawn, inputs):
    stacked = {name: p.unsqueeze(0) for name, p in drawn.items()}
    return model(stacked, torch.as_tensor(inputs).unsqueeze(0), lambda x: x)[0]


@pytest.mark.parametrize(
    "shape",
    [
        {}, {"embedding": 8}, {"embedding": 8, "depth": 2},
        {"architecture": "transformer", "heads": 2},
        {"architecture": "transformer", "heads": 4, "layer_norm": True, "activation": "gelu"},
    ],
)  # fmt: skip
def test_one_hot_networks_are_those_on_tokens(shape):
    """Same names, shapes and initial values, same outputs; in fewer operations."""
    new = replace(BASE, **shape)
    old = replace(new, generation=1)
    data = laid_out(new, ADDITION)
    assert data.one_hot
    assert laid_out(old, ADDITION) is ADDITION
    one_hot, tokens = build(new, data), build(old, ADDITION)
    assert one_hot.initial == tokens.initial
    drawn = {name: 2 * p for name, p in _drawn(tokens).items()}
    torch.testing.assert_close(
        _outputs(one_hot, drawn, data.inputs),
        _outputs(tokens, drawn, ADDITION.inputs),
        rtol=1e-4,
        atol=1e-5,
    )


def test_embeddings_that_are_not_tied_are_one_table_for_each_position():
    config = replace(BASE, embedding=8, tied=False, bias=False)
    data = laid_out(config, ADDITION)
    model = build(config, data)
    drawn = _drawn(model)
    assert set(drawn) == {"embedding", "hidden0.weight", "output.weight"}
    a, b = torch.as_tensor(ADDITION.inputs).T
    embedded = torch.cat([drawn["embedding"][0][a], drawn["embedding"][1][b]], dim=1)
    expected = torch.relu(embedded @ drawn["hidden0.weight"]) @ drawn["output.weight"]
    torch.testing.assert_close(_outputs(model, drawn, data.inputs), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["fan_in", "xavier", "mean_field", "pytorch"])
def test_parametrisations_start_where_they_say(kind):
    config = replace(BASE, width=200, depth=2, parametrisation=kind)
    model = build(config, laid_out(config, ADDITION))
    drawn = _drawn(model)
    spread = {
        "fan_in": 1 / math.sqrt(200),
        "mean_field": 1 / math.sqrt(200),
        "xavier": math.sqrt(2 / 400),
        "pytorch": 1 / math.sqrt(3 * 200),
    }[kind]
    assert float(drawn["hidden1.weight"].std()) == pytest.approx(spread, rel=0.02)
    if kind == "mean_field":
        assert float(drawn["output.weight"].std()) == pytest.approx(1.0, rel=0.05)
        assert model.gain == 1 / 200
    else:
        assert model.gain == 1.0
    assert bool((drawn["hidden1.bias"] == 0).all()) == (kind != "pytorch")


@pytest.mark.parametrize(("name", "layer"), [("lstm", nn.LSTM), ("gru", nn.GRU)])
def test_recurrent_networks_are_pytorchs(name, layer):
    config = replace(BASE, architecture=name, width=8, embedding=5)
    data = tables.words(20, 7, 4, 0.5, seed=0)
    model = build(config, data)
    drawn = _drawn(model)
    reference = layer(5, 8, batch_first=True)
    with torch.no_grad():
        reference.weight_ih_l0.copy_(drawn["input.weight"].T)
        reference.weight_hh_l0.copy_(drawn["recurrent.weight"].T)
        reference.bias_ih_l0.copy_(drawn["input.bias"])
        reference.bias_hh_l0.copy_(drawn["recurrent.bias"])
        last = reference(drawn["embedding"][torch.as_tensor(data.inputs)])[0][:, -1]
    expected = last @ drawn["output.weight"] + drawn["output.bias"]
    ours = _outputs(model, drawn, data.inputs)
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)


def test_a_graph_convolution_mixes_neighbours():
    config = replace(BASE, architecture="gcn", bits=6, width=8, depth=2)
    data = samples.graphs(6, 2, 5, 0, regression=False)
    model = build(config, data)
    drawn = _drawn(model)
    ours = _outputs(model, drawn, data.inputs)
    for row, expected in zip(torch.as_tensor(data.inputs), ours, strict=True):
        adjacency, x = row[:36].view(6, 6), row[36:].view(6, 2)
        # Symmetric normalisation: D^-1/2 (A + I) D^-1/2.
        joined = (adjacency > 0).float()
        root = joined.sum(dim=1).rsqrt()
        torch.testing.assert_close(adjacency, root[:, None] * joined * root)
        for i in range(2):
            x = torch.relu(adjacency @ (x @ drawn[f"hidden{i}.weight"] + drawn[f"hidden{i}.bias"]))
        out = x.mean(dim=0) @ drawn["output.weight"] + drawn["output.bias"]
        torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5)


# Optimisers


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_rmsprop_equals_pytorchs(momentum):
    _compare(
        replace(BASE, optimizer="rmsprop", momentum=momentum, beta2=0.99, weight_decay=0.1),
        lambda p, c: torch.optim.RMSprop(
            p, c.learning_rate, c.beta2, weight_decay=c.weight_decay, momentum=c.momentum
        ),
        rtol=1e-4,
    )


@pytest.mark.parametrize("name", ["adamw", "adam"])
@pytest.mark.parametrize("beta2", [0.98, 0.999])
def test_adam_equals_pytorchs_in_float64(name, beta2):
    make = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[name]
    _compare(
        replace(BASE, optimizer=name, beta2=beta2),
        lambda p, c: make(p, c.learning_rate, (0.9, c.beta2), weight_decay=c.weight_decay),
        rtol=1e-10,
        dtype=torch.float64,
    )


def _compare(config, make, *, rtol, dtype=torch.float32):
    torch.manual_seed(0)
    params = torch.randn(1, 6, dtype=dtype)
    reference = params[0].clone().requires_grad_()
    optimiser = make([reference], config)
    ours = StackedOptimiser([config], params)
    for step in range(20):
        grads = torch.randn(1, 6, dtype=dtype)
        reference.grad = grads[0].clone()
        optimiser.step()
        ours.step(params, grads, torch.tensor([[config.learning_rate]], dtype=dtype), step)
    torch.testing.assert_close(params[0], reference.detach(), rtol=rtol, atol=1e-7)


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (6, 6)])
def test_muon_equals_pytorchs(shape):
    """A hidden matrix by torch.optim.Muon, all else by AdamW; theirs rounds to bfloat16."""
    configs = [
        replace(BASE, optimizer="muon", learning_rate=0.02, momentum=0.95, weight_decay=0.3),
        replace(BASE, optimizer="muon", learning_rate=0.005, momentum=0.9, weight_decay=0.0),
    ]
    shapes = {"hidden0.weight": shape, "hidden0.bias": (shape[1],), "output.weight": (3, 2)}
    n = math.prod(shape)
    torch.manual_seed(0)
    params = torch.randn(2, n + shape[1] + 6)
    matrices = [p[:n].view(shape).T.clone().requires_grad_() for p in params]
    others = [p[n:].clone().requires_grad_() for p in params]
    optimisers = [
        (
            torch.optim.Muon(
                [m], lr=c.learning_rate, weight_decay=c.weight_decay, momentum=c.momentum
            ),
            torch.optim.AdamW(
                [o], c.learning_rate, (c.momentum, c.beta2), weight_decay=c.weight_decay
            ),
        )
        for m, o, c in zip(matrices, others, configs, strict=True)
    ]
    start = params.clone()
    ours = StackedOptimiser(configs, params, shapes)
    rates = torch.tensor([[c.learning_rate] for c in configs])
    for step in range(10):
        grads = torch.randn_like(params)
        for row, pair in enumerate(optimisers):
            matrices[row].grad = grads[row, :n].view(shape).T.clone()
            others[row].grad = grads[row, n:].clone()
            for optimiser in pair:
                optimiser.step()
        ours.step(params, grads.clone(), rates, step)
    for row in range(2):
        torch.testing.assert_close(params[row, n:], others[row].detach(), rtol=1e-4, atol=1e-6)
        # Theirs computes in bfloat16, to one part in 256, and we do not: the moves are compared.
        moved = (params - start)[row, :n]
        expected = matrices[row].detach().T.reshape(-1) - start[row, :n]
        error = (moved - expected).norm() / expected.norm()
        assert float(error) < 0.02


def test_orthogonalisation_is_the_published_iteration():
    """X <- aX + b(XX')X + c(XX')^2 X on the singular values, in float64."""
    torch.manual_seed(0)
    for shape in ((5, 8), (8, 5)):
        matrix = torch.randn(3, *shape, dtype=torch.float64)
        u, s, v = torch.linalg.svd(matrix, full_matrices=False)
        s = s / matrix.flatten(1).norm(dim=1, keepdim=True)
        for _ in range(5):
            s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
        torch.testing.assert_close(orthogonalised(matrix), u @ torch.diag_embed(s) @ v)


# Training


def test_the_grid_thins_out_and_holds_every_end():
    steps = sorted(evaluation_steps(30_000, [4000, 7777 // 50 * 50, 90_000], thinning=True))
    assert steps[:65] == list(range(0, 3201, 50))
    assert steps[-1] == 30_000
    assert {4000, 7750} <= set(steps)
    late = np.array([s for s in steps if s >= 3200])
    assert (np.diff(late) <= late[:-1] / 32 + 1e-9).all()
    assert len(steps) < 180
    assert evaluation_steps(200, [200], thinning=False) == {0, 50, 100, 150, 200}
    assert on_grid(3199) == 3150
    assert on_grid(99_999) == 99_200


MIXED = [
    replace(BASE, seed=1),
    replace(BASE, seed=2, optimizer="sgd", learning_rate=0.03, weight_decay=1e-3),
    replace(BASE, seed=3, optimizer="muon", momentum=0.95, train_fraction=0.7),
    replace(BASE, seed=4, dropout=0.2, clip_norm=0.1, warmup_steps=10),
    replace(BASE, seed=5, label_noise=0.2, init_scale=3.0, schedule="cosine"),
    replace(BASE, seed=6, optimizer="rmsprop", train_fraction=0.5, weight_decay=1e-4),
]


@pytest.mark.parametrize(
    "shape",
    [
        {"embedding": 8, "tied": False, "batch_size": 16},
        {"parametrisation": "mean_field", "bias": False},
        {"architecture": "transformer", "heads": 2, "layer_norm": True},
        {"architecture": "lstm", "embedding": 8},
    ],
)
def test_a_run_of_a_stack_equals_the_run_alone(shape):
    configs = [replace(c, **shape, precision="float64") for c in MIXED]
    configs[1] = replace(configs[1], max_steps=50)
    together = train_stack(configs, ADDITION)
    for config, record in zip(configs, together, strict=True):
        alone = train_stack([config], ADDITION)[0]
        assert record.steps.tolist() == alone.steps.tolist()
        np.testing.assert_allclose(record.train_loss, alone.train_loss, rtol=1e-5)
        for name, values in record.evaluations.items():
            np.testing.assert_allclose(values, alone.evaluations[name], rtol=1e-5)


def test_denormals_are_flushed_only_while_a_stack_trains():
    train_stack([replace(BASE, max_steps=50)], ADDITION)
    assert float(torch.tensor(1e-39) * 1.0) > 0


def test_float64_is_computed_in_float64():
    """Without decay, float32 rounds the softmax of a confident network to zero loss."""
    data = tasks.Dataset(np.eye(4, dtype=np.float32).repeat(8, 0), np.arange(4).repeat(8), 4)
    config = replace(
        BASE, task="four", modulus=0, operation="", learning_rate=0.5, weight_decay=0.0,
        max_steps=150, init_scale=30.0,
    )  # fmt: skip
    losses = {}
    for precision in ("float32", "float64"):
        record = train_stack([replace(config, precision=precision)], data)[0]
        losses[precision] = record.train_loss[-1]
    assert losses["float32"] == 0.0
    assert losses["float64"] > 0.0


def test_shards_are_stored_on_the_thinning_grid(tmp_path):
    config = replace(BASE, max_steps=4000, learning_rate=1e-5)
    records = train_stack([config, replace(config, seed=4, max_steps=3600)], ADDITION)
    write_records(tmp_path / "r.npz", records)
    long, short = read_bundle(tmp_path / "r.npz").runs
    assert long.channels["val_acc"].steps.tolist() == sorted(
        evaluation_steps(4000, [3600], thinning=True)
    )
    assert short.channels["val_acc"].steps.tolist()[-1] == 3600
    loss = long.loss.steps.tolist()
    assert loss[:1600] == list(range(1600))
    assert loss[1600:1603] == [1600, 1650, 1700]
    # Ten bits of the mantissa: right to one part in 2048.
    np.testing.assert_allclose(long.loss.values[:1600], records[0].train_loss, rtol=2**-11)
    assert long.hparams["generation"] == 2
    assert "precision" not in long.hparams  # what says nothing new is left out


# Draws


def test_budgets_fractions_and_rates_lie_in_their_ranges():
    configs = [c for r in REGIMES for shard in range(4) for c in draw_shard(r, shard, seed=7)]
    assert min(c.max_steps for c in configs) >= 3000
    assert max(c.max_steps for c in configs) > 50_000
    assert all(c.max_steps == on_grid(c.max_steps) for c in configs)
    assert all(0 < c.train_fraction <= 0.95 for c in configs)
    assert {c.optimizer for c in configs} == {"adamw", "adam", "sgd", "rmsprop", "muon", "lion"}
    assert {0.0, 0.01, 0.1, 1.0} == {c.clip_norm for c in configs}
    assert {c.precision for c in configs} == {"float32", "float64"}
    assert {c.parametrisation for c in configs} == {"pytorch", "xavier", "fan_in", "mean_field"}
    assert {c.architecture for c in configs} == {"mlp", "transformer", "lstm", "gru", "gcn"}


def test_families_of_both_generations_have_different_names():
    assert len(FAMILIES) == 17 + len(REGIMES)
    assert len({r.name for r in REGIMES}) == len(REGIMES) >= 28
