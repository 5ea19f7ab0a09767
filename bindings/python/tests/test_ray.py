"""Jobs over a Ray cluster of several nodes, on this machine."""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import DEMO, bright

ray = pytest.importorskip("ray", reason="ray is not installed")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from ray.cluster_utils import Cluster

import recert  # noqa: E402
import recert.ray  # noqa: E402
from recert import _pool  # noqa: E402
from recert._device import GAUSSIAN, Host, Worker  # noqa: E402

# Ray's own, and what it leaves open when nodes are killed.
pytestmark = pytest.mark.filterwarnings("ignore")

SMALL = {"sigma": 0.25, "n": 3000, "n0": 50, "progress": False}
WAYS = [("alone", recert, {}), ("ray", recert.ray, {"workers": 1})]
BRIGHT = {"id": "bright", "num_classes": 2}


@pytest.fixture(scope="module")
def cluster():
    """A node for this process alone, and two that each have room for a worker."""
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")
        # Ray's workers give way to all else on a machine, which takes them minutes to start on a busy one.
        patch.setenv("RAY_worker_niceness", "0")
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
        for _ in range(2):
            cluster.add_node(num_cpus=1)
        ray.init(address=cluster.address, log_to_driver=False)
        cluster.wait_for_nodes()
        yield cluster
        ray.shutdown()
        cluster.shutdown()


def slow(limit: float, seconds: float):
    """As `bright`, at the speed of a larger network."""

    def classify(batch: np.ndarray) -> np.ndarray:
        time.sleep(seconds)
        return (batch.mean(axis=(1, 2, 3)) > limit).astype(np.int64)

    return classify


def logits(batch: np.ndarray) -> np.ndarray:
    """Two logits, with some that are no numbers, and ties."""
    mean = np.round(batch.mean(axis=(1, 2, 3)), 2)
    mean[mean > 0.9] = np.nan
    return np.stack([1 - mean, mean], axis=1)


def same(one: recert.Results, other: recert.Results) -> None:
    """Whether runs have the same counts and certificates, and both ledgers hold."""
    assert one.ledger.networks == other.ledger.networks
    assert one.ledger.runs == other.ledger.runs
    for position in range(len(one.ledger.networks)):
        mine, theirs = one.ledger.counts(position), other.ledger.counts(position)
        assert np.array_equal(mine.counts, theirs.counts)
        assert np.array_equal(mine.invalid, theirs.invalid)
    for name in ("run", "idx", "label", "class", "radius", "p_lower", "evaluations"):
        mine, theirs = (one.ledger.certificates[name], other.ledger.certificates[name])
        assert np.array_equal(mine, theirs), name
    assert one.ledger.check().holds and other.ledger.check().holds


def test_a_run_is_the_one_without_ray(cluster, tmp_path, greys) -> None:
    """Certify with margins, and recertify candidates, of callables that answer with logits."""
    images, labels = greys

    def first(batch):
        mean = np.round(batch.mean(axis=(1, 2, 3)), 2)
        return np.stack([1 - mean, np.where(mean > 0.9, np.nan, mean)], axis=1)

    def second(batch):
        return first(batch * 0.98)

    def third(batch):
        return first(batch * 1.02)

    found = {}
    for name, jobs in [("alone", recert), ("ray", recert.ray)]:
        ledger = tmp_path / name
        jobs.certify(first, images, labels, ledger=ledger, id="first", **SMALL)
        found[name] = jobs.recertify(
            ledger, [second, third], images, labels, id=["second", "third"], budget="20%",
            progress=False,
        )
    same(found["ray"], found["alone"])
    # Each of both nodes had a worker, and all samples were answered once.
    workers = found["ray"].workers
    assert len({worker["node"] for worker in workers}) == 2
    assert sum(worker["samples"] for worker in workers) >= found["ray"].new_evaluations
    assert not any(worker["lost"] for worker in workers)
    # The auditor runs samples again in this process.
    check = recert.check(
        tmp_path / "ray", rerun=500, model=[first, second, third], id=["first", "second", "third"],
        images=images,
    )
    assert check.holds and check["rerun"]["samples"] > 0
    # What was computed without Ray is not computed again.
    again = recert.ray.certify(first, images, labels, ledger=tmp_path / "alone", id="first", **SMALL)
    assert again.new_evaluations == 0


