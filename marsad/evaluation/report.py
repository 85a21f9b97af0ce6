"""``report.md`` and ``report.html`` from an evaluation's record, and from nothing else.

So a ``report.json`` that lies on disk can be rendered again. Keys that a record may leave out or null: ``baseline``,
``comparison``, ``gate``, ``calibration``, ``history``, ``facts``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any
from urllib.parse import urlencode

import regex

from marsad.pages.charts import Scale, build_scale
from marsad.pages.page import render_page

KINDS = ("correct", "missed", "spurious", "boundary", "type", "both")
WHAT_KINDS_ARE = {
    "correct": "span and type as in gold",
    "missed": "gold, and nothing predicted on it",
    "spurious": "predicted, and nothing gold on it",
    "boundary": "right type, other span",
    "type": "right span, other type",
    "both": "other span and other type",
}
WHAT_SCHEMES_ARE = {
    "strict": "span and type",
    "exact": "span alone",
    "partial": "span, an overlap counts half",
    "type": "type of any overlap",
}
_SHOWN_FLIPS = 100
_SHOWN_ISSUES = 50
_WORST_SLICES = 8
_FEW_REPORTS = 5  # intervals from fewer do not set the axis of the slices: one of them would squeeze all others
_LEAST_SUPPORT = 20  # with fewer gold entities, the lowest F1 of many slices is one of bad luck

_WIDE = regex.compile(r"[\U00010000-\U0010ffff]")

_Record = Mapping[str, Any]


# ---- Markdown


def render_markdown(record: _Record) -> str:
    """The evaluation in short, for a pull request (GitHub-flavoured Markdown)."""
    blocks = [_heading(record), _gate_lines(record), _score_table(record), _comparison_block(record)]
    blocks += [_error_table(record), _worst_slices(record), _semeval_table(record), _reliability_line(record)]
    blocks += [_fact_table(record), _flip_lists(record), _alignment_lines(record)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _heading(record: _Record) -> str:
    data, system = record["data"], record["system"]
    lines = [
        f"## {_markdown(system['path'])} on {', '.join(_markdown(file) for file in data['files'])}",
        "",
        f"{data['reports']:,} reports, {data['words']:,} words, {data['entities']:,} entities; {_identity(system)}.",
    ]
    if record.get("baseline"):
        lines.append(f"Baseline: {_markdown(record['baseline']['path'])}, {_identity(record['baseline'])}.")
    return "\n".join(lines)


def _identity(system: _Record) -> str:
    key = "fingerprint" if system["kind"] == "model" else "sha256"
    return f"{_markdown(system['kind'])} {_markdown(str(system[key])[:12])}"


def _gate_lines(record: _Record) -> str:
    gate = record.get("gate")
    if not gate:
        return ""
    lines = [f"**Gate {_markdown(gate['file'])}: {'passed' if gate['passed'] else 'FAILED'}**", ""]
    lines += [
        f"- {'✅' if check['passed'] else '❌'} {_markdown(check['rule'])}: {_markdown(_without_rule(check))}"
        for check in gate["checks"]
    ]
    return "\n".join(lines)


def _score_table(record: _Record) -> str:
    level = record["intervals"]["level"]
    rows = [
        [
            row["name"],
            _ratio(row["counts"]["precision"]),
            _ratio(row["counts"]["recall"]),
            _ratio(row["counts"]["f1"]),
            _interval(row["interval"]),
            _count(row["counts"].get("support")),
        ]
        for row in _score_rows(record)
    ]
    intervals = record["intervals"]
    note = (
        f"Strict: span and type both right. Intervals: {intervals['resamples']:,} resamples of {intervals['unit']}s, "
        f"seed {intervals['seed']}."
    )
    return _table(["", "precision", "recall", "F1", f"{level:.0%} interval", "support"], rows) + f"\n\n{note}"


def _comparison_block(record: _Record) -> str:
    comparison = record.get("comparison")
    if not comparison:
        return ""
    rows = [
        [
            _metric_name(metric["name"]),
            _ratio(metric["baseline"]),
            _ratio(metric["system"]),
            _signed(metric["difference"]),
            _signed_interval(metric["interval"]),
            f"{metric['probability_better']:.1%}",
            _p_value(metric["p_value"]),
        ]
        for metric in comparison["metrics"]
    ]
    level = record["intervals"]["level"]
    head = ["", "baseline", "this", "difference", f"{level:.0%} interval", "P(better)", "p"]
    note = (
        f"Paired bootstrap ({comparison['resamples']:,} resamples) and approximate randomisation "
        f"({comparison['permutations']:,} permutations), seed {comparison['seed']}. "
        f"{len(comparison['fixed']):,} entities fixed, {len(comparison['broken']):,} broken."
    )
    return f"### Against the baseline\n\n{_table(head, rows)}\n\n{note}"


def _error_table(record: _Record) -> str:
    rows = [
        [name, *(_count(counts.get(kind)) for kind in KINDS)]
        for name, counts in [*record["errors"]["by_type"].items(), ("all", _error_totals(record))]
    ]
    return f"### Kinds of error\n\n{_table(['', *KINDS], rows)}"


def _worst_slices(record: _Record) -> str:
    slices = [one for one in record["slices"] if one["scores"]["support"] >= _LEAST_SUPPORT]
    worst = sorted(slices, key=lambda one: one["scores"]["f1"])[:_WORST_SLICES]
    left_out = [f"No slice {_markdown(one['group'])}: {_markdown(one['why'])}." for one in record["slices_left_out"]]
    if not worst:
        return "\n".join(left_out)
    rows = [
        [
            one["group"],
            one["name"],
            _ratio(one["scores"]["f1"]),
            _interval(one["f1_interval"]),
            _count(one["scores"]["support"]),
            _count(one["reports"]),
        ]
        for one in worst
    ]
    head = ["slice", "", "F1", f"{record['intervals']['level']:.0%} interval", "support", "reports"]
    title = (
        f"### The {len(worst)} slices with the lowest F1, of {len(slices)} with {_LEAST_SUPPORT} gold entities or more"
    )
    return "\n\n".join([title, _table(head, rows), *left_out])


def _semeval_table(record: _Record) -> str:
    rows = []
    for scheme, scores in record["semeval"].items():
        counts = scores["overall"]
        rows.append(
            [
                f"{scheme} ({WHAT_SCHEMES_ARE[scheme]})",
                *(_ratio(counts[key]) for key in ("precision", "recall", "f1")),
                *(_count(counts[key]) for key in ("correct", "incorrect", "partial", "missing", "spurious")),
            ]
        )
    head = ["", "precision", "recall", "F1", "correct", "incorrect", "partial", "missing", "spurious"]
    return f"### SemEval-2013 schemes\n\n{_table(head, rows)}"


def _fact_table(record: _Record) -> str:
    """The values read, where they were scored."""
    facts = record.get("facts")
    if not facts:
        return ""
    lines = [
        "| value | right | of spans found | accuracy | precision | recall | F1 |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for label, parts in facts["by_type"].items():
        for part, counts in parts.items():
            ratios = " | ".join(f"{counts[name]:.4f}" for name in ("accuracy", "precision", "recall", "f1"))
            lines.append(f"| {_markdown(label)} {part} | {counts['right']:,} | {counts['found']:,} | {ratios} |")
    lines += ["", "Accuracy is that of values whose span is right; precision, recall and F1 ask for span and value."]
    return "\n".join(lines)


def _reliability_line(record: _Record) -> str:
    calibration = record.get("calibration")
    if not calibration:
        return ""
    parts = [
        f"Reliability: expected calibration error {calibration['ece']:.4f} over {calibration['entities']:,} entities"
    ]
    if calibration.get("temperature") is not None:
        parts.append(f"temperature {calibration['temperature']:.3g}")
    thresholds = calibration.get("thresholds") or {}
    if thresholds:
        parts.append("thresholds " + ", ".join(f"{_markdown(name)} {value:.3g}" for name, value in thresholds.items()))
    return "; ".join(parts) + "."


def _flip_lists(record: _Record) -> str:
    comparison = record.get("comparison")
    if not comparison:
        return ""
    blocks = []
    for name in ("broken", "fixed"):
        flips = comparison[name]
        if flips:
            rows = [
                [flip["id"], flip["change"], flip["entity"]["label"], _Text(flip["entity"]["text"])]
                for flip in flips[: _SHOWN_FLIPS // 5]
            ]
            blocks.append(
                f"<details><summary>{name}: {len(flips):,} entities"
                f"{f', the first {len(rows)}' if len(rows) < len(flips) else ''}</summary>\n\n"
                f"{_table(['report', 'change', 'type', 'entity'], rows)}\n\n</details>"
            )
    return "\n\n".join(blocks)


def _alignment_lines(record: _Record) -> str:
    lines = []
    for key, what in _ALIGNMENT.items():
        issues = record["alignment"].get(key) or []
        if issues:
            named = ", ".join(
                f"{_markdown(issue['id'])} [{issue['start']}, {issue['end']}) {_markdown(issue['label'])}"
                for issue in issues[:5]
            )
            lines.append(f"- {len(issues):,} {what}: {named}{', …' if len(issues) > 5 else ''}")
    return "\n".join(["### Entities that did not fit the words", "", *lines]) if lines else ""


_ALIGNMENT = {
    "widened": "gold entities began or ended inside a word and were widened to it",
    "dropped": "gold entities could not be put on words and count as missed",
    "predicted_widened": "predicted entities began or ended inside a word and were widened to it",
    "predicted_dropped": "predicted entities could not be put on words and count as spurious",
}


class _Text(str):
    """A string from a report, shown in a table as code."""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; columns of figures are set flush right."""
    lines = [[_markdown(cell) for cell in row] for row in [head, *rows]]
    figures = [all(regex.match(r"(?:<0|[-−+\[0-9–])", row[column]) for row in lines[1:]) for column in range(len(head))]
    rule = ["---:" if figure else "---" for figure in figures]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [lines[0], rule, *lines[1:]])


