"""
A sweep with Ray Tune
=====================

Doomed trials are stopped, from what earlier trials showed.

::

    pip install "grokpredict[ray]"
    python examples/ray_sweep.py [--classifier FILE] [--trials 40] [--max-steps 10000]

Each trial trains a network on a + b mod 31 and reports its losses and its validation accuracy.
"""

import argparse
from pathlib import Path

import ray
import torch
from ray import tune
from torch import nn

from grokpredict import audit
from grokpredict.live.ray import GrokStopper
from grokpredict.reporting import audit_text

P = 31
EVALUATE_EVERY = 20


def train(config: dict) -> None:
    torch.manual_seed(0)
    pairs = torch.cartesian_prod(torch.arange(P), torch.arange(P))
    pairs = pairs[torch.randperm(len(pairs))]
    inputs = nn.functional.one_hot(pairs, P).flatten(1).float()
    targets = pairs.sum(dim=1) % P
    cut = int(config["train_fraction"] * len(pairs))
    net = nn.Sequential(nn.Linear(2 * P, 128), nn.ReLU(), nn.Linear(128, P))
    optimizer = torch.optim.AdamW(
        net.parameters(), lr=config["lr"], weight_decay=config["weight_decay"]
    )
    for step in range(1, config["max_steps"] + 1):
        loss = nn.functional.cross_entropy(net(inputs[:cut]), targets[:cut])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % EVALUATE_EVERY == 0:
            with torch.no_grad():
                outputs = net(inputs[cut:])
                val_loss = nn.functional.cross_entropy(outputs, targets[cut:]).item()
                val_acc = (outputs.argmax(dim=1) == targets[cut:]).float().mean().item()
            tune.report({"loss": loss.item(), "val_loss": val_loss, "val_acc": val_acc})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--classifier", default="default")
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--max-steps", type=int, default=10_000)
    arguments = parser.parse_args()
    ledger = Path("sweep").absolute()
    stopper = GrokStopper(
        arguments.classifier, budget=arguments.max_steps, stride=EVALUATE_EVERY, ledger=ledger
    )
    ray.init(include_dashboard=False, log_to_driver=False)
    tuner = tune.Tuner(
        train,
        param_space={
            "lr": tune.loguniform(1e-3, 1e-2),
            "weight_decay": tune.loguniform(1e-3, 3.0),
            "train_fraction": tune.uniform(0.3, 0.8),
            "max_steps": arguments.max_steps,
        },
        tune_config=tune.TuneConfig(num_samples=arguments.trials),
        run_config=tune.RunConfig(stop=stopper, storage_path=str(ledger.parent), verbose=0),
    )
    tuner.fit()
    ray.shutdown()
    print(audit_text(audit(ledger)))


if __name__ == "__main__":
    main()
