import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from conftest import ROOT, synthetic_reports
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marsad import Entity, Recognizer
from marsad.batch.recognizer import Prediction
from marsad.errors import MarsadError
from marsad.text.words import split_words


@pytest.fixture(scope="module")
def recognizer(tiny_model: Path) -> Recognizer:
    return Recognizer.from_pretrained(tiny_model)


def assert_exact(prediction: Prediction, text: str) -> None:
    """Entities are ordered, disjoint, within one line, and no blank stands at their edges."""
    assert prediction.text == text
    end = 0
    for entity, record in zip(prediction.entities, prediction.records(), strict=True):
        assert end <= entity.start < entity.end <= len(text)
        end = entity.end
        found = text[entity.start : entity.end]
        assert record["text"] == found
        assert found == found.strip(" \t\u00a0")
        assert not set("\r\n\u2028\u2029") & set(found)
        assert entity.score is not None
        assert 0 < entity.score <= 1


def test_every_entity_is_the_exact_slice_that_was_annotated(recognizer: Recognizer) -> None:
    reports = synthetic_reports(20, seed=31)
    texts = [report["text"] for report in reports]
    gold = found = right = 0
    for report, prediction in zip(reports, recognizer.predict(texts), strict=True):
        assert_exact(prediction, report["text"])
        wanted = {(entity["start"], entity["end"], entity["label"]) for entity in report["entities"]}
        got = {(entity.start, entity.end, entity.label) for entity in prediction.entities}
        gold, found, right = gold + len(wanted), found + len(got), right + len(wanted & got)
    assert gold > 100
    assert right > 0.9 * max(gold, found)


def test_offsets_are_exact_in_the_raw_text(recognizer: Recognizer) -> None:
    # The same sentence stretched by tatweel, vowelled, with bidi marks, presentation forms and other digits.
    clean = "قصفت قوات النظام منازل في حلب يوم 3 مايو مما أدى إلى مقتل 3 مدنيين."
    raw = "\ufeffقصفت \u200fقــوات النِّظـام منازل في ﺣﻠﺐ يوم \u200e٣\u200f مايو\u200f مما أدى إلى مقتل ٣ مدنيّــين."
    (first, second) = recognizer.predict([clean, raw])
    assert_exact(second, raw)
    found = [(entity.label, clean[entity.start : entity.end]) for entity in first.entities]
    assert found == [
        ("ACTOR", "قوات النظام"),
        ("LOCATION", "حلب"),
        ("DATE", "يوم 3 مايو"),
        ("CASUALTY", "3 مدنيين"),
    ]
    slices = [(entity.label, raw[entity.start : entity.end].strip("\u200e\u200f")) for entity in second.entities]
    assert slices == [
        ("ACTOR", "قــوات النِّظـام"),
        ("LOCATION", "ﺣﻠﺐ"),
        ("DATE", "يوم \u200e٣\u200f مايو"),
        ("CASUALTY", "٣ مدنيّــين"),
    ]


def test_arbitrary_text(recognizer: Recognizer) -> None:
    report = st.sampled_from([report["text"] for report in synthetic_reports(30, seed=32)])
    noise = st.text(max_size=30)
    marks = st.text(alphabet="\u0640\u064b\u0651\u200f\u200e\ufeff\r\n\t .،٣🙂", max_size=8)

    @settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(st.one_of(report, noise, marks), max_size=5).map("".join))
    def holds(text: str) -> None:
        (prediction,) = recognizer.predict([text])
        assert_exact(prediction, text)

    holds()


@pytest.mark.parametrize(
    "text",
    ["", " ", "\n\n", "\0", "\ud800", "\u200f", "🙂" * 300, "." * 3000, "ـ" * 500, "\u064b" * 50, "ﷺ", "a" * 50_000],
)
def test_odd_texts_pass_through(text: str, recognizer: Recognizer) -> None:
    near = "قتل طفلين في حلب أمس الأحد."
    (alone,) = recognizer.predict([near])
    first, odd, last = recognizer.predict([near, text, near])
    assert_exact(odd, text)
    assert len(first.entities) == len(alone.entities) == len(last.entities) > 1


def test_a_report_of_thousands_of_words_in_one_line(recognizer: Recognizer) -> None:
    parts = [report["text"].replace("\n", " ") for report in synthetic_reports(140, seed=33)]
    text = " ".join(parts)
    assert len(text.split()) > 5000
    (prediction,) = recognizer.predict([text])
    assert_exact(prediction, text)
    gold = set()
    at = 0
    for report in synthetic_reports(140, seed=33):
        gold |= {(at + entity["start"], at + entity["end"], entity["label"]) for entity in report["entities"]}
        at += len(report["text"]) + 1
    got = {(entity.start, entity.end, entity.label) for entity in prediction.entities}
    assert len(gold & got) > 0.9 * max(len(gold), len(got))
    # Also near the end: nothing is cut off.
    tail = {span for span in gold if span[0] > 0.9 * len(text)}
    assert len(tail & got) > 0.85 * len(tail) > 10


