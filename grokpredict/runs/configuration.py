"""What is known of a run before its first step, under the names that people use."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Configuration:
    """What is known of a run before its first step; None where it is not known.

    Parameters
    ----------
    optimizer : str, optional
        Lower-case name: ``"adamw"``, ``"adam"``, ``"sgd"``, ``"lion"``, ....
    learning_rate, weight_decay : float, optional
        As the optimiser was given them; the peak rate where there is a schedule.
    momentum : float, optional
        SGD's momentum, or the first beta of Adam's family.
    batch_size, train_size : int, optional
        Samples per optimiser step and in the training set.
    n_parameters : int, optional
        Trainable parameters.
    """

    optimizer: str | None = None
    learning_rate: float | None = None
    weight_decay: float | None = None
    momentum: float | None = None
    batch_size: int | None = None
    train_size: int | None = None
    n_parameters: int | None = None

    @classmethod
    def from_mapping(cls, hparams: Mapping[str, Any]) -> Configuration:
        """Pick the fields out of a run's hyperparameters, under the names that people use.

        A momentum that is not given is the default of the optimiser. The size of a training set
        that is given as a share of all pairs of residues modulo ``p`` is computed.
        """
        lowered = plain_keys(hparams)
        settings: dict[str, Any] = {}
        for name, aliases in _CONFIGURATION_ALIASES.items():
            values = (_plain(lowered.get(alias), name) for alias in (name, *aliases))
            value = next((value for value in values if value is not None), None)
            if value is not None:
                settings[name] = value
        if "train_size" not in settings and (size := _share_of_pairs(lowered)) is not None:
            settings["train_size"] = size
        if "momentum" not in settings and settings.get("optimizer") in _DEFAULT_MOMENTUM:
            settings["momentum"] = _DEFAULT_MOMENTUM[settings["optimizer"]]
        if "batch_size" not in settings and "train_size" in settings and _is_full_batch(lowered):
            settings["batch_size"] = settings["train_size"]
        return cls(**settings)

    def known(self) -> dict[str, Any]:
        """Return the fields that are not None."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


def plain_keys(hparams: Mapping[str, Any]) -> dict[str, Any]:
    """Return the hyperparameters with their names in lower case and with underscores."""
    return {str(key).lower().replace("-", "_"): value for key, value in hparams.items()}


_CONFIGURATION_ALIASES: dict[str, tuple[str, ...]] = {
    "optimizer": ("optimiser", "optim", "optimizer_name", "optimizer_type", "opt", "optim_name"),
    "learning_rate": (
        "lr",
        "max_lr",
        "base_lr",
        "peak_lr",
        "learn_rate",
        "learningrate",
        "init_lr",
        "initial_lr",
        "lr0",
        "start_lr",
        "max_learning_rate",
    ),
    "weight_decay": ("wd", "weightdecay", "l2", "decay", "weight_decay_rate"),
    "momentum": ("beta1", "beta_1", "adam_beta1", "betas", "adam_betas", "b1"),
    "batch_size": (
        "batchsize",
        "bs",
        "train_batch_size",
        "batch",
        "train_bs",
        "per_device_train_batch_size",
    ),
    "train_size": (
        "n_train",
        "num_train",
        "train_samples",
        "train_set_size",
        "len_train_ds",
        "len_train",
        "n_train_samples",
        "num_train_samples",
        "num_train_examples",
        "train_dataset_size",
        "trainset_size",
        "training_set_size",
        "size_train",
    ),
    "n_parameters": (
        "num_parameters",
        "n_params",
        "num_params",
        "parameters",
        "param_count",
        "total_params",
    ),
}

#: What PyTorch's optimisers take where nothing is given: the first beta, or SGD's momentum.
_DEFAULT_MOMENTUM = {
    **dict.fromkeys(("adam", "adamw", "nadam", "radam", "adamax", "lion"), 0.9),
    "sgd": 0.0,
}

