"""CoNLL columns: what is written comes back, and what other tools write is read as conlleval reads it."""

import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities

from marsad.annotations.formats import conll
from marsad.annotations.formats.conll import read_conll
from marsad.annotations.formats.raw import RawReport
from marsad.documents import Document, Entity
from marsad.errors import MarsadError
from marsad.modeling.tagging import decode_tags


def _file(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _surfaces(document: Document) -> list[tuple[str, str]]:
    return [(document.text[one.start : one.end], one.label) for one in document.entities]


SCHEMES = {
    "IOB2": ["B-ACTOR", "I-ACTOR", "B-ACTOR", "O", "B-LOCATION"],
    "IOB1": ["I-ACTOR", "I-ACTOR", "B-ACTOR", "O", "I-LOCATION"],
    "BIOES": ["B-ACTOR", "E-ACTOR", "S-ACTOR", "O", "S-LOCATION"],
    "BILOU": ["B-ACTOR", "L-ACTOR", "U-ACTOR", "O", "U-LOCATION"],
}


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("between", ["\t", " ", "  ", "\tNN\t_\t", " NN _ "])
def test_every_scheme_with_tabs_or_blanks_and_more_columns(tmp_path: Path, scheme: str, between: str):
    words = ["قوات", "النظام", "الشرطة", "في", "حلب"]
    rows = [word + between + tag for word, tag in zip(words, SCHEMES[scheme], strict=True)]
    path = _file(tmp_path / "a.conll", *rows)
    (document,) = read_conll(path)
    assert document.id == "a:1"
    assert document.text == "قوات النظام الشرطة في حلب"
    assert _surfaces(document) == [("قوات النظام", "ACTOR"), ("الشرطة", "ACTOR"), ("حلب", "LOCATION")]
    (report,) = conll.read(path)
    assert report.changed == []


def test_without_marks_each_sentence_is_a_document(tmp_path: Path):
    path = _file(tmp_path / "a.conll", "", "قصف O", "حلب B-LOCATION", "", " \t", "هدوء O")
    assert [(one.id, one.text) for one in read_conll(path)] == [("a:2", "قصف حلب"), ("a:6", "هدوء")]


def test_docstart_begins_a_document(tmp_path: Path):
    path = _file(
        tmp_path / "a.conll", "-DOCSTART- -X- O O", "", "قصف N O", "", "حلب N B-X", "-DOCSTART- O", "", "هدوء O"
    )
    assert [(one.id, one.text) for one in read_conll(path)] == [("a:1", "قصف\nحلب"), ("a:6", "هدوء")]


def test_a_word_may_be_a_hash(tmp_path: Path):
    path = _file(tmp_path / "a.conll", "# O", "حلب B-LOCATION", "", "# a comment", "# B-ACTOR", "س I-ACTOR")
    first, second = read_conll(path)
    assert (first.text, _surfaces(second)) == ("# حلب", [("# س", "ACTOR")])
    document = Document("#", "# id = 3\n#\n# O", (Entity(9, 10, "ACTOR"),))
    conll.write([document], tmp_path / "b.conll")
    assert read_conll(tmp_path / "b.conll") == [document]


def test_a_line_without_a_tag_is_named(tmp_path: Path):
    path = _file(tmp_path / "a.conll", "قصف O", "حلب")
    with pytest.raises(MarsadError, match=r"a\.conll:2: 'حلب' is no word with a tag"):
        read_conll(path)


# Tags, and the spans (first, last, label) that conlleval finds in them; last is one after.
CONLLEVAL = [
    ("O I-A I-A O", [(1, 3, "A")]),
    ("I-A B-A I-B", [(0, 1, "A"), (1, 2, "A"), (2, 3, "B")]),
    ("B-A I-B I-B", [(0, 1, "A"), (1, 3, "B")]),
    ("B-A E-A E-A", [(0, 2, "A"), (2, 3, "A")]),
    ("S-A I-A E-A", [(0, 1, "A"), (1, 3, "A")]),
    ("B-A I-A O S-A", [(0, 2, "A"), (3, 4, "A")]),
    ("U-A L-A", [(0, 1, "A"), (1, 2, "A")]),
    ("O E-A O", [(1, 2, "A")]),
    ("B-X-Y I-X-Y", [(0, 2, "X-Y")]),
]


@pytest.mark.parametrize(("tags", "expected"), CONLLEVAL)
def test_invalid_tags_are_read_as_by_conlleval(tags: str, expected: list[tuple[int, int, str]]):
    iob2, _ = conll.to_iob2(tags.split())
    assert [(one.first, one.last, one.label) for one in decode_tags(iob2)] == expected


@given(st.lists(st.sampled_from(["O", *(f"{prefix}-{name}" for prefix in "BIESLU" for name in "AB")])))
def test_any_tags_agree_with_seqeval_s_conlleval(tags: list[str]):
    """seqeval's default mode decides as conlleval does, of B, I, E and S; L is E and U is S."""
    known = [tag.replace("L-", "E-").replace("U-", "S-") for tag in tags]
    iob2, _ = conll.to_iob2(tags)
    ours = [(one.label, one.first, one.last - 1) for one in decode_tags(iob2)]
    assert ours == get_entities(known)


@pytest.mark.parametrize(
    ("tags", "wrong"),
    [
        (["B-A", "O", "I-A"], ["line 3: I-A follows O"]),
        (["B-A", "I-B", "O"], ["line 2: I-B follows B-A"]),
        (["I-A", "O", "I-B"], []),
        (["I-A", "B-A", "I-A"], []),
        (["S-A", "B-A", "O"], ["line 2: B-A is not ended"]),
        (["B-A", "E-A", "E-A"], ["line 3: E-A follows E-A"]),
        (["U-A", "I-A", "L-A"], ["line 2: I-A follows U-A"]),
        (["B-A", "I-A", "U-A"], ["line 2: I-A is not ended"]),
    ],
)
def test_invalid_tags_are_listed(tags: list[str], wrong: list[str], tmp_path: Path):
    path = _file(tmp_path / "a.conll", *(f"كلمة {tag}" for tag in tags))
    (report,) = conll.read(path)
    assert isinstance(report, RawReport)
    assert list(report.changed) == [f"{one}; read as conlleval does" for one in wrong]


def test_documents_with_invalid_tags_are_not_read_in_silence(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    path = _file(tmp_path / "a.conll", "كلمة B-A", "كلمة O", "كلمة I-A")
    assert len(read_conll(path)[0].entities) == 2
    assert caplog.messages == [
        f"{path}: 1 tags or comments were read otherwise than they stand; line 3: I-A follows O; read as conlleval does"
    ]


def test_words_of_others_are_put_back_on_the_text(tmp_path: Path):
    rows = ["# id = r1", "# text = في إدلب، قُتل 3.", "في O", "إدلب، B-LOCATION", "قُتل O", "3. B-CASUALTY"]
    (document,) = read_conll(_file(tmp_path / "a.conll", *rows))
    assert (document.id, document.text) == ("r1", "في إدلب، قُتل 3.")
    assert _surfaces(document) == [("إدلب،", "LOCATION"), ("3.", "CASUALTY")]


@pytest.mark.parametrize("rows", [["في O"], ["في O", "درعا B-LOCATION"], ["في O", "إدلب O", "أمس O"]])
def test_words_that_are_not_those_of_the_text_are_refused(rows: list[str], tmp_path: Path):
    path = _file(tmp_path / "a.conll", "# id = r1", "# text = في إدلب", *rows)
    with pytest.raises(MarsadError, match=r"a\.conll:1: .*# text"):
        read_conll(path)


def test_entities_that_tags_can_t_say_come_back(tmp_path: Path):
    text = "بريف حلب\nالشرقي "
    entities = (Entity(1, 4, "LOCATION", 0.5, {"value": 3}), Entity(5, 15, "LOCATION"), Entity(15, 16, "DATE"))
    document = Document("r", text, entities)
    conll.write([document], tmp_path / "a.conll")
    assert read_conll(tmp_path / "a.conll") == [document]


def test_tags_that_were_edited_win_over_the_comment(tmp_path: Path):
    path = tmp_path / "a.conll"
    conll.write([Document("r", "بريف حلب", (Entity(1, 4, "LOCATION"),))], path)
    path.write_text(path.read_text(encoding="utf-8").replace("حلب\tO", "حلب\tB-DATE"), encoding="utf-8")
    (report,) = conll.read(path)
    assert isinstance(report, RawReport)
    assert list(report.changed) == ["its # entities do not agree with its tags; the tags are read"]
    assert _surfaces(read_conll(path)[0]) == [("بريف", "LOCATION"), ("حلب", "DATE")]


def test_a_label_with_a_blank_can_t_be_written(tmp_path: Path):
    with pytest.raises(MarsadError, match="'r': the label 'A B' holds whitespace"):
        conll.write([Document("r", "حلب", (Entity(0, 3, "A B"),))], tmp_path / "a.conll")
    assert not list(tmp_path.iterdir())


def test_a_large_file_is_streamed(tmp_path: Path):
    path = tmp_path / "a.conll"
    path.write_text("قصف\tO\nحلب\tB-LOCATION\n\n" * 3_000, encoding="utf-8")
    tracemalloc.start()
    count = sum(1 for _ in conll.read(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 3_000
    assert peak < 300_000
