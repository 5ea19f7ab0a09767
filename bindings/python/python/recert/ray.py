"""The jobs over a Ray cluster: certify, predict, recertify and verify, with what they return elsewhere.

    >>> import ray, recert.ray
    >>> ray.init(address="auto")
    >>> recert.ray.certify(model, images, labels, sigma=0.25, ledger="run.recert", gpus=1)

Each function is that of `recert` of the same name, with its keywords and these:

    workers: how many, up to 512; if it is not said, as many as the cluster has room for, and more as nodes
        come.
    cpus, gpus, resources: what each worker needs of a node, as of Ray's actors. A module runs on the GPU
        of its worker, where that has one.
    patience: seconds to wait while there is no worker at all.

The network of a module or a callable is in every worker, and a chunk of work is some samples of one input.
This process runs the job, and is the one writer of the ledger. Networks in ONNX files, and `verify`, are
run in shards of the inputs (`chunks=` says how many), which are merged.

A worker that is lost costs its chunks, which others are given. Nothing in the ledger depends on it, nor on
how many workers there were: the certificates are those of `recert.certify`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from . import _jobs
from ._errors import EngineError, ParameterError, WorkersError
from ._tables import Results, Verdicts

try:
    # A part of it, as any folder named ray, such as the one that Ray makes in /tmp, can be imported.
    from ray import cloudpickle as _installed
except ImportError as error:
    raise ImportError(
        "recert.ray needs Ray, which is not installed: pip install 'recert[ray]'"
    ) from error

from . import _pool, _shards

__all__ = ["certify", "made_by", "predict", "recertify", "verify"]

del _installed


def made_by(function: Callable[..., Any], *arguments: Any) -> Any:
    """A network that each worker makes for itself, as one that cannot be sent, or is large:
    `function(*arguments)` returns the module or the callable.

        >>> recert.ray.certify(recert.ray.made_by(load, "net.pth"), images, sigma=0.25, gpus=1)
    """
    if not callable(function):
        raise ParameterError("what makes a network is a function", "classify")
    return _pool.Made(function, arguments)


def certify(
    classify: Any,
    images: Any,
    labels: Any = None,
    *,
    workers: int | None = None,
    cpus: float = 1,
    gpus: float = 0,
    resources: Mapping[str, float] | None = None,
    patience: float = 300.0,
    chunks: int | None = None,
    **keywords: Any,
) -> Results:
    """`recert.certify` over a Ray cluster.

    Args:
        classify: as for `recert.certify`, or a network `made_by` a function.
        workers, cpus, gpus, resources, patience: see `recert.ray`.
        chunks: for ONNX files, the number of shards.
        keywords: those of `recert.certify` but `threads`, and for ONNX files but `shard`.

    Returns:
        The rows, and in `.workers` what each worker did.

    Raises:
        WorkersError: there is no cluster, no room in it, or no worker for `patience` seconds. What was
            computed is in the ledger, and the same call goes on from there.
        EngineError: the network raised something, which is the `__cause__`.
    """
    needs = _pool.Needs(cpus, gpus, resources or {})
    via = keywords.get("via")
    given = [classify] if via is None else [classify, via]
    ids = [keywords.pop("id", None), keywords.pop("via_id", None)]
    if _are_files(given, ids):
        _refuse(via is not None, "certify through a faster file in shards, and recertify from that", "via")
        return _shards.certify(_jobs.certify, classify, images, labels, needs, workers, chunks, keywords)
    _refuse(chunks is not None, "the chunks of modules and callables follow their speed", "chunks")

    def run(networks: list[Any], threads: int) -> Results:
        if via is not None:
            keywords["via"] = networks[1]
        return _jobs.certify(networks[0], images, labels, threads=threads, **keywords)

    hows = [_how(keywords, id, name) for id, name in zip(ids, ("classify", "via"))]
    return _over(list(zip(given, hows)), workers, needs, patience, keywords, run)


def predict(
    classify: Any,
    images: Any,
    labels: Any = None,
    *,
    workers: int | None = None,
    cpus: float = 1,
    gpus: float = 0,
    resources: Mapping[str, float] | None = None,
    patience: float = 300.0,
    chunks: int | None = None,
    **keywords: Any,
) -> Results:
    """`recert.predict` over a Ray cluster; keywords are those of `certify`."""
    needs = _pool.Needs(cpus, gpus, resources or {})
    id = keywords.pop("id", None)
    if _are_files([classify], [id]):
        return _shards.certify(_jobs.predict, classify, images, labels, needs, workers, chunks, keywords)
    _refuse(chunks is not None, "the chunks of modules and callables follow their speed", "chunks")

    def run(networks: list[Any], threads: int) -> Results:
        return _jobs.predict(networks[0], images, labels, threads=threads, **keywords)

    given = [(classify, _how(keywords, id, "classify"))]
    return _over(given, workers, needs, patience, keywords, run)


def recertify(
    ledger: Any,
    classify: Any,
    images: Any = None,
    labels: Any = None,
    *,
    workers: int | None = None,
    cpus: float = 1,
    gpus: float = 0,
    resources: Mapping[str, float] | None = None,
    patience: float = 300.0,
    chunks: int | None = None,
    **keywords: Any,
) -> Results:
    """`recert.recertify` over a Ray cluster, of a network or of several candidates.

    For ONNX files each of the `chunks` evaluates the whole pilot (docs/cluster.md): there are as many as
    workers, where it is not said.
    """
    needs = _pool.Needs(cpus, gpus, resources or {})
    given = list(classify) if isinstance(classify, (list, tuple)) else [classify]
    id = keywords.pop("id", None)
    ids = [id] * len(given) if id is None or isinstance(id, str) else list(id)
    if len(ids) != len(given):
        raise ParameterError(f"{len(given)} networks have {len(ids)} ids", "id")
    if _are_files(given, ids):
        return _shards.recertify(ledger, given, images, labels, needs, workers, chunks, keywords)
    _refuse(chunks is not None, "the chunks of modules and callables follow their speed", "chunks")
    if keywords.get("num_classes") is None:
        keywords["num_classes"] = _jobs._recert.classes_of(Path(ledger))

    def run(networks: list[Any], threads: int) -> Results:
        return _jobs.recertify(ledger, networks, images, labels, threads=threads, **keywords)

    hows = [_how(keywords, one, "classify") for one in ids]
    return _over(list(zip(given, hows)), workers, needs, patience, keywords, run)


def verify(
    model: Any = None,
    images: Any = None,
    labels: Any = None,
    *,
    workers: int | None = None,
    cpus: float = 1,
    gpus: float = 0,
    resources: Mapping[str, float] | None = None,
    chunks: int | None = None,
    **keywords: Any,
) -> Verdicts:
    """`recert.verify` over a Ray cluster: shards of the inputs, each with `cpus` threads.

    Args:
        chunks: the number of shards; if it is not said, eight for each worker that there is room for.
        keywords: those of `recert.verify` but `threads`, `shard` and `vnnlib`.
    """
    needs = _pool.Needs(cpus, gpus, resources or {})
    _refuse(keywords.get("vnnlib") is not None, "files of VNN-LIB are not run in shards", "vnnlib")
    file = None if model is None else _jobs._file(model)
    return _shards.verify(file, images, labels, needs, workers, chunks, keywords)


def _refuse(wrong: bool, words: str, keyword: str) -> None:
    if wrong:
        raise ParameterError(f"not over Ray: {words}", keyword)


def _are_files(given: list[Any], ids: list[Any]) -> bool:
    """Whether networks are ONNX files: all of them, or none."""
    files = [isinstance(one, (str, os.PathLike)) for one in given]
    if any(files) and not all(files):
        raise ParameterError("files and other networks do not run together over Ray", "classify")
    if any(files) and any(ids):
        raise ParameterError("a file is known by its SHA-256, and has no id: leave the id out", "id")
    return all(files)


def _how(keywords: dict[str, Any], id: str | None, keyword: str) -> dict[str, Any]:
    """The keywords of a network, as a worker needs them."""
    return {
        "id": id,
        "num_classes": keywords.get("num_classes"),
        "batch_invariant": keywords.get("batch_invariant", False),
        "noise_on": keywords.get("noise_on"),
        "keyword": keyword,
    }


def _over(
    given: list[tuple[Any, dict[str, Any]]],
    workers: int | None,
    needs: _pool.Needs,
    patience: float,
    keywords: dict[str, Any],
    run: Callable[[list[Any], int], Results],
) -> Results:
    """A job whose networks are in workers."""
    threads = keywords.pop("threads", None)
    _refuse(threads is not None, "it is `workers` that says how many there are", "threads")
    # Workers know these by now.
    for name in ("noise_on", "batch_invariant"):
        keywords.pop(name, None)
    _pool.connect()
    with _pool.Pool(given, workers, needs, patience) as pool:
        try:
            results = run(pool.networks(), pool.threads)
        except EngineError as error:
            if isinstance(error.__cause__, WorkersError):
                raise error.__cause__ from error.__cause__.__cause__
            raise
        results.workers = pool.report()
    return results
