"""Label Studio: JSON, JSON-MIN and the older JSON with ``completions``.

Written are tasks with one annotation each, for a project with this labelling interface::

    <View><Labels name="label" toName="text"><Label value="ACTOR"/>…</Labels><Text name="text" value="$text"/></View>

A task's ``data`` carries text, published, source, metadata, and the id as ``report_id``, since JSON-MIN puts the task's
number in the place of ``id``; scores and further keys of entities are not carried. Newer versions count offsets in code
points, older ones in UTF-16 units; ``value.text`` tells.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from marsad.annotations.formats.raw import LeftOut, RawReport, RawSpan, as_json, json_records, new_file
from marsad.annotations.jsonl import document_to_record
from marsad.documents import Document, Entity
from marsad.errors import MarsadError

# What JSON-MIN puts beside the data.
_MIN_KEYS = frozenset({"annotator", "annotation_id", "created_at", "updated_at", "lead_time", "agreement", "history"})
_DATA_KEYS = frozenset({"id", "report_id", "text", "published", "source"})
_SPAN_TYPES = ("labels", "hypertextlabels")


def read(path: Path, encoding: str = "utf-8") -> Iterator[RawReport | LeftOut]:
    """The tasks of an export.

    Of several annotations of a task the one marked as ground truth is taken, otherwise the latest that was not
    cancelled; the others are counted. A task whose annotations were all cancelled (skipped) is left out.
    """
    minimal: dict[Any, list[tuple[str, dict[str, Any]]]] = defaultdict(list)
    for where, task in json_records(path, encoding):
        if isinstance(task, LeftOut):
            yield task
        elif isinstance(task.get("data"), dict):
            yield _task(task, where)
        elif "data" in task or "result" in task:
            yield LeftOut(where, task, task.get("id"), "no task", "no task with an object 'data'")
        else:
            minimal[_key(task, where)].append((where, task))
    # An export of JSON-MIN holds annotated tasks alone, and no column for one without entities.
    exported = any(_columns(row) or "annotation_id" in row for rows in minimal.values() for _, row in rows)
    for rows in minimal.values():
        yield _minimal(rows, exported)


def _key(row: Mapping[str, Any], where: str) -> Any:
    key = row.get("id")
    return (key, row.get("text")) if isinstance(key, str | int) and isinstance(row.get("text"), str) else where


# --- JSON ------------------------------------------------------------------------------------------------


def _task(task: dict[str, Any], where: str) -> RawReport | LeftOut:
    annotations = task.get("annotations", task.get("completions"))
    if annotations is None:
        annotations = []
    number = task.get("id", where)
    if not isinstance(annotations, list) or not all(isinstance(one, dict) for one in annotations):
        return LeftOut(where, task, number, "no annotations", "its annotations are no list of objects")
    valid = [one for one in annotations if not (one.get("was_cancelled") or one.get("skipped"))]
    ignored: dict[str, int] = {}
    if annotations and not valid:
        reason = "all its annotations were cancelled (skipped)"
        return LeftOut(where, task, number, "skipped by the annotator", reason, rejected=False)
    results: Any = []
    if valid:
        chosen = _choose(valid)
        results = chosen.get("result")
        _count(ignored, "further annotations of a task", len(valid) - 1)
        _count(ignored, "cancelled annotations", len(annotations) - len(valid))
    if not isinstance(results, list) or not all(isinstance(one, dict) for one in results):
        return LeftOut(where, task, number, "no annotations", "the result of its annotation is no list of objects")
    spans: list[RawSpan] = []
    for result in results:
        if result.get("type", "labels") in _SPAN_TYPES:
            value = result.get("value")
            spans += _spans(value if isinstance(value, dict) else {})
        else:
            _count(ignored, f"results of the type {result.get('type')}", 1)
    return _report(where, task, task["data"], number, spans, bool(annotations), ignored)


def _choose(annotations: Sequence[dict[str, Any]]) -> dict[str, Any]:
    truths = [one for one in annotations if one.get("ground_truth") or one.get("honeypot")]
    return _latest(truths or annotations)


def _latest(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The row that was changed last; the last in the file where that is not told."""
    times = [row.get("updated_at") or row.get("created_at") for row in rows]
    if len({type(time) for time in times}) != 1 or times[0] is None:
        return rows[-1]
    return max(zip(times, range(len(rows)), rows, strict=True), key=lambda one: one[:2])[2]


def _count(counts: dict[str, int], name: str, number: int) -> None:
    if number:
        counts[name] = counts.get(name, 0) + number


