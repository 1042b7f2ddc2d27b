"""The callback under Lightning's tuners, command line and both namespaces, and in users' ways."""

from __future__ import annotations

import collections
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_namespace import pl
from lightning_runs import DOOMED, GOOD, LIGHTNING_WARNINGS, QUIET, Follows, batches, fit, sees
from short_runs import BUDGET, LR, WEIGHT_DECAY
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import DataLoader

from grokpredict.features.profile import EDGES
from grokpredict.live.lightning import GrokPredictor, StoppingReason
from grokpredict.model.classifier import GrokClassifier
from grokpredict.runs.configuration import Configuration

pytestmark = [pytest.mark.filterwarnings(text) for text in LIGHTNING_WARNINGS]


class Tunable(Follows):
    def __init__(self, losses: Any = DOOMED) -> None:
        super().__init__(losses)
        self.lr, self.batch_size = LR, 1

    def train_dataloader(self) -> DataLoader:
        return batches(batch_size=self.batch_size)


@pytest.mark.filterwarnings("ignore:Failed to compute suggestion")
def test_lr_find_before_a_fit(classifier: GrokClassifier, tmp_path: Path) -> None:
    predictor = GrokPredictor(classifier)
    trainer = pl.Trainer(
        callbacks=[predictor], max_steps=BUDGET, default_root_dir=tmp_path, **QUIET
    )
    module = Tunable()
    pl.tuner.Tuner(trainer).lr_find(
        module, num_training=250, update_attr=False, early_stop_threshold=None
    )
    assert predictor.verdicts == []
    trainer.fit(module)
    assert trainer.global_step == predictor.stopped_step == 201
    assert sees(predictor, DOOMED)


def test_scale_batch_size_before_a_fit(classifier: GrokClassifier, tmp_path: Path) -> None:
    predictor = GrokPredictor(classifier)
    trainer = pl.Trainer(
        callbacks=[predictor], max_steps=BUDGET, default_root_dir=tmp_path, **QUIET
    )
    module = Tunable()
    pl.tuner.Tuner(trainer).scale_batch_size(module, steps_per_trial=250, init_val=1, max_trials=2)
    assert predictor.verdicts == []
    module.batch_size = 1
    trainer.fit(module)
    assert predictor.stopped_step == 201
    assert sees(predictor, DOOMED)


@pytest.mark.filterwarnings("ignore:Failed to compute suggestion")
def test_lr_finder_as_a_callback_of_the_same_fit(
    classifier: GrokClassifier, tmp_path: Path
) -> None:
    predictor = GrokPredictor(classifier)
    finder = pl.callbacks.LearningRateFinder(
        num_training_steps=250, update_attr=False, early_stop_threshold=None
    )
    trainer = pl.Trainer(
        callbacks=[predictor, finder], max_steps=BUDGET, default_root_dir=tmp_path, **QUIET
    )
    trainer.fit(Tunable())
    assert predictor.stopped_step == 201
    assert sees(predictor, DOOMED)


def test_a_tuner_in_mid_fit(classifier: GrokClassifier, tmp_path: Path) -> None:
    class Later(pl.callbacks.BatchSizeFinder):
        def on_fit_start(self, *args: Any) -> None:
            return

        def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            if trainer.current_epoch == 2:
                self.scale_batch_size(trainer, pl_module)
                pl_module.batch_size = 1

    class Short(Tunable):
        def train_dataloader(self) -> DataLoader:
            return batches(20, batch_size=self.batch_size)

    predictor = GrokPredictor(classifier)
    trainer = pl.Trainer(
        callbacks=[predictor, Later(steps_per_trial=3, init_val=1, max_trials=1)],
        max_steps=BUDGET,
        default_root_dir=tmp_path,
        **QUIET,
    )
    trainer.fit(Short(GOOD))
    assert [verdict.horizon for verdict in predictor.verdicts] == [200, 282]
    assert sees(predictor, GOOD)


class CliModule(Follows):
    def __init__(self) -> None:
        super().__init__(DOOMED)

    def train_dataloader(self) -> DataLoader:
        return batches()


YAML = """
trainer:
  accelerator: cpu
  logger: false
  enable_progress_bar: false
  enable_checkpointing: false
  enable_model_summary: false
  max_steps: 400
  callbacks:
    - class_path: grokpredict.GrokPredictor
      init_args:
        classifier: {classifier}
        max_false_abort: 0.05
        budget: 350
        action: {action}
        loss_key: loss
"""


