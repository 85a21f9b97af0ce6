"""Prodigy: JSON Lines with tokens and spans.

``meta`` carries id, published, source and metadata; spans carry scores and further keys. Written with the words of
:func:`~marsad.text.words.split_words` as tokens, so that an English tokeniser does not leave ``إدلب،`` one token.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from marsad.annotations.formats.raw import LeftOut, RawReport, RawSpan, as_json, json_records, new_file
from marsad.annotations.jsonl import document_to_record
from marsad.documents import Document
from marsad.text.normalization import TextConfig
from marsad.text.words import split_words, words_in_span

_KEYS = frozenset(
    {"text", "tokens", "spans", "meta", "answer", "id", "relations", "options", "accept", "html", "label"}
)
_SPAN_KEYS = frozenset({"start", "end", "label", "text", "score", "token_start", "token_end", "source", "input_hash"})


def read(path: Path, encoding: str = "utf-8") -> Iterator[RawReport | LeftOut]:
    """The examples of an export. Those whose ``answer`` is reject or ignore are left out.

    Without an id in ``meta`` an example bears its ``_input_hash``, or its place.
    """
    for where, record in json_records(path, encoding):
        yield record if isinstance(record, LeftOut) else _report(record, where)


def _report(record: dict[str, Any], where: str) -> RawReport | LeftOut:
    meta = record.get("meta")
    meta = dict(meta) if isinstance(meta, dict) else {}
    name = meta.pop("id", record.get("id"))
    if not isinstance(name, str) or not name:
        name = f"prodigy-{record.get('_input_hash', where) if name is None else name}"
    spans = record.get("spans")
    spans = [] if spans is None else spans
    if not isinstance(spans, list) or not all(isinstance(span, dict) for span in spans):
        return LeftOut(where, record, name, "no list of spans", "spans is no list of objects")
    answer = record.get("answer", "accept")
    if answer in ("reject", "ignore"):
        reason = f"the annotator's answer is {answer}"
        return LeftOut(where, record, name, f"answer: {answer}", reason, rejected=False, spans=len(spans))
    if answer != "accept":
        reason = f"answer is {answer!r}, expected accept, reject or ignore"
        return LeftOut(where, record, name, "unknown answer", reason, spans=len(spans))
    if record.get("_is_binary"):
        reason = "ner.teach asked of one span alone, so that all others would count as none"
        return LeftOut(where, record, name, "binary answer", reason, rejected=False, spans=len(spans))
    text, tokens = record.get("text"), record.get("tokens")
    return RawReport(
        where=where,
        record=record,
        id=name,
        text=text,
        spans=[
            RawSpan(
                start=span.get("start"),
                end=span.get("end"),
                label=span.get("label"),
                text=span.get("text", _recorded(span, text, tokens)),
                score=span.get("score"),
                extra={key: value for key, value in span.items() if key not in _SPAN_KEYS},
            )
            for span in spans
        ],
        published=meta.pop("published", None),
        source=meta.pop("source", None),
        metadata={key: value for key, value in record.items() if key not in _KEYS and key[:1] != "_"} | meta,
        annotated="answer" in record or "spans" in record,
        ignored={"relations": len(record["relations"])} if record.get("relations") else {},
    )


def _recorded(span: Mapping[str, Any], text: Any, tokens: Any) -> str | None:
    """The text of a span as its tokens have it, or None where these stand at their offsets (or there are none)."""
    try:
        covered = tokens[span["token_start"] : span["token_end"] + 1]
        exact = all(text[token["start"] : token["end"]] == token["text"] for token in covered)
        if exact and covered[0]["start"] == span["start"] and covered[-1]["end"] == span["end"]:
            return None
        pieces = [token["text"] + (" " if token.get("ws") else "") for token in covered]
        return "".join(pieces).strip() or None
    except (KeyError, TypeError, IndexError, AttributeError):
        return None


def write(documents: Iterable[Document], path: Path) -> None:
    """Write documents as accepted examples, whole or not at all. Raises MarsadError when that fails."""
    with new_file(path) as file:
        for document in documents:
            file.write(as_json(_example(document)) + "\n")


def _example(document: Document) -> dict[str, Any]:
    text = document.text
    meta = document_to_record(document)
    del meta["text"], meta["entities"]
    words = split_words(text, TextConfig()).words
    tokens = [
        {
            "text": text[word.start : word.end],
            "start": word.start,
            "end": word.end,
            "id": number,
            "ws": text[word.end : word.end + 1].isspace(),
        }
        for number, word in enumerate(words)
    ]
    spans = []
    for span in document_to_record(document)["entities"]:
        first, last = words_in_span(words, span["start"], span["end"])
        if first < last and (words[first].start, words[last - 1].end) == (span["start"], span["end"]):
            span |= {"token_start": first, "token_end": last - 1}
        spans.append(span)
    return {"text": text, "meta": meta, "tokens": tokens, "spans": spans, "answer": "accept"}