def test_predict_and_via(cluster, tmp_path, greys) -> None:
    images, labels = greys
    found = {
        name: jobs.predict(
            bright(0.45), images, labels, sigma=0.25, progress=False, **BRIGHT, **more
        )
        for name, jobs, more in WAYS
    }
    same(found["ray"], found["alone"])

    def faster(batch):
        return (batch.mean(axis=(1, 2, 3)) > 0.46).astype(np.int64)

    found = {
        name: jobs.certify(
            bright(0.45), images, labels, via=faster, via_id="faster", **BRIGHT, **SMALL, **more
        )
        for name, jobs, more in WAYS
    }
    same(found["ray"], found["alone"])


def test_a_module_has_its_identity(cluster, tmp_path, greys) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    images, labels = greys

    class Scaled(torch.nn.Module):
        def forward(self, x):
            return 2 * x

    torch.manual_seed(0)
    module = torch.nn.Sequential(
        Scaled(), torch.nn.Conv2d(1, 4, 2), torch.nn.ReLU(), torch.nn.Flatten(),
        torch.nn.Linear(4, 3),
    ).eval()
    found = {
        name: jobs.certify(module, images, labels, noise="integer", **SMALL, **more)
        for name, jobs, more in WAYS
    }
    same(found["ray"], found["alone"])

    def made(seed):
        import torch as here

        here.manual_seed(seed)
        return here.nn.Sequential(here.nn.Flatten(), here.nn.Linear(4, 3)).eval()

    alone = recert.certify(made(1), images, labels, **SMALL)
    there = recert.ray.made_by(made, 1)
    same(recert.ray.certify(there, images, labels, workers=1, **SMALL), alone)


def test_nodes_are_killed_and_added_while_it_runs(cluster, tmp_path, greys) -> None:
    images, labels = greys
    expected = recert.certify(bright(0.5), images, labels, batch=16, **BRIGHT, **SMALL)
    doomed = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    first = {node["NodeID"] for node in ray.nodes() if node["Alive"]}

    def classify(batch: np.ndarray) -> np.ndarray:
        """Notes which node was asked, and is slow until one was that joined."""
        node = ray.get_runtime_context().get_node_id()
        with open(tmp_path / node, "a") as file:
            file.write(".")
        if node not in first:
            (tmp_path / "helped").touch()
        elif not (tmp_path / "helped").exists():
            time.sleep(0.1)
        return (batch.mean(axis=(1, 2, 3)) > 0.5).astype(np.int64)

    # Nodes are added by the main thread alone, as they set handlers of signals.
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(
            recert.ray.certify, classify, images, labels, ledger=tmp_path / "run", batch=16,
            **BRIGHT, **SMALL,
        )
        calls = tmp_path / doomed.node_id
        while not running.done() and (not calls.exists() or len(calls.read_text()) < 20):
            time.sleep(0.05)
        cluster.remove_node(doomed, allow_graceful=False)
        joined = cluster.add_node(num_cpus=1)
        found = running.result(60)
    same(found, expected)
    workers = {worker["node"]: worker for worker in found.workers}
    assert workers[doomed.node_id]["lost"] and workers[doomed.node_id]["chunks"] > 0
    assert not workers[joined.node_id]["lost"] and workers[joined.node_id]["chunks"] > 0
    # No answer is in the ledger twice, nor was any lost.
    assert found.new_evaluations == 6 * 3050
    cluster.remove_node(joined)


def test_without_workers_a_run_ends_and_goes_on(cluster, tmp_path, greys) -> None:
    images, labels = greys
    run = {**SMALL, **BRIGHT, "ledger": tmp_path / "run", "batch": 16}
    words = "for 1 seconds there was no worker: 0 were lost, and 1 wait for a node with .* 1 absent"
    with pytest.raises(recert.WorkersError, match=words):
        recert.ray.certify(
            bright(0.5), images, labels, resources={"absent": 1}, workers=1, patience=1, **run
        )
    only = cluster.add_node(num_cpus=1, resources={"special": 1})
    killed = threading.Event()

    def kill() -> None:
        cluster.remove_node(only, False)
        # As Ctrl-C does, which a job in this thread sees even so.
        os.kill(os.getpid(), signal.SIGINT)

    def progress(done: int, of: int) -> None:
        if done > of // 4 and not killed.is_set():
            killed.set()
            threading.Thread(target=kill).start()

    with pytest.raises(KeyboardInterrupt):
        recert.ray.certify(
            slow(0.5, 0.02), images, labels, resources={"special": 1}, workers=1,
            **{**run, "progress": progress},
        )
    found = recert.ray.certify(bright(0.5), images, labels, **run)
    assert 0 < found.new_evaluations < 6 * 3050
    same(found, recert.certify(bright(0.5), images, labels, **{**run, "ledger": tmp_path / "all"}))


