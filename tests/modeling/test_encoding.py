from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import KINDS, synthetic_reports
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import pre_tokenizers

from marsad.config import ModelConfig
from marsad.modeling.encoders import find_encoder, load_tokenizer
from marsad.modeling.encoding import EncodedWindow, WordEncoder
from marsad.text.normalization import TextConfig
from marsad.text.words import Words, split_words

TEXT = TextConfig()
MAX_TOKENS = 40
_BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)

# As WordPiece, BPE and Unigram tokenizers get to see them: unknown scripts, controls, joiners, combining marks.
STRANGE = ["𓀀", "漢字", "\0", "\x07", "👨‍👩‍👧", "🙂", "\ufffd", "ﷺ", "é", "e\u0301", "[UNK]", "<s>", "▁", "Ġ", "##"]


@pytest.fixture(scope="module")
def build(encoders: dict[str, Path]) -> Callable[..., WordEncoder]:
    def build(kind: str, max_tokens: int = MAX_TOKENS, overlap: int = 10) -> WordEncoder:
        source = find_encoder(str(encoders[kind]))
        return load_tokenizer(source, ModelConfig(max_tokens=max_tokens, overlap=overlap))

    return build


@pytest.fixture(scope="module")
def built(build: Callable[..., WordEncoder]) -> dict[str, WordEncoder]:
    return {kind: build(kind) for kind in KINDS}


