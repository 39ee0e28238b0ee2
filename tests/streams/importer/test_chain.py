"""The order in which balances add up."""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.importer.chain import Step, gaps, order_by_balance


def steps(*pairs: tuple[str | int, str | int]) -> list[Step]:
    return [Step(Decimal(amount), Decimal(balance)) for amount, balance in pairs]


def adding_up(opening: Decimal | None, rows: list[Step], tolerance: Decimal) -> int:
    return sum(gap <= tolerance for gap in gaps(opening, rows))


def test_a_day_listed_backwards_is_turned_round() -> None:
    """The salary came first, though the file lists the withdrawal first."""
    assert order_by_balance(Decimal(830), steps((-300, 700), (170, 1000))) == [1, 0]


def test_rows_that_add_up_keep_their_place() -> None:
    """Of two equally good orders the file's is kept."""
    assert order_by_balance(Decimal(0), steps((5, 5), (-5, 0), (5, 5), (-5, 0))) == [0, 1, 2, 3]


def test_an_unknown_opening_leaves_the_chain_to_the_rows() -> None:
    """Without a balance before them the rows still fix their order among themselves."""
    assert order_by_balance(None, steps((1, 103), (1, 102), (1, 101))) == [2, 1, 0]


def test_a_round_is_entered_where_the_account_stands() -> None:
    """Three rows that lead back to where they began start at the opening balance."""
    assert order_by_balance(Decimal(20), steps((10, 20), (10, 10), (-20, 0))) == [2, 1, 0]


def test_a_missing_row_breaks_the_chain_once() -> None:
    """What adds up on either side of a gap still does, the part that the opening leads to first."""
    rows = steps((1, 51), (1, 50), (2, 12), (2, 14))
    assert order_by_balance(Decimal(10), rows) == [2, 3, 1, 0]


def test_the_end_that_the_next_day_needs_comes_last() -> None:
    """Two loose chains: the next group's first balance decides which is last."""
    rows = steps((1, 101), (1, 201))
    assert order_by_balance(None, rows, following=steps((5, 106))) == [1, 0]
    assert order_by_balance(None, rows, following=steps((5, 206))) == [0, 1]


def test_rounded_balances_add_up_within_the_tolerance() -> None:
    """A tenth is rounding, a quarter is not."""
    rows = steps(("-14.60", "95.50"), ("10.04", "110.00"))
    assert order_by_balance(Decimal(100), rows, Decimal("0.10")) == [1, 0]
    assert order_by_balance(Decimal(100), steps(("-14.60", "95.50"), ("10.25", "110.00")), Decimal("0.10")) == [1, 0]


@given(st.data())
def test_a_shuffled_day_adds_up_again(data: Any) -> None:
    """Whatever was booked, in whatever order it is listed: an order in which every step adds up is found."""
    amounts = data.draw(st.lists(st.integers(-5, 5).filter(bool), min_size=1, max_size=40))
    balances = list(itertools.accumulate(amounts))
    day = [Step(Decimal(amount), Decimal(balance)) for amount, balance in zip(amounts, balances, strict=True)]
    shuffled = data.draw(st.permutations(day))
    order = order_by_balance(Decimal(0), shuffled)
    assert sorted(order) == list(range(len(day)))
    assert adding_up(Decimal(0), [shuffled[index] for index in order], Decimal(0)) == len(day)


@given(
    st.lists(st.tuples(st.integers(-3, 3).filter(bool), st.integers(-3, 3)), min_size=2, max_size=5),
    st.integers(-3, 3) | st.none(),
)
def test_no_permutation_is_better(pairs: list[tuple[int, int]], start: int | None) -> None:
    """With rows missing or wrong, as many steps add up as in the best of all orders."""
    day = steps(*pairs)
    opening = None if start is None else Decimal(start)
    best = max(adding_up(opening, list(order), Decimal(0)) for order in itertools.permutations(day))
    order = order_by_balance(opening, day)
    assert adding_up(opening, [day[index] for index in order], Decimal(0)) == best


@pytest.mark.timeout(10)
def test_a_day_of_thousands_of_rows_is_no_search() -> None:
    """Effort grows with the rows, not with their orders."""
    rows = steps(*((1, index % 50 + 1) if index % 50 else (-49 if index else 1, 1) for index in range(5000)))
    order = order_by_balance(Decimal(0), rows[::-1])
    assert adding_up(Decimal(0), [rows[::-1][index] for index in order], Decimal(0)) == 5000


class TestInAnImport:
    """The chain and the spreading of times through a whole import."""

    SEQUENCE = (
        "    sequence: {per: account, order: [day], spread_seconds: 60,"
        " chain: {balance: {column: balance, as: number}, amount: signed, opening: 0}}"
    )
    OUTPUT = (
        "    values:\n"
        "      day: {column: at, as: date, format: iso}\n"
        "      signed:\n"
        "        cases: [{when: {type: C}, use: {column: amount, as: number}}]\n"
        "        else: {column: amount, as: number, times: -1}\n"
    )
    RECORD: ClassVar = {"occurred_at": '{value: day, at: "08:00"}'}

    def run(self, bench: Any, *rows: str, sequence: str = SEQUENCE) -> Any:
        text = "\n".join(["id,customer,account,at,type,amount,balance", *rows]) + "\n"
        return bench.run(text, output=self.OUTPUT, record=self.RECORD, sequence=sequence)

    def test_sequence_time_and_report_agree(self, bench: Any) -> None:
        """The numbers follow the balances, times a minute apart follow the numbers, both counts are reported."""
        report = self.run(
            bench,
            "e2,c1,a1,2020-03-02,D,30,70",
            "e1,c1,a1,2020-03-02,C,100,100",
            "e4,c1,a1,2020-03-03,D,1,74",
            "e3,c1,a1,2020-03-03,C,5,75",
        )
        got = [(value["event_id"], value["sequence"], value["occurred_at"][5:16]) for value in bench.values()]
        assert got == [
            ("e1", 1, "03-02T08:00"),
            ("e2", 2, "03-02T08:01"),
            ("e3", 3, "03-03T08:00"),
            ("e4", 4, "03-03T08:01"),
        ]
        chain = report.outputs[0].chain
        assert (chain.steps, chain.exact_in_file, chain.exact_ordered, chain.reordered) == (4, 0, 4, 4)

    def test_more_rows_than_the_day_holds(self, bench: Any) -> None:
        """A row that would fall on the next day is refused, and the numbers stay without a gap."""
        rows = [f"e{n},c1,a1,2020-03-02,C,1,{n}" for n in range(1, 20)]
        report = self.run(bench, *rows, sequence=self.SEQUENCE.replace("60", "3600"))
        assert [value["sequence"] for value in bench.values()] == list(range(1, 17))
        assert [error.code for error in report.errors] == ["R032"] * 3
