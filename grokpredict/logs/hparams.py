"""The configuration of a run, read without executing anything that it contains."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from grokpredict.logs.configuration_text import parse_json, parse_yaml
from grokpredict.logs.errors import LogError
from grokpredict.logs.source import read_configuration

#: Looked for beside a log, after a file that is named like the log itself.
BESIDE = ("hparams.yaml", "hparams.yml", "hparams.json", "config.yaml", "config.yml", "config.json")

#: What a configuration that is named like its log ends in.
KINDS = (".yaml", ".yml", ".json")

#: What a log may end in; what else follows a dot belongs to its name.
EXTENSIONS = frozenset(
    [
        "csv",
        "tsv",
        "txt",
        "log",
        "jsonl",
        "ndjson",
        "jl",
        "json",
        "parquet",
        "pq",
        "wandb",
        "npz",
        "npy",
        "db",
        "sqlite",
        "sqlite3",
    ]
)

#: Where Hydra keeps the configuration of a job, and how many folders above the log it may be:
#: that of ``0/lightning_logs/version_0/metrics.csv`` is ``0/.hydra/config.yaml``.
HYDRA = Path(".hydra", "config.yaml")
HYDRA_ABOVE = 4

#: Sections and keys that name the optimiser: Hydra's, LightningCLI's and people's own.
_OPTIMIZERS = frozenset({"optimizer", "optimiser", "optim"})
_KINDS = frozenset({"_target_", "class_path", "name", "type"})

#: Keys under which people nest the configuration in a metadata object.
NESTED = ("hparams", "hyperparameters", "hyper_parameters", "config", "args", "params")


#: Levels of sections; a section that holds itself has no end.
DEEPEST = 50


if TYPE_CHECKING:
    from yaml import SafeLoader as _Safe
else:
    # libyaml reads ten thousand files in a second, the Python parser in ten; both are safe.
    _Safe = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _PlainLoader(_Safe):
    """Safe loading that keeps what has an unknown tag and drops the tag.

    ``save_hyperparameters`` writes enums, paths and classes as ``!!python/...`` tags. Refusing
    them would lose the learning rate that is on the next line.
    """


def _untagged(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        items = loader.construct_sequence(node, deep=True)
        return items[0] if len(items) == 1 else items
    # "!!python/name:torch.optim.adamw.AdamW ''" says all it has to say in its tag.
    return node.value or suffix.rpartition(":")[2] or None


_PlainLoader.add_multi_constructor("", _untagged)


def read_hparams(path: str | Path) -> dict[str, Any]:
    """Read a YAML or JSON file with one mapping.

    Parameters
    ----------
    path : path-like
        JSON when it is named so, YAML otherwise.

    Returns
    -------
    dict
        Keys as text, see :func:`unnested`. An empty file gives an empty one. Unknown YAML tags
        are dropped.

    Raises
    ------
    LogError
        If the file cannot be read or is something else than a mapping.
    """
    path = Path(path)
    try:
        text = read_configuration(path)
        settings = parse_json(text) if path.suffix == ".json" else parse_yaml(text, _PlainLoader)
    except LogError:
        raise
    # PyYAML raises its own kinds and, on odd keys and dates, Python's.
    except (yaml.YAMLError, RecursionError, ValueError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise LogError(f"hyperparameters must be YAML or JSON, {path} is not: {reason}") from error
    if settings is None:
        return {}
    if not isinstance(settings, Mapping):
        raise LogError(
            f"hyperparameters must be a mapping of names to values, {path} holds a "
            f"{type(settings).__name__}"
        )
    if "_wandb" in settings or "wandb_version" in settings:
        settings = {key: entry["value"] for key, entry in settings.items() if _of_wandb(key, entry)}
    return unnested(settings)


def _of_wandb(key: Any, entry: Any) -> bool:
    """Say whether this is one of the settings in W&B's config.yaml, which gives each a note."""
    return key != "_wandb" and isinstance(entry, Mapping) and "value" in entry


