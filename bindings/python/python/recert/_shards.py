"""Jobs of ONNX files over Ray: shards of the inputs as tasks, whose ledgers are merged here."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray import exceptions as failures

from . import _jobs, _recert
from ._errors import ParameterError, WorkersError
from ._images import images_of
from ._pool import LOSSES, Needs, connect, _raised
from ._progress import Progress, Reporter
from ._tables import Results, Verdicts

A_WORKER = 8
"""Shards for each worker, so that none waits long for the last ones."""

AHEAD = 2
"""Shards for each worker that Ray is given at a time, where it may run as many as there is room for."""


def certify(
    job: Callable[..., Results], model: Any, images: Any, labels: Any, needs: Needs,
    workers: int | None, chunks: int | None, keywords: dict[str, Any],
) -> Results:
    """`certify` and `predict`."""
    begun = keywords.pop("ledger", None)
    at = _jobs._ledger_at(begun)
    if keywords.get("seed") == "fresh" and not at.path.exists():
        # Every shard has the same.
        keywords["seed"] = int.from_bytes(os.urandom(8), "little")
    shards = _Shards(job.__name__, at.path, at.path, (images, labels), [model], needs, workers, keywords)
    shards.run(chunks, A_WORKER)
    with _quiet(keywords) as local:
        return job(model, images, labels, ledger=at, **local)


def recertify(
    ledger: Any, models: list[Any], images: Any, labels: Any, needs: Needs, workers: int | None,
    chunks: int | None, keywords: dict[str, Any],
) -> Results:
    """`recertify`: each shard begins with the original's ledger."""
    into = keywords.get("into")
    out = Path(ledger if into is None else into)
    begin = out if out.exists() else Path(ledger)
    keywords = {**keywords, "into": None}
    shards = _Shards("recertify", begin, out, (images, labels), models, needs, workers, keywords)
    shards.run(chunks, 1)
    with _quiet(keywords) as local:
        return _jobs.recertify(out, models, images, labels, **local)


def verify(
    model: Any, images: Any, labels: Any, needs: Needs, workers: int | None, chunks: int | None,
    keywords: dict[str, Any],
) -> Verdicts:
    """`verify`, also from the original's ledger."""
    begin = keywords.get("from_ledger")
    given = keywords.get("ledger") if begin is None else begin
    at = _jobs._ledger_at(given)
    models = [one for one in (model, keywords.get("original")) if one is not None]
    shards = _Shards("verify", at.path, at.path, (images, labels), models, needs, workers, keywords)
    shards.run(chunks, A_WORKER)
    with _quiet(keywords) as local:
        if begin is None:
            local["ledger"] = at
        return _jobs.verify(model, images, labels, **local)


