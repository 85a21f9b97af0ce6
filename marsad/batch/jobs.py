"""Files of reports in, a file of entities out: work that can be broken off at any moment and gone on with.

Rows are cut into shards. The shards that are done lie in ``OUT.partial``, each a file that appeared there whole, beside
a manifest of model, settings and inputs. Going on means to read the inputs again, which is quick, and to run the model
on the shards that are missing. Once none is, they are joined to ``OUT``. A shard's bytes follow from its rows, the
model and the settings alone, so it makes no difference when, where and in which order the shards were done.
"""

from __future__ import annotations

import errno
import fcntl
import io
import json
import logging
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Literal

import xxhash
from tqdm.auto import tqdm

from marsad import __version__
from marsad.annotations.formats.raw import check_encoding
from marsad.batch.progress import clock
from marsad.batch.readers import (
    STANDARD_INPUT,
    Meter,
    Reading,
    Reject,
    Row,
    Source,
    check_tables,
    column_types,
    filesystem,
    is_remote,
    list_sources,
    place,
    read_rows,
)
from marsad.batch.recognizer import Recognizer
from marsad.batch.writers import Layout, encode_rows, join_shards, unwritable
from marsad.errors import MarsadError
from marsad.facts.facts import VALUE_LABELS
from marsad.files import check_writable, is_partial, open_whole, partial_path, to_json

logger = logging.getLogger(__name__)

STANDARD_OUTPUT = "-"
_SHARD_FORMAT = 1
# So many rows are looked at for a column that is to be carried along.
_CARRY_ROWS = 1000
_SECONDS_BETWEEN_METRICS = 10.0
_BLOCK = 1 << 20
_LOCK = "lock"
_JOINED = ("whole", "rejects")


@dataclass(frozen=True, slots=True)
class Job:
    """What to do, from which inputs, to which output.

    ``output``: a path, an address for ``fsspec``, or ``-`` for standard output; ``layout`` is its form. ``work``: the
    folder of the shards; ``OUT.partial`` where None. ``shard_reports``, ``shard_characters``: a shard ends with
    whichever is reached first. ``shard_of``: (i, n) does every n-th shard from the i-th on, and joins nothing.
    ``max_rejects``: stop when there are more. ``resume``: go on with what lies in ``work``, else begin anew.
    """

    model: str
    inputs: tuple[str, ...]
    output: str
    reading: Reading = field(default_factory=Reading)
    layout: Layout = field(default_factory=Layout)
    engine: Literal["local", "ray"] = "local"
    workers: int | None = None
    address: str | None = None
    device: str | None = None
    runtime: str = "auto"
    threads: int | None = None
    work: str | None = None
    shard_reports: int = 512
    shard_characters: int = 4_000_000
    shard_of: tuple[int, int] | None = None
    max_rejects: int | None = None
    resume: bool = True
    metrics: Path | None = None

    def does(self, shard: int) -> bool:
        """Whether a shard is one of this task's; those of a job that is no task of an array are all its own."""
        return self.shard_of is None or shard % self.shard_of[1] == self.shard_of[0] - 1

    def load(self) -> Recognizer:
        """The model as every worker loads it."""
        return Recognizer.from_pretrained(self.model, self.device, self.runtime, self.threads)


@dataclass(frozen=True, slots=True)
class Shard:
    """Neighbouring rows of the inputs. ``digest`` is a fingerprint of all of it; the last one says that it is the last.

    ``position``: bytes of the inputs read when it was cut.
    """

    number: int
    rows: tuple[Row, ...]
    rejects: tuple[Reject, ...]
    last: bool
    digest: str
    position: int


@dataclass(frozen=True, slots=True)
class Summary:
    """What came of a job; the last line that the command prints."""

    status: Literal["whole", "share", "interrupted"]
    output: str
    reports: int
    entities: int
    rejects: int
    shards: int
    resumed: int
    seconds: float
    model: str
    runtime: str
    rows: str

    @property
    def exit_code(self) -> int:
        """0 when every row was a report, 3 when some were rejected."""
        return 3 if self.rejects else 0

    def record(self) -> dict[str, Any]:
        """As JSON; the rate counts the reports of this run alone."""
        return asdict(self) | {"exit_code": self.exit_code}


