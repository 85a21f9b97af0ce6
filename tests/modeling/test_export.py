import json
import logging
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT, synthetic_reports
from safetensors.torch import load_file, save_file

from marsad import Recognizer
from marsad.errors import MarsadError
from marsad.modeling.artifacts import ModelFiles, load_network_of, load_tagger, read_manifest, read_onnx_record
from marsad.modeling.artifacts import _model_fingerprint as model_fingerprint

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'marsad[onnx]'")
pytest.importorskip("onnxscript", reason="onnxscript is not installed: pip install 'marsad[export]'")

from marsad.modeling.export import _to_onnx as to_onnx
from marsad.modeling.export import export_onnx, smooth
from marsad.text.words import split_words

TEXTS = [report["text"] for report in synthetic_reports(30, seed=71)] + ["", "قتل", "قتل طفلين في حلب. " * 120]


def sign(folder: Path) -> None:
    """Give an edited model folder the fingerprint of what it holds now."""
    files = ModelFiles(folder)
    values = json.loads(files.manifest.read_text(encoding="utf-8"))
    values["fingerprint"] = model_fingerprint(files, values["format"])
    files.manifest.write_text(json.dumps(values), encoding="utf-8")


def spans(recognizer: Recognizer, texts: list[str]) -> list[list[tuple[int, int, str]]]:
    return [[(e.start, e.end, e.label) for e in one.entities] for one in recognizer.predict(texts)]


