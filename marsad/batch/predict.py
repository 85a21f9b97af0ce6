"""``predict.py``: files of reports in, one JSON object a report out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import tee
from pathlib import Path

from marsad.annotations.jsonl import document_from_record, read_records, write_records
from marsad.batch.progress import show_progress
from marsad.batch.recognizer import Recognizer
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
    held = None if all(path.is_file() for path in inputs) else list(_read_reports(inputs))
    total = sum(1 for _ in held or _read_reports(inputs))
    named, texts = tee(held or _read_reports(inputs))
    predictions = recognizer.stream(text for _, text in texts)
    bar = show_progress(predictions, total, "predicting")
    return write_records(
        ({"id": name, "entities": prediction.records()} for (name, _), prediction in zip(named, bar, strict=True)),
        output,
    )


def _read_reports(inputs: Sequence[Path]) -> Iterator[tuple[str, str]]:
    seen: dict[str, str] = {}
    stems = Counter(path.stem for path in inputs)
    for path in inputs:
        count = 0
        for where, name, text in _read_file(path, path.stem if stems[path.stem] == 1 else path.as_posix()):
            if name in seen:
                raise MarsadError(f"{where}: id {name!r} already stands at {seen[name]}; every report needs its own id")
            seen[name] = where
            count += 1
            yield name, text
        if not count:
            raise MarsadError(f"{path}: holds no report")


def _read_file(path: Path, name: str) -> Iterator[tuple[str, str, str]]:
    """Place, id and text of each report; ``name`` is the id of a plain text."""
    if path.suffix.lower() in {".jsonl", ".ndjson", ".json"}:
        for where, record in read_records(path):
            document = document_from_record({key: record[key] for key in ("id", "text") if key in record}, where)
            yield where, document.id, document.text
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
        yield str(path), name, text
