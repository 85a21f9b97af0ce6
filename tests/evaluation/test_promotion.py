import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from marsad import Recognizer
from marsad.annotations.jsonl import read_documents, write_documents
from marsad.config import load_config
from marsad.errors import MarsadError
from marsad.evaluation.promotion import Promotion, promote, read_history, rollback
from marsad.modeling.artifacts import OnnxRecord, read_manifest, read_onnx_record
from marsad.modeling.training import train

TEST = "test.jsonl"
GATE = "minimum: {f1: 0.3}\nmaximum_drop: {f1: 0.05, confidence: 0.9}\n"


@pytest.fixture
def house(tmp_path: Path, tiny_model: Path, corpus: Path) -> Path:
    """A folder with a gate, a good model and one that hardly learned; models/current is not there yet."""
    (tmp_path / "gate.yaml").write_text(GATE)
    (tmp_path / "models").mkdir()
    trained = {one.text for one in read_documents(corpus / "train.jsonl")}  # short synthetic texts happen to be alike
    write_documents([one for one in read_documents(corpus / "test.jsonl") if one.text not in trained], tmp_path / TEST)
    shutil.copytree(tiny_model, tmp_path / "models" / "good")
    return tmp_path


@pytest.fixture(scope="session")
def poor_model(tiny_config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("poor") / "poor"
    overrides = [f"output={output}", "training.epochs=1", "training.head_learning_rate=1e-9", "name=poor"]
    return train(load_config(tiny_config, [*overrides, "training.learning_rate=1e-9"])).folder


@pytest.fixture(scope="session")
def other_model(tiny_config: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As good as the tiny model, and another."""
    output = tmp_path_factory.mktemp("other") / "other"
    overrides = [f"output={output}", f"model.init_from={tiny_model}", "training.epochs=1", "name=other"]
    return train(load_config(tiny_config, overrides)).folder


def run(house: Path, model: Path, onnx: bool = False) -> Promotion:
    return promote(model, [house / TEST], house / "models" / "current", house / "gate.yaml", onnx)


def fingerprint(model: Path) -> str:
    return read_manifest(model).fingerprint


def test_the_first_model_needs_the_minimum_alone(house: Path, corpus: Path, tiny_model: Path) -> None:
    promotion = run(house, house / "models" / "good")
    current = house / "models" / "current"
    assert promotion.promoted and promotion.first and promotion.unchecked is None
    assert fingerprint(current) == fingerprint(tiny_model)
    assert not current.readlink().is_absolute()  # so that the folder can be moved
    [line] = read_history(current)
    assert line["action"] == "promote" and line["previous"] is None and line["comparison"] is None
    assert line["model"] == {"path": str(house / "models" / "good"), "fingerprint": fingerprint(tiny_model)}
    assert line["strict"]["f1"] == promotion.evaluation.strict.overall.f1
    assert line["data"]["reports"] == promotion.evaluation.reports and len(line["data"]["sha256"]) == 64


def test_a_worse_model_changes_nothing(house: Path, corpus: Path, poor_model: Path, tiny_model: Path) -> None:
    run(house, house / "models" / "good")
    before = sorted(path.name for path in (house / "models").rglob("*"))
    promotion = run(house, poor_model)
    assert not promotion.promoted
    failed = [check.rule for check in promotion.evaluation.gate.checks if not check.passed]
    assert failed == ["minimum.f1", "maximum_drop.f1"]
    assert fingerprint(house / "models" / "current") == fingerprint(tiny_model)
    assert sorted(path.name for path in (house / "models").rglob("*")) == before


def test_promoted_and_rolled_back(house: Path, corpus: Path, other_model: Path, tiny_model: Path) -> None:
    current = house / "models" / "current"
    run(house, house / "models" / "good")
    promotion = run(house, other_model)
    assert promotion.promoted and not promotion.first
    assert fingerprint(current) == fingerprint(other_model)
    line = read_history(current)[-1]
    assert line["previous"] == {"fingerprint": fingerprint(tiny_model)}
    assert {"name", "baseline", "system", "difference", "interval", "p_value"} <= line["comparison"][0].keys()
    # What becomes of the folder that it was promoted from is no matter.
    shutil.rmtree(house / "models" / "good")
    assert rollback(current)["model"]["fingerprint"] == fingerprint(tiny_model)
    assert fingerprint(current) == fingerprint(tiny_model)
    assert [line["action"] for line in read_history(current)] == ["promote", "promote", "rollback"]
    with pytest.raises(MarsadError, match="names no model before the current one"):
        rollback(current)


def test_a_model_is_not_promoted_twice(house: Path, corpus: Path) -> None:
    run(house, house / "models" / "good")
    with pytest.raises(MarsadError, match="is the current model already"):
        run(house, house / "models" / "good")


@pytest.mark.parametrize("before", ["\u200f", "عاجل من مراسلنا\n"], ids=["spelling", "within"])
def test_a_model_trained_on_the_test_split_is_refused(
    house: Path, tmp_path: Path, corpus: Path, write_tiny_config: Callable[..., Path], before: str
) -> None:
    # One report of the test split, in another spelling or within another one, among those of the training split.
    lines = (corpus / "train.jsonl").read_text(encoding="utf-8").splitlines()
    leaked = json.loads((house / TEST).read_text(encoding="utf-8").splitlines()[3])
    record = {"id": "leaked", "text": before + leaked["text"], "entities": []}
    (tmp_path / "train.jsonl").write_text("\n".join([*lines, json.dumps(record)]), encoding="utf-8")
    config = write_tiny_config(tmp_path / "c.yaml", data={"train": str(tmp_path / "train.jsonl")})
    model = train(load_config(config, ["training.epochs=1"])).folder
    with pytest.raises(MarsadError, match=f"1 reports of the test split .* such as '{leaked['id']}'"):
        run(house, model)
    assert not (house / "models" / "current").exists()


def test_what_other_models_passed_on_is_said_not_to_be_looked_at(house: Path, other_model: Path) -> None:
    said = run(house, other_model).unchecked
    assert said is not None and "went on from" in said and "is not looked at" in said
    taught = shutil.copytree(house / "models" / "good", house / "models" / "taught")
    manifest = json.loads((taught / "marsad.json").read_text())
    manifest["teacher"] = {"models": {"models/large": "0" * 64}, "unlabelled": None}
    (taught / "marsad.json").write_text(json.dumps(manifest))
    assert "taught by other models" in run(house, taught).unchecked


def test_where_the_training_files_are_gone_that_is_said(house: Path, corpus: Path, tmp_path: Path) -> None:
    good = house / "models" / "good"
    files = read_manifest(good).data["train"]["files"]
    assert run(house, good).unchecked is None and files
    manifest = json.loads((good / "marsad.json").read_text())
    manifest["data"]["train"]["sha256"] = "0" * 64  # as if the file had been another
    (good / "marsad.json").write_text(json.dumps(manifest))
    (house / "models" / "current").unlink()
    assert "changed since the model was trained" in run(house, good).unchecked


def test_what_stands_in_the_way_is_named(house: Path, corpus: Path, other_model: Path) -> None:
    current = house / "models" / "current"
    with pytest.raises(MarsadError, match="there is no current model"):
        rollback(current)
    shutil.copytree(other_model, current)
    with pytest.raises(MarsadError, match="is no link that"):
        run(house, house / "models" / "good")
    shutil.rmtree(current)
    run(house, house / "models" / "good")
    run(house, other_model)
    history = house / "models" / "HISTORY.jsonl"
    history.write_text(history.read_text() + "{}\n")
    with pytest.raises(MarsadError, match=r"HISTORY\.jsonl:3: is no record"):
        rollback(current)
    history.write_text("\n".join(history.read_text().splitlines()[:2]) + "\n")
    shutil.rmtree(house / "models" / "promoted" / f"tiny-{fingerprint(house / 'models' / 'good')[:12]}")
    with pytest.raises(MarsadError, match="has no copy of the model"):
        rollback(current)
    assert fingerprint(current) == fingerprint(other_model)


def test_the_promoted_copy_gets_an_int8_network(house: Path, corpus: Path) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'marsad[onnx]'")
    pytest.importorskip("onnxscript", reason="onnxscript is not installed: pip install 'marsad[export]'")
    good, current = house / "models" / "good", house / "models" / "current"
    promotion = run(house, good, onnx=True)
    record = read_onnx_record(current)
    assert isinstance(promotion.onnx, OnnxRecord) and promotion.onnx == record and promotion.promoted
    assert read_history(current)[-1]["onnx"] == {"adopted": record.adopted, "drop": record.drop}
    assert record.adopted == (record.drop <= 0.003) == (current / "model.int8.onnx").is_file()
    assert not (good / "onnx.json").exists()  # the model that it was promoted from stays as it was
    assert fingerprint(current) == fingerprint(good) == record.model
    assert not list(current.resolve().glob(".onnx-*"))


def test_a_model_that_has_an_int8_network_keeps_it(house: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'marsad[onnx]'")
    pytest.importorskip("onnxscript", reason="onnxscript is not installed: pip install 'marsad[export]'")
    from marsad.modeling import export

    good = house / "models" / "good"
    record = export.export_onnx(good, max_drop=0.5)
    monkeypatch.setattr(export, "export_onnx", lambda *_: pytest.fail("exported again"))
    assert run(house, good, onnx=True).onnx == record
    assert Recognizer.from_pretrained(house / "models" / "current", "cpu").runtime == "onnx"


def test_int8_models_are_judged_as_they_serve_and_rolled_back(house: Path, corpus: Path, other_model: Path) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'marsad[onnx]'")
    pytest.importorskip("onnxscript", reason="onnxscript is not installed: pip install 'marsad[export]'")
    from marsad.modeling import export

    good = house / "models" / "good"
    other = shutil.copytree(other_model, house / "models" / "other")
    for model in (good, other):
        assert export.export_onnx(model, max_drop=0.5).adopted
    current = house / "models" / "current"
    for model in (good, other):
        promotion = run(house, model, onnx=True)
        assert promotion.promoted and promotion.evaluation.system.record()["runtime"] == "onnx"
    assert [line["model"]["fingerprint"] for line in read_history(current)] == [fingerprint(good), fingerprint(other)]
    assert rollback(current)["model"]["fingerprint"] == fingerprint(current) == fingerprint(good)


def test_an_export_that_fails_stops_no_promotion(house: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from marsad.modeling import export

    monkeypatch.setattr(export, "find_spec", lambda name: None)  # as where marsad[export] is not installed
    promotion = run(house, house / "models" / "good", onnx=True)
    assert promotion.promoted and "pip install 'marsad[export]'" in promotion.onnx
    current = house / "models" / "current"
    assert read_history(current)[-1]["onnx"] == {"reason": promotion.onnx}
    assert Recognizer.from_pretrained(current, "cpu").runtime == "torch"


def test_a_link_that_leads_nowhere_is_no_first_promotion(house: Path) -> None:
    current = house / "models" / "current"
    current.symlink_to("promoted/gone")
    with pytest.raises(MarsadError, match="leads to promoted/gone, which is not there"):
        run(house, house / "models" / "good")
    assert current.is_symlink()


def test_a_gate_for_other_labels_is_named(house: Path) -> None:
    (house / "gate.yaml").write_text("minimum: {f1: 0.3, by_type: {PLACE: 0.5}}\n")
    with pytest.raises(MarsadError, match="'PLACE' is none of the types judged"):
        run(house, house / "models" / "good")
