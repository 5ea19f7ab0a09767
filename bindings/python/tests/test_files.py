"""ONNX files in the built-in engines, data sets in files, and the jobs by bounds."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from conftest import DEMO

import recert

MODEL = DEMO / "shapes.onnx"
DATA = f"npz:{DEMO / 'shapes-test.npz'}"
SMALL = {"sigma": 0.5, "n": 300, "n0": 20, "limit": 3, "engine": "direct", "progress": False}


def test_files_and_arrays_are_the_same(tmp_path, shapes) -> None:
    by_file = recert.certify(MODEL, DATA, ledger=tmp_path / "files", **SMALL)
    by_array = recert.certify(MODEL, *shapes, ledger=tmp_path / "arrays", **SMALL)
    assert by_file.rows == 3
    for name in ("idx", "label", "class", "radius", "p_lower"):
        assert np.array_equal(by_file[name], by_array[name]), name
    assert by_file.ledger.inputs["sha256"] == by_array.ledger.inputs["sha256"]
    assert by_file.ledger.networks[0]["engine"] == "direct"
    # The ledger knows where its images are.
    again = recert.recertify(tmp_path / "files", MODEL, budget="10%", progress=False)
    assert again.rows == 3
    with pytest.raises(recert.ParameterError, match="no file or folder") as caught:
        recert.recertify(tmp_path / "arrays", MODEL, budget="10%", progress=False)
    assert caught.value.field == "images"


def test_a_callable_is_recertified_from_a_file_and_a_file_from_a_callable(tmp_path, shapes) -> None:
    images, labels = shapes
    path = tmp_path / "run.recert"
    recert.certify(MODEL, images, labels, ledger=path, **SMALL)
    most = recert.Ledger(path).counts().counts.argmax(axis=1)

    def constant(batch):
        return np.full(len(batch), most[0])

    found = recert.recertify(
        path, constant, images, labels, method="direct", n_p="50%", id="constant", progress=False
    )
    assert found["class"][0] == most[0] and recert.Ledger(path).check()
    other = tmp_path / "other.recert"
    keywords = {key: value for key, value in SMALL.items() if key != "engine"}
    recert.certify(
        constant, images, labels, id="constant", num_classes=10, ledger=other, **keywords
    )
    back = recert.recertify(other, MODEL, images, labels, method="direct", progress=False)
    assert back.rows == 3 and recert.Ledger(other).check()
    # 10 classes are not 7.
    with pytest.raises(recert.InputError, match="7 classes"):
        recert.recertify(
            path, constant, images, labels, id="seven", num_classes=7, progress=False
        )


def test_through_a_faster_network(tmp_path, shapes) -> None:
    found = recert.certify(
        MODEL, *shapes, via=MODEL, via_engine="rten", via_budget="30%", **{**SMALL, "n": 200}
    )
    assert found.rows == 3 and len(found.ledger.networks) == 2


def test_verdicts_by_bounds(tmp_path, shapes) -> None:
    keywords = {"engine": "direct", "limit": 3, "progress": False}
    near = recert.verify(MODEL, DATA, eps="1/2550", ledger=tmp_path / "run.recert", **keywords)
    assert len(near) == 3 and {one["verdict"] for one in near} <= {
        "verified", "falsified", "unknown",
    }
    assert near.count("verified") >= 1 and "every image with pixels in [0, 1]" in near[0]["statement"]
    assert near.table.rows == 3 and "verified" in near._repr_html_()
    by_array = recert.verify(MODEL, *shapes, eps=Fraction(1, 2550), **keywords)
    assert [one["verdict"] for one in by_array] == [one["verdict"] for one in near]
    far = recert.verify(MODEL, *shapes, eps=0.5, method="attack", **keywords)
    found = [one for one in far if one["by"] == "attack"]
    assert found and found[0]["counterexample"].shape == (3, 32, 32)
    assert found[0]["verdict"] == "falsified"
    darker = recert.verify(MODEL, *shapes, transform="brightness=-0.001..0", **keywords)
    assert len(darker) == 3 and darker[0]["specification"] == "transform brightness=-0.001..0"
    held = recert.Ledger(tmp_path / "run.recert")
    assert held.task == "verify" and held.run is None
    assert [one["verdict"] for one in held.verifications[0]["results"]] == [
        one["verdict"] for one in near
    ]
    assert held.check()
    again = recert.verify(MODEL, from_ledger=tmp_path / "run.recert", engine="direct", progress=False)
    assert len(again) == 3


def test_approximate_versions(tmp_path) -> None:
    made = recert.approximate(MODEL, out=tmp_path, bf16=True, prune="10%")
    assert made.file == tmp_path / "shapes.prune10.bf16.onnx" and made.file.is_file()
    assert len(made.data["steps"]) == 2
    assert "of the weights changed" in str(made)
    keywords = {"calibration": DATA, "calibration_limit": 20, "engine": "direct"}
    int8 = recert.approximate(MODEL, out=tmp_path / "i.onnx", int8=True, **keywords)
    assert int8.data["schema"] == "recert-approximation/1" and int8.file.stat().st_size > 1000


def test_layers_and_a_search_among_versions(tmp_path) -> None:
    certified = tmp_path / "run.recert"
    recert.certify(
        MODEL, DATA, ledger=certified, engine="direct", sigma=0.5, n=300, n0=30, limit=6, progress=False
    )
    told = []
    found = recert.sensitivity(
        certified, MODEL, change=["bf16", "prune50%"], samples=40,
        progress=lambda done, of: told.append((done, of)),
    )
    assert len(found.layers) == 2 * len({one["layer"] for one in found.layers})
    assert "radius lost" in str(found) and found._repr_html_().startswith("<svg")
    assert (tmp_path / "run.search.recert").exists()
    space = {"changes": ["bf16", "prune50%"], "candidates": 5, "chosen": 2, "least_radius": "20%"}
    tuned = recert.tune(
        certified, MODEL, space=space, out=tmp_path / "tuned", samples=40, budget="50%", progress=False
    )
    assert 1 <= len(tuned.networks) <= 5 and "Evaluations:" in str(tuned)
    best = tuned.best
    assert best is None or Path(best["certified"]["file"]).exists()
    assert recert.Ledger(tmp_path / "tuned" / "tuned.recert").check()
    with pytest.raises(recert.ParameterError, match="changes") as caught:
        recert.tune(certified, MODEL, space={"candidates": 3}, out=tmp_path / "tuned")
    assert caught.value.field == "space"
    made = recert.approximate(MODEL, out=tmp_path, bf16=True, layers=[found.layers[0]["layer"]])
    assert len(made.data["steps"][0]["layers"]) == 1


@pytest.mark.parametrize(
    ("keywords", "field"),
    [({}, "prune"), ({"int8": True}, "calibration"), ({"prune": "200%"}, "prune"),
     ({"fp16": True, "bf16": True}, "int8")],
)
def test_what_cannot_be_made_is_told_by_field(tmp_path, keywords, field) -> None:
    with pytest.raises(recert.ParameterError) as caught:
        recert.approximate(MODEL, out=tmp_path / "net.onnx", **keywords)
    assert caught.value.field == field and not (tmp_path / "net.onnx").exists()


def test_a_training_or_how_to_build_it(tmp_path) -> None:
    settings = {
        "data": f"npz:{DEMO / 'shapes-calibration.npz'}", "limit": 80, "validation": 20,
        "architecture": "fc-10", "method": "ibp", "eps": Fraction(1, 255), "epochs": 2,
        "ramp_end": 1, "batch": 30, "sigma": 0.5, "clean_weight": 0.3,
    }
    told = []
    try:
        found = recert.train(
            out=tmp_path / "net.onnx", progress=lambda done, of: told.append((done, of)), **settings
        )
    except recert.Error as error:
        assert error.kind == "other" and "the feature `train`" in str(error)
        pytest.skip("this package is built without the feature train")
    assert found.file.is_file() and len(found.epochs) == 2 and told[-1] == (2, 2)
    assert 0 <= found.validation["bounded"] <= found.validation["clean"] <= 1
    assert any("sigma" in remark for remark in found.remarks) and found.page.startswith("# ")
    with pytest.raises(recert.ParameterError, match="unknown field `alhpa`"):
        recert.train(out=tmp_path / "net.onnx", alhpa=1, **settings)


def test_explanations(tmp_path) -> None:
    found = recert.explain(
        MODEL, DATA, eps="1/25500", limit=2, engine="direct", progress=False,
        html=tmp_path / "page.html",
    )
    assert len(found.data["inputs"]) == 2 and str(found)
    assert (tmp_path / "page.html").read_text().startswith("<!DOCTYPE")


@pytest.mark.parametrize(
    ("call", "error", "field"),
    [
        (lambda: recert.verify(MODEL, DATA), recert.ParameterError, "eps"),
        (lambda: recert.verify(MODEL, DATA, eps=2 / 255), recert.ParameterError, "eps"),
        (lambda: recert.verify(MODEL, DATA, eps="much"), recert.ParameterError, "eps"),
        (lambda: recert.verify(MODEL, DATA, eps=0.1, norm="l7"), recert.ParameterError, "norm"),
        (lambda: recert.verify(MODEL, DATA, eps=0.1, complete=True), recert.ParameterError,
         "timeout"),
        (lambda: recert.verify(MODEL, DATA, eps=0.1, timeout=-1), recert.ParameterError, "timeout"),
        (lambda: recert.verify(DATA, DATA, eps=0.1), recert.InputError, None),
        (lambda: recert.certify(MODEL, DATA, **{**SMALL, "engine": "none"}), recert.EngineError,
         "engine"),
        (lambda: recert.certify(MODEL, DATA, **SMALL, precision="f8"), recert.ParameterError,
         "precision"),
        (lambda: recert.certify(MODEL, DATA, [0], **SMALL), recert.ParameterError, "labels"),
        (lambda: recert.certify(MODEL, "npz:none.npz", **SMALL), recert.InputError, None),
        (lambda: recert.certify(MODEL, DATA, **SMALL, std=0.0), recert.ParameterError, "std"),
    ],
)
def test_what_is_wrong_is_told_by_field(call, error, field) -> None:
    with pytest.raises(error) as caught:
        call()
    assert caught.value.field == field, caught.value
