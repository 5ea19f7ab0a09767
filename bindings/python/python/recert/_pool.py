"""Workers of a Ray cluster that answer requests: actors, each with the networks.

The job runs in this process, and is the one writer of its ledger. Its threads ask a `Pool` (`answer`),
which gives a request, or pieces of it, to actors, and gives them to others where an actor is lost. Since a
sample's noise is a function of its number, it has no influence on any answer who gives it, or how often a
chunk was begun.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import ray
from ray import cloudpickle
from ray import exceptions as failures

from ._classify import Prepared, prepared
from ._device import Host, Worker
from ._errors import ParameterError, WorkersError

_log = logging.getLogger("recert")

MOST = 512
"""The most workers, and chunks in flight, of one process. A chunk is sized to be answered within a second,
and with more this process would be busy handing them out (bench/ray)."""

DEPTH = 2
"""Chunks that a worker has: one that it is about, and one that waits, so that it need not."""

DEEP = 32
"""Up to so many chunks in flight every worker has one that waits. With more workers this process would be busy
with the many chunks that are answered within a second (bench/ray), and it matters less that a worker waits."""

LOSSES = 5
"""Workers that a chunk may be lost with, or that may be lost one after the other before they are ready."""

INLINE = 100_000
"""Bytes of pixels up to which they go with every chunk; larger ones are fetched by each node once."""

IMAGES = 64
"""Images that are kept for nodes to fetch, beside those that are being asked about."""

_LOST = (
    failures.RayActorError,
    failures.WorkerCrashedError,
    failures.ObjectLostError,
    failures.NodeDiedError,
    failures.OutOfMemoryError,
)


@dataclass(frozen=True)
class Needs:
    """What each worker needs of a node."""

    cpus: float
    gpus: float
    resources: Mapping[str, float]

    def __post_init__(self) -> None:
        for name, amount in [("cpus", self.cpus), ("gpus", self.gpus), *self.resources.items()]:
            if amount < 0:
                keyword = name if name in ("cpus", "gpus") else "resources"
                raise ParameterError(f"a worker cannot need {amount} of {name}", keyword)
        if not any([self.cpus, self.gpus, *self.resources.values()]):
            raise ParameterError(
                "a worker that needs nothing has no place: give it a CPU, a GPU or another resource",
                "cpus",
            )

    def options(self) -> dict[str, Any]:
        return {
            "num_cpus": self.cpus,
            "num_gpus": self.gpus,
            "resources": dict(self.resources),
            "scheduling_strategy": "SPREAD",
        }

    def room(self) -> int:
        """How many workers all nodes together have room for."""
        needed = {"CPU": self.cpus, "GPU": self.gpus, **self.resources}
        needed = {name: amount for name, amount in needed.items() if amount > 0}
        return sum(
            min(int(node["Resources"].get(name, 0) / amount) for name, amount in needed.items())
            for node in ray.nodes()
            if node["Alive"]
        )

    def __str__(self) -> str:
        words = [f"{self.cpus:g} CPUs", f"{self.gpus:g} GPUs"]
        return ", ".join(words + [f"{amount:g} {name}" for name, amount in self.resources.items()])


@dataclass(frozen=True)
class Made:
    """A network that each worker makes for itself."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]


def connect() -> None:
    """Connects to the cluster, if this process is not part of one.

    Raises:
        WorkersError: where there is none. None is started, as a run that was meant for many machines would
            be on one.
    """
    if ray.is_initialized():
        return
    try:
        ray.init(address="auto", log_to_driver=False)
    except ConnectionError as error:
        raise WorkersError(
            "there is no Ray cluster to connect to: start one (`ray start --head`), name it in "
            "RAY_ADDRESS, or call ray.init() before, which starts one on this machine alone"
        ) from error


def sent(value: Any, what: str, keyword: str) -> Any:
    """What every worker can fetch."""
    try:
        data = cloudpickle.dumps(value)
    except Exception as error:  # noqa: BLE001: whatever an object's pickling fails with
        raise ParameterError(
            f"{what} cannot be sent to workers ({type(error).__name__}: {error}): have each worker make "
            "it, by recert.ray.made_by(FUNCTION, ..)",
            keyword,
        ) from error
    return ray.put(data)


