"""report.md and report.html: what they show, and that a report's text is never more than text."""

import copy
import itertools
import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from playwright.sync_api import expect

from marsad.evaluation.report import render_html, render_markdown, short_codes

LABELS = ["ACTOR", "LOCATION", "DATE", "CASUALTY"]
HOSTILE = "</script><script>window.ran=1</script><img src=x onerror=window.ran=1>|`'\"&#x3c;[a](javascript:1)"


def counts(correct: int, predicted: int, support: int) -> dict[str, Any]:
    precision, recall = correct / predicted if predicted else 0.0, correct / support if support else 0.0
    f1 = 2 * correct / (predicted + support) if correct else 0.0
    return {
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "support": support,
        "predicted": predicted,
        "correct": correct,
    }


def pair(kind: str, gold: tuple[int, int, str] | None, predicted: tuple[int, int, str] | None) -> dict[str, Any]:
    def side(entity: tuple[int, int, str] | None, **more: Any) -> dict[str, Any] | None:
        return entity and {"start": entity[0], "end": entity[1], "label": entity[2]} | more

    return {"kind": kind, "gold": side(gold), "predicted": side(predicted, score=0.875)}


def document(name: str, text: str, *pairs: dict[str, Any], source: str | None = "wire") -> dict[str, Any]:
    return {"id": name, "source": source, "published": "2016-02-15", "text": text, "pairs": list(pairs)}


# One of each kind. "both" and "boundary" overlap their gold entity in a part.
RAID = "قصفت قوات النظام بلدة سرمين مساء أمس فقتل 3 مدنيين قرب السوق"
RAID_PAIRS = [
    pair("correct", (5, 16, "ACTOR"), (5, 16, "ACTOR")),
    pair("boundary", (17, 27, "LOCATION"), (22, 27, "LOCATION")),
    pair("type", (28, 36, "DATE"), (28, 36, "LOCATION")),
    pair("missed", (42, 43, "CASUALTY"), None),
    pair("spurious", None, (55, 60, "LOCATION")),
]
CALM = "وصلت قافلة الهلال الأحمر إلى حلب 🚑 يوم الأحد"
CALM_PAIRS = [
    pair("correct", (11, 24, "ACTOR"), (11, 24, "ACTOR")),
    pair("correct", (29, 32, "LOCATION"), (29, 32, "LOCATION")),
    pair("both", (35, 44, "DATE"), (39, 44, "ACTOR")),
]


def build_record(*documents: dict[str, Any], labels: list[str] = LABELS, **changes: Any) -> dict[str, Any]:
    """A record as an evaluation writes it; its scores are made up, its kinds of error are those of the documents."""
    errors = {
        label: dict.fromkeys(("correct", "missed", "spurious", "boundary", "type", "both"), 0) for label in labels
    }
    for one in documents:
        for judged in one["pairs"]:
            errors[(judged["gold"] or judged["predicted"])["label"]][judged["kind"]] += 1
    scores = {label: counts(60 + index, 80, 75) for index, label in enumerate(labels)}
    semeval = {
        "correct": 60,
        "incorrect": 9,
        "partial": 3,
        "missing": 4,
        "spurious": 5,
        "precision": 0.6,
        "recall": 0.7,
        "f1": 0.65,
    }
    bins = [
        {"low": i / 10, "high": i / 10 + 0.1, "count": i * 3, "confidence": i / 10 + 0.05, "precision": i / 10}
        for i in range(10)
    ]
    record = {
        "marsad": "0.1.0",
        "system": {"kind": "model", "path": "models/new", "fingerprint": "ab" * 32},
        "baseline": None,
        "data": {"files": ["data/test.jsonl"], "sha256": "cd" * 32, "reports": 1, "words": 12000, "entities": 300},
        "labels": labels,
        "strict": {
            "overall": counts(246, 320, 300),
            "macro": {"precision": 0.76, "recall": 0.81, "f1": 0.7871},
            "by_type": scores,
        },
        "semeval": {
            scheme: {"overall": semeval, "by_type": dict.fromkeys(labels, semeval)}
            for scheme in ("strict", "exact", "partial", "type")
        },
        "tokens": {
            "unit": "word",
            "labels": [*labels, "O"],
            "confusion": [
                [7 * (i == j) + (i + 2 * j) % 3 for j in range(len(labels) + 1)] for i in range(len(labels) + 1)
            ],
        },
        "errors": {"by_type": errors},
        "intervals": {
            "level": 0.95,
            "resamples": 1000,
            "seed": 13,
            "unit": "report",
            "strict": {
                "overall": {key: [0.75, 0.82] for key in ("precision", "recall", "f1")},
                "macro": {"f1": [0.74, 0.83]},
                "by_type": {label: {key: [0.7, 0.85] for key in ("precision", "recall", "f1")} for label in labels},
            },
        },
        "slices": [
            {
                "group": "register",
                "name": name,
                "what": f"reports whose source is {name}",
                "reports": 10,
                "scores": counts(correct, 40, 40),
                "f1_interval": [0.4, 0.9],
                "by_type": {label: counts(5, 10, 10) for label in labels},
            }
            for name, correct in (("wire", 30), ("منصة محلية", 18))
        ],
        "slices_left_out": [{"group": "seen in training", "why": "the model does not say what it was trained on"}],
        "calibration": {
            "entities": 135,
            "ece": 0.0512,
            "bins": bins,
            "by_type": {label: {"entities": 135, "ece": 0.05, "bins": bins} for label in labels},
            "temperature": 1.25,
            "thresholds": {labels[0]: 0.4},
        },
        "comparison": None,
        "gate": None,
        "alignment": {"widened": [], "dropped": [], "predicted_widened": [], "predicted_dropped": []},
        "history": [
            {"epoch": epoch, "f1": 0.5 + epoch / 10, "loss": 1 / epoch, "dev_loss": 2 / epoch}
            | {f"f1_{label}": 0.4 + epoch / 10 for label in labels}
            for epoch in (1.0, 2.0, 3.0)
        ],
        "documents": list(documents),
    }
    return record | changes