def test_what_a_network_raises_is_the_cause(cluster, greys) -> None:
    images, labels = greys

    def fails(batch):
        if len(batch) > 1 and batch.mean() > 0.6:
            raise LookupError("no such layer")
        return np.zeros(len(batch), dtype=np.int64)

    with pytest.raises(recert.EngineError, match="no such layer") as caught:
        recert.ray.certify(fails, images, id="fails", num_classes=2, **SMALL)
    cause = caught.value.__cause__
    assert isinstance(cause, LookupError)
    if hasattr(cause, "__notes__"):
        assert "raised by a worker (process" in cause.__notes__[0]
        assert "which had input" in cause.__notes__[0]

    def unloadable():
        raise FileNotFoundError("net.pth")

    with pytest.raises(FileNotFoundError, match="net.pth"):
        recert.ray.certify(recert.ray.made_by(unloadable), images, id="made", **SMALL)


def test_a_worker_that_computes_otherwise_is_not_used(cluster, greys, caplog) -> None:
    """As on another model of GPU: here each worker says which process it is."""
    images, _ = greys

    def made():
        import os

        from recert._classify import prepared

        def classify(batch):
            return (batch.mean(axis=(1, 2, 3)) > 0.5).astype(np.int64)

        one = prepared(classify, id="bright", num_classes=2)
        one.arithmetic = f"on device {os.getpid()}"
        return one

    how = {**BRIGHT, "keyword": "classify"}
    given = [(recert.ray.made_by(made), how)]
    with _pool.Pool(given, None, _pool.Needs(1, 0, {}), patience=60) as pool:
        while pool._refused == 0:
            time.sleep(0.05)
        assert pool.classify(0, images).tolist() == [0, 0, 0, 1, 1, 1]
        [worker], [network] = pool.report(), pool.networks()
    assert network.arithmetic == f"on device {worker['pid']}"
    assert "is not used: its network would be another one" in caplog.text


def test_a_network_that_kills_its_workers_ends_the_run(cluster, greys, monkeypatch) -> None:
    images, labels = greys
    monkeypatch.setattr(_pool, "LOSSES", 2)

    def dies(batch):
        import os

        if batch.mean() > 0.6:
            os._exit(1)
        return np.zeros(len(batch), dtype=np.int64)

    with pytest.raises(recert.WorkersError, match="2 workers were lost one after the other with inp"):
        recert.ray.certify(dies, images, id="dies", num_classes=2, **SMALL)


def test_bad_input_is_refused(cluster, greys, monkeypatch) -> None:
    images, labels = greys
    lock = threading.Lock()

    def unsendable(batch):
        with lock:
            return np.zeros(len(batch), dtype=np.int64)

    cases = [
        (unsendable, {}, "cannot be sent to workers .TypeError.*made_by", "classify"),
        (bright(0.5), {"workers": 0}, "at least 1 worker", "workers"),
        (bright(0.5), {"threads": 2}, "`workers` that says", "threads"),
        (DEMO / "shapes.onnx", {"shard": "1/2"}, "`workers` and `cpus` that say", "shard"),
        (DEMO / "shapes.onnx", {"via": DEMO / "shapes.onnx"}, "certify through a faster file", "via"),
        (bright(0.5), {"cpus": 0}, "needs nothing", "cpus"),
        (bright(0.5), {"chunks": 3}, "follow their speed", "chunks"),
        (bright(0.5), {"via": "net.onnx"}, "do not run together", "classify"),
    ]
    for classify, more, words, field in cases:
        known = BRIGHT if callable(classify) else {}
        with pytest.raises(recert.ParameterError, match=words) as caught:
            recert.ray.certify(classify, images, **known, **SMALL, **more)
        assert caught.value.field == field
    with pytest.raises(recert.WorkersError, match="no node of the cluster has room"):
        recert.ray.certify(bright(0.5), images, gpus=3, **BRIGHT, **SMALL)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)

    def nothing(**_):
        raise ConnectionError

    monkeypatch.setattr(ray, "init", nothing)
    with pytest.raises(recert.WorkersError, match="no Ray cluster to connect to"):
        recert.ray.certify(bright(0.5), images, **BRIGHT, **SMALL)


