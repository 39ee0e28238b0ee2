"""The scalar types refuse what would quietly bend, and times convert exactly."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from schemas import base
from schemas.base import EPOCH, from_ms, to_ms

MONEY: TypeAdapter[Decimal] = TypeAdapter(base.Money)
POSITIVE: TypeAdapter[Decimal] = TypeAdapter(base.PositiveMoney)
TIME: TypeAdapter[datetime] = TypeAdapter(base.EventTime)
DAY: TypeAdapter[date] = TypeAdapter(base.CalendarDate)

fixed = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
named = st.sampled_from(["Asia/Shanghai", "Europe/Prague", "Australia/Lord_Howe", "America/New_York"]).map(ZoneInfo)
odd = st.integers(-86_399_999_999, 86_399_999_999).map(lambda us: timezone(timedelta(microseconds=us)))
zones: st.SearchStrategy[tzinfo] = st.just(UTC) | fixed | named | odd


@given(st.datetimes(timezones=zones))
def test_to_ms_is_the_floor_of_the_exact_time(moment: datetime) -> None:
    """In any zone, before and after the epoch, in summer time and out of it."""
    assert to_ms(moment) == (moment - EPOCH) // timedelta(milliseconds=1)


@given(st.integers(-2_208_988_800_000, 7_258_118_399_999))
def test_from_ms_and_to_ms_are_inverse(milliseconds: int) -> None:
    """No millisecond is lost either way."""
    assert to_ms(from_ms(milliseconds)) == milliseconds


@given(st.integers(-62_135_596_800_000, 253_402_300_799_999))
@example(2**33 * 1000 - 1)
@example(2**33 * 1000)
@example(-(2**33) * 1000 + 1)
def test_from_ms_is_exact(milliseconds: int) -> None:
    """To the millisecond, over all the years that there are."""
    assert from_ms(milliseconds) == EPOCH + timedelta(milliseconds=milliseconds)


def test_a_naive_time_has_no_milliseconds() -> None:
    """It is an error, never a guess, also after aware times were converted."""
    to_ms(EPOCH)
    with pytest.raises(TypeError):
        to_ms(EPOCH.replace(tzinfo=None))


def code(adapter: TypeAdapter[Any], value: Any) -> str:
    with pytest.raises(ValidationError) as refused:
        adapter.validate_python(value)
    (error,) = refused.value.errors()
    return error["type"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.5, "inexact_number"),
        (float("nan"), "inexact_number"),
        (True, "wrong_type"),
        (None, "wrong_type"),
        (b"1", "wrong_type"),
        ("", "bad_number"),
        ("1e3", "bad_number"),
        ("1,000.00", "bad_number"),
        ("１２", "bad_number"),
        ("1\n", "bad_number"),
        ("0.00001", "bad_number"),
        (Decimal("0.00001"), "bad_number"),
        (Decimal("1E-400000"), "bad_number"),
        (Decimal("NaN"), "not_finite"),
        (Decimal("sNaN"), "not_finite"),
        (Decimal("-Infinity"), "not_finite"),
        (Decimal("1E+308"), "out_of_range"),
        (Decimal("1E+999999"), "out_of_range"),
        (10**14, "out_of_range"),
        (-(10**14), "out_of_range"),
        pytest.param(10**10_000, "out_of_range", id="ten thousand digits"),
        ("100000000000000", "bad_number"),
    ],
)
def test_an_amount_that_is_not_exact_and_bounded_is_refused(value: Any, expected: str) -> None:
    """A float above all: its digits are not those anybody wrote."""
    assert code(MONEY, value) == expected


@pytest.mark.parametrize(
    ("value", "digits"),
    [
        ("12.50", "12.50"),
        ("-0.0001", "-0.0001"),
        (7, "7"),
        (Decimal("1E+2"), "100"),
        ("99999999999999.9999", "99999999999999.9999"),
    ],
)
def test_an_amount_keeps_its_digits(value: Any, digits: str) -> None:
    """As many decimals as were written; never an exponent."""
    assert str(MONEY.validate_python(value)) == digits


@pytest.mark.parametrize("value", ["-1", "-0.00", -1, Decimal("-0.0001"), Decimal("-0")])
def test_an_amount_with_a_direction_has_no_sign(value: Any) -> None:
    """Not even the sign of a zero."""
    assert code(POSITIVE, value) == "out_of_range"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-03-02T10:00:00", "naive_time"),
        (datetime(2026, 3, 2), "naive_time"),  # noqa: DTZ001 - the naive time is the case
        ("2026-03-02", "bad_time"),
        ("2026-W09-1T10:00:00Z", "bad_time"),
        ("2026-02-30T10:00:00Z", "bad_time"),
        ("2026-03-02T23:59:60Z", "bad_time"),
        ("2026-03-02T10:00Z", "bad_time"),
        ("", "bad_time"),
        (1772416800, "wrong_type"),
        (None, "wrong_type"),
        ("1899-12-31T23:59:59Z", "out_of_range"),
        ("2200-01-01T00:00:00Z", "out_of_range"),
        ("2199-12-31T23:59:59-08:00", "out_of_range"),
        (datetime(1900, 6, 1, tzinfo=ZoneInfo("Asia/Shanghai")), "bad_time"),
    ],
)
def test_a_time_that_names_no_instant_is_refused(value: Any, expected: str) -> None:
    """A naive one first: it would be a different instant on every machine."""
    assert code(TIME, value) == expected


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-02T10:00:00+08:00",
        "2026-03-02T02:00:00Z",
        "2026-03-02t02:00:00z",
        "2026-03-02 02:00:00-00:00",
        "2026-03-02T10:00:00.000000001+08:00",
    ],
)
def test_the_spellings_of_rfc_3339_are_one_instant(text: str) -> None:
    """Small letters, a space, either form of UTC, finer fractions."""
    assert to_ms(TIME.validate_python(text)) == 1_772_416_800_000


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-W09-1", "bad_date"),
        ("20260302", "bad_date"),
        ("2026-02-30", "bad_date"),
        (20260302, "wrong_type"),
        (EPOCH, "wrong_type"),
    ],
)
def test_a_day_that_does_not_exist_is_refused(value: Any, expected: str) -> None:
    """Only ``YYYY-MM-DD``, of a day that was."""
    assert code(DAY, value) == expected


def test_no_message_repeats_the_value() -> None:
    """The value may be personal; the message says what would be right."""
    for adapter in (MONEY, POSITIVE, TIME, DAY, TypeAdapter(base.Currency), TypeAdapter(base.Identifier)):
        with pytest.raises(ValidationError) as refused:
            adapter.validate_python("Zhang San 13800138000")
        assert "Zhang" not in json.dumps([error["msg"] for error in refused.value.errors()])
