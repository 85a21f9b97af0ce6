"""A few hundred rows made to break things; ``benchmarks/hostile.py`` runs ten thousand through the command."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from conftest import ROOT

from marsad.batch.jobs import Job, run_job


def test_every_hostile_row_is_in_the_output_or_among_the_rejects(tiny_model: Path, tmp_path: Path):
    spec = importlib.util.spec_from_file_location("hostile", ROOT / "benchmarks" / "hostile.py")
    hostile = importlib.util.module_from_spec(spec)
    sys.modules["hostile"] = hostile  # dataclasses look their module up
    spec.loader.exec_module(hostile)
    rows = list(hostile.hostile_rows(228, seed=5, longest=20_000))
    assert len({row.kind for row in rows}) == 38
    (tmp_path / "in.jsonl").write_bytes(b"".join(row.line + b"\n" for row in rows))
    job = Job(str(tiny_model), (str(tmp_path / "in.jsonl"),), str(tmp_path / "out.jsonl"), shard_reports=50)
    summary = run_job(job)
    counts = hostile.check(rows, tmp_path / "out.jsonl")
    assert (summary.reports, summary.rejects) == (counts["reports"], counts["rejects"]) == (114, 114)
    assert counts["entities"] == summary.entities > 50