# --- shards ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ShardReader:
    """The shards of a job that are still to be done; what a remote worker reads as well as this process.

    ``done``: digests of the shards that are there. Raises MarsadError when one of them was made of other rows, and when
    more rows are rejected than the job allows.
    """

    job: Job
    sources: tuple[Source, ...]
    done: Mapping[int, str]

    def __iter__(self) -> Iterator[Shard]:
        meter = Meter()
        rows = _count_rejects(_fit(read_rows(self.sources, self.job.reading, meter), self.job.layout), self.job)
        for shard in cut_shards(rows, self.job.shard_reports, self.job.shard_characters, meter):
            if shard.number in self.done:
                if self.done[shard.number] != shard.digest:
                    items: tuple[Row | Reject, ...] = (*shard.rows, *shard.rejects)
                    where = f" (from {place(items[0].file, items[0].line)} on)" if items else ""
                    raise MarsadError(
                        f"the inputs have changed since the job began: shard {shard.number}{where} held other rows; "
                        "take the change back, or begin anew with --no-resume"
                    )
            elif self.job.does(shard.number):
                yield shard


def _fit(items: Iterable[Row | Reject], layout: Layout) -> Iterator[Row | Reject]:
    missing = set(layout.carry or ())
    rows = 0
    for item in items:
        if missing and isinstance(item, Row):
            missing.difference_update(item.columns)
            rows += 1
            if rows == _CARRY_ROWS:
                _tell_missing(missing, rows)
                missing = set()
        reason = unwritable(item, layout) if isinstance(item, Row) else None
        yield item if reason is None else Reject(item.file, item.line, reason, item.id)
    if rows:
        _tell_missing(missing, rows)


def _tell_missing(missing: Collection[str], rows: int) -> None:
    if missing:
        names = ", ".join(map(repr, sorted(missing)))
        logger.warning("--carry: none of the first %d rows has %s; is it spelt as in the input?", rows, names)


def _count_rejects(items: Iterable[Row | Reject], job: Job) -> Iterator[Row | Reject]:
    count = 0
    for item in items:
        if isinstance(item, Reject):
            count += 1
            if job.max_rejects is not None and count > job.max_rejects:
                raise MarsadError(f"{item} ({count} rejected, --max-rejects is {job.max_rejects})")
        yield item


def cut_shards(items: Iterable[Row | Reject], reports: int, characters: int, meter: Meter) -> Iterator[Shard]:
    """Shards of at most ``reports`` rows, rejected ones counted in; one that reaches ``characters`` ends there."""
    number, size = 0, 0
    rows: list[Row] = []
    rejects: list[Reject] = []
    for item in items:
        # A full shard is given out when one more row is known to follow, so that the last one can say so.
        if len(rows) + len(rejects) >= reports or size >= characters:
            yield _shard(number, rows, rejects, False, meter)
            number, size, rows, rejects = number + 1, 0, [], []
        if isinstance(item, Row):
            rows.append(item)
            size += len(item.text)
        else:
            rejects.append(item)
    yield _shard(number, rows, rejects, True, meter)


def _shard(number: int, rows: list[Row], rejects: list[Reject], last: bool, meter: Meter) -> Shard:
    digest = xxhash.xxh3_128(str(last).encode("ascii"))
    for item in (*rows, *rejects):
        digest.update(repr(item).encode("utf-8", "surrogatepass"))
    return Shard(number, tuple(rows), tuple(rejects), last, digest.hexdigest(), meter.bytes)


def compute_shard(shard: Shard, recognizer: Recognizer, layout: Layout) -> bytes:
    """A shard's file: a line of JSON that says what is in it, the rejects as lines, the rows encoded for the output."""
    predictions = recognizer.predict([row.text for row in shard.rows])
    payload = encode_rows(shard.rows, predictions, layout)
    rejects = "".join(to_json(reject.record()) + "\n" for reject in shard.rejects).encode("utf-8")
    header = {
        "format": _SHARD_FORMAT,
        "number": shard.number,
        "last": shard.last,
        "digest": shard.digest,
        "reports": len(shard.rows),
        "rejects": len(shard.rejects),
        "entities": sum(len(prediction.entities) for prediction in predictions),
        "position": shard.position,
        "bytes": [len(rejects), len(payload)],
    }
    return to_json(header).encode("utf-8") + b"\n" + rejects + payload


