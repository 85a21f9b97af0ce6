"""Offsets: believed where the recorded text bears them out, mended in one way or not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marsad.annotations.formats.checking import COUNTINGS, check_report, place_spans
from marsad.annotations.formats.raw import LeftOut, RawReport, RawSpan, Unusable

TEXT = "💥 قُتل 3 في حلب 🇸🇾\r\nو5 في حلب و3 في درعا"


def surfaces(text: str, spans: list[RawSpan]) -> list[str]:
    places, _ = place_spans(text, spans)
    return [text[start:end] for start, end in places]


@given(st.text(st.sampled_from("حلب3 \n\r💥🇸ًab"), min_size=1, max_size=40), st.data())
def test_spans_counted_in_any_one_way_are_placed_or_refused_but_never_misplaced(text: str, data: st.DataObject):
    size = COUNTINGS[data.draw(st.sampled_from(list(COUNTINGS)))]
    spans = []
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text) - 1))
        end = data.draw(st.integers(start + 1, len(text)))
        first, last = (sum(map(size, text[:at])) for at in (start, end))
        spans.append(RawSpan(first, last, "X", text[start:end]))
    try:
        found = surfaces(text, spans)
    except Unusable:
        return
    for surface, span in zip(found, spans, strict=True):
        assert surface.split() == span.text.split()


@pytest.mark.parametrize(
    ("spans", "how"),
    [
        ([RawSpan(3, 7, "X", "قُتل"), RawSpan(13, 16, "X", "حلب")], "UTF-16 units"),
        ([RawSpan(5, 13, "X", "قُتل"), RawSpan(14, 15, "X", "3")], "bytes of UTF-8"),
        ([RawSpan(19, 21, "X", "و5"[:2]), RawSpan(25, 28, "X", "حلب")], "line ends without the carriage return"),
    ],
)
def test_one_counting_that_fits_all_spans_is_taken(spans: list[RawSpan], how: str):
    places, repaired = place_spans(TEXT, spans)
    assert [TEXT[start:end] for start, end in places] == [span.text for span in spans]
    assert all(how in one for one in repaired)
    assert repaired


def test_offsets_that_fit_are_not_touched():
    spans = [RawSpan(2, 6, "X", "قُتل"), RawSpan(7, 8, "X", "3"), RawSpan(12, 15, "X")]
    assert place_spans(TEXT, spans) == ([(2, 6), (7, 8), (12, 15)], [])


def test_a_text_that_stands_twice_nearby_is_refused():
    with pytest.raises(Unusable, match="stands 2 times near it"):
        place_spans(TEXT, [RawSpan(9, 12, "X", "حلب")])


def test_blanks_at_the_edges_are_taken_off():
    places, repaired = place_spans("قصف حلب أمس", [RawSpan(3, 8, "X", "حلب")])
    assert places == [(4, 7)]
    assert repaired == ["span [3, 8) X is [4, 7) 'حلب': without the blanks at its edges"]


def test_a_rejected_report_says_how_many_spans_it_had():
    report = RawReport("f:1", {}, "r", "قصف", [RawSpan(0, 3, "X"), RawSpan(0, 9, "Y")])
    checked = check_report(report)
    assert isinstance(checked, LeftOut)
    assert (checked.kind, checked.spans) == ("span outside the text", 2)
