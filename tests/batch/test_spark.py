"""The function for ``mapInPandas``, with pandas and on a local Spark."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import pandas as pd
import pytest
from conftest import ROOT, synthetic_reports

from marsad import Recognizer
from marsad.batch.spark import ENTITIES, predict_partitions
from marsad.errors import MarsadError
from marsad.modeling.export import export_onnx

TEXTS = [report["text"] for report in synthetic_reports(12, seed=71)]


@pytest.fixture
def session() -> Iterator[Any]:
    pytest.importorskip("pyspark", reason="pyspark is not installed (pip install 'marsad[spark]')")
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        pytest.skip("Spark needs Java 17, which is not here")
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    session = builder.config("spark.executorEnv.PYTHONPATH", str(ROOT)).getOrCreate()
    yield session
    session.stop()


def test_rows_keep_their_columns_and_get_entities(tiny_model: Path):
    predict = cloudpickle.loads(cloudpickle.dumps(predict_partitions(tiny_model, "body")))
    frames = [pd.DataFrame({"body": [TEXTS[0], None], "n": [1, 2]}), pd.DataFrame({"body": [TEXTS[1]], "n": [3]})]
    first, second = predict(iter(frames))
    recognizer = Recognizer.from_pretrained(tiny_model)
    # Each frame alone: the last digit of a score may hang on what shares its batch.
    expected = [recognizer.predict([text])[0].records() for text in TEXTS[:2]]
    assert list(first.columns) == ["body", "n", "entities"]
    assert first["entities"].tolist() == [expected[0], None]
    assert second["entities"].tolist() == [expected[1]]


def test_a_model_that_runs_as_int8_is_the_one_on_the_driver(tiny_model: Path, corpus: Path, tmp_path: Path):
    model = shutil.copytree(tiny_model, tmp_path / "model")
    assert export_onnx(model, [corpus / "dev.jsonl"], max_drop=1.0).adopted
    recognizer = Recognizer.from_pretrained(model)
    assert recognizer.runtime == "onnx" and recognizer.fingerprint != recognizer.model_fingerprint
    [found] = predict_partitions(model)(iter([pd.DataFrame({"text": TEXTS})]))
    assert found["entities"].tolist() == [one.records() for one in recognizer.predict(TEXTS)]


def test_a_missing_column_and_a_missing_model_are_named(tiny_model: Path, tmp_path: Path):
    with pytest.raises(MarsadError, match="has no column 'text', only body"):
        list(predict_partitions(tiny_model)(iter([pd.DataFrame({"body": ["x"]})])))
    with pytest.raises(MarsadError, match="no such model folder"):
        predict_partitions(tmp_path / "none")


def test_spark_finds_what_the_recognizer_finds(session: Any, tiny_model: Path):
    frame = session.createDataFrame(
        [(f"r{number}", text) for number, text in enumerate(TEXTS)], "id string, text string"
    )
    found = frame.mapInPandas(predict_partitions(tiny_model), f"id string, text string, {ENTITIES}").collect()
    assert [row.text for row in found] == TEXTS
    expected = Recognizer.from_pretrained(tiny_model).predict(TEXTS)
    places = [[(one.start, one.end, one.label, one.text) for one in row.entities] for row in found]
    assert places == [
        [(one["start"], one["end"], one["label"], one["text"]) for one in prediction.records()]
        for prediction in expected
    ]
