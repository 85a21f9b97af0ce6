import json
import pickle
import random
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT, synthetic_reports
from hypothesis import given
from hypothesis import strategies as st

from marsad import Recognizer
from marsad.errors import MarsadError
from marsad.modeling.artifacts import load_network_of, load_tagger
from marsad.modeling.inference import form_batches, score_words
from marsad.modeling.runtimes import _GPU_DEVICES, load_torch, torch_runtime
from marsad.text.words import split_words

TEXTS = [report["text"] for report in synthetic_reports(40, seed=61)] + ["", "قتل", "قتل طفلين في حلب. " * 120]


@given(
    lengths=st.lists(st.integers(min_value=1, max_value=60)),
    budget=st.integers(min_value=1, max_value=200),
    pads=st.booleans(),
)
def test_batches_hold_every_window_once_and_keep_to_the_budget(lengths: list[int], budget: int, pads: bool):
    batches = list(form_batches(lengths, budget, pads))
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        sizes = [lengths[index] for index in batch]
        assert len(batch) == 1 or max(sizes) * len(batch) <= budget
        assert pads or len(set(sizes)) == 1


def test_padding_stays_within_a_few_per_cent():
    lengths = [random.Random(number).randint(8, 192) for number in range(1000)]
    batches = list(form_batches(lengths, 2048, pads=True))
    padded = sum(max(lengths[index] for index in batch) * len(batch) for batch in batches)
    assert len(batches) < len(lengths) / 10
    assert padded <= 1.03 * sum(lengths)


def test_scores_are_the_networks_own(tiny_model: Path):
    # Against the plainest way: one window after the other, straight through transformers.
    tagger, network = load_tagger(tiny_model), load_network_of(tiny_model)
    words = [split_words(text, tagger.text) for text in TEXTS[:12]]
    scores = score_words(torch_runtime(network), tagger.encoder, words)
    compared = 0
    for one, got in zip(words, scores, strict=True):
        windows = tagger.encoder.encode_document(one)
        if len(windows) != 1:
            continue
        with torch.inference_mode():
            logits = network(input_ids=torch.tensor([windows[0].input_ids])).logits[0].numpy()
        np.testing.assert_allclose(got, logits[windows[0].first_tokens], atol=1e-4)
        compared += 1
    assert compared


def test_threads_of_torch(tiny_model: Path):
    one, two = (Recognizer.from_pretrained(tiny_model, runtime="torch", threads=threads) for threads in (1, 2))
    for first, second in zip(one.predict(TEXTS), two.predict(TEXTS), strict=True):
        assert [(e.start, e.end, e.label) for e in first.entities] == [
            (e.start, e.end, e.label) for e in second.entities
        ]


def test_a_model_without_onnx_file_is_run_by_torch(tiny_model: Path):
    recognizer = Recognizer.from_pretrained(tiny_model)
    assert recognizer.runtime == "torch"
    assert recognizer.fingerprint == load_tagger(tiny_model).fingerprint
    with pytest.raises(MarsadError, match=r"no model\.int8\.onnx; make it with: marsad export-onnx"):
        Recognizer.from_pretrained(tiny_model, runtime="onnx")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"runtime": "tensorrt"}, "expected one of auto, torch, onnx"),
        ({"threads": 0}, "threads is 0, expected 1 or more"),
        ({"device": "cuda", "runtime": "onnx"}, "runs on the CPU"),
        ({"device": "nowhere"}, "device 'nowhere' can't be used here"),
        ({"device": "meta"}, "device 'meta' can't be used here"),
    ],
)
def test_what_can_not_be_had_is_refused(tiny_model: Path, options: dict[str, object], message: str):
    with pytest.raises(MarsadError, match=message):
        Recognizer.from_pretrained(tiny_model, **options)  # type: ignore[arg-type]


def test_a_device_that_is_not_here(tiny_model: Path):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(MarsadError, match="can't be used here"):
        load_torch(tiny_model, "cuda")


def test_a_pickled_recognizer_is_loaded_again(tiny_model: Path):
    recognizer = Recognizer.from_pretrained(tiny_model, device="cpu", threads=1)
    stored = pickle.dumps(recognizer)
    assert len(stored) < 2000
    other = pickle.loads(stored)
    assert other.fingerprint == recognizer.fingerprint
    assert other.predict(TEXTS) == recognizer.predict(TEXTS)


def test_a_pickled_recognizer_does_not_become_another_model(tiny_model: Path, tmp_path: Path):
    from test_export import sign

    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    stored = pickle.dumps(Recognizer.from_pretrained(folder))
    with (folder / "config.yaml").open("a", encoding="utf-8") as file:
        file.write("text:\n  ya_kaf: true\n")
    sign(folder)
    with pytest.raises(MarsadError, match="another model than the one that was pickled"):
        pickle.loads(stored)


def test_threads_share_a_recognizer(tiny_model: Path):
    recognizer = Recognizer.from_pretrained(tiny_model, device="cpu")
    alone = recognizer.predict(TEXTS)
    with ThreadPoolExecutor(4) as pool:
        for together in pool.map(recognizer.predict, [TEXTS] * 4):
            assert together == alone


def test_a_stream_left_early_ends_at_once(tiny_model: Path):
    stream = Recognizer.from_pretrained(tiny_model).stream(TEXTS * 40)
    assert next(stream).text == TEXTS[0]
    stream.close()
    assert next(stream, None) is None


def test_an_error_in_the_texts_reaches_the_caller(tiny_model: Path):
    def texts():
        yield from TEXTS * 30
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        list(Recognizer.from_pretrained(tiny_model).stream(texts()))


def test_nothing_is_set_up_on_import():
    code = (
        "import logging\nfrom marsad import Recognizer\nimport marsad.modeling.runtimes\n"
        "assert not logging.getLogger('marsad').handlers and not logging.getLogger().handlers\n"
        "import sys; assert 'onnxruntime' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=120)


def test_onnx_runs_without_importing_torch(tiny_model: Path, corpus: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'marsad[onnx]'")
    pytest.importorskip("onnxscript", reason="onnxscript is not installed: pip install 'marsad[export]'")
    from marsad.modeling.export import export_onnx

    if any(Path(one).exists() for one in _GPU_DEVICES):
        pytest.skip("there is a GPU, so torch is asked whether it can use it")
    model = shutil.copytree(tiny_model, tmp_path / "model")
    settings = json.loads((model / "tokenizer_config.json").read_text())  # as that of the embedded encoder
    (model / "tokenizer_config.json").write_text(json.dumps(settings | {"tokenizer_class": "TokenizersBackend"}))
    assert export_onnx(model, [corpus / "dev.jsonl"], max_drop=1.0).adopted
    code = (
        "import sys\n"
        "from marsad import Recognizer\n"
        f"recognizer = Recognizer.from_pretrained({str(model)!r})\n"
        "assert recognizer.runtime == 'onnx' and recognizer.predict(['قتل 3 في حلب'])\n"
        "print(sorted({'torch', 'scipy', 'datasets', 'accelerate'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