def flip(name: str, change: str, start: int, end: int, label: str, text: str) -> dict[str, Any]:
    entity = {"start": start, "end": end, "label": label, "text": text}
    return {"id": name, "change": change, "entity": entity, "baseline": "missed", "system": "correct"}


def compared(record: dict[str, Any], fixed: list[dict[str, Any]], broken: list[dict[str, Any]]) -> dict[str, Any]:
    numbers = {
        "baseline": 0.7,
        "system": 0.72,
        "difference": 0.02,
        "interval": [-0.01, 0.05],
        "probability_better": 0.93,
        "p_value": 0.12,
    }
    metrics = [{"name": name} | numbers for name in ("f1", "macro_f1", f"f1 {record['labels'][0]}")]
    return record | {
        "baseline": {"kind": "predictions", "path": "old.jsonl", "sha256": "ef" * 32},
        "comparison": {
            "resamples": 1000,
            "permutations": 10000,
            "seed": 13,
            "metrics": metrics,
            "fixed": fixed,
            "broken": broken,
        },
        "gate": {
            "file": "gate.yaml",
            "passed": False,
            "checks": [
                {
                    "rule": "minimum.f1",
                    "required": 0.75,
                    "value": 0.7935,
                    "passed": True,
                    "message": "0.7935 is enough",
                },
                {
                    "rule": "minimum.types.DATE",
                    "required": 0.9,
                    "value": 0.8,
                    "passed": False,
                    "message": "minimum.types.DATE: below 0.9",
                },
            ],
        },
    }


@pytest.fixture
def record() -> dict[str, Any]:
    return build_record(document("r-raid", RAID, *RAID_PAIRS), document("r-calm", CALM, *CALM_PAIRS, source="منصة"))


@pytest.fixture
def full(record: dict[str, Any]) -> dict[str, Any]:
    return compared(
        record,
        [flip("r-raid", "found", 5, 16, "ACTOR", RAID[5:16])],
        [flip("r-calm", "lost", 35, 44, "DATE", CALM[35:44])],
    )


# ---- Markdown


def cells(markdown: str) -> list[list[str]]:
    """The rows of all tables as a Markdown reader sees them, as text."""
    rows: list[list[str]] = []
    tokens = MarkdownIt("commonmark").enable("table").parse(markdown)
    for token, after in itertools.pairwise(tokens):
        if token.type == "tr_open":
            rows.append([])
        elif token.type in ("td_open", "th_open"):
            parts = after.children or []
            assert {part.type for part in parts} <= {"text", "text_special", "html_inline"}
            assert {part.content for part in parts if part.type == "html_inline"} <= {"<code>", "</code>"}
            rows[-1].append("".join(part.content for part in parts if part.type != "html_inline"))
    return rows


