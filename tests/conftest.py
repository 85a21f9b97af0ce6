"""What every test may lean on: tiny annotated reports, tiny encoders, one tiny trained model. All offline."""

import atexit
import json
import os
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Before torch or transformers are imported anywhere.
os.environ["HF_HUB_OFFLINE"] = "1"
# One thread: the networks are tiny, and threads that wait for one another on a busy machine take ten times as long.
os.environ["OMP_NUM_THREADS"] = "1"
_CACHE = tempfile.mkdtemp(prefix="marsad-cache-")
os.environ["MARSAD_CACHE"] = _CACHE
atexit.register(shutil.rmtree, _CACHE, ignore_errors=True)

import pytest  # noqa: E402
import yaml  # noqa: E402

ROOT = Path(__file__).parent.parent
KINDS = ("wordpiece", "bpe", "unigram")

_FILLERS = {
    "ACTOR": ["قوات النظام", "الجيش الحر", "لواء الفجر", "فصائل المعارضة", "ميليشيا النسر", "الشرطة"],
    "LOCATION": ["حلب", "إدلب", "درعا", "ريف حماة", "بلدة سرمين", "مدينة الرقة", "دير الزور"],
    "DATE": ["أمس الأحد", "يوم 3 مايو", "صباح اليوم", "مساء الجمعة", "2016/05/04"],
    "CASUALTY": ["3 مدنيين", "طفلين", "خمسة أشخاص", "12 جريحا", "امرأة وطفلها"],
}
_PATTERNS = [
    "قصفت {ACTOR} منازل في {LOCATION} {DATE} مما أدى إلى مقتل {CASUALTY}.",
    "قتل {CASUALTY} في {LOCATION} {DATE}.",
    "قال ناشطون إن {ACTOR} انسحبت من {LOCATION}، وأصيب {CASUALTY}.",
    "وصلت قافلة إلى {LOCATION} {DATE} برفقة {ACTOR}.",
    "لم تقع إصابات {DATE}، بينما تقدمت {ACTOR} نحو {LOCATION}!",
    "الطقس غائم والطرق مفتوحة أمام الأهالي.",
]


def synthetic_reports(count: int, seed: int, prefix: str = "r") -> list[dict[str, Any]]:
    """Annotated reports as JSON records: a few names in a few patterns, one to three lines each."""
    draw = random.Random(seed)
    reports = []
    for number in range(count):
        text = ""
        entities = []
        for line in range(draw.randint(1, 3)):
            text += "\n" if line else ""
            for sentence in range(draw.randint(1, 3)):
                text += " " if sentence else ""
                for part in draw.choice(_PATTERNS).replace("{", "\0{").replace("}", "}\0").split("\0"):
                    if part.startswith("{"):
                        filler = draw.choice(_FILLERS[part[1:-1]])
                        entities.append({"start": len(text), "end": len(text) + len(filler), "label": part[1:-1]})
                        text += filler
                    else:
                        text += part
        reports.append({"id": f"{prefix}{number:04d}", "text": text, "published": None, "entities": entities})
    return reports


def write_jsonl(path: Path, records: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), encoding="utf-8")
    return path


def number_pieces(pieces: Iterable[str], special: Sequence[str]) -> dict[str, int]:
    """Pieces with ids that are the same in every run: training a tokenizer numbers them in an order of chance."""
    return {piece: number for number, piece in enumerate([*special, *sorted(set(pieces) - set(special))])}


def build_encoder(kind: str, folder: Path, positions: int = 128) -> Path:
    """A tiny encoder in Hugging Face form with a tokenizer trained on the synthetic reports."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
    from transformers import (
        BertConfig,
        BertModel,
        BertTokenizerFast,
        RobertaConfig,
        RobertaModel,
        RobertaTokenizerFast,
        XLMRobertaConfig,
        XLMRobertaModel,
        XLMRobertaTokenizerFast,
    )

    texts = [report["text"] for report in synthetic_reports(150, seed=1)]
    sizes = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": positions + (0 if kind == "wordpiece" else 2),
        "type_vocab_size": 2,
    }
    tokenizer: Any
    torch.manual_seed(7)
    if kind == "wordpiece":
        special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        # Made by hand, since what training finds differs from run to run: letters, whole words, short ends of words.
        split, normalize = pre_tokenizers.BertPreTokenizer(), normalizers.BertNormalizer(lowercase=False)
        words = Counter(word for text in texts for word, _ in split.pre_tokenize_str(normalize.normalize_str(text)))
        pieces = {piece for letter in "".join(words) for piece in (letter, f"##{letter}")}
        pieces |= {word for word, count in words.items() if count > 1}
        pieces |= {f"##{word[-length:]}" for word in words for length in (2, 3) if len(word) > length}
        vocabulary = number_pieces(pieces, special)
        tokenizer = BertTokenizerFast(vocab=vocabulary, do_lower_case=False, strip_accents=False)
        model: Any = BertModel(BertConfig(vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, **sizes))
    else:
        special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
        if kind == "bpe":
            raw = Tokenizer(models.BPE())
            raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
            alphabet = pre_tokenizers.ByteLevel.alphabet()
            raw.train_from_iterator(
                texts, trainers.BpeTrainer(vocab_size=600, special_tokens=special, initial_alphabet=alphabet)
            )
            state = json.loads(raw.to_str())["model"]
            merges = [tuple(merge) for merge in state["merges"]]
            tokenizer = RobertaTokenizerFast(vocab=number_pieces(state["vocab"], special), merges=merges)
            config_class: Any = RobertaConfig
            model_class: Any = RobertaModel
        else:
            raw = Tokenizer(models.Unigram())
            raw.pre_tokenizer = pre_tokenizers.Metaspace()
            raw.train_from_iterator(
                texts, trainers.UnigramTrainer(vocab_size=400, special_tokens=special, unk_token="<unk>")
            )
            scores = dict(json.loads(raw.to_str())["model"]["vocab"])
            vocab = [(piece, scores[piece]) for piece in number_pieces(scores, special)]
            tokenizer = XLMRobertaTokenizerFast(vocab=vocab)
            config_class, model_class = XLMRobertaConfig, XLMRobertaModel
        model = model_class(
            config_class(
                vocab_size=len(tokenizer),
                pad_token_id=tokenizer.pad_token_id,
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id,
                **sizes,
            )
        )
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Tiny encoders by kind of tokenizer: wordpiece, bpe (byte-level), unigram."""
    # In this process alone: what the commands show is tested in processes of their own, without this.
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    folder = tmp_path_factory.mktemp("encoders")
    return {kind: build_encoder(kind, folder / kind) for kind in KINDS}