def _markdown(text: str) -> str:
    """Any string as Markdown that shows it: one line, no markup, no table cell of its own, nothing that runs.

    Character references can't stand for markup, so they escape what a backslash would not in every renderer.
    """
    shown = regex.sub(r"[\p{Cc}\p{Cs}]", "\ufffd", regex.sub(r"\s+", " ", text))
    # An underscore between letters is none of Markdown's business, and names read better with it.
    escaped = regex.sub(r"[\\`*<>|&~$#@!{}\"']|(?<![^\W_])_|_(?![^\W_])|\](?=\()|\[(?=[^−+\d])", _reference, shown)
    return f"<code>{escaped}</code>" if isinstance(text, _Text) else escaped


def _reference(match: regex.Match[str]) -> str:
    return f"&#{ord(match.group())};"


# ---- what both reports show


def _score_rows(record: _Record) -> list[dict[str, Any]]:
    """A row a type, then micro and macro average: name, colour (index of the type), counts, interval of F1."""
    strict, intervals = record["strict"], record["intervals"]["strict"]
    rows = [
        {"name": name, "color": index, "counts": counts, "interval": intervals["by_type"][name]["f1"]}
        for index, (name, counts) in enumerate(strict["by_type"].items())
    ]
    rows.append(
        {"name": "all (micro)", "color": None, "counts": strict["overall"], "interval": intervals["overall"]["f1"]}
    )
    rows.append(
        {
            "name": "mean of types (macro)",
            "color": None,
            "counts": strict["macro"],
            "interval": intervals["macro"]["f1"],
        }
    )
    return rows


