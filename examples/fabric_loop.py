"""
Lightning Fabric, on several devices
====================================

``GrokMonitor`` in a loop of Lightning Fabric, on any number of devices.

::

    python examples/fabric_loop.py [--devices 2] [--classifier FILE] [--max-steps 10000]

The losses stay on their device until the next evaluation, then the mean over all processes is
taken at once. The first process decides, so that all of them leave the loop at the same step.
"""

import argparse

import torch
from lightning_fabric import Fabric  # or: from lightning.fabric import Fabric
from torch import nn

from grokpredict import GrokMonitor

P = 31
EVALUATE_EVERY = 25


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
    pairs = pairs[torch.randperm(len(pairs))]
    n_train = len(pairs) * 2 // 5
    # Every process has a part of the training pairs; a step sees all of them.
    inputs, targets = encoded(pairs[:n_train][fabric.global_rank :: fabric.world_size])
    val_inputs, val_targets = encoded(pairs[n_train:])
    net = nn.Sequential(nn.Linear(2 * P, 128), nn.ReLU(), nn.Linear(128, P))
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=0.0)
    net, optimizer = fabric.setup(net, optimizer)

    monitor = GrokMonitor(arguments.classifier, budget=arguments.max_steps)
    buffer: list[torch.Tensor] = []
    for step in range(1, arguments.max_steps + 1):
        loss = nn.functional.cross_entropy(net(inputs), targets)
        optimizer.zero_grad()
        fabric.backward(loss)
        optimizer.step()
        buffer.append(loss.detach())
        if step % EVALUATE_EVERY:
            continue
        losses = fabric.all_reduce(torch.stack(buffer), reduce_op="mean").tolist()
        buffer.clear()
        for verdict in monitor.extend(losses):
            fabric.print(f"step {verdict.horizon}: {verdict.action}: {verdict.reason}")
        if fabric.broadcast(bool(monitor.verdicts) and monitor.verdicts[-1].action == "abort"):
            break
        with torch.no_grad():
            outputs = net(val_inputs)
            val_loss = nn.functional.cross_entropy(outputs, val_targets).item()
            val_acc = (outputs.argmax(dim=1) == val_targets).float().mean().item()
        monitor.saw_evaluation(val_loss, val_acc)
        monitor.saw_validation(val_acc)
    print(f"process {fabric.global_rank} trained {step} of {arguments.max_steps} steps", flush=True)


def encoded(pairs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return nn.functional.one_hot(pairs, P).flatten(1).float(), pairs.sum(dim=1) % P


if __name__ == "__main__":
    main()