def run_cli(config: Path, monkeypatch: pytest.MonkeyPatch) -> pl.cli.LightningCLI:
    monkeypatch.setattr(sys, "argv", ["main.py", "fit", f"--config={config}"])
    return pl.cli.LightningCLI(CliModule, save_config_callback=None, seed_everything_default=False)


@pytest.mark.parametrize(("action", "steps"), [("stop", 201), ("warn", 400)])
def test_lightning_cli_with_yaml(
    short_classifier_file: Path,
    tmp_path: Path,
    action: str,
    steps: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(YAML.format(classifier=short_classifier_file, action=action))
    cli = run_cli(config, monkeypatch)
    assert cli.trainer.global_step == steps
    predictor = next(own for own in cli.trainer.callbacks if isinstance(own, GrokPredictor))
    assert predictor.verdicts[0].budget == 350


def test_lightning_cli_refuses_a_wrong_argument(
    short_classifier_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(YAML.format(classifier=short_classifier_file, action="kill"))
    with pytest.raises(SystemExit):
        run_cli(config, monkeypatch)
    assert "kill" in capsys.readouterr().err


def test_it_can_be_sent_to_another_process(classifier: GrokClassifier) -> None:
    """As ``ddp_spawn`` does, and a sweep that builds its callbacks in the parent."""
    predictor = pickle.loads(pickle.dumps(GrokPredictor(classifier)))
    fit(Follows(DOOMED), predictor)
    assert predictor.stopped_step == 201
    assert pickle.loads(pickle.dumps(predictor)).verdicts == predictor.verdicts


class Traffic(TorchDispatchMode):
    """Counts what would wait for a device: reading a scalar, and copying."""

    OPS = ("_local_scalar_dense", "_to_copy", "copy_", "item", "clone", "stack", "cat")

    def __init__(self) -> None:
        super().__init__()
        self.counts: collections.Counter[str] = collections.Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in self.OPS:
            self.counts[name] += 1
        return func(*args, **(kwargs or {}))


class Watched(GrokPredictor):
    """Counts the traffic of the hook, by step."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.traffic: dict[int, collections.Counter[str]] = {}

    def on_train_batch_end(self, trainer: Any, *args: Any) -> None:
        with Traffic() as traffic:
            super().on_train_batch_end(trainer, *args)
        if traffic.counts:
            self.traffic[trainer.global_step] = traffic.counts


def test_nothing_leaves_the_device_between_two_looks(classifier: GrokClassifier) -> None:
    predictor = Watched(classifier)
    fit(Follows(GOOD), predictor)
    looks = {201, 283}
    # Between them the norm of the weights is taken, on the device, at the edges of the bins.
    assert set(predictor.traffic) - looks == set(EDGES[(EDGES > 0) & (EDGES <= 282)].tolist())
    for step, counts in predictor.traffic.items():
        # All losses at once, and no scalar read one by one (tolist does not dispatch).
        assert counts["_local_scalar_dense"] == 0
        assert counts["stack"] + counts["cat"] == (2 if step in looks else 1)
        assert (counts["_to_copy"] > 0) == (step in looks)


def test_the_count_of_traffic_can_fail(classifier: GrokClassifier) -> None:
    class Reads(Watched):
        def on_train_batch_end(self, trainer: Any, *args: Any) -> None:
            with Traffic() as traffic:
                args[1]["loss"].item()
            self.traffic[trainer.global_step] = traffic.counts

    predictor = Reads(classifier)
    fit(Follows(GOOD), predictor, max_steps=3)
    assert [counts["_local_scalar_dense"] for counts in predictor.traffic.values()] == [1, 1, 1]


def test_what_is_kept_is_one_scalar_a_step_until_the_last_look(
    classifier: GrokClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: dict[int, int] = {}

    class Weighs(GrokPredictor):
        def on_train_batch_end(self, trainer: Any, *args: Any) -> None:
            super().on_train_batch_end(trainer, *args)
            assert self._watch is not None
            steps = self._watch.buffer.steps if self._watch.buffer is not None else []
            assert not any(own.requires_grad for own in steps)
            kept[trainer.global_step] = sum(own.numel() for own in steps)

    fit(Follows(GOOD), Weighs(classifier, budget=BUDGET), max_steps=300)
    assert [kept[step] for step in (1, 200, 201, 202, 282, 283, 300)] == [1, 200, 0, 1, 81, 0, 0]
    monkeypatch.setattr("grokpredict.live.lightning.watch.MOST_WAITING", 64)
    predictor = Weighs(classifier, budget=BUDGET)
    fit(Follows(GOOD), predictor, max_steps=300)
    assert max(kept.values()) == 63
    assert sees(predictor, GOOD)


class NeverWaits(GrokPredictor):
    """Between two horizons an operation that waits for the device is an error."""

    def on_train_batch_end(self, trainer: Any, *args: Any) -> None:
        if trainer.global_step not in (201, 283):
            torch.cuda.set_sync_debug_mode("error")
        try:
            self.take(trainer, *args)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    def take(self, trainer: Any, *args: Any) -> None:
        super().on_train_batch_end(trainer, *args)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_cuda_is_not_waited_for_between_two_horizons(classifier: GrokClassifier) -> None:
    class Reads(NeverWaits):
        def take(self, trainer: Any, *args: Any) -> None:
            args[1]["loss"].item()

    predictor = NeverWaits(classifier)
    # An error would have made it leave the run alone.
    fit(Follows(GOOD), predictor, accelerator="cuda", devices=1)
    assert [verdict.horizon for verdict in predictor.verdicts] == [200, 282]
    with pytest.raises(RuntimeError, match="synchroni"):
        fit(Follows(GOOD), Reads(classifier), accelerator="cuda", devices=1)


class CustomAdamW(torch.optim.Optimizer):
    """One of the user's own, as projects carry them."""

    def __init__(self, params: Any, weight_decay: float) -> None:
        super().__init__(params, {"lr": 1, "betas": (0.9, 0.98), "weight_decay": weight_decay})

    def step(self, closure: Any = None) -> Any:
        return closure()


class InOneHand(Follows):
    """Its learning rate is all the schedule's own, its batches are an iterator's, as in Grok's."""

    def configure_optimizers(self) -> Any:
        optimizer = CustomAdamW(self.parameters(), WEIGHT_DECAY)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: LR)
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    def train_dataloader(self) -> Any:
        class Batches:
            dataset = range(470)

            def __iter__(self) -> Any:
                return iter(torch.zeros(2, 235, 1))

            def __len__(self) -> int:
                return 2

        return Batches()


def context_of(module: pl.LightningModule, predictor: GrokPredictor) -> Configuration:
    trainer = pl.Trainer(callbacks=[predictor], max_steps=5, **QUIET)
    trainer.fit(module)
    return predictor._configuration


def test_configuration_of_a_project_that_does_it_all_by_hand(classifier: GrokClassifier) -> None:
    """``lr=1`` is a factor, and the peak is not known at the start."""
    predictor = GrokPredictor(classifier, budget=BUDGET)
    assert context_of(InOneHand(GOOD), predictor) == Configuration(
        optimizer="adamw",
        learning_rate=None,
        weight_decay=WEIGHT_DECAY,
        momentum=0.9,
        batch_size=235,
        train_size=470,
        n_parameters=1,
    )


@pytest.mark.parametrize(
    ("schedule", "rate"),
    [
        (lambda own: torch.optim.lr_scheduler.LinearLR(own, 0.01, total_iters=200), LR),
        (lambda own: torch.optim.lr_scheduler.CosineAnnealingLR(own, 30), LR),
        (lambda own: torch.optim.lr_scheduler.OneCycleLR(own, 10 * LR, total_steps=500), 10 * LR),
        ("transformers", LR),
        (lambda own: in_turn(own, lambda step: step / 1000), None),
        (lambda own: in_turn(own, None), LR),
        (lambda own: torch.optim.lr_scheduler.ExponentialLR(own, 1.01), None),
        (lambda own: torch.optim.lr_scheduler.LambdaLR(own, lambda step: 0.5), None),
    ],
)
def test_the_peak_of_a_schedule(
    classifier: GrokClassifier, schedule: Any, rate: float | None
) -> None:
    """From the parameter groups where the kind of schedule tells, else it is not known."""
    make = transformers_schedule if schedule == "transformers" else schedule

    class Scheduled(Follows):
        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.AdamW(self.parameters(), lr=LR)
            return [optimizer], [{"scheduler": make(optimizer), "interval": "step"}]

        def train_dataloader(self) -> DataLoader:
            return batches()

    configuration = context_of(Scheduled(GOOD), GrokPredictor(classifier, budget=BUDGET))
    assert configuration.learning_rate == (rate and pytest.approx(rate))


def transformers_schedule(optimizer: Any) -> Any:
    transformers = pytest.importorskip("transformers")
    return transformers.get_cosine_schedule_with_warmup(optimizer, 200, 1000)


def in_turn(optimizer: Any, function: Any) -> Any:
    schedulers = torch.optim.lr_scheduler
    second = (
        schedulers.CosineAnnealingLR(optimizer, 100)
        if function is None
        else schedulers.LambdaLR(optimizer, function)
    )
    first = schedulers.LinearLR(optimizer, 0.1, total_iters=20)
    return schedulers.SequentialLR(optimizer, [first, second], [20])


def test_a_rate_that_is_set_by_hand_is_not_known_to_be_zero(classifier: GrokClassifier) -> None:
    class ByHand(Follows):
        def configure_optimizers(self) -> Any:
            return torch.optim.AdamW(self.parameters(), lr=0.0, weight_decay=WEIGHT_DECAY)

        def train_dataloader(self) -> DataLoader:
            return batches()

    configuration = context_of(ByHand(GOOD), GrokPredictor(classifier, budget=BUDGET))
    assert configuration is not None
    assert (configuration.learning_rate, configuration.weight_decay) == (None, WEIGHT_DECAY)


def test_a_derived_optimiser_is_of_its_kind(classifier: GrokClassifier) -> None:
    class Mine(torch.optim.SGD):
        pass

    class Derived(Follows):
        def configure_optimizers(self) -> Any:
            return Mine(self.parameters(), lr=LR)

        def train_dataloader(self) -> DataLoader:
            return batches()

    configuration = context_of(Derived(GOOD), GrokPredictor(classifier, budget=BUDGET))
    assert configuration is not None
    assert configuration.optimizer == "sgd"


@pytest.mark.parametrize(("seen", "steps"), [(0.97, 201), (97.0, BUDGET), (100.00001, BUDGET)])
def test_percentages(classifier: GrokClassifier, seen: float, steps: int) -> None:
    """Guessing among a hundred classes is right in 1 % of the cases, which is no share of 1."""

    class Percent(Follows):
        def validation_step(self, batch: Any, batch_idx: int) -> None:
            self.log("val_accuracy", seen)
            self.log("train_accuracy", 40.0)

    trainer = pl.Trainer(
        callbacks=[GrokPredictor(classifier)], max_steps=BUDGET, val_check_interval=10, **QUIET
    )
    trainer.fit(Percent(DOOMED), batches(), batches(1))
    assert trainer.global_step == steps


def test_an_accuracy_above_one_is_remembered(classifier: GrokClassifier) -> None:
    """Validated alone it is 1.03 % first and 0.97 % at the look, which would be a good share."""

    class Guesses(Follows):
        def validation_step(self, batch: Any, batch_idx: int) -> None:
            self.log("val_accuracy", 1.03 if self.trainer.global_step < 15 else 0.97)

    trainer = pl.Trainer(
        callbacks=[GrokPredictor(classifier)], max_steps=BUDGET, val_check_interval=10, **QUIET
    )
    trainer.fit(Guesses(DOOMED), batches(), batches(1))
    assert trainer.global_step == 201


def test_a_stop_that_waits_tells_what_it_saved(classifier: GrokClassifier) -> None:
    predictor = GrokPredictor(classifier)
    fit(Follows(DOOMED), predictor, n=20, min_steps=220)
    assert f"stopped at step 220, {BUDGET - 220} steps were not trained" in predictor.summary()


def test_a_fit_that_may_not_be_stopped_is_not_said_to_be(classifier: GrokClassifier) -> None:
    """``min_steps`` and ``max_steps`` are the same, as in Grok's trainer."""
    predictor = GrokPredictor(classifier)
    fit(Follows(DOOMED), predictor, n=20, max_steps=220, min_steps=220)
    assert predictor.stopped_step is None
    assert predictor.stopping_reason is StoppingReason.NOT_STOPPED
    assert "kept the fit going to its end" in (predictor.stopping_reason_message or "")
    assert "not trained" not in predictor.summary()
