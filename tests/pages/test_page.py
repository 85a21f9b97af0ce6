"""Pages hold any text as text, and nothing but their own script runs."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import DictLoader

from marsad.pages import page
from marsad.pages.page import render_page, to_embedded_json

ANY_TEXT = st.text(st.characters(exclude_categories=()))  # lone surrogates too
HOSTILE = "</script><script>window.ran=1</script><img src=x onerror='window.ran=1'>\"'&<!--"


@pytest.fixture
def templates(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts further templates beside the package's own."""

    def add(**sources: str) -> None:
        environment = page._environment()
        own = environment.loader
        monkeypatch.setattr(environment, "loader", jinja2.ChoiceLoader([DictLoader(sources), own]))

    return add


@given(ANY_TEXT)
def test_embedded_json_gives_the_text_back_and_holds_no_markup(text: str):
    embedded = to_embedded_json({"text": text})
    embedded.encode("utf-8")
    assert not set("<>&\u2028\u2029") & set(embedded)
    assert json.loads(embedded)["text"] == text or re.search("[\ud800-\udbff][\udc00-\udfff]", text)


def test_numbers_that_json_does_not_know_are_an_error():
    with pytest.raises(ValueError):
        to_embedded_json({"f1": float("nan")})


def test_a_value_that_is_not_given_is_an_error(templates: Callable[..., None]):
    templates(
        page='{% extends "base.html.j2" %}{% block title %}{{ name }}{% endblock %}{% block body %}{% endblock %}'
    )
    with pytest.raises(jinja2.UndefinedError, match="name"):
        render_page("page")


def test_values_are_escaped_and_what_html_cannot_hold_is_shown_as_such(templates: Callable[..., None]):
    templates(
        page='{% extends "base.html.j2" %}{% block title %}{{ name }}{% endblock %}'
        '{% block body %}<p id="one" title="{{ name }}">{{ name }}</p>{% endblock %}'
    )
    html = render_page("page", name=f"{HOSTILE}\0\ud800")
    html.encode("utf-8")
    assert "<script>" not in html and "<img" not in html
    assert html.count("\ufffd\ufffd") == 3


def test_styles_and_scripts_are_package_data():
    # Read by their place beside the module: an installed package must hold them.
    listed = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    assert '"marsad.pages" = ["templates/*"]' in listed


def test_nothing_but_the_pages_own_script_runs(templates: Callable[..., None], open_page: Callable[..., Any]):
    """Even where a template forgot to escape."""
    templates(
        hostile='{% extends "base.html.j2" %}{% block title %}t{% endblock %}{% block body %}'
        '<p>{{ name }}</p><a id="link" href="javascript:window.ran=1">x</a>{{ name | replace("<!--", "") | safe }}'
        "{% endblock %}"
    )
    html = render_page("hostile", name=HOSTILE, data={"text": HOSTILE})
    opened = open_page(html)
    opened.page.click("#link")
    assert opened.page.evaluate("window.ran") is None
    assert opened.page.text_content("p") == HOSTILE
    assert opened.page.evaluate("JSON.parse(document.getElementById('data').textContent).text") == HOSTILE
    assert "TrustedHTML" in opened.page.evaluate(
        "(() => { try { document.body.innerHTML = '<b>'; } catch (error) { return String(error); } })()"
    )
    assert opened.requests == opened.blocked != []