@contextmanager
def _quiet(keywords: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The keywords of the same job in this process, which finds everything done."""
    yield {**keywords, "progress": False}


class _Shards:
    """A job's shards, and the ledgers that came of those that are done.

    A ledger that comes back is kept in a folder beside that of the job until all are merged, so that a
    process that is killed loses only what is on its way.
    """

    def __init__(
        self, job: str, begin: Path, out: Path, images: tuple[Any, Any], models: list[Any],
        needs: Needs, workers: int | None, keywords: dict[str, Any],
    ) -> None:
        for name in ("threads", "shard"):
            if keywords.get(name) is not None:
                raise ParameterError(
                    "not over Ray: it is `workers` and `cpus` that say how many there are", name
                )
            keywords.pop(name, None)
        self._job, self._begin, self._out = job, begin, out
        self._images, self._labels = images
        self._models, self._needs, self._workers = models, needs, workers
        self._keywords = keywords
        self._folder = out.with_name(out.name + ".parts")

    def run(self, chunks: int | None, a_worker: int) -> None:
        """Runs all shards, and merges them."""
        connect()
        room = self._needs.room()
        if room == 0 and self._workers is None:
            raise WorkersError(
                f"no node of the cluster has room for a worker, which needs {self._needs}: ask for "
                "less, or name a number of workers, which then are waited for"
            )
        workers = self._workers or room
        if workers < 1:
            raise ParameterError("there must be at least 1 worker", "workers")
        chunks = a_worker * workers if chunks is None else chunks
        if chunks < 1:
            raise ParameterError("there must be at least 1 chunk", "chunks")
        chunks = min(chunks, self._inputs() or chunks)
        self._merge(partial=True)
        self._folder.mkdir(exist_ok=True)
        try:
            self._run(chunks, workers)
        except BaseException:
            self._merge(partial=True)
            raise
        self._merge(partial=False)

    def _inputs(self) -> int | None:
        """The number of inputs, where that is known here."""
        if self._images is None or isinstance(self._images, (str, os.PathLike)):
            return None
        pixels, _ = images_of(self._images, self._labels)
        every, offset, limit = (self._keywords.get(name) for name in ("every", "offset", "limit"))
        inputs = len(range(offset or 0, len(pixels), every or 1))
        return min(inputs, limit) if limit else inputs

    def _run(self, chunks: int, workers: int) -> None:
        files = {os.fspath(one): Path(one).read_bytes() for one in self._models}
        given = ray.put(
            {
                "job": self._job,
                "files": files,
                "images": self._images,
                "labels": self._labels,
                "begin": _copied(self._begin) if self._begin.exists() else None,
                "models": [os.fspath(one) for one in self._models],
                "keywords": {**_sendable(self._keywords), "threads": max(1, int(self._needs.cpus))},
            }
        )
        task = ray.remote(_shard).options(
            max_retries=LOSSES, retry_exceptions=False, **self._needs.options()
        )
        progress: Progress = self._keywords.get("progress", True)
        reporter = Reporter(progress)
        reporter("pass", f"{self._job} in {chunks} shards of", self._inputs() or 0, 1)
        reporter("started", chunks, 0)
        waiting = iter(range(1, chunks + 1))
        running: dict[Any, int] = {}
        try:
            while True:
                while len(running) < self._at_once(workers):
                    number = next(waiting, None)
                    if number is None:
                        break
                    running[task.remote(given, f"{number}/{chunks}")] = number
                if not running:
                    break
                done, _ = ray.wait(list(running), num_returns=1)
                for reference in done:
                    number = running.pop(reference)
                    self._keep(number, chunks, _result(reference, f"{number}/{chunks}"))
                    reporter("evaluated", 1)
        finally:
            for reference in running:
                ray.cancel(reference, force=True)
            reporter("ended", not running)

    def _at_once(self, workers: int) -> int:
        """How many shards Ray is given at a time: also for nodes that come, if no number was named."""
        if self._workers is not None:
            return workers
        return AHEAD * max(workers, self._needs.room())

    def _keep(self, number: int, chunks: int, ledger: bytes | None) -> None:
        if ledger is None:
            return
        path = self._folder / f"{number}-of-{chunks}.recert"
        unfinished = path.with_suffix(".new")
        unfinished.write_bytes(ledger)
        unfinished.replace(path)

    def _merge(self, partial: bool) -> None:
        """Merges what came back, and removes it."""
        if not self._folder.exists():
            return
        parts = sorted(self._folder.glob("*.recert"))
        if parts:
            _recert.merge(self._out, parts, partial)
        shutil.rmtree(self._folder)


def _sendable(keywords: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in keywords.items() if name not in ("progress", "log")}


def _copied(ledger: Path) -> bytes:
    """The bytes of a ledger, also of one whose last answers lie beside it."""
    with tempfile.TemporaryDirectory(prefix="recert-") as folder:
        copy = Path(folder) / "copy.recert"
        source, target = sqlite3.connect(ledger), sqlite3.connect(copy)
        try:
            source.backup(target)
        finally:
            source.close()
            target.close()
        return copy.read_bytes()


def _result(reference: Any, shard: str) -> bytes | None:
    try:
        found: bytes | None = ray.get(reference)
        return found
    except failures.RayTaskError as error:
        raise _raised(error, None, f"shard {shard}") from None
    except failures.RayError as error:
        raise WorkersError(
            f"shard {shard} was lost with its workers, {LOSSES} times and more: {error}"
        ) from error


def _shard(given: dict[str, Any], shard: str) -> bytes | None:
    """Runs a shard; its ledger, or nothing where it has no inputs."""
    with tempfile.TemporaryDirectory(prefix="recert-") as name:
        folder = Path(name)
        ledger = folder / "shard.recert"
        if given["begin"] is not None:
            ledger.write_bytes(given["begin"])
        at = {}
        for i, (path, data) in enumerate(given["files"].items()):
            (folder / str(i)).mkdir()
            file = folder / str(i) / Path(path).name
            file.write_bytes(data)
            at[path] = file
        models = [at[path] for path in given["models"]]
        keywords = {**given["keywords"], "shard": shard, "progress": False}
        images, labels = given["images"], given["labels"]
        try:
            if given["job"] == "recertify":
                _jobs.recertify(ledger, models, images, labels, **keywords)
            elif given["job"] == "verify":
                if keywords.get("from_ledger") is not None:
                    keywords["from_ledger"] = ledger
                else:
                    keywords["ledger"] = ledger
                if keywords.get("original") is not None:
                    keywords["original"] = at[os.fspath(keywords["original"])]
                _jobs.verify(models[0], images, labels, **keywords)
            else:
                getattr(_jobs, given["job"])(models[0], images, labels, ledger=ledger, **keywords)
        except ParameterError as error:
            if error.field == "shard":
                return None
            raise
        return ledger.read_bytes()
