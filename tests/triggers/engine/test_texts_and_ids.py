"""The quick ways to the text of a decimal and to an id give what the plain ones give."""

from __future__ import annotations

from decimal import Decimal
from hashlib import blake2b

from hypothesis import example, given
from hypothesis import strategies as st

from schemas.base import from_ms, iso_of_ms
from triggers.engine.customer import _moment
from triggers.engine.ids import begin_id, lot_of, make_decision_id, make_id, make_sent_ids
from triggers.engine.texts import plain

part = st.text(max_size=20) | st.text("abc:0", min_size=120, max_size=300) | st.text("é客", max_size=130)


@given(st.lists(part, max_size=8))
@example(["x" * 127])
@example(["x" * 128])
@example(["x" * 256])
@example(["\x80"])
def test_an_id_is_the_hash_of_the_lengths_and_the_parts(parts: list[str]) -> None:
    """Each part led by the length of its UTF-8 in four bytes, so that no two lists of parts have the same bytes."""
    encoded = [one.encode() for one in parts]
    named = b"".join(len(one).to_bytes(4, "big") + one for one in encoded)
    assert make_id(*parts) == blake2b(named, digest_size=16).hexdigest()


@given(st.lists(part, min_size=7, max_size=7))
@example(["x" * length for length in range(7)])
@example([*["x"] * 6, "x" * 128])
@example([*["x"] * 6, "\x80"])
def test_the_id_of_a_decision_is_that_of_its_seven_parts(parts: list[str]) -> None:
    """Written out, not gone through."""
    assert make_decision_id(*parts) == make_id(*parts)


@given(st.lists(part, min_size=5, max_size=5))
@example(["x" * length for length in range(5)])
@example([*["x"] * 4, "x" * 128])
@example([*["x"] * 4, "\x80"])
def test_the_ids_of_what_is_sent_are_those_of_its_action_and_of_its_decision(parts: list[str]) -> None:
    """The decision's goes on where the action's ends."""
    assert make_sent_ids(*parts) == (make_id(*parts), make_id(*parts, "sent", "sent"))


@given(part, part, part)
@example("s", "x" * 128, "")
@example("s", "\x80", "")
def test_a_lot_is_the_beginning_of_the_id_of_its_parts(salt: str, customer: str, about: str) -> None:
    """Its first 32 bits; what it began with is not changed by it."""
    begun = begin_id(salt)
    assert [lot_of(begun, customer, about) for _ in range(2)] == [int(make_id(salt, customer, about)[:8], 16)] * 2


@given(st.decimals(allow_nan=False, allow_infinity=False) | st.integers(-(10**20), 10**20).map(Decimal))
@example(Decimal("-0.00"))
@example(Decimal("1E+3"))
@example(Decimal(1000))
@example(Decimal("0.0000001"))
@example(Decimal("12345678901234567890.12345678900"))
@example(Decimal("-1234567890123456789012345678.5"))
def test_a_decimal_has_one_spelling(number: Decimal) -> None:
    """That of its normal form without an exponent, cut where it is too long; zero is 0."""
    assert plain(number) == ("0" if number == 0 else format(number.normalize(), "f")[:200])


@given(st.integers(-2_208_988_800_000, 7_258_118_399_999))
def test_a_moment_in_an_occasion_is_to_the_microsecond(milliseconds: int) -> None:
    """Year, month, day, hour, minute, second and its fraction, without what separates them."""
    assert _moment(milliseconds) == f"{from_ms(milliseconds):%Y%m%dT%H%M%S.%f}"


@given(st.integers(-2_208_988_800_000, 7_258_118_399_999))
@example(0)
@example(-1)
@example(1_772_416_800_000)
@example(1_772_416_800_120)
def test_a_moment_in_a_detail_is_the_time_with_its_offset(milliseconds: int) -> None:
    """In UTC, with a fraction only where there is one."""
    assert iso_of_ms(milliseconds) == from_ms(milliseconds).isoformat()