@pytest.fixture(scope="session")
def slow_encoder(encoders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny encoder with a tokenizer written in Python, which gives no offsets."""
    from transformers import CanineTokenizer

    folder = tmp_path_factory.mktemp("slow")
    for name in ("config.json", "model.safetensors"):
        shutil.copy(encoders["wordpiece"] / name, folder / name)
    CanineTokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with train.jsonl, dev.jsonl and test.jsonl of synthetic reports."""
    folder = tmp_path_factory.mktemp("corpus")
    write_jsonl(folder / "train.jsonl", synthetic_reports(80, seed=11, prefix="train-"))
    write_jsonl(folder / "dev.jsonl", synthetic_reports(24, seed=12, prefix="dev-"))
    write_jsonl(folder / "test.jsonl", synthetic_reports(24, seed=13, prefix="test-"))
    return folder


@pytest.fixture(scope="session")
def write_tiny_config(encoders: dict[str, Path], corpus: Path) -> Callable[..., Path]:
    """Writes a YAML config for a tiny run; ``sections`` are merged over its own values."""

    def write(path: Path, kind: str = "wordpiece", **sections: Any) -> Path:
        values: dict[str, Any] = {
            "name": "tiny",
            "output": str(path.parent / "tiny-model"),
            "data": {"train": str(corpus / "train.jsonl"), "dev": str(corpus / "dev.jsonl")},
            "model": {"encoder": str(encoders[kind]), "max_tokens": 48, "overlap": 12},
            "training": {
                "epochs": 4,
                "batch_size": 8,
                "learning_rate": 5e-3,
                "head_learning_rate": 1e-2,
                "precision": "fp32",
                "log_every": 10,
            },
        }
        for key, value in sections.items():
            if isinstance(value, dict) and isinstance(values.get(key), dict):
                values[key] = values[key] | value
            else:
                values[key] = value
        path.write_text(yaml.safe_dump(values, allow_unicode=True), encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def tiny_config(tmp_path_factory: pytest.TempPathFactory, write_tiny_config: Callable[..., Path]) -> Path:
    """The YAML config that ``tiny_model`` is trained with; give runs of your own another ``output=``."""
    return write_tiny_config(tmp_path_factory.mktemp("config") / "tiny.yaml")


@pytest.fixture(scope="session")
def tiny_model(tiny_config: Path) -> Path:
    """A trained model folder, to be read only; copy it before changing anything in it."""
    from marsad.config import load_config
    from marsad.modeling.training import train

    return train(load_config(tiny_config)).folder


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Headless Chromium. Without one its tests are skipped; MARSAD_REQUIRE_BROWSER=1 makes that a failure."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        why = "no Chromium on this machine (Debian: apt-get install chromium)"
        if os.environ.get("MARSAD_REQUIRE_BROWSER") == "1":
            pytest.fail(why)
        pytest.skip(why)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found)
        yield chromium
        chromium.close()


@dataclass(frozen=True)
class Opened:
    """A page in the browser; the addresses that it asked for beside its own, those among them that its policy
    stopped, and whatever the browser or a script complained of."""

    page: Any
    address: str
    requests: list[str]
    blocked: list[str]
    complaints: list[str]


@pytest.fixture
def open_page(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Opened]]:
    """Writes HTML to a file and opens it by file://; further arguments go to the browser's context."""
    contexts = []

    def open_page(html: str, name: str = "page.html", **options: Any) -> Opened:
        path = tmp_path / name
        path.write_text(html, encoding="utf-8")
        context = browser.new_context(**{"reduced_motion": "reduce"} | options)
        contexts.append(context)
        page = context.new_page()
        opened = Opened(page, path.as_uri(), [], [], [])
        page.on("request", lambda one: one.url != opened.address and opened.requests.append(one.url))
        page.on("requestfailed", lambda one: one.failure == "csp" and opened.blocked.append(one.url))
        page.on("console", lambda message: opened.complaints.append(message.text))
        page.on("pageerror", lambda error: opened.complaints.append(str(error)))
        page.on("dialog", lambda dialog: (opened.complaints.append(dialog.message), dialog.dismiss()))
        page.goto(opened.address)
        return opened

    yield open_page
    for context in contexts:
        context.close()
