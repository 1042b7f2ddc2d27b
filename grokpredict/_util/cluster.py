"""Where the work is done: on this machine, or on a cluster that Dask or Ray runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from grokpredict._util.cache import generation

#: How joblib is told where to work.
BACKENDS = ("loky", "dask", "ray")

#: Seconds to wait for the first worker of a cluster.
_PATIENCE = 60


@contextmanager
def running_on(backend: str, scheduler: str | None) -> Iterator[None]:
    """Have everything inside that takes ``jobs`` done by a cluster.

    Parameters
    ----------
    backend : {"loky", "dask", "ray"}
        ``"loky"`` is this machine. On a cluster, ``jobs=-1`` is all workers that there are.
    scheduler : str or None
        Address of the cluster, such as ``tcp://host:8786``; for Ray also ``auto``, the one that
        this machine belongs to.

    Raises
    ------
    ValueError
        If the address is missing or not needed, the library is not installed, or the workers run
        another version of grokpredict or of the libraries that it computes with.
    OSError
        If there is no cluster at that address, or no worker in it.
    """
    if (scheduler is None) != (backend == "loky"):
        rule = "takes no" if backend == "loky" else "needs a"
        raise ValueError(f"the backend {backend} {rule} scheduler address, got {scheduler}")
    if backend == "loky":
        yield
        return
    from joblib import parallel_config

    cluster = _dask if backend == "dask" else _ray
    with cluster(str(scheduler)) as options, parallel_config(backend, **options):
        yield


@contextmanager
def _dask(address: str) -> Iterator[dict[str, Any]]:
    distributed = _library("distributed", "dask")
    with distributed.Client(address, set_as_default=True) as client:
        client.wait_for_workers(1, timeout=_PATIENCE)
        _check_versions(client.run(generation))
        yield {"wait_for_workers_timeout": _PATIENCE}


@contextmanager
def _ray(address: str) -> Iterator[dict[str, Any]]:
    ray = _library("ray", "ray")
    ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    try:
        _library("ray.util.joblib", "ray").register_ray()
        _check_versions({"a worker": ray.get(ray.remote(_own_generation).remote())})
        yield {}
    finally:
        ray.shutdown()


def _own_generation() -> str:
    return generation()  # Ray takes only plain functions


def _check_versions(workers: dict[str, str]) -> None:
    other = [name for name, own in workers.items() if own != generation()]
    if other:
        raise ValueError(
            "all workers must run the grokpredict, numpy, scipy, scikit-learn and mne of this "
            f"machine, {other[0]} does not; install the same versions there"
        )


def _library(name: str, extra: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise ValueError(
            f"the backend {extra} needs {name.partition('.')[0]}, which is not installed; "
            f"install it with pip install 'grokpredict[{extra}]'"
        ) from error
