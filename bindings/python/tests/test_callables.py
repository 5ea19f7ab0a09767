from __future__ import annotations

import threading

import numpy as np
import pytest
from conftest import bright

import recert
from recert import bounds

SMALL = {"sigma": 0.25, "n": 3000, "n0": 50, "batch": 16, "num_classes": 2, "progress": False}


def certified(tmp_path, greys, **more):
    images, labels = greys
    keywords = {**SMALL, "id": "brighter than 0.5", "ledger": tmp_path / "run.recert", **more}
    return recert.certify(bright(0.5), images, labels, **keywords)


def test_a_callable_is_certified_and_its_radii_follow_from_its_counts(tmp_path, greys) -> None:
    found = certified(tmp_path, greys, one_sided=True)
    assert found.rows == 6 and list(found["idx"]) == list(range(6))
    assert list(found["label"]) == greys[1]
    # The radius of an image is its distance from the limit, nearly: 2 * 0.3.
    assert found["class"][1] == 0 and 0.4 < found["radius"][1] < 0.6
    held = found.ledger.counts()
    k = held.counts[np.arange(6), found["class"]]
    assert np.all(held.counts.sum(axis=1) == 3000) and not held.invalid.any()
    p = bounds.clopper_pearson_lower(k, 3000, 0.001)
    assert np.array_equal(found["radius"], bounds.radius(p, 0.25))
    assert found.certified_accuracy(0.2) == pytest.approx(4 / 6)
    assert found.average_radius() == pytest.approx(found["radius"].mean())
    network = found.ledger.networks[0]
    assert network["name"] == "brighter than 0.5" and network["engine"] == "python"
    assert "by the id that it was given" in network["note"]
    assert found.ledger.check()


def test_a_run_resumes_and_is_recertified(tmp_path, greys) -> None:
    images, labels = greys
    first = certified(tmp_path, greys)
    assert first.new_evaluations == 6 * 3050
    assert certified(tmp_path, greys).new_evaluations == 0
    again = recert.recertify(
        first.ledger, [bright(0.52), bright(0.48)], images, labels, budget="5%",
        id=["0.52", "0.48"], progress=False,
    )
    assert sorted(set(again["network"])) == [0, 1] and again.rows == 12
    assert 0 < again.new_evaluations <= 2 * 6 * 150
    assert {run["method"] for run in again.ledger.runs} == {"certify", "auto"}
    report = recert.report(again.ledger, html=tmp_path / "page.html")
    assert [run["network"] for run in report.data["runs"]] == ["brighter than 0.5", "0.52", "0.48"]
    assert "0.52" in str(report) and (tmp_path / "page.html").read_text().startswith("<!DOCTYPE")
    check = recert.check(
        first.ledger, rerun=60, images=images, num_classes=2,
        model=[bright(0.5), bright(0.52), bright(0.48)], id=["brighter than 0.5", "0.52", "0.48"],
    )
    assert check.holds and check["rerun"]["networks"][0]["samples"] == 60
    liar = recert.check(
        first.ledger, rerun=60, images=images, num_classes=2, model=bright(2.0),
        id="brighter than 0.5",
    )
    assert not liar and liar.wrong > 10


def test_logits_and_several_kinds_of_answers(tmp_path, greys) -> None:
    def logits(batch):
        mean = batch.mean(axis=(1, 2, 3))
        return np.stack([0.5 - mean, mean - 0.5], axis=1).astype(np.float64)

    keywords = {key: value for key, value in SMALL.items() if key != "num_classes"}
    images, labels = greys
    by_logits = recert.certify(logits, images, labels, id="logits", **keywords)
    by_classes = certified(tmp_path, greys)
    assert np.array_equal(by_logits["class"], by_classes["class"])
    by_lists = recert.certify(
        lambda batch: [int(one.mean() > 0.5) for one in batch], images, labels, id="lists", **SMALL
    )
    assert np.array_equal(by_lists["radius"], by_classes["radius"])
    # A class that there is not counts against every class.
    outside = recert.certify(
        lambda batch: np.full(len(batch), 7), images, labels, id="outside", **SMALL
    )
    assert np.all(outside["class"] == -1) and np.all(outside["invalid"] == 3000)


def test_8_bit_images_take_integer_noise(greys) -> None:
    images, labels = greys
    images = np.rint(images * 255).astype(np.uint8)
    found = recert.certify(bright(0.5), images, labels, id="8 bit", noise="integer", **SMALL)
    assert "8-bit pixels" in found.ledger.runs[0]["statement"]