class Answering:
    """An actor: it has all networks, and answers requests about them."""

    def setup(self, data: bytes, settings: dict[str, Any], gpus: float) -> dict[str, Any]:
        """Loads the networks; where this is, and what they are known by here."""
        _set_up(settings)
        self._networks: list[Prepared] = []
        self._workers: list[Callable[..., dict[str, Any]]] = []
        for classify, how in cloudpickle.loads(data):
            if isinstance(classify, Made):
                classify = classify.function(*classify.arguments)
            found = prepared(_on_gpu(classify, gpus), **how)
            if isinstance(found, str):
                raise ParameterError(
                    f"a network that workers make is a module or a callable, not the file {found}: "
                    "give the path itself",
                    how["keyword"],
                )
            self._networks.append(found)
            answer = found.answer
            self._workers.append(answer or Worker(found.function, Host(), found.num_classes))
        return {
            "identities": [_identity(one) for one in self._networks],
            "node": ray.get_runtime_context().get_node_id(),
            "address": ray.util.get_node_ip_address(),
            "pid": os.getpid(),
        }

    def answer(
        self, network: int, request: dict[str, Any], pixels: np.ndarray, batch: int
    ) -> dict[str, Any]:
        return self._workers[network](request, pixels, batch)

    def classify(self, network: int, batch: np.ndarray) -> np.ndarray:
        # What Ray gives lies in memory that nobody may write to.
        return self._networks[network].function(batch.copy())


def _identity(network: Prepared) -> Prepared:
    """What tells a network from others, without what answers."""
    return replace(network, function=_nobody, answer=None)


def _nobody(batch: np.ndarray) -> np.ndarray:
    raise NotImplementedError


