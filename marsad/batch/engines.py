"""Who runs the model on a job's shards: this process, or workers of Ray."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from marsad.errors import MarsadError

if TYPE_CHECKING:
    from marsad.batch.jobs import Job, ShardReader


def run_local(job: Job, shards: ShardReader) -> Iterator[tuple[int, bytes]]:
    """Number and file of each shard, made in this process. The model is loaded when the first one comes."""
    from marsad.batch.jobs import compute_shard

    recognizer = None
    for shard in shards:
        recognizer = recognizer or job.load()
        yield shard.number, compute_shard(shard, recognizer, job.layout)


class ShardWorker:
    """An actor of Ray: loads the model once and makes the files of the shards that it is handed."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._recognizer = job.load()

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """One row a shard: ``shard`` (pickled) in, ``number`` and ``file`` out."""
        from marsad.batch.jobs import compute_shard

        shards = [pickle.loads(content) for content in batch["shard"]]
        files = [compute_shard(shard, self._recognizer, self._job.layout) for shard in shards]
        return {"number": [shard.number for shard in shards], "file": files}


def run_ray(job: Job, shards: ShardReader) -> Iterator[tuple[int, bytes]]:
    """As :func:`run_local` on Ray Data: one task reads the inputs, ``map_batches`` hands the shards to actors.

    A worker that dies is replaced and its shards are handed out again. With ``job.address`` the workers are those of a
    cluster, which has to see the model and the inputs under the same paths. The shards come in any order but for a
    stream. Raises MarsadError where Ray is not installed, and whatever the reading of the inputs raises.
    """
    try:
        import ray
        from ray.data.block import BlockMetadata
        from ray.data.datasource import Datasource, ReadTask
    except ImportError:
        raise MarsadError("--engine ray needs the package ray: pip install 'marsad[ray]'") from None

    class ShardSource(Datasource):
        """One task that gives out a shard a block, so that the inputs are read once and in order."""

        def estimate_inmemory_data_size(self) -> int | None:
            return None

        def get_read_tasks(self, parallelism: int, *arguments: Any, **options: Any) -> list[ReadTask]:
            metadata = BlockMetadata(num_rows=None, size_bytes=None, exec_stats=None, input_files=None)
            return [ReadTask(lambda: _blocks(shards), metadata)]

    ray.init(address=job.address, ignore_reinit_error=True, include_dashboard=False, log_to_driver=False)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.preserve_order = True
    workers = job.workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
    # The reader asks for no CPU of its own: the actors hold them all from the first to the last shard.
    source = ray.data.read_datasource(ShardSource(), ray_remote_args={"num_cpus": 0})
    found = source.map_batches(
        ShardWorker, fn_constructor_args=(job,), batch_size=1, compute=ray.data.ActorPoolStrategy(size=workers)
    )
    try:
        for row in found.iter_rows():
            yield row["number"], row["file"]
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, MarsadError):
            raise MarsadError(str(error.cause)) from None
        raise


def _blocks(shards: ShardReader) -> Iterator[pa.Table]:
    for shard in shards:
        yield pa.table({"shard": pa.array([pickle.dumps(shard)], type=pa.large_binary())})