def _error_totals(record: _Record) -> dict[str, int]:
    return {kind: sum(counts.get(kind, 0) for counts in record["errors"]["by_type"].values()) for kind in KINDS}


def _without_rule(check: _Record) -> str:
    """A check's message without the rule's name, which stands beside it."""
    message: str = check["message"]
    return message.removeprefix(f"{check['rule']}: ")


def _metric_name(name: str) -> str:
    first, _, label = name.partition(" ")
    shown = {"f1": "F1", "macro_f1": "macro F1"}.get(first, first)
    return f"{shown} {label}".strip()


def _ratio(value: float | None, decimals: int = 4) -> str:
    return "–" if value is None else f"{value:.{decimals}f}".replace("-", "−")


def _signed_interval(interval: Sequence[float] | None) -> str:
    return "–" if interval is None else f"[{_signed(interval[0], 3)}, {_signed(interval[1], 3)}]"


def _interval(interval: Sequence[float] | None) -> str:
    return "–" if interval is None else f"[{interval[0]:.3f}, {interval[1]:.3f}]"


def _signed(value: float, decimals: int = 4) -> str:
    return f"{value:+.{decimals}f}".replace("-", "−")


def _p_value(value: float) -> str:
    return "<0.0001" if value < 0.0001 else f"{value:.4f}"


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


