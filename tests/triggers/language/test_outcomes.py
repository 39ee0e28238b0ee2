"""What is said of a condition without values: impossible is impossible for all of them, and what is plain is found."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.triggers.language.worlds import check, scope_of
from triggers.language.domains import Choices, Domain, Ranges
from triggers.language.outcomes import Facts, idle_parts, outcomes
from triggers.language.tree import Term

_NUMBERS = ["customer.balance", "event.amount", "customer.age", "customer.accounts", "peak_7d"]
_TIERS = ["potential", "effective", "mid", "high", "private"]
_OPERATORS = ["<", "<=", "==", "!=", ">", ">="]
_few = st.sampled_from(["-1", "0", "1", "1.5", "2", "3"])


def _join(parts: tuple[str, ...]) -> str:
    return "(" + " ".join(parts) + ")"


_amounts = st.sampled_from(_NUMBERS)
_amounts |= st.tuples(_amounts, st.sampled_from("+-*"), _few).map(_join) | _amounts.map("abs({})".format)
_plain = st.one_of(
    st.tuples(_amounts, st.sampled_from(_OPERATORS), _few).map(_join),
    st.tuples(_few, st.sampled_from(_OPERATORS), st.sampled_from(_NUMBERS)).map(_join),
    st.tuples(st.sampled_from(_NUMBERS), st.sampled_from(_OPERATORS), st.sampled_from(_NUMBERS)).map(_join),
    st.tuples(_few, st.sampled_from(_NUMBERS), _few).map(lambda three: f"({three[0]} < {three[1]} <= {three[2]})"),
    st.tuples(st.sampled_from(_NUMBERS), st.sampled_from(["in", "not in"]), st.lists(_few, min_size=1)).map(
        lambda three: f"({three[0]} {three[1]} [{', '.join(three[2])}])"
    ),
    st.tuples(st.just("customer.tier"), st.sampled_from(["==", "!="]), st.sampled_from(_TIERS)).map(
        lambda three: f'({three[0]} {three[1]} "{three[2]}")'
    ),
    st.lists(st.sampled_from(_TIERS), min_size=1).map(
        lambda tiers: "(customer.tier in [" + ", ".join(f'"{tier}"' for tier in tiers) + "])"
    ),
    st.sampled_from(['"vip" in customer.segments', '"vip" not in customer.segments', 'customer.district == "x"']),
    st.sampled_from(['customer.district in ["x", "y"]', 'customer.district != "x"', "event.own_account"]),
    st.sampled_from(["event.own_account == customer.employee", "customer.employee", "event.own_account == true"]),
    st.tuples(st.sampled_from(["<", ">=", "=="]), st.sampled_from(["2026-03-01", "2026-03-02"])).map(
        lambda pair: f'(product.matures_on {pair[0]} "{pair[1]}")'
    ),
    st.tuples(st.sampled_from(["crossed_above", "crossed_below"]), _few).map(
        lambda pair: f"{pair[0]}(customer.balance, {pair[1]})"
    ),
    st.tuples(st.sampled_from(["<", ">"]), _few).map(lambda pair: f"(before.balance {pair[0]} {pair[1]})"),
)
conditions: st.SearchStrategy[str] = st.recursive(
    _plain,
    lambda inner: (
        st.lists(inner, min_size=2, max_size=4).map(lambda parts: "(" + " and ".join(parts) + ")")
        | st.lists(inner, min_size=2, max_size=3).map(lambda parts: "(" + " or ".join(parts) + ")")
        | inner.map(lambda part: f"(not {part})")
    ),
    max_leaves=8,
)
_values = st.sampled_from([Decimal(-1), Decimal(0), Decimal("0.5"), Decimal(1), Decimal("1.5"), Decimal(2), Decimal(4)])
_whole = st.integers(-1, 4)
worlds = st.fixed_dictionaries(
    {
        "customer.balance": _values | st.none(),
        "before.balance": _values | st.none(),
        "event.amount": _values.map(abs),
        "customer.age": _whole | st.none(),
        "customer.accounts": _whole.map(abs),
        "peak_7d": _values | st.none(),
        "customer.tier": st.sampled_from([*_TIERS, None]),
        "customer.segments": st.sampled_from([(), ("vip",), None]),
        "customer.district": st.sampled_from(["x", "y", "z", None]),
        "customer.employee": st.sampled_from([True, False, None]),
        "event.own_account": st.booleans(),
        "product.matures_on": st.sampled_from([date(2026, 2, 28), date(2026, 3, 1), date(2026, 3, 2), None]),
    }
)


def _holds(domain: Domain, value: Any) -> bool:
    if isinstance(domain, Choices):
        return (value in domain.listed) ^ domain.others
    return not domain.meet(Ranges(begins=False, cuts=((value, 0), (value, 1)))).empty


def _agree(facts: Facts | None, values: dict[str, Any]) -> bool:
    return facts is not None and all(
        _holds(domain, values[key]) for key, domain in facts.items() if isinstance(key, str) and key in values
    )


def _term(text: str) -> Term:
    checked, problems = check(text, expect="flag")
    assert checked is not None, [str(problem) for problem in problems]
    return checked.term


@settings(max_examples=250, deadline=None)
@given(conditions, st.lists(worlds, min_size=5, max_size=10))
def test_no_value_gives_an_outcome_that_is_said_to_be_impossible(text: str, found: list[dict[str, Any]]) -> None:
    """And where an outcome comes, the facts that it was said to need do hold."""
    checked, problems = check(text, expect="flag")
    assert checked is not None, [str(problem) for problem in problems]
    possible = outcomes(checked.term)
    for values in found:
        value = checked.expression.evaluate(scope_of(values))
        if value is not None:
            assert _agree(possible.true if value else possible.false, values)


@settings(max_examples=120, deadline=None)
@given(conditions, st.lists(worlds, min_size=5, max_size=10))
def test_what_is_said_of_a_part_is_so(text: str, found: list[dict[str, Any]]) -> None:
    """Each part that is pointed at is evaluated by itself: it never has the outcome that it is said not to have."""
    term = _term(text)
    for part in idle_parts(term):
        alone = check(text[part.term.begin : part.term.end], expect="flag")[0]
        if alone is None:  # a clause of a chain is no expression by itself
            continue
        seen = {alone.expression.evaluate(scope_of(values)) for values in found}
        match part.kind:
            case "never true":
                assert True not in seen
            case "never false":
                assert False not in seen
            case "always true":
                assert seen == {True}


@pytest.mark.parametrize(
    ("text", "kind", "part"),
    [
        ("customer.balance > 10 and customer.balance < 5", "contradiction", "customer.balance < 5"),
        ("customer.balance > 10 and customer.balance <= 10", "contradiction", "customer.balance <= 10"),
        ("10 < customer.balance and 5 > customer.balance", "contradiction", "5 > customer.balance"),
        ("customer.age > 5 and customer.age < 6", "contradiction", "customer.age < 6"),
        ("customer.balance == 5 and customer.balance in [6, 7]", "contradiction", "customer.balance in [6, 7]"),
        ('customer.tier == "mid" and customer.tier != "mid"', "contradiction", 'customer.tier != "mid"'),
        (
            'customer.tier in ["mid", "high"] and customer.tier in ["private"]',
            "contradiction",
            'customer.tier in ["private"]',
        ),
        (
            'customer.district == "x" and customer.district == "y"',
            "contradiction",
            'customer.district == "y"',
        ),
        (
            'product.matures_on > "2026-03-02" and product.matures_on < "2026-03-01"',
            "contradiction",
            'product.matures_on < "2026-03-01"',
        ),
        ("event.own_account and not event.own_account", "contradiction", "not event.own_account"),
        (
            '"vip" in customer.segments and "vip" not in customer.segments',
            "contradiction",
            '"vip" not in customer.segments',
        ),
        ("customer.balance < peak_7d and peak_7d < customer.balance", "contradiction", "peak_7d < customer.balance"),
        (
            "customer.balance * 2 > 10 and customer.balance * 2 < 9",
            "contradiction",
            "customer.balance * 2 < 9",
        ),
        (
            "crossed_above(customer.balance, 50) and customer.balance < 40",
            "contradiction",
            "customer.balance < 40",
        ),
        (
            "(customer.age < 5 or customer.age > 90) and (customer.age == 50 or customer.age == 60)",
            "contradiction",
            "customer.age == 50 or customer.age == 60",
        ),
        ("not (customer.age < 50) and customer.age < 40", "contradiction", "customer.age < 40"),
        ("event.amount < 0", "never true", "event.amount < 0"),
        ("customer.age == 2.5", "never true", "customer.age == 2.5"),
        ("abs(customer.balance) < 0", "never true", "abs(customer.balance) < 0"),
        ("customer.balance != customer.balance", "never true", "customer.balance != customer.balance"),
        ("customer.accounts >= 0", "always true", "customer.accounts >= 0"),
        ("in_30d < 5 or in_30d >= 5", "always true", "in_30d < 5 or in_30d >= 5"),
        ("customer.age < 5 or customer.age >= 5", "never false", "customer.age < 5 or customer.age >= 5"),
        ('customer.tier != "mid" or customer.tier != "high"', "never false", None),
        ("event.amount >= 0", "never false", "event.amount >= 0"),
        ("customer.age != 2.5", "never false", "customer.age != 2.5"),
        ("not (customer.age < 5 or customer.age >= 5)", "never true", None),
        ("event.amount >= 100000000000000", "never true", None),
        ("product.amount < -100000000000000", "never true", None),
        ("event.amount / 0 > 1", "constant", None),
        ("percent(customer.balance, 0) < 1", "constant", None),
        ("1 <= customer.balance / (2 - 2)", "constant", None),
        ("event.own_account or true", "constant", None),
        ("event.own_account and 1 > 2", "constant", "1 > 2"),
    ],
)
def test_what_is_plain_is_found(text: str, kind: str, part: str | None) -> None:
    """And the smallest part that shows it is pointed at."""
    (found,) = idle_parts(_term(text))
    assert (found.kind, text[found.term.begin : found.term.end]) == (kind, part or text)


@pytest.mark.parametrize(
    "text",
    [
        "customer.balance > 5 and customer.balance < 10",
        "customer.age > 5 and customer.age < 7",
        "customer.balance > 5 and customer.aum < 3",
        "customer.balance > 5 or customer.balance < 3",
        "customer.balance < peak_7d and customer.aum > peak_7d",
        'customer.tier in ["mid", "high"] and customer.tier != "high"',
        "customer.balance + 1 > 5 and customer.balance < 1",
        "(customer.age < 5 and event.own_account) or (customer.age > 5 and not event.own_account)",
        "crossed_above(customer.balance, 50) or crossed_below(customer.balance, 50)",
        '"vip" in customer.segments and "staff" not in customer.segments',
        "customer.balance >= 0",
    ],
)
def test_what_can_be_is_left_alone(text: str) -> None:
    """No part of these has one outcome only."""
    assert list(idle_parts(_term(text))) == []


def test_a_contradiction_names_what_it_contradicts() -> None:
    """Where one part alone does; three that exclude each other only together have no such one."""
    (two,) = idle_parts(_term("customer.age > 60 and event.own_account and customer.age < 18"))
    assert two.other is not None
    assert (two.other.begin, two.other.end) == (0, len("customer.age > 60"))
    three = "customer.age in [1, 2] and customer.age in [2, 3] and customer.age in [1, 3]"
    (found,) = idle_parts(_term(three))
    assert (found.kind, found.other) == ("contradiction", None)