@pytest.fixture(scope="module")
def exported(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with an adopted ONNX file, to be read only."""
    folder = tmp_path_factory.mktemp("exported") / "model"
    shutil.copytree(tiny_model, folder)
    export_onnx(folder, max_drop=0.05)
    return folder


@pytest.fixture
def folder(exported: Path, tmp_path: Path) -> Path:
    """A copy of ``exported`` to change things in."""
    shutil.copytree(exported, tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize("looks_back_alone", [False, True])
def test_the_exported_network_computes_what_the_network_does(
    encoders: dict[str, Path], tmp_path: Path, looks_back_alone: bool
):
    import onnx
    import onnxruntime
    from transformers import AutoModelForTokenClassification

    torch.manual_seed(3)
    settings = {"num_labels": 9, "is_decoder": looks_back_alone}
    network = AutoModelForTokenClassification.from_pretrained(encoders["wordpiece"], **settings).eval()
    path = to_onnx(network, tmp_path / "fp32.onnx", 48)
    session = onnxruntime.InferenceSession(path)
    for batch, tokens in ((1, 1), (1, 48), (2, 13), (5, 31)):
        ids = torch.randint(5, 100, (batch, tokens))
        places = torch.randint(0, tokens, (batch, 4))
        with torch.inference_mode():
            wanted = network(input_ids=ids).logits.numpy()[np.arange(batch)[:, None], places]
        given = {"input_ids": ids.numpy(), "first_tokens": places.numpy()}
        np.testing.assert_allclose(session.run(None, given)[0], wanted, atol=1e-4)
    nodes = onnx.load(path).graph.node
    assert not any(node.op_type == "Transpose" for node in nodes)  # words in rows
    # The rows of first sub-tokens are picked before the last layer asks about them, or else from the logits.
    (pick,) = (place for place, node in enumerate(nodes) if node.op_type == "GatherND")
    (last,) = [place for place, node in enumerate(nodes) if node.op_type == "Attention"][-1:]
    assert (pick < last) == (not looks_back_alone)
    masked = [len(node.input) > 3 for node in nodes if node.op_type == "Attention"]
    assert masked == [looks_back_alone] * network.config.num_hidden_layers  # a mask only where it hides something


def test_an_adopted_file_is_what_runs(exported: Path):
    record = read_onnx_record(exported)
    assert record is not None
    assert record.adopted
    assert record.drop == pytest.approx(record.fp32["overall"]["f1"] - record.int8["overall"]["f1"], abs=1e-6)
    assert record.dev["sha256"] == read_manifest(exported).data["dev"]["sha256"]
    assert not list(exported.glob(".onnx-*"))
    fast, exact = (
        Recognizer.from_pretrained(exported, device="cpu"),
        Recognizer.from_pretrained(exported, runtime="torch"),
    )
    assert (fast.runtime, exact.runtime) == ("onnx", "torch")
    assert fast.fingerprint != exact.fingerprint == load_tagger(exported).fingerprint
    found, wanted = spans(fast, TEXTS), spans(exact, TEXTS)
    same = sum(len(set(one) & set(other)) for one, other in zip(found, wanted, strict=True))
    assert same > 0.9 * max(sum(map(len, found)), sum(map(len, wanted))) > 50


def test_the_recorded_scores_are_those_of_evaluate(exported: Path, corpus: Path):
    from marsad import evaluate

    record = read_onnx_record(exported)
    assert record is not None
    for runtime, wanted in (("torch", record.fp32), ("onnx", record.int8)):
        evaluation = evaluate(exported, corpus / "dev.jsonl", runtime=runtime, resamples=10)
        assert evaluation.strict.record() == wanted
        assert evaluation.record()["system"]["runtime"] == runtime


def test_int8_is_compared_with_fp32_on_any_file(exported: Path, corpus: Path, capsys: pytest.CaptureFixture[str]):
    from marsad.cli import main

    record = read_onnx_record(exported)
    assert record is not None
    options = ["--runtime", "onnx", "--baseline", str(exported), "--baseline-runtime", "torch", "--resamples", "10"]
    assert main(["evaluate", str(exported), str(corpus / "dev.jsonl"), *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"against {exported} run by torch, this by onnx" in lines
    (line,) = (line for line in lines if line.startswith("strict f1  "))
    _, _, fp32, int8, difference, *_ = line.split()
    assert float(fp32) == pytest.approx(record.fp32["overall"]["f1"], abs=5e-5)
    assert float(int8) == pytest.approx(record.int8["overall"]["f1"], abs=5e-5)
    assert float(difference) == pytest.approx(-record.drop, abs=2e-4)


def test_what_is_found_does_not_depend_on_threads_or_time(exported: Path):
    first = Recognizer.from_pretrained(exported, runtime="onnx", threads=1).predict(TEXTS)
    many = Recognizer.from_pretrained(exported, runtime="onnx", threads=4)
    assert [many.predict(TEXTS) for _ in range(3)] == [first] * 3
    assert list(many.stream(iter(TEXTS))) == first


def test_a_pickled_recognizer_runs_the_same_file(exported: Path):
    recognizer = Recognizer.from_pretrained(exported, threads=2)
    other = pickle.loads(pickle.dumps(recognizer))
    assert (other.runtime, other.fingerprint) == ("onnx", recognizer.fingerprint)
    assert other.predict(TEXTS) == recognizer.predict(TEXTS)


def _damage(folder: Path) -> None:
    with ModelFiles(folder).onnx.open("r+b") as file:
        file.seek(2000)
        file.write(b"damaged")


def _train_on(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["classifier.bias"] += 0.01
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    sign(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_damage, "was edited or damaged"),
        (_train_on, "was made of another model"),
        (lambda folder: ModelFiles(folder).onnx_record.unlink(), "onnx.json is missing or damaged"),
        (lambda folder: ModelFiles(folder).onnx_record.write_text("{]"), "onnx.json is missing or damaged"),
    ],
)
def test_a_file_that_does_not_belong_is_not_run(
    change: Callable[[Path], None], message: str, folder: Path, caplog: pytest.LogCaptureFixture
):
    change(folder)
    with caplog.at_level(logging.WARNING, logger="marsad"):
        assert Recognizer.from_pretrained(folder, device="cpu").runtime == "torch"
    (line,) = [one.getMessage() for one in caplog.records]
    assert message in line
    with pytest.raises(MarsadError, match=message):
        Recognizer.from_pretrained(folder, runtime="onnx")


def test_int8_that_costs_too_much_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]):
    # A huge constant into the second feed-forward matrix, whose part of the result the bias takes back: in fp32
    # nothing changes, while in int8 the rounding of that column alone is larger than all the rest.
    weights = load_file(folder / "model.safetensors")
    for name in [name for name in weights if name.endswith("intermediate.dense.bias")]:
        output = name.removesuffix("intermediate.dense.bias") + "output.dense"
        weights[name][0] = 1e5
        weights[f"{output}.weight"][:, 0] = torch.linspace(-0.02, 0.03, len(weights[f"{output}.bias"]))
        weights[f"{output}.bias"] -= weights[f"{output}.weight"][:, 0] * 1e5
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    sign(folder)
    from marsad.cli import main

    assert main(["export-onnx", str(folder)]) == 3
    output = capsys.readouterr().out
    record = read_onnx_record(folder)
    assert record is not None
    assert not record.adopted
    assert record.drop > 0.003
    assert f"drop {record.drop:.4f}" in output
    assert "refused" in output
    assert not ModelFiles(folder).onnx.exists()
    assert not list(folder.glob(".onnx-*"))
    assert Recognizer.from_pretrained(folder, device="cpu").runtime == "torch"


def test_dev_must_be_what_it_was(exported: Path, tiny_config: Path, tmp_path: Path, corpus: Path):
    folder = tmp_path / "model"
    shutil.copytree(exported, folder)
    dev = tmp_path / "dev.jsonl"
    shutil.copy(corpus / "train.jsonl", dev)
    config = (folder / "config.yaml").read_text(encoding="utf-8")
    (folder / "config.yaml").write_text(config.replace(str(corpus / "dev.jsonl"), str(dev)), encoding="utf-8")
    sign(folder)
    with pytest.raises(MarsadError, match=r"changed since .* was trained; name the file to judge int8 on with --dev"):
        export_onnx(folder)
    dev.unlink()
    with pytest.raises(MarsadError, match="is not here; name one with --dev"):
        export_onnx(folder)
    (tmp_path / "none.jsonl").write_text('{"id": "1", "text": "نص", "entities": []}\n', encoding="utf-8")
    with pytest.raises(MarsadError, match="holds no entity"):
        export_onnx(folder, [tmp_path / "none.jsonl"])
    with pytest.raises(MarsadError, match="between 0 and 1"):
        export_onnx(folder, max_drop=3)


def test_without_onnxruntime_torch_runs(exported: Path):
    code = (
        "import sys, transformers\n"
        "sys.modules['onnxruntime'] = None  # import fails\n"
        "from marsad import MarsadError, Recognizer\n"
        f"assert Recognizer.from_pretrained({str(exported)!r}, device='cpu').runtime == 'torch'\n"
        "try:\n"
        f"    Recognizer.from_pretrained({str(exported)!r}, runtime='onnx')\n"
        "except MarsadError as error:\n"
        "    assert \"pip install 'marsad[onnx]'\" in str(error)\n"
        "else:\n"
        "    sys.exit(1)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "is run by PyTorch, more slowly: the package onnxruntime is not installed" in done.stderr


def test_smoothing_changes_how_a_network_rounds_and_nothing_else(tiny_model: Path):
    tagger, network = load_tagger(tiny_model), load_network_of(tiny_model)
    documents = [tagger.encoder.encode_document(split_words(text, tagger.text)) for text in TEXTS[:8]]
    windows = [window.input_ids for document in documents for window in document]
    plain = smooth(network, windows)
    # A channel that is large and read with small weights, as encoders have them.
    named = dict(network.named_modules())
    norm = next(module for name, module in named.items() if name.endswith("attention.output.LayerNorm"))
    layer = next(module for name, module in named.items() if name.endswith("intermediate.dense"))
    with torch.inference_mode():
        norm.weight[0] *= 60
        layer.weight[:, 0] /= 60
    smoothed = smooth(network, windows)
    factors = [module.parts for module in smoothed.modules() if hasattr(module, "parts")]
    assert len(factors) > len([module for module in plain.modules() if hasattr(module, "parts")])
    assert min(float(parts.min()) for parts in factors) <= 1 / 4
    for ids in windows:
        given = torch.tensor([ids])
        with torch.inference_mode():
            torch.testing.assert_close(smoothed(given).logits, network(given).logits, atol=1e-4, rtol=1e-4)
