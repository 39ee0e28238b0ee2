"""Compiled expressions against an independent interpreter, and the rules of three-valued logic one by one."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.triggers.language.slow_interpreter import interpret
from tests.triggers.language.worlds import FEATURES, OF_CALENDAR, TODAY, check, full_values, scope_of, value_of
from triggers.language.expressions import Context
from triggers.language.names import CATALOGUE
from triggers.language.tree import Constant

MONEY = ["customer.balance", "customer.aum", "account.balance", "before.balance", "event.amount", "peak_7d", "in_30d"]
NUMBERS = ["customer.age", "customer.accounts", "customer.completeness", "product.term_days", "visits"]
FLAGS = ["event.own_account", "customer.employee", "customer.blacklisted"]
DATES = ["product.matures_on", "product.purchased_on"]
MOVING = ["customer.balance", "customer.aum", "account.balance"]

digits = st.from_regex(r"(0|[1-9][0-9]{0,5})(\.[0-9]{1,4})?", fullmatch=True)
literals = digits | digits.map(lambda text: f"-{text}")


def _join(parts: tuple[str, ...]) -> str:
    return "(" + " ".join(parts) + ")"


def _moving(leaves: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.recursive(
        leaves,
        lambda inner: (
            st.tuples(inner, st.sampled_from("+-"), inner).map(_join)
            | st.tuples(inner, inner).map(lambda pair: f"max({pair[0]}, {pair[1]})")
        ),
        max_leaves=3,
    )


numbers: st.SearchStrategy[str] = st.recursive(
    st.sampled_from(NUMBERS)
    | literals
    | st.tuples(st.sampled_from(["days_until", "business_days_until"]), st.sampled_from(DATES)).map(
        lambda pair: f"{pair[0]}({pair[1]})"
    ),
    lambda inner: (
        st.tuples(inner, st.sampled_from("+-*/"), inner).map(_join)
        | inner.map(lambda part: f"abs({part})")
        | inner.map(lambda part: f"-({part})")
        | st.tuples(inner, st.integers(-2, 4)).map(lambda pair: f"round({pair[0]}, {pair[1]})")
        | st.tuples(st.sampled_from(MONEY), st.sampled_from(MONEY)).map(lambda pair: f"percent({pair[0]}, {pair[1]})")
    ),
    max_leaves=6,
)
money: st.SearchStrategy[str] = st.recursive(
    st.sampled_from(MONEY),
    lambda inner: (
        st.tuples(inner, st.sampled_from("+-"), inner | literals).map(_join)
        | st.tuples(inner, st.sampled_from("*/"), numbers).map(_join)
        | st.tuples(inner, inner).map(lambda pair: f"min({pair[0]}, {pair[1]})")
        | inner.map(lambda part: f"round({part})")
    ),
    max_leaves=6,
)
comparisons = st.one_of(
    st.tuples(money, st.sampled_from(["<", "<=", "==", "!=", ">", ">="]), money | literals).map(_join),
    st.tuples(numbers, st.sampled_from(["<", "<=", "==", "!=", ">", ">="]), numbers).map(_join),
    st.tuples(literals, money, literals).map(lambda three: f"({three[0]} < {three[1]} <= {three[2]})"),
    st.sampled_from(FLAGS),
    st.sampled_from(["true", "False"]),
    st.tuples(st.sampled_from(FLAGS), st.sampled_from(["==", "!="]), st.sampled_from(FLAGS)).map(_join),
    st.sampled_from(
        [
            'customer.tier in ["mid", "high"]',
            'customer.tier not in ["mid"]',
            'customer.tier == "private"',
            '"vip" in customer.segments',
            '"vip" not in customer.segments',
            'last_kind == "cash"',
            "customer.age in [30, 60.0, -1]",
            'product.matures_on > "2026-03-02"',
            "product.matures_on != product.purchased_on",
            'product.matures_on in ["2026-03-02", "2026-03-09"]',
        ]
    ),
    st.tuples(
        st.sampled_from(["crossed_above", "crossed_below"]), _moving(st.sampled_from(MOVING)), literals | money
    ).map(lambda three: f"{three[0]}({three[1]}, {three[2]})"),
)
flags: st.SearchStrategy[str] = st.recursive(
    comparisons,
    lambda inner: (
        st.lists(inner, min_size=2, max_size=4).map(lambda parts: "(" + " and ".join(parts) + ")")
        | st.lists(inner, min_size=2, max_size=4).map(lambda parts: "(" + " or ".join(parts) + ")")
        | inner.map(lambda part: f"(not {part})")
        | st.tuples(inner, inner).map(lambda pair: f"(({pair[0]}) == ({pair[1]}))")
    ),
    max_leaves=8,
)

amounts = st.decimals(-1000, 100000, places=2) | st.sampled_from([Decimal(0), Decimal("0.70"), Decimal(50000)])
days = st.dates(date(2026, 2, 1), date(2026, 4, 1))
_BY_KIND: dict[str, st.SearchStrategy[Any]] = {
    "money": amounts,
    "number": amounts | st.integers(0, 100),
    "text": st.sampled_from(["cash", "vip", ""]),
    "flag": st.booleans(),
    "date": days,
    "texts": st.sampled_from([(), ("vip",), ("vip", "x")]),
}


def _possible(path: str) -> st.SearchStrategy[Any]:
    kind = FEATURES[path].type if path in FEATURES else CATALOGUE[path].type
    if path in ("event.amount", "event.own_account"):
        kind = kind.known()
    values = st.sampled_from(kind.values) if kind.kind == "enum" else _BY_KIND[kind.kind]
    if kind.whole:
        values = st.integers(-5, 100)
    return values | st.none() if kind.nullable else values


NAMES = [*MONEY, *NUMBERS, *FLAGS, *DATES, "customer.tier", "customer.segments", "last_kind"]
NAMES += ["before.aum", "before.account.balance"]
PARTS = ["customer", "account", "product", "before", "event", "before.account"]
worlds = st.tuples(
    st.fixed_dictionaries({name: _possible(name) for name in NAMES}), st.sets(st.sampled_from(PARTS), max_size=2)
)


def _without(values: dict[str, Any], missing: set[str]) -> dict[str, Any]:
    """The values with whole parts of the scope taken away."""
    return {name: value for name, value in values.items() if not any(name.startswith(f"{part}.") for part in missing)}


@settings(max_examples=250, deadline=None)
@given(flags, worlds)
def test_compiled_conditions_agree_with_the_slow_interpreter(text: str, world: tuple[dict[str, Any], set[str]]) -> None:
    """Any condition of the grammar over any values, unknown ones and missing parts included, means the same."""
    values = _without(*world)
    checked, problems = check(text, expect="flag")
    assert checked is not None, [str(problem) for problem in problems]
    expected = interpret(text, values | OF_CALENDAR, TODAY)
    assert checked.expression.evaluate(scope_of(values)) is expected
    clauses = [clause.evaluate(scope_of(values)) for clause, _ in checked.clauses]
    assert (False if False in clauses else None if None in clauses else True) is expected


@settings(max_examples=120, deadline=None)
@given(money | numbers, worlds)
def test_compiled_amounts_agree_with_the_slow_interpreter(text: str, world: tuple[dict[str, Any], set[str]]) -> None:
    """Arithmetic is exact to 34 digits and unknown where a part is."""
    values = _without(*world)
    checked, problems = check(text)
    assert checked is not None, [str(problem) for problem in problems]
    found, expected = checked.expression.evaluate(scope_of(values)), interpret(text, values | OF_CALENDAR, TODAY)
    assert found == expected
    assert (found is None) == (expected is None)


UNKNOWN = {"customer.balance": None, "customer.employee": None, "event.own_account": True, "event.amount": Decimal(5)}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("customer.balance > 0", None),
        ("not customer.balance > 0", None),
        ("customer.employee and event.own_account", None),
        ("customer.employee and not event.own_account", False),
        ("not event.own_account and customer.employee", False),
        ("customer.employee or event.own_account", True),
        ("customer.employee or not event.own_account", None),
        ("customer.balance == customer.balance", None),
        ("customer.employee in [true, false]", None),
        ("event.amount / (event.amount - 5) > 0", None),
        ("event.amount / (event.amount - 5) > 0 or event.own_account", True),
        ("percent(event.amount, event.amount - 5) > 0", None),
        ("customer.balance + 1", None),
        ("min(event.amount, customer.balance)", None),
    ],
)
def test_unknown_follows_three_valued_logic(text: str, value: Any) -> None:
    """A missing value and a division by zero are unknown; only what decides without them is known."""
    assert value_of(text, UNKNOWN) is value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.1 + 0.2", Decimal("0.3")),
        ("event.amount * 0.7", Decimal("3.5")),
        ("999999999999999999 + 1", Decimal(10**18)),
        ("0.1234567890123456 * 1", Decimal("0.1234567890123456")),
        ("7 / 2", Decimal("3.5")),
        ("1 / 3", Decimal("0." + "3" * 34)),
        ("round(2.5)", Decimal(2)),
        ("round(3.5)", Decimal(4)),
        ("round(1234.565, 2)", Decimal("1234.56")),
        ("round(1250, -2)", Decimal(1200)),
        ("percent(1, 4)", Decimal(25)),
        ("percent(1, 0)", None),
        ("abs(-3) - -2", Decimal(5)),
        ("max(1, 2, 3) + min(4, 5)", Decimal(7)),
        ("visits / 2", Decimal("3.5")),
        ('days_until("2026-03-09")', 7),
        ('business_days_until("2026-03-09")', 5),
        ('business_days_until("2026-02-13")', -11),
        ('business_days_until("2026-03-02")', 0),
    ],
)
def test_numbers_are_exact_decimals(text: str, value: Any) -> None:
    """Literals are read as written; nothing passes through binary floating point."""
    assert value_of(text, UNKNOWN | {"visits": 7}) == value


@pytest.mark.parametrize("text", ["slots(1)", "slots(5)", 'slots(2, "private")', 'slots(3, "vip")'])
def test_slots_agree_with_the_slow_interpreter(text: str) -> None:
    """The next open hours of the desk, as text; in a message only."""
    checked, problems = check(text, Context(message=True))
    assert checked is not None, problems
    assert checked.expression.evaluate(scope_of({})) == interpret(text, OF_CALENDAR, TODAY)


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("slots(0)", "E036", "from 1 to 5"),
        ("slots(6)", "E036", "from 1 to 5"),
        ("slots(1.5)", "E036", "from 1 to 5"),
        ("slots(visits)", "E036", "from 1 to 5"),
        ("slots()", "E036", "takes 1 to 2 values"),
        ("slots(1, 2)", "E036", 'the desk as text, such as "counter"'),
        ('slots(1, "vipp")', "E033", 'there is no desk "vipp": did you mean "vip"?'),
    ],
)
def test_mistakes_in_slots(text: str, code: str, says: str) -> None:
    """How many, and whose, are said outright."""
    _, (problem,) = check(text, Context(features=FEATURES, message=True))
    assert problem.code == code
    assert says in problem.message


def test_numbers_do_not_depend_on_the_callers_decimal_context() -> None:
    """A product of many digits is exact although Python's default context keeps only 28."""
    found = value_of("event.amount * 12345678901234.56", {"event.amount": Decimal("12345678901234.5678")})
    assert found == Decimal(f"{1234567890123456 * 123456789012345678}e-6")
    assert len(found.as_tuple().digits) > 28


