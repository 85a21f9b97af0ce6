"""Temperature and thresholds: fitted against brute force, saved, noticed when edited, used wherever a model runs."""

import hashlib
import json
import logging
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from conftest import synthetic_reports
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from test_decoding import LABELS, _posterior, _scores, _weighed

from marsad import Recognizer
from marsad.config import CalibrationConfig, load_config
from marsad.documents import Document, Entity
from marsad.errors import MarsadError
from marsad.evaluation.calibration import Outcome, outcomes_of
from marsad.evaluation.evaluate import evaluate
from marsad.evaluation.judging import judge_documents
from marsad.evaluation.scoring import Counts, score_documents
from marsad.files import fingerprint_files
from marsad.modeling.artifacts import ModelFiles, load_tagger, read_manifest, read_saved_config
from marsad.modeling.calibration import (
    TEMPERATURES,
    fit_calibration,
    fit_temperature,
    fit_threshold,
    negative_log_likelihood,
)
from marsad.modeling.decoding import UNCALIBRATED, Calibration, decode_spans, log_softmax, viterbi
from marsad.modeling.inference import decode_words
from marsad.modeling.tagging import align_entities, tag_ids
from marsad.modeling.training import train
from marsad.text.normalization import TextConfig
from marsad.text.words import split_words

TEMPERATURE = st.floats(0.25, 20)
Paragraphs = list[tuple[int, int]]


# --- what a temperature changes, and what not ---------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(_scores(LABELS, 30, longest=30), TEMPERATURE)
def test_the_best_sequence_is_the_same_at_every_temperature(scores: np.ndarray, temperature: float):
    path, best = (viterbi(log_softmax(scores / one), LABELS) for one in (temperature, 1.0))
    weights = log_softmax(scores)
    rows = range(len(scores))
    # Equal sequences but for ties, which rounding may break one way or the other.
    assert weights[rows, path].sum() == pytest.approx(weights[rows, best].sum(), abs=1e-4)


@settings(max_examples=200, deadline=None)
@given(_scores(LABELS, 30, longest=30), TEMPERATURE)
def test_a_temperature_changes_probabilities_and_no_span(scores: np.ndarray, temperature: float):
    whole = [(0, len(scores))]
    spans, probabilities = decode_spans(scores, whole, LABELS)
    again, scaled = decode_spans(scores, whole, LABELS, Calibration(temperature))
    assert again == spans
    assert all(0 <= probability <= 1 for probability in scaled)
    assert decode_spans(scores, whole, LABELS, Calibration(1.0)) == (spans, probabilities)


@settings(max_examples=60, deadline=None)
@given(_scores(LABELS, 30, longest=3), TEMPERATURE)
def test_probabilities_are_those_of_the_scaled_scores(scores: np.ndarray, temperature: float):
    spans, probabilities = decode_spans(scores, [(0, len(scores))], LABELS, Calibration(temperature))
    expected = [_posterior(log_softmax(scores / temperature), span, LABELS) for span in spans]
    assert probabilities == pytest.approx(expected, abs=1e-6)


def test_a_higher_temperature_is_less_sure():
    scores = np.array([[0, 4, 0, 0, 0], [3, 0, 1, 0, 0]], dtype=np.float32)
    sure = [decode_spans(scores, [(0, 2)], LABELS, Calibration(one))[1][0] for one in (0.5, 1.0, 2.0, 8.0)]
    assert sure == sorted(sure, reverse=True)
    assert sure[0] > 0.95 and sure[-1] < 0.5