def test_markdown_shows_scores_comparison_gate_and_errors(full: dict[str, Any]):
    markdown = render_markdown(full)
    rows = cells(markdown)
    assert ["all (micro)", "0.7688", "0.8200", "0.7935", "[0.750, 0.820]", "300"] in rows
    assert ["F1", "0.7000", "0.7200", "+0.0200", "[−0.010, +0.050]", "93.0%", "0.1200"] in rows
    assert ["all", "3", "1", "1", "1", "1", "1"] in rows
    assert ["register", "منصة محلية", "0.4500", "[0.400, 0.900]", "40", "10"] in rows
    assert ["r-calm", "lost", "DATE", CALM[35:44]] in rows
    assert "Gate gate.yaml: FAILED" in markdown
    assert "❌ minimum.types.DATE: below 0.9" in markdown
    assert "expected calibration error 0.0512 over 135 entities; temperature 1.25; thresholds ACTOR 0.4." in markdown


def test_the_slice_with_the_lowest_score_comes_first(record: dict[str, Any]):
    names = [row[1] for row in cells(render_markdown(record)) if row[0] == "register"]
    assert names == ["منصة محلية", "wire"]


def test_markdown_leaves_out_what_was_not_measured(record: dict[str, Any]):
    for key in ("baseline", "comparison", "gate", "calibration"):
        record[key] = None
    record["history"] = []
    markdown = render_markdown(record)
    assert not re.search("baseline|Gate|Reliability|fixed|None|nan", markdown)
    for key in ("baseline", "comparison", "gate", "calibration", "history"):
        del record[key]
    assert render_markdown(record) == markdown


def test_entities_that_did_not_fit_are_counted_and_named(record: dict[str, Any]):
    issue = {"id": "r-raid", "start": 3, "end": 7, "label": "ACTOR", "problem": "was widened to whole words"}
    record["alignment"]["widened"] = [issue] * 7
    assert "7 gold entities began or ended inside a word" in render_markdown(record)
    assert "r-raid [3, 7) ACTOR" in render_markdown(record)


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(exclude_categories=()), min_size=1) | st.text("|`<>[]()*_\\&#@!~$\n a", min_size=1))
def test_any_text_stays_one_cell_of_markdown(text: str):
    record = compared(build_record(), [], [flip(text, text, 0, 1, "ACTOR", text)])
    markdown = render_markdown(record)
    markdown.encode("utf-8")

    def shown(cell: str) -> str:  # line ends and control characters have no place in a table
        return re.sub("[\\s\ufffd\x00-\x1f\x7f-\x9f\ud800-\udfff]+", " ", cell).strip()

    broken = cells(markdown)[-1]
    assert len(broken) == 4
    assert [shown(cell) for cell in (broken[0], broken[1], broken[3])] == [shown(text)] * 3


# ---- the page, as written


class _Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.scripts = 0
        self.addresses: list[str] = []
        self.handlers: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        for name, value in attrs:
            if name in ("src", "href", "srcset", "action", "data"):
                self.addresses.append(value or "")
            if name.startswith("on") or name == "style":
                self.handlers.append(name)


def hostile_record() -> dict[str, Any]:
    """The same hostile text wherever a text can stand."""
    label = HOSTILE.replace(" ", "")
    record = build_record(
        document(HOSTILE, HOSTILE, pair("spurious", None, (0, 9, label)), source=HOSTILE), labels=[label, "DATE"]
    )
    record = compared(record, [flip(HOSTILE, HOSTILE, 0, 9, label, HOSTILE)], [])
    record["system"]["path"] = record["baseline"]["path"] = record["gate"]["file"] = f"{HOSTILE}\ud800\0"
    record["data"]["files"] = [HOSTILE]
    for one in record["slices"]:
        one |= {"group": HOSTILE, "name": HOSTILE, "what": HOSTILE}
    record["slices_left_out"] = [{"group": HOSTILE, "why": HOSTILE}]
    record["gate"]["checks"][0] |= {"rule": HOSTILE, "message": HOSTILE}
    issue = {"id": HOSTILE, "start": 0, "end": 1, "label": label, "problem": HOSTILE}
    record["alignment"] = {key: [issue] for key in record["alignment"]}
    return record


