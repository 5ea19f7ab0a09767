"""Modules of PyTorch."""

from __future__ import annotations

import copy
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

import recert  # noqa: E402
from recert import Smooth  # noqa: E402
from recert import _recert, _torch  # noqa: E402
from recert._classify import prepared  # noqa: E402
from recert._device import GAUSSIAN, INVALID, Noise, Worker, same_noise  # noqa: E402

SMALL = {"sigma": 0.25, "n": 500, "n0": 20, "progress": False}


class Normalize(torch.nn.Module):
    """As the field's scripts have it: its numbers are no parameters and no buffers."""

    def __init__(self, mean: float) -> None:
        super().__init__()
        self.means = torch.tensor([mean])

    def forward(self, x):
        return x - self.means


def module(seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return torch.nn.Sequential(
        Normalize(0.5), torch.nn.Conv2d(1, 4, 2), torch.nn.BatchNorm2d(4), torch.nn.ReLU(),
        torch.nn.Flatten(), torch.nn.Linear(4, 3),
    ).eval()


def identity(net: torch.nn.Module) -> bytes:
    return prepared(net).sha256


def test_a_module_answers_as_torch_does(tmp_path, greys) -> None:
    images, _ = greys
    net = module()
    ledger = tmp_path / "run.recert"
    found = recert.certify(net, images, ledger=ledger, **SMALL)
    network = recert.Ledger(ledger).networks[0]
    assert (network["engine"], network["version"]) == ("torch", torch.__version__)
    assert network["name"] == "Sequential" and network["classes"] == 3
    assert network["arithmetic"] == "float32, on cpu, float32 products highest"
    assert network["note"].startswith("SHA-256 of weights, buffers")
    assert "not hashed" not in network["note"]

    def same(batch):
        with torch.inference_mode():
            return net(torch.from_numpy(batch))

    by_callable = recert.certify(same, images, id="same", **SMALL)
    assert np.array_equal(found["radius"], by_callable["radius"])
    assert np.array_equal(found["class"], by_callable["class"])
    # Tensors are images, too.
    tensors = torch.from_numpy(images)
    assert recert.certify(net, tensors, ledger=ledger, **SMALL).new_evaluations == 0
    assert recert.Ledger(ledger).check()


def test_a_bf16_module_is_recertified(tmp_path, greys) -> None:
    images, _ = greys
    # Without the part whose number is no buffer, and stays in float32.
    net = module()[1:].eval()
    ledger = tmp_path / "run.recert"
    recert.certify(net, images, ledger=ledger, **SMALL)
    half = copy.deepcopy(net).bfloat16()
    found = recert.recertify(ledger, half, images, budget="20%", id="half", progress=False)
    assert found.rows == 6
    network = recert.Ledger(ledger).networks[1]
    assert network["name"] == "half" and network["arithmetic"].startswith("bfloat16, on cpu")


def test_a_module_and_its_file_recertify_each_other(tmp_path, greys) -> None:
    pytest.importorskip("onnx", reason="onnx is not installed, which torch exports with")
    images, _ = greys
    net = module()[1:].eval()
    file = tmp_path / "net.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net, torch.zeros(1, 1, 2, 2), file, dynamo=False, input_names=["x"],
            dynamic_axes={"x": {0: "n"}},
        )
    of_module, of_file = tmp_path / "module", tmp_path / "file"
    a = recert.certify(net, images, ledger=of_module, **SMALL)
    b = recert.certify(file, images, ledger=of_file, engine="direct", **SMALL)
    # The same samples: rounding alone may tell the answers apart, near ties.
    apart = np.abs(a.ledger.counts().counts.astype(int) - b.ledger.counts().counts.astype(int))
    assert apart.sum() <= 2 * 6 * 500 // 100
    for ledger, network in [(of_file, net), (of_module, file)]:
        found = recert.recertify(ledger, network, images, budget="20%", progress=False)
        assert found.rows == 6 and recert.Ledger(ledger).check()
    again = recert.check(of_module, rerun=100, model=[net], images=images)
    assert again["rerun"]["networks"][0]["samples"] == 100
    # The module's ledger, by its export: of another engine, so that near ties may differ.
    again = recert.check(of_module, rerun=10**6, exports={"Sequential": file}, images=images)
    [network] = (n for n in again["rerun"]["networks"] if n["file"] == "Sequential")
    assert again.holds and network["samples"] == 3000 and network["tolerance"] > 0
    assert not network["engine"].startswith("torch")
    with pytest.raises(recert.ParameterError, match="no network of that name"):
        recert.check(of_module, rerun=10, exports={"Other": file}, images=images)
    # And another network's file does not pass for it.
    warped = copy.deepcopy(net)
    with torch.no_grad():
        warped[0].weight *= -1
    other = tmp_path / "other.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            warped, torch.zeros(1, 1, 2, 2), other, dynamo=False, input_names=["x"],
            dynamic_axes={"x": {0: "n"}},
        )
    assert not recert.check(of_module, rerun=500, exports={"Sequential": other}, images=images)