# ---- HTML


def render_html(record: _Record) -> str:
    """The evaluation as one self-contained page: tables and charts, then every report with what was found in it.

    The tables and charts are static; the list of reports is drawn by the page's script, a few at a time.
    """
    record = {
        "baseline": None,
        "comparison": None,
        "gate": None,
        "calibration": None,
        "history": None,
        "facts": None,
        **record,
    }
    labels = list(record["labels"])
    scores = _score_rows(record)
    comparison, calibration = record["comparison"], record["calibration"]
    overall = record["strict"]["overall"]["f1"]
    slice_values = [one["scores"]["f1"] for one in record["slices"]]
    slice_values += _bounds(one["f1_interval"] for one in record["slices"] if one["reports"] >= _FEW_REPORTS)
    return render_page(
        "report.html.j2",
        record=record,
        labels=labels,
        codes=short_codes(labels),
        kinds=KINDS,
        what_kinds_are=WHAT_KINDS_ARE,
        what_schemes_are=WHAT_SCHEMES_ARE,
        alignment=[(what, record["alignment"].get(key) or [], _SHOWN_ISSUES) for key, what in _ALIGNMENT.items()],
        scores=scores,
        score_scale=_ratio_scale([*_bounds(row["interval"] for row in scores), overall], 280),
        slices=_by_group(record["slices"]),
        slice_scale=_ratio_scale([*slice_values, overall], 280),
        difference_scale=build_scale(
            [
                0.0,
                *_bounds(metric["interval"] for metric in comparison["metrics"]),
                *(metric["difference"] for metric in comparison["metrics"]),
            ],
            8,
            272,
        )
        if comparison
        else None,
        totals=_error_totals(record),
        confusion=_confusion(record["tokens"]),
        reliability=[("all types", None, calibration)]
        + [(name, labels.index(name), one) for name, one in (calibration.get("by_type") or {}).items()]
        if calibration
        else [],
        unit_scale=build_scale([0.0, 1.0], 0, 160),
        curve=_learning_curve(record["history"] or [], labels),
        shown_flips=_SHOWN_FLIPS,
        data=_script_data(record, labels),
        **_FORMATS,
    )


_FORMATS: dict[str, Callable[..., Any]] = {
    "ratio": _ratio,
    "interval": _interval,
    "signed_interval": _signed_interval,
    "signed": _signed,
    "p_value": _p_value,
    "count": _count,
    "metric_name": _metric_name,
    "without_rule": _without_rule,
    "list_link": lambda **wanted: "#" + urlencode(wanted, errors="replace"),
    "file_name": lambda path: PurePath(path).name or path,
}


def short_codes(labels: Sequence[str]) -> list[str]:
    """The shortest beginnings of the labels, of three letters and more, that tell them apart."""
    for length in range(3, max(map(len, labels), default=3)):
        codes = [label[:length] for label in labels]
        if len(set(codes)) == len(codes):
            return codes
    return list(labels)


def _bounds(intervals: Iterable[Sequence[float] | None]) -> list[float]:
    return [bound for interval in intervals if interval is not None for bound in interval]


def _ratio_scale(values: Sequence[float], width: int) -> Scale:
    """From a round value below all of them to 1."""
    return build_scale([*values, 1.0], 8, width - 8)


def _by_group(slices: Iterable[_Record]) -> list[tuple[str, list[_Record]]]:
    groups: dict[str, list[_Record]] = {}
    for one in slices:
        groups.setdefault(one["group"], []).append(one)
    return list(groups.items())


