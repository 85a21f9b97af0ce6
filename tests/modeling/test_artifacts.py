"""A model folder stays what it was, whatever becomes of the code that reads it."""

import re
import shutil
from pathlib import Path

import pytest

from marsad.errors import MarsadError
from marsad.modeling.artifacts import ModelFiles, load_tagger, read_saved_config
from marsad.modeling.artifacts import _model_fingerprint as model_fingerprint

# As an earlier version wrote it: its keys in another order, fewer of them, and a teacher that stands alone.
SAVED = """name: student
output: models/student
labels:
- ACTOR
- قتلى
data:
  train:
  - data/train.jsonl
  dev:
  - data/dev.jsonl
model:
  encoder: embedded
  init_from: null
  teacher: models/marsad
  max_tokens: 192
training:
  epochs: 7
  batch_size: 4
  gradient_accumulation: 1
  learning_rate: 1.0e-05
  warmup: 0.1
  seed: 13
  log_every: 20
distillation:
  weight: 1.0
"""


def test_the_fingerprint_of_a_model_saved_by_an_earlier_version(tmp_path: Path) -> None:
    files = ModelFiles(tmp_path)
    files.config.write_text(SAVED, encoding="utf-8")
    files.weights.write_text("weights")
    files.tokenizer.write_text("{}")
    files.calibration.write_text('{"temperature": 1.5, "thresholds": {}}')
    expected = "50344614c32d6d9284251fad0ed0f68a898970fa56645ace598fa796bafd61b3"  # what that version computed
    assert model_fingerprint(files, 2) == expected
    assert read_saved_config(tmp_path).model.teacher == (Path("models/marsad"),)
    files.config.write_text(SAVED.replace("models/student", "elsewhere"), encoding="utf-8")
    assert model_fingerprint(files, 2) == expected
    files.config.write_text(SAVED.replace("192", "191"), encoding="utf-8")
    assert model_fingerprint(files, 2) != expected


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "tokenizer.json", "model.safetensors"])
def test_a_folder_that_was_copied_in_part_is_named(name: str, tiny_model: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_model, tmp_path / "model")
    (tmp_path / "model" / name).unlink()
    with pytest.raises(MarsadError, match=rf"model: is incomplete \(no {re.escape(name)}\); copy it again"):
        load_tagger(tmp_path / "model")
