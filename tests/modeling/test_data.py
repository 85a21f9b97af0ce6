"""What a run learns from and is judged on: dev files, or a share of train that is found again."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import synthetic_reports, write_jsonl
from hypothesis import given
from hypothesis import strategies as st

from marsad.annotations.formats import conll
from marsad.annotations.gold import read_gold
from marsad.annotations.jsonl import read_documents, write_documents
from marsad.cli import main
from marsad.config import Config, DataConfig, load_config
from marsad.documents import Document
from marsad.errors import MarsadError
from marsad.evaluation.evaluate import evaluate
from marsad.evaluation.systems import open_model, training_documents
from marsad.modeling.artifacts import read_manifest
from marsad.modeling.data import fingerprint_documents, hold_out, read_dev, read_splits, read_train
from marsad.modeling.export import export_onnx
from marsad.modeling.training import train

LABELS = ("ACTOR", "LOCATION", "DATE", "CASUALTY")


def write_columns(path: Path, documents: list[Document]) -> Path:
    """Bare CoNLL columns, as public corpora come: sentences and no mark of a document."""
    conll.write(documents, path)
    lines = path.read_text(encoding="utf-8").splitlines()
    bare = [line for line in lines if not line.startswith(("#", "-DOCSTART-"))]
    path.write_text("\n".join(bare).replace("\t", " ") + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def columns(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("columns")
    reports = write_jsonl(folder / "train.jsonl", synthetic_reports(60, seed=11))
    return write_columns(folder / "train.txt", read_documents(reports))


def held_out_of(path: Path, **more: object) -> DataConfig:
    return DataConfig.model_validate({"train": path, "dev": None, "dev_share": 0.2, "dev_block": 5} | more)


@given(
    st.lists(st.integers(1, 4), min_size=2, max_size=40),
    st.floats(0.01, 0.99),
    st.integers(1, 6),
    st.integers(0, 5),
)
def test_nothing_is_lost_and_blocks_stay_whole(lines: list[int], share: float, block: int, seed: int):
    documents = [Document(str(index), "\n".join(["خبر"] * count)) for index, count in enumerate(lines)]
    config = DataConfig(train=(Path("x"),), dev=None, dev_share=share, dev_block=block, dev_seed=seed)
    if sum(lines[:-1]) < block:
        with pytest.raises(MarsadError, match=r"set a smaller data\.dev_block"):
            hold_out(documents, config)
        return
    kept, held = hold_out(documents, config)
    assert kept and held
    assert sorted(kept + held, key=lambda one: int(one.id)) == documents
    assert hold_out(documents, config) == (kept, held)
    # Between two changes from one part to the other stand a block's lines at least, but for the last one.
    held_ids = {one.id for one in held}
    run, before = 0, None
    for index, count in enumerate(lines):
        inside = str(index) in held_ids
        if before is not None and inside != before:
            assert run >= block
            run = 0
        run += count
        before = inside


def test_the_share_is_met_and_the_seed_is_its_own(columns: Path):
    splits = read_splits(held_out_of(columns), LABELS)
    total = len(splits.train) + len(splits.dev)
    assert len(splits.dev) / total == pytest.approx(0.2, abs=5 / total)
    assert not {one.id for one in splits.train} & {one.id for one in splits.dev}
    assert splits.sources["dev"] == {
        "files": [columns.as_posix()],
        "sha256": fingerprint_documents(splits.dev),
        "held_out": True,
    }
    assert read_train(held_out_of(columns)) == splits.train
    assert read_dev(held_out_of(columns)) == splits.dev
    other = read_splits(held_out_of(columns, dev_seed=14), LABELS)
    assert other.sources["dev"]["sha256"] != splits.sources["dev"]["sha256"]
    assert other.sources["train"] == splits.sources["train"]


def test_files_of_their_own_are_read_as_before(corpus: Path):
    splits = read_splits(DataConfig(train=(corpus / "train.jsonl",), dev=(corpus / "dev.jsonl",)), LABELS)
    assert splits.train == read_documents(corpus / "train.jsonl")
    assert splits.dev == read_documents(corpus / "dev.jsonl")
    assert [set(source) for source in splits.sources.values()] == [{"files", "sha256"}] * 2


def test_a_model_from_columns_without_a_dev_split(
    columns: Path, write_tiny_config: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    mine = tmp_path / "train.txt"
    shutil.copy(columns, mine)
    data = {"train": str(mine), "dev": None, "dev_share": 0.2, "dev_block": 5}
    path = write_tiny_config(tmp_path / "tiny.yaml", data=data, training={"epochs": 3})
    config: Config = load_config(path)
    splits = read_splits(config.data, config.labels)
    assert main(["train", str(path)]) == 0
    assert f"strict scores on dev (held out of {mine})" in capsys.readouterr().out
    model = config.output_folder

    recorded = read_manifest(model).data
    assert recorded["dev"] | splits.sources["dev"] == recorded["dev"]
    assert [recorded[name]["reports"] for name in ("train", "dev")] == [len(splits.train), len(splits.dev)]
    assert recorded["dev"]["entities"] == sum(len(one.entities) for one in splits.dev)
    card = (model / "README.md").read_text(encoding="utf-8")
    assert f"| dev, held out of train | {len(splits.dev)} |" in card and f"held out of {mine.as_posix()}" in card

    # Its scores are those of evaluation on what was held out, and int8 is judged on the same.
    write_documents(splits.dev, tmp_path / "held.jsonl")
    strict = evaluate(model, [tmp_path / "held.jsonl"]).strict
    saved = json.loads((model / "metrics.json").read_text(encoding="utf-8"))["dev"]["strict"]
    assert strict.record() == saved
    assert strict.overall.f1 > 0.5
    record = export_onnx(model, max_drop=1)
    assert record.dev == splits.sources["dev"]
    assert record.fp32 == saved
    assert training_documents(open_model(model)) == splits.train

    assert train(config, resume=True).dev.record() == saved
    with pytest.raises(MarsadError, match=r"\(data\.dev_seed\)"):
        train(load_config(path, ["data.dev_seed=14"]), resume=True)
    with mine.open("a", encoding="utf-8") as file:
        file.write("\nحلب B-LOCATION\n")
    with pytest.raises(MarsadError, match=r"train\.txt: changed since .* was trained"):
        export_onnx(model)
    with pytest.raises(MarsadError, match=r"data was another \(.*train\.sha256\)"):
        train(config, resume=True)


@pytest.mark.parametrize("count", [2, 5])
def test_joined_sentences_stand_among_their_neighbours_and_dev_stays(columns: Path, count: int):
    alone = read_splits(held_out_of(columns, dev_block=10), LABELS)
    joined = read_splits(held_out_of(columns, dev_block=10, join_sentences=count), LABELS)
    for one, other in ((alone.train, joined.train), (alone.dev, joined.dev)):
        assert [line for document in other for line in document.text.split("\n")] == [each.text for each in one]
        mentions = [
            [(each.text[entity.start : entity.end], entity.label) for each in documents for entity in each.entities]
            for documents in (one, other)
        ]
        assert mentions[0] == mentions[1] and mentions[0]
        assert {each.text.count("\n") + 1 for each in other[:-1]} == {count}


def test_joining_leaves_marked_documents_alone(tmp_path: Path, corpus: Path):
    documents = read_documents(corpus / "dev.jsonl")
    conll.write(documents, tmp_path / "marked.conll")
    assert read_gold([tmp_path / "marked.conll"], join_sentences=4) == documents


def test_a_model_is_judged_on_columns_as_it_learned_to_read_them(
    columns: Path, write_tiny_config: Callable[..., Path], tmp_path: Path
):
    data = {"train": str(columns), "dev": None, "dev_share": 0.2, "dev_block": 6, "join_sentences": 3}
    config = load_config(write_tiny_config(tmp_path / "tiny.yaml", data=data, training={"epochs": 2}))
    train(config)
    sentences = read_gold([columns])
    result = evaluate(config.output_folder, [columns], baseline=columns)
    assert result.reports == -(-len(sentences) // 3)
    assert result.strict.overall.gold == sum(len(one.entities) for one in sentences)
    assert result.comparison is not None
    assert result.comparison.metrics[0].baseline == 1  # the same columns, read as the gold ones are


def test_a_label_outside_the_set_is_named_with_its_file(columns: Path):
    with pytest.raises(MarsadError, match=r"train\.txt: .*'CASUALTY'"):
        read_splits(held_out_of(columns), ("ACTOR", "LOCATION", "DATE"))
