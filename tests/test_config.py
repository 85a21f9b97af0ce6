"""The config: every shipped file loads, every mistake is named in one line, what is dumped loads equal."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from marsad.config import (
    CalibrationConfig,
    Config,
    DataConfig,
    DistillationConfig,
    ModelConfig,
    TrainingConfig,
    load_config,
)
from marsad.errors import MarsadError
from marsad.modeling.artifacts import dump_config
from marsad.text.normalization import TextConfig

CONFIGS = sorted(
    path
    for path in (Path(__file__).parent.parent / "configs").rglob("*.y*ml")
    if path.stem not in {"gate", "search"} and not path.stem.startswith("pretrain")  # no training
)


def _load(folder: Path, text: str, *overrides: str) -> Config:
    path = folder / "c.yaml"
    path.write_text(text, encoding="utf-8")
    return load_config(path, overrides)


def _refusal(folder: Path, text: str, *overrides: str) -> str:
    with pytest.raises(MarsadError) as refused:
        _load(folder, text, *overrides)
    message = str(refused.value)
    assert len(message.splitlines()) == 1
    return message


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_config_loads(path: Path):
    config = load_config(path)
    assert config.name
    assert config.label_set.types == config.labels


def test_there_is_a_default_config_to_ship():
    assert "marsad.yaml" in [path.name for path in CONFIGS]
    assert load_config() == Config()


def test_an_empty_file_means_the_defaults(tmp_path: Path):
    assert _load(tmp_path, "# nothing set\n") == Config()
    assert _load(tmp_path, "\ufeffname: bom\n").name == "bom"


def test_values_are_coerced(tmp_path: Path):
    config = _load(tmp_path, "training: {learning_rate: 1e-5, epochs: '3'}\ndata: {train: a.jsonl, dev: [b, c]}\n")
    assert config.training.learning_rate == 1e-5  # PyYAML reads it as a string
    assert config.training.epochs == 3
    assert config.data == DataConfig(train=(Path("a.jsonl"),), dev=(Path("b"), Path("c")))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("traning: {}", "unknown key 'traning'; did you mean 'training'?"),
        ("training: {eposh: 3}", "unknown key 'training.eposh'; did you mean 'training.epochs'?"),
        ("training: {warmup_ratio: 0.1}", "unknown key 'training.warmup_ratio'; did you mean 'training.warmup'?"),
        ("text: {diacritic: true}", "unknown key 'text.diacritic'; did you mean 'text.diacritics'?"),
        ("epochs: 3", "unknown key 'epochs'; did you mean 'training.epochs'?"),
        ("training: {encoder: embedded}", "unknown key 'training.encoder'; did you mean 'model.encoder'?"),
        ("zzz: 1", "unknown key 'zzz'; known keys here: name, output, labels, data, text, model, training"),
        ("data: {test: x.jsonl}", "unknown key 'data.test'"),
        ("training: {epochs: many}", "training.epochs: Input should be a valid integer"),
        ("training: {epochs: 2.5}", "training.epochs: "),
        ("training: {epochs: 0}", "training.epochs: Input should be greater than or equal to 1, got 0"),
        ("training: {learning_rate: fast}", "training.learning_rate: Input should be a valid number"),
        ("training: {schedule: step}", "training.schedule: Input should be 'linear', 'cosine'"),
        ("training: 5", "training: "),
        ("training:", "training: "),
        ("training: {1: 2}", "training.1: "),
        ("data: {train: 5}", "data.train: "),
        ("data: {dev: null}", "data: dev and dev_share are both null; name files in dev, or set dev_share: 0.1"),
        ("data: {dev_share: 0.1}", "data: dev names data/dev.jsonl and dev_share is 0.1; set dev: null to hold out"),
        ("data: {dev: null, dev_share: 1}", "data.dev_share: Input should be less than 1, got 1"),
        ("text: {tatweel: perhaps}", "text.tatweel: Input should be a valid boolean"),
        ("model: {max_tokens: 40, overlap: 30}", "model: overlap 30 is more than half of max_tokens 40"),
        ("model: {max_tokens: 8}", "model.max_tokens: Input should be greater than or equal to 16, got 8"),
        ("labels: []", "the label set is empty"),
        ("labels: [A, B, A]", "an entity type stands twice"),
        ("labels: [A B]", "'A B'"),
        ("labels: {ACTOR: 1}", "labels: "),
        ("training: {class_weights: {PLACE: 2}}", "training.class_weights names 'PLACE', which is not in labels"),
        ("calibration: {thresholds: f2}", "calibration.thresholds: Input should be 'none', 'f1' or 'precision'"),
        ("calibration: {threshold: f1}", "did you mean 'calibration.thresholds'?"),
        ("calibration: {thresholds: precision}", "no precision is given; set precision: 0.95, say"),
        ("calibration: {thresholds: precision, precision: {}}", "no precision is given"),
        ("calibration: {precision: 0.9}", "precision is given, but thresholds is 'none'; set thresholds: precision"),
        ("calibration: {thresholds: precision, precision: 95}", "expected a share above 0, at most 1, got 95"),
        ("calibration: {thresholds: precision, precision: {DATE: 0}}", "precision DATE: expected a share above 0"),
        ("calibration: {thresholds: precision, precision: {PLACE: 0.9}}", "calibration.precision names 'PLACE', which"),
        ('training: {class_weights: {"A\\nB": x}}', "training.class_weights.A B: "),
        ("distillation: {weight: 0.9}", "distillation is set, but model.teacher is null; name the folder"),
        ("distillation: {weight: 2}", "distillation.weight: "),
        ("distillation: {temprature: 2}", "did you mean 'distillation.temperature'?"),
        ("{model: {teacher: a}, distillation: {unlabelled_share: 0.5}}", "distillation.unlabelled names no reports"),
        ("model: {layers: 0}", "model.layers: "),
        ("name: a/b", "name: String should match pattern"),
        ("name: ''", "name: "),
        ("{a: 1, b: 2, c: 3}", "(and 2 more)"),
        ("[name]", "holds a list, expected keys such as `training:`"),
        ("marsad", "holds a str, expected keys"),
        ("a: b: c", "not YAML: "),
        ("name: [", "not YAML: "),
        (f"training: {{seed: {2**32}}}", "training.seed: Input should be less than"),
        ("labels: [A]\ntraining: {class_weights: {A: 0, O: 0}}", "training.class_weights are all 0"),
        ("labels: [A]\ntraining: {class_weights: {A: -1}}", "training.class_weights.A: Input should be greater than"),
        ("training: {epochs: 1}\nname: x\ntraining: {batch_size: 4}", "line 3: the key 'training' stands twice"),
        ("name: 2024-13-45", "not YAML: "),
        ("name: !!python/object:os.system x", "not YAML: "),
        ("[" * 5000, "not YAML: "),
        ("\x00", "not YAML: "),
    ],
)
def test_mistakes_are_named_with_file_and_key(tmp_path: Path, text: str, expected: str):
    message = _refusal(tmp_path, text)
    assert message.startswith(f"{tmp_path / 'c.yaml'}: ")
    assert expected in message


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path):
    (tmp_path / "latin.yaml").write_bytes(b"name: \xe9")
    for path, expected in [
        (tmp_path / "none.yaml", "no such config file; the shipped ones are in configs/"),
        (tmp_path, "is a folder, expected a YAML config file"),
        (tmp_path / "latin.yaml", "not UTF-8 (byte 6); save it as UTF-8"),
        (tmp_path / "latin.yaml" / "x.yaml", "can't be read"),
    ]:
        with pytest.raises(MarsadError) as refused:
            load_config(path)
        assert str(refused.value).startswith(f"{path}: {expected}")


def test_overrides_apply_in_order_over_the_file(tmp_path: Path):
    config = _load(
        tmp_path,
        "name: run\ntraining: {epochs: 5, seed: 1}\n",
        "training.epochs=7",
        "training.learning_rate=3e-5",
        "training.epochs=8",
        "training.patience=null",
        "labels=[A, B]",
        "text.alef_hamza=true",
        "data.train=x=y.jsonl",
    )
    assert (config.name, config.training.epochs, config.training.seed) == ("run", 8, 1)
    assert config.training.learning_rate == 3e-5
    assert config.labels == ("A", "B")
    assert config.text == TextConfig(alef_hamza=True)
    assert config.data.train == (Path("x=y.jsonl"),)
    assert load_config(None, ["training.class_weights.O=0.5"]).training.class_weights == {"O": 0.5}


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("training.epochs", "expected section.key=value, for instance training.epochs=3"),
        ("=3", "expected section.key=value"),
        ("training.epochs=[", "the value is not YAML"),
        ("name=2024-13-45", "the value is not YAML"),
        ("name.x=1", "'name' is a value, not a section"),
        ("training.epoch=3", "did you mean 'training.epochs'?"),
        ("training.epochs=many", "training.epochs: Input should be a valid integer"),
    ],
)
def test_bad_overrides_are_named(tmp_path: Path, override: str, expected: str):
    assert expected in _refusal(tmp_path, "name: run", override)
    with pytest.raises(MarsadError) as refused:
        load_config(None, [override.replace("name.x", "training.seed=1.x")])
    assert "\n" not in str(refused.value)


def test_the_command_line_is_named_where_there_is_no_file():
    with pytest.raises(MarsadError, match=r"^the command line: unknown key 'seed'"):
        load_config(None, ["seed=1"])


def test_configs_are_frozen_and_their_output_follows_the_name(tmp_path: Path):
    config = Config(name="run")
    assert config.output_folder == Path("models/run")
    assert Config(output=tmp_path).output_folder == tmp_path
    with pytest.raises(ValidationError):
        config.name = "other"


TYPES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8).filter(
    lambda name: name.split() == [name] and name.strip("-") == name and name != "O"
)
# PyYAML mends line ends of its own accord (U+0085 as a file's name comes back as a line feed).
PATHS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=10).map(Path)
RATES = st.floats(min_value=0, exclude_min=True, allow_infinity=False, allow_nan=False)


@st.composite
def configs(draw: st.DrawFn) -> Config:
    labels = tuple(draw(st.lists(TYPES, min_size=1, max_size=3, unique=True)))
    weights: Any = st.none() | st.dictionaries(st.sampled_from([*labels, "O"]), RATES)
    shares = st.floats(min_value=0, exclude_min=True, max_value=1)
    wanted: Any = shares | st.dictionaries(st.sampled_from(labels), shares, min_size=1)
    paths = st.lists(PATHS, min_size=1, max_size=2).map(tuple)
    teacher = draw(st.none() | PATHS)
    lesson = DistillationConfig()
    if teacher is not None:
        share = draw(st.none() | shares.filter(lambda share: share < 1))
        lesson = DistillationConfig(unlabelled=draw(paths), unlabelled_share=share, temperature=draw(RATES))
    return Config(
        name=draw(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,6}", fullmatch=True)),
        output=draw(st.none() | PATHS.filter(lambda path: path.name not in {"", ".."})),
        labels=labels,
        data=draw(
            st.builds(DataConfig, train=paths, dev=paths)
            | st.builds(DataConfig, train=paths, dev=st.none(), dev_share=st.floats(0.01, 0.99))
        ),
        text=draw(st.builds(TextConfig, **dict.fromkeys(TextConfig.model_fields, st.booleans()))),
        model=ModelConfig(
            encoder=draw(st.sampled_from(["embedded", "yes", "1", "org/name", "~", "نموذج"])),
            layers=draw(st.none() | st.integers(1, 12)),
            teacher=teacher,
        ),
        distillation=lesson,
        training=TrainingConfig(
            learning_rate=draw(RATES),
            class_weights=draw(weights),
            patience=draw(st.none() | st.integers(1, 9)),
            seed=draw(st.integers(0, 2**32 - 1)),
        ),
        calibration=draw(
            st.builds(CalibrationConfig, temperature=st.booleans(), thresholds=st.sampled_from(["none", "f1"]))
            | st.builds(CalibrationConfig, thresholds=st.just("precision"), precision=wanted)
        ),
    )


@settings(max_examples=100, deadline=None)
@given(configs())
def test_a_dumped_config_loads_equal(tmp_path_factory: pytest.TempPathFactory, config: Config):
    assert _load(tmp_path_factory.getbasetemp(), dump_config(config)) == config


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_shipped_config_dumps_and_loads_equal(path: Path, tmp_path: Path):
    config = load_config(path)
    text = dump_config(config)
    assert _load(tmp_path, text) == config
    for section, model in Config.model_fields.items():
        assert f"{section}:" in text, model  # the resolved config shows every key


def test_wanted_precision_is_of_every_type_or_of_those_named(tmp_path: Path):
    every = _load(tmp_path, "calibration: {thresholds: precision, precision: 0.9}").calibration
    assert every.wanted_precision("ACTOR") == every.wanted_precision("DATE") == 0.9
    named = _load(tmp_path, "calibration: {thresholds: precision, precision: {DATE: 0.8}}").calibration
    assert (named.wanted_precision("DATE"), named.wanted_precision("ACTOR")) == (0.8, None)
    assert _load(tmp_path, "calibration: {thresholds: none}").calibration == CalibrationConfig()
