"""CoNLL columns: what is written comes back, and what other tools write is read as conlleval reads it."""

from pathlib import Path

import pytest

from marsad.annotations.formats import conll
from marsad.annotations.formats.conll import read_conll
from marsad.documents import Document, Entity
from marsad.errors import MarsadError


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
