"""Jobs: broken off anywhere and gone on with, they end with what an unbroken one gives."""

from __future__ import annotations

import csv
import errno
import gzip
import json
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT, synthetic_reports, write_jsonl

from marsad.batch import engines
from marsad.batch.jobs import Job, WorkFolder, run_job
from marsad.batch.readers import Reading
from marsad.batch.writers import Layout, output_format
from marsad.errors import MarsadError

SMALL = 8


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Reports of one line each, so that the tests are quick, every ninth row a bad one."""
    records = [report | {"text": report["text"].split("\n")[0]} for report in synthetic_reports(90, seed=51)]
    for record in records[::9]:
        record["text"] = 5
    return write_jsonl(tmp_path_factory.mktemp("reports") / "in.jsonl", records)


@pytest.fixture(scope="module")
def job(tiny_model: Path, reports: Path, tmp_path_factory: pytest.TempPathFactory) -> Job:
    output = tmp_path_factory.mktemp("whole") / "out.jsonl"
    return Job(str(tiny_model), (str(reports),), str(output), shard_reports=SMALL)


@pytest.fixture(scope="module")
def unbroken(job: Job) -> dict[str, bytes]:
    """What an unbroken run writes: the endings of the files and their bytes."""
    run_job(job)
    return written(job.output)


def written(output: str) -> dict[str, bytes]:
    path = Path(output)
    return {one.name.removeprefix(path.name): one.read_bytes() for one in path.parent.iterdir() if one.is_file()}


def at(job: Job, folder: Path, name: str = "out.jsonl", **changes: Any) -> Job:
    return replace(job, output=str(folder / name), **changes)


class Broken(Exception):
    pass


def break_after(monkeypatch: pytest.MonkeyPatch, shards: int, error: BaseException) -> None:
    """Make a job fail when so many shards are written."""
    write = WorkFolder.write
    count = 0

    def counted(self: WorkFolder, number: int, content: bytes) -> None:
        nonlocal count
        if count == shards:
            raise error
        count += 1
        write(self, number, content)

    monkeypatch.setattr(WorkFolder, "write", counted)


def test_a_job_writes_reports_and_rejects_and_nothing_else(job: Job, unbroken: dict[str, bytes], reports: Path):
    assert sorted(unbroken) == ["", ".rejects.jsonl"]
    lines = [json.loads(line) for line in unbroken[""].splitlines()]
    rejects = [json.loads(line) for line in unbroken[".rejects.jsonl"].splitlines()]
    given = [json.loads(line) for line in reports.read_bytes().splitlines()]
    assert [line["id"] for line in lines] == [record["id"] for record in given if record["text"] != 5]
    assert [reject["line"] for reject in rejects] == list(range(1, 91, 9))
    assert {(reject["file"], reject["reason"]) for reject in rejects} == {
        (str(reports), "text is int, expected a string")
    }
    assert sum(len(line["entities"]) for line in lines) > 100


def test_summary(job: Job, tmp_path: Path, unbroken: dict[str, bytes]):
    metrics = tmp_path / "node" / "marsad.prom"
    metrics.parent.mkdir()
    summary = run_job(at(job, tmp_path, 'a"b.jsonl', metrics=metrics))
    assert (summary.status, summary.reports, summary.rejects, summary.shards, summary.resumed) == (
        "whole",
        80,
        10,
        12,
        0,
    )
    assert summary.exit_code == summary.record()["exit_code"] == 3
    assert summary.entities == sum(len(json.loads(line)["entities"]) for line in unbroken[""].splitlines())
    lines = metrics.read_text(encoding="utf-8").splitlines()
    label = f'{{output="{tmp_path}/a\\"b.jsonl"}}'
    assert f"marsad_predict_reports{label} 80" in lines
    assert f"marsad_predict_rejects{label} 10" in lines
    assert f"marsad_predict_whole{label} 1" in lines
    assert len(lines) == 3 * len({line.split()[2] for line in lines if line.startswith("#")})


def test_an_output_that_ends_like_a_folder_is_refused_before_the_work(job: Job, tmp_path: Path) -> None:
    with pytest.raises(MarsadError, match=r"new/: is a folder, expected a file"):
        run_job(replace(job, output=f"{tmp_path}/new/"))
    assert list(tmp_path.iterdir()) == []


def test_the_shares_of_an_array_are_told_apart_in_the_metrics(job: Job, tmp_path: Path) -> None:
    metrics = tmp_path / "marsad.prom"
    run_job(at(job, tmp_path, shard_of=(2, 3), metrics=metrics))
    assert f'marsad_predict_shards{{output="{tmp_path}/out.jsonl",share="2/3"}} 4' in metrics.read_text()


def test_metrics_that_can_no_longer_be_written_do_not_stop_the_job(
    job: Job, unbroken: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    metrics = tmp_path / "node" / "marsad.prom"
    metrics.parent.mkdir()
    write = WorkFolder.write

    def without_a_place(self: WorkFolder, number: int, content: bytes) -> None:
        write(self, number, content)
        if metrics.parent.is_dir():
            shutil.rmtree(metrics.parent)
            metrics.parent.write_text("no folder")

    monkeypatch.setattr(WorkFolder, "write", without_a_place)
    monkeypatch.setattr("marsad.batch.jobs._SECONDS_BETWEEN_METRICS", 0.0)
    run_job(at(job, tmp_path, metrics=metrics))
    assert (tmp_path / "out.jsonl").read_bytes() == unbroken[""]
    assert len([one for one in caplog.messages if "--metrics" in one and "goes on without" in one]) == 1


@pytest.mark.parametrize("shards", [0, 1, 5, 11])
def test_a_job_that_broke_off_goes_on(
    shards: int, job: Job, unbroken: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    again = at(job, tmp_path)
    with monkeypatch.context() as patch:
        break_after(patch, shards, Broken())
        with pytest.raises(Broken):
            run_job(again)
    assert not (tmp_path / "out.jsonl").exists()
    computed: list[int] = []
    compute = engines.run_local

    def counted(*arguments: Any) -> Iterator[tuple[int, bytes]]:
        for number, content in compute(*arguments):
            computed.append(number)
            yield number, content

    monkeypatch.setattr(engines, "run_local", counted)
    assert run_job(again).resumed == shards
    assert computed == list(range(shards, 12))
    assert written(again.output) == unbroken
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


def test_a_job_killed_at_any_moment_goes_on(job: Job, unbroken: dict[str, bytes], tmp_path: Path):
    arguments = [job.model, *job.inputs, tmp_path / "out.jsonl", 3, 12, 0.6]
    command = [sys.executable, Path(__file__).parent / "killed.py", *arguments]
    done = subprocess.run([str(one) for one in command], capture_output=True, text=True, timeout=300, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    killed, _, resumed, shards = (int(one) for one in done.stdout.split())
    assert killed >= 6
    assert shards == 12
    assert 0 <= resumed <= 12
    assert written(str(tmp_path / "out.jsonl")) == unbroken


def test_a_torn_shard_is_done_again(
    job: Job, unbroken: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    again = at(job, tmp_path)
    with monkeypatch.context() as patch:
        break_after(patch, 6, Broken())
        with pytest.raises(Broken):
            run_job(again)
    shards = sorted(Path(f"{again.output}.partial").glob("*/*.shard"))
    shards[1].write_bytes(shards[1].read_bytes()[:-7])
    shards[2].write_bytes(b"")
    shards[3].write_bytes(b"\0" * 99)
    (shards[0].parent / ".000000009.shard.host.1.partial").write_bytes(b"half")
    assert run_job(again).resumed == 3
    assert written(again.output) == unbroken


def test_what_is_not_the_same_job_is_refused(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unbroken: dict[str, bytes]
):
    copy = tmp_path / "in.jsonl"
    copy.write_bytes(Path(job.inputs[0]).read_bytes())
    folder = tmp_path / "o"
    folder.mkdir()
    begun = at(job, folder, inputs=(str(copy),))
    with monkeypatch.context() as patch:
        break_after(patch, 6, Broken())
        with pytest.raises(Broken):
            run_job(begun)
    before = copy.read_bytes()
    for other, message in (
        (replace(begun, reading=Reading(max_bytes=99)), r"reading.max_bytes was 16777216, is 99"),
        (replace(begun, shard_reports=9), r"shards.reports was 8, is 9"),
        (replace(begun, layout=Layout(explode=True)), r"output.explode was False, is True"),
        (replace(begun, inputs=(str(copy), job.inputs[0])), r"there were 1 inputs, are 2"),
        (replace(begun, inputs=job.inputs), r"the input was .*o?in\.jsonl with"),
    ):
        with pytest.raises(MarsadError, match=rf"out\.jsonl\.partial: holds a job .*{message}.*--no-resume"):
            run_job(other)
    copy.write_bytes(before + b"\n")
    with pytest.raises(MarsadError, match=r"bytes, is .* with \d+"):
        run_job(begun)
    copy.write_bytes(before.replace("حلب".encode(), "درع".encode(), 1))  # of the same size
    with pytest.raises(
        MarsadError, match=r"the inputs have changed since the job began: shard \d \(from .*in\.jsonl:\d+"
    ):
        run_job(begun)
    changed = run_job(replace(begun, resume=False))
    assert changed.resumed == 0
    assert written(begun.output)[""] != unbroken[""]


def test_another_model_is_refused(job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    begun = at(job, tmp_path)
    break_after(monkeypatch, 2, Broken())
    with pytest.raises(Broken):
        run_job(begun)
    manifest = tmp_path / "out.jsonl.partial" / "manifest.json"
    values = json.loads(manifest.read_text(encoding="utf-8"))
    manifest.write_text(json.dumps(values | {"model": "another"}), encoding="utf-8")
    with pytest.raises(MarsadError, match=r"model was another, is [0-9a-f]{64}"):
        run_job(begun)
    manifest.write_text("{", encoding="utf-8")
    with pytest.raises(MarsadError, match=r"manifest\.json: is damaged"):
        run_job(begun)


def test_two_jobs_do_not_share_an_output(job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    inner = at(job, tmp_path)
    write = WorkFolder.write

    def meddle(self: WorkFolder, number: int, content: bytes) -> None:
        with pytest.raises(MarsadError, match="another job is at work there"):
            run_job(inner)
        write(self, number, content)

    monkeypatch.setattr(WorkFolder, "write", meddle)
    assert run_job(inner).reports == 80


def test_tasks_of_an_array_share_the_work(job: Job, tmp_path: Path, unbroken: dict[str, bytes]):
    array = at(job, tmp_path)
    shares = [run_job(replace(array, shard_of=(index, 3))) for index in (2, 1)]
    assert [share.status for share in shares] == ["share", "share"]
    assert [share.shards for share in shares] == [4, 4]
    assert not Path(array.output).exists()
    joined = run_job(array)  # and does what the third task has left
    assert (joined.resumed, joined.shards) == (8, 12)
    assert written(array.output) == unbroken
    for wrong in ((0, 3), (4, 3)):
        with pytest.raises(MarsadError, match="expected i/n"):
            run_job(replace(array, shard_of=wrong))
    with pytest.raises(MarsadError, match="remove the folder"):
        run_job(replace(array, shard_of=(1, 3), resume=False))


def test_a_folder_of_work_with_other_things_in_it_is_left_alone(job: Job, tmp_path: Path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.doc").write_text("years of work")
    for resume in (True, False):
        with pytest.raises(MarsadError, match=r"thesis\.doc: is nothing of a job's"):
            run_job(at(job, tmp_path, work=str(tmp_path / "mine"), resume=resume))
    assert (tmp_path / "mine" / "thesis.doc").read_text() == "years of work"


def test_a_delimiter_is_one_character(job: Job, tmp_path: Path):
    for wrong in ("", ";;", '"'):
        with pytest.raises(MarsadError, match="--delimiter"):
            run_job(at(job, tmp_path, reading=Reading(delimiter=wrong)))


def test_too_many_rejects_stop_the_job_and_more_can_be_allowed(job: Job, tmp_path: Path, unbroken: dict[str, bytes]):
    strict = at(job, tmp_path, max_rejects=4)
    with pytest.raises(MarsadError, match=r"in\.jsonl:37 .*text is int.*\(5 rejected, --max-rejects is 4\)"):
        run_job(strict)
    assert not Path(strict.output).exists()
    assert run_job(replace(strict, max_rejects=10)).resumed > 0
    assert written(strict.output) == unbroken


def test_a_full_disk_is_one_line_and_the_job_goes_on(job: Job, tmp_path: Path, unbroken: dict[str, bytes]):
    begun = at(job, tmp_path)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        # A shard fits, the joined output does not: the last step fails.
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(unbroken[""]) // 2, limit[1]))
        with pytest.raises(MarsadError, match=r"can't be written \(File too large\).*the same command goes on"):
            run_job(begun)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
    assert not Path(begun.output).exists()
    assert run_job(begun).resumed == 12
    assert written(begun.output) == unbroken


def test_an_earlier_output_stands_until_the_new_one_is_whole(job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    again = at(job, tmp_path)
    run_job(again)
    before = written(again.output)
    break_after(monkeypatch, 3, Broken())
    with pytest.raises(Broken):
        run_job(again)
    assert written(again.output) == before
    monkeypatch.undo()
    good = write_jsonl(tmp_path / "good.jsonl", [{"id": "a", "text": "خبر"}])
    (tmp_path / "in").mkdir()
    good = good.rename(tmp_path / "in" / "good.jsonl")
    assert run_job(replace(again, inputs=(str(good),), resume=False)).rejects == 0
    assert sorted(written(again.output)) == [""]  # rejects of an earlier run are gone


# --- forms of output ---------------------------------------------------------------------------------------


def as_form(job: Job, folder: Path, name: str, carry: tuple[str, ...] | None = (), **layout: Any) -> Path:
    form, packed = output_format(name)
    named = None if carry is None else dict.fromkeys(carry)
    names = None if named is None else {key: layout.get("names", {}).get(key, key) for key in named}
    layout.pop("names", None)
    run_job(
        at(
            job,
            folder,
            name,
            reading=replace(job.reading, carry=carry),
            layout=Layout(form, packed, carry=names, **layout),
        )
    )
    return folder / name


def test_packed_outputs_hold_the_same_and_know_no_time(job: Job, tmp_path: Path, unbroken: dict[str, bytes]):
    first = as_form(job, tmp_path, "a.jsonl.gz").read_bytes()
    assert gzip.decompress(first) == unbroken[""]
    time.sleep(1.1)
    assert as_form(job, tmp_path, "b.jsonl.gz").read_bytes() == first
    packed = as_form(job, tmp_path, "a.jsonl.zst").read_bytes()
    assert pa.CompressedInputStream(pa.BufferReader(packed), "zstd").readall() == unbroken[""]


def test_parquet_holds_the_same(job: Job, tmp_path: Path, unbroken: dict[str, bytes]):
    table = pq.read_table(as_form(job, tmp_path, "a.parquet"))
    assert table.to_pylist() == [json.loads(line) for line in unbroken[""].splitlines()]
    again = as_form(job, tmp_path, "b.parquet").read_bytes()
    assert again == (tmp_path / "a.parquet").read_bytes()


def test_a_row_an_entity(job: Job, tmp_path: Path, unbroken: dict[str, bytes]):
    lines = [json.loads(line) for line in unbroken[""].splitlines()]
    expected = [{"id": line["id"]} | entity for line in lines for entity in line["entities"]]
    exploded = as_form(job, tmp_path, "a.jsonl", explode=True).read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in exploded] == expected
    assert pq.read_table(as_form(job, tmp_path, "a.parquet", explode=True)).to_pylist() == expected
    with as_form(job, tmp_path, "a.csv", explode=True).open(encoding="utf-8", newline="") as file:
        assert list(csv.DictReader(file)) == [{key: str(value) for key, value in row.items()} for row in expected]
    renamed = as_form(job, tmp_path, "b.jsonl", explode=True, rename={"text": "span", "id": "report"})
    assert list(json.loads(renamed.read_text(encoding="utf-8").splitlines()[0])) == [
        "report", "start", "end", "label", "span", "score",
    ]  # fmt: skip


def test_columns_are_carried_along(job: Job, tmp_path: Path):
    (tmp_path / "in").mkdir()
    table = pa.table(
        {
            "id": [1, 2],
            "text": ["قتل طفلين في حلب", "خبر"],
            "day": pa.array([19000, None], pa.date32()),
            "share": [0.5, float("nan")],
            "tags": [["a"], []],
            "score": ["x", "y"],
        }
    )
    pq.write_table(table, tmp_path / "in" / "a.parquet")
    from_table = replace(job, inputs=(str(tmp_path / "in" / "a.parquet"),))
    first, second = as_form(from_table, tmp_path, "a.jsonl", carry=None).read_text(encoding="utf-8").splitlines()
    assert list(json.loads(first)) == ["id", "day", "share", "tags", "score", "entities"]
    assert (json.loads(first)["day"], json.loads(first)["tags"]) == ("2022-01-08", ["a"])
    assert (json.loads(second)["day"], json.loads(second)["share"]) == (None, None)
    back = pq.read_table(as_form(from_table, tmp_path, "a.parquet", carry=("day", "tags"), names={"day": "published"}))
    assert back.schema.field("published").type == pa.date32()
    assert back.column("published").to_pylist() == table.column("day").to_pylist()
    assert back.column("tags").to_pylist() == [["a"], []]
    exploded = as_form(from_table, tmp_path, "b.jsonl", carry=None, explode=True).read_text(encoding="utf-8")
    assert {json.loads(line)["input.score"] for line in exploded.splitlines()} == {"x"}  # beside the entity's score


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        (Layout("csv"), "add --explode"),
        (Layout("parquet", ".gz"), "packed already"),
        (Layout(rename={"texts": "x"}), "--rename texts: the output has no such column"),
        (Layout(carry={"source": "entities"}), "would have the column 'entities' twice"),
        (Layout(explode=True, rename={"start": "end"}), "would have the column 'end' twice"),
    ],
)
def test_layouts_that_cannot_be(layout: Layout, message: str, job: Job, tmp_path: Path):
    with pytest.raises(MarsadError, match=message):
        run_job(at(job, tmp_path, layout=layout))
    assert list(tmp_path.iterdir()) == []


def test_lone_surrogates_are_escapes_in_json_and_rejects_elsewhere(job: Job, tmp_path: Path):
    (tmp_path / "in").mkdir()
    lines = '{"id": "a", "text": "قتل \\ud800 طفلين"}\n{"id": "\\udfff", "text": "خبر"}\n{"id": "c", "text": "خبر"}\n'
    (tmp_path / "in" / "a.jsonl").write_text(lines, encoding="utf-8")
    odd = replace(job, inputs=(str(tmp_path / "in" / "a.jsonl"),))
    found = as_form(odd, tmp_path, "a.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["id"] for line in found] == ["a", "\udfff", "c"]
    assert pq.read_table(as_form(odd, tmp_path, "a.parquet")).column("id").to_pylist() == ["c"]
    rejects = (tmp_path / "a.parquet.rejects.jsonl").read_text(encoding="utf-8").splitlines()
    reasons = [json.loads(line)["reason"] for line in rejects]
    assert reasons[0].startswith("text has a lone surrogate at character 4, which Parquet can't hold")
    assert reasons[1].startswith("id has a lone surrogate at character 0")


# --- streams and addresses ---------------------------------------------------------------------------------


def test_standard_input_and_output(job: Job, unbroken: dict[str, bytes]):
    command = [sys.executable, str(ROOT / "predict.py"), job.model, "-", "--output", "-", "--shard-reports", str(SMALL)]
    with Path(job.inputs[0]).open("rb") as given:
        done = subprocess.run(command, stdin=given, capture_output=True, timeout=300)
    assert done.returncode == 3, done.stderr
    assert done.stdout == unbroken[""]
    assert done.stderr.decode().count("rejected: -:") == 10
    summary = json.loads(done.stderr.splitlines()[-1])
    assert (summary["reports"], summary["rejects"], summary["exit_code"]) == (80, 10, 3)


def test_addresses_are_read_and_written(job: Job, tmp_path: Path, unbroken: dict[str, bytes]):
    system = fsspec.filesystem("memory")
    system.pipe("/given/in.jsonl", Path(job.inputs[0]).read_bytes())
    remote = replace(job, inputs=("memory://given/*.jsonl",), output="memory://made/out.jsonl")
    with pytest.raises(MarsadError, match="--work FOLDER"):
        run_job(remote)
    run_job(replace(remote, work=str(tmp_path / "work")))
    assert system.cat("/made/out.jsonl") == unbroken[""]
    assert system.cat("/made/out.jsonl.rejects.jsonl").count(b"\n") == 10
    assert sorted(system.ls("/made", detail=False)) == ["/made/out.jsonl", "/made/out.jsonl.rejects.jsonl"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_an_interrupted_command_says_that_it_can_go_on(
    name: str, code: int, job: Job, tmp_path: Path, unbroken: dict[str, bytes]
):
    again = at(job, tmp_path, shard_reports=1)
    command = [
        sys.executable,
        str(ROOT / "predict.py"),
        job.model,
        *job.inputs,
        "--output",
        again.output,
        "--shard-reports",
        "1",
    ]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # the tests may run where it is ignored
    )
    until = time.monotonic() + 240
    while not list(tmp_path.glob("*.partial/*/*.shard")) and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(getattr(signal, name))
    out, err = process.communicate(timeout=120)
    assert process.returncode == code, err
    assert err.splitlines()[-1] == "marsad: interrupted; the same command goes on from here"
    assert json.loads(out.splitlines()[-1])["status"] == "interrupted"
    assert run_job(again).resumed >= 1
    assert [json.loads(line)["id"] for line in written(again.output)[""].splitlines()] == [
        json.loads(line)["id"] for line in unbroken[""].splitlines()
    ]


# --- what is not a job's stays, and what goes wrong is named --------------------------------------------------


@pytest.mark.parametrize("name", ["201601/precious.jsonl", "000000/notes", "whole", "rejects", "manifest.json"])
def test_a_folder_for_the_work_that_holds_other_files_is_left_alone(job: Job, tmp_path: Path, name: str) -> None:
    mine = tmp_path / "work" / name
    mine.parent.mkdir(parents=True)
    mine.write_text("{}")
    for resume in (True, False):
        with pytest.raises(MarsadError, match="is nothing of a job's"):
            run_job(at(job, tmp_path, work=str(tmp_path / "work"), resume=resume))
        assert mine.read_text() == "{}"


def test_a_value_nested_too_deeply_costs_its_row_alone(job: Job, tmp_path: Path) -> None:
    deep = {depth: json.loads("[" * depth + "]" * depth) for depth in (90, 400, 900)}
    rows = [{"id": str(depth), "text": "قصف حلب", "more": value} for depth, value in deep.items()]
    source = write_jsonl(tmp_path / "in.jsonl", rows)
    carrying = {"reading": Reading(carry=("more",)), "layout": Layout(carry={"more": "more"})}
    summary = run_job(at(job, tmp_path, inputs=(str(source),), **carrying))
    assert (summary.reports, summary.rejects, summary.exit_code) == (1, 2, 3)
    [line] = (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["more"] == deep[90]
    rejected = [json.loads(one) for one in (tmp_path / "out.jsonl.rejects.jsonl").read_text().splitlines()]
    assert [one["id"] for one in rejected] == ["400", "900"] and "nested more than 100 levels" in rejected[0]["reason"]


def test_csv_with_line_breaks_of_every_kind_is_read_back(job: Job, tmp_path: Path) -> None:
    notes = ["eins\rzwei", "eins\nzwei", "eins\r\nzwei", 'a "b", c', "\r", "plain"]
    rows = [{"id": f"r\r{at}", "text": "مقتل 3 مدنيين في حلب", "note": note} for at, note in enumerate(notes)]
    source = write_jsonl(tmp_path / "in.jsonl", rows)
    layout = Layout("csv", explode=True, carry={"note": "n\rote"})
    run_job(at(job, tmp_path, "out.csv", inputs=(str(source),), reading=Reading(carry=("note",)), layout=layout))
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        read = list(csv.DictReader(file))
    assert {(row["id"], row["n\rote"]) for row in read} == {(f"r\r{at}", note) for at, note in enumerate(notes)}
    assert b"plain\n" in (tmp_path / "out.csv").read_bytes()


def test_the_outputs_folder_is_made_and_one_that_may_not_be_written_to_is_said_before_the_work(
    job: Job, unbroken: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_job(at(job, tmp_path / "new" / "folder", work=str(tmp_path / "work")))
    assert written(str(tmp_path / "new" / "folder" / "out.jsonl")) == unbroken
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(Job, "load", lambda _: pytest.fail("the model was loaded"))
    with pytest.raises(MarsadError, match=r"out\.jsonl: can't be written"):
        run_job(at(job, tmp_path / "file" / "within"))


def test_work_on_another_mount_is_copied(
    job: Job, unbroken: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_file = Path.replace

    def across(self: Path, target: Path) -> Path:
        if self.name in {"whole", "rejects"}:
            raise OSError(errno.EXDEV, "Invalid cross-device link", str(self), None, str(target))
        return replace_file(self, target)

    monkeypatch.setattr(Path, "replace", across)
    run_job(at(job, tmp_path / "out", work=str(tmp_path / "work")))
    assert written(str(tmp_path / "out" / "out.jsonl")) == unbroken


def test_a_stream_without_a_report_is_an_error_as_a_file_is(job: Job, tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", [{"id": "a"}, {"id": "b"}])
    for output in ("/dev/null", str(tmp_path / "out.jsonl")):
        with pytest.raises(MarsadError, match=r"in\.jsonl:1 \(id 'a'\): .*nor is any other of 2 rows"):
            run_job(replace(job, inputs=(str(source),), output=output))


def test_a_task_of_an_array_counts_its_own_shards(job: Job, tmp_path: Path) -> None:
    first, second = (run_job(at(job, tmp_path, shard_of=(task, 2))) for task in (1, 2))
    assert first.resumed == second.resumed == 0 and first.shards and second.shards
    assert run_job(at(job, tmp_path, shard_of=(2, 2))).resumed == second.shards
    assert run_job(at(job, tmp_path)).resumed == first.shards + second.shards


def test_metrics_say_from_the_start_that_nothing_is_whole(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = tmp_path / "marsad.prom"
    run_job(at(job, tmp_path, metrics=metrics))
    assert 'out.jsonl"} 1\n' in metrics.read_text().split("marsad_predict_whole", 3)[-1]
    break_after(monkeypatch, 0, Broken())
    with pytest.raises(Broken):
        run_job(at(job, tmp_path, metrics=metrics))
    assert 'out.jsonl"} 0\n' in metrics.read_text().split("marsad_predict_whole", 3)[-1]


@pytest.mark.parametrize("name", ["out.paquet", "out.xlsx", "out.jsonl.gzip"])
def test_an_unknown_ending_is_refused(name: str) -> None:
    with pytest.raises(MarsadError, match="has an unknown ending; expected"):
        output_format(name)
    assert output_format("out/2024.01.15") == ("jsonl", "") == output_format("out/all")


def test_a_carried_key_that_no_row_has_is_told(job: Job, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    carry = {"sorce": "sorce", "id": "key"}
    layout = Layout(carry=carry)
    run_job(replace(job, output=str(tmp_path / "o.jsonl"), reading=Reading(carry=tuple(carry)), layout=layout))
    assert "has 'sorce'; is it spelt as in the input?" in caplog.text and "'id'" not in caplog.text


def test_metrics_go_to_a_folder_that_is_there(job: Job, tmp_path: Path) -> None:
    with pytest.raises(MarsadError, match=r"--metrics: .*no such folder"):
        run_job(replace(job, output=str(tmp_path / "o.jsonl"), metrics=tmp_path / "none" / "m.prom"))
    assert not (tmp_path / "none").exists()


def test_a_closed_standard_input_is_one_line(tmp_path: Path, tiny_model: Path) -> None:
    command = f"exec <&-; {sys.executable} -m marsad predict {tiny_model} - --output {tmp_path / 'o.jsonl'}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2 and "standard input is closed" in done.stderr and "Traceback" not in done.stderr


def test_old_encodings_are_read_by_name(job: Job, tmp_path: Path) -> None:
    text = "قتل 3 مدنيين في حلب أمس"
    for name, ending, content in (
        ("cp1256", "csv", f"id,text\na,{text}\n"),
        ("Windows-1256", "jsonl", json.dumps({"id": "a", "text": text}, ensure_ascii=False)),
        ("iso8859-6", "txt", text),
    ):
        path = tmp_path / f"a.{ending}"
        path.write_bytes(content.encode(name))
        run = replace(job, inputs=(str(path),), output=str(tmp_path / f"{name}.jsonl"), reading=Reading(encoding=name))
        assert run_job(run).rejects == 0
        (row,) = map(json.loads, Path(run.output).read_text(encoding="utf-8").splitlines())
        assert all(text[one["start"] : one["end"]] == one["text"] for one in row["entities"])
    for name, message in (("utf-16", "can't be read line by line"), ("hex", "no such encoding")):
        with pytest.raises(MarsadError, match=message):
            run_job(replace(job, output=str(tmp_path / "o.jsonl"), reading=Reading(encoding=name)))


def test_a_table_without_its_columns_is_told_of_before_any_shard(job: Job, tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text("id;text\na;b\n")
    output = tmp_path / "o.jsonl"
    with pytest.raises(MarsadError, match=r"b\.csv: has no column 'text'"):
        run_job(replace(job, inputs=(*job.inputs, str(tmp_path / "b.csv")), output=str(output)))
    assert [path.name for path in tmp_path.iterdir()] == ["b.csv"]
