import json
from pathlib import Path

import pytest
from conftest import write_jsonl

from marsad.cli import main
from marsad.documents import Document, Entity
from marsad.errors import MarsadError
from marsad.evaluation.facts import score_facts

TEXT = "قتل 3 مدنيين وأصيب 5 في 7 آذار 2016 وفقد 2"
SPANS = {"3": "CASUALTY", "5": "CASUALTY", "7 آذار 2016": "DATE", "2": "CASUALTY"}
VALUES = {
    "3": {"low": 3, "high": 3, "bound": "exact", "outcome": "killed"},
    "5": {"low": 5, "high": 5, "bound": "about", "outcome": "killed"},
    "7 آذار 2016": {"start": "2016-03-07", "end": "2016-03-07"},
}


def entity(span: str, with_value: bool = True) -> Entity:
    start = TEXT.rindex(span)
    extra = {"value": VALUES[span]} if with_value and span in VALUES else {}
    return Entity(start, start + len(span), SPANS[span], extra=extra)


GOLD = Document("r", TEXT, tuple(entity(span) for span in SPANS))


def test_values_are_scored_given_the_span_and_end_to_end():
    predicted = [entity("3", False), entity("7 آذار 2016", False), entity("2", False)]
    scores = score_facts([GOLD], [predicted])
    counts = scores.by_type["CASUALTY"]["low, high and outcome"]
    # Of the third, which is right, gold has no value: it counts for nothing.
    assert (counts.gold, counts.found, counts.right, counts.predicted) == (2, 1, 1, 1)
    assert (counts.accuracy, counts.recall, counts.precision) == (1.0, 0.5, 1.0)
    spurious = Entity(0, 3, "CASUALTY")
    assert score_facts([GOLD], [[spurious, *predicted]]).by_type["CASUALTY"]["low"].precision == 0.5
    assert scores.by_type["DATE"]["start and end"].f1 == 1.0
    assert scores.wrong == ()


def test_each_part_is_scored_and_the_wrong_are_named():
    scores = score_facts([GOLD], [GOLD.entities], gold_spans=True)
    right = {part: counts.right for part, counts in scores.by_type["CASUALTY"].items()}
    assert right == {"low, high and outcome": 1, "low": 2, "high": 2, "bound": 1, "outcome": 1}
    (wrong,) = scores.record()["wrong"]
    assert (wrong["text"], wrong["gold"]["outcome"], wrong["predicted"]["outcome"]) == ("5", "killed", "injured")


def test_a_null_that_gold_has_too_is_right():
    text = "قتلوا أمس"
    null = Entity(6, 9, "DATE", extra={"value": {"start": None, "end": None, "why": "x"}})
    scores = score_facts([Document("r", text, (null,))], [(null,)])
    assert scores.by_type["DATE"]["start and end"].right == 1


def test_gold_without_values_is_a_mistake():
    document = Document("r", TEXT, (entity("3", False),))
    with pytest.raises(MarsadError, match="no gold entity has a value"):
        score_facts([document], [document.entities])
    bad = Document("r", TEXT, (Entity(4, 5, "CASUALTY", extra={"value": 3}),))
    with pytest.raises(MarsadError, match="expected an object"):
        score_facts([bad], [bad.entities])


def gold_file(folder: Path, predicted: bool = False) -> Path:
    entities = [
        {"start": one.start, "end": one.end, "label": one.label} | ({} if predicted else dict(one.extra))
        for one in GOLD.entities
    ]
    name = "predicted.jsonl" if predicted else "gold.jsonl"
    return write_jsonl(folder / name, [{"id": "r", "text": TEXT, "entities": entities}])


def test_the_command_needs_no_model_for_gold_spans(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    gold = gold_file(tmp_path)
    assert main(["evaluate", "--facts", "--gold-spans", str(gold), "--output", str(tmp_path / "out")]) == 0
    assert "CASUALTY low, high and outcome         1 of     2    0.5000" in capsys.readouterr().out
    record = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert record["facts"]["spans"] == "gold"
    assert record["facts"]["by_type"]["DATE"]["start and end"]["right"] == 1


def test_values_of_predictions_stand_in_every_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    gold, predicted = gold_file(tmp_path), gold_file(tmp_path, predicted=True)
    arguments = ["evaluate", "--facts", "--predictions", str(predicted), str(gold)]
    assert main([*arguments, "--resamples", "10", "--output", str(tmp_path / "out")]) == 0
    assert "end to end: precision" in capsys.readouterr().out
    assert "start and end" in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert 'id="facts"' in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--gold-spans"], "--gold-spans goes with --facts"),
        (["--facts", "--gold-spans", "--baseline", "models/x"], "leave --baseline away"),
    ],
)
def test_options_that_do_not_go_together(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["evaluate", *arguments, str(gold_file(tmp_path))]) == 2
    assert message in capsys.readouterr().err