def test_nothing_of_a_text_becomes_markup():
    html = render_html(hostile_record())
    html.encode("utf-8")
    tags = _Tags(html)
    assert tags.scripts == 2  # the data and the page's own
    assert all(address.startswith("#") for address in tags.addresses)
    assert tags.handlers == []


def test_a_page_without_optional_parts(record: dict[str, Any]):
    everything = render_html(record)
    for key in ("baseline", "comparison", "gate", "calibration", "history"):
        del record[key]
    record["slices"] = []
    html = render_html(record)
    assert len(html) < len(everything)
    for section in ("gate", "comparison", "reliability", "training"):
        assert f'id="{section}"' not in html and f'href="#{section}"' not in html
    assert 'id="scores"' in html


def test_nothing_gold_and_nothing_predicted(open_page: Callable[..., Any]):
    record = compared(build_record(document("r", "لا شيء هنا")), [], [])
    none = counts(0, 0, 0)
    record["strict"] = {
        "overall": none,
        "macro": {"precision": 0.0, "recall": 0.0, "f1": 0.0},
        "by_type": dict.fromkeys(LABELS, none),
    }
    record["intervals"]["strict"] = {
        "overall": dict.fromkeys(("precision", "recall", "f1")),
        "macro": {"f1": [0.0, 0.0]},
        "by_type": {label: dict.fromkeys(("precision", "recall", "f1")) for label in LABELS},
    }
    record["tokens"]["confusion"] = [[0] * 5] * 5
    record["slices"][0] |= {"scores": none, "f1_interval": None, "by_type": {}}
    empty = [{"low": 0.0, "high": 1.0, "count": 0, "confidence": None, "precision": None}]
    record["calibration"] = {"entities": 0, "ece": 0.0, "bins": empty}
    record["history"] = [{"epoch": 1.0, "f1": 0.0}]
    for metric in record["comparison"]["metrics"]:
        metric |= {"difference": 0.0, "interval": [0.0, 0.0]}
    assert "0.0000" in render_markdown(record)
    opened = open_page(render_html(record))
    assert ids(opened.page) == ["r"] and opened.complaints == []


def test_rendering_leaves_the_record_as_it_is(full: dict[str, Any]):
    before = copy.deepcopy(full)
    render_html(full)
    render_markdown(full)
    assert full == before


def test_short_names_tell_types_apart():
    assert short_codes(LABELS) == ["ACT", "LOC", "DAT", "CAS"]
    assert short_codes(["CASUALTY", "CASE", "CAUSE"]) == ["CASU", "CASE", "CAUS"]
    assert short_codes(["A", "AB"]) == ["A", "AB"]


# ---- the page, in a browser


def ids(page: Any) -> list[str]:
    return page.eval_on_selector_all("article", "all => all.map(one => one.dataset.id)")


def test_gold_and_predicted_stand_on_their_words(record: dict[str, Any], open_page: Callable[..., Any]):
    opened = open_page(render_html(record))
    page = opened.page
    assert ids(page) == ["r-raid", "r-calm"]
    for one in record["documents"]:
        article = page.locator(f'article[data-id="{one["id"]}"]')
        assert article.locator(".text").text_content() == one["text"]
        for number, judged in enumerate(one["pairs"]):
            for side in ("gold", "predicted"):
                shown = "".join(article.locator(f'[data-{side}="{number}"]').all_text_contents())
                entity = judged[side]
                assert shown == (one["text"][entity["start"] : entity["end"]] if entity else "")
    rows = page.locator('article[data-id="r-raid"] tbody tr').all_inner_texts()
    assert [row.split()[0] for row in rows] == ["boundary", "type", "missed", "spurious"]
    assert "[22, 27)" in rows[0] and "LOCATION" in rows[1] and "0.875" in rows[3]
    assert opened.requests == [] and opened.complaints == []


UNUSUAL = [
    "😀 قصف 👩🏽‍🚒 حلب 😀😀",
    "\ud83d\ude00 حلب \ud800 ثم \udc00\ud83d \ude00",  # lone surrogates, some of which JavaScript takes for a pair
    "حلب\0\x1b \u202eحمص\u202c \u200fدرعا\u2028 \ufeffإدلب\r\nالرقة\tهنا",
    "ﻗﺼﻒ حـــلب وَحِمْصَ <b>&amp;",
]


