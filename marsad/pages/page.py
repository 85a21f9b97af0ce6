"""``render_page``: a template of ``marsad/pages/templates`` filled in.

A page's template extends ``base.html.j2`` and names the style sheets and scripts that it needs, files of the same
folder that are taken as they are: nothing is ever written into them. The base names their hashes in a
Content-Security-Policy that forbids everything else: other scripts, event handlers in attributes, ``innerHTML``,
images, requests. So text that slipped through the escaping would still do nothing.

Values for a page's script go through JSON in a data block (``data``), from which the script builds DOM by
``textContent`` alone.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import regex
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

_TEMPLATES = Path(__file__).parent / "templates"

# HTML has no form for these: its parser would drop or replace them, each browser in its own way.
_UNSHOWABLE = regex.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
# What could end a data block or a line of script; lone surrogates, since a file in UTF-8 can't hold them.
_UNSAFE_IN_JSON = regex.compile(r"[<>&\u2028\u2029\ud800-\udfff]")


def render_page(template: str, **values: Any) -> str:
    """The page of a template as text that UTF-8 can hold, with all ``values`` escaped.

    Raises ``jinja2.UndefinedError`` for a value that the template asks for and is not given, and ValueError for
    a number that JSON does not know (NaN) in ``data``.
    """
    return _environment().get_template(template).render(**values)


def to_embedded_json(value: Any) -> Markup:
    """JSON that may stand in a ``<script type="application/json">`` whatever its strings hold.

    ``JSON.parse`` gives every string back exactly, lone surrogates and NUL too. Raises ValueError for NaN.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Markup(_UNSAFE_IN_JSON.sub(lambda match: f"\\u{ord(match.group()):04x}", text))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_show,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"source": _source, "policy": _policy}
    environment.filters["embedded_json"] = to_embedded_json
    return environment


def _show(value: Any) -> Any:
    """Control characters and lone surrogates of a string as the replacement character; the rest as it is."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return _UNSHOWABLE.sub("\ufffd", value)
    return value


@cache
def _source(name: str) -> Markup:
    """A style sheet or script of the templates' folder, as it is."""
    return Markup((_TEMPLATES / name).read_text(encoding="utf-8"))


def _policy(styles: Sequence[str], scripts: Sequence[str]) -> str:
    """The Content-Security-Policy of a page with these style sheets and scripts, and with nothing else."""
    directives = {
        "default-src": ["'none'"],
        "style-src": [_hash(name) for name in styles] or ["'none'"],
        "script-src": [_hash(name) for name in scripts] or ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
        "require-trusted-types-for": ["'script'"],
        "trusted-types": ["'none'"],
    }
    return "; ".join(" ".join([name, *sources]) for name, sources in directives.items())


def _hash(name: str) -> str:
    digest = hashlib.sha256(_source(name).encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