def test_predictions(greys) -> None:
    images, labels = greys
    found = recert.predict(
        bright(0.5), images, labels, sigma=0.25, id="b", num_classes=2, progress=False
    )
    assert list(found.predict[[0, 1, 4, 5]]) == [0, 0, 1, 1]
    assert found.ledger.task == "predict"


def test_a_callable_is_asked_by_one_thread_at_a_time(greys) -> None:
    inside, most, lock = 0, 0, threading.Lock()

    def watched(batch):
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        answer = bright(0.5)(batch)
        with lock:
            inside -= 1
        return answer

    recert.certify(watched, *greys, id="watched", threads=4, **SMALL)
    assert most == 1


def test_what_a_callable_raises_is_the_cause_and_the_run_resumes(tmp_path, greys) -> None:
    calls = 0

    def failing(batch):
        nonlocal calls
        calls += 1
        if calls > 200:
            raise RuntimeError("out of memory")
        return bright(0.5)(batch)

    keywords = {**SMALL, "id": "b", "ledger": tmp_path / "run.recert", "threads": 1}
    with pytest.raises(recert.EngineError, match="RuntimeError: out of memory") as caught:
        recert.certify(failing, *greys, **keywords)
    assert isinstance(caught.value.__cause__, RuntimeError)
    rest = recert.certify(bright(0.5), *greys, **keywords)
    # What was answered before is kept but for what was in flight.
    assert 0 < rest.new_evaluations < 6 * 3050
    assert rest.rows == 6 and rest.ledger.check()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda batch: batch, "must answer a batch with classes"),
        (lambda batch: ["a"] * len(batch), "must answer a batch with classes"),
        (lambda batch: np.zeros(len(batch) + 1, int), "1 images were asked about, and 2 answered"),
        (lambda batch: None, "must answer a batch with classes"),
    ],
)
def test_answers_that_are_none_are_refused(greys, answer, words: str) -> None:
    with pytest.raises(recert.EngineError, match=words) as caught:
        recert.certify(answer, *greys, id="bad", **SMALL)
    assert isinstance(caught.value.__cause__, (TypeError, ValueError))


def test_answers_of_another_kind_end_the_run(greys) -> None:
    def changing(batch):
        classes = bright(0.5)(batch)
        return classes if len(batch) == 1 else np.eye(2, dtype=np.float32)[classes]

    with pytest.raises(recert.EngineError, match="changed the kind of its answers"):
        recert.certify(changing, *greys, id="changing", **SMALL)


def test_what_is_wrong_is_told_by_class_and_field_and_leaves_no_ledger(tmp_path, greys) -> None:
    images, labels = greys
    path = tmp_path / "run.recert"

    def refused(field, error=recert.ParameterError, classify=bright(0.5), data=images, **more):
        keywords = {**SMALL, "id": "b", "ledger": path, "labels": labels, **more}
        with pytest.raises(error) as caught:
            recert.certify(classify, data, **keywords)
        assert caught.value.field == field, caught.value
        assert "--" not in str(caught.value)
        assert field is None or str(caught.value).endswith(f"(see {field}=)")
        assert not path.exists()

    refused("sigma", sigma=float("nan"))
    refused("sigma", sigma="much")
    refused("alpha", alpha=0.9)
    refused("n", n=0)
    refused("n", n=1.5)
    refused("n", n=-3)
    refused("n0", n0=2**32)
    refused("batch", batch=0)
    refused("threads", threads=0)
    refused("every", every=0)
    refused("offset", offset=6)
    refused("noise", noise="uniform")
    refused("until_radius", until_radius=0.0)
    refused("id", id=None)
    refused("num_classes", num_classes=None)
    refused("classify", classify=3)
    refused("images", data=images[0])
    refused("images", data=images.astype(np.int64))
    refused("labels", labels=[0.5] * 6)
    refused("labels", labels=[-1] * 6)
    refused("labels", labels=[[0], [1, 2]])
    refused("images", data=[images[0], images[0, 0]])
    refused("id", classify=tmp_path / "net.onnx")
    refused(None, recert.InputError, data=images + 1)
    refused(None, recert.InputError, labels=[0, 1])
    refused("label_offset", labels=[0, 1, 2, 0, 1, 2])
    with pytest.raises(TypeError, match="sigmas"):
        recert.certify(bright(0.5), images, sigmas=0.5)
    with pytest.raises(recert.InputError, match="none.recert"):
        recert.recertify(tmp_path / "none.recert", bright(0.5), images, num_classes=2, id="c")