def _confusion(tokens: _Record) -> list[tuple[str, list[tuple[int, int]]]]:
    """Rows of the matrix: gold label, and for each predicted one the count and its shade, 0 to 5.

    The shade is the share of the row; what is right is left blank, since it would outshine all errors.
    """
    rows = []
    for index, (label, counts) in enumerate(zip(tokens["labels"], tokens["confusion"], strict=True)):
        wrong = sum(counts) - counts[index]
        shades = [
            0 if column == index or not count else 1 + min(4, int(5 * count / wrong))
            for column, count in enumerate(counts)
        ]
        rows.append((label, list(zip(counts, shades, strict=True))))
    return rows


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of a chart: (epoch, value) points, and the pixel at which its name stands."""

    name: str
    color: int | None
    points: tuple[tuple[float, float], ...]
    label_at: float = 0.0


def _learning_curve(history: Sequence[_Record], labels: Sequence[str]) -> dict[str, Any] | None:
    """Lines of F1 (over all and a type) and of loss (train and dev) over epochs; None without two points."""
    f1 = [_Line("all", None, _points(history, "f1"))]
    f1 += [_Line(label, index, _points(history, f"f1_{label}")) for index, label in enumerate(labels)]
    f1 = [line for line in f1 if line.points]
    loss = [_Line("train", None, _points(history, "loss")), _Line("dev", 5, _points(history, "dev_loss"))]
    loss = [line for line in loss if line.points]
    epochs = [epoch for line in f1 + loss for epoch, _ in line.points]
    if len(set(epochs)) < 2:
        return None
    f1_scale, loss_scale = (
        build_scale([*least, *(value for line in lines for _, value in line.points)], 200, 12)
        for lines, least in ((f1, []), (loss, [0.0]))
    )
    return {
        "across": build_scale([0.0, max(epochs)], 40, 440),
        "f1": _place_names(f1, f1_scale),
        "f1_scale": f1_scale,
        "loss": _place_names(loss, loss_scale),
        "loss_scale": loss_scale,
    }


def _place_names(lines: Iterable[_Line], scale: Scale) -> list[_Line]:
    """Each line's name at its end, far enough below the one above to be read."""
    placed: list[_Line] = []
    for line in sorted(lines, key=lambda line: scale(line.points[-1][1])):
        lowest = placed[-1].label_at + 14 if placed else 0.0
        placed.append(replace(line, label_at=max(scale(line.points[-1][1]), lowest)))
    return placed


def _points(history: Iterable[_Record], key: str) -> tuple[tuple[float, float], ...]:
    known = (row for row in history if row.get("epoch") is not None and row.get(key) is not None)
    return tuple((row["epoch"], row[key]) for row in known)


def _script_data(record: _Record, labels: Sequence[str]) -> dict[str, Any]:
    """What the page's script needs, small: labels and kinds by their index, offsets in code points.

    A pair is ``[kind, gold start, end, label, predicted start, end, label, score]`` with -1 where a side is missing.
    ``wide`` holds the places of the code points that take two units of a JavaScript string.
    """
    index = {label: place for place, label in enumerate(labels)}
    flips: dict[str, list[list[Any]]] = {}
    for fixed, name in enumerate(("broken", "fixed")):
        for flip in (record.get("comparison") or {}).get(name, []):
            entity = flip["entity"]
            span = [entity["start"], entity["end"], index[entity["label"]]]
            flips.setdefault(flip["id"], []).append([fixed, *span, flip["change"]])
    documents = []
    for document in record["documents"]:
        pairs = [
            [
                KINDS.index(pair["kind"]),
                *_side(pair["gold"], index),
                *_side(pair["predicted"], index),
                (pair["predicted"] or {}).get("score"),
            ]
            for pair in document["pairs"]
        ]
        text = document["text"]
        documents.append(
            {
                "id": document["id"],
                "source": document.get("source"),
                "published": document.get("published"),
                "text": text,
                "wide": [match.start() for match in _WIDE.finditer(text)],
                "pairs": pairs,
                "flips": flips.get(document["id"], []),
            }
        )
    return {"labels": list(labels), "codes": short_codes(labels), "kinds": list(KINDS), "documents": documents}


def _side(entity: _Record | None, index: Mapping[str, int]) -> list[int]:
    return [-1, -1, -1] if entity is None else [entity["start"], entity["end"], index[entity["label"]]]