def _spans(value: Mapping[str, Any]) -> list[RawSpan]:
    """The span of one region, once for each of its labels."""
    labels = value.get("labels", value.get("hypertextlabels"))
    offsets = value["globalOffsets"] if isinstance(value.get("globalOffsets"), dict) else value
    if not isinstance(labels, list) or not labels:
        labels = [labels if isinstance(labels, str) else None]
    text = value.get("text")
    return [
        RawSpan(offsets.get("start"), offsets.get("end"), label, text if isinstance(text, str) and text else None)
        for label in labels
    ]


def _report(
    where: str,
    record: Any,
    data: Mapping[str, Any],
    number: Any,
    spans: Sequence[RawSpan],
    annotated: bool,
    ignored: Mapping[str, int],
) -> RawReport:
    metadata = {key: value for key, value in data.items() if key not in _DATA_KEYS}
    text: Any = data.get("text")
    if "text" not in data:  # another name, as the interface has it: the one string there is
        strings = [key for key, value in metadata.items() if isinstance(value, str)]
        if len(strings) == 1:
            text = metadata.pop(strings[0])
    name = data.get("report_id", data.get("id"))
    return RawReport(
        where=where,
        record=record,
        id=name if isinstance(name, str) and name else f"labelstudio-{number if name is None else name}",
        text=text,
        spans=spans,
        published=data.get("published"),
        source=data.get("source"),
        metadata=metadata,
        annotated=annotated,
        ignored=ignored,
    )


# --- JSON-MIN --------------------------------------------------------------------------------------------


def _minimal(rows: Sequence[tuple[str, dict[str, Any]]], annotated: bool) -> RawReport | LeftOut:
    """One task of JSON-MIN, which has a row for each of its annotations."""
    chosen = _latest([row for _, row in rows])
    where = next(where for where, row in rows if row is chosen)
    columns = _columns(chosen)
    spans = [span for key in columns for value in chosen[key] for span in _spans(value)]
    data = {key: value for key, value in chosen.items() if key not in columns and key not in _MIN_KEYS}
    if isinstance(chosen.get("label"), list) and not columns:
        data.pop("label")
    ignored: dict[str, int] = {}
    _count(ignored, "further annotations of a task", len(rows) - 1)
    return _report(where, chosen, data, where, spans, annotated, ignored)


def _columns(row: Mapping[str, Any]) -> list[str]:
    """The keys under which spans stand: the names of the interface's tags."""
    return [
        key
        for key, value in row.items()
        if isinstance(value, list) and value and all(isinstance(one, dict) and "start" in one for one in value)
    ]


# --- writing ---------------------------------------------------------------------------------------------


def write(documents: Iterable[Document], path: Path) -> None:
    """Write documents as tasks to import, whole or not at all. Raises MarsadError when the file can't be written."""
    with new_file(path) as file:
        file.write("[")
        for number, document in enumerate(documents):
            file.write(",\n" if number else "\n")
            file.write(as_json(task_of(document)))
        file.write("\n]\n")


def write_predictions(documents: Iterable[Document], path: Path, version: str) -> None:
    """As :func:`write`, with the entities as the predictions of the model ``version``, for annotators to mend.

    Each carries its score; a task's is the least of them. Raises MarsadError when the file can't be written.
    """
    with new_file(path) as file:
        file.write("[")
        for number, document in enumerate(documents):
            task = task_of(document)
            (annotation,) = task.pop("annotations")
            scores = [entity.score for entity in document.entities if entity.score is not None]
            for region, entity in zip(annotation["result"], document.entities, strict=True):
                region["score"] = entity.score
            annotation["model_version"] = version
            annotation["score"] = min(scores, default=None)
            task["predictions"] = [annotation]
            file.write(",\n" if number else "\n")
            file.write(as_json(task))
        file.write("\n]\n")


def task_of(document: Document) -> dict[str, Any]:
    """A document as a task with one annotation."""
    if "report_id" in document.metadata:
        raise MarsadError(f"{document.id!r}: has a key 'report_id', which its id needs for itself in Label Studio")
    data = document_to_record(document)
    data = {"report_id": data.pop("id")} | {key: value for key, value in data.items() if key != "entities"}
    result = [_region(document.text, number, entity) for number, entity in enumerate(document.entities)]
    return {"data": data, "annotations": [{"result": result}]}


def _region(text: str, number: int, entity: Entity) -> dict[str, Any]:
    value = {
        "start": entity.start,
        "end": entity.end,
        "text": text[entity.start : entity.end],
        "labels": [entity.label],
    }
    return {"id": f"e{number}", "from_name": "label", "to_name": "text", "type": "labels", "value": value}
