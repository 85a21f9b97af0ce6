"""Rows made to break things, through ``predict.py``: nothing may crash, and every row must be found again.

    python benchmarks/hostile.py models/marsad

Writes rows of every kind below, runs the command on them as a user would and checks that each row stands in the output
or among the rejects, never in both, and that every entity is the exact slice of its text. Then the same few reports are
read with and without a line of 200 MB among them (``--huge``), and the peak memory of both runs is compared.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
MARKS = "\u0640\u064b\u064c\u064d\u064e\u064f\u0650\u0651\u0652\u0670"
BIDI = "\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
SENTENCE = "قتل 3 مدنيين وأصيب خمسة آخرون في قصف على بلدة سرمين بريف إدلب مساء أمس الأحد"


@dataclass(frozen=True)
class HostileRow:
    """A line of the input, the id in it, and its text if it is a report that has to be read."""

    kind: str
    line: bytes
    id: str
    text: str | None


def hostile_rows(count: int, seed: int, longest: int) -> Iterator[HostileRow]:
    """``count`` rows, the kinds in turn; ``longest``: characters of the long ones."""
    draw = random.Random(seed)
    kinds = [*_TEXTS, *_LINES]
    for number in range(count):
        kind = kinds[number % len(kinds)]
        name = f"h{number}"
        if kind in _TEXTS:
            text = _TEXTS[kind](draw, longest)
            escaped = draw.random() < 0.5 or any(0xD800 <= ord(one) < 0xE000 for one in text)
            record = json.dumps({"id": name, "text": text}, ensure_ascii=escaped)
            yield HostileRow(kind, record.encode("utf-8"), name, text)
        else:
            yield HostileRow(kind, _LINES[kind](draw, name), name, None)


def _any_plane(draw: random.Random, longest: int) -> str:
    points = (draw.randrange(plane << 16, (plane + 1) << 16) for plane in range(17) for _ in range(4))
    return SENTENCE[:20].join(chr(point) for point in points if not 0xD800 <= point < 0xE000)


def _surrogates(draw: random.Random, longest: int) -> str:
    return " ".join(chr(draw.randrange(0xD800, 0xE000)) + word for word in SENTENCE.split())


def _sprinkled(marks: str) -> Callable[[random.Random, int], str]:
    return lambda draw, longest: "".join(one + draw.choice(marks) * draw.randint(0, 3) for one in SENTENCE)


# Texts: whatever is in them, each is a report.
_TEXTS: dict[str, Callable[[random.Random, int], str]] = {
    "every plane": _any_plane,
    "lone surrogates": _surrogates,
    "NULs": lambda draw, longest: SENTENCE.replace(" ", "\0") + "\0" * draw.randint(1, 50),
    "long": lambda draw, longest: (SENTENCE + ". ") * (longest // len(SENTENCE)) if draw.random() < 0.05 else SENTENCE,
    "long without blanks": lambda draw, longest: "س" * (longest if draw.random() < 0.05 else 3000),
    "bidi": _sprinkled(BIDI),
    "nested bidi": lambda draw, longest: "\u202e\u2067" * 500 + SENTENCE + "\u2069\u202c" * 400,
    "only tatweel": lambda draw, longest: "\u0640" * draw.randint(1, 2000),
    "vowelled": _sprinkled(MARKS),
    "heaps of marks": lambda draw, longest: "ل" + draw.choice(MARKS) * 3000 + SENTENCE,
    "only marks": lambda draw, longest: "".join(draw.choices(MARKS + BIDI, k=300)),
    "empty": lambda draw, longest: "",
    "blanks": lambda draw, longest: "".join(draw.choices(" \t\r\n\v\f\u00a0\u2028\u2029\u3000\x85\u200b", k=200)),
    "odd line breaks": lambda draw, longest: "".join(
        word + draw.choice("\r\n\v\f\x1c\x85\u2028\u2029") for word in SENTENCE.split()
    ),
    "presentation forms": lambda draw, longest: "".join(chr(draw.randrange(0xFB50, 0xFDFF)) for _ in range(300)),
    "emoji": lambda draw, longest: SENTENCE + "👨\u200d👩\u200d👧\u200d👦🏽" * 100,
    "control characters": lambda draw, longest: "".join(map(chr, range(32))) + SENTENCE + "\x7f\x9f\ufeff\ufffe\uffff",
    "private use": lambda draw, longest: "".join(chr(draw.randrange(0xE000, 0xF8FF)) for _ in range(300)),
    "digits": lambda draw, longest: "".join(draw.choices("0123456789٠١٢٣٤٥٦٧٨٩۰۱۲۳²½Ⅷ,.٫٬-/", k=400)),
}

# Lines that hold no report.
_LINES: dict[str, Callable[[random.Random, str], bytes]] = {
    "deep": lambda draw, name: f'{{"id": "{name}", "text": "x", "x": {"[" * 200_000}'.encode(),
    "deep and closed": lambda draw, name: f'{{"id": "{name}", "text": {"[" * 100_000}{"]" * 100_000}}}'.encode(),
    "cut off": lambda draw, name: f'{{"id": "{name}", "text": "{SENTENCE}'.encode()[:-1],
    "raw NUL": lambda draw, name: f'{{"id": "{name}", "text": "a\0b"}}'.encode(),
    "invalid UTF-8": lambda draw, name: (
        f'{{"id": "{name}", "text": "'.encode() + draw.randbytes(40).replace(b"\n", b"") + b'\xff"}'
    ),
    "surrogates in UTF-8": lambda draw, name: f'{{"id": "{name}", "text": "'.encode() + b'\xed\xa0\x80"}',
    "UTF-16": lambda draw, name: f'{{"id": "{name}", "text": "x"}}'.encode("utf-16"),
    "text is a number": lambda draw, name: f'{{"id": "{name}", "text": {draw.random()}}}'.encode(),
    "text is null": lambda draw, name: f'{{"id": "{name}", "text": null}}'.encode(),
    "text is a list": lambda draw, name: f'{{"id": "{name}", "text": ["{SENTENCE}"]}}'.encode(),
    "no text": lambda draw, name: f'{{"id": "{name}", "texts": "{SENTENCE}"}}'.encode(),
    "id is a list": lambda draw, name: f'{{"id": ["{name}"], "text": "x"}}'.encode(),
    "id is empty": lambda draw, name: f'{{"id": "", "text": "{name}"}}'.encode(),
    "an id again": lambda draw, name: b'{"id": "h0", "text": "x"}',
    "a huge number": lambda draw, name: f'{{"id": "{name}", "n": {"9" * 10_000}, "text": "x"}}'.encode(),
    "a list": lambda draw, name: f'["{name}"]'.encode(),
    "a string": lambda draw, name: f'"{name}"'.encode(),
    "two objects": lambda draw, name: f'{{"id": "{name}", "text": "x"}} {{}}'.encode(),
    "noise": lambda draw, name: b"\x00" + draw.randbytes(200).replace(b"\n", b""),
}


def check(rows: list[HostileRow], output: Path) -> Counter[str]:
    """How many rows were found and rejected. Raises ValueError where one is lost, doubled or damaged."""
    found = [json.loads(line) for line in output.read_bytes().splitlines()]
    rejects = [json.loads(line) for line in Path(f"{output}.rejects.jsonl").read_bytes().splitlines()]
    expected = [row for row in rows if row.text is not None]
    if [record["id"] for record in found] != [row.id for row in expected]:
        raise ValueError("the output does not hold each report once, in order")
    if [reject["line"] for reject in rejects] != [line for line, row in enumerate(rows, 1) if row.text is None]:
        raise ValueError("the rejects are not each bad row once, in order")
    for record, row in zip(found, expected, strict=True):
        for entity in record["entities"]:
            if (row.text or "")[entity["start"] : entity["end"]] != entity["text"]:
                raise ValueError(f"{row.id} ({row.kind}): {entity} is not the slice of its text")
    return Counter(reports=len(found), rejects=len(rejects), entities=sum(len(record["entities"]) for record in found))


def check_huge_line(model: Path, megabytes: int, folder: Path) -> str:
    """Peak memory with one huge line and without. Raises ValueError where it grows by 5 %, or the line is no reject."""
    from memory import measure_command

    reports = [json.dumps({"id": f"r{number}", "text": SENTENCE}) + "\n" for number in range(600)]
    peaks = []
    for name, size in (("without", 0), ("with", megabytes)):
        source, output = folder / f"{name}.jsonl", folder / f"{name}.out.jsonl"
        with source.open("w", encoding="utf-8") as file:
            file.writelines(reports[:300])
            if size:
                file.write('{"id": "huge", "text": "')
                for _ in range(size):
                    file.write("x" * 1_000_000)
                file.write('"}\n')
            file.writelines(reports[300:])
        command = [sys.executable, str(ROOT / "predict.py"), str(model), str(source), "--output", str(output)]
        measured = measure_command(command)
        rejects = Path(f"{output}.rejects.jsonl")
        lines = [json.loads(line)["line"] for line in rejects.read_bytes().splitlines()] if rejects.exists() else []
        found = len(output.read_bytes().splitlines())
        if (measured.code, lines, found) != (3 if size else 0, [301] if size else [], len(reports)):
            raise ValueError(
                f"{name} the huge line: exit code {measured.code}, {found} reports, lines {lines} rejected"
            )
        peaks.append(measured.peak)
    few, many = peaks
    if many > 1.05 * few:
        raise ValueError(f"a line of {megabytes} MB raises the peak memory from {few:.0f} to {many:.0f} MiB")
    return f"a line of {megabytes} MB: rejected by its number, peak memory {many:.0f} MiB, {few:.0f} MiB without it"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--longest", type=int, default=2_500_000, help="characters; an Arabic one has two bytes")
    parser.add_argument("--huge", type=int, default=200, metavar="MB", help="of the huge line; 0 for none (200)")
    parser.add_argument("--seed", type=int, default=13)
    options = parser.parse_args()
    rows = list(hostile_rows(options.rows, options.seed, options.longest))
    with tempfile.TemporaryDirectory() as folder:
        source, output = Path(folder) / "hostile.jsonl", Path(folder) / "out.jsonl"
        source.write_bytes(b"".join(row.line + b"\n" for row in rows))
        print(f"{len(rows)} rows of {len({row.kind for row in rows})} kinds, {source.stat().st_size / 1e6:.0f} MB")
        command = [sys.executable, str(ROOT / "predict.py"), str(options.model), str(source), "--output", str(output)]
        began = time.monotonic()
        code = subprocess.run(command, check=False).returncode
        if code != 3:
            sys.exit(f"predict.py ended with {code}, expected 3 (whole, with rejects)")
        counts = check(rows, output)
    print(
        ", ".join(f"{count} {what}" for what, count in counts.items()),
        f"in {time.monotonic() - began:.0f} s: all found",
    )
    if options.huge:
        with tempfile.TemporaryDirectory() as folder:
            print(check_huge_line(options.model, options.huge, Path(folder)))


if __name__ == "__main__":
    main()
