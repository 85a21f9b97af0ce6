"""``predict.py``: files of reports in, one JSON object a report out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import tee
from pathlib import Path

from marsad.annotations.jsonl import document_from_record, read_records, write_records
from marsad.batch.progress import show_progress
from marsad.batch.recognizer import Recognizer
from marsad.documents import Document
from marsad.errors import MarsadError


def predict_files(model: str | Path, inputs: Sequence[Path], output: Path) -> int:
    """Find the entities of every report of ``inputs`` and write them to ``output``; returns the number of reports.

    ``.jsonl``, ``.ndjson`` and ``.json`` files hold one report a line (``id`` and ``text``; other keys are not read); a
    ``.txt`` file, or one without an ending, is one report in plain text, whose id is the file's name without its suffix
    (its path where two files bear the same name). The output has a line for each report, in order: ``id`` and
    ``entities`` with ``start``, ``end``, ``label``, ``text``, ``score``. It is written whole or not at all.

    Raises MarsadError for an unreadable input, an id that stands twice, or an output that is an input or a folder.
    """
    if output.is_dir():  # found now, not after hours of work
        raise MarsadError(f"{output}: is a folder, expected a file to write")
    for path in inputs:
        if path.exists() and output.exists() and path.samefile(output):
            raise MarsadError(f"{output}: is an input too; choose another --output")
    recognizer = Recognizer.from_pretrained(model)
    # Read twice, so that a mistake in the last line is found before the work and memory stays flat; a pipe can be
    # read only once.
    held = None if all(path.is_file() for path in inputs) else list(read_reports(inputs))
    total = sum(1 for _ in held or read_reports(inputs))
    named, texts = tee(held or read_reports(inputs))
    predictions = recognizer.stream(document.text for document in texts)
    bar = show_progress(predictions, total, "predicting")
    return write_records(
        (
            {"id": document.id, "entities": prediction.records()}
            for document, prediction in zip(named, bar, strict=True)
        ),
        output,
    )


def read_reports(inputs: Sequence[Path], whole: bool = False) -> Iterator[Document]:
    """The reports of files of JSON Lines and of plain texts, as :func:`predict_files` takes them.

    ``whole``: with all keys of their JSON objects; else id and text alone are read.

    Raises MarsadError for an unreadable file, one without a report, and an id that stands twice.
    """
    seen: dict[str, str] = {}
    stems = Counter(path.stem for path in inputs)
    for path in inputs:
        count = 0
        for where, document in _read_file(path, path.stem if stems[path.stem] == 1 else path.as_posix(), whole):
            if document.id in seen:
                raise MarsadError(
                    f"{where}: id {document.id!r} already stands at {seen[document.id]}; every report needs its own id"
                )
            seen[document.id] = where
            count += 1
            yield document
        if not count:
            raise MarsadError(f"{path}: holds no report")


def _read_file(path: Path, name: str, whole: bool) -> Iterator[tuple[str, Document]]:
    """Place and report; ``name`` is the id of a plain text."""
    if path.suffix.lower() in {".jsonl", ".ndjson", ".json"}:
        for where, record in read_records(path):
            if not whole:
                record = {key: value for key, value in record.items() if key in ("id", "text")}
            yield where, document_from_record(record, where)
        return
    if path.suffix.lower() not in {"", ".txt"} and path.is_file():
        raise MarsadError(f"{path}: has an unknown ending; expected .jsonl (a report a line) or .txt (one report)")
    try:
        # newline="" keeps \r\n as it is: offsets must be exact in the file's own text.
        with path.open(encoding="utf-8-sig", newline="") as file:
            text = file.read()
    except FileNotFoundError:
        raise MarsadError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise MarsadError(f"{path}: is a folder, expected a file of reports") from None
    except OSError as error:
        raise MarsadError(f"{path}: can't be read ({error.strerror or error})") from None
    except UnicodeDecodeError as error:
        raise MarsadError(f"{path}: invalid UTF-8 at byte {error.start}; save the file as UTF-8") from None
    if text.strip():
        yield str(path), Document(name, text)