@dataclass(frozen=True, slots=True)
class ShardHeader:
    """The first line of a shard's file, and where the parts behind it begin."""

    number: int
    last: bool
    digest: str
    reports: int
    rejects: int
    entities: int
    position: int
    parts: tuple[int, int, int]

    @classmethod
    def read(cls, file: BinaryIO) -> ShardHeader:
        """Raises ValueError or KeyError when the file is no shard's."""
        line = file.readline()
        values = json.loads(line)
        rejects, payload = values["bytes"]
        return cls(
            number=values["number"],
            last=values["last"],
            digest=values["digest"],
            reports=values["reports"],
            rejects=values["rejects"],
            entities=values["entities"],
            position=values["position"],
            parts=(len(line), len(line) + rejects, len(line) + rejects + payload),
        )


class WorkFolder:
    """The folder in which a job's shards gather until they are joined."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest = folder / "manifest.json"

    def shard(self, number: int) -> Path:
        """The file of a shard, in a folder for each thousand."""
        return self.folder / f"{number // 1000:06d}" / f"{number:09d}.shard"

    def headers(self) -> dict[int, ShardHeader]:
        """The shards that are there. One that is not whole, as after a damage to the disk, is not counted as there."""
        found = {}
        for path in sorted(self.folder.glob("*/*.shard")):
            with path.open("rb") as file, suppress(ValueError, KeyError, TypeError):
                header = ShardHeader.read(file)
                if path.stat().st_size == header.parts[2]:
                    found[header.number] = header
        return found

    def write(self, number: int, content: bytes) -> None:
        """Put a shard there, whole or not at all, also if the power fails."""
        _write_bytes(self.shard(number), content)

    def open(self, header: ShardHeader, part: int) -> BinaryIO:
        """The rejects (0) or the encoded rows (1) of a shard."""
        path = self.shard(header.number)
        with path.open("rb") as file:
            file.seek(header.parts[part])
            return io.BytesIO(file.read(header.parts[part + 1] - header.parts[part]))

    def strange(self) -> Path | None:
        """Something in the folder that no job has put there, and that must not be cleared away with it."""
        own = {_LOCK}
        if self.manifest.exists():
            if self._is_anothers():
                return self.manifest
            own |= {self.manifest.name, *_JOINED}
        for path in self.folder.iterdir():
            if path.is_dir():
                if not re.fullmatch("[0-9]{6}", path.name):
                    return path
                for inner in path.iterdir():
                    if not re.fullmatch(r"[0-9]{9}\.shard", inner.name) and not is_partial(inner):
                        return inner
            elif path.name not in own and not is_partial(path):
                return path
        return None

    def _is_anothers(self) -> bool:
        """Whether the manifest is whole, and none of a job's."""
        try:
            values = json.loads(self.manifest.read_text(encoding="utf-8"))
        except (ValueError, OSError):
            return False  # a damaged one is told of as such
        return not isinstance(values, dict) or "marsad" not in values

    def remove(self) -> None:
        """Clear the folder away: what was joined, then the manifest, for the shards alone are known by their names."""
        for path in (*(self.folder / name for name in _JOINED), self.manifest):
            with suppress(FileNotFoundError):
                path.unlink()
        shutil.rmtree(self.folder, ignore_errors=True)