def test_words_are_encoded_while_another_thread_clears_what_is_stored(
    build: Callable[..., WordEncoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("marsad.modeling.encoding._STORED_WORDS", 5)
    encoder = build(KINDS[0])
    words = [f"كلمة{number}" for number in range(400)]
    expected = [build(KINDS[0]).encode_words([word])[0] for word in words]

    def encode(first: int) -> list[tuple[int, ...]]:
        return [ids for at in range(first, first + 40) for ids in encoder.encode_words(words[at : at + 9])[:1]]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(encode, [0, 40, 80, 120, 160, 200, 240, 280] * 5))
    assert found == [expected[first : first + 40] for first in [0, 40, 80, 120, 160, 200, 240, 280] * 5]


def begins(encoder: WordEncoder, kind: str, token: int, word: str) -> bool:
    """Whether a sub-token decodes to a beginning of the word; an unknown one must not be in the vocabulary."""
    piece = encoder.tokenizer.convert_ids_to_tokens(token)
    if piece == encoder.tokenizer.unk_token:
        return kind != "bpe"
    if kind == "wordpiece":
        return bool(piece) and word.startswith(piece)
    if kind == "bpe":
        # As the library writes the bytes of the word after a blank.
        written = "".join(part for part, _ in _BYTES.pre_tokenize_str(" " + word))
        return piece.startswith("Ġ") and written.startswith(piece)
    return piece.startswith("▁") and word.startswith(piece[1:])


def check(encoder: WordEncoder, kind: str, words: Words) -> list[EncodedWindow]:
    """All that training and inference rely on, for one document."""
    windows = encoder.encode_document(words)
    texts = words.texts()
    special = encoder.tokenizer("")["input_ids"]
    seen: set[int] = set()
    for encoded in windows:
        ids, places = encoded.input_ids, encoded.first_tokens
        assert len(ids) <= encoder.max_tokens
        assert ids[0] == special[0]
        assert ids[-1] == special[-1]
        assert len(places) == encoded.window.last - encoded.window.first > 0
        assert places == sorted(set(places))
        assert places[0] == 1
        assert places[-1] < len(ids) - 1
        for place, index in zip(places, range(encoded.window.first, encoded.window.last), strict=True):
            pieces = encoder.encode_words([texts[index]])[0]
            assert tuple(ids[place : place + len(pieces)]) == pieces
            assert begins(encoder, kind, ids[place], texts[index]), (texts[index], ids[place])
        seen.update(range(encoded.window.first, encoded.window.last))
    assert seen == set(range(len(words)))
    return windows


@pytest.mark.parametrize("kind", KINDS)
def test_reports_stay_aligned(kind: str, built: dict[str, WordEncoder]) -> None:
    several = 0
    for report in synthetic_reports(40, seed=5):
        several += len(check(built[kind], kind, split_words(report["text"], TEXT))) > 1
    assert several  # some reports must need more than one window, else nothing is tested


@pytest.mark.parametrize("kind", KINDS)
def test_pieces_are_those_of_the_tokenizer_on_running_text(kind: str, built: dict[str, WordEncoder]) -> None:
    encoder = built[kind]
    for report in synthetic_reports(40, seed=6):
        words = split_words(report["text"], TEXT).texts()[:8]
        running = " " + " ".join(words)
        (window,) = encoder.encode_document(split_words(running, TEXT))
        assert window.input_ids == encoder.tokenizer(running)["input_ids"]


@pytest.mark.parametrize("kind", KINDS)
def test_pieces_do_not_depend_on_neighbours(kind: str, build: Callable[..., WordEncoder]) -> None:
    words = [*split_words(synthetic_reports(1, seed=7)[0]["text"], TEXT).texts(), *STRANGE, "ستشهاد", "12,500"]
    alone = [build(kind).encode_words([word])[0] for word in words]
    assert build(kind).encode_words(words) == alone
    assert build(kind).encode_words(words[::-1]) == alone[::-1]
    twice = build(kind)
    assert twice.encode_words(words[5:]) + twice.encode_words(words) == alone[5:] + alone


@pytest.mark.parametrize("kind", KINDS)
def test_unknown_words_keep_their_place(kind: str, built: dict[str, WordEncoder]) -> None:
    encoder = built[kind]
    for word in STRANGE:
        pieces = encoder.encode_words([word])[0]
        assert pieces, word
        text = f"قصفت {word} حلب"
        (window,) = encoder.encode_document(split_words(text, TEXT))
        first = encoder.encode_words(["قصفت"])[0]
        assert window.input_ids[1 : 1 + len(first)] == list(first)
        assert window.input_ids[window.first_tokens[-1]] == encoder.encode_words(["حلب"])[0][0]


@pytest.mark.parametrize("kind", KINDS)
def test_special_tokens_in_the_text_are_mere_text(kind: str, built: dict[str, WordEncoder]) -> None:
    # A report that holds "[SEP]" or "</s>" must not be able to write the model's own marks.
    encoder = built[kind]
    special = set(encoder.tokenizer.all_special_ids) - {encoder.tokenizer.unk_token_id}
    for token in encoder.tokenizer.all_special_tokens:
        (window,) = encoder.encode_document(split_words(f"قتل {token} في حلب", TEXT))
        assert not special & set(window.input_ids[1:-1]), token


@pytest.mark.parametrize("kind", KINDS)
def test_a_word_of_a_hundred_thousand_letters(kind: str, built: dict[str, WordEncoder]) -> None:
    encoder = built[kind]
    words = split_words("قتل طفلين " + "بيت" * 33_334 + " في حلب", TEXT)
    assert len(words) == 5
    windows = check(encoder, kind, words)
    assert sum(window.window.last - window.window.first for window in windows) >= 5
    assert 1 <= len(encoder.encode_words(words.texts())[2]) <= MAX_TOKENS // 2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("max_tokens", [16, 33, 128])
def test_no_word_is_lost_in_a_long_document(kind: str, max_tokens: int, build: Callable[..., WordEncoder]) -> None:
    encoder = build(kind, max_tokens, overlap=max_tokens // 2)
    line = " ".join(report["text"].replace("\n", " ") for report in synthetic_reports(40, seed=8))
    windows = check(encoder, kind, split_words(line + "\n\n" + line, TEXT))
    assert len(windows) > 10


@pytest.mark.parametrize("kind", KINDS)
def test_lines_of_one_window_are_set_apart(kind: str, built: dict[str, WordEncoder]) -> None:
    encoder = built[kind]
    (one,) = encoder.encode_document(split_words("قتل طفلين في حلب", TEXT))
    (two,) = encoder.encode_document(split_words("قتل طفلين\nفي حلب", TEXT))
    cut = one.first_tokens[2]
    assert two.input_ids == [*one.input_ids[:cut], one.input_ids[-1], *one.input_ids[cut:]]
    assert two.first_tokens == [*one.first_tokens[:2], *(place + 1 for place in one.first_tokens[2:])]


@pytest.mark.parametrize("kind", KINDS)
def test_text_without_words_has_no_windows(kind: str, built: dict[str, WordEncoder]) -> None:
    for text in ("", " \n\t ", "\u200f\ufeff"):
        assert built[kind].encode_document(split_words(text, TEXT)) == []


@pytest.mark.parametrize("kind", KINDS)
def test_arbitrary_text_stays_aligned(kind: str, built: dict[str, WordEncoder]) -> None:
    arabic = st.text(alphabet="ابتثجحخدذرزسشصضطظعغفقكلمنهويةىءئؤأإآ 0123٤٥.،\n\u0640\u064b", max_size=120)
    anything = st.text(max_size=60)

    @settings(max_examples=60, deadline=None)
    @given(st.one_of(arabic, anything, st.lists(st.sampled_from(STRANGE)).map(" ".join)))
    def holds(text: str) -> None:
        words = split_words(text, TEXT)
        encoder = built[kind]
        windows = encoder.encode_document(words)
        covered = {index for encoded in windows for index in range(encoded.window.first, encoded.window.last)}
        assert covered == set(range(len(words)))
        for encoded in windows:
            assert len(encoded.input_ids) <= MAX_TOKENS
            pieces = encoder.encode_words(words.texts()[encoded.window.first : encoded.window.last])
            places = encoded.first_tokens
            assert len(places) == len(pieces)
            for place, ids in zip(places, pieces, strict=True):
                assert tuple(encoded.input_ids[place : place + len(ids)]) == ids
                assert ids

    holds()


def test_a_full_store_of_pieces_is_emptied_and_changes_nothing(
    build: Callable[..., WordEncoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("marsad.modeling.encoding._STORED_WORDS", 100)
    encoder = build("wordpiece")
    before = encoder.encode_words(["قصفت", "حلب"])
    for start in range(0, 1000, 50):
        encoder.encode_words(f"{number}x" for number in range(start, start + 50))
    assert encoder.encode_words(["حلب", "جديد", "قصفت"])[::2] == before[::-1]
    assert len(encoder._pieces) <= 153