def test_another_network_or_run_does_not_enter_a_ledger(tmp_path, greys) -> None:
    certified(tmp_path, greys)
    with pytest.raises(recert.LedgerError, match="sigma: 0.25 in the ledger, 0.5 given"):
        certified(tmp_path, greys, sigma=0.5)
    # Both networks are named, and what is theirs.
    words = r"the network: brighter than 0.5 \(SHA-256 .{64}\) in the ledger, another \(SHA-256"
    with pytest.raises(recert.LedgerError, match=words):
        certified(tmp_path, greys, id="another")


def test_labels_of_none_are_refused_with_the_image(greys) -> None:
    images, _ = greys
    with pytest.raises(recert.ParameterError, match="the label of image 2 is -1, .* leave out"):
        recert.certify(bright(0.5), images, [0, 0, -1, 1, -1, 1], id="b", **SMALL)


def test_a_callable_is_run_again_by_its_id(tmp_path, greys) -> None:
    found = certified(tmp_path, greys)
    with pytest.raises(recert.ParameterError) as caught:
        recert.check(found.ledger, rerun=5, model=bright(0.5), images=greys[0], num_classes=2)
    assert caught.value.field == "id"
    again = recert.check(
        found.ledger, rerun=5, model=bright(0.5), images=greys[0], num_classes=2,
        id="brighter than 0.5",
    )
    assert again.holds and again["rerun"]["networks"][0]["samples"] == 5


def test_answers_that_are_no_class_are_remarked_on(greys) -> None:
    def nowhere(batch):
        return np.full((len(batch), 2), np.nan, np.float32)

    keywords = {key: value for key, value in SMALL.items() if key != "num_classes"}
    found = recert.certify(nowhere, *greys, id="nan", **keywords)
    assert np.all(found["class"] == -1)
    assert any("no valid class on 18000 of 18300" in remark for remark in found.remarks)
    right = recert.certify(bright(0.5), *greys, id="b", **SMALL)
    assert not any("no valid class" in remark for remark in right.remarks)


def test_what_to_expect_is_not_run(tmp_path, greys) -> None:
    first = certified(tmp_path, greys)
    before = first.ledger.path.read_bytes()
    plan = recert.plan(first.ledger, bright(0.52), *greys, id="0.52", budget=["5%", "50%"])
    [network] = plan.data["networks"]
    assert [one["evaluations"] for one in network["budgets"]] == [900, 9000]
    assert "0.52" in str(plan) and "speed-up" in str(plan)
    assert first.ledger.path.read_bytes() == before
    until = recert.plan(first.ledger, bright(0.52), *greys, id="0.52", until_radius=0.2)
    assert until.data["networks"][0]["until"]["radius"] == 0.2


def test_progress_and_remarks_are_told(greys, caplog) -> None:
    told = []
    keywords = {**SMALL, "progress": lambda done, of: told.append((done, of))}
    found = recert.certify(bright(0.5), *greys, id="b", **keywords)
    assert told[0] == (0, 6 * 3050) and told[-1] == (6 * 3050, 6 * 3050)
    assert found.remarks and [record.message for record in caplog.records] == found.remarks

    class Stop(Exception):
        pass

    def stop(done, of):
        raise Stop

    with pytest.raises(Stop):
        recert.certify(bright(0.5), *greys, id="b", **{**SMALL, "progress": stop})


def test_a_bar_of_tqdm(greys, monkeypatch) -> None:
    auto = pytest.importorskip("tqdm.auto")
    bars = []

    class Watched(auto.tqdm):
        def __init__(self, *words, **keywords):
            super().__init__(*words, **{**keywords, "disable": False})
            bars.append(self)

    monkeypatch.setattr(auto, "tqdm", Watched)
    recert.certify(bright(0.5), *greys, id="b", **{**SMALL, "progress": True})
    assert [(bar.n, bar.total, bar.desc) for bar in bars] == [
        (6 * 3050, 6 * 3050, "certify 6 inputs")
    ]


def test_a_log_in_cohens_format(tmp_path, greys) -> None:
    certified(tmp_path, greys, log=tmp_path / "log.tsv")
    lines = (tmp_path / "log.tsv").read_text().splitlines()
    assert lines[0].split("\t") == ["idx", "label", "predict", "radius", "correct", "time"]
    assert len(lines) == 7 and lines[1].startswith("0\t0\t0\t")
