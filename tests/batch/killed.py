"""Runs a job in processes of their own, kills them at random moments, lets the last end; run by ``test_jobs.py``.

``killed.py MODEL INPUT OUTPUT SEED KILLS SECONDS``: a kill falls anywhere in the first SECONDS of a process. Forking
spares the seconds that importing takes; the model is loaded and run only in the processes that are killed.
"""

import os
import random
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

from marsad.batch.jobs import Job, run_job


def run(job: Job) -> None:
    with suppress(Exception):
        run_job(job)
        os._exit(0)
    os._exit(1)


def main() -> None:
    model, source, output, seed, kills, seconds = sys.argv[1:]
    job = Job(model, (source,), output, shard_reports=8)
    draw = random.Random(int(seed))
    killed = done = 0
    for _ in range(int(kills)):
        child = os.fork()
        if child == 0:
            run(job)
        time.sleep(draw.uniform(0, float(seconds)))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        killed += os.WIFSIGNALED(status)
        done = max(done, len(list(Path(f"{output}.partial").glob("*/*.shard"))))
    summary = run_job(job)
    sys.stdout.write(f"{killed} {done} {summary.resumed} {summary.shards}\n")


main()