def _write_bytes(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    made = partial_path(path)
    try:
        with made.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        made.replace(path)
    finally:
        with suppress(OSError):
            made.unlink()
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


# --- the job -----------------------------------------------------------------------------------------------


def run_job(job: Job) -> Summary:
    """Find the entities of every report of the inputs and write them to the output, in the order of the inputs.

    Raises MarsadError for a mistake in what was given, an input or a model that is another than the one the job was
    begun with, more rejects than allowed, and a disk that is full; where shards were done by then, the same command
    goes on behind them. The output is there whole or not at all, with ``OUT.rejects.jsonl`` beside it where rows were
    rejected.
    """
    if job.shard_of is not None and not 1 <= job.shard_of[0] <= job.shard_of[1]:
        raise MarsadError(f"--shard-of {job.shard_of[0]}/{job.shard_of[1]}: expected i/n with 1 <= i <= n")
    delimiter = job.reading.delimiter
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
        raise MarsadError(f"--delimiter {delimiter!r}: expected one character, no quotation mark or line break")
    job = replace(job, reading=replace(job.reading, encoding=_encoding(job.reading.encoding)))
    sources = tuple(list_sources(job.inputs, job.reading))
    try:
        _check_output(job, sources)
    except OSError as error:
        raise MarsadError(f"{error.filename or job.output}: can't be written ({error.strerror or error})") from None
    if job.layout.format != "jsonl":
        job = replace(job, layout=replace(job.layout, types=column_types(sources, job.reading)))
    job.layout.check()
    check_tables(sources, job.reading)
    if job.metrics is not None and not _may_hold(job.metrics.parent, job.output):
        raise MarsadError(f"--metrics: {job.metrics.parent}: no such folder; the node exporter reads one that is there")
    if job.layout.facts is not None:  # a mistake in a table is found before the work
        job.layout.facts.load()
    recognizer = job.load()
    _check_labels(recognizer, job.layout)
    run = _Run(replace(job, runtime=recognizer.runtime), sources, recognizer)
    folder = Path(job.work if job.work is not None else f"{job.output}.partial")
    try:
        if is_stream(job.output):
            return run.stream()
        if not is_remote(job.output):
            Path(job.output).resolve().parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder, shared=job.shard_of is not None):
            return run.to_file(WorkFolder(folder))
    except BrokenPipeError:  # the reader of a stream has seen enough
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        where = error.filename2 or error.filename or job.work or job.output
        kept = "a stream begins anew" if is_stream(job.output) else "once it can, the same command goes on"
        raise MarsadError(f"{where}: can't be written ({reason}); {kept}") from None


def _encoding(name: str) -> str:
    """Python's name of an encoding that lines can be read in."""
    known = check_encoding(name)
    if "\n".encode(known) != b"\n":
        raise MarsadError(
            f"--encoding {name}: can't be read line by line; convert the files (iconv -f {name} -t utf-8)"
        )
    return known


def _may_hold(folder: Path, output: str) -> bool:
    return folder.is_dir() or (not is_remote(output) and folder == Path(output).parent)


def _check_labels(recognizer: Recognizer, layout: Layout) -> None:
    """Raises MarsadError where facts are wanted of a model that finds nothing that they are read of."""
    known = ["CASUALTY"] if layout.casualties else list(VALUE_LABELS)
    if layout.facts is not None and not set(known) & set(recognizer.labels):
        what = "--explode casualties" if layout.casualties else "--facts"
        raise MarsadError(
            f"{what} reads values of {', '.join(known)}, and the model finds only {', '.join(recognizer.labels)}"
        )


def is_stream(output: str) -> bool:
    """Whether an output is written to as it comes: standard output, a pipe, a device."""
    if output == STANDARD_OUTPUT:
        return True
    path = Path(output)
    return not is_remote(output) and path.exists() and not path.is_file() and not path.is_dir()


def rejects_path(output: str) -> str:
    """Where the rejected rows of an output stand."""
    return f"{output}.rejects.jsonl"


def _check_output(job: Job, sources: Sequence[Source]) -> None:
    if is_remote(job.output):
        if job.work is None:
            raise MarsadError(f"{job.output}: name a local folder for the work until it is whole: --work FOLDER")
        filesystem(job.output)
        return
    if is_stream(job.output):
        if job.shard_of is not None:
            raise MarsadError("--shard-of needs a file to write, not a stream")
        return
    output = Path(job.output)
    if output.is_dir() or not output.name or job.output.endswith(("/", os.sep)):
        raise MarsadError(f"{job.output}: is a folder, expected a file to write")
    written = {output.resolve(), Path(rejects_path(job.output)).resolve()}
    for source in sources:
        if source.path != STANDARD_INPUT and not is_remote(source.path) and Path(source.path).resolve() in written:
            raise MarsadError(f"{source.path}: is an input too; choose another --output")
    check_writable(output.resolve().parent, job.output)