def test_offsets_are_code_points_whatever_the_text_holds(open_page: Callable[..., Any]):
    documents = []
    for number, text in enumerate(UNUSUAL):
        pairs = [pair("missed", (at, at + 1, "DATE"), None) for at in range(0, len(text) - 1, 2)]
        pairs += [pair("spurious", None, (at, min(at + 3, len(text)), "ACTOR")) for at in range(1, len(text) - 1, 3)]
        documents.append(document(f"r{number}", text, *pairs))
    opened = open_page(render_html(build_record(*documents)))
    for one in documents:
        for number, judged in enumerate(one["pairs"]):
            side = "gold" if judged["gold"] else "predicted"
            units = opened.page.evaluate(
                """selector => [...document.querySelectorAll(selector)].map(one => one.textContent).join("")
                     .split("").map(unit => unit.charCodeAt(0))""",
                f'article[data-id="{one["id"]}"] [data-{side}="{number}"]',
            )
            wanted = one["text"][judged[side]["start"] : judged[side]["end"]].encode("utf-16-le", "surrogatepass")
            assert b"".join(unit.to_bytes(2, "little") for unit in units) == wanted
    names = opened.page.eval_on_selector_all(".control", "all => all.map(one => one.dataset.name)")
    assert {"NUL", "RLO", "RLM", "LS", "BOM", "CR", "U+D800"} <= set(names)


def test_arabic_runs_from_right_to_left(record: dict[str, Any], open_page: Callable[..., Any]):
    page = open_page(render_html(record)).page
    boxes = page.evaluate(
        """() => {
             const text = document.querySelector('article[data-id="r-raid"] .text');
             const box = (word) => {
               const walker = document.createTreeWalker(text, NodeFilter.SHOW_TEXT);
               while (walker.nextNode()) {
                 const at = walker.currentNode.data.indexOf(word);
                 if (at < 0) continue;
                 const range = document.createRange();
                 range.setStart(walker.currentNode, at);
                 range.setEnd(walker.currentNode, at + word.length);
                 return range.getBoundingClientRect().toJSON();
               }
             };
             return { all: text.getBoundingClientRect().toJSON(), first: box("قصفت"), last: box("السوق") };
           }"""
    )
    assert boxes["first"]["top"] == pytest.approx(boxes["last"]["top"], abs=8)  # one line
    assert boxes["first"]["left"] > boxes["last"]["right"]
    assert boxes["all"]["right"] - boxes["first"]["right"] < 5
    assert page.evaluate("getComputedStyle(document.body).direction") == "ltr"
    # Gold and predicted of one report side by side: the same text, gold on the right.
    page.select_option("select[name=view]", "sides")
    gold, predicted = (page.locator(f'article[data-id="r-raid"] .text >> nth={at}') for at in (0, 1))
    assert gold.text_content() == predicted.text_content() == RAID
    assert gold.bounding_box()["x"] > predicted.bounding_box()["x"] + predicted.bounding_box()["width"]


def test_filters_by_type_outcome_flip_and_text(full: dict[str, Any], open_page: Callable[..., Any]):
    full["documents"].append(
        document("r-quiet", "الطقس غائم في حلب", pair("correct", (14, 17, "LOCATION"), (14, 17, "LOCATION")))
    )
    full["documents"].append(document("r-none", "الطرق مفتوحة"))
    page = open_page(render_html(full)).page
    everything = ["r-raid", "r-calm", "r-quiet", "r-none"]
    assert ids(page) == everything

    def chip(name: str, value: int) -> Any:
        return page.locator(f"input[name={name}][value='{value}']")

    chip("kind", 1).check()  # missed
    assert ids(page) == ["r-raid"]
    assert page.locator("article tbody tr").count() == 1
    chip("kind", 5).check()  # or both
    assert ids(page) == ["r-raid", "r-calm"]
    chip("type", 2).check()  # of dates
    assert ids(page) == ["r-calm"]
    assert page.locator("input[name=kind][value='5'] + span small").text_content() == "1"
    page.click("button[type=reset]")
    expect(page.locator("article")).to_have_count(4)
    page.check("input[name=errors]")
    assert ids(page) == ["r-raid", "r-calm"]
    page.uncheck("input[name=errors]")
    chip("flip", 1).check()  # fixed
    assert ids(page) == ["r-raid"]
    assert "fixed against the baseline" in page.inner_text("article")
    page.click("button[type=reset]")
    expect(page.locator("article")).to_have_count(4)
    page.fill("input[type=search]", "حَلَب")
    assert ids(page) == ["r-calm", "r-quiet"]
    page.fill("input[type=search]", "id:r-none")
    assert ids(page) == ["r-none"]
    page.fill("input[type=search]", "لا شيء من هذا")
    assert ids(page) == [] and page.inner_text("#status") == "None of the 4 reports matches."
    page.fill("input[type=search]", "")
    page.select_option("select[name=sort]", "file")
    assert ids(page) == [one["id"] for one in full["documents"]] == everything


