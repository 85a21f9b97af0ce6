"""Who runs the model on a job's shards: this process, or workers of Ray."""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from marsad.errors import MarsadError

if TYPE_CHECKING:
    from marsad.batch.jobs import Job, ShardReader
    from marsad.batch.recognizer import Recognizer


def run_local(job: Job, shards: ShardReader, recognizer: Recognizer) -> Iterator[tuple[int, bytes]]:
    """Number and file of each shard, made in this process."""
    from marsad.batch.jobs import compute_shard

    for shard in shards:
        yield shard.number, compute_shard(shard, recognizer, job.layout)


class ShardWorker:
    """An actor of Ray: loads the model once and makes the files of the shards that it is handed."""

    def __init__(self, job: Job, fingerprint: str) -> None:
        self._job = job
        self._fingerprint = fingerprint
        self._recognizer: Recognizer | None = None

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """One row a shard: ``shard`` (pickled) in, ``number`` and ``file`` out, or ``error`` for a bad model."""
        from marsad.batch.jobs import compute_shard

        shards = [pickle.loads(content) for content in batch["shard"]]
        try:
            recognizer = self._load()
        except MarsadError as error:  # as a value: of an exception nothing but its traceback comes through Ray Data
            return {"number": [-1], "file": [b""], "error": [str(error)]}
        files = [compute_shard(shard, recognizer, self._job.layout) for shard in shards]
        return {"number": [shard.number for shard in shards], "file": files, "error": [""] * len(shards)}

    def _load(self) -> Recognizer:
        # Not when the actor starts: one that fails there is started again without end.
        if self._recognizer is None:
            self._recognizer = self._job.load()
            if self._recognizer.fingerprint != self._fingerprint:
                raise MarsadError(f"{self._job.model}: is another model on a worker than on the driver; copy it again")
        return self._recognizer


def run_ray(job: Job, shards: ShardReader, fingerprint: str) -> Iterator[tuple[int, bytes]]:
    """As :func:`run_local` on Ray Data: one task reads the inputs, ``map_batches`` hands the shards to actors.

    A worker that dies is replaced and its shards are handed out again. With ``job.address`` the workers are those of a
    cluster, which has to see the model and the inputs under the same paths. Raises MarsadError where Ray is not
    installed, and whatever the reading of the inputs raises.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
        from ray.data.block import BlockMetadata
        from ray.data.datasource import Datasource, ReadTask
    except ImportError:
        raise MarsadError("--engine ray needs the package ray: pip install 'marsad[ray]'") from None

    class ShardSource(Datasource):  # type: ignore[misc]
        """One task that gives out a shard a block, so that the inputs are read once and in order."""

        def estimate_inmemory_data_size(self) -> int | None:
            return None

        def get_read_tasks(self, parallelism: int, *arguments: Any, **options: Any) -> list[ReadTask]:
            metadata = BlockMetadata(num_rows=None, size_bytes=None, exec_stats=None, input_files=None)
            return [ReadTask(lambda: _blocks(shards), metadata)]

    began_here = not ray.is_initialized()
    if began_here:
        ray.init(address=job.address, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # it would show tracebacks of what is raised here as well
    try:
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.execution_options.preserve_order = True
        # A worker takes the cores of its --threads; the reader asks for none, the workers hold them all to the end.
        cores = job.threads or 1
        workers = job.workers or max(1, int(ray.cluster_resources().get("CPU", 1)) // cores)
        found = ray.data.read_datasource(ShardSource(), num_cpus=0).map_batches(
            ShardWorker,
            fn_constructor_args=(replace(job, threads=cores), fingerprint),
            batch_size=1,
            num_cpus=cores,
            compute=ray.data.ActorPoolStrategy(size=workers),
        )
        for row in found.iter_rows():
            if row["error"]:
                raise MarsadError(row["error"])
            yield row["number"], row["file"]
    except ray.exceptions.RayError as error:
        if isinstance(error, ray.exceptions.RayTaskError) and isinstance(error.cause, MarsadError):
            raise MarsadError(str(error.cause)) from None
        raise
    finally:
        if began_here:
            ray.shutdown()


def _blocks(shards: ShardReader) -> Iterator[pa.Table]:
    for shard in shards:
        yield pa.table({"shard": pa.array([pickle.dumps(shard)], type=pa.large_binary())})