def test_files_run_in_shards(cluster, tmp_path, shapes) -> None:
    """Networks in ONNX files: certify, recertify and verify."""
    images, labels = (part[:4] for part in shapes)
    net = DEMO / "shapes.onnx"
    pruned = tmp_path / "pruned.onnx"
    recert.approximate(net, out=tmp_path, prune="20%")
    [pruned] = [file for file in tmp_path.glob("*.onnx")]
    found, verdicts = {}, {}
    small = {"sigma": 0.25, "n": 200, "n0": 20, "progress": False}
    for name, jobs, more in [("alone", recert, {}), ("ray", recert.ray, {"chunks": 2})]:
        ledger = tmp_path / name
        jobs.certify(net, images, labels, ledger=ledger, **small, **more)
        found[name] = jobs.recertify(
            ledger, pruned, images, labels, budget="20%", progress=False, **more
        )
        verdicts[name] = jobs.verify(
            net, images, labels, eps="1/255", method="crown", ledger=ledger, progress=False, **more
        )
    same(found["ray"], found["alone"])
    assert [v["verdict"] for v in verdicts["ray"]] == [v["verdict"] for v in verdicts["alone"]]
    # Nothing is left beside the ledger.
    assert not (tmp_path / "ray.parts").exists()


def test_the_hosts_noise_gives_the_codes_of_the_library() -> None:
    """`Host` by the device's own rules, on logits with ties and what is no number."""
    rng = np.random.default_rng(0)
    values = rng.integers(-3, 4, (500, 5)).astype(np.float32)
    values[::7, 2], values[3::11, 0], values[5::13, 4] = np.nan, np.inf, -np.inf
    edges = np.array([0.0, 1.0, 1.0, 2.0, 3.0, 4.0, 5.0], dtype=np.float32)
    codes, buckets = Host().codes(values, (1, edges), 65535)
    for row, code, bucket in zip(values, codes, buckets.tolist()):
        finite = np.isfinite(row).all()
        assert code == (int(np.flatnonzero(row == row.max())[0]) if finite else 65535)
        margin = abs(row[1] - np.delete(row, 1).max()) if finite else -1.0
        assert bucket == sum(edge <= margin for edge in edges)
    [codes] = Host().codes(np.array([0, -1, 7, 70_000]), None, 8)
    assert codes.tolist() == [0, 65535, 7, 65535]


def test_a_request_in_pieces_is_the_request() -> None:
    """All samples, once and in order, whatever the ranges and the number of pieces."""
    ranges = [(3, 10), (20, 21), (50, 90)]
    numbers = [i for start, end in ranges for i in range(start, end)]
    for count in (1, 2, 3, 7):
        cuts = [len(numbers) * i // count for i in range(count + 1)]
        pieces = [_pool._cut(ranges, start, end) for start, end in zip(cuts, cuts[1:])]
        assert [i for piece in pieces for start, end in piece for i in range(start, end)] == numbers

    def classify(batch):
        return (batch.mean(axis=(1, 2, 3)) > 0.5).astype(np.int64)

    worker = Worker(classify, Host(), 2)
    request = {
        "generator": GAUSSIAN, "seed": 1, "sigma": 0.5, "stream": 1, "input": 0,
        "action": "answer", "margins": None,
    }
    pixels = np.full((1, 2, 2), 0.5, dtype=np.float32)
    whole = worker({**request, "samples": ranges}, pixels, 4)["classes"]
    parts = [worker({**request, "samples": piece}, pixels, 4)["classes"] for piece in pieces]
    assert np.array_equal(np.concatenate(parts), whole) and 0 < whole.sum() < len(whole)