@contextmanager
def _locked(folder: Path, shared: bool) -> Iterator[None]:
    """Keep other jobs out of a folder; those of an array share it. The lock goes with the process, however it ends."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise MarsadError(f"{folder}: another job is at work there; wait for it, or choose another --output") from None
    try:
        yield
    finally:
        os.close(handle)


class _Run:
    """One run of a job: what it has counted so far."""

    def __init__(self, job: Job, sources: tuple[Source, ...], recognizer: Recognizer) -> None:
        self.job = job
        self.sources = sources
        self.recognizer = recognizer
        self.began = time.monotonic()
        self.resumed = 0
        self.reports = self.entities = self.rejects = self.shards = 0
        self._measured = 0.0
        self._metrics_failed = False
        sizes = [source.size for source in sources]
        self.size = None if None in sizes else sum(size or 0 for size in sizes)

    def identity(self) -> dict[str, Any]:
        """What a job has to have in common with the one that it goes on with."""
        return {
            "marsad": __version__,
            "model": self.recognizer.fingerprint,
            "runtime": self.recognizer.runtime,
            "reading": asdict(self.job.reading),
            "output": self.job.layout.settings(),
            "shards": {"reports": self.job.shard_reports, "characters": self.job.shard_characters},
            "inputs": [{"path": source.path, "bytes": source.size} for source in self.sources],
        }

    # -- to a file

    def to_file(self, work: WorkFolder) -> Summary:
        strange = work.strange()
        if strange is not None:
            raise MarsadError(f"{strange}: is nothing of a job's; {work.folder} has to be a folder of its own")
        self._open_work(work)
        done = work.headers()
        self.resumed = sum(self.job.does(number) for number in done)
        if self.resumed:
            logger.info("going on: %d shards are done", self.resumed)
        self._measure(done=False)
        try:
            with self._progress() as report:
                for number, content in self._engine(ShardReader(self.job, self.sources, digests(done))):
                    work.write(number, content)
                    done[number] = ShardHeader.read(io.BytesIO(content))
                    report(done[number])
        except (MarsadError, KeyboardInterrupt, SystemExit):
            if not any(work.folder.glob("*/*.shard")) and self.job.shard_of is None:
                work.remove()
            raise
        headers = [done[number] for number in sorted(done)]
        if self.job.shard_of is not None:
            return self._finish("share", [one for one in headers if self.job.does(one.number)])
        self._refuse_nothing(work, headers)
        self._join(work, headers)
        summary = self._finish("whole", headers)
        work.remove()
        return summary

    def _open_work(self, work: WorkFolder) -> None:
        if not self.job.resume or not work.manifest.exists():
            if self.job.shard_of is None:  # the tasks of an array begin side by side; none clears away another's work
                for path in work.folder.iterdir():
                    if path.is_dir():
                        shutil.rmtree(path)
                    elif path.name != _LOCK:
                        path.unlink()
            elif not self.job.resume:
                raise MarsadError(
                    "--no-resume can't be told one task of an array: remove the folder before the array starts"
                )
        if not work.manifest.exists():
            _write_bytes(work.manifest, (to_json(self.identity(), indent=2) + "\n").encode("utf-8"))
            return
        with suppress(OSError):
            for path in work.folder.glob("*/.*.partial"):
                if self.job.shard_of is None:
                    path.unlink()
        try:
            earlier = json.loads(work.manifest.read_text(encoding="utf-8"))
        except ValueError:
            raise MarsadError(f"{work.manifest}: is damaged; begin anew with --no-resume") from None
        difference = _difference(earlier, json.loads(to_json(self.identity())))
        if difference:
            raise MarsadError(
                f"{work.folder}: holds a job that was begun otherwise: {difference}; "
                "give the same again, or begin anew with --no-resume"
            )

    def _refuse_nothing(self, work: WorkFolder, headers: Sequence[ShardHeader]) -> None:
        """Inputs without a single report are a mistake in what was given."""
        if any(header.reports for header in headers):
            return
        first = next(work.open(header, 0).readline() for header in headers if header.rejects)
        work.remove()
        raise _no_report(first, headers)

    def _join(self, work: WorkFolder, headers: Sequence[ShardHeader]) -> None:
        whole, rejects = (work.folder / name for name in _JOINED)
        with whole.open("wb") as file:
            join_shards((partial(work.open, one, 1) for one in headers), self.job.layout, file)
            file.flush()
            os.fsync(file.fileno())
        with rejects.open("wb") as file:
            for header in headers:
                if header.rejects:
                    file.write(work.open(header, 0).read())
            file.flush()
            os.fsync(file.fileno())
        has_rejects = any(header.rejects for header in headers)
        _move(rejects, rejects_path(self.job.output), has_rejects)
        _move(whole, self.job.output, True)

    # -- to a stream

    def stream(self) -> Summary:
        headers: list[ShardHeader] = []
        first_reject = b""

        def payloads() -> Iterator[Callable[[], BinaryIO]]:
            nonlocal first_reject
            with self._progress() as report:
                for _, content in self._engine(ShardReader(self.job, self.sources, {})):
                    header = ShardHeader.read(io.BytesIO(content))
                    headers.append(header)
                    for line in content[header.parts[0] : header.parts[1]].splitlines():
                        first_reject = first_reject or line
                        logger.warning("rejected: %s", Reject(**json.loads(line)))
                    report(header)
                    yield partial(io.BytesIO, content[header.parts[1] :])

        with ExitStack() as stack:
            if self.job.output == STANDARD_OUTPUT:
                file: BinaryIO = sys.stdout.buffer
            else:
                file = stack.enter_context(Path(self.job.output).open("wb"))
            join_shards(payloads(), self.job.layout, file)
            file.flush()
        if not any(header.reports for header in headers):
            raise _no_report(first_reject, headers)
        return self._finish("whole", headers)

    # -- both

    def _engine(self, shards: ShardReader) -> Iterator[tuple[int, bytes]]:
        from marsad.batch.engines import run_local, run_ray

        if self.job.engine == "ray":
            return run_ray(self.job, shards, self.recognizer.fingerprint)
        return run_local(self.job, shards, self.recognizer)

    @contextmanager
    def _progress(self) -> Iterator[Callable[[ShardHeader], None]]:
        """A function to tell of each shard done: a bar of the bytes read on a terminal, else a line for each shard."""
        with ExitStack() as stack:
            bar = None
            if sys.stderr.isatty():
                bar = stack.enter_context(tqdm(total=self.size, unit="B", unit_scale=True, desc="predicting"))

            def report(header: ShardHeader) -> None:
                self.reports += header.reports
                self.entities += header.entities
                self.rejects += header.rejects
                self.shards += 1
                rate = self.reports / max(time.monotonic() - self.began, 1e-9)
                if bar is not None:
                    bar.set_postfix_str(f"{self.reports} reports, {rate:.1f}/s", refresh=False)
                    bar.update(max(0, header.position - bar.n))
                elif header.reports:  # one without is told by the error or the summary
                    logger.info(
                        "shard %d: %d reports, %d entities, %d rejected; %.1f reports/s%s",
                        *(header.number, header.reports, header.entities, header.rejects, rate, self._left(header)),
                    )
                self._measure(done=False)

            yield report

    def _left(self, header: ShardHeader) -> str:
        if not self.size or not header.position:
            return ""
        share = min(1.0, header.position / self.size)
        seconds = (time.monotonic() - self.began) * (1 - share) / share
        return f", {share:.0%} read" + ("" if self.resumed or share == 1 else f", {clock(seconds)} left")

    def _finish(self, status: Literal["whole", "share"], headers: Sequence[ShardHeader]) -> Summary:
        rows = xxhash.xxh3_128("".join(header.digest for header in headers).encode("ascii")).hexdigest()
        summary = Summary(
            status=status,
            output=self.job.output,
            reports=sum(header.reports for header in headers),
            entities=sum(header.entities for header in headers),
            rejects=sum(header.rejects for header in headers),
            shards=len(headers),
            resumed=self.resumed,
            seconds=round(time.monotonic() - self.began, 3),
            model=self.recognizer.fingerprint,
            runtime=self.recognizer.runtime,
            rows=rows,
        )
        self.reports, self.entities, self.rejects = summary.reports, summary.entities, summary.rejects
        self.shards = summary.shards
        self._measure(done=True)
        return summary

    def _measure(self, done: bool) -> None:
        if self.job.metrics is None:
            return
        now = time.monotonic()
        if not done and now - self._measured < _SECONDS_BETWEEN_METRICS:
            return
        first, self._measured = not self._measured, now
        labels = {"output": self.job.output}
        if self.job.shard_of is not None:
            labels["share"] = "/".join(map(str, self.job.shard_of))
        values = {
            "reports": (self.reports, "Reports read"),
            "entities": (self.entities, "Entities found"),
            "rejects": (self.rejects, "Rows rejected"),
            "shards": (self.shards, "Shards done"),
            "seconds": (round(now - self.began, 3), "Seconds since the run began"),
            "whole": (int(done), "1 when the run is done, 0 while it is at work or broke off"),
            "updated_timestamp_seconds": (round(time.time()), "When these figures were taken"),
        }
        try:
            write_metrics(self.job.metrics, labels, values)
        except MarsadError as error:
            if first:
                raise
            # A job that is at work is worth more than the figures about it.
            if not self._metrics_failed:
                logger.warning("--metrics: %s; the job goes on without", error)
            self._metrics_failed = True


def _no_report(first: bytes, headers: Sequence[ShardHeader]) -> MarsadError:
    """What is wrong with inputs in which no row is a report; ``first`` is the line of the first reject."""
    rejects = sum(header.rejects for header in headers)
    others = "" if rejects == 1 else f" (nor is any other of {rejects} rows a report)"
    return MarsadError(f"{Reject(**json.loads(first))}{others}")


def digests(headers: Mapping[int, ShardHeader]) -> dict[int, str]:
    """The digest of each shard."""
    return {number: header.digest for number, header in headers.items()}


def _difference(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The first thing in which two manifests differ, in words; nothing where they don't."""
    for key, value in now.items():
        before = earlier.get(key)
        if before == value:
            continue
        if key == "inputs" and isinstance(before, list):
            for old, new in zip(before, value, strict=False):
                if old != new:
                    return (
                        f"the input was {old['path']} with {old['bytes']} bytes, is {new['path']} with {new['bytes']}"
                    )
            return f"there were {len(before)} inputs, are {len(value)}"
        if isinstance(value, dict) and isinstance(before, dict):
            return ", ".join(
                f"{key}.{one} was {before.get(one)}, is {value[one]}" for one in value if value[one] != before.get(one)
            )
        return f"{key} was {before}, is {value}"
    return ""


