"""The pages of audit and agreement in a browser: readable, safe, and what was decided comes out of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from marsad.annotations.agreement import Agreement, adjudicate, compare_annotations, read_decisions
from marsad.annotations.audit import audit
from marsad.annotations.pages import agreement_page, audit_page
from marsad.documents import Document, Entity

HOSTILE = "<img src=x onerror='window.ran=1'></script><script>window.ran=1</script>"


def document(name: str, text: str, *spans: tuple[str, str]) -> Document:
    entities = tuple(Entity(text.index(surface), text.index(surface) + len(surface), label) for surface, label in spans)
    return Document(name, text, entities)


TEXTS = {"a": "قصفت قوات النظام سرمين أمس", "b": f"وصل 🚑 إلى إدلب\nثم {HOSTILE} عاد"}
FIRST = [
    document("a", TEXTS["a"], ("قوات النظام", "ACTOR"), ("سرمين", "LOCATION"), ("أمس", "DATE")),
    document("b", TEXTS["b"], ("إدلب", "LOCATION")),
]
SECOND = [
    document("a", TEXTS["a"], ("النظام", "ACTOR"), ("سرمين", "ACTOR"), ("أمس", "DATE")),
    Document("b", TEXTS["b"]),
]


@pytest.fixture
def agreement() -> Agreement:
    return compare_annotations(FIRST, SECOND)


def test_an_audit_page_holds_its_findings_and_runs_nothing_of_the_text(open_page: Callable[..., Any]):
    documents = [
        document("c", f"قصف سرمين، {HOSTILE}", ("سرمين،", "LOCATION")),
        document("d", "بلدة سرمين"),
        *(document(f"e{index}", "عاد أهل سرمين", ("سرمين", "LOCATION")) for index in range(2)),
    ]
    result = audit({"train": documents, "<b>": [Document("f", " ")]}, reference=documents)
    opened = open_page(audit_page(result))
    page = opened.page
    assert page.evaluate("window.ran") is None
    assert opened.requests == [] and opened.complaints == []
    assert page.title() == f"Audit: {len(result.errors)} errors, {len(result.findings) - len(result.errors)} notices"
    assert page.text_content("tr:has-text('punctuation') mark, .findings mark") == "سرمين،"
    assert page.locator("td.arabic").first.evaluate("one => getComputedStyle(one).direction") == "rtl"
    rows = page.locator(".row:visible").count()
    page.fill("#find", "سرمين،")
    assert 0 < page.locator(".row:visible").count() < rows


def test_an_audit_page_of_a_clean_corpus(open_page: Callable[..., Any]):
    opened = open_page(audit_page(audit({"train": [document("a", TEXTS["a"])]})))
    assert "None." in opened.page.text_content("body")
    assert opened.complaints == []


def test_disagreements_stand_side_by_side_and_are_filtered(open_page: Callable[..., Any], agreement: Agreement):
    opened = open_page(agreement_page(agreement, "one.jsonl", f"two{HOSTILE}.jsonl"))
    page = opened.page
    assert page.evaluate("window.ran") is None
    assert opened.requests == [] and opened.complaints == []
    cards = page.locator(".card")
    sides = cards.nth(0).locator(".arabic")
    assert [sides.nth(index).text_content() for index in (0, 1)] == [
        "قصفت قوات النظامACTOR سرمين أمس",
        "قصفت قوات النظامACTOR سرمين أمس",
    ]
    assert [sides.nth(index).locator("mark").text_content() for index in (0, 1)] == ["قوات النظامACTOR", "النظامACTOR"]
    assert page.locator("#progress").text_content() == "0 of 3 decided, 3 shown"
    page.select_option("#kind", "boundary")
    assert [cards.nth(index).is_visible() for index in range(3)] == [True, False, False]
    page.select_option("#kind", "")
    page.select_option("#type", "LOCATION")
    assert [cards.nth(index).is_visible() for index in range(3)] == [False, True, True]


def test_what_is_decided_is_kept_comes_out_and_is_applied(
    open_page: Callable[..., Any], agreement: Agreement, tmp_path: Path
):
    html = agreement_page(agreement, "one.jsonl", "two.jsonl")
    opened = open_page(html)
    page = opened.page
    assert page.locator("#save").is_disabled()
    page.keyboard.press("j")
    page.keyboard.press("2")
    page.keyboard.press("j")
    page.keyboard.press("1")
    page.locator(".card").nth(2).locator("input[value=neither]").check()
    assert page.locator("#progress").text_content() == "3 of 3 decided, 3 shown"
    page.wait_for_timeout(1000)  # Chromium writes what a page stores a moment later
    page.reload()
    assert page.locator("#progress").text_content() == "3 of 3 decided, 3 shown"
    page.select_option("#state", "open")
    assert page.locator(".card:visible").count() == 0
    with page.expect_download() as download:
        page.click("#save")
    path = tmp_path / "decisions.jsonl"
    download.value.save_as(path)
    decisions = read_decisions(path)
    assert list(decisions.values()) == ["second", "first", "neither"]
    one, two = adjudicate(agreement, FIRST, decisions)
    assert one == document("a", TEXTS["a"], ("النظام", "ACTOR"), ("سرمين", "LOCATION"), ("أمس", "DATE"))
    assert two.entities == ()

    # On another machine the file brings them back; decisions on something else are counted.
    other = open_page(html, "other.html")
    path.write_text(path.read_text("utf-8") + json.dumps({"id": "z", "choice": "first"}) + "\n", encoding="utf-8")
    other.page.set_input_files("#file", path)
    other.page.wait_for_function("document.getElementById('progress').textContent.startsWith('3 of 3')")
    assert "1 decisions in decisions.jsonl" in other.page.text_content("#warning")
    assert opened.complaints == other.complaints == []


def test_annotations_that_agree_fully_have_an_empty_page(open_page: Callable[..., Any]):
    opened = open_page(agreement_page(compare_annotations(FIRST, FIRST), "one.jsonl", "two.jsonl"))
    assert "None." in opened.page.text_content("body")
    assert opened.complaints == []
