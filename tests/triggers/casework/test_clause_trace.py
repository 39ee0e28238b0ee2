"""Every evaluation is noted with the value of each clause and of what it read, as the engine saw them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tests.support.bank import Customer, at, profile, transaction
from tests.support.casework import FIRES, SILENT, load_trigger, trigger_text
from tests.triggers.language.slow_interpreter import interpret
from tests.triggers.language.worlds import ANYWHERE, check
from triggers.casework.trace import Evaluated, Finding, TracedEvaluation, Window
from triggers.engine.customer import CustomerStage
from triggers.language.clauses import read_clauses
from triggers.language.document import Document
from triggers.language.model import RuleSet

FLAGS = ["customer.online_wealth_user", "customer.app_user", "customer.mobile_valid"]
formulas: st.SearchStrategy[str] = st.recursive(
    st.sampled_from(FLAGS),
    lambda inner: (
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda three: f"({' '.join(three)})")
        | inner.map(lambda part: f"not ({part})")
    ),
    max_leaves=6,
)


class Watched(Customer):
    """A customer whose evaluations of the trigger ``large`` are noted."""

    def __init__(self, rules: RuleSet) -> None:
        super().__init__(rules)
        self.run = TracedEvaluation("bank", {"large"})
        self.stage = CustomerStage("bank", self.run)

    @property
    def trace(self) -> list[Evaluated]:
        """What was noted so far."""
        return self.run.trace


def leaves(finding: Finding | None) -> Iterator[Finding]:
    """The leaves of a finding, in order."""
    assert finding is not None
    if not finding.clause.operator:
        yield finding
    for part in finding.parts:
        yield from leaves(part)


@given(formulas, st.lists(st.tuples(*[st.sampled_from([True, False, None])] * 3), min_size=1, max_size=4))
def test_each_clause_has_the_value_that_an_independent_reading_gives(formula: str, values: list[tuple[bool]]) -> None:
    """The whole and every part, three-valued, at every evaluation; the trigger fires where the whole is true."""
    customer = Watched(_on_profile(formula))
    for number, given_values in enumerate(values, start=1):
        named = dict(zip(FLAGS, given_values, strict=True))
        fields = {name.removeprefix("customer."): value for name, value in named.items()}
        came = customer.feed(profile(f"p{number}", number, occurred_at=at(30 * number), **fields))
        noted = customer.trace[-1]
        assert len(customer.trace) == number
        assert noted.finding is not None
        for finding in _all(noted.finding):
            assert finding.value is interpret(finding.clause.source, named, date(2026, 3, 2)), finding.clause.source
        assert noted.fires is (noted.finding.value is True)
        assert bool(came) is noted.fires
        for leaf in leaves(noted.finding):
            assert [(read.source, read.value) for read in leaf.readings] == [
                (leaf.clause.source, named[leaf.clause.source])
            ]


def _on_profile(formula: str) -> RuleSet:
    """A rule set with this condition, also one that a check would refuse for being always the same."""
    rules, trigger = load_trigger(trigger_text(FIRES, SILENT, on="profile", when="customer.app_user"))
    checked, problems = check(formula, ANYWHERE, expect="flag")
    assert checked is not None, problems
    condition = read_clauses(Document("large.yaml", formula, checked.node), checked)
    return replace(rules, triggers=(replace(trigger, when=checked.expression, condition=condition),))


def _all(finding: Finding) -> Iterator[Finding]:
    yield finding
    for part in finding.parts:
        yield from _all(part)


def test_features_are_read_with_their_window_and_samples() -> None:
    """The value, the function, what it is over, how long, and how many samples it saw."""
    features = "features:\n  most: {max: customer.balance, over: 7d}\n  spent: {sum: event.amount, over: 2d}\n"
    when = "customer.balance < most * 0.5 and spent >= 100"
    customer = Watched(load_trigger(trigger_text(FIRES, SILENT, when=when, more=features))[0])
    customer.feed(transaction("t1", 1, -60, 940))
    customer.feed(transaction("t2", 2, -540, 400, occurred_at=at(1)))
    customer.feed(transaction("t3", 3, -100, 300, occurred_at=at(2, hours=1)))
    first, second, third = customer.trace
    assert [one.at for one in customer.trace] == [
        first.at,
        first.at + 86_400_000,
        first.at + 2 * 86_400_000 + 3_600_000,
    ]
    read = {reading.source: reading for leaf in leaves(third.finding) for reading in leaf.readings}
    assert {name: reading.value for name, reading in read.items()} == {
        "customer.balance": Decimal(300),
        "most": Decimal(1000),
        "most * 0.5": Decimal(500),
        "spent": Decimal(640),
    }
    assert read["most"].window == Window("max", "customer.balance", 7 * 86_400_000, 4)
    assert read["spent"].window == Window("sum", "event.amount", 2 * 86_400_000, 2)
    assert read["customer.balance"].window is None
    assert [leaf.value for leaf in leaves(second.finding)] == [True, True]
    assert (second.fires, first.fires) == (True, False)


def test_only_the_samples_of_the_window_count() -> None:
    """Those before it are kept for longer windows, and are not seen by this one."""
    features = "features:\n  spent: {sum: event.amount, over: 2d}\n  month: {sum: event.amount, over: 30d}\n"
    customer = Watched(load_trigger(trigger_text(FIRES, SILENT, when="spent > 1 and month > 1", more=features))[0])
    for number, day in enumerate([0, 5, 6], start=1):
        customer.feed(transaction(f"t{number}", number, -1, 1000 - number, occurred_at=at(day)))
    windows = [reading.window for leaf in leaves(customer.trace[-1].finding) for reading in leaf.readings]
    assert [window.samples for window in windows if window] == [2, 3]


def test_all_clauses_are_worked_out_even_where_the_first_decides() -> None:
    """The engine stops at the first false; whoever reads the trace wants all."""
    when = "event.amount > 100 and not event.own_account"
    customer = Watched(load_trigger(trigger_text(FIRES, SILENT, when=when))[0])
    customer.feed(transaction("t1", 1, -60, 940, own_account=True))
    assert [leaf.value for leaf in leaves(customer.trace[0].finding)] == [False, True]


def test_what_time_wakes_is_noted_without_an_event() -> None:
    """A silence has the occasion and both times."""
    text = trigger_text(FIRES, SILENT, on="{silence: transaction, for: 90d}", when="customer.balance > 5")
    customer = Watched(load_trigger(text)[0])
    customer.feed(transaction("t1", 1, -60, 940))
    customer.run_to(at(91))
    (noted,) = customer.trace
    assert (noted.event, noted.occasion.partition(":")[0], noted.at == noted.clock) == (None, "silence", True)
    assert noted.at == int(at(90).timestamp() * 1000)


def test_only_watched_triggers_are_noted() -> None:
    """Others run as ever."""
    customer = Watched(load_trigger(trigger_text(FIRES, SILENT))[0])
    customer.run.watched = {"other"}
    assert customer.feed(transaction("t1", 1, -600, 940))
    assert customer.trace == []


def test_a_trace_changes_nothing() -> None:
    """The same outputs and the same state as without."""
    rules, _ = load_trigger(trigger_text(FIRES, SILENT, more="once_per: 2d\n"))
    plain, watched = Customer(rules), Watched(rules)
    for number, amount in enumerate([-600, -10, -700, -800], start=1):
        record = transaction(f"t{number}", number, amount, 5000, occurred_at=at(number))
        assert plain.feed(record) == watched.feed(record)
    assert plain.stage.encode(plain.state) == watched.stage.encode(watched.state)
    assert len(watched.trace) == 4
