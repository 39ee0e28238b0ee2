"""What expressions refuse, where they point, and that nothing else ever comes out of them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.triggers.language.test_expression_semantics import flags
from tests.triggers.language.worlds import ANYWHERE, ON_TRANSACTION, check, check_yaml, full_values, scope_of
from triggers.language.expressions import Context
from triggers.language.names import ALL_RECORDS


@pytest.mark.parametrize(
    ("text", "code", "column", "says"),
    [
        ("customer.ballance > 1", "E031", 1, 'did you mean "customer.balance"?'),
        ("1 < 2 and balance > 1", "E031", 11, 'did you mean "customer.balance"?'),
        ("peak_7 > 1", "E031", 1, 'did you mean "peak_7d"?'),
        ("customer > 1", "E031", 1, '"customer" alone is no value'),
        ("max > 1", "E031", 1, "is a helper"),
        ("customer.tier == private", "E031", 18, 'text goes in quotes: "private"'),
        ('customer.tier == "hihg"', "E033", 18, 'did you mean "high"?'),
        ('customer.tier in ["mid", "hihg"]', "E033", 26, 'did you mean "high"?'),
        ('event.channel == "push"', "E033", 18, "it is one of branch"),
        ("customer.tier == event.direction", "E033", 1, "no value in common"),
        ('event.currency == "RMB"', "E033", 19, "such as CNY"),
        ('"cny" != account.currency', "E033", 1, 'did you mean "CNY"?'),
        ('product.currency in ["CNY", "EURO"]', "E033", 29, 'never "EURO"'),
        ("customer.tier in []", "E033", 18, "empty list"),
        ('product.matures_on > "2026-02-30"', "E033", 22, "is not a date"),
        ("customer.tier > 3", "E032", 1, "cannot be compared with a number"),
        ('customer.tier > "mid"', "E032", 1, "customer.tier is one of a list of words and has no order, so > has no"),
        ('"mid" < customer.district', "E032", 1, "text has no order, so < has no meaning; write in [ … ]"),
        ('customer.balance == "high"', "E032", 1, "money cannot be compared with text"),
        ("customer.balance == product.matures_on", "E032", 1, "money cannot be compared with a date"),
        ("customer.balance > event.own_account", "E032", 1, "cannot be compared with a flag"),
        ("customer.segments == customer.segments", "E032", 1, 'write "x" in customer.segments'),
        ("customer.balance and event.own_account", "E032", 1, "expected a condition, found money"),
        ("not customer.age", "E032", 5, "expected a condition, found a number"),
        ("customer.balance", "E032", 1, "expected a condition, found money"),
        ("customer.balance * customer.aum > 1", "E032", 1, "money times money"),
        ("1 / customer.balance > 1", "E032", 1, "divided by money"),
        ('customer.balance + "x" > 1', "E032", 20, "expected money or a number, found text"),
        ('"v" in customer.district', "E032", 8, "needs a list"),
        ("customer.tier in customer.tier", "E032", 18, "needs a list"),
        ("[1, 2] == 1", "E032", 1, "only after in"),
        ("customer.age in [visits]", "E034", 18, "literals only"),
        ("days_until(customer.balance) > 1", "E032", 12, "takes a date"),
        ("min(customer.balance, product.matures_on) > 1", "E032", 1, "compares numbers or dates"),
        ("mx(1, 2) > 1", "E036", 1, 'did you mean "max"?'),
        ("max(1) > 1", "E036", 1, "takes 2 to 10 values, found 1"),
        ("round(1.5, visits) > 1", "E036", 12, "whole number"),
        ("round(1.5, 0.5) > 1", "E036", 12, "whole number"),
        ("crossed_above(event.amount, 1)", "E036", 15, "customer.* and account.*"),
        ("crossed_above(peak_7d, 1)", "E036", 15, "customer.* and account.*"),
        ("crossed_above(5, 1)", "E036", 15, "customer.* and account.*"),
        ("business_days_until(customer.age) > 1", "E032", 21, "business_days_until takes a date, found a number"),
        ('business_days_until("2026-02-30") > 1', "E033", 21, "is not a date"),
        ("business_days_until() > 1", "E036", 1, "takes 1 values, found 0"),
        ('"x" in slots(2)', "E037", 8, "slots are offered in a message"),
        ("event.outcome == 1", "E037", 1, "is a field of feedback"),
        ("1_000 > 2", "E030", 1, "write 1000"),
        ("012 > 2", "E030", 1, "write 12"),
        ("1e5 > 2", "E030", 1, "is not a number"),
        ("0x10 > 2", "E030", 1, "is not a number"),
        (".5 > 2", "E030", 1, "is not a number"),
        ("5. > 2", "E030", 1, "is not a number"),
        ("1j > 2", "E030", 1, "is not a number"),
        ("customer.balance >", "E030", 19, "not an expression"),
        ("(customer.balance > 1", "E030", 1, "never closed"),
        ("", "E030", 1, "missing"),
        ("  ", "E030", 1, "missing"),
        ("customer.balance >= 10,000", "E030", 21, "no thousands separator: write 10000"),
        ("(customer.balance >= 1,234,567)", "E030", 22, "no thousands separator: write 1234567"),
        ("max(customer.balance, 10,000) > 1", "E030", 23, "no thousands separator: write 10000"),
        ("round(customer.balance, 010) > 1", "E030", 25, "write 10"),
        ("round(customer.balance,100) > 1", "E036", 24, "number of decimals"),
        ("1 < 2 AND 2 < 3", "E030", 7, "AND is written in small letters: and"),
        ("1 < 2 Or 2 < 3", "E030", 7, "written in small letters: or"),
        ("NOT event.own_account", "E030", 1, "written in small letters: not"),
        ("customer.balance > CNY 10000", "E030", 20, "an amount has no currency here: leave CNY out"),
        ("customer.balance > 10000 USD", "E030", 26, "leave USD out"),
        ('customer.tier in ["mid" "high"]', "E030", 25, "comma is missing"),
        ('customer.tier == "mid', "E030", 18, "does not end"),
    ],
)
def test_mistakes_are_pointed_at(text: str, code: str, column: int, says: str) -> None:
    """Each mistake has its code, its column, and says what would be right."""
    checked, problems = check(text, expect="flag")
    assert checked is None
    assert [(problem.code, problem.line, problem.column) for problem in problems] == [(code, 1, column)]
    assert says in problems[0].message


@pytest.mark.parametrize(
    "text",
    [
        "().__class__",
        '"".__class__ == 1',
        "event.__class__",
        "event.amount.__class__",
        "customer.__dict__",
        "peak_7d.real > 1",
        "__import__",
        '__import__("os")',
        "exec(1)",
        "getattr(event, 1)",
        "max.__call__(1, 2)",
        "max(1, 2).real",
        "(lambda: 1)()",
        "lambda: 1",
        'f"{event}" == "x"',
        'b"x" == "x"',
        'u"x" == "x"',
        "(x := 1) > 0",
        "[x for x in [1]]",
        "{1, 2}",
        "{1: 2}",
        "(1, 2)",
        "1 if event.own_account else 2",
        "2 ** 100",
        "9 ** 9 ** 9",
        "7 // 2",
        "7 % 2",
        "1 << 20",
        "~1",
        "+1",
        "1 @ 2",
        "1 | 2",
        '"x" * 1000000 == "x"',
        '"a" + "b" == "x"',
        "max(*[1, 2])",
        "max(1, default=2)",
        "event.amount is None",
        "None",
        "...",
        "customer.segments[0]",
        "await event.amount",
        "yield 1",
        "event.amount > 1; 2",
        "event.amount > 1 # comment",
        '"\\x41" == "A"',
        '"""x""" == "x"',
        "ｅvent.amount > 1",
        "еvent.amount > 1",
        "event.amount\u00a0> 1",
        "event.amount ＞ 1",
        "event.amount > ١",
        "_add(1, 2) > 1",
        "s.event",
        "k0",
        "_careful(1)",
    ],
)
def test_nothing_of_python_can_be_reached(text: str) -> None:
    """Attributes, builtins, calls, generated names, look-alike letters: each is a located error."""
    checked, problems = check(text)
    assert checked is None
    assert problems
    assert all(problem.line == 1 and 1 <= problem.column <= len(text) + 1 for problem in problems)


@pytest.mark.parametrize(
    "text",
    [
        "1" * 19 + " > 0",
        "1." + "1" * 18 + " > 0",
        "1 > 0" + " " * 2000,
        "(" * 31 + "1" + ")" * 31 + " > 0",
        "(" * 1000 + "1",
        "not " * 31 + "event.own_account",
        "-" * 900 + "1 > 0",
        "not " * 499 + "true",
        " + ".join(["1"] * 40) + " > 0",
        " and ".join(["event.own_account"] * 110),
        " or ".join(["visits > 1"] * 70),
        "customer.age in [" + ", ".join(["1"] * 101) + "]",
        '"' + "x" * 201 + '" == "x"',
    ],
)
def test_size_is_bounded(text: str) -> None:
    """Length, depth, parts, digits, lists and texts each have a limit."""
    checked, problems = check(text)
    assert checked is None
    assert [problem.code for problem in problems] == ["E035"]


def test_the_largest_allowed_is_read() -> None:
    """Just within the limits everything works."""
    for text in (
        "1" * 18 + " > 0",
        "(" * 30 + "1" + ")" * 30 + " > 0",
        " or ".join(["visits > 1"] * 60),
        "customer.age in [" + ", ".join(["1"] * 100) + "]",
    ):
        checked, problems = check(text)
        assert checked is not None, [str(problem) for problem in problems]
        checked.expression.evaluate(scope_of(full_values()))


def test_several_mistakes_of_one_expression_are_all_reported() -> None:
    """The author sees them at once."""
    _, problems = check('customer.x > 1 and event.direction == "up" and not customer.age', expect="flag")
    assert [(problem.code, problem.column) for problem in problems] == [("E031", 1), ("E033", 39), ("E032", 52)]


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("when: customer.x > 1", [(1, 7)]),
        ("when: >-\n  customer.balance > 1\n  and customer.x > 1\n", [(3, 7)]),
        ("when: >-  # note\n  customer.balance > 1\n\n\n    and customer.x > 1\n  or y > 2", [(5, 9), (6, 6)]),
        ("when: |\n    customer.balance > 1\n    and customer.x > 1\n", [(3, 9)]),
        ("when: customer.balance > 1\n  and\n  customer.x > 1", [(3, 3)]),
        ("when: 'customer.tier == ''mid'' and customer.x > 1'", [(1, 37)]),
        ('when: "customer.tier == \\"mid\\" and customer.x > 1"', [(1, 37)]),
        ('when: "customer.balance > 1 and\n   customer.x > 1"', [(2, 4)]),
        ('when: "customer.bal\\\n   ance > 1 and customer.x > 1"', [(2, 17)]),
        ('when: >-\n  customer.district == "上海"\n  and "北京" in customer.y', [(3, 15)]),
        ("a: [1,\n  2]\nwhen: {x: 1}", [(3, 7)]),
        ("when: >-\n  customer.balance >", [(2, 21)]),
        ("when: 7", [(1, 7)]),
    ],
)
def test_places_are_those_of_the_file(text: str, places: list[tuple[int, int]]) -> None:
    """Folded, literal, quoted, continued and Chinese text: line and column are where the author wrote it."""
    assert [(problem.line, problem.column) for problem in check_yaml(text)] == places


def test_a_name_has_a_reason_where_it_has_no_value() -> None:
    """A part of the scope that never is there is a mistake, not a condition that never holds."""
    context = Context(record_types=frozenset(), absent={"event": "no event wakes the trigger"})
    _, problems = check("event.amount > 1", context)
    assert [str(problem) for problem in problems] == [
        "f.yaml:1:1 E037 event.amount has no value here: no event wakes the trigger (when)"
    ]


def test_an_enum_of_several_events_has_the_values_of_all() -> None:
    """event.channel is another thing on a transaction than on feedback."""
    both = Context(record_types=frozenset({"transaction", "feedback"}))
    assert check('event.channel == "push"', both)[0] is not None
    assert check('event.channel == "atm"', both)[0] is not None
    assert check('event.channel == "atm"', Context(record_types=frozenset({"feedback"})))[0] is None


_PIECES = [
    *["customer.balance", "event.amount", "event", "customer", "peak_7d", "visits", '"mid"', "'x'", "1", "0.5", "true"],
    *[
        "and",
        "or",
        "not",
        "in",
        "is",
        "if",
        "else",
        "lambda",
        "for",
        "None",
        "(",
        ")",
        "[",
        "]",
        ",",
        ".",
        ":",
        "{",
        "}",
    ],
    *["<", "<=", "==", "!=", "=", "+", "-", "*", "/", "%", "**", "max", "round", "crossed_above", "days_until", "__"],
    *["product.matures_on", "customer.segments", "customer.tier", "\n", "\t", "#", "\\", "\0", "é", "\u2028", "\ud800"],
]
_SCOPES = [scope_of({}), *(scope_of(full_values(), kind) for kind in sorted(ALL_RECORDS))]


def _is_located_or_a_value(text: str, context: Context) -> None:
    checked, problems = check(text, context)
    if checked is None:
        assert problems
        lines = text.split("\n")
        for problem in problems:
            assert re.fullmatch(r"E0[13]\d", problem.code)
            assert 1 <= problem.line <= len(lines)
            assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1
        return
    assert not problems
    for scope in _SCOPES:
        checked.expression.evaluate(scope)
        for clause, _ in checked.clauses:
            clause.evaluate(scope)


@settings(max_examples=400, deadline=None)
@given(st.text(max_size=60) | st.lists(st.sampled_from(_PIECES), max_size=12).map(" ".join))
def test_garbage_is_located_or_a_value(text: str) -> None:
    """Random text and random words of the language never give another exception."""
    _is_located_or_a_value(text, ANYWHERE)


@st.composite
def mutants(draw: st.DrawFn) -> str:
    """A valid condition with a few of its tokens dropped, doubled, swapped or replaced."""
    tokens = re.findall(r"\w+|\S", draw(flags))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(tokens) - 1)) if tokens else 0
        action = draw(st.integers(0, 3))
        if action == 0:
            del tokens[at : at + 1]
        elif action == 1:
            tokens[at:at] = tokens[at : at + 1]
        elif action == 2:
            tokens[at : at + 2] = tokens[at : at + 2][::-1]
        else:
            tokens[at : at + 1] = [draw(st.sampled_from(_PIECES))]
    return draw(st.sampled_from(["", " "])).join(tokens)


@settings(max_examples=300, deadline=None)
@given(mutants())
def test_mutants_are_located_or_a_value(text: str) -> None:
    """Conditions with damage in them are located errors, or mean something."""
    _is_located_or_a_value(text, ON_TRANSACTION)


@pytest.mark.parametrize(
    "text", ["max(customer.balance, 10,100) > 1", "customer.age in [10,100]", "(max(1,100)) < customer.age"]
)
def test_commas_between_values_are_no_thousands_separator(text: str) -> None:
    """In a call or a list three digits after a comma are a value of their own."""
    checked, problems = check(text, expect="flag")
    assert checked is not None, problems


@pytest.mark.parametrize("text", ["event.amount > 10,50", "event.amount > 10,5000"])
def test_only_three_digits_are_a_group(text: str) -> None:
    """What is no thousands separator is not called one: the number would be another one than was meant."""
    problems = check(text, expect="flag")[1]
    assert problems
    assert not [problem for problem in problems if "thousands" in problem.message]


@pytest.mark.parametrize("text", ["event.__class__", "customer.__dict__ == 1", "event.amount.__class__"])
def test_no_name_is_near_pythons_own(text: str) -> None:
    """Whoever writes such a name means no field."""
    (problem,) = check(text)[1]
    assert "did you mean" not in problem.message
