"""The folder of a run: everything happens in ``OUTPUT.partial``, and takes its place at ``OUTPUT`` when it is whole.

So a run that is killed leaves what stood there before as it was, and can be resumed. ``run.json`` in the working
folder says what the run is made of; ``manifest`` names the file that a finished output is known by.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from marsad.errors import MarsadError
from marsad.files import is_partial, write_json

logger = logging.getLogger(__name__)

RUN_FILE = "run.json"


def work_folder(output: Path) -> Path:
    """Where a run works until its output is whole."""
    return output.with_name(f"{output.name}.partial")


def prepare_folder(output: Path, manifest: str, run: Mapping[str, Any], resume: bool, overwrite: bool) -> None:
    """Make or take up the run's working folder. Raises MarsadError when something else is in the way."""
    work = work_folder(output)
    old = _old_folder(output)
    if old.exists() and not output.exists():
        old.rename(output)  # a run was killed between its last two renames
    if resume and (work / RUN_FILE).is_file():
        check_same_run(work, read_run(work), run)
        return
    if resume and not work.exists():
        logger.info("no broken-off run in %s; starting a new one", work)
    check_free(output, manifest, overwrite, resume)
    shutil.rmtree(work, ignore_errors=True)
    try:
        work.mkdir(parents=True)
    except OSError as error:
        raise MarsadError(f"{work}: can't be created ({error.strerror})") from None
    write_json(work / RUN_FILE, run)


def check_free(output: Path, manifest: str, overwrite: bool, resume: bool = False) -> None:
    """Raises MarsadError when a result or a run stands where this one would, and may not be replaced."""
    work = work_folder(output)
    if output.is_symlink():
        raise MarsadError(f"{output}: is a link, as marsad promote makes them; choose an output=FOLDER of its own")
    if work.exists() and not (work / RUN_FILE).is_file() and _holds_more_than_a_start(work):
        raise MarsadError(f"{work}: is no run of this project and stands where the run would work; move it away")
    if not overwrite:
        if work.exists() and any(work.iterdir()) and not resume:
            raise MarsadError(f"{work}: holds a run that broke off; go on with --resume or start anew with --overwrite")
        if output.exists() and (not output.is_dir() or any(output.iterdir())):
            raise MarsadError(
                f"{output}: holds another run; choose another output=FOLDER or replace it with --overwrite"
            )
    elif output.is_file() or (output.is_dir() and any(output.iterdir()) and not (output / manifest).is_file()):
        raise MarsadError(f"{output}: is no model of this project, so --overwrite leaves it alone; remove it by hand")


def _holds_more_than_a_start(work: Path) -> bool:
    return not work.is_dir() or not all(is_partial(path, RUN_FILE) for path in work.iterdir())


def _old_folder(output: Path) -> Path:
    """Where an output is kept for the moment in which another takes its place."""
    return output.with_name(f".{output.name}.old")


def read_run(work: Path) -> dict[str, Any]:
    """What the run in a working folder is made of."""
    values: dict[str, Any] = json.loads((work / RUN_FILE).read_text(encoding="utf-8"))
    return values


def take_up_folder(record: Path, run: Mapping[str, Any], what: str, other: str, again: str) -> None:
    """Make the folder of ``record``, with what the work in it is made of, or take it up again.

    In messages, ``what`` the folder is for, ``other`` work of that kind and how it is begun ``again``.

    Raises MarsadError when the folder holds something else or can't be used.
    """
    folder = record.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not record.is_file():
            if any(folder.iterdir()):
                raise MarsadError(f"{folder}: holds other files where {what} would go; choose another --output")
            write_json(record, run)
        earlier = json.loads(record.read_text(encoding="utf-8"))
    except OSError as error:
        raise MarsadError(f"{folder}: can't be used ({error.strerror or error})") from None
    except ValueError:
        raise MarsadError(f"{record}: is damaged; remove {folder} to {again}") from None
    if earlier != run:
        changed = " and ".join(key for key in run if earlier.get(key) != run[key])
        raise MarsadError(f"{folder}: holds {other} ({changed} differ); remove it or choose another --output")


def check_same_run(folder: Path, earlier: Mapping[str, Any], run: Mapping[str, Any]) -> None:
    """Raises MarsadError when the earlier run in ``folder`` had another config or other data.

    What an earlier version did not write down of a run is not known to be another.
    """
    for part in run:
        if part in earlier and earlier[part] != run[part]:
            changed = ", ".join(_differences(earlier[part], run[part]))
            raise MarsadError(
                f"{folder}: can't be resumed, its {part} was another ({changed}); resume with the same or start anew "
                "with --overwrite"
            )


def _differences(one: Any, other: Any, prefix: str = "") -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            yield from _differences(one.get(key), other.get(key), f"{prefix}{key}.")
    elif one != other:
        yield prefix.rstrip(".")


def last_checkpoint(work: Path) -> Path | None:
    """The newest checkpoint, if there is one."""
    return max(work.glob("checkpoint-*"), key=lambda folder: int(folder.name.split("-")[1]), default=None)


def move_into_place(output: Path) -> None:
    """Put the finished ``model`` of the working folder at ``output``, then remove the rest.

    Renames, so that each is there or not.
    """
    work = work_folder(output)
    old = _old_folder(output)
    shutil.rmtree(old, ignore_errors=True)
    if output.exists():
        output.rename(old)
    (work / "model").rename(output)
    shutil.rmtree(old, ignore_errors=True)
    work.rename(old)
    shutil.rmtree(old, ignore_errors=True)