#: Names that others, such as Hugging Face and bitsandbytes, give to these; the first that is in a
#: name counts.
_OPTIMIZERS = ("nadamw", "adamw", "nadam", "radam", "adamax", "amsgrad", "adam", "lion", "sgd")
_DRESSED = re.compile(
    rf"(paged_|fused_?|apex_)*({'|'.join(_OPTIMIZERS)})"
    r"(_?(torch|fused|apex|hf|xla|npu|bnb|4bit|8bit|32bit|anyprecision|optimi[sz]er))*"
)

_SHARES = ("train_frac", "frac_train", "train_fraction", "training_fraction", "train_share")
_PERCENTS = ("train_pct", "train_percent", "train_percentage")
_MODULI = ("p", "prime", "modulus", "mod")


def _optimizer(value: Any) -> str | None:
    """Return the plain name of an optimiser.

    >>> _optimizer("torch.optim.AdamW"), _optimizer("paged_adamw_32bit"), _optimizer("Muon")
    ('adamw', 'adamw', 'muon')
    """
    if not isinstance(value, str) or not value.strip():
        return None
    words = re.findall(r"[\w.]+", value.strip().removeprefix("<class "))
    name = words[0].rsplit(".", 1)[-1].lower() if words else ""
    dressed = _DRESSED.fullmatch(name)
    return dressed.group(2) if dressed else name or None


def _share_of_pairs(lowered: Mapping[str, Any]) -> int | None:
    share = _first_number(lowered, _SHARES)
    if share is None:
        percent = _first_number(lowered, _PERCENTS)
        share = None if percent is None else percent / 100
    modulus = _first_number(lowered, _MODULI)
    if share is None or modulus is None or not 0 < share <= 1 or not 2 <= modulus < 2**20:
        return None
    return int(share * int(modulus) ** 2) or None


def _first_number(lowered: Mapping[str, Any], names: Iterable[str]) -> float | None:
    values = (_plain(lowered.get(name), name) for name in names)
    return next((value for value in values if value is not None), None)


def _is_full_batch(lowered: Mapping[str, Any]) -> bool:
    if lowered.get("full_batch") is True:
        return True
    sizes = [lowered.get(name) for name in ("batch_size", *_CONFIGURATION_ALIASES["batch_size"])]
    return any(isinstance(size, str) and size.lower().startswith("full") for size in sizes)


def _plain(value: Any, name: str) -> Any:
    """Return ``value`` as what the field ``name`` holds, or None if it is nothing of the kind."""
    if name == "optimizer":
        return _optimizer(value)
    if name == "momentum":
        if isinstance(value, str) and re.match(r"\s*[\[(]", value):
            value = re.findall(r"[\d.eE+-]+", value)
        if isinstance(value, list | tuple) and value:
            value = value[0]  # Adam's betas, of which the first is the momentum
    if isinstance(value, bool) or value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    # Nothing is learned at a rate of 0 or below, which stands for "automatic".
    if not np.isfinite(number) or (name == "learning_rate" and number <= 0):
        return None
    if name in ("batch_size", "train_size", "n_parameters"):
        # A train_size of 0.3 is a share of the data, which tells no number of samples; 0 and -1
        # commonly stand for "all" or "automatic".
        return int(number) if number.is_integer() and number >= 1 else None
    return number


#: All names under which a field of :class:`Configuration` is known.
CONFIGURATION_NAMES = frozenset(
    name for field, aliases in _CONFIGURATION_ALIASES.items() for name in (field, *aliases)
)


def field_named(name: str) -> str | None:
    """Return the field of :class:`Configuration` that a name means; None if it means none.

    >>> field_named("lr"), field_named("Weight-Decay"), field_named("width")
    ('learning_rate', 'weight_decay', None)
    """
    plain = name.lower().replace("-", "_")
    return next(
        (field for field, names in _CONFIGURATION_ALIASES.items() if plain in (field, *names)), None
    )
