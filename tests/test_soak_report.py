"""The table and the picture of a soak."""

from __future__ import annotations

from xml.etree import ElementTree

from tests.support.soak_report import Check, Sample, check_row, picture, row

SAMPLES = [
    Sample(float(second), (100 + second, 90), None if second == 7 else second * 3, second * 10, ("kafka: slow",))
    for second in range(500)
]
CHECKS = [Check(200.0, 3.4, 50, 1_200, 1_500, 7, None), Check(400.0, 3.4, 90, 2_400, 3_000, 9, "a message is missing")]


def test_rows_say_what_was_seen() -> None:
    """Memory of each worker, lag where it is known, and whether the invariants hold."""
    assert row(SAMPLES[65]) == "01:05 |      165+90 |     195 |       650 | kafka: slow"
    assert row(SAMPLES[7]) == "00:07 |      107+90 |       ? |        70 | kafka: slow"
    assert "I1-I7 hold: 50 batches, 1,200 actions" in check_row(CHECKS[0])
    assert "DIFFERS" in check_row(CHECKS[1])


def test_the_picture_is_whole_and_shows_the_most() -> None:
    """Well-formed SVG with three charts; thinning keeps the highest memory."""
    drawn = picture(7, SAMPLES, CHECKS)
    root = ElementTree.fromstring(drawn)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert len(root.findall("{http://www.w3.org/2000/svg}svg")) == 3
    assert "seed 7: 1 of 2 checks" in drawn
    assert "worker 1 599, worker 2 90" in drawn
