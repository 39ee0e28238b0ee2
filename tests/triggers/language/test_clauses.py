"""A condition as a tree of clauses: its leaves, their places in the file, what each reads."""

from __future__ import annotations

import pytest

from tests.support.casework import FIRES, SILENT, load_trigger, trigger_text
from triggers.language.clauses import Clause


def condition_of(when: str, more: str = "", on: str = "transaction") -> Clause:
    """The clauses of a condition, written as it stands in YAML."""
    _, trigger = load_trigger(trigger_text(FIRES, SILENT, when=when, more=more, on=on))
    assert trigger.condition is not None
    return trigger.condition


def shape(clause: Clause) -> object:
    """The operators and leaves, without places."""
    return (clause.operator, *map(shape, clause.parts)) if clause.operator else clause.source


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("event.own_account", "event.own_account"),
        (
            "event.amount > 1 and not event.own_account",
            ("and", "event.amount > 1", ("not", "event.own_account")),
        ),
        (
            "(event.amount > 1 or event.own_account) and customer.employee",
            ("and", ("or", "event.amount > 1", "event.own_account"), "customer.employee"),
        ),
        ("1 < event.amount <= 9", ("and", "1 < event.amount", "event.amount <= 9")),
        ("event.own_account == (customer.employee or customer.app_user)",) * 2,
        ("crossed_above(customer.balance, 50)",) * 2,
    ],
)
def test_the_leaves_are_comparisons_flags_and_helpers(when: str, expected: object) -> None:
    """Each comparison of a chain is one; what stands inside a comparison is not taken apart."""
    assert shape(condition_of(when)) == expected


def test_leaves_know_their_places_in_a_folded_text() -> None:
    """Line and column of the file, also below a ``>-``."""
    text = trigger_text(FIRES, SILENT, when=">-\n  event.amount > 1\n  and not event.own_account")
    _, trigger = load_trigger(text)
    assert trigger.condition is not None
    lines = text.splitlines()
    found = [(leaf.source, leaf.line, leaf.column) for leaf in trigger.condition.leaves()]
    assert [lines[line - 1][column - 1 :] for _, line, column in found] == ["event.amount > 1", "event.own_account"]


@pytest.mark.parametrize(
    ("when", "operands"),
    [
        ("customer.balance <= peak * 0.7", ["customer.balance", "peak", "peak * 0.7"]),
        ('customer.tier in ["mid", "high"] and peak > 1', ["customer.tier"]),
        (
            "max(event.amount, 5) > -customer.aum and peak > 1",
            ["event.amount", "customer.aum", "max(event.amount, 5)", "-customer.aum"],
        ),
        ("crossed_above(customer.balance, peak / 2)", ["before.balance", "customer.balance", "peak", "peak / 2"]),
    ],
)
def test_a_leaf_reads_names_and_what_is_worked_out_from_them(when: str, operands: list[str]) -> None:
    """Names first, each once; then the sides of the comparison that are neither a name nor a literal."""
    leaf = next(condition_of(when, more="features: {peak: {max: customer.balance, over: 7d}}\n").leaves())
    assert [operand.source for operand in leaf.operands] == operands


def test_a_trigger_without_a_condition_has_no_clauses() -> None:
    """There is nothing to cover."""
    text = trigger_text(FIRES, SILENT).replace("when: event.amount >= 500\n", "")
    _, trigger = load_trigger(text)
    assert trigger.condition is None