def hparams_beside(log: Path) -> dict[str, Any]:
    """Read the configuration that lies beside a log; empty if there is none.

    Parameters
    ----------
    log : Path
        ``runs/a.b.csv`` takes ``runs/a.b.yaml`` or ``runs/a.b.json``, never ``runs/a.json``,
        else ``runs/hparams.yaml`` or ``runs/config.yaml`` (or ``.yml``, ``.json``). What these
        do not tell, the ``.hydra/config.yaml`` in the folder of the log, or the nearest one
        above, tells.
    """
    settings: dict[str, Any] = {}
    for path in configuration_files(log):
        settings.update(read_hparams(path))
    return settings


def run_name(log: Path) -> str:
    """Return the name of a log without what tells its format: ``wd0.5`` of ``wd0.5.csv.gz``."""
    name = log.name[:-3] if log.name.lower().endswith(".gz") else log.name
    stem, dot, extension = name.rpartition(".")
    return stem if dot and extension.lower() in EXTENSIONS else name


def configuration_files(log: Path) -> list[Path]:
    """Return the files that :func:`hparams_beside` reads; what a later one says goes first."""
    stem = run_name(log)
    named_alike = [f"{name}{kind}" for name in dict.fromkeys((stem, log.name)) for kind in KINDS]
    candidates = (log.with_name(name) for name in (*named_alike, *BESIDE))
    beside = next((path for path in candidates if path != log and path.is_file()), None)
    above = (folder / HYDRA for folder in list(log.absolute().parents)[: HYDRA_ABOVE + 1])
    hydra = next((path for path in above if path.is_file()), None)
    return [path for path in (hydra, beside) if path is not None]


def unnested(sections: Mapping[str, Any]) -> dict[str, Any]:
    """Lift a nested configuration to the top.

    Parameters
    ----------
    sections : mapping
        What is in a section keeps its name if no other section has that name too, and is
        called ``section.name`` otherwise; ``section/name`` and ``section.name`` are taken apart
        likewise, as loggers write a section so. What the section of the optimiser says goes before
        what others say, and its class is ``optimizer``.

    Examples
    --------
    >>> unnested({"optimizer": {"_target_": "torch.optim.AdamW", "lr": 0.1}, "model": {"width": 8}})
    {'optimizer': 'torch.optim.AdamW', 'lr': 0.1, 'width': 8}
    """
    flat = {str(key): value for key, value in sections.items()}
    for key in NESTED:
        if isinstance(flat.get(key), Mapping):
            flat.update({str(k): v for k, v in flat.pop(key).items()})
    leaves = list(_leaves(flat))
    lifted = {path[0]: value for path, value in leaves if len(path) == 1}
    leaves = [leaf for leaf in leaves if len(leaf[0]) > 1]
    uses = Counter(path[-1] for path, _ in leaves)
    # The optimiser's section first, so that others do not take its names.
    for path, value in sorted(leaves, key=lambda leaf: _OPTIMIZERS.isdisjoint(leaf[0])):
        of_optimizer = not _OPTIMIZERS.isdisjoint(path)
        name = "optimizer" if of_optimizer and path[-1] in _KINDS else path[-1]
        if name in lifted or (uses[path[-1]] > 1 and not of_optimizer):
            name = ".".join(path)
        lifted[name] = value
    return lifted


def _leaves(
    section: Mapping[Any, Any], above: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in section.items():
        path = (*above, *re.split(r"[/.]", str(key)))
        if isinstance(value, Mapping):
            if len(path) > DEEPEST:
                raise LogError(
                    f"a configuration may have {DEEPEST} levels of sections, one has more"
                )
            yield from _leaves(value, path)
        else:
            yield path, value


def plain_value(text: str) -> Any:
    """Read a cell of a constant column: a number, true or false, else the text itself.

    >>> plain_value("0.5"), plain_value("True"), plain_value("adamw")
    (0.5, True, 'adamw')
    """
    if text.strip().lower() in ("true", "false"):
        return text.strip().lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text.strip()