def test_the_tables_point_into_the_list(full: dict[str, Any], open_page: Callable[..., Any]):
    page = open_page(render_html(full)).page
    page.click("#errors a[href*='kind=both']")
    expect(page.locator("article")).to_have_count(1)
    assert ids(page) == ["r-calm"]
    page.click("#comparison summary")
    page.click("#comparison a")
    expect(page.locator("article")).to_have_attribute("data-id", "r-raid")
    # A view that was found once is found again by its address.
    page.check("input[name=errors]")
    again = page.context.new_page()
    again.goto(page.url)
    assert ids(again) == ["r-raid"] and again.is_checked("input[name=errors]")


def test_hostile_text_is_text(open_page: Callable[..., Any]):
    opened = open_page(render_html(hostile_record()))
    page = opened.page
    page.select_option("select[name=view]", "sides")
    page.select_option("select[name=view]", "tracks")
    assert page.evaluate("window.ran") is None
    assert page.text_content("article .text") == HOSTILE
    assert page.text_content("article h3") == HOSTILE
    assert HOSTILE in page.text_content("h1")
    assert page.locator("img").count() == 0
    page.fill("input[type=search]", HOSTILE)
    assert len(ids(page)) == 1
    assert page.evaluate("window.ran") is None
    assert opened.requests == [] and opened.complaints == []


def test_a_thousand_reports_are_drawn_a_page_at_a_time(open_page: Callable[..., Any]):
    documents = [document(f"r{number:04d}", f"{RAID}\n{CALM}", *RAID_PAIRS) for number in range(1000)]
    opened = open_page(render_html(build_record(*documents)))
    page = opened.page
    assert len(ids(page)) == 20
    assert page.evaluate("document.querySelectorAll('#list *').length") < 2000
    assert "Reports 1–20 of 1,000" in page.inner_text("#status")
    page.click(".bar button[data-step='1']")
    assert ids(page)[0] == "r0020"
    focused = "document.activeElement.dataset.id"
    page.evaluate("document.activeElement.blur()")
    for _ in range(21):
        page.keyboard.press("j")
    assert page.evaluate(focused) == "r0040"
    page.keyboard.press("k")
    assert page.evaluate(focused) == "r0039"
    page.keyboard.press("/")
    page.keyboard.type("r0999")
    assert ids(page) == ["r0999"]
    assert page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd") > 0


def test_printed_is_all_that_the_filters_leave(record: dict[str, Any], open_page: Callable[..., Any]):
    documents = [document(f"r{number}", RAID, *(RAID_PAIRS if number % 2 else [])) for number in range(70)]
    page = open_page(render_html(build_record(*documents))).page
    page.check("input[name=errors]")
    page.evaluate(
        "addEventListener('beforeprint', () => { window.printed = document.querySelectorAll('article').length; })"
    )
    assert page.pdf().startswith(b"%PDF")
    assert page.evaluate("window.printed") == 35
    assert len(ids(page)) == 20


def test_without_scripts_the_figures_are_there(full: dict[str, Any], open_page: Callable[..., Any]):
    page = open_page(render_html(full), java_script_enabled=False).page
    text = page.locator("main").inner_text()
    assert "0.7935" in text and "scripts are switched off" in text
    assert page.locator("#browser").is_hidden()
    assert page.locator("#scores svg circle").count() == len(LABELS) + 2
    assert page.locator("#reliability svg polyline").count() == len(LABELS) + 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_runs_out_of_the_window(scheme: str, width: int, full: dict[str, Any], open_page: Callable[..., Any]):
    opened = open_page(render_html(full), color_scheme=scheme, viewport={"width": width, "height": 800})
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
    dark = opened.page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark == (scheme == "dark")
