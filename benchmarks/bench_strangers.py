"""What is said about runs that are unlike the training sweeps.

    python benchmarks/bench_strangers.py                        # made runs
    python benchmarks/bench_strangers.py --families [NAME ...]  # kinds of task left out

The first table is of real but strange training runs: a character-level transformer on Python's
standard library, regressions that converge at once, runs that diverge, networks that learn nothing,
and the same on step grids that no classifier knows. None of them may be stopped for its
strangeness; what is stopped all the same is counted.

The second trains a classifier on all kinds of task of ``data/sweeps`` but one, and replays the runs
of that one: share of good runs lost, share never judged. The promise is for runs like those of the
training and does not cover this; the table says what to expect.
"""

import argparse
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from grokpredict.classifier import load_classifier
from grokpredict.curves import Context, Curve, Run, Sweep
from grokpredict.digest import FAMILY_KEYS
from grokpredict.evaluate.evaluation import own_replays
from grokpredict.evaluate.ledger import finished, ledger
from grokpredict.logs import read_sweep
from grokpredict.scoring import score_run
from grokpredict.training import train
from grokpredict.training_table import known_runs

SWEEPS = Path(__file__).parents[1] / "data/sweeps"
STEPS = 2000
BUDGET = 10_000


def made(name, loss, context=None, stride=1):
    """Return a run that was logged every ``stride`` steps."""
    steps = np.arange(stride - 1, stride * len(loss), stride)
    return Run(
        {"train_loss": Curve(steps, np.asarray(loss, dtype=float))},
        context=context or Context(),
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
    told = Context("sgd", None, 0.0, momentum=0.0, batch_size=32, train_size=10**5, n_parameters=8)
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
        context = Context(
            optimizer="adamw",
            learning_rate=rate,
            weight_decay=0.1,
            momentum=0.9,
            batch_size=batch,
            train_size=len(data) // length,
            n_parameters=sum(p.numel() for p in parameters),
        )
        runs.append(made(f"language model, rate {rate:g}", losses, context))
    return runs


CHEAP = {
    "regression that converges at once": at_once,
    "diverging": diverging,
    "constant loss": constant,
    "another step grid": other_grid,
}
KINDS = {**CHEAP, "language model": language_models}


def said(runs, classifier, *, with_context):
    """Return the verdicts, and one reason."""
    scores = [
        score_run(run if with_context else replace(run, context=Context()), classifier)
        for run in runs
    ]
    actions = Counter(own.verdict.action for own in scores)
    strange = [own.verdict.reason for own in scores if own.verdict.action != "continue"]
    return actions, (strange or [scores[0].verdict.reason])[0]


def made_table(which):
    """Print what is said of every kind of made run."""
    classifier = load_classifier(which)
    print("| runs | reads | abstain | continue | abort | for example |")
    print("| --- | --- | ---: | ---: | ---: | --- |")
    for kind, make in KINDS.items():
        runs = make()
        told = any(run.context.known() for run in runs)
        for with_context in (False, True) if told else (False,):
            actions, reason = said(runs, classifier, with_context=with_context)
            print(
                f"| {kind} ({len(runs)}) | {'loss + context' if with_context else 'loss'} "
                f"| {actions['abstain']} | {actions['continue']} | {actions['abort']} | {reason} |",
                flush=True,
            )


def family_table(names, jobs):
    """Print what is lost of kinds of task that the classifier was not trained on."""
    sweep = read_sweep([SWEEPS])
    family = [run.hparams["family"] for run in sweep.runs]
    print(
        "| kind of task | reads | good | doomed | never judged | good runs lost | of the oracle's |"
    )
    print("| --- | --- | ---: | ---: | ---: | --- | --- |")
    for name in names or sorted(set(family)):
        # Without their names no kind of task is left out for the figures of the report.
        others = [
            replace(run, hparams={k: v for k, v in run.hparams.items() if k not in FAMILY_KEYS})
            for run, own in zip(sweep.runs, family, strict=True)
            if own != name
        ]
        classifier, _ = train(Sweep(others), strides=(1,), jobs=jobs)
        left_out = Sweep([r for r, own in zip(sweep.runs, family, strict=True) if own == name])
        done = finished(known_runs(left_out, None, None)[0], classifier.horizons[0])
        for own in own_replays(done, classifier, 0.05):
            found = ledger(done, own.name, "", own.as_is)
            lost, saved = (
                "-" if x.value is None else f"{x.value:.3f} [{x.low:.3f}, {x.high:.3f}]"
                for x in (found.lost, found.saved)
            )
            print(
                f"| {name} | {own.name.removeprefix('this classifier, ')} | {found.n_good} "
                f"| {int((~done.good).sum())} | {own.abstained.mean():.3f} | {lost} | {saved} |",
                flush=True,
            )


def main() -> None:
    """Print one of the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--classifier", default="default")
    parser.add_argument("--families", nargs="*", metavar="NAME")
    parser.add_argument("--jobs", type=int, default=1)
    args = parser.parse_args()
    if args.families is None:
        made_table(args.classifier)
    else:
        family_table(args.families, args.jobs)


if __name__ == "__main__":
    sys.exit(main())