def test_a_quantized_module_is_recertified(tmp_path, greys) -> None:
    images, _ = greys
    net = module()
    ledger = tmp_path / "run.recert"
    recert.certify(net, images, ledger=ledger, **SMALL)
    quantize = torch.ao.quantization.quantize_dynamic
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        int8 = quantize(copy.deepcopy(net), {torch.nn.Linear}, dtype=torch.qint8)
        other = quantize(module(1), {torch.nn.Linear}, dtype=torch.qint8)
        assert identity(int8) not in (identity(net), identity(other))
        found = recert.recertify(ledger, int8, images, budget="20%", progress=False)
    assert found.rows == 6 and recert.Ledger(ledger).check()


def test_whatever_changes_an_answer_changes_the_identity() -> None:
    net = module()
    assert identity(net) == identity(module()) == identity(copy.deepcopy(net))

    def changed(change) -> bytes:
        other = copy.deepcopy(net)
        change(other)
        return identity(other)

    def weight(other):
        with torch.no_grad():
            other[1].weight[0, 0, 0, 0] += 1e-6

    def buffer(other):
        other[2].running_mean += 1e-6

    def attribute(other):
        other[0].means += 1e-6

    def setting(other):
        other[2].eps = 1e-4

    def layer(other):
        other[3] = torch.nn.GELU().eval()

    def dtype(other):
        other.double()

    all_of_them = [changed(c) for c in (weight, buffer, attribute, setting, layer, dtype)]
    assert len({identity(net), identity(module(1)), *all_of_them}) == 8


def test_what_cannot_be_hashed_is_said() -> None:
    net = module()
    net.secret = lambda x: x
    net[3].register_forward_hook(lambda *_: None)
    note = prepared(net).note
    assert "not hashed: secret, hooks of 3" in note


def test_a_module_in_training_is_refused(greys) -> None:
    images, _ = greys
    net = module()
    net[2].train()
    with pytest.raises(recert.ParameterError, match="training mode .its part 2 is") as caught:
        recert.certify(net, images, **SMALL)
    assert caught.value.field == "classify"
    with (
        torch.autocast("cpu", dtype=torch.bfloat16),
        pytest.raises(recert.ParameterError, match="autocast"),
    ):
        recert.certify(module(), images, **SMALL)


def test_what_a_module_raises_is_the_cause(greys) -> None:
    images, _ = greys
    with pytest.raises(recert.EngineError, match="should be the same") as caught:
        recert.certify(module().bfloat16(), images, **SMALL)
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_cohens_script_with_another_import(greys) -> None:
    images, _ = greys
    smoothed = Smooth(module(), 3, 0.25)
    x = torch.from_numpy(images[0])
    prediction, radius = smoothed.certify(x, 20, 500, 0.001, 100)
    assert prediction in (-1, 0, 1, 2) and radius >= 0
    assert smoothed.predict(x, 100, 0.001, 100) in (-1, prediction)


PROGRAMS = {
    "operations": lambda: (_torch._gaussian, _torch._integer),
    "programs": _torch._compiled,
}


@pytest.fixture(params=PROGRAMS)
def programs(request):
    """What makes noise on a device, here on the processor: single operations, or compiled ones."""
    if request.param == "programs":
        try:
            torch.compile(lambda x: x + 1)(torch.ones(2))
        except Exception as error:  # noqa: BLE001
            pytest.skip(f"torch.compile does not work here: {type(error).__name__}")
    return PROGRAMS[request.param]()


def test_tensors_make_the_bits_of_the_host(programs) -> None:
    assert same_noise(_torch.Torch(torch.device("cpu"), torch.float32, programs)) is None


@pytest.mark.parametrize("noise", ["gaussian", "integer"])
def test_the_ledger_is_the_same_wherever_noise_is_made(tmp_path, greys, noise) -> None:
    images, _ = greys
    net = module()
    library = _torch.Torch(torch.device("cpu"), torch.float32, PROGRAMS["operations"]())
    by_tensors = prepared(net, id="net")
    by_tensors.answer = Worker(net, library, None)
    ways = {
        "host": (net, "host"), "device": (net, "device"), "tensors": (by_tensors, None),
        "callable": (lambda batch: net(batch), "cpu"),
    }
    found = {
        way: recert.certify(
            network, images, ledger=tmp_path / way, noise=noise, noise_on=where, id="net",
            batch=48, **SMALL,
        )
        for way, (network, where) in ways.items()
    }
    expected = found.pop("host")
    for way, other in found.items():
        assert np.array_equal(expected["radius"], other["radius"]), way
        assert np.array_equal(
            expected.ledger.counts().counts, other.ledger.counts().counts
        ), way
    # A run goes on wherever noise was made, and recertifies on the same samples.
    again = recert.certify(
        net, images, ledger=tmp_path / "device", noise=noise, noise_on="host", id="net", **SMALL
    )
    assert again.new_evaluations == 0
    check = recert.check(
        tmp_path / "tensors", rerun=10**6, model=net, id="net", images=images
    )
    assert check.holds and check["rerun"]["samples"] == 3000
    assert check["rerun"]["differences"] == check["rerun"]["near_ties"] == []