def _on_gpu(classify: Any, gpus: float) -> Any:
    """A module on the worker's GPU, where it has one."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(classify, torch.nn.Module) and gpus > 0:
        return classify.to("cuda")
    return classify


def of_torch() -> dict[str, Any]:
    """Settings of PyTorch in this process that its answers may depend on."""
    torch = sys.modules.get("torch")
    if torch is None:
        return {}
    return {
        "precision": torch.get_float32_matmul_precision(),
        "tf32": torch.backends.cudnn.allow_tf32,
        "deterministic": torch.are_deterministic_algorithms_enabled(),
    }


def _set_up(settings: dict[str, Any]) -> None:
    if settings:
        import torch

        torch.set_float32_matmul_precision(settings["precision"])
        torch.backends.cudnn.allow_tf32 = settings["tf32"]
        torch.use_deterministic_algorithms(settings["deterministic"])


@dataclass(eq=False)
class Member:
    """A worker, as the pool knows it."""

    actor: Any
    ready: Any
    """What its `setup` will return."""
    node: str = ""
    address: str = ""
    pid: int = 0
    in_flight: int = 0
    chunks: int = 0
    samples: int = 0
    seconds: float = 0.0
    alive: bool = False
    used: bool = False
    lost: bool = False

    def __str__(self) -> str:
        return f"process {self.pid} on {self.address}" if self.pid else "one that had not begun"


@dataclass
class _Chunk:
    """What a worker is asked in one call: a request or a piece of it, or a batch."""

    position: int
    """Its place among the pieces."""
    method: str
    given: tuple[Any, ...]
    what: str
    samples: int = 0
    lost: int = 0
    """Workers that it was lost with."""
    member: Any = None
    reply: Any = None


@dataclass
class _Kept:
    """An image that nodes fetch, and how many requests are about it."""

    reference: Any
    users: int = field(default=0)


class Pool:
    """Workers for networks, as many as are wanted and have room, and more as nodes come.

    Args:
        networks: each with the keywords of `prepared`.
        workers: how many, up to `MOST`; None for as many as there is room for, now and later.
        needs: what each needs of a node.
        patience: seconds to wait while no worker is there.
    """

    def __init__(
        self,
        networks: Sequence[tuple[Any, dict[str, Any]]],
        workers: int | None,
        needs: Needs,
        patience: float,
    ) -> None:
        if workers is not None and workers < 1:
            raise ParameterError("there must be at least 1 worker", "workers")
        self._needs, self._workers, self._patience = needs, workers, patience
        named = [(classify, how) for classify, how in networks]
        keyword = named[0][1]["keyword"]
        self._known = [_known_here(classify, how) for classify, how in named]
        on_cpu = [(_on_cpu(classify, needs.gpus, how["keyword"]), how) for classify, how in named]
        self._data = sent(on_cpu, "the network", keyword)
        self._settings = of_torch()
        room = needs.room()
        if workers is None and room == 0:
            raise WorkersError(
                f"no node of the cluster has room for a worker, which needs {needs}: ask for less, or "
                "name a number of workers, which then are waited for"
            )
        count = workers or room
        if count > MOST:
            _log.warning(
                "one process keeps %d workers busy, and %d are there: run a shard of the inputs in each of "
                "several (shard=), and merge",
                MOST, count,
            )
            count = MOST
        # As many requests are answered at a time.
        self.threads = max(count, min(DEPTH * count, DEEP))
        self._actor = ray.remote(Answering)
        self._members: list[Member] = []
        self._refused = 0
        # Ready workers by the number of their chunks.
        self._free: list[dict[Member, None]] = [{} for _ in range(DEPTH)]
        self._alive = 0
        self._turn = threading.Condition()
        self._images: OrderedDict[bytes, _Kept] = OrderedDict()
        self._images_turn = threading.Lock()
        self._identities: list[Prepared] | None = None
        self._failed: BaseException | None = None
        self._lost_in_a_row = 0
        self._last_alive = time.monotonic()
        self._ended = threading.Event()
        self._signals = _Signals()
        self._keeper = threading.Thread(target=self._keep, name="recert workers", daemon=True)

    def __enter__(self) -> Pool:
        self._signals.begin()
        self._keeper.start()
        try:
            with self._turn:
                while self._identities is None and self._failed is None:
                    self._turn.wait(1.0)
                self._raise_failure()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        """Ends all workers."""
        self._ended.set()
        self._keeper.join()
        self._signals.end()
        for member in self._members:
            if not member.lost:
                ray.kill(member.actor)

    def networks(self) -> list[Prepared]:
        """The networks, to be given to a job with `threads` threads."""
        assert self._identities is not None

        def asked(position: int, identity: Prepared) -> Prepared:
            def answer(request: dict[str, Any], pixels: np.ndarray, batch: int) -> dict[str, Any]:
                return self.answer(position, request, pixels, batch)

            def function(batch: np.ndarray) -> np.ndarray:
                return self.classify(position, batch)

            return replace(identity, function=function, answer=answer)

        return [asked(i, identity) for i, identity in enumerate(self._identities)]

    def report(self) -> list[dict[str, Any]]:
        """What each worker did that was used: node, address, pid, chunks, samples, seconds, lost."""
        names = ("node", "address", "pid", "chunks", "samples", "seconds", "lost")
        return [
            {name: getattr(member, name) for name in names}
            for member in self._members
            if member.used
        ]

    # Asked by the threads of the job.

    def answer(
        self, network: int, request: dict[str, Any], pixels: np.ndarray, batch: int
    ) -> dict[str, Any]:
        """The reply to a request, of as many workers as it takes to keep all busy."""
        key = bytes.fromhex(request["sha256"])
        given = self._image(key, pixels)
        try:
            chunks = [
                _Chunk(
                    i, "answer", (network, part, given, batch), _named(part),
                    sum(end - start for start, end in part["samples"]),
                )
                for i, part in enumerate(self._parts(request, batch))
            ]
            replies = self._answered(chunks)
        finally:
            self._leave(key)
        if len(replies) == 1:
            return replies[0]
        margins = [reply["margins"] for reply in replies]
        return {
            "classes": np.concatenate([reply["classes"] for reply in replies]),
            "margins": None if margins[0] is None else np.concatenate(margins),
            "micros": sum(reply["micros"] for reply in replies),
        }

    def classify(self, network: int, batch: np.ndarray) -> np.ndarray:
        """The answers to a batch of images: what a job asks before it runs."""
        what = "a batch that is asked about before the run"
        return self._answered([_Chunk(0, "classify", (network, batch), what)])[0]

    def _parts(self, request: dict[str, Any], batch: int) -> list[dict[str, Any]]:
        """A request in pieces, where there are more workers than threads that ask."""
        count = max(1, self._alive // self.threads)
        ranges = request["samples"]
        total = sum(end - start for start, end in ranges)
        count = min(count, max(1, total // max(1, batch)))
        if count == 1 or request["action"] != "answer":
            return [request]
        cuts = [total * i // count for i in range(count + 1)]
        return [
            {**request, "samples": _cut(ranges, start, end)} for start, end in zip(cuts, cuts[1:])
        ]

    def _answered(self, chunks: list[_Chunk]) -> list[Any]:
        """The answers of workers, and of others where these are lost."""
        waiting, running = deque(chunks), deque[_Chunk]()
        replies: list[Any] = [None] * len(chunks)
        while waiting or running:
            # Whoever waits for a worker has no chunk with any, as all could wait for one another.
            member = self._take(wait=not running) if waiting else None
            if member is not None:
                chunk = waiting.popleft()
                chunk.member = member
                chunk.reply = getattr(member.actor, chunk.method).remote(*chunk.given)
                running.append(chunk)
                continue
            chunk = running.popleft()
            try:
                replies[chunk.position] = self._end(chunk)
            except _LOST as error:
                chunk.lost += 1
                if chunk.lost >= LOSSES:
                    raise WorkersError(
                        f"{chunk.lost} workers were lost one after the other with {chunk.what}: {error}"
                    ) from error
                waiting.appendleft(chunk)
        return replies

    def _end(self, chunk: _Chunk) -> Any:
        """Waits for a worker's answer."""
        member = chunk.member
        try:
            reply = ray.get(chunk.reply)
        except _LOST as error:
            self._lose(member, error)
            raise
        except failures.RayTaskError as error:
            self._give_back(member)
            raise _raised(error, member, chunk.what) from None
        except BaseException:
            self._give_back(member)
            raise
        finally:
            chunk.reply = None
        seconds = reply["micros"] / 1e6 if chunk.method == "answer" else 0.0
        self._give_back(member, chunk.samples, seconds)
        return reply

    # Workers that are ready.

    def _take(self, wait: bool) -> Member | None:
        """The ready worker with the fewest chunks, for one more."""
        with self._turn:
            while True:
                self._raise_failure()
                free = next((free for free in self._free if free), None)
                if free is not None:
                    member = next(iter(free))
                    self._count(member, 1)
                    return member
                if not wait:
                    return None
                self._turn.wait(5.0)

    def _count(self, member: Member, change: int) -> None:
        """Changes how many chunks a worker has."""
        if member.in_flight < DEPTH:
            self._free[member.in_flight].pop(member, None)
        member.in_flight += change
        if member.alive and member.in_flight < DEPTH:
            self._free[member.in_flight][member] = None

    def _give_back(self, member: Member, samples: int = 0, seconds: float = 0.0) -> None:
        with self._turn:
            self._count(member, -1)
            if samples:
                member.chunks += 1
                member.samples += samples
                member.seconds += seconds
                self._lost_in_a_row = 0
            self._turn.notify()

    def _lose(self, member: Member, error: Exception) -> None:
        with self._turn:
            if member.lost:
                return
            member.lost, was_alive, member.alive = True, member.alive, False
            if was_alive:
                self._alive -= 1
            chunks = member.in_flight
            self._count(member, 0)
        _log.warning(
            "a worker was lost (%s), and its %d chunks are given to others: %s", member, chunks,
            str(error).split("\n")[0],
        )
        _kill(member)

    def _raise_failure(self) -> None:
        if self._failed is not None:
            raise self._failed

    def _fail(self, error: BaseException) -> None:
        with self._turn:
            if self._failed is None:
                self._failed = error
            self._turn.notify_all()

    # The keeper's thread: workers are begun, and begun again.

    def _keep(self) -> None:
        wanted, looked = 0, -1e9
        try:
            while not self._ended.is_set() and self._failed is None:
                now = time.monotonic()
                if now - looked >= 2.0:
                    wanted, looked = self._wanted(), now
                there = [member for member in self._members if not member.lost]
                for _ in range(wanted - len(there)):
                    self._begin_worker()
                self._receive()
                self._watch(time.monotonic())
        except Exception as error:  # noqa: BLE001: whoever waits is told
            self._fail(WorkersError(f"the workers cannot be kept: {type(error).__name__}: {error}"))

    def _wanted(self) -> int:
        count = self._needs.room() if self._workers is None else self._workers
        return max(0, min(count, MOST) - self._refused)

    def _begin_worker(self) -> None:
        actor = self._actor.options(max_restarts=0, max_concurrency=DEPTH, **self._needs.options())
        handle: Any = actor.remote()
        ready = handle.setup.remote(self._data, self._settings, self._needs.gpus)
        self._members.append(Member(handle, ready))

    def _receive(self) -> None:
        """Waits a moment for workers to be ready."""
        waiting = {
            member.ready: member for member in self._members if not (member.pid or member.lost)
        }
        if not waiting:
            self._ended.wait(0.25)
            return
        done, _ = ray.wait(list(waiting), num_returns=1, timeout=0.25)
        if done:
            # All that are ready by now.
            done, _ = ray.wait(list(waiting), num_returns=len(waiting), timeout=0)
        for reference in done:
            self._receive_one(waiting[reference])

    def _receive_one(self, member: Member) -> None:
        try:
            found = ray.get(member.ready)
        except _LOST as error:
            member.lost = True
            _kill(member)
            self._lost_in_a_row += 1
            if self._lost_in_a_row >= LOSSES:
                self._fail(
                    WorkersError(
                        f"{LOSSES} workers were lost one after the other as they loaded the network: "
                        f"{error}"
                    )
                )
            return
        except failures.RayTaskError as error:
            if self._identities is None:
                self._fail(_raised(error))
            else:
                # Others have the network: it lies with the node, as one that lacks a library.
                self._refuse(member, f"loading the network failed there: {error}")
            return
        member.node, member.address = found["node"], found["address"]
        member.pid = found["pid"]
        identities = [
            known or identity for known, identity in zip(self._known, found["identities"])
        ]
        # What a network is lies with whoever gave it, and how it is computed with the worker.
        identities = [
            replace(
                identity, engine=there.engine, version=there.version, arithmetic=there.arithmetic,
                deterministic=there.deterministic,
            )
            for identity, there in zip(identities, found["identities"])
        ]
        with self._turn:
            if self._identities is None:
                self._identities = identities
            differs = _difference(self._identities, identities)
            if differs is None:
                member.alive = member.used = True
                self._alive += 1
                self._lost_in_a_row = 0
                self._count(member, 0)
            self._turn.notify_all()
        if differs is not None:
            self._refuse(member, f"its network would be another one in the ledger: {differs}")

    def _refuse(self, member: Member, why: str) -> None:
        member.lost = True
        self._refused += 1
        _log.warning("a worker (%s) is not used: %s", member, why)
        _kill(member)

    def _watch(self, now: float) -> None:
        if self._alive:
            self._last_alive = now
        elif self._signals.interrupted():
            self._fail(KeyboardInterrupt())
        elif now - self._last_alive > self._patience:
            begun = sum(1 for member in self._members if not member.lost)
            lost = sum(1 for member in self._members if member.lost and member.used)
            self._fail(
                WorkersError(
                    f"for {self._patience:g} seconds there was no worker: {lost} were lost, and {begun} "
                    f"wait for a node with {self._needs}. What was computed is in the ledger, and the "
                    "same call goes on from there"
                )
            )

    # Images.

    def _image(self, key: bytes, pixels: np.ndarray) -> Any:
        """The pixels, or what nodes fetch them by."""
        if pixels.nbytes <= INLINE:
            return pixels
        with self._images_turn:
            kept = self._images.get(key)
            if kept is None:
                kept = self._images[key] = _Kept(ray.put(pixels))
            kept.users += 1
            self._images.move_to_end(key)
            unused = [one for one, kept in self._images.items() if kept.users == 0]
            for one in unused[: max(0, len(unused) - IMAGES)]:
                del self._images[one]
            return kept.reference

    def _leave(self, key: bytes) -> None:
        with self._images_turn:
            kept = self._images.get(key)
            if kept is not None:
                kept.users -= 1


