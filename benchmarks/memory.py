"""Runs a command and measures it from outside: seconds to its first line of output, seconds in all, peak memory."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_SECONDS_BETWEEN_LOOKS = 0.05


@dataclass(frozen=True)
class Measured:
    """``first`` and ``seconds`` since the start, ``peak`` in MiB (Linux's VmHWM); ``last`` is the last line."""

    code: int
    first: float
    seconds: float
    peak: float
    last: str


def measure_command(command: Sequence[str]) -> Measured:
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    status = Path(f"/proc/{process.pid}/status")
    peaks = [0.0]
    done = threading.Event()

    def look() -> None:
        while not done.wait(_SECONDS_BETWEEN_LOOKS):
            for line in status.read_text(encoding="utf-8").splitlines():  # there until the process is waited for
                if line.startswith("VmHWM"):
                    peaks.append(int(line.split()[1]) / 1024)

    watcher = threading.Thread(target=look)
    watcher.start()
    first, last = 0.0, ""
    if process.stdout is not None:
        for line in process.stdout:
            last, first = line, first or time.monotonic() - began
    done.set()
    watcher.join()
    code = process.wait()
    return Measured(code, first, time.monotonic() - began, max(peaks), last)