def test_more_shapes_than_pytorch_keeps_programs_of_are_made(monkeypatch) -> None:
    """Its limit is of programs of one function; further shapes are made by single operations."""
    monkeypatch.setattr(torch._dynamo.config, "recompile_limit", 2)
    torch._dynamo.reset()
    real = torch.compile
    monkeypatch.setattr(
        torch, "compile", lambda function, **how: real(function, backend="eager", **how)
    )
    library = _torch.Torch(torch.device("cpu"), torch.float32, _torch._compiled())
    noise = Noise(library, GAUSSIAN, 0, 0.25)
    for size in range(2, 7):
        pixels = np.zeros(4, dtype=np.float32)
        [(made, _)] = noise.batches(1, 0, np.arange(size), pixels, size)
        assert made.shape == (size, 4)


def test_codes_are_the_librarys() -> None:
    """Classes and buckets of logits with ties, and what is no number, by a selection's own rules."""
    rng = np.random.default_rng(0)
    logits = rng.integers(-3, 4, (500, 5)).astype(np.float32)
    logits[::7, 2], logits[3::11, 0], logits[5::13, 4] = np.nan, np.inf, -np.inf
    codes, buckets = _torch._codes(
        torch.from_numpy(logits), (1, torch.tensor([0.0, 1.0, 1.0, 2.0, 3.0, 4.0, 5.0]))
    )
    found = codes.numpy().view(np.uint16)
    counts, invalid, _ = _recert.selection(logits, True)
    classes, of_each = np.unique(found, return_counts=True)
    assert dict(zip(classes.tolist(), of_each.tolist())) == {**counts, INVALID: invalid}
    for row, code, bucket in zip(logits, found, buckets.tolist()):
        finite = np.isfinite(row).all()
        assert code == (int(np.flatnonzero(row == row.max())[0]) if finite else INVALID)
        margin = abs(row[1] - np.delete(row, 1).max()) if finite else -1.0
        assert bucket == sum(edge <= margin for edge in (0, 1, 1, 2, 3, 4, 5))
    assert _torch._codes(torch.tensor([0, -1, 7, 70_000]), None)[0].numpy().view(
        np.uint16
    ).tolist() == [0, INVALID, 7, INVALID]


def test_a_device_without_the_hosts_noise_is_not_used(greys, monkeypatch, caplog) -> None:
    """As one without float64, or whose compiler reorders sums."""
    images, _ = greys
    net = module()

    def refuse(*_):
        raise RuntimeError("noise made on it is not the host's")

    monkeypatch.setattr(_torch.Torch, "on", refuse)
    expected = recert.certify(net, images, noise_on="host", **SMALL)
    found = recert.certify(net, images, **SMALL)
    assert "is made on the host: noise made on it is not" in caplog.text
    assert np.array_equal(found["radius"], expected["radius"])
    with pytest.raises(recert.ParameterError, match="not the host's") as caught:
        recert.certify(net, images, noise_on="device", **SMALL)
    assert caught.value.field == "noise_on"
    with pytest.raises(recert.ParameterError, match="the module is on cpu"):
        recert.certify(net, images, noise_on="cuda", **SMALL)


def test_another_device_has_near_ties(tmp_path, greys) -> None:
    """A ledger of a module that was computed elsewhere: it is recognised, and compared by rounding."""
    images, _ = greys
    net = module()
    elsewhere = prepared(net)
    elsewhere.arithmetic = "float32, on cuda X, float32 products highest"
    # Other rounding, as other kernels have: the last bits of the logits.
    run = elsewhere.answer._network
    elsewhere.answer._network = lambda batch: run(batch) * (1 + 2.0**-20)
    ledger = tmp_path / "run"
    recert.certify(elsewhere, images, ledger=ledger, **SMALL)
    check = recert.check(ledger, rerun=3000, model=net, images=images)
    [network] = check["rerun"]["networks"]
    assert check.holds and network["samples"] == 3000
    assert network["tolerance"] > 0 and "on cpu" in network["engine"]
    # Where the margin disagrees, that is no rounding.
    elsewhere.answer._network = lambda batch: run(batch).roll(1, dims=1)
    forged = tmp_path / "forged"
    recert.certify(elsewhere, images, ledger=forged, **SMALL)
    assert recert.check(forged, rerun=3000, model=net, images=images).wrong > 1000
