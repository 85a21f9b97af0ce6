"""Ray's workers make the same bytes as this process, also when one of them is killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from conftest import ROOT, synthetic_reports, write_jsonl

from marsad.batch.engines import run_local, run_ray
from marsad.batch.jobs import Job, ShardReader, run_job
from marsad.batch.readers import list_sources
from marsad.errors import MarsadError

SHARDS = 40


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    ray = pytest.importorskip("ray", reason="ray is not installed (pip install 'marsad[ray]')")
    paths = os.pathsep.join([str(ROOT), str(Path(__file__).parent)])
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, runtime_env={"env_vars": {"PYTHONPATH": paths}})
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def job(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Job:
    folder = tmp_path_factory.mktemp("engines")
    records = [report | {"text": report["text"].split("\n")[0]} for report in synthetic_reports(SHARDS * 2, seed=61)]
    records[5]["text"] = None
    inputs = (str(write_jsonl(folder / "in.jsonl", records)),)
    return Job(str(tiny_model), inputs, str(folder / "out.jsonl"), runtime="torch", threads=1, shard_reports=2)


def shards_of(job: Job) -> ShardReader:
    return ShardReader(job, tuple(list_sources(job.inputs, job.reading)), {})


def test_ray_makes_the_same_output(cluster: None, job: Job, tmp_path: Path):
    local = run_job(job)
    remote = run_job(replace(job, engine="ray", output=str(tmp_path / "out.jsonl"), workers=1))
    assert (local.shards, local.rejects) == (remote.shards, remote.rejects) == (SHARDS, 1)
    for ending in ("", ".rejects.jsonl"):
        assert (tmp_path / f"out.jsonl{ending}").read_bytes() == Path(f"{job.output}{ending}").read_bytes()


def test_a_killed_worker_loses_nothing(cluster: None, job: Job):
    recognizer = job.load()
    expected = dict(run_local(job, shards_of(job), recognizer))
    found = {}
    killed = 0
    for number, content in run_ray(replace(job, workers=1), shards_of(job), recognizer.fingerprint):
        found[number] = content
        if not killed:
            for process in psutil.Process().children(recursive=True):
                if "MapWorker" in " ".join(process.cmdline()):
                    process.send_signal(signal.SIGKILL)
                    killed += 1
    assert killed == 1
    assert found == expected


def test_what_is_wrong_with_the_inputs_comes_through(cluster: None, job: Job, tmp_path: Path):
    strict = replace(job, engine="ray", output=str(tmp_path / "out.jsonl"), workers=1, max_rejects=0)
    with pytest.raises(MarsadError, match=r"in\.jsonl:6 .*text is empty.*--max-rejects is 0"):
        run_job(strict)
    other = shards_of(job)
    with pytest.raises(MarsadError, match="is another model on a worker than on the driver"):
        list(run_ray(replace(job, workers=1), other, "0" * 64))
