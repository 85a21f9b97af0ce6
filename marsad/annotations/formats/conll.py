"""CoNLL columns: a word a line, its tag last, a blank line after each sentence.

Read: two columns or more (the word first, the tag last) with tabs or blanks between them; IOB2, IOB1, BIOES and
BILOU/BIOLU, recognised by the tags that stand in the file; ``-DOCSTART-`` lines; comment lines before a sentence.

Written: tabs and IOB2 over the words of :func:`~marsad.text.words.split_words`, a paragraph as a sentence, and before
each document comment lines with JSON values: ``# id``, ``# published``, ``# source``, ``# metadata``, ``# text``. By
``# text`` the words are put back to their places, so that offsets are those of the original. Tags can't say where an
entity cuts a word, holds none or crosses a line, nor a score: a document with such an entity also has ``# entities``,
which is read as long as it agrees with the tags.

Without these comments the words are joined by blanks and the sentences by line feeds; without ``-DOCSTART-`` and
``# id`` too, each sentence is a document ``STEM:LINE``, or as many neighbouring ones as the caller asks for.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from marsad.annotations.formats.checking import check_report
from marsad.annotations.formats.raw import LeftOut, RawReport, RawSpan, as_json, lines_of, new_file
from marsad.annotations.jsonl import document_from_record, document_to_record
from marsad.documents import Document
from marsad.errors import MarsadError
from marsad.modeling.tagging import WordSpan, align_entities, decode_tags, encode_tags
from marsad.text.normalization import TextConfig
from marsad.text.words import split_words

logger = logging.getLogger(__name__)

_KEYS = ("id", "published", "source", "metadata", "text", "entities")
_COMMENT = re.compile(rf"# ({'|'.join(_KEYS)}) = (.*)", re.DOTALL)
IS_TAG = re.compile(r"O|[BIESLU]-.+", re.DOTALL)
_BLANKS = re.compile(r"[ \t]+")


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    word: str
    tag: str


@dataclass(slots=True)
class _Open:
    """A document that is being read."""

    line: int
    begun: bool
    comments: dict[str, str] = field(default_factory=dict)
    sentences: list[list[_Row]] = field(default_factory=list)
    ignored: int = 0


def read_conll(path: Path, encoding: str = "utf-8", join_sentences: int = 1) -> list[Document]:
    """The documents of a CoNLL file; what had to be read otherwise than it stands is counted in the log.

    ``join_sentences``: the sentences that make a document where the file marks none.

    Raises MarsadError naming file and line: a file that can't be read or holds no word, a line that is no word with its
    tag, words that do not stand in their ``# text``, an id that stands twice.
    """
    documents: list[Document] = []
    places: dict[str, str] = {}
    changes: list[str] = []
    for report in read(path, encoding, join_sentences):
        checked = report if isinstance(report, LeftOut) else check_report(report)
        if isinstance(checked, LeftOut):
            raise MarsadError(f"{checked.where}: {checked.reason}")
        document = checked.document
        if document.id in places:
            raise MarsadError(f"{report.where}: id {document.id!r} already stands at {places[document.id]}")
        places[document.id] = report.where
        documents.append(document)
        changes += [] if isinstance(report, LeftOut) else report.changed
    if changes:
        count = len(changes)
        logger.warning("%s: %d tags or comments were read otherwise than they stand; %s", path, count, changes[0])
    return documents


def read(path: Path, encoding: str = "utf-8", join_sentences: int = 1) -> Iterator[RawReport | LeftOut]:
    """The documents of a CoNLL file as they stand there, one at a time.

    Tags that their scheme does not allow are read as conlleval reads them (an ``I-`` without a beginning begins an
    entity) and named. Raises MarsadError as :func:`read_conll`.
    """
    scheme = find_scheme(path, encoding)
    found = False
    for one in _documents(path, encoding, join_sentences):
        found = True
        yield _report(one, path, scheme)
    if not found:
        raise MarsadError(f"{path}: holds no document; expected a word and its tag a line")


# --- lines -----------------------------------------------------------------------------------------------


def _documents(path: Path, encoding: str, join_sentences: int = 1) -> Iterator[_Open]:
    """The documents of a file, comments still as strings."""
    current: _Open | None = None
    sentence: list[_Row] = []
    marked = False  # whether documents begin at -DOCSTART- or comments, or each sentence is one
    for number, line in lines_of(path, encoding):
        if isinstance(line, bytes):
            raise MarsadError(f"{path}:{number}: not UTF-8; save the file as UTF-8, or name its encoding (--encoding)")
        if not line.strip(" \t"):
            sentence = []
            continue
        if line.startswith("-DOCSTART-"):
            if current is not None and (current.sentences or current.comments):
                yield current
            current, sentence, marked = _Open(number, True), [], True
            continue
        comment = _COMMENT.fullmatch(line) if not sentence else None
        if comment:
            key, value = comment.groups()
            if current is None or current.sentences or key in current.comments:
                if current is not None:
                    yield current
                current = _Open(number, True)
            current.comments[key] = value
            marked = True
            continue
        row = _row(line, number)
        if row is None and line.startswith("#") and not sentence:
            current = current or _Open(number, False)
            current.ignored += 1
            continue
        if row is None:
            raise MarsadError(
                f"{path}:{number}: {line[:60]!r} is no word with a tag; expected the word first and its tag "
                "(O, B-ACTOR, …) last, with a tab or blanks between them"
            )
        if not sentence:
            full = 1 if marked else join_sentences
            if current is None or (len(current.sentences) >= full and not (marked and current.begun)):
                if current is not None:
                    yield current
                current = _Open(number, False)
            current.sentences.append(sentence)
            if not current.begun and len(current.sentences) == 1:
                current.line = number
        sentence.append(row)
    if current is not None and (current.sentences or current.comments):
        yield current


def _row(line: str, number: int) -> _Row | None:
    columns = line.rstrip(" \t").split("\t") if "\t" in line.strip(" \t") else _BLANKS.split(line.strip(" \t"))
    if len(columns) < 2 or not columns[0].strip(" ") or not IS_TAG.fullmatch(columns[-1].strip(" ")):
        return None
    return _Row(number, columns[0].strip(" "), columns[-1].strip(" "))


# --- tags ------------------------------------------------------------------------------------------------


def find_scheme(path: Path, encoding: str = "utf-8") -> str:
    """``IOB2``, ``IOB1`` or ``BIOES`` (which BILOU is too, by other letters), by the tags of a whole file.

    With ``E-``, ``S-``, ``L-`` or ``U-`` it is BIOES. With ``I-`` alone at the beginning of entities, and ``B-`` only
    between two that touch, it is IOB1. Otherwise it is IOB2.
    """
    loose_inside = free_begin = False
    for document in _documents(path, encoding):
        for sentence in document.sentences:
            before = "O"
            for row in sentence:
                if row.tag[0] in "ESLU":
                    return "BIOES"
                touches = before != "O" and before[2:] == row.tag[2:]
                loose_inside |= row.tag[0] == "I" and not touches
                free_begin |= row.tag[0] == "B" and not touches
                before = row.tag
    return "IOB1" if loose_inside and not free_begin else "IOB2"


def to_iob2(tags: Sequence[str], scheme: str = "IOB2") -> tuple[list[str], list[tuple[int, str]]]:
    """Tags of any scheme as valid IOB2, and the places of those that their scheme does not allow, with what is wrong.

    What begins an entity is decided as by conlleval (Tjong Kim Sang and Buchholz 2000): ``B-`` and ``S-``, and whatever
    follows ``O``, an ended entity or another type.
    """
    result: list[str] = []
    wrong: list[tuple[int, str]] = []
    before = "O"
    for index, tag in enumerate([*tags, "O"]):
        begins = tag != "O" and (tag[0] in "BSU" or before == "O" or before[0] in "ESLU" or before[2:] != tag[2:])
        if scheme == "BIOES" and before[0] in "BI" and (begins or tag == "O"):
            wrong.append((index - 1, f"{before} is not ended"))
        if index == len(tags):
            break
        if begins and (tag[0] in "EL" or (tag[0] == "I" and scheme != "IOB1")):
            wrong.append((index, f"{tag} follows {before}"))
        result.append("O" if tag == "O" else f"{'B' if begins else 'I'}-{tag[2:]}")
        before = tag
    return result, wrong


# --- a document ------------------------------------------------------------------------------------------


def _report(one: _Open, path: Path, scheme: str) -> RawReport | LeftOut:
    where = f"{path}:{one.line}"
    raw = {**one.comments, "words": [[[row.word, row.tag] for row in sentence] for sentence in one.sentences]}
    name: Any = _string(one.comments["id"]) if "id" in one.comments else f"{path.stem}:{one.line}"
    changed: list[str] = []
    spans: list[WordSpan] = []
    count = 0
    for sentence in one.sentences:
        tags, wrong = to_iob2([row.tag for row in sentence], scheme)
        changed += [f"line {sentence[index].line}: {what}; read as conlleval does" for index, what in wrong]
        spans += [WordSpan(span.first + count, span.last + count, span.label) for span in decode_tags(tags)]
        count += len(sentence)
    words = [row.word for sentence in one.sentences for row in sentence]
    text, places = _joined(one.sentences)
    entities: list[dict[str, Any]] | None = None
    try:
        if "text" in one.comments:
            text = _string(one.comments["text"])
            places = _places(text, words)
        metadata = _json(one.comments, "metadata", dict)
        if "entities" in one.comments:
            entities = _json(one.comments, "entities", list)
    except ValueError as error:
        return LeftOut(where, raw, name, "comments and words disagree", str(error), spans=len(spans))
    raw_spans = [RawSpan(places[span.first][0], places[span.last - 1][1], span.label) for span in spans]
    if entities is not None:
        exact = _exact_spans(text, entities, spans, len(words))
        if exact is None:
            changed.append("its # entities do not agree with its tags; the tags are read")
        else:
            raw_spans = exact
    published = one.comments.get("published")
    return RawReport(
        where=where,
        record=raw,
        id=name,
        text=text,
        spans=raw_spans,
        published=None if published in (None, "null") else _string(published),
        source=_string(one.comments["source"]) if "source" in one.comments else None,
        metadata=metadata or {},
        ignored={"comment lines": one.ignored} if one.ignored else {},
        changed=changed,
    )


def _joined(sentences: Sequence[Sequence[_Row]]) -> tuple[str, list[tuple[int, int]]]:
    """A text made of words, and the place of each."""
    places: list[tuple[int, int]] = []
    at = 0
    for sentence in sentences:
        for row in sentence:
            places.append((at, at + len(row.word)))
            at += len(row.word) + 1
    return "\n".join(" ".join(row.word for row in sentence) for sentence in sentences), places


def _places(text: str, words: Sequence[str]) -> list[tuple[int, int]]:
    """Where the words of a file stand in its ``# text``. Raises ValueError where one does not."""
    ours = split_words(text, TextConfig())
    if [_shown(text[word.start : word.end]) for word in ours] == list(words):
        return [(word.start, word.end) for word in ours]
    places: list[tuple[int, int]] = []
    at = 0
    for word in words:
        start = text.find(word, at)
        if start < 0 or any(char.isalnum() for char in text[at:start]):
            raise ValueError(f"the word {word!r} does not stand in # text after {text[max(0, at - 20) : at]!r}")
        at = start + len(word)
        places.append((start, at))
    if any(char.isalnum() for char in text[at:]):
        raise ValueError(f"# text goes on after the last word, with {text[at : at + 20]!r}")
    return places


