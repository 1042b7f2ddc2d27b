"""What is said about runs that are unlike the training sweeps.

    python benchmarks/bench_strangers.py

Real but strange training runs: a character-level transformer on Python's standard library,
regressions that converge at once, runs that diverge, networks that learn nothing, and the same at
odd cadences. They log a training loss and nothing else, so none of them may be stopped. Kinds of
task that were not trained on: benchmarks/bench_columns.py.
"""

import argparse
import sys
from collections import Counter
from dataclasses import replace

import numpy as np

from grokpredict.evaluation.scoring import score
from grokpredict.model.classifier import load_classifier
from grokpredict.runs.configuration import Configuration
from grokpredict.runs.curve import Curve
from grokpredict.runs.run import Run

STEPS = 2000
BUDGET = 10_000


def made(name, loss, configuration=None, stride=1):
    """Return a run that was logged every ``stride`` steps."""
    steps = np.arange(stride - 1, stride * len(loss), stride)
    return Run(
        {"train_loss": Curve(steps, np.asarray(loss, dtype=float))},
        configuration=configuration or Configuration(),
        max_steps=BUDGET,
        name=name,
    )


def regression(rate, seed, steps=STEPS, batch=32):
    """Fit a noisy plane by SGD; return the losses. At a rate of 1 it diverges."""
    rng = np.random.default_rng(seed)
    truth, weights = rng.standard_normal(8), np.zeros(8)
    losses = []
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(steps):
            x = rng.standard_normal((batch, 8))
            error = x @ (weights - truth) + 0.1 * rng.standard_normal(batch)
            losses.append(float(np.mean(error**2)))
            weights = weights - rate * 2 * x.T @ error / batch
    return losses


def at_once():
    """Return regressions that are done within some tens of steps."""
    told = Configuration(
        "sgd", None, 0.0, momentum=0.0, batch_size=32, train_size=10**5, n_parameters=8
    )
    return [
        made(f"rate {rate}", regression(rate, seed), replace(told, learning_rate=rate))
        for rate in (0.03, 0.1)
        for seed in range(3)
    ]


def diverging():
    """Return runs whose loss leaves for infinity, at once and after a while."""
    fast = [regression(rate, seed) for rate in (1.0, 2.0) for seed in range(2)]
    t = np.arange(STEPS)
    slow = [np.exp(t / scale) for scale in (300, 900)]
    return [made(f"diverging {i}", loss) for i, loss in enumerate([*fast, *slow])]


def constant():
    """Return losses of networks that learn nothing: exactly constant, and with batch noise."""
    rng = np.random.default_rng(0)
    flat = [np.full(STEPS, level) for level in (0.0, np.log(97), 1e-8)]
    noisy = [np.log(97) * (1 + size * rng.standard_normal(STEPS)) for size in (1e-6, 1e-3, 0.05)]
    return [made(f"constant {i}", loss) for i, loss in enumerate(flat + noisy)]


def other_grid():
    """Return a run logged every 7, 30, 64 and 500 steps, grids that the classifier has not seen."""
    loss = 3 * np.exp(-np.arange(40_000) / 400) + 0.1
    return [made(f"every {s}", loss[s - 1 :: s], stride=s) for s in (7, 30, 64, 500)]


def language_models(rates=(3e-3, 1e-3, 3e-4), width=48, length=48, batch=8):
    """Train character-level transformers on the sources of Python's standard library."""
    import argparse as source
    import inspect
    import typing

    import torch
    from torch import nn

    text = "".join(inspect.getsource(module) for module in (source, inspect, typing))
    known = {letter: i for i, letter in enumerate(sorted(set(text)))}
    data = torch.tensor([known[letter] for letter in text])
    runs = []
    for rate in rates:
        torch.manual_seed(0)
        layer = nn.TransformerEncoderLayer(
            width, 4, 4 * width, dropout=0.0, batch_first=True, norm_first=True
        )
        place = nn.Parameter(0.02 * torch.randn(length, width))
        embed, read = nn.Embedding(len(known), width), nn.Linear(width, len(known))
        body = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        parameters = [place, *embed.parameters(), *read.parameters(), *body.parameters()]
        optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.1)
        mask = nn.Transformer.generate_square_subsequent_mask(length)
        losses = []
        for _ in range(STEPS):
            start = torch.randint(len(data) - length - 1, (batch, 1))
            own = data[start + torch.arange(length + 1)]
            hidden = body(embed(own[:, :-1]) + place, mask=mask, is_causal=True)
            loss = nn.functional.cross_entropy(read(hidden).flatten(0, 1), own[:, 1:].flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        configuration = Configuration(
            optimizer="adamw",
            learning_rate=rate,
            weight_decay=0.1,
            momentum=0.9,
            batch_size=batch,
            train_size=len(data) // length,
            n_parameters=sum(p.numel() for p in parameters),
        )
        runs.append(made(f"language model, rate {rate:g}", losses, configuration))
    return runs


CHEAP = {
    "regression that converges at once": at_once,
    "diverging": diverging,
    "constant loss": constant,
    "another step grid": other_grid,
}
KINDS = {**CHEAP, "language model": language_models}


def said(runs, classifier):
    """Return the verdicts, and one reason."""
    scores = [score(run, classifier) for run in runs]
    actions = Counter(one.verdict.action for one in scores)
    strange = [one.verdict.reason for one in scores if one.verdict.action != "continue"]
    return actions, (strange or [scores[0].verdict.reason])[0]


def made_table(which):
    """Print what is said of every kind of made run."""
    classifier = load_classifier(which)
    print("| runs | abstain | continue | abort | for example |")
    print("| --- | ---: | ---: | ---: | --- |")
    for kind, make in KINDS.items():
        runs = make()
        actions, reason = said(runs, classifier)
        print(
            f"| {kind} ({len(runs)}) | {actions['abstain']} | {actions['continue']} "
            f"| {actions['abort']} | {reason} |",
            flush=True,
        )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--classifier", default="default")
    made_table(parser.parse_args().classifier)


if __name__ == "__main__":
    sys.exit(main())
