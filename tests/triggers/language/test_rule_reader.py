"""Values of rule files: durations, times in the bank's time zone, suggestions, and the hints for YAML's surprises."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from schemas.base import to_ms
from triggers.language.document import Node, read_document
from triggers.language.forms import Form, Key, Name
from triggers.language.reader import DAY_MS, HOUR_MS, MINUTE_MS, Reader

SHANGHAI = ZoneInfo("Asia/Shanghai")
BERLIN = ZoneInfo("Europe/Berlin")


def _node(text: str) -> tuple[Reader, Node]:
    document, problems = read_document("f.yaml", f"a: {text}")
    assert document is not None, problems
    assert document.root is not None
    return Reader(document), document.root.value["a"].value  # type: ignore[index,call-overload,union-attr]


@pytest.mark.parametrize(
    ("text", "length"),
    [("7d", 7 * DAY_MS), ("48h", 48 * HOUR_MS), ("30m", 30 * MINUTE_MS), ("2w", 14 * DAY_MS), ("90s", 90_000)],
)
def test_durations_have_a_unit(text: str, length: int) -> None:
    """Seconds, minutes, hours, days, weeks."""
    reader, node = _node(text)
    assert reader.duration(node) == length
    assert not reader.problems


@pytest.mark.parametrize(
    "text", ["7", "7 d", "d", "-7d", "1.5d", "7D", "1y", "1d12h", "[]", "~", "0d", "30s", "99999d"]
)
def test_bad_durations_are_refused(text: str) -> None:
    """No unit, no whole number, or out of bounds."""
    reader, node = _node(text)
    assert reader.duration(node) is None
    assert [problem.code for problem in reader.problems] == ["E015"]


@pytest.mark.parametrize(
    ("text", "zone", "moment"),
    [
        ('"2026-03-02 10:00"', SHANGHAI, "2026-03-02T10:00:00+08:00"),
        ("2026-03-02 10:00", SHANGHAI, "2026-03-02T10:00:00+08:00"),
        ("2026-03-02T10:00:30", SHANGHAI, "2026-03-02T10:00:30+08:00"),
        ('"2026-03-02 10:00+01:00"', SHANGHAI, "2026-03-02T10:00:00+01:00"),
        ("2026-03-02T10:00:00Z", SHANGHAI, "2026-03-02T10:00:00+00:00"),
        ("2026-07-01 10:00", BERLIN, "2026-07-01T10:00:00+02:00"),
        ("2026-10-25 02:30+01:00", BERLIN, "2026-10-25T02:30:00+01:00"),
    ],
)
def test_times_are_in_the_banks_zone_unless_they_say_otherwise(text: str, zone: ZoneInfo, moment: str) -> None:
    """An offset written wins."""
    reader, node = _node(text)
    assert reader.moment(node, zone) == to_ms(datetime.fromisoformat(moment))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("2026-02-30 10:00", "does not exist"),
        ("2026-03-02 25:00", "does not exist"),
        ("2026-03-02 10:00+25:00", 'an offset is less than a day, such as +08:00; found "+25:00"'),
        ("2026-03-02 10:00-08:60", 'an offset is less than a day, such as +08:00; found "-08:60"'),
        ("2026-03-29 02:30", "clocks are put forward"),
        ("2026-10-25 02:30", "happens twice"),
        ("2026-03-02", "expected a time such as"),
        ("10:00", "expected a time such as"),
        ("20260302", "found the number 20260302"),
        ("0026-03-02 10:00", "between the years"),
    ],
)
def test_times_that_do_not_exist_are_refused(text: str, says: str) -> None:
    """Dates without a day, hours that the clocks skip, hours that come twice."""
    reader, node = _node(text)
    assert reader.moment(node, BERLIN) is None
    assert [problem.code for problem in reader.problems] == ["E016"]
    assert says in reader.problems[0].message


@pytest.mark.parametrize(
    ("method", "text", "message"),
    [
        ("flag", "yes", 'expected true or false, found "yes"; only true and false are flags'),
        ("flag", "True", 'expected true or false, found "True"; only true and false are flags'),
        ("flag", "1", "expected true or false, found the number 1"),
        ("flag", '"true"', 'expected true or false, found "true"'),
        ("text", "12", 'expected text, found the number 12; put it in quotes: "12"'),
        ("text", "true", 'expected text, found the flag true; put it in quotes: "true"'),
        ("text", "", "expected text, found nothing"),
        ("text", "[a]", "expected text, found a list"),
        ("number", "1_000", 'expected a whole number from 0 to 5000, found "1_000"; write 1000'),
        ("number", "1,000", 'expected a whole number from 0 to 5000, found "1,000"; write 1000'),
        ("number", "012", 'expected a whole number from 0 to 5000, found "012"; write 12'),
        ("number", "0x1F", 'expected a whole number from 0 to 5000, found "0x1F"; write the number out in digits'),
        ("number", "1e3", 'expected a whole number from 0 to 5000, found "1e3"; write the number out in digits'),
        ("number", "1.5", "expected a whole number from 0 to 5000, found the number 1.5"),
        ("number", "true", "expected a whole number from 0 to 5000, found the flag true"),
    ],
)
def test_wrong_types_say_what_would_be_right(method: str, text: str, message: str) -> None:
    """What YAML 1.1 would have read, and how to write it."""
    reader, node = _node(text)
    read: dict[str, Any] = {"flag": reader.flag, "text": reader.text, "number": lambda at: reader.integer(at, 0, 5000)}
    assert read[method](node) is None
    assert [problem.message for problem in reader.problems] == [message]


def test_a_misspelt_key_is_one_mistake() -> None:
    """It is not reported as missing as well."""
    reader, node = _node("{categoy: x}")
    reader.mapping(node, Form("an action", (Key("category", Name(), "", required=True),)))
    assert [problem.message for problem in reader.problems] == ['unknown key "categoy": did you mean "category"?']