@pytest.mark.parametrize(
    ("before", "now", "above", "below"),
    [
        (9, 10, True, False),
        (10, 11, False, False),
        (9, 9, False, False),
        (10, 9, False, True),
        (11, 10, False, False),
        (11, 9, False, True),
        (None, 11, None, None),
        (9, None, None, None),
    ],
)
def test_a_level_is_crossed_once(before: Any, now: Any, above: Any, below: Any) -> None:
    """Reaching the level is above it, leaving it is below it; with either side unknown so is the crossing."""
    values = {"before.balance": before, "customer.balance": now}
    assert value_of("crossed_above(customer.balance, 10)", values) is above
    assert value_of("crossed_below(customer.balance, 10)", values) is below


def test_a_crossing_of_an_account_reads_the_account_before() -> None:
    """Inside a crossing, account.* before the event is the same account's."""
    text = "crossed_above(account.balance + customer.balance, 100)"
    values = {
        "account.balance": Decimal(60),
        "customer.balance": Decimal(60),
        "before.account.balance": Decimal(10),
        "before.balance": Decimal(60),
    }
    assert value_of(text, values) is True
    assert value_of(text, {name: value for name, value in values.items() if name != "before.account.balance"}) is None


def test_an_event_field_is_unknown_on_records_that_lack_it() -> None:
    """A trigger woken by two kinds of events may read a field of one of them."""
    context = Context(record_types=frozenset({"transaction", "feedback"}))
    checked, _ = check("event.amount > 10", context)
    assert checked is not None
    assert checked.expression.evaluate(scope_of({"event.amount": Decimal(11)})) is True
    assert checked.expression.evaluate(scope_of({"event.outcome": "opened"}, "feedback")) is None
    assert checked.expression.evaluate(scope_of({})) is None