class _Signals:
    """Whether Ctrl-C was pressed, told to another thread than the main one.

    A job sees it when a reply comes, and without workers none does; the main thread waits in it.
    """

    def __init__(self) -> None:
        self._ends: tuple[int, int] | None = None

    def begin(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        read, write = os.pipe()
        os.set_blocking(read, False)
        os.set_blocking(write, False)
        others = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        if others != -1:
            # Who is told so far goes on to be.
            signal.set_wakeup_fd(others)
            os.close(read)
            os.close(write)
            return
        self._ends = read, write

    def interrupted(self) -> bool:
        if self._ends is None:
            return False
        try:
            return signal.SIGINT in os.read(self._ends[0], 4096)
        except BlockingIOError:
            return False

    def end(self) -> None:
        if self._ends is not None:
            if threading.current_thread() is threading.main_thread():
                signal.set_wakeup_fd(-1)
            for one in self._ends:
                os.close(one)
            self._ends = None


def _known_here(classify: Any, how: dict[str, Any]) -> Prepared | None:
    """What a network is known by, found here: workers do not have the source of a script's classes."""
    if isinstance(classify, Made):
        return None
    found = prepared(classify, **{**how, "noise_on": "host"})
    assert isinstance(found, Prepared)
    return _identity(found)


def _on_cpu(classify: Any, gpus: float, keyword: str) -> Any:
    """A module on the processor, from where each worker takes it to its device."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(classify, torch.nn.Module):
        return classify
    tensors = [*classify.parameters(), *classify.buffers()]
    elsewhere = next((str(one.device) for one in tensors if one.device.type != "cpu"), None)
    if elsewhere is None:
        return classify
    if gpus == 0:
        raise ParameterError(
            f"the module is on {elsewhere}, and workers have no GPU: give each one, by gpus=1, or the "
            "module on the processor",
            keyword,
        )
    import copy

    return copy.deepcopy(classify).cpu()


def _difference(first: list[Prepared], others: list[Prepared]) -> str | None:
    """How what workers compute differs, if it does."""
    names = ("sha256", "name", "engine", "version", "arithmetic", "num_classes", "deterministic")
    for one, other in zip(first, others):
        for name in names:
            mine, theirs = getattr(one, name), getattr(other, name)
            if mine != theirs:
                if isinstance(mine, bytes):
                    mine, theirs = mine.hex(), theirs.hex()
                return f"its {name} is {theirs}, and that of the others {mine}"
    return None


def _cut(ranges: Sequence[Sequence[int]], start: int, end: int) -> list[tuple[int, int]]:
    """Of all samples in ranges those from a position to another."""
    cut, before = [], 0
    for first, last in ranges:
        low, high = max(start - before, 0), min(end - before, last - first)
        if low < high:
            cut.append((first + low, first + high))
        before += last - first
    return cut


def _named(request: dict[str, Any]) -> str:
    ranges = request["samples"]
    samples = f"{ranges[0][0]} to {ranges[-1][1] - 1}" if ranges else "none"
    return f"input {request['input']}, samples {samples}"


def _raised(
    error: failures.RayTaskError, member: Member | None = None, what: str | None = None
) -> BaseException:
    """What was raised in a worker, as it was raised there."""
    cause = getattr(error, "cause", None)
    # Where what was raised cannot be sent, Ray's words have it.
    if not isinstance(cause, BaseException) or isinstance(cause, failures.RayError):
        cause = error
    if hasattr(cause, "add_note"):
        where = f"raised by a worker ({member})" if member else "raised by a worker as it began"
        cause.add_note(f"{where}{f', which had {what}' if what else ''}:\n{error}")
    return cause


def _kill(member: Member) -> None:
    try:
        ray.kill(member.actor)
    except Exception:  # noqa: BLE001: it is gone already
        pass
