"""Files are there whole or not at all, wherever they are asked for."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from marsad.errors import MarsadError
from marsad.files import open_together, open_whole, write_json, write_report


def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path):
    path = tmp_path / "a.json"
    write_json(path, {"old": 1})
    with pytest.raises(RuntimeError), open_whole(path) as file:
        file.write("half")
        raise RuntimeError
    assert json.loads(path.read_text()) == {"old": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_is_followed(tmp_path: Path):
    target, link = tmp_path / "target.json", tmp_path / "link.json"
    target.write_text("{}")
    link.symlink_to(target)
    write_json(link, {"new": 1})
    assert link.is_symlink()
    assert json.loads(target.read_text()) == {"new": 1}


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path: Path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text(encoding="utf-8")))
    reader.start()
    write_json(pipe, {"a": "حلب"})
    reader.join()
    assert json.loads(read[0]) == {"a": "حلب"}
    assert pipe.is_fifo()


def test_lone_surrogates_are_written_as_escapes(tmp_path: Path):
    write_json(tmp_path / "a.json", {"a": "\ud800 حلب"})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"a": "\ud800 حلب"}


def test_a_report_that_cannot_be_written_is_one_error(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MarsadError, match="can't be written"):
        write_report(tmp_path / "file" / "report.json", {})


def write_all(paths: list[Path], text: str) -> None:
    with open_together(paths) as files:
        for file in files:
            file.write(text)


def test_files_written_together_take_their_places_together(tmp_path: Path):
    paths = [tmp_path / name for name in ("a", "b", "c")]
    write_all(paths, "old")
    write_all(paths[:2], "new")
    assert [path.read_text() for path in paths] == ["new", "new", "old"]
    with pytest.raises(ZeroDivisionError), open_together(paths) as files:
        files[0].write("half")
        files[1].write(str(1 / 0))
    assert [path.read_text() for path in paths] == ["new", "new", "old"]
    assert sorted(tmp_path.iterdir()) == paths


def test_where_one_of_them_cannot_take_its_place_all_keep_their_old_content(tmp_path: Path):
    paths = [tmp_path / name for name in ("a", "b", "c")]
    write_all(paths[:1], "old")
    with pytest.raises(FileNotFoundError), open_together(paths):
        (tmp_path / ".c.partial").unlink()  # as another program would
    assert list(tmp_path.iterdir()) == paths[:1]
    assert paths[0].read_text() == "old"
