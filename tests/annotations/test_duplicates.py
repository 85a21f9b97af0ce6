"""Every pair of reports alike is found, and only those."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from marsad.annotations.duplicates import RUN, alike_reports, connected, duplicate_links, equal_reports, key_links

WORDS = st.lists(st.sampled_from("ابتث"), max_size=12).map(tuple)


@settings(deadline=None)
@given(st.lists(WORDS, max_size=8), st.sampled_from([0.3, 0.5, 1.0]))
def test_pairs_are_those_that_comparing_each_with_each_finds(texts: list[tuple[str, ...]], least: float):
    named = {str(index): text for index, text in enumerate(texts)}
    runs = {name: {text[i : i + RUN] for i in range(len(text) - RUN + 1)} for name, text in named.items()}
    expected = {}
    for one, mine in runs.items():
        for other, theirs in runs.items():
            if one < other and mine & theirs and len(mine & theirs) >= least * min(len(mine), len(theirs)):
                expected[frozenset((one, other))] = len(mine & theirs) / min(len(mine), len(theirs))
    found = {frozenset((one, other)): part for one, other, part in alike_reports(named, least)}
    assert found == expected


def test_a_short_report_inside_a_long_one_is_alike_and_stands_first():
    long = [str(index) for index in range(400)]
    assert list(alike_reports({"long": long, "short": long[200:210], "other": ["x", "y"] * 10})) == [
        ("short", "long", 1.0)
    ]


def test_equal_reports_are_grouped_and_empty_ones_left_out():
    assert equal_reports({"a": ("x",), "b": (), "c": ("x",), "d": ("y",), "e": ()}) == [["a", "c"], ["d"]]


def test_links_run_through():
    words = tuple(str(index) for index in range(20))
    texts = {"a": words[:12], "b": words[4:16], "c": words[:12], "d": ("z",), "e": ("z", "z")}
    groups = connected(list(texts), duplicate_links(texts) + key_links({"a": None, "d": 1, "e": 1, "b": None}))
    assert groups["a"] == groups["c"] == groups["b"] != groups["d"] == groups["e"]