def _exact_spans(
    text: str, entities: list[dict[str, Any]], spans: Sequence[WordSpan], count: int
) -> list[RawSpan] | None:
    """The spans of ``# entities``, or None where they do not give these tags."""
    try:
        document = document_from_record({"id": "-", "text": text, "entities": entities}, "-")
    except MarsadError:
        return None
    words = split_words(text, TextConfig())
    if len(words) != count or tuple(spans) != align_entities(document, words).spans:
        return None
    return [RawSpan(one.start, one.end, one.label, score=one.score, extra=one.extra) for one in document.entities]


def _string(value: str) -> str:
    """The value of a comment: a JSON string, or as it stands where it is none."""
    try:
        read = json.loads(value) if value.startswith('"') else None
    except ValueError:
        read = None
    return read if isinstance(read, str) else value


def _json(comments: dict[str, str], key: str, kind: type) -> Any:
    if key not in comments:
        return None
    try:
        value = json.loads(comments[key])
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, kind):
        raise ValueError(f"# {key} is no JSON {'list' if kind is list else 'object'}")
    return value


# --- writing ---------------------------------------------------------------------------------------------


def write(documents: Iterable[Document], path: Path) -> None:
    """Write documents as CoNLL columns, whole or not at all.

    Raises MarsadError when the file can't be written, or a label can't be part of a tag.
    """
    with new_file(path) as file:
        for document in documents:
            _write_document(document, file)


