"""Hugging Face ``datasets`` folders (``save_to_disk``) and Parquet files.

Written are the columns id, text, published, source, metadata (JSON), and entities: a list of start, end, label, score
and extra (JSON). Read are these, and what is common elsewhere: ``text`` with ``entities`` or ``spans`` (offsets in code
points), or ``tokens`` with ``ner_tags`` or ``tags`` in any scheme of CoNLL, which are joined by blanks.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from marsad.annotations.formats.conll import IS_TAG, to_iob2
from marsad.annotations.formats.raw import LeftOut, RawReport, RawSpan, as_json, new_folder, new_path, readable
from marsad.annotations.jsonl import document_to_record
from marsad.documents import Document
from marsad.errors import MarsadError
from marsad.modeling.tagging import decode_tags

_TAGS = ("ner_tags", "tags", "ner", "labels")
_SPANS = ("entities", "spans")
_SPAN_KEYS = frozenset({"start", "end", "label", "text", "score", "extra"})


def read(path: Path, encoding: str = "utf-8") -> Iterator[RawReport | LeftOut]:
    """The rows of a folder of ``save_to_disk`` (of a ``DatasetDict`` all splits) or of a Parquet file.

    Raises MarsadError for what is neither, and for columns that hold no annotated text.
    """
    opened = list(_open(path))
    numbered = _numbered_anew(opened)
    for split, dataset in opened:
        columns = set(dataset.column_names)
        tags = next((name for name in _TAGS if name in columns), None)
        spans = next((name for name in _SPANS if name in columns), None)
        by_tags = "tokens" in columns and tags is not None
        if not by_tags and "text" not in columns:
            raise MarsadError(
                f"{path}: has the columns {', '.join(sorted(columns))}; expected text with entities or spans, "
                "or tokens with ner_tags or tags"
            )
        names = _tag_names(dataset.features[tags]) if by_tags and tags else None
        labels = _span_labels(dataset.features[spans]) if spans else None
        scheme = _scheme(dataset, tags, names) if by_tags and tags else "IOB2"
        for index, row in enumerate(dataset):
            where = f"{path}{f'/{split}' if split else ''}[{index}]"
            name = row.get("id")
            if name is None:
                name = f"{path.stem}:{split + ':' if split else ''}{index}"
            else:
                name = f"{split}:{name}" if split in numbered else str(name)
            try:
                if by_tags and tags and not (spans and "text" in columns):
                    yield _from_tags(row, where, name, tags, names, scheme)
                else:
                    yield _from_spans(row, where, name, spans, labels)
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                yield LeftOut(where, _plain(row), name, "no annotated row", str(error))


def _open(path: Path) -> Iterator[tuple[str, Any]]:
    with readable(path):
        path.stat()
    import datasets
    import pyarrow

    try:
        if path.is_dir():
            loaded: Any = datasets.load_from_disk(str(path))
        else:
            # Not Dataset.from_parquet, which leaves a copy in the cache for each file ever read.
            loaded = datasets.Dataset(pyarrow.parquet.read_table(path))
    except FileNotFoundError:
        raise MarsadError(f"{path}: no folder of save_to_disk; expected one, or a Parquet file") from None
    except (pyarrow.ArrowException, ValueError, OSError) as error:
        raise MarsadError(
            f"{path}: no Parquet file or folder of save_to_disk ({' '.join(str(error).split())})"
        ) from None
    splits = loaded.items() if isinstance(loaded, dict) else [("", loaded)]
    if not any(len(one) for _, one in splits):
        raise MarsadError(f"{path}: holds no row")
    yield from splits


def _numbered_anew(opened: list[tuple[str, Any]]) -> frozenset[str]:
    """The splits, where ids begin anew in each of them, as those of CoNLL-2003 do."""
    seen: set[str] = set()
    for _, dataset in opened if len(opened) > 1 else ():
        ids = {str(one) for one in dataset["id"]} if "id" in dataset.column_names else set()
        if not seen.isdisjoint(ids):
            return frozenset(split for split, _ in opened)
        seen |= ids
    return frozenset()


def _span_labels(feature: Any) -> list[str] | None:
    """The names of labels that stand as numbers in spans, where the feature knows them."""
    inner = getattr(feature, "feature", feature[0] if isinstance(feature, list) else feature)
    label = inner.get("label") if isinstance(inner, dict) else None
    return _tag_names(label) or _class_names(label)


def _class_names(feature: Any) -> list[str] | None:
    import datasets

    return list(feature.names) if isinstance(feature, datasets.ClassLabel) else None


def _tag_names(feature: Any) -> list[str] | None:
    """The names of tags that stand as numbers, where the feature knows them."""
    return _class_names(getattr(feature, "feature", feature[0] if isinstance(feature, list) else None))


def _tag(tag: Any, names: list[str] | None) -> Any:
    """A tag as it is written; -1 is what ``ClassLabel`` has for none known, and counts from no end of the names."""
    if names is None or not isinstance(tag, int):
        return tag
    if not 0 <= tag < len(names):
        raise ValueError(f"the tag {tag} is none of the {len(names)} that the column knows; is the row annotated?")
    return names[tag]


def _scheme(dataset: Any, column: str, names: list[str] | None) -> str:
    values = {tag for row in dataset.select_columns([column]) for tag in row[column] or ()}
    known = {names[tag] if names and isinstance(tag, int) and 0 <= tag < len(names) else tag for tag in values}
    prefixes = {str(tag)[0:1] for tag in known}
    return "BIOES" if prefixes & set("ESLU") else "IOB2" if "B" in prefixes else "IOB1"


def _from_tags(
    row: dict[str, Any], where: str, name: str, column: str, names: list[str] | None, scheme: str
) -> RawReport:
    tokens = row["tokens"]
    tags = [_tag(tag, names) for tag in row[column]]
    if len(tokens) != len(tags):
        raise ValueError(f"{len(tokens)} tokens with {len(tags)} tags")
    for tag in tags:
        if not isinstance(tag, str) or not IS_TAG.fullmatch(tag):
            raise ValueError(f"the tag {tag!r} is none; expected O, B-ACTOR, …")
    places: list[tuple[int, int]] = []
    at = 0
    for token in tokens:
        places.append((at, at + len(token)))
        at += len(token) + 1
    iob2, wrong = to_iob2(tags, scheme)
    return RawReport(
        where=where,
        record=_plain(row),
        id=name,
        text=" ".join(tokens),
        spans=[RawSpan(places[one.first][0], places[one.last - 1][1], one.label) for one in decode_tags(iob2)],
        published=row.get("published"),
        source=row.get("source"),
        metadata=_others(row, {"tokens", column}),
        changed=[f"tag {index}: {what}; read as conlleval does" for index, what in wrong],
    )


def _others(row: Mapping[str, Any], taken: set[str]) -> dict[str, Any]:
    """What else a row says of its report, and its metadata."""
    own = {"id", "text", "published", "source", "metadata", *taken}
    carried = row.get("metadata")
    if isinstance(carried, str):
        carried = json.loads(carried)
    others = {key: value for key, value in row.items() if key not in own and value is not None}
    return others | dict(carried or {})


def _from_spans(row: dict[str, Any], where: str, name: str, column: str | None, labels: list[str] | None) -> RawReport:
    spans = row[column] if column else None
    if isinstance(spans, str):
        spans = json.loads(spans)
    if isinstance(spans, dict):  # a list for each key, as Sequence({…}) has it
        spans = [dict(zip(spans, values, strict=True)) for values in zip(*spans.values(), strict=True)]
    return RawReport(
        where=where,
        record=_plain(row),
        id=name,
        text=row["text"],
        spans=[_span(span, labels) for span in spans or ()],
        published=row.get("published"),
        source=row.get("source"),
        metadata=_others(row, set(_SPANS)),
        annotated=spans is not None,
    )


def _span(span: Mapping[str, Any], labels: list[str] | None) -> RawSpan:
    if not isinstance(span, dict):
        raise TypeError(f"a span is {span!r}, expected an object with start, end and label")
    extra = span.get("extra")
    others = {key: value for key, value in span.items() if key not in _SPAN_KEYS}
    return RawSpan(
        start=span.get("start"),
        end=span.get("end"),
        label=_tag(span.get("label"), labels),
        text=span.get("text"),
        score=span.get("score"),
        extra=others | (json.loads(extra) if isinstance(extra, str) else {}),
    )


def _plain(row: Mapping[str, Any]) -> Any:
    return json.loads(json.dumps(dict(row), default=str))


def write(documents: Iterable[Document], path: Path) -> None:
    """Write documents as a Parquet file where ``path`` ends in .parquet, otherwise as a folder of ``save_to_disk``.

    Raises MarsadError when it can't be written, or a text holds a lone surrogate.
    """
    import datasets
    import pyarrow

    rows = [_row(document) for document in documents]
    string, number = datasets.Value("string"), datasets.Value("int64")
    entity = {"start": number, "end": number, "label": string, "score": datasets.Value("float64"), "extra": string}
    columns = dict.fromkeys(("id", "text", "published", "source", "metadata"), string)
    try:
        dataset = datasets.Dataset.from_list(rows, features=datasets.Features(columns | {"entities": [entity]}))
    except (UnicodeEncodeError, pyarrow.ArrowException) as error:
        raise MarsadError(f"{path}: a report does not fit the columns ({' '.join(str(error).split())})") from None
    datasets.disable_progress_bars()
    if path.suffix == ".parquet":
        with new_path(path) as partial:
            dataset.to_parquet(str(partial))
        return
    with new_folder(path) as folder:
        dataset.save_to_disk(str(folder))


def _row(document: Document) -> dict[str, Any]:
    record = document_to_record(document)
    return {
        "id": document.id,
        "text": document.text,
        "published": record["published"],
        "source": document.source,
        "metadata": as_json(dict(document.metadata)),
        "entities": [
            {
                "start": one.start,
                "end": one.end,
                "label": one.label,
                "score": one.score,
                "extra": as_json(dict(one.extra)) if one.extra else None,
            }
            for one in document.entities
        ],
    }