def nearly_equal(one: tuple[Entity, ...], other: tuple[Entity, ...]) -> None:
    assert [(entity.start, entity.end, entity.label) for entity in one] == [
        (entity.start, entity.end, entity.label) for entity in other
    ]
    assert [entity.score for entity in one] == pytest.approx([entity.score for entity in other], abs=1e-4)


def test_predictions_do_not_depend_on_neighbours(recognizer: Recognizer) -> None:
    texts = [report["text"] for report in synthetic_reports(40, seed=34)]
    texts += ["", "قتل", "قتل طفلين في حلب. " * 200]
    alone = [recognizer.predict([text])[0] for text in texts]
    together = recognizer.predict(texts)
    order = list(range(len(texts)))
    random.Random(1).shuffle(order)
    shuffled = recognizer.predict([texts[index] for index in order])
    assert sum(len(prediction.entities) for prediction in alone) > 200
    for text, one, other in zip(texts, alone, together, strict=True):
        assert one.text == other.text == text
        nearly_equal(one.entities, other.entities)
    for place, index in enumerate(order):
        nearly_equal(shuffled[place].entities, alone[index].entities)


def test_a_stream_is_lazy_and_keeps_the_order(recognizer: Recognizer) -> None:
    taken = 0

    def texts() -> Iterator[str]:
        nonlocal taken
        for number in range(100_000):
            taken += 1
            yield f"قتل {number} مدنيين"

    stream = recognizer.stream(texts())
    assert taken == 0
    for number in range(600):
        assert next(stream).text == f"قتل {number} مدنيين"
    assert 600 <= taken <= 600 + 1024


def test_words_split_by_the_caller_give_the_same_entities(recognizer: Recognizer) -> None:
    texts = [report["text"] for report in synthetic_reports(70, seed=39)] + ["", "\n \n"]
    words = (split_words(text, recognizer.text_config) for text in texts)
    found = list(recognizer.stream_words(words))
    assert found == [prediction.entities for prediction in recognizer.predict(texts)]
    assert sum(map(len, found)) > 200


def test_no_texts_no_predictions(recognizer: Recognizer) -> None:
    assert recognizer.predict([]) == []


def test_what_is_no_list_of_strings_is_refused(recognizer: Recognizer) -> None:
    with pytest.raises(MarsadError, match="one string"):
        recognizer.predict("قتل طفلين في حلب")
    for wrong in (None, 3, b"text", ["text"]):
        with pytest.raises(MarsadError, match=type(wrong).__name__):
            recognizer.predict(["قتل", wrong])  # type: ignore[list-item]


def test_two_loads_say_the_same(tiny_model: Path, recognizer: Recognizer) -> None:
    other = Recognizer.from_pretrained(str(tiny_model), device="cpu")
    text = synthetic_reports(1, seed=35)[0]["text"]
    assert other.predict([text]) == recognizer.predict([text])
    assert other.fingerprint == recognizer.fingerprint
    assert other.labels == ("ACTOR", "LOCATION", "DATE", "CASUALTY")


def test_it_does_not_train(recognizer: Recognizer) -> None:
    text = "قصفت قوات النظام منازل في حلب"
    first = recognizer.predict([text])
    torch.manual_seed(99)
    assert recognizer.predict([text]) == first  # dropout would show


def test_other_scripts_pass_through(recognizer: Recognizer) -> None:
    text = "Plain English text, 中文, Кириллица."
    (prediction,) = recognizer.predict([text])
    assert_exact(prediction, text)


def test_import_is_light_and_brings_no_torch() -> None:
    code = (
        "import sys, time\n"
        "began = time.process_time()\n"
        "import marsad\n"
        "took = time.process_time() - began\n"
        "heavy = {'torch', 'transformers', 'numpy', 'datasets', 'pydantic'} & set(sys.modules)\n"
        "print(took, *heavy)\n"
        "from marsad import Recognizer, load_config\n"
        "assert 'numpy' in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=120, check=True
    )
    took, *heavy = done.stdout.split()
    assert float(took) < 0.5
    assert heavy == []


def test_help_needs_no_torch() -> None:
    code = (
        "import sys\nfrom marsad.cli import main\n"
        "try:\n    main(['--help'])\nfinally:\n    assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "train" in done.stdout


def test_one_string_instead_of_a_list_is_an_error_at_once(tiny_model: Path):
    recognizer = Recognizer.from_pretrained(tiny_model)
    for call in (recognizer.predict, recognizer.stream):
        with pytest.raises(MarsadError, match="put it into a list"):
            call("نص واحد")
