"""``predict.py``: files of reports in, one JSON object a report out."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from marsad.annotations.jsonl import document_from_record, read_records, write_records
from marsad.batch.recognizer import Recognizer
from marsad.errors import MarsadError


def predict_files(model: str | Path, inputs: Sequence[Path], output: Path) -> int:
    """Find the entities of every report of ``inputs`` and write them to ``output``; returns the number of reports.

    ``.jsonl`` and ``.json`` files hold one report a line (``id`` and ``text``; other keys are not read); any other
    file is one report in plain text, whose id is the file's name without its suffix. The output has a line
    for each report, in order: ``id`` and ``entities`` with ``start``, ``end``, ``label``, ``text``, ``score``. It is
    written whole or not at all.

    Raises MarsadError for an unreadable input, an id that stands twice, or an output that is an input or a folder.
    """
    if output.is_dir():  # found now, not after hours of work
        raise MarsadError(f"{output}: is a folder, expected a file to write")
    for path in inputs:
        if path.exists() and output.exists() and path.samefile(output):
            raise MarsadError(f"{output}: is an input too; choose another --output")
    reports = list(_read_reports(inputs))
    recognizer = Recognizer.from_pretrained(model)
    predictions = recognizer.stream(text for _, text in reports)
    bar = tqdm(predictions, total=len(reports), unit="report", desc="predicting", disable=not sys.stderr.isatty())

    def records() -> Iterator[dict[str, Any]]:
        for (name, _), prediction in zip(reports, bar, strict=True):
            yield {"id": name, "entities": prediction.records()}

    return write_records(records(), output)


def _read_reports(inputs: Sequence[Path]) -> Iterator[tuple[str, str]]:
    seen: dict[str, str] = {}
    for path in inputs:
        count = 0
        for where, name, text in _read_file(path):
            if name in seen:
                raise MarsadError(f"{where}: id {name!r} already stands at {seen[name]}; every report needs its own id")
            seen[name] = where
            count += 1
            yield name, text
        if not count:
            raise MarsadError(f"{path}: holds no report")


def _read_file(path: Path) -> Iterator[tuple[str, str, str]]:
    if path.suffix in {".jsonl", ".json"}:
        for where, record in read_records(path):
            document = document_from_record({key: record[key] for key in ("id", "text") if key in record}, where)
            yield where, document.id, document.text
        return
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
        yield str(path), path.stem, text
