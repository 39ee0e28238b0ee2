"""The steps of a value, one by one: what each takes and what it refuses."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from streams.importer.mapping import DateFormat, NumberFormat
from streams.importer.steps import BadValue, add_to_date, date_reader, number_reader
from streams.importer.transforms import TRANSFORMS

PRAGUE = ZoneInfo("Europe/Prague")


@pytest.mark.parametrize(
    ("format_", "text", "expected"),
    [
        ("%y%m%d", "930203", date(1993, 2, 3)),
        ("%d.%m.%Y", "3.2.1993", date(1993, 2, 3)),
        ("%m/%d/%y", "8/1/18", date(2018, 8, 1)),
        ("%d %b %Y", "3 Feb 1993", date(1993, 2, 3)),
        ("%Y%j", "1993034", date(1993, 2, 3)),
        ("iso", "1993-02-03", date(1993, 2, 3)),
    ],
)
def test_dates_are_read_as_written(format_: str, text: str, expected: date) -> None:
    """Each format reads its own shape; one or two digits are taken where something stands between."""
    century = 1950 if "%y" in format_ else None
    assert date_reader(DateFormat(format_, False, century), PRAGUE)(text) == expected


@pytest.mark.parametrize(
    ("format_", "text"),
    [
        ("%y%m%d", "93113"),
        ("%y%m%d", "1993023"),
        ("%y%m%d", "930230"),
        ("%y%m%d", "93 203"),
        ("%d.%m.%Y", "3.2.93"),
        ("%d.%m.%Y", " 3.2.1993"),
        ("%d.%m.%Y", "3.2.1993 "),
        ("%d.%m.%Y", "\u0663.2.1993"),
        ("%d %m %Y", "3\t2\t1993"),
        ("iso", "3.2.1993"),
        ("iso", ""),
    ],
)
def test_dates_of_another_shape_are_refused(format_: str, text: str) -> None:
    """Digits that are missing, spaces and other scripts are not guessed at."""
    century = 1950 if "%y" in format_ else None
    with pytest.raises(BadValue) as bad:
        date_reader(DateFormat(format_, False, century), PRAGUE)(text)
    assert bad.value.code == "R013"
    assert bad.value.message == f"expected a date that exists, written {format_}"


def test_a_leap_day_of_the_wrong_century_is_refused() -> None:
    """29 February 2000 exists, 29 February 1900 does not."""
    assert date_reader(DateFormat("%y%m%d", False, 1950), PRAGUE)("000229") == date(2000, 2, 29)
    with pytest.raises(BadValue):
        date_reader(DateFormat("%y%m%d", False, 1900), PRAGUE)("000229")


def test_a_time_keeps_its_offset_or_takes_the_zones() -> None:
    """Of an hour that the clock shows twice the first is meant."""
    read = date_reader(DateFormat("%Y-%m-%d %H:%M", True, None), PRAGUE)
    assert read("2020-10-25 02:30").isoformat() == "2020-10-25T02:30:00+02:00"
    own = date_reader(DateFormat("%Y-%m-%dT%H:%M:%S.%f%z", True, None), PRAGUE)
    assert own("2018-08-01T01:26:15.000+0000") == datetime.fromisoformat("2018-08-01T01:26:15+00:00")


@pytest.mark.parametrize(
    ("form", "text", "expected"),
    [
        (NumberFormat(False, ".", ""), "1234.50", Decimal("1234.50")),
        (NumberFormat(False, ".", ""), "-0.10", Decimal("-0.10")),
        (NumberFormat(False, ",", "."), "1.234.567,5", Decimal("1234567.5")),
        (NumberFormat(False, ",", " "), "1234,5", Decimal("1234.5")),
        (NumberFormat(True, ".", ","), "12,345", 12345),
    ],
)
def test_numbers_are_exact(form: NumberFormat, text: str, expected: Decimal | int) -> None:
    """Every digit is kept, also the zeros at the end."""
    read = number_reader(form)(text)
    assert (read, str(read)) == (expected, str(expected))


@pytest.mark.parametrize(
    ("form", "text"),
    [
        (NumberFormat(False, ".", ""), "1,234.50"),
        (NumberFormat(False, ".", ""), "1e3"),
        (NumberFormat(False, ".", ""), "Infinity"),
        (NumberFormat(False, ".", ""), ".5"),
        (NumberFormat(False, ".", ""), "1_000"),
        (NumberFormat(False, ".", ""), "\u0661"),
        (NumberFormat(False, ".", ""), "9" * 41),
        (NumberFormat(False, ",", "."), "12.34"),
        (NumberFormat(False, ",", "."), "1.2345,0"),
        (NumberFormat(True, ".", ""), "1.0"),
    ],
)
def test_what_is_no_number_is_refused(form: NumberFormat, text: str) -> None:
    """Nothing is guessed: a point that could mean thousands or decimals is refused."""
    with pytest.raises(BadValue) as bad:
        number_reader(form)(text)
    assert bad.value.code == "R012"


@pytest.mark.parametrize(
    ("day", "months", "days", "expected"),
    [
        (date(1993, 9, 15), 12, 0, date(1994, 9, 15)),
        (date(2020, 1, 31), 1, 0, date(2020, 2, 29)),
        (date(2020, 1, 31), 1, 1, date(2020, 3, 1)),
        (date(2020, 3, 31), -13, 0, date(2019, 2, 28)),
        (date(2020, 12, 15), 1, 0, date(2021, 1, 15)),
    ],
)
def test_months_are_calendar_months(day: date, months: int, days: int, expected: date) -> None:
    """A day past the month's end becomes its last; days are added after."""
    assert add_to_date(day, months, days) == expected


def test_a_date_past_the_calendar_is_refused() -> None:
    """There is no year 10000."""
    with pytest.raises(BadValue):
        add_to_date(date(9999, 12, 31), 1, 0)


@pytest.mark.parametrize(
    ("number", "day", "sex"),
    [
        ("790104", "790104", "male"),
        ("706213", "701213", "female"),
        ("0401041234", "040104", "male"),
        ("0421041234", "040104", "male"),
        ("0482041234", "041204", "female"),
        ("0471041234", "040104", "female"),
    ],
)
def test_birth_numbers(number: str, day: str, sex: str) -> None:
    """Women have 50 more in the month; 20 more stand where the numbers of a day ran out."""
    assert TRANSFORMS["czech_birth_date"](number) == day
    assert TRANSFORMS["czech_birth_sex"](number) == sex


@pytest.mark.parametrize("number", ["79010", "791304", "794004", "790004", "7901x4", "79010412345", ""])
def test_what_is_no_birth_number_is_refused(number: str) -> None:
    """The message says what would be right, not what stood there."""
    with pytest.raises(ValueError, match="expected a birth number") as bad:
        TRANSFORMS["czech_birth_date"](number)
    assert not number or number not in str(bad.value)


@pytest.mark.parametrize(("text", "expected"), [("0012", "12"), ("000", "0"), ("12", "12")])
def test_leading_zeros(text: str, expected: str) -> None:
    """Ids that one table pads become those of the other."""
    assert TRANSFORMS["without_leading_zeros"](text) == expected