def _write_document(document: Document, file: TextIO) -> None:
    for entity in document.entities:
        if entity.label.split() != [entity.label] or _shown(entity.label) != entity.label:
            raise MarsadError(
                f"{document.id!r}: the label {entity.label!r} holds whitespace, so that it can't be a tag"
            )
    record = document_to_record(document)
    words = split_words(document.text, TextConfig())
    alignment = align_entities(document, words)
    tags = encode_tags(alignment.spans, len(words))
    said = [
        {"start": words.words[span.first].start, "end": words.words[span.last - 1].end, "label": span.label}
        for span in alignment.spans
    ]
    comments: dict[str, Any] = {"id": document.id, "published": record["published"]}
    if document.source is not None:
        comments["source"] = document.source
    if document.metadata:
        comments["metadata"] = dict(document.metadata)
    comments["text"] = document.text
    if record["entities"] != said:
        comments["entities"] = record["entities"]
    file.write("-DOCSTART-\tO\n")
    for key, value in comments.items():
        file.write(f"# {key} = {as_json(value)}\n")
    for first, last in words.paragraphs:
        for word, tag in zip(words.words[first:last], tags[first:last], strict=True):
            file.write(f"{_shown(document.text[word.start : word.end])}\t{tag}\n")
        file.write("\n")
    if not words.words:
        file.write("\n")


def _shown(word: str) -> str:
    """A word as a line can hold it: without the blanks of a broken word, lone surrogates replaced."""
    word = "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in word if not char.isspace())
    return word or "\ufffd"