def _move(made: Path, target: str, wanted: bool) -> None:
    """Give a file its place in one step; where it is not wanted, an earlier one goes."""
    if is_remote(target):
        system, path = filesystem(target)
        if wanted:
            system.put_file(str(made), f"{path}.partial")
            system.mv(f"{path}.partial", path)
        elif system.exists(path):
            system.rm(path)
        return
    place = Path(target).resolve()
    if not wanted:
        with suppress(FileNotFoundError):
            place.unlink()
    else:
        try:
            made.replace(place)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            _copy(made, place)  # the folder of work is on another disk, or the same one mounted elsewhere
    _sync_folder(place.parent)


def _copy(made: Path, place: Path) -> None:
    copy = partial_path(place)
    with made.open("rb") as content, copy.open("wb") as file:
        shutil.copyfileobj(content, file, _BLOCK)
        file.flush()
        os.fsync(file.fileno())
    copy.replace(place)


def write_metrics(path: Path, labels: Mapping[str, str], values: Mapping[str, tuple[float, str]]) -> None:
    """Figures in the text format of Prometheus, for the node exporter's textfile collector; written whole.

    ``labels``: those that each figure bears, by which several jobs or shares of one are told apart.

    Raises MarsadError when the file can't be written.
    """
    escapes = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
    shown = ",".join(f'{name}="{value.translate(escapes)}"' for name, value in labels.items())
    lines = []
    for key, (value, help_text) in values.items():
        metric = f"marsad_predict_{key}"
        lines += [f"# HELP {metric} {help_text}", f"# TYPE {metric} gauge", f"{metric}{{{shown}}} {value}"]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open_whole(path) as file:
            file.write("\n".join(lines) + "\n")
    except OSError as error:
        raise MarsadError(f"{path}: can't be written ({error.strerror or error})") from None