def test_features_are_asked_for_only_when_they_are_reached() -> None:
    """What an earlier clause decides costs no look at a window."""
    checked, _ = check("customer.balance < 10 and peak_7d > 5")
    assert checked is not None
    scope = scope_of({"customer.balance": Decimal(100)})
    scope.feature = lambda _index: pytest.fail("the feature was read")
    assert checked.expression.evaluate(scope) is False


def test_constants_are_folded() -> None:
    """A part without names is worked out when the file is read."""
    checked, _ = check("100 * 3 - -(2 + 1)")
    assert checked is not None
    assert isinstance(checked.term, Constant)
    assert checked.term.value == 303


def test_names_tell_what_an_expression_reads() -> None:
    """The engine plans by these: what a crossing reads before the event is among them."""
    checked, _ = check("crossed_above(customer.balance, 10) and visits > 2 and event.own_account")
    assert checked is not None
    assert checked.expression.names == {"customer.balance", "before.balance", "visits", "event.own_account"}


def test_clauses_are_the_top_level_parts() -> None:
    """For explanations; a chain and a bracketed or stay whole."""
    checked, _ = check(
        'customer.tier == "mid"\n and (1 < customer.age <= 5 and (visits > 2  or event.own_account))', expect="flag"
    )
    assert checked is not None
    assert [clause.source for clause, _ in checked.clauses] == [
        'customer.tier == "mid"',
        "1 < customer.age <= 5",
        "visits > 2 or event.own_account",
    ]


def test_every_name_of_the_catalogue_can_be_read() -> None:
    """Each name alone, on a full scope, gives the value that stands there; on an empty one it is unknown."""
    values = full_values()
    for path, name in CATALOGUE.items():
        for record_type in name.record_types or {"transaction"}:
            checked, problems = check(path, Context(record_types=frozenset({record_type})))
            if name.type.kind == "texts":
                assert checked is None
                continue
            assert checked is not None, [str(problem) for problem in problems]
            assert checked.expression.evaluate(scope_of(values, record_type)) == values[path]
            assert checked.expression.evaluate(scope_of({})) is None
