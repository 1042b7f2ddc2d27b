"""What a step of a run costs in a stack, against the same network alone in a plain loop.

    python benchmarks/bench_sweep.py [--device cuda] [--runs 24] [FAMILY ...]

For each family a shard of each architecture is trained for some steps as a stack, and one of its
runs by a loop as anyone would write it: ``nn.Module``, ``torch.optim``, one network. Both evaluate
every 50 steps. They are timed in turn in this process, three times, on the CPU by the processor's
time, which neighbours disturb less; medians and their ratio are printed.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import nn

from grokpredict.sweeps.config import RunConfig
from grokpredict.sweeps.draws import ARCHITECTURES, BROAD_FROM
from grokpredict.sweeps.evaluation import EVALUATE_EVERY
from grokpredict.sweeps.families import FAMILIES, draw_shard
from grokpredict.sweeps.split import EVALUATE_SAMPLES
from grokpredict.sweeps.tasks import Dataset
from grokpredict.sweeps.trainer import train_stack

ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh}


class Square(nn.Module):
    def forward(self, x):
        return x.square()


class OneHot(nn.Module):
    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.vocabulary = vocabulary

    def forward(self, tokens):
        return nn.functional.one_hot(tokens, self.vocabulary).flatten(1).float()


class LastOfTransformer(nn.Module):
    def __init__(self, c: RunConfig, data: Dataset) -> None:
        super().__init__()
        self.equals = data.vocabulary
        self.embedding = nn.Embedding(data.vocabulary + 1, c.width)
        self.position = nn.Parameter(torch.randn(3, c.width) * 0.1)
        layer = nn.TransformerEncoderLayer(
            c.width,
            c.heads,
            4 * c.width,
            c.dropout,
            c.activation,
            batch_first=True,
            norm_first=True,
        )
        self.layers = nn.TransformerEncoder(layer, c.depth, enable_nested_tensor=False)
        self.output = nn.Linear(c.width, data.n_outputs)
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(3))

    def forward(self, tokens):
        padded = nn.functional.pad(tokens, (0, 1), value=self.equals)
        x = self.layers(self.embedding(padded) + self.position, mask=self.mask, is_causal=True)
        return self.output(x[:, -1])


class LastOfGRU(nn.Module):
    def __init__(self, c: RunConfig, data: Dataset) -> None:
        super().__init__()
        self.embedding = nn.Embedding(data.vocabulary, c.width)
        self.gru = nn.GRU(c.width, c.width, batch_first=True)
        self.output = nn.Linear(c.width, data.n_outputs)

    def forward(self, tokens):
        return self.output(self.gru(self.embedding(tokens))[0][:, -1])


def plain_network(c: RunConfig, data: Dataset) -> nn.Module:
    if c.architecture == "transformer":
        return LastOfTransformer(c, data)
    if c.architecture == "gru":
        return LastOfGRU(c, data)
    fan_in, layers = data.inputs.shape[1], []
    if data.vocabulary and c.embedding:
        layers += [nn.Embedding(data.vocabulary, c.embedding), nn.Flatten()]
        fan_in *= c.embedding
    elif data.vocabulary:
        layers.append(OneHot(data.vocabulary))
        fan_in *= data.vocabulary
    for _ in range(c.depth):
        layers += [nn.Linear(fan_in, c.width), ACTIVATIONS.get(c.activation, Square)()]
        fan_in = c.width
    return nn.Sequential(*layers, nn.Linear(fan_in, data.n_outputs))


def plain_loop(c: RunConfig, data: Dataset, n_steps: int, device: str) -> list[torch.Tensor]:
    net = plain_network(c, data).to(device)
    optimizer = torch.optim.AdamW(net.parameters(), lr=c.learning_rate, weight_decay=0.1)
    inputs = torch.as_tensor(data.inputs, device=device)
    targets = torch.as_tensor(data.targets, device=device)
    shuffled = torch.randperm(len(inputs), device=device)
    n_train = round(c.train_fraction * len(inputs))
    train, val = shuffled[:n_train], shuffled[n_train:][:EVALUATE_SAMPLES]
    losses, accuracies = [], []
    for step in range(n_steps):
        if step % EVALUATE_EVERY == 0:
            for part in (train[:EVALUATE_SAMPLES], val):
                with torch.no_grad():
                    outputs = net(inputs[part])
                if not data.is_regression:
                    accuracies.append((outputs.argmax(1) == targets[part]).float().mean().item())
        batch = train
        if c.batch_size:
            batch = train[torch.randint(len(train), (c.batch_size,), device=device)]
        outputs = net(inputs[batch])
        if c.loss == "cross_entropy":
            loss = nn.functional.cross_entropy(outputs, targets[batch])
        elif data.is_regression:
            loss = nn.functional.mse_loss(outputs, targets[batch])
        else:
            wanted = nn.functional.one_hot(targets[batch], data.n_outputs).float()
            loss = nn.functional.mse_loss(outputs, wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return losses


def seconds(call: Callable[[], object], device: str) -> float:
    if device == "cpu":
        start = time.process_time()
        call()
        return time.process_time() - start
    start = time.perf_counter()
    call()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("families", nargs="*", default=list(FAMILIES))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--runs", type=int, default=24)
    parser.add_argument("--steps", type=int, default=100)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(
        "| family | network | batch | stack, us per run-step | alone, us per step | times faster |"
    )
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    for name in args.families:
        seen = set()
        for shard in range(BROAD_FROM, BROAD_FROM + len(ARCHITECTURES)):
            configs = draw_shard(FAMILIES[name], shard, seed=1)
            c = configs[0]
            if c.architecture in seen:
                continue
            seen.add(c.architecture)
            configs = (configs * (args.runs // len(configs) + 1))[: args.runs]
            data = FAMILIES[name].data(c)

            def stack(configs=configs, data=data):
                train_stack(configs, data, device=args.device, max_steps=args.steps)

            def alone(c=c, data=data):
                plain_loop(c, data, args.steps, args.device)

            seconds(alone, args.device)
            pairs = [(seconds(stack, args.device), seconds(alone, args.device)) for _ in range(3)]
            stacked = statistics.median(s / len(configs) for s, _ in pairs) / args.steps * 1e6
            single = statistics.median(a for _, a in pairs) / args.steps * 1e6
            ratio = statistics.median(a * len(configs) / s for s, a in pairs)
            network = f"{c.architecture}, {c.depth} x {c.width}"
            batch = c.batch_size or "full"
            print(
                f"| {name} | {network} | {batch} | {stacked:.0f} | {single:.0f} | {ratio:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
