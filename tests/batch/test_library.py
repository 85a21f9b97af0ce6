"""``Recognizer`` inside other programs: light to import, many threads, other processes, no side effects."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import ROOT, synthetic_reports

from marsad import FactTables, Recognizer
from marsad.errors import MarsadError

TEXTS = [report["text"] for report in synthetic_reports(24, seed=81)]


def test_importing_marsad_changes_nothing_in_a_program() -> None:
    code = (
        "import logging, os, sys, warnings, signal\n"
        "def state():\n"
        "    return (logging.root.handlers[:], logging.root.level, dict(os.environ), warnings.filters[:],\n"
        "            signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT))\n"
        "before = state()\n"
        "import marsad\n"
        "assert state() == before\n"
        "heavy = {'torch', 'transformers', 'numpy', 'pydantic', 'pyarrow', 'onnxruntime'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "from marsad import Recognizer\n"
        "assert logging.getLogger('marsad').handlers == []\n"
        "assert logging.getLogger('marsad').level == logging.NOTSET\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=os.environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_recognizer_and_its_predictions_speak_for_themselves(tiny_model: Path) -> None:
    recognizer = Recognizer.from_pretrained(tiny_model, runtime="torch")
    assert repr(recognizer) == (
        f"<Recognizer tiny-model {recognizer.fingerprint[:12]}: ACTOR, LOCATION, DATE, CASUALTY; torch>"
    )
    [prediction] = recognizer.predict([f"\u200f💥 {TEXTS[0]}"])
    assert prediction.entities
    for entity in prediction.entities:
        assert prediction.text_of(entity) == prediction.text[entity.start : entity.end]
    assert prediction.facts(FactTables.load()).entities == prediction.entities


def test_many_threads_get_what_one_gets(tiny_model: Path) -> None:
    recognizer = Recognizer.from_pretrained(tiny_model)
    expected = [recognizer.predict([text]) for text in TEXTS]
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(lambda text: recognizer.predict([text]), TEXTS * 3)) == expected * 3


def test_a_recognizer_is_pickled_by_its_place(tiny_model: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    recognizer = Recognizer.from_pretrained(model)
    content = pickle.dumps(recognizer)
    assert len(content) < 2000
    other = pickle.loads(content)
    assert other.predict(TEXTS[:3]) == recognizer.predict(TEXTS[:3])
    assert other.fingerprint == recognizer.fingerprint
    shutil.rmtree(model)
    with pytest.raises(MarsadError, match="no such model folder"):
        pickle.loads(content)
