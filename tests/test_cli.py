import json
import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT, synthetic_reports, write_jsonl

from marsad.annotations.jsonl import read_documents
from marsad.cli import main
from marsad.modeling import artifacts


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


Run = Callable[..., Done]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """A command in this process, its log on stderr as in a process of its own."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def command(*arguments: str | Path) -> Done:
        root.handlers[:] = []
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return Done(code, out, err)

    yield command
    root.handlers[:], root.level = handlers, level


def script(name: str, *arguments: str | Path) -> Done:
    """A command as a user runs it."""
    done = subprocess.run(
        [sys.executable, str(ROOT / name), *map(str, arguments)], capture_output=True, text=True, timeout=300
    )
    return Done(done.returncode, done.stdout, done.stderr)


def tree(folder: Path) -> dict[str, int]:
    return {path.relative_to(folder).as_posix(): path.stat().st_mtime_ns for path in folder.rglob("*")}


def assert_refused(done: Done, message: str) -> None:
    """One clear line on stderr, exit code 2, nothing on stdout."""
    assert done.code == 2, done
    assert done.out == ""
    assert done.err.endswith("\n")
    (line,) = done.err.splitlines()
    assert line.startswith("marsad: error: ")
    assert re.search(message, line), line


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "given").mkdir()
    return tmp_path / "given"


GOOD = {"id": "a", "text": "قتل طفلين في حلب", "entities": [{"start": 4, "end": 9, "label": "CASUALTY"}]}
NEXT = GOOD | {"id": "b"}


def with_entities(*spans: tuple[Any, Any, str]) -> dict[str, Any]:
    return GOOD | {"entities": [{"start": start, "end": end, "label": label} for start, end, label in spans]}


def as_lines(*records: dict[str, Any]) -> bytes:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()


# What a file holds, and what must be said of it; None: the file is not there.
FILES: dict[str, tuple[bytes | None, str]] = {
    "missing": (None, r"bad\.jsonl: no such file"),
    "empty": (b"", r"bad\.jsonl: holds no report"),
    "blank lines": (b"\n \n\n", r"bad\.jsonl: holds no report"),
    "invalid UTF-8": (as_lines(GOOD) + "قتل".encode("cp1256") + b"\n", r"bad\.jsonl:2: invalid UTF-8 at byte 0"),
    "UTF-16": ("\ufeff".encode("utf-16-le") + as_lines(GOOD).decode().encode("utf-16-le"), r"bad\.jsonl:1: .*UTF-8"),
    "not JSON": (as_lines(GOOD) + b'{"id": "b", "text": \n', r"bad\.jsonl:2: not JSON"),
    "a JSON list": (b"[]\n", r"bad\.jsonl:1: a JSON list, expected an object"),
    "no text": (b'{"id": "a"}\n', r"bad\.jsonl:1.*: no 'text'"),
    "text is a number": (as_lines(GOOD | {"text": 5}), r"bad\.jsonl:1 \(id 'a'\): text is int"),
    "empty id": (as_lines(GOOD | {"id": ""}), r"bad\.jsonl:1.*id is ''"),
    "duplicate ids": (as_lines(GOOD, NEXT, GOOD), r"bad\.jsonl:3.*: id 'a' already stands at .*bad\.jsonl:1"),
}
# The same for files of annotated reports.
ANNOTATED: dict[str, tuple[bytes | None, str]] = {
    "unknown label": (as_lines(with_entities((4, 9, "VEHICLE"))), r"bad\.jsonl:1 \(id 'a'\): .*'VEHICLE'.*ACTOR"),
    "label in small letters": (as_lines(with_entities((4, 9, "actor"))), r"'actor', which is not in the set"),
    "offset outside the text": (as_lines(NEXT, with_entities((13, 17, "LOCATION"))), r"bad\.jsonl:2 .*\[13, 17\)"),
    "negative offset": (as_lines(with_entities((-1, 3, "ACTOR"))), r"\[-1, 3\)"),
    "empty entity": (as_lines(with_entities((4, 4, "ACTOR"))), r"\[4, 4\)"),
    "offset is a string": (as_lines(with_entities(("4", 9, "ACTOR"))), r"start is '4'"),
    "overlap": (as_lines(with_entities((0, 9, "ACTOR"), (4, 12, "CASUALTY"))), r"\[0, 9\).*\[4, 12\).*overlap"),
    "no end": (as_lines(GOOD | {"entities": [{"start": 1, "label": "ACTOR"}]}), r"no 'end'"),
    "entities is a string": (as_lines(GOOD | {"entities": "none"}), r"entities is a str"),
    "impossible date": (as_lines(GOOD | {"published": "2024-13-01"}), r"published is '2024-13-01'"),
}


@pytest.mark.parametrize("command", ["train", "evaluate", "predict"])
@pytest.mark.parametrize("problem", [*FILES, *ANNOTATED])
def test_bad_files_of_reports(
    problem: str, command: str, run: Run, folder: Path, tiny_config: Path, tiny_model: Path
) -> None:
    content, message = (FILES | ANNOTATED)[problem]
    bad = folder / "bad.jsonl"
    if content is not None:
        bad.write_bytes(content)
    before = tree(folder)
    out = folder / "out"
    match command:
        case "train":
            done = run("train", tiny_config, f"data.train={bad}", f"output={out}")
        case "evaluate":
            done = run("evaluate", tiny_model, bad, "--output", out)
        case _:
            done = run("predict", tiny_model, bad, "--output", out, "--max-rejects", "0")
            if problem in ANNOTATED:  # annotation is not read, so a mistake in it is none
                assert done.code == 0, done
                assert "out" in tree(folder)
                return
    assert_refused(done, message)
    assert tree(folder) == before


def test_a_duplicate_id_in_another_file(run: Run, folder: Path, tiny_model: Path) -> None:
    one, two = write_jsonl(folder / "one.jsonl", [GOOD, NEXT]), write_jsonl(folder / "two.jsonl", [NEXT])
    for command, *strict in (["evaluate"], ["predict", "--max-rejects", "0"]):
        done = run(command, tiny_model, one, two, "--output", folder / "out", *strict)
        assert_refused(done, r"two\.jsonl:1.*: id 'b' already stands at .*one\.jsonl:2")
    (folder / "a.txt").write_text("قتل طفلين", encoding="utf-8")
    done = run("predict", tiny_model, one, folder / "a.txt", "--output", folder / "out", *strict)
    assert_refused(done, r"a\.txt.*: id 'a' already stands at .*one\.jsonl:1")
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("content", "overrides", "message"),
    [
        (None, [], r"config\.yaml: no such config file"),
        (b"training: {epoch: 3}", [], r"config\.yaml: unknown key 'training\.epoch'; did you mean 'training\.epochs'"),
        (b"lables: [ACTOR]", [], r"unknown key 'lables'; did you mean 'labels'"),
        (b"training: {epochs: many}", [], r"config\.yaml: training\.epochs: .*'many'"),
        (b"training: {epochs: 0}", [], r"training\.epochs: .*got 0"),
        (b"training: {learning_rate: -1}", [], r"training\.learning_rate: .*-1"),
        (b"training: 5", [], r"config\.yaml: training: "),
        (b"labels: []", [], r"label set is empty"),
        (b"labels: [ACTOR, ACTOR]", [], r"stands twice"),
        (b"training: {class_weights: {PERSON: 2}}", [], r"class_weights names 'PERSON'"),
        (b"model: {max_tokens: 64, overlap: 40}", [], r"overlap 40 is more than half"),
        (b"name: ../x", [], r"config\.yaml: name: .*'\.\./x'"),
        (b"training: [", [], r"config\.yaml: not YAML"),
        (b"- a\n- b\n", [], r"config\.yaml: holds a list"),
        ("name: قتل".encode("cp1256"), [], r"config\.yaml: not UTF-8"),
        (b"{}", ["training.epoch=3"], r"unknown key 'training\.epoch'"),
        (b"{}", ["training.epochs=x"], r"training\.epochs: .*'x'"),
        (b"{}", ["training.epochs"], r"override 'training\.epochs': expected section\.key=value"),
        (b"{}", ["name.first=x", "name=y", "name.last=z"], r"'name' is a value"),
        (b"{}", ["--overwrite", "model.max_tokens=1"], r"model\.max_tokens: "),
        (b"{}", ["model.encoder=models/nowhere"], r"encoder 'models/nowhere': no such folder"),
        (b"{}", ["model.encoder=./nowhere"], r"encoder '\./nowhere': no such folder"),
        (b"{}", ["training.batch_size=8", "training.gradient_accumulation=3"], r"batch_size 8 can't be shared out"),
        (b"{}", ["data.train=[]"], r"data\.train"),
        (b"{}", ["data.dev=[]"], r"data\.dev"),
    ],
)
def test_bad_configs(
    content: bytes | None, overrides: list[str], message: str, run: Run, folder: Path, corpus: Path
) -> None:
    path = folder / "config.yaml"
    if content is not None:
        path.write_bytes(content)
    before = tree(folder)
    data = [f"data.{name}={corpus / name}.jsonl" for name in ("train", "dev")]
    done = run("train", path, *data, f"output={folder / 'out'}", *overrides)
    assert_refused(done, message)
    assert tree(folder) == before


def test_a_folder_is_no_config(run: Run, folder: Path) -> None:
    assert_refused(run("train", folder), r"given: is a folder, expected a YAML config file")


def test_an_encoder_whose_tokenizer_gives_no_offsets(
    run: Run, folder: Path, tiny_config: Path, slow_encoder: Path
) -> None:
    done = run("train", tiny_config, f"model.encoder={slow_encoder}", f"output={folder / 'out'}")
    assert_refused(done, r"CanineTokenizer gives no offsets")
    assert tree(folder) == {}


def test_an_output_folder_that_holds_another_run(run: Run, folder: Path, tiny_config: Path, tiny_model: Path) -> None:
    shutil.copytree(tiny_model, folder / "model")
    before = tree(folder)
    done = run("train", tiny_config, f"output={folder / 'model'}", "training.epochs=1")
    assert_refused(done, r"model: holds another run; .*--overwrite")
    done = run("train", tiny_config, f"output={folder / 'model'}", "training.epochs=1", "--resume")
    assert_refused(done, r"can't be resumed, its config was another \(training\.epochs\)")
    (folder / "model.partial").mkdir()
    (folder / "model.partial" / "run.json").write_text("{}")
    done = run("train", tiny_config, f"output={folder / 'model'}")
    assert_refused(done, r"model\.partial: holds a run that broke off; go on with --resume or start anew")
    shutil.rmtree(folder / "model.partial")
    assert tree(folder) == before


def damage_model(model: Path, damage: str) -> None:
    manifest = model / "marsad.json"
    match damage:
        case "missing":
            shutil.rmtree(model)
        case "a file":
            shutil.rmtree(model)
            model.write_text("text")
        case "an empty folder":
            shutil.rmtree(model)
            model.mkdir()
        case "no manifest":
            manifest.unlink()
        case "manifest is cut":
            manifest.write_bytes(manifest.read_bytes()[:100])
        case "manifest is a list":
            manifest.write_text("[]")
        case "manifest without labels":
            manifest.write_text(json.dumps({"format": artifacts.FORMAT}))
        case "format of the future":
            manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"format": 99}))
        case "no weights":
            (model / "model.safetensors").unlink()
        case "weights are cut":
            (model / "model.safetensors").write_bytes((model / "model.safetensors").read_bytes()[:4000])
        case "no config.yaml":
            (model / "config.yaml").unlink()
        case "config.yaml is no config":
            (model / "config.yaml").write_text("epochs: 3\n")
        case "no config.json":
            (model / "config.json").unlink()
        case "config.json is cut":
            (model / "config.json").write_text("{")
        case "no tokenizer":
            (model / "tokenizer.json").unlink()
        case "no head":
            from safetensors.torch import load_file, save_file

            tensors = load_file(model / "model.safetensors")
            kept = {name: tensor for name, tensor in tensors.items() if not name.startswith("classifier.")}
            assert len(kept) == len(tensors) - 2
            save_file(kept, model / "model.safetensors", metadata={"format": "pt"})
        case "labels of another model":
            values = yaml.safe_load((model / "config.yaml").read_text(encoding="utf-8"))
            (model / "config.yaml").write_text(yaml.safe_dump(values | {"labels": ["ACTOR"]}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("missing", "no such model folder"),
        ("a file", "is a file, expected a model folder"),
        ("an empty folder", "is not a trained model"),
        ("no manifest", "is not a trained model"),
        ("manifest is cut", "damaged"),
        ("manifest is a list", "damaged"),
        ("manifest without labels", "damaged"),
        ("format of the future", "format 99"),
        ("no weights", r"incomplete \(no model\.safetensors\)"),
        ("weights are cut", "edited or damaged"),
        ("no config.yaml", r"incomplete \(no config\.yaml\)"),
        ("config.yaml is no config", r"config\.yaml: is damaged"),
        ("no config.json", "model"),
        ("config.json is cut", "model"),
        ("no tokenizer", "tokenizer"),
        ("no head", "edited or damaged"),
        ("labels of another model", "model"),
    ],
)
def test_what_is_no_model(damage: str, message: str, run: Run, folder: Path, tiny_model: Path, corpus: Path) -> None:
    model = folder / "model"
    shutil.copytree(tiny_model, model)
    damage_model(model, damage)
    before = tree(folder)
    for command in ("evaluate", "predict"):
        done = run(command, model, corpus / "test.jsonl", "--output", folder / "out")
        assert_refused(done, message)
        assert str(model) in done.err
        assert tree(folder) == before


def test_a_bare_encoder_is_no_model(run: Run, folder: Path, encoders: dict[str, Path], corpus: Path) -> None:
    done = run("predict", encoders["wordpiece"], corpus / "test.jsonl", "--output", folder / "out")
    assert_refused(done, "is not a trained model")


def test_outputs_that_cannot_be_written(run: Run, folder: Path, tiny_model: Path) -> None:
    reports = write_jsonl(folder / "in.jsonl", [GOOD])
    (folder / "taken").mkdir()
    (folder / "plain").write_text("text")
    before = tree(folder)
    assert_refused(run("predict", tiny_model, reports, "--output", reports), r"in\.jsonl: is an input too")
    assert_refused(run("predict", tiny_model, reports, "--output", folder / "taken"), "taken: ")
    assert_refused(run("predict", tiny_model, reports, "--output", folder / "plain" / "x.jsonl"), r"x\.jsonl: ")
    assert_refused(run("evaluate", tiny_model, reports, "--output", folder / "plain"), "plain: is a file")
    done = run("evaluate", tiny_model, reports, "--output", folder / "plain" / "x")
    assert (done.code, "can't be written" in done.err) == (2, True)
    assert tree(folder) == before


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["train"],
        ["predict", "model"],
        ["train", "config.yaml", "--epochs", "3"],
        ["evaluate", "model", "test.jsonl", "training.epochs=3", "--fast"],
    ],
)
def test_mistyped_commands_are_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "error: " in capsys.readouterr().err


# --- what is done right ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "order",
    [
        ["CONFIG", "OUTPUT", "training.epochs=1", "--overwrite"],
        ["CONFIG", "--overwrite", "OUTPUT", "training.epochs=1"],
        ["CONFIG", "training.epochs=1", "--overwrite", "OUTPUT"],
        ["--overwrite", "CONFIG", "training.epochs=1", "OUTPUT"],
    ],
)
def test_overrides_before_and_after_options(order: list[str], run: Run, folder: Path, tiny_config: Path) -> None:
    output = folder / "model"
    done = run("train", *[{"CONFIG": str(tiny_config), "OUTPUT": f"output={output}"}.get(one, one) for one in order])
    assert done.code == 0, done.err
    saved = yaml.safe_load((output / "config.yaml").read_text(encoding="utf-8"))
    assert saved["training"]["epochs"] == 1
    assert "strict scores on dev" in done.out
    assert f"model: {output}" in done.out
    assert "epoch 1: strict dev F1" in done.err
    assert "sub-tokens/s" in done.err
    assert "Traceback" not in done.err
    assert "WARN" not in done.err.upper()


def test_evaluate_reports_what_it_prints(run: Run, folder: Path, tiny_model: Path, corpus: Path) -> None:
    done = run("evaluate", tiny_model, corpus / "test.jsonl", "--output", folder / "deep" / "er")
    assert done.code == 0
    assert done.err == ""
    report = json.loads((folder / "deep" / "er" / "report.json").read_text(encoding="utf-8"))
    strict = report["strict"]
    assert 0.9 < strict["overall"]["f1"] <= 1
    assert 0.9 < strict["by_type"]["ACTOR"]["f1"] <= 1
    assert list(strict["by_type"]) == ["ACTOR", "LOCATION", "DATE", "CASUALTY"]
    for name, row in [*strict["by_type"].items(), ("all (micro)", strict["overall"])]:
        numbers = r"\s+".join(f"{row[key]:.4f}" for key in ("precision", "recall", "f1"))
        counts = rf"{row['support']}\s+{row['predicted']}"
        pattern = rf"^{re.escape(name)}\s+{numbers}\s+\d\.\d+ – \d\.\d+\s+{counts}$"
        assert re.search(pattern, done.out, re.MULTILINE), name
    reports = [json.loads(line) for line in (corpus / "test.jsonl").read_text(encoding="utf-8").splitlines()]
    assert report["data"]["reports"] == len(reports) == 24
    assert strict["overall"]["support"] == sum(len(one["entities"]) for one in reports)
    fingerprint = json.loads((tiny_model / "marsad.json").read_text(encoding="utf-8"))["fingerprint"]
    assert report["system"] == {
        "kind": "model",
        "path": str(tiny_model),
        "fingerprint": fingerprint,
        "runtime": "torch",
    }
    assert not any(report["alignment"].values())
    assert len(report["documents"]) == 24
    assert [row["epoch"] for row in report["history"]] == [1, 2, 3, 4]
    seen = {one["group"]: one["why"] for one in report["slices_left_out"]}["seen in training"]
    assert seen == "every entity is in 'seen'"
    assert {path.name for path in (folder / "deep" / "er").iterdir()} == {"report.json", "report.md", "report.html"}


def test_evaluate_is_right_on_a_file_of_its_own_predictions(
    run: Run, folder: Path, tiny_model: Path, corpus: Path
) -> None:
    # Predictions taken as gold must score 1, and with every second one left out recall stays 1 and precision halves.
    assert run("predict", tiny_model, corpus / "test.jsonl", "--output", folder / "found.jsonl").code == 0
    texts = [json.loads(line) for line in (corpus / "test.jsonl").read_text(encoding="utf-8").splitlines()]
    found = [json.loads(line) for line in (folder / "found.jsonl").read_text(encoding="utf-8").splitlines()]
    count = 0
    whole, half = [], []
    for text, prediction in zip(texts, found, strict=True):
        whole.append(text | {"entities": prediction["entities"]})
        kept = [entity for index, entity in enumerate(prediction["entities"], count) if index % 2]
        count += len(prediction["entities"])
        half.append(text | {"entities": kept})
    scores = []
    for name, records in (("whole", whole), ("half", half)):
        assert run("evaluate", tiny_model, write_jsonl(folder / name, records), "--output", folder).code == 0
        scores.append(json.loads((folder / "report.json").read_text(encoding="utf-8"))["strict"]["overall"])
    assert count > 100
    assert (scores[0]["precision"], scores[0]["recall"]) == (1, 1)
    assert (scores[1]["precision"], scores[1]["recall"]) == (count // 2 / count, 1)


def test_predict_writes_a_line_a_report_in_order(run: Run, folder: Path, tiny_model: Path) -> None:
    reports = synthetic_reports(300, seed=41)  # more than are read together
    reports[7]["text"] = ""
    reports[8]["text"] = "\n \n"
    for report in reports:
        del report["entities"]
    write_jsonl(folder / "one.jsonl", reports[:299])
    write_jsonl(folder / "two.jsonl", reports[299:])
    windows = "قصفت قوات النظام منازل في حلب\r\nيوم 3 مايو\r\n\r\nمما أدى إلى مقتل 3 مدنيين.\r\n"
    (folder / "report.txt").write_bytes(windows.encode("utf-8"))
    inputs = [folder / name for name in ("one.jsonl", "report.txt", "two.jsonl")]
    done = run("predict", tiny_model, *inputs, "--output", folder / "new" / "out.jsonl")
    assert done.code == 0
    (line,) = done.err.splitlines()  # one for the one shard
    assert "301 reports" in line
    assert [path.name for path in (folder / "new").iterdir()] == ["out.jsonl"]
    lines = [json.loads(line) for line in (folder / "new" / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    expected = [*reports[:299], {"id": "report", "text": windows}, reports[299]]
    assert [line["id"] for line in lines] == [report["id"] for report in expected]
    assert f"{len(lines)} reports" in done.out
    for line, report in zip(lines, expected, strict=True):
        assert list(line) == ["id", "entities"]
        for entity in line["entities"]:
            assert list(entity) == ["start", "end", "label", "text", "score"]
            assert report["text"][entity["start"] : entity["end"]] == entity["text"]
            assert 0 < entity["score"] <= 1
    assert lines[7]["entities"] == lines[8]["entities"] == []
    assert sum(len(line["entities"]) for line in lines) > 1000
    found = {(entity["label"], entity["text"]) for entity in lines[299]["entities"]}
    assert {("LOCATION", "حلب"), ("DATE", "يوم 3 مايو"), ("CASUALTY", "3 مدنيين")} <= found
    assert windows[windows.index("3 مدنيين") :].startswith("3 مدنيين.\r\n")  # behind three \r\n


def test_a_failed_predict_keeps_the_earlier_output(run: Run, folder: Path, tiny_model: Path) -> None:
    good = write_jsonl(folder / "good.jsonl", [GOOD])
    assert run("predict", tiny_model, good, "--output", folder / "out").code == 0
    before = tree(folder)
    assert run("predict", tiny_model, good, folder / "missing.jsonl", "--output", folder / "out").code == 2
    assert tree(folder) == before


def test_plain_text_files_that_are_none(run: Run, folder: Path, tiny_model: Path) -> None:
    (folder / "empty.txt").write_text(" \n")
    (folder / "latin.txt").write_bytes("قتل".encode("cp1256"))
    (folder / "sub.txt").mkdir()
    for name, message in (
        ("empty.txt", "holds no report"),
        ("latin.txt", "invalid UTF-8 at byte 0"),
        ("sub.txt", "is a folder"),
        ("none.txt", "no such file"),
        ("latin.txt/x.txt", "x.txt: "),
    ):
        assert_refused(run("predict", tiny_model, folder / name, "--output", folder / "out"), message)
    assert not (folder / "out").exists()


def test_the_scripts_are_the_commands(run: Run, folder: Path, tiny_model: Path, corpus: Path) -> None:
    test = corpus / "test.jsonl"
    ours = run("evaluate", tiny_model, test, "--output", folder / "ours")
    theirs = script("evaluate.py", tiny_model, test, "--output", folder / "theirs")
    assert theirs.code == ours.code == 0
    assert theirs.out.replace("theirs", "ours") == ours.out
    assert theirs.err == ""
    assert (folder / "theirs" / "report.json").read_bytes() == (folder / "ours" / "report.json").read_bytes()

    run("predict", tiny_model, test, "--output", folder / "ours.jsonl")
    theirs = script("predict.py", tiny_model, test, "--output", folder / "theirs.jsonl")
    assert theirs.code == 0
    assert (folder / "theirs.jsonl").read_bytes() == (folder / "ours.jsonl").read_bytes()


def test_the_scripts_refuse_as_the_commands_do(folder: Path, tiny_config: Path, tiny_model: Path) -> None:
    bad = folder / "bad.jsonl"
    bad.write_bytes(as_lines(GOOD, GOOD))
    before = tree(folder)
    message = r"bad\.jsonl:2: id 'a' already stands at"
    assert_refused(script("train.py", tiny_config, f"data.train={bad}", f"output={folder / 'out'}"), message)
    assert_refused(script("evaluate.py", tiny_model, bad), message)
    strict = ("--max-rejects", "0")
    message = r"bad\.jsonl:2 \(id 'a'\): id 'a' already stands at"
    assert_refused(script("predict.py", tiny_model, bad, "--output", folder / "out", *strict), message)
    assert_refused(script("train.py", tiny_config, "training.epoch=3"), r"did you mean 'training\.epochs'")
    assert tree(folder) == before


def test_a_command_says_nothing_of_other_processes(
    run: Run, folder: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Under torchrun every process meets the same mistake; one of them says so.
    monkeypatch.setenv("RANK", "1")
    done = run("predict", tiny_model, folder / "none.jsonl", "--output", folder / "out")
    assert (done.code, done.err) == (2, "")
    assert os.environ["RANK"] == "1"


def test_plain_texts_of_one_name_bear_their_paths(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "r.txt").write_text("خبر", encoding="utf-8")
    (tmp_path / "s.txt").write_text("خبر", encoding="utf-8")
    inputs = [tmp_path / "one" / "r.txt", tmp_path / "two" / "r.txt", tmp_path / "s.txt"]
    done = run("predict", tiny_model, *inputs, "--output", tmp_path / "out.jsonl")
    assert done.code == 0
    ids = [json.loads(line)["id"] for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert ids == [inputs[0].as_posix(), inputs[1].as_posix(), "s"]


def test_an_edited_model_is_refused(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    config = model / "config.yaml"
    config.write_text(config.read_text(encoding="utf-8").replace("digits: true", "digits: false"), encoding="utf-8")
    (tmp_path / "r.txt").write_text("خبر", encoding="utf-8")
    done = run("predict", model, tmp_path / "r.txt", "--output", tmp_path / "out.jsonl")
    assert_refused(done, "edited or damaged")


def test_the_readme_shows_records_that_are_read_and_sliced_right(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```json\n(.*?)```", readme, flags=re.DOTALL)
    assert len(blocks) == 2
    (line,) = [block for block in blocks if '"text": "استشهاد' in block]
    (tmp_path / "readme.jsonl").write_text(line, encoding="utf-8")
    (document,) = read_documents(tmp_path / "readme.jsonl")
    assert [document.text[entity.start : entity.end] for entity in document.entities] == ["47", "حلب"]


@pytest.mark.parametrize("command", ["evaluate", "train"])
def test_a_file_that_was_never_annotated_is_refused(
    command: str, run: Run, folder: Path, tiny_config: Path, tiny_model: Path
) -> None:
    bare = folder / "bare.jsonl"
    bare.write_text('{"id": "a", "text": "خبر من حلب"}\n', encoding="utf-8")
    if command == "evaluate":
        done = run("evaluate", tiny_model, bare)
    else:
        done = run("train", tiny_config, f"data.train={bare}", f"output={folder / 'new'}")
    assert_refused(done, r"bare\.jsonl:1: no 'entities'")


def test_an_unknown_ending_is_refused_and_other_spellings_are_known(run: Run, folder: Path, tiny_model: Path) -> None:
    (folder / "a.docx").write_text("خبر", encoding="utf-8")
    assert_refused(run("predict", tiny_model, folder / "a.docx", "--output", folder / "out"), "unknown ending")
    for name in ("a.NDJSON", "a.JSONL"):
        (folder / name).write_text('{"id": "x", "text": "خبر"}\n', encoding="utf-8")
        assert run("predict", tiny_model, folder / name, "--output", folder / "out").code == 0
        assert json.loads((folder / "out").read_text(encoding="utf-8"))["id"] == "x"


def test_a_pipe_is_read(tiny_model: Path, folder: Path) -> None:
    command = [sys.executable, ROOT / "predict.py", tiny_model, "/dev/stdin", "--output", folder / "out.jsonl"]
    done = subprocess.run(command, input="خبر من حلب", text=True, encoding="utf-8", capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads((folder / "out.jsonl").read_text(encoding="utf-8"))["id"] == "stdin"


def test_a_model_can_be_read_by_other_accounts(tiny_model: Path) -> None:
    assert {path.stat().st_mode & 0o044 for path in tiny_model.iterdir() if path.is_file()} == {0o044}


def test_a_python_without_the_packages_is_one_line(folder: Path) -> None:
    """``-S``: no site-packages, as for somebody who did not activate the environment."""
    for script in ("train.py", "predict.py"):
        arguments = [ROOT / "configs" / "marsad.yaml"] if script == "train.py" else ["m", "r.txt", "--output", "o"]
        command = [sys.executable, "-S", ROOT / script, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
        assert done.returncode == 2
        (line,) = done.stderr.splitlines()
        assert re.match(r"marsad: error: the package '\w+' is not installed here; run `make setup`", line)
