"""A whole evaluation: the same numbers in every form, from models and from predictions, or one line of error."""

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, synthetic_reports, write_jsonl
from seqeval.metrics import f1_score
from seqeval.scheme import IOB2

from marsad import evaluate
from marsad.annotations.formats import conll
from marsad.annotations.jsonl import read_documents
from marsad.batch.jobs import Job, run_job
from marsad.cli import main
from marsad.documents import Entity
from marsad.errors import MarsadError
from marsad.evaluation.evaluate import Evaluation
from marsad.modeling.tagging import encode_tags


@pytest.fixture(scope="module")
def gold(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Reports with a source each."""
    reports = [one | {"source": f"s{number % 3}"} for number, one in enumerate(synthetic_reports(29, seed=21))]
    unseen = {"start": 4, "end": 14, "label": "LOCATION"}
    reports.append({"id": "r0029", "text": "قصف بلدة كفرية", "source": "s0", "entities": [unseen]})
    return write_jsonl(tmp_path_factory.mktemp("gold") / "gold.jsonl", reports)


def predictions(
    gold: Path, path: Path, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]] = lambda found: found
) -> Path:
    records = [json.loads(line) for line in gold.read_text(encoding="utf-8").splitlines()]
    return write_jsonl(path, [{"id": one["id"], "entities": change(one["entities"])} for one in records])


def some(share: float, seed: int) -> Callable[[list[dict[str, Any]]], list[dict[str, Any]]]:
    draw = random.Random(seed)
    return lambda entities: [one for one in entities if draw.random() < share]


def judge(gold: Path, found: Path, **options: Any) -> Evaluation:
    return evaluate(None, gold, predictions=found, **{"resamples": 50} | options)


def test_predictions_equal_to_gold_are_right_everywhere(
    gold: Path, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    evaluation = judge(gold, predictions(gold, tmp_path / "p.jsonl"))
    record = evaluation.record()
    rows = [record["strict"]["overall"], record["strict"]["macro"], *record["strict"]["by_type"].values()]
    rows += [row for scheme in record["semeval"].values() for row in (scheme["overall"], *scheme["by_type"].values())]
    rows += [one["scores"] for one in record["slices"]]
    assert {(row["precision"], row["recall"], row["f1"]) for row in rows} == {(1, 1, 1)}
    assert record["intervals"]["strict"]["overall"]["f1"] == [1, 1]
    assert all(one["f1_interval"] == [1, 1] for one in record["slices"])
    assert {pair["kind"] for one in record["documents"] for pair in one["pairs"]} == {"correct"}
    assert [str(one.message) for one in recwarn] == []


def test_empty_predictions_are_wrong_everywhere_without_a_warning(
    gold: Path, tmp_path: Path, recwarn: pytest.WarningsRecorder, caplog: pytest.LogCaptureFixture
) -> None:
    evaluation = judge(gold, predictions(gold, tmp_path / "p.jsonl", lambda found: []))
    record = evaluation.record()
    assert record["strict"]["overall"]["f1"] == record["strict"]["macro"]["f1"] == 0
    assert all(scheme["overall"]["f1"] == 0 for scheme in record["semeval"].values())
    assert {pair["kind"] for one in record["documents"] for pair in one["pairs"]} == {"missed"}
    assert record["calibration"] is None
    evaluation.write(tmp_path / "out")
    assert ([str(one.message) for one in recwarn], caplog.records) == ([], [])


def test_the_same_f1_from_the_record_from_seqeval_and_from_an_independent_count(
    gold: Path, tmp_path: Path, tiny_model: Path
) -> None:
    evaluation = evaluate(tiny_model, gold, resamples=10)
    run_job(Job(str(tiny_model), (str(gold),), str(tmp_path / "p.jsonl")))

    found = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text(encoding="utf-8").splitlines()]
    right, guessed = (
        {(one["id"], e["start"], e["end"], e["label"]) for one in records for e in one["entities"]}
        for records in ([json.loads(line) for line in gold.read_text(encoding="utf-8").splitlines()], found)
    )
    counted = 2 * len(right & guessed) / (len(right) + len(guessed))
    tags = [
        [
            encode_tags(side.spans, len(one.words))
            for one, side in ((one, getattr(one, name)) for one in evaluation.judged)
        ]
        for name in ("gold", "predicted")
    ]
    expected = f1_score(tags[0], tags[1], mode="strict", scheme=IOB2)
    assert 0 < counted < 1
    assert evaluation.strict.overall.f1 == pytest.approx(counted)
    assert evaluation.record()["strict"]["overall"]["f1"] == pytest.approx(expected) == pytest.approx(counted)
    # Judged from its file of predictions, the model has the same scores and the same entities.
    again = judge(gold, tmp_path / "p.jsonl", resamples=10)
    assert again.strict == evaluation.strict
    assert again.errors == evaluation.errors
    ours, theirs = evaluation.record()["calibration"], again.record()["calibration"]
    assert ours["ece"] == pytest.approx(theirs["ece"], abs=1e-4)
    assert theirs["temperature"] is None and ours["temperature"] > 0


def test_the_record_has_every_key_and_only_finite_numbers(gold: Path, tmp_path: Path) -> None:
    found = predictions(gold, tmp_path / "p.jsonl", some(0.7, 1))
    evaluation = judge(gold, found, baseline=predictions(gold, tmp_path / "b.jsonl", some(0.6, 2)))
    folder = evaluation.write(tmp_path / "out")

    def refuse(value: str) -> float:
        raise AssertionError(f"{value} is no JSON number")

    record = json.loads((folder / "report.json").read_text(encoding="utf-8"), parse_constant=refuse)
    keys = "marsad system baseline data labels strict semeval tokens errors intervals slices slices_left_out"
    assert " ".join(record) == f"{keys} calibration comparison gate facts alignment history documents"
    assert record["system"]["kind"] == record["baseline"]["kind"] == "predictions"
    assert record["data"]["reports"] == 30
    entities = sum(len(document.entities) for document in read_documents(gold))
    assert record["data"]["entities"] == record["strict"]["overall"]["support"] == entities
    confusion = record["tokens"]["confusion"]
    assert len(confusion) == len(record["tokens"]["labels"]) == 5
    assert sum(map(sum, confusion)) == record["data"]["words"]
    for label, errors in record["errors"]["by_type"].items():
        strict = record["semeval"]["strict"]["by_type"][label]
        assert errors["correct"] == strict["correct"] == record["strict"]["by_type"][label]["correct"]
        assert errors["missed"] == strict["missing"]
    assert record["slices_left_out"][0]["group"] == "seen in training"
    assert {one["group"] for one in record["slices"]} >= {"source", "length in words", "casualty number"}
    assert (folder / "report.md").read_text(encoding="utf-8").strip()
    assert "<html" in (folder / "report.html").read_text(encoding="utf-8")


def test_a_worse_system_is_found_and_stopped_by_the_gate(gold: Path, tmp_path: Path) -> None:
    good, poor = (predictions(gold, tmp_path / f"{share}.jsonl", some(share, 1)) for share in (0.95, 0.5))
    gate = tmp_path / "gate.yaml"
    gate.write_text("minimum: {f1: 0.6}\nmaximum_drop: {f1: 0.01, by_type: {ACTOR: 0.05}}", encoding="utf-8")
    worse, better = (judge(gold, one, baseline=other, gate=gate) for one, other in ((poor, good), (good, poor)))
    assert worse.comparison is not None and better.comparison is not None
    assert worse.comparison.metrics[0].p_value < 0.01
    assert len(worse.comparison.broken) == len(better.comparison.fixed) > 50
    assert better.passed and not worse.passed
    lines = worse.table().splitlines()
    assert any("maximum_drop.f1: F1 drops by" in line for line in lines)
    assert not any("minimum.f1:" in line for line in lines)


def test_a_model_beside_itself(gold: Path, tiny_model: Path) -> None:
    evaluation = evaluate(tiny_model, gold, baseline=tiny_model, resamples=50)
    assert evaluation.comparison is not None
    assert {(one.difference, one.p_value) for one in evaluation.comparison.metrics} == {(0, 1)}


def test_the_evaluation_is_seeded(gold: Path, tmp_path: Path) -> None:
    found = predictions(gold, tmp_path / "p.jsonl", some(0.7, 1))
    assert judge(gold, found).record() == judge(gold, found).record()
    assert judge(gold, found).intervals.metrics != judge(gold, found, seed=14).intervals.metrics


def test_training_files_are_found_by_their_fingerprint(
    gold: Path, tiny_model: Path, tmp_path: Path, corpus: Path, write_tiny_config: Callable[..., Path]
) -> None:
    def groups(evaluation: Evaluation) -> tuple[set[str], dict[str, str]]:
        return {one.group for one in evaluation.slices}, {one.group: one.why for one in evaluation.slices_left_out}

    known, _ = groups(evaluate(tiny_model, gold, resamples=10))
    assert "seen in training" in known
    moved = tmp_path / "model"
    shutil.copytree(tiny_model, moved)
    manifest = json.loads((moved / "marsad.json").read_text(encoding="utf-8"))
    manifest["data"]["train"]["sha256"] = "0" * 64
    (moved / "marsad.json").write_text(json.dumps(manifest), encoding="utf-8")
    known, left_out = groups(evaluate(moved, gold, resamples=10))
    assert "seen in training" not in known
    assert "changed since the model was trained" in left_out["seen in training"]
    known, _ = groups(evaluate(moved, gold, train=corpus / "train.jsonl", resamples=10))
    assert "seen in training" in known
    found = predictions(gold, tmp_path / "p.jsonl")
    assert "seen in training" in groups(judge(gold, found, train=[corpus / "train.jsonl"]))[0]


def test_labels_are_those_of_the_gold_files(tmp_path: Path) -> None:
    reports = [{"id": "a", "text": "قصف حلب", "entities": [{"start": 4, "end": 7, "label": "PLACE"}]}]
    gold = write_jsonl(tmp_path / "g.jsonl", reports)
    found = write_jsonl(tmp_path / "p.jsonl", [reports[0] | {"text": "قصف حلب"}])
    assert judge(gold, found).labels.types == ("PLACE",)
    reports[0]["entities"][0]["label"] = "CITY"
    other = write_jsonl(tmp_path / "q.jsonl", reports)
    with pytest.raises(MarsadError, match=r"q\.jsonl: 1 label \('CITY'\) of 1 entities .* not in the set PLACE"):
        judge(gold, other)


def test_the_usual_types_are_known_even_if_gold_has_none_of_one(tmp_path: Path) -> None:
    gold = write_jsonl(
        tmp_path / "g.jsonl",
        [{"id": "a", "text": "قصف حلب أمس", "entities": [{"start": 4, "end": 7, "label": "LOCATION"}]}],
    )
    found = write_jsonl(
        tmp_path / "p.jsonl", [{"id": "a", "entities": [{"start": 8, "end": 11, "label": "DATE", "score": 0.5}]}]
    )
    evaluation = judge(gold, found)
    assert evaluation.labels.types == ("ACTOR", "LOCATION", "DATE", "CASUALTY")
    assert [pair.kind for pair in evaluation.judged[0].pairs] == ["missed", "spurious"]


def test_what_does_not_fit_the_words_is_counted_and_named(tmp_path: Path) -> None:
    text = "قصف بحلب\nوحمص"
    entities = [{"start": 5, "end": 8, "label": "LOCATION"}, {"start": 9, "end": 13, "label": "LOCATION"}]
    gold = write_jsonl(tmp_path / "g.jsonl", [{"id": "a", "text": text, "entities": entities}])
    over = [{"start": 4, "end": 13, "label": "LOCATION"}]
    evaluation = judge(gold, write_jsonl(tmp_path / "p.jsonl", [{"id": "a", "entities": over}]))
    alignment = evaluation.record()["alignment"]
    assert [len(alignment[key]) for key in ("widened", "dropped", "predicted_widened", "predicted_dropped")] == [
        1,
        0,
        0,
        1,
    ]
    assert alignment["predicted_dropped"][0]["problem"] == "crosses the end of a line"
    assert "1 gold entities began or ended inside a word and were widened to it" in evaluation.table()
    assert "1 predicted entities could not be put on words and count as spurious" in evaluation.table()


def test_columns_are_judged_as_lines_are(gold: Path, tmp_path: Path) -> None:
    documents = read_documents(gold)
    conll.write(documents, tmp_path / "gold.conll")
    found = predictions(gold, tmp_path / "p.jsonl", some(0.7, 1))
    lines, columns = judge(gold, found), judge(tmp_path / "gold.conll", found)
    assert lines.strict == columns.strict
    entities = {one["id"]: one["entities"] for one in map(json.loads, found.read_text(encoding="utf-8").splitlines())}
    guessed = [
        type(one)(one.id, one.text, tuple(Entity(e["start"], e["end"], e["label"]) for e in entities[one.id]))
        for one in documents
    ]
    conll.write(guessed, tmp_path / "p.conll")
    assert judge(gold, tmp_path / "p.conll").errors == lines.errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"predictions": None}, "either a model folder or a file of predictions"),
        ({"baseline_runtime": "torch"}, "no --baseline whose runtime"),
        ({"resamples": 0}, "resamples is 0, expected at least 1"),
        ({"seed": -1}, "seed is -1"),
        ({"predictions": "nowhere.jsonl"}, r"nowhere\.jsonl: no such file of predictions"),
        ({"baseline": "nowhere"}, r"nowhere: no such model folder or file of predictions"),
        ({"gate": ROOT / "configs" / "gate.yaml"}, r"maximum_drop\.f1 needs a baseline"),
        ({"train": "nowhere.jsonl"}, r"nowhere\.jsonl: no such file"),
    ],
)
def test_options_that_do_not_fit_are_refused(gold: Path, tmp_path: Path, options: dict[str, Any], message: str) -> None:
    found = predictions(gold, tmp_path / "p.jsonl")
    with pytest.raises(MarsadError, match=message):
        evaluate(None, gold, **{"predictions": found, "resamples": 10} | options)


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    code = main(["evaluate", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_command_judges_predictions_and_stops_at_the_gate(
    gold: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, poor = (predictions(gold, tmp_path / f"{share}.jsonl", some(share, 1)) for share in (0.98, 0.4))
    gate = ROOT / "configs" / "gate.yaml"
    options = ("--gate", gate, "--resamples", "100", "--output", tmp_path / "out")
    code, out, err = run(capsys, "--predictions", good, gold, "--baseline", good, *options)
    assert (code, err) == (0, "")
    assert f"gate {gate}: passed (7 checks)" in out
    assert json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))["gate"]["passed"] is True
    code, out, err = run(capsys, gold, "--predictions", poor, "--baseline", good, *options)
    assert (code, err) == (3, "")
    assert "FAILED (7 of 7 checks)" in out
    assert "minimum.f1: F1 is 0." in out and "required at least 0.8" in out
    assert json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))["gate"]["passed"] is False
    assert max(map(len, out.replace(str(tmp_path), "").replace(str(ROOT), "").splitlines())) <= 120


def test_the_command_says_a_mistake_in_one_line(
    gold: Path, tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = write_jsonl(tmp_path / "p.jsonl", [{"id": "r0000", "entities": []}])
    for arguments, message in (
        ((tiny_model,), "expected a model folder and then files"),
        (("--predictions", found, gold), "no prediction for 29 reports ('r0001', 'r0002', 'r0003', …) of 30"),
        (("--predictions", found, gold, "--gate", tmp_path / "none.yaml"), "none.yaml: no such"),
        ((tiny_model, gold, "--baseline", found), "p.jsonl: no prediction for 29 reports"),
        ((tiny_model, gold, "--resamples", "0"), "resamples is 0"),
    ):
        code, out, err = run(capsys, *arguments, "--output", tmp_path / "out")
        assert (code, out) == (2, "")
        assert err.startswith("marsad: error: ") and message in err and err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_predictions_are_judged_without_torch(gold: Path, tmp_path: Path) -> None:
    found = predictions(gold, tmp_path / "p.jsonl")
    program = (
        "import sys, marsad; marsad.evaluate(None, sys.argv[1], predictions=sys.argv[2], resamples=5).table();"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, gold, found], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout == "False\n"


def test_files_may_stand_behind_options(gold: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other.jsonl"
    other.write_text(gold.read_text(encoding="utf-8").replace('"id": "r', '"id": "s'), encoding="utf-8")
    found = [predictions(path, tmp_path / f"{path.stem}-p.jsonl") for path in (gold, other)]
    both = tmp_path / "both.jsonl"
    both.write_text("".join(path.read_text(encoding="utf-8") for path in found), encoding="utf-8")
    code, out, err = run(capsys, gold, "--predictions", both, "--resamples", "10", other)
    assert (code, err) == (0, "") and "60 reports" in out


def test_a_place_that_cannot_be_written_is_named_before_the_work(
    gold: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    code, out, err = run(capsys, "--predictions", gold, gold, "--output", tmp_path / "file" / "out")
    assert (code, out) == (2, "") and "can't be written" in err
    code, out, err = run(capsys, tmp_path, "--predictions", gold, gold)
    assert (code, out) == (2, "") and "with --predictions no model is run" in err