@settings(max_examples=150, deadline=None)
@given(_scores(LABELS, 4, longest=30), st.floats(0, 1), TEMPERATURE)
def test_a_threshold_drops_what_is_less_probable_and_nothing_else(
    scores: np.ndarray, threshold: float, temperature: float
):
    paragraphs = [(0, len(scores) // 2), (len(scores) // 2, len(scores))] if len(scores) > 1 else [(0, 1)]
    spans, probabilities = decode_spans(scores, paragraphs, LABELS, Calibration(temperature))
    kept = decode_spans(scores, paragraphs, LABELS, Calibration(temperature, {"ACTOR": threshold}))
    expected = [
        (span, probability)
        for span, probability in zip(spans, probabilities, strict=True)
        if span.label != "ACTOR" or probability >= threshold
    ]
    assert list(zip(*kept, strict=True)) == expected


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_an_impossible_temperature_is_refused(temperature: float):
    with pytest.raises(ValueError, match="temperature"):
        Calibration(temperature)


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_an_impossible_threshold_is_refused(threshold: float):
    with pytest.raises(ValueError, match="threshold of ACTOR"):
        Calibration(thresholds={"ACTOR": threshold})


# --- fitting a temperature -----------------------------------------------------------------------------------


@st.composite
def _annotated(draw: st.DrawFn) -> tuple[np.ndarray, list[int], Paragraphs]:
    """Scores of a short document, its paragraphs, and valid tags for it."""
    lengths = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    bounds = list(pairwise([0, *np.cumsum(lengths).tolist()]))
    scores = draw(arrays(np.float32, (sum(lengths), len(LABELS.tags)), elements=st.floats(-20, 20, width=32)))
    gold: list[int] = []
    for start, end in bounds:
        sequences = [tags for tags, _ in _weighed(np.zeros((end - start, len(LABELS.tags))), LABELS)]
        gold += [LABELS.tags.index(tag) for tag in draw(st.sampled_from(sequences))]
    return scores, gold, bounds


@settings(max_examples=40, deadline=None)
@given(st.lists(_annotated(), min_size=1, max_size=3), TEMPERATURE)
def test_the_likelihood_is_that_of_the_enumeration(
    documents: list[tuple[np.ndarray, list[int], Paragraphs]], temperature: float
):
    scores, gold, paragraphs = (list(part) for part in zip(*documents, strict=True))
    expected = 0.0
    for one, tags, bounds in documents:
        for start, end in bounds:
            weighed = dict(_weighed(log_softmax(one[start:end].astype(np.float64) / temperature), LABELS))
            whole = np.logaddexp.reduce(list(weighed.values()))
            expected += whole - weighed[tuple(LABELS.tags[tag] for tag in tags[start:end])]
    found = negative_log_likelihood(scores, gold, paragraphs, LABELS)(temperature)
    assert found == pytest.approx(expected, abs=1e-6)


def _sampled(temperature: float, seed: int, count: int = 1500) -> tuple[list[np.ndarray], list[list[int]], Any]:
    """Paragraphs whose tags are drawn from the model's own distribution at ``temperature``."""
    draw = np.random.default_rng(seed)
    scores, gold = [], []
    while len(gold) < count:
        one = draw.normal(0, 4, (int(draw.integers(1, 6)), len(LABELS.tags))).astype(np.float32)
        probabilities = np.exp(log_softmax(one / temperature))
        tags = [int(draw.choice(len(row), p=row)) for row in probabilities]
        if LABELS.starts[tags[0]] and LABELS.transitions[tags[:-1], tags[1:]].all():
            scores.append(one)
            gold.append(tags)
    return scores, gold, [[(0, len(tags))] for tags in gold]


@pytest.mark.parametrize("temperature", [0.6, 1.0, 1.7, 5.0])
def test_a_known_temperature_is_recovered(temperature: float):
    scores, gold, paragraphs = _sampled(temperature, seed=3)
    found, identified = fit_temperature(negative_log_likelihood(scores, gold, paragraphs, LABELS))
    assert identified
    assert found == pytest.approx(temperature, rel=0.08)


@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_a_model_that_boasts_is_cooled_and_a_timid_one_is_not(factor: float):
    scores, gold, paragraphs = _sampled(1.0, seed=4, count=600)
    honest, _ = fit_temperature(negative_log_likelihood(scores, gold, paragraphs, LABELS))
    louder = [one * np.float32(factor) for one in scores]
    likelihood = negative_log_likelihood(louder, gold, paragraphs, LABELS)
    found, _ = fit_temperature(likelihood)
    assert found == pytest.approx(honest * factor, rel=1e-3)
    assert (found > 1) == (factor > 1)
    grid = [likelihood(one) for one in np.geomspace(*TEMPERATURES, 200)]
    assert likelihood(found) <= min(grid) + 1e-6


@pytest.mark.parametrize("right", [True, False])
def test_where_dev_does_not_tell_the_temperature_it_stays_one(right: bool):
    text = "قصف لواء حلب"
    scores = np.array([[9, 0, 0, 0, 0], [0, 9, 0, 0, 0], [0, 0, 0, 9, 0]], dtype=np.float32)
    gold = (Entity(4, 8, "ACTOR"), Entity(9, 12, "PLACE")) if right else (Entity(0, 3, "ACTOR"),)
    document, words = Document("d", text, gold), split_words(text, TextConfig())
    fitted = fit_calibration([document], [words], [scores], LABELS, CalibrationConfig())
    assert fitted.calibration == UNCALIBRATED
    assert not fitted.identified
    assert fitted.record()["dev"]["temperature_identified"] is False
    (shortfall,) = fitted.shortfalls()
    assert "temperature stays 1" in shortfall


# --- choosing thresholds -------------------------------------------------------------------------------------

# Far enough apart to be told apart.
FOUND = st.lists(
    st.builds(Outcome, st.just("ACTOR"), st.integers(0, 50).map(lambda score: score / 50), st.booleans()), max_size=25
)


def _kept(outcomes: list[Outcome], threshold: float, gold: int) -> Counts:
    kept = [outcome for outcome in outcomes if outcome.score >= threshold]
    return Counts(sum(outcome.correct for outcome in kept), len(kept), gold)


@settings(max_examples=300, deadline=None)
@given(FOUND, st.integers(0, 5))
def test_no_threshold_has_a_better_f1_and_none_as_good_drops_less(outcomes: list[Outcome], missed: int):
    gold = sum(outcome.correct for outcome in outcomes) + missed
    fitted = fit_threshold(outcomes, gold)
    assert fitted.reached
    assert fitted.before == _kept(outcomes, 0.0, gold)
    assert fitted.after == _kept(outcomes, fitted.value, gold)
    for outcome in outcomes:
        other = _kept(outcomes, outcome.score, gold)
        assert other.f1 <= fitted.after.f1
        assert other.f1 < fitted.after.f1 or other.predicted <= fitted.after.predicted


@settings(max_examples=300, deadline=None)
@given(FOUND, st.floats(0.01, 1))
def test_a_wanted_precision_is_reached_with_as_few_dropped_as_can_be_or_named(outcomes: list[Outcome], wanted: float):
    fitted = fit_threshold(outcomes, len(outcomes), wanted)
    assert fitted.after == _kept(outcomes, fitted.value, len(outcomes))
    others = [_kept(outcomes, outcome.score, len(outcomes)) for outcome in outcomes]
    enough = [other for other in others if other.precision >= wanted]
    assert fitted.reached == bool(enough)
    if enough:
        assert fitted.after.precision >= wanted
        assert fitted.after.predicted == max(other.predicted for other in enough)
    elif others:
        assert fitted.after.precision == max(other.precision for other in others)


def test_a_threshold_stands_clear_of_the_scores():
    outcomes = [Outcome("ACTOR", score, right) for score, right in ((0.9, True), (0.8, True), (0.4, False))]
    assert fit_threshold(outcomes, 2).value == pytest.approx(0.6)
    assert fit_threshold(outcomes, 2, wanted=0.6).value == 0.0
    # What the last digits would decide is not decided.
    close = [Outcome("ACTOR", 1 - 1e-9, True), Outcome("ACTOR", 1 - 2e-9, False)]
    assert fit_threshold(close, 1) == fit_threshold(close[::-1], 1)
    assert fit_threshold(close, 1).value == 0.0
    assert not fit_threshold(close, 1, wanted=0.9).reached


def test_judging_is_that_of_the_scores():
    text = "قصف لواء الفجر بحلب أمس\nدرعا"
    document = Document("d", text, (Entity(4, 14, "ACTOR"), Entity(16, 19, "PLACE"), Entity(24, 28, "PLACE")))
    found = (
        Entity(0, 3, "PLACE", 0.3),
        Entity(4, 14, "ACTOR", 0.9),
        Entity(15, 19, "PLACE", 0.8),  # the word, as the gold one is widened
        Entity(24, 28, "ACTOR", 0.7),
    )
    words = split_words(text, TextConfig())
    judged = judge_documents([document], [found], [words])
    outcomes = outcomes_of(judged)
    assert [(outcome.score, outcome.correct) for outcome in outcomes] == [
        (0.3, False),
        (0.9, True),
        (0.8, True),
        (0.7, False),
    ]
    counts = score_documents(judged, LABELS).overall
    assert counts == Counts(sum(outcome.correct for outcome in outcomes), len(outcomes), 3)


def _simulated(count: int, seed: int) -> tuple[list[Document], list[Any], list[np.ndarray]]:
    """Reports whose words are tagged by a model that reads them through noise, and triples its scores."""
    tags_of_all: list[int] = []
    draw = np.random.default_rng(seed)
    documents, all_words, scores = [], [], []
    names = {"ACTOR": "ACTOR", "LOCATION": "PLACE"}
    for report in synthetic_reports(count, seed=seed):
        entities = tuple(
            Entity(entity["start"], entity["end"], names[entity["label"]])
            for entity in report["entities"]
            if entity["label"] in names
        )
        document, words = Document(report["id"], report["text"], entities), split_words(report["text"], TextConfig())
        gold = tag_ids(align_entities(document, words).spans, len(words), LABELS)
        seen = draw.normal(0, 1, (len(words), len(LABELS.tags)))
        seen[range(len(words)), gold] += 3  # of unit variance: three times what is seen is the log-likelihood ratio
        documents.append(document)
        all_words.append(words)
        scores.append(3 * seen)
        tags_of_all += gold
    prior = np.log(np.bincount(tags_of_all) / len(tags_of_all))
    return documents, all_words, [(3 * (one + prior)).astype(np.float32) for one in scores]


def test_thresholds_chosen_on_one_half_hold_on_the_other():
    chosen_on, held_out = _simulated(150, seed=5), _simulated(150, seed=6)
    none = fit_calibration(*chosen_on, LABELS, CalibrationConfig())
    assert none.calibration.temperature == pytest.approx(3, rel=0.1)  # as was done to the scores
    assert none.calibration.thresholds == {}
    assert none.errors[0] is not None and none.errors[1] is not None
    assert none.errors[1] < none.errors[0] / 2
    assert none.losses[1] < none.losses[0]

    settings = CalibrationConfig(thresholds="precision", precision={"ACTOR": 0.95})
    fitted = fit_calibration(*chosen_on, LABELS, settings)
    assert list(fitted.calibration.thresholds) == ["ACTOR"]
    for (documents, words, scores), slack in ((chosen_on, 0.0), (held_out, 0.04)):
        scored = {
            calibration: score_documents(
                judge_documents(
                    documents,
                    [decode_words(one, some, LABELS, calibration) for one, some in zip(words, scores, strict=True)],
                    words,
                ),
                LABELS,
            )
            for calibration in (none.calibration, fitted.calibration)
        }
        before, after = scored[none.calibration], scored[fitted.calibration]
        assert before.by_type["ACTOR"].precision < 0.9
        assert after.by_type["ACTOR"].precision >= 0.95 - slack
        assert after.by_type["PLACE"] == before.by_type["PLACE"]
        if not slack:
            assert fitted.thresholds["ACTOR"].before == before.by_type["ACTOR"]
            assert fitted.thresholds["ACTOR"].after == after.by_type["ACTOR"]


def test_without_a_temperature_nothing_is_scaled():
    fitted = fit_calibration(*_simulated(20, seed=7), LABELS, CalibrationConfig(temperature=False))
    assert fitted.calibration == UNCALIBRATED
    assert fitted.losses[0] == fitted.losses[1]
    assert fitted.errors[0] == fitted.errors[1]
    assert fitted.shortfalls() == []


# --- saved with the model, and used --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def careful(
    tmp_path_factory: pytest.TempPathFactory, write_tiny_config: Callable[..., Path]
) -> tuple[Path, list[tuple[int, str]]]:
    """A model of one epoch that wants more precision than it has, with a type that dev does not have; and its log."""
    folder = tmp_path_factory.mktemp("careful")
    path = write_tiny_config(
        folder / "config.yaml",
        labels=["ACTOR", "LOCATION", "DATE", "CASUALTY", "EVENT"],
        training={"epochs": 1},
        calibration={"thresholds": "precision", "precision": {"LOCATION": 0.97, "EVENT": 0.5}},
    )
    said: list[tuple[int, str]] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append((record.levelno, record.getMessage()))  # type: ignore[method-assign]
    logger = logging.getLogger("marsad")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        return train(load_config(path)).folder, said
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def _read(path: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return values


def test_what_is_saved_is_what_is_loaded(careful: tuple[Path, Any], tiny_model: Path):
    for model in (careful[0], tiny_model):
        saved = _read(model / "calibration.json")
        calibration = load_tagger(model).calibration
        assert Calibration(saved["temperature"], saved["thresholds"]) == calibration
        assert Recognizer.from_pretrained(model).calibration == calibration
        assert _read(model / "metrics.json")["calibration"] == saved
    assert _read(tiny_model / "calibration.json")["thresholds"] == {}
    assert list(_read(careful[0] / "calibration.json")["thresholds"]) == ["LOCATION", "EVENT"]


def test_what_is_served_is_what_was_scored(careful: tuple[Path, Any], corpus: Path):
    model = careful[0]
    saved = _read(model / "calibration.json")
    strict = _read(model / "metrics.json")["dev"]["strict"]
    assert evaluate(model, [corpus / "dev.jsonl"]).strict.record() == strict
    chosen = saved["dev"]["thresholds"]["LOCATION"]
    assert chosen["after"] == strict["by_type"]["LOCATION"]
    assert chosen["reached"] and chosen["after"]["precision"] >= 0.97
    assert 0 < chosen["after"]["predicted"] < chosen["before"]["predicted"]

    texts = [report["text"] for report in synthetic_reports(40, seed=36)]
    locations = [
        entity
        for prediction in Recognizer.from_pretrained(model).predict(texts)
        for entity in prediction.entities
        if entity.label == "LOCATION"
    ]
    assert locations
    assert min(entity.score or 0 for entity in locations) >= saved["thresholds"]["LOCATION"] > 0


def test_a_precision_that_dev_does_not_reach_is_named_everywhere(careful: tuple[Path, list[tuple[int, str]]]):
    model, said = careful
    assert _read(model / "metrics.json")["calibration"]["dev"]["thresholds"]["EVENT"]["reached"] is False
    (warning,) = [text for level, text in said if level == logging.WARNING and "EVENT" in text]
    assert "wanted precision 0.5 is not reached on dev" in warning
    assert any(text.startswith("calibration: LOCATION: threshold 0.") for _, text in said)
    card = (model / "README.md").read_text(encoding="utf-8")
    assert "EVENT: the wanted precision 0.5 is not reached on dev" in card
    assert f"temperature {_read(model / 'calibration.json')['temperature']:.3f}" in card
    assert "expected calibration error" in card


@pytest.mark.parametrize("edit", ["temperature", "threshold", "damaged", "removed"])
def test_an_edited_calibration_is_noticed(edit: str, careful: tuple[Path, Any], tmp_path: Path):
    model = tmp_path / "model"
    shutil.copytree(careful[0], model)
    path = model / "calibration.json"
    values = _read(path)
    if edit == "temperature":
        path.write_text(json.dumps(values | {"temperature": 1.5}))
    elif edit == "threshold":
        path.write_text(json.dumps(values | {"thresholds": {}}))
    elif edit == "damaged":
        path.write_text("{")
    else:
        path.unlink()
    with pytest.raises(MarsadError, match="calibration.json" if edit == "removed" else "fingerprint differs"):
        load_tagger(model)


def _as_of_format_1(model: Path) -> None:
    """Make a model folder what it was before calibrations."""
    files = ModelFiles(model)
    files.calibration.unlink()
    config = read_saved_config(model).model_dump_json(exclude={"name", "output", "calibration"})
    digest = hashlib.sha256(config.encode("utf-8"))
    digest.update(fingerprint_files([files.weights, files.tokenizer]).encode("ascii"))
    values = yaml.safe_load(files.config.read_text(encoding="utf-8"))
    del values["calibration"]
    files.config.write_text(yaml.safe_dump(values, sort_keys=False, allow_unicode=True), encoding="utf-8")
    manifest = _read(files.manifest) | {"format": 1, "fingerprint": digest.hexdigest()}
    files.manifest.write_text(json.dumps(manifest), encoding="utf-8")


def test_a_model_from_before_calibrations_still_runs(tiny_model: Path, tiny_config: Path, tmp_path: Path):
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    _as_of_format_1(model)
    tagger = load_tagger(model)
    assert tagger.calibration == UNCALIBRATED
    text = synthetic_reports(1, seed=37)[0]["text"]
    old, new = (Recognizer.from_pretrained(folder).predict([text])[0].entities for folder in (model, tiny_model))
    assert [(one.start, one.end, one.label) for one in old] == [(one.start, one.end, one.label) for one in new]
    assert train(load_config(tiny_config, [f"output={model}"]), resume=True).folder == model  # it is whole
    with pytest.raises(MarsadError, match="fingerprint differs"):
        (model / "config.yaml").write_text(
            (model / "config.yaml").read_text(encoding="utf-8").replace("max_tokens: 48", "max_tokens: 64")
        )
        load_tagger(model)


def test_a_model_of_a_format_to_come_is_refused(tiny_model: Path, tmp_path: Path):
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    manifest = _read(model / "marsad.json")
    (model / "marsad.json").write_text(json.dumps(manifest | {"format": 3}), encoding="utf-8")
    with pytest.raises(MarsadError, match="has the format 3, this version of marsad reads 1 and 2"):
        read_manifest(model)
