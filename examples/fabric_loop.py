"""
Lightning Fabric, on several devices
====================================

``GrokMonitor`` in a loop of Lightning Fabric, on any number of devices.

::

    python examples/fabric_loop.py [--devices 2] [--classifier FILE] [--max-steps 10000]

The losses stay on their device until a look is due, then the mean over all processes is taken at
once. The first process decides, so that all of them leave the loop at the same step.
"""

import argparse

import torch
from lightning_fabric import Fabric  # or: from lightning.fabric import Fabric
from torch import nn

from grokpredict import Configuration, GrokMonitor

P = 31


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--classifier", default="default")
    parser.add_argument("--devices", type=int, default=1)
    parser.add_argument("--max-steps", type=int, default=10_000)
    arguments = parser.parse_args()
    fabric = Fabric(
        accelerator="cpu",
        devices=arguments.devices,
        strategy="ddp" if arguments.devices > 1 else "auto",
    )
    fabric.launch()
    torch.manual_seed(0)
    pairs = torch.cartesian_prod(torch.arange(P), torch.arange(P))
    pairs = pairs[torch.randperm(len(pairs))][: len(pairs) * 2 // 5]
    # Every process has a part of the pairs; a step sees all of them.
    mine = pairs[fabric.global_rank :: fabric.world_size]
    inputs = nn.functional.one_hot(mine, P).flatten(1).float()
    targets = mine.sum(dim=1) % P
    net = nn.Sequential(nn.Linear(2 * P, 128), nn.ReLU(), nn.Linear(128, P))
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=0.0)
    net, optimizer = fabric.setup(net, optimizer)

    monitor = GrokMonitor(
        arguments.classifier,
        budget=arguments.max_steps,
        configuration=Configuration(
            optimizer="adamw",
            learning_rate=3e-3,
            weight_decay=0.0,
            momentum=0.9,
            batch_size=len(pairs),
            train_size=len(pairs),
            n_parameters=sum(p.numel() for p in net.parameters()),
        ),
    )
    buffer: list[torch.Tensor] = []
    for step in range(1, arguments.max_steps + 1):
        loss = nn.functional.cross_entropy(net(inputs), targets)
        optimizer.zero_grad()
        fabric.backward(loss)
        optimizer.step()
        if monitor.next_horizon is None:
            continue
        buffer.append(loss.detach())
        if step == monitor.next_horizon:
            losses = fabric.all_reduce(torch.stack(buffer), reduce_op="mean").tolist()
            buffer.clear()
            (verdict,) = monitor.extend(losses)
            fabric.print(f"step {step}: {verdict.action}: {verdict.reason}")
            if fabric.broadcast(verdict.action == "abort"):
                break
    print(f"process {fabric.global_rank} trained {step} of {arguments.max_steps} steps", flush=True)


if __name__ == "__main__":
    main()
