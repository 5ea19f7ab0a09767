from __future__ import annotations

import numpy as np
import pytest
from conftest import bright

import recert


@pytest.fixture
def ledger(tmp_path, greys) -> recert.Ledger:
    found = recert.certify(
        bright(0.5), *greys, sigma=0.25, n=2000, n0=50, id="b", num_classes=2,
        ledger=tmp_path / "run.recert", progress=False,
    )
    recert.recertify(
        found.ledger, bright(0.51), *greys, method=["zeta", "direct"], n_p="10%", id="c",
        progress=False,
    )
    return recert.Ledger(tmp_path / "run.recert")


def test_a_ledger_tells_what_it_holds(ledger) -> None:
    assert ledger.task == "certify" and ledger.run["sigma"] == 0.25 and ledger.run["n"] == 2000
    assert [network["name"] for network in ledger.networks] == ["b", "c"]
    assert [(run["network"], run["method"], run["samples"]) for run in ledger.runs] == [
        (0, "certify", 2000),
        (1, "direct", 200),
        (1, "zeta", 200),
    ]
    assert all("probability at most" in run["statement"] for run in ledger.runs)
    assert list(ledger.inputs.label) == [0, 0, 0, 1, 1, 1] and len(ledger.inputs.sha256[0]) == 64
    certificates = ledger.certificates
    assert certificates.rows == 18 and set(certificates["network"]) == {"b", "c"}
    of_zeta = np.array(certificates["method"]) == "zeta"
    assert of_zeta.sum() == 6 and np.all(certificates["samples"][of_zeta] == 200)
    assert ledger.counts(1).counts.sum() == 6 * 200
    with pytest.raises(recert.ParameterError, match="no network 2"):
        ledger.counts(2)


def test_tables_of_other_libraries(ledger) -> None:
    pandas = pytest.importorskip("pandas")
    frame = ledger.to_pandas()
    assert isinstance(frame, pandas.DataFrame) and len(frame) == 18
    assert frame.groupby("method").radius.mean()["certify"] > 0
    assert ledger.counts().to_pandas().counts[0] == ledger.counts().counts[0].tolist()


def test_tables_of_polars(ledger) -> None:
    polars = pytest.importorskip("polars")
    frame = ledger.to_polars()
    assert frame.shape == (18, 13) and frame["radius"].dtype == polars.Float64


def test_tables_of_arrow(ledger, tmp_path) -> None:
    pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(ledger.to_arrow(), tmp_path / "certificates.parquet")
    back = parquet.read_table(tmp_path / "certificates.parquet")
    assert back.num_rows == 18 and back["network"][0].as_py() == "b"


def test_checks_find_what_is_changed(ledger, tmp_path) -> None:
    sqlite3 = pytest.importorskip("sqlite3")
    check = ledger.check()
    assert check.holds and check and check.wrong == 0 and check["methods"]
    with sqlite3.connect(ledger.path) as connection:
        connection.execute("UPDATE certificate SET radius = radius + 1 WHERE idx = 0")
    connection.close()
    changed = recert.check([ledger])[0]
    assert not changed.holds and changed.wrong >= 1 and "wrong" in repr(changed)
    (tmp_path / "none").write_text("no ledger")
    with pytest.raises(recert.InputError):
        recert.check(tmp_path / "none")


def test_a_report_says_each_thing_once(ledger, tmp_path) -> None:
    for ledgers in ([ledger], [ledger, ledger]):
        report = recert.report(ledgers)
        notes = report.data["notes"]
        assert len(notes) == len(set(notes)), notes
        for note in notes:
            assert " ".join(str(report).split()).count(" ".join(note.split())) == 1, note


def test_a_notebook_shows_pictures_and_words(ledger, greys) -> None:
    found = recert.certify(
        bright(0.5), *greys, sigma=0.25, n=500, id="<b>", num_classes=2, progress=False
    )
    assert repr(found).startswith("<Results: ") and " of 6 rows with a class" in repr(found)
    page = found._repr_html_()
    assert page.startswith("<svg") and page.count("<tr>") == 7
    assert "<td>direct</td>" in ledger._repr_html_()
    assert repr(ledger).startswith("Ledger(")
    # Names are words and no markup.
    assert "<b>" not in found.ledger._repr_html_()
    # A temporary ledger is there as long as something of it is.
    path = found.ledger.path
    assert path.exists()
    del found
    assert not path.exists()


def test_a_ledger_of_another_kind_is_refused(tmp_path) -> None:
    with pytest.raises(recert.InputError, match="none"):
        recert.Ledger(tmp_path / "none")
    (tmp_path / "words").write_text("no ledger")
    with pytest.raises(recert.InputError, match="words"):
        recert.Ledger(tmp_path / "words")
    assert not (tmp_path / "none").exists()
    with pytest.raises(recert.InputError):
        recert.report(tmp_path / "none")


def test_shards_are_merged_into_the_whole_run(tmp_path, greys, caplog):
    images, labels = greys
    same = {"sigma": 0.25, "n": 300, "n0": 20, "num_classes": 2, "progress": False}
    again = {"n_p": "40%", "method": ["irs", "auto"], "num_classes": 2, "progress": False}

    def run(ledger, shard=None):
        return recert.certify(bright(0.5), images, labels, id="f", ledger=ledger, shard=shard, **same)

    def rerun(ledger, into=None, shard=None):
        return recert.recertify(
            ledger, bright(0.52), images, labels, id="h", into=into, shard=shard, **again
        )

    run(tmp_path / "whole.recert")
    parts = [tmp_path / f"{i}.recert" for i in (1, 2, 3)]
    for i, part in enumerate(parts, 1):
        assert run(part, f"{i}/3").rows == 2
    with pytest.raises(recert.InputError, match="shard 2/3 is missing: 2 of 6 inputs"):
        recert.merge(tmp_path / "run.recert", [parts[2], parts[0]])
    recert.merge(tmp_path / "run.recert", [parts[2], parts[0]], partial=True)
    assert "shard 2/3 is missing" in caplog.text
    with pytest.raises(recert.Error, match="is the ledger of shard 1/3"):
        recert.Ledger(parts[0]).merge(parts[1:])
    merged = recert.Ledger(tmp_path / "run.recert").merge([parts[1]])

    again_parts = [tmp_path / f"again-{i}.recert" for i in (1, 2)]
    for i, part in enumerate(again_parts, 1):
        assert rerun(merged, part, f"{i}/2").ledger.path == part
    merged = recert.merge(tmp_path / "again.recert", again_parts)
    rerun(tmp_path / "whole.recert")
    whole = recert.Ledger(tmp_path / "whole.recert")
    assert merged.check().holds and whole.check().holds
    for name in ("network", "method", "samples", "alpha", "idx", "class", "radius", "evaluations"):
        assert list(merged.certificates[name]) == list(whole.certificates[name]), name

    with pytest.raises(recert.ParameterError, match="'4/3' is no shard"):
        run(tmp_path / "4.recert", "4/3")
    with pytest.raises(recert.LedgerError, match="the seed: 0 in"):
        recert.certify(
            bright(0.5), images, labels, id="f", ledger=tmp_path / "other.recert", seed=1, **same
        )
        recert.merge(tmp_path / "run.recert", [tmp_path / "other.recert"])
