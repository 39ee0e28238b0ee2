"""How the cost of an event grows: the targets and the pictures are of the medians of the rounds."""

from __future__ import annotations

import argparse
import ast
import json
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest

from schemas.decode import decode
from schemas.encode import encode
from schemas.topics import DECISIONS, TOPIC
from tests.benchmarks import growth
from tests.benchmarks.expectation import outputs_of
from tests.benchmarks.growth import (
    Drain,
    Figure,
    Size,
    Stand,
    _publish_rest,
    _sizes,
    explained,
    noise,
    parts_of,
    pictures,
    table,
    targets,
    who_paid,
)
from tests.benchmarks.rule_sets import rule_files, rule_set
from tests.benchmarks.work import RULES, holdings, profiles, transactions
from tests.support.bank import transaction
from tests.support.system import Event
from triggers.engine.customer import CustomerStage
from triggers.engine.plan import Plan
from triggers.engine.usual import UsualTransactions
from triggers.language.loader import load_documents


def _figure(axis: str, value: int, *costs: float, memory: float = 100.0, kept: float = 500.0) -> Figure:
    rounds = [Drain(1e6 / cost, cost) for cost in costs]
    return Figure(axis, value, Size(10_000, 10, 1), rounds, memory, kept, events_kept=273_600)


def test_each_target_is_of_its_row() -> None:
    """The triggers' by processor time; what customers take by those with a month of events, and of 100,000."""
    found = targets(
        [
            _figure("triggers", 10, 40, 50, 90),
            _figure("triggers", 200, 120, 125, 10),
            _figure("window", 30, 50, kept=700.0),
            _figure("customers", 100_000, 50, memory=320.0),
        ]
    )
    assert [(target.found, target.met) for target in found] == [(2.4, True), (700.0, True), (320.0, True)]
    kept, memory = found[1:]
    assert kept.of == "the mean of 10,000 customers with 27 events each"
    assert memory.of == "10,000 customers with 273,600 events together"


def test_the_table_has_the_range_and_each_axis_its_picture() -> None:
    """Of workers the picture shows how much they drain."""
    figures = [_figure("workers", 1, 50), _figure("workers", 2, 40), _figure("window", 30, 20, 30, 25)]
    assert "25.0" in table(figures)
    assert "20.0-30.0" in table(figures)
    drawn = pictures(figures)
    assert ">20,000<" in drawn["workers"]
    assert ">25,000<" in drawn["workers"]
    assert ">30 events of a customer<" in drawn["window"]
    assert ">25<" in drawn["window"]


def test_an_axis_says_whether_its_rounds_lie_apart() -> None:
    """By the ranges of its first and its last row; of workers by what they drain in a second."""
    low, high = _figure("customers", 10, 40, 50, 45), _figure("customers", 99, 51, 70)
    apart = "the ranges of their rounds, 40.0 to 50.0 and 51.0 to 70.0, do not overlap: it is more than noise"
    assert noise(low, high) == apart
    assert apart in explained([low, high])[0]
    assert noise(high, low).endswith("it is more than noise")
    for costs in ((50, 70), (30, 60), (43, 44), (1, 40)):
        assert noise(low, _figure("customers", 99, *costs)).endswith("overlap: the difference may be noise")
    # Drained in a second: 20,000 to 25,000, and 10,000 to 15,000 of each that costs twice as much.
    one, two = _figure("workers", 1, 40, 50), _figure("workers", 2, 1e6 / 15_000, 100)
    assert "20,000 to 25,000 and 10,000 to 15,000, do not overlap" in noise(one, two)


def test_windows_are_full_at_the_end() -> None:
    """So many customers that each has as many events as the axis says, those of the rounds too."""
    given = argparse.Namespace(
        fill=100, rounds=5, warm=10, events=30, customers=[], triggers=[], workers=[], window=[30, 3_000]
    )
    base = Size(customers=10_000, triggers=10, workers=1)
    assert [(size.customers, size.fill) for _, _, size in _sizes(given, base)] == [(10, 100), (1, 100)]


def test_windows_are_full_though_there_was_no_time_for_all_rounds() -> None:
    """What the rounds left is published before the bytes are counted."""
    published = 0

    def publish(events: Iterable[Event]) -> int:
        nonlocal published
        published = len(list(events))
        return published

    size = Size(customers=4, triggers=10, workers=1, fill=10, window=5)
    stand = Stand(size, SimpleNamespace(publish=publish), transactions(20, 4), total=10)  # type: ignore[arg-type]  # enough of a system
    stand.sent = len(list(islice(stand.flow, 15)))
    _publish_rest(stand)
    assert (published, stand.sent) == (5, 20)


def test_each_axis_says_what_its_figures_come_to() -> None:
    """What a further customer costs is told by the states that were not in the cache; every axis has its reason."""

    def figure(axis: str, value: int, cost: float, missed: int) -> Figure:
        return Figure(
            axis, value, Size(value, 10, 1), [Drain(1e6 / cost, cost, 1_000, 800, missed)], 100.0, 500.0, 75, 30.0, 2.0
        )

    told = explained(
        [
            figure("customers", 10_000, 40, 100),
            figure("customers", 1_000_000, 70, 600),
            figure("triggers", 10, 40, 0),
            figure("triggers", 210, 60, 0),
            figure("workers", 1, 40, 0),
            figure("workers", 4, 50, 0),
            figure("window", 30, 50, 0),
        ]
    )
    assert [line.split(":")[0] for line in told] == [
        "customers",
        "triggers",
        "workers",
        "memory with 1,000,000 customers",
    ]
    assert "make +30.0 us" in told[0]
    assert "+0.50 states that are not in the cache: 60 us for each" in told[0]
    assert "make +20.0 us of processor time an event, 0.100 us for each further one" in told[1]
    assert "4 drain 0.80 times what 1 does" in told[2]
    assert {figure.axis for figure in _all_axes()} <= growth._WHY.keys()
    row = table([figure("customers", 1_000_000, 70, 500)]).splitlines()[1]
    assert told[-1].startswith("memory with 1,000,000 customers: 100 MiB, of which 30 are there before")
    assert row.split()[-5:] == ["37.5%", "100", "1,000,000", "75", "500"]


def _all_axes() -> list[Figure]:
    given = argparse.Namespace(fill=1, rounds=1, warm=1, events=1, customers=[1], triggers=[1], workers=[1], window=[1])
    return [_figure(axis, value, 1.0) for axis, value, _ in _sizes(given, Size(1, 1, 1))]


def test_what_those_who_paid_were_sent_is_the_engines_and_once() -> None:
    """Others' messages and withdrawals do not matter; a decision may name an action and is no action."""
    sent = [
        json.dumps(body).encode()
        for body in (
            {"type": "action", "customer_id": "C1", "action_id": "a1"},
            {"customer_id": "C1", "decision_id": "d1", "action_id": "a1"},
            {"type": "cancellation", "customer_id": "C1", "action_id": "a0"},
            {"type": "action", "customer_id": "C2", "action_id": "a2"},
        )
    ]
    assert who_paid(sent, {"C1"}, {"a1", "d1"}) == ""
    assert who_paid(sent, {"C1"}, {"a1", "d1", "a3"}) == "void: id a3 is missing (1 missing, 0 too many)"
    assert who_paid(sent, {"C1", "C2"}, {"a1", "d1"}) == "void: id a2 should not be there (0 missing, 1 too many)"
    assert who_paid([*sent, sent[1]], {"C1"}, {"a1", "d1"}) == "void: 1 messages stand there twice"


class _Kept:
    """A system of which there is only what it sent."""

    rules, partitions = RULES, 4

    def __init__(self, sent: list[bytes]) -> None:
        self._sent = sent

    def read(self, topic: str) -> list[SimpleNamespace]:
        return [SimpleNamespace(value=value) for value in self._sent] if topic == DECISIONS else []


def test_a_large_system_is_held_against_the_engine() -> None:
    """Over the events that it was sent. One message too few ends the run."""
    known, flow = [*profiles(40), *holdings(40)], list(transactions(900, 40))
    sent = [encode(output) for output in outputs_of(RULES, [*known, *flow[:800]], 4)]
    stand = Stand(Size(40, 10, 1), _Kept(sent), iter(()), total=900, sent=800)  # type: ignore[arg-type]  # as if
    growth._check_who_paid(stand)
    stand.system = _Kept(sent[1:])  # type: ignore[assignment]  # as if
    with pytest.raises(SystemExit, match=r"40 customers, .*void: id .* is missing \(1 missing, 0 too many\)"):
        growth._check_who_paid(stand)


def _run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, whole: Any, who_paid: Any) -> None:
    """Three systems, one of which is large; broker, store and workers left out."""
    monkeypatch.setattr(growth, "KafkaBroker", lambda *_, **__: nullcontext(SimpleNamespace(bootstrap="")))
    monkeypatch.setattr(growth, "EmbeddedRedis", lambda *_, **__: nullcontext(SimpleNamespace(url="")))
    monkeypatch.setattr(growth, "_set_up", lambda *at: Stand(at[4], MagicMock(name=str(at[4])), iter(()), at[5]))
    monkeypatch.setattr(growth, "_round", lambda stand, *_: stand.drains.append(Drain(1.0, 1.0, 1, 1, 1)))
    monkeypatch.setattr(growth, "_publish_rest", lambda _: None)
    monkeypatch.setattr(growth, "_start", lambda _: [])
    monkeypatch.setattr(growth, "_stop", lambda *_: None)
    monkeypatch.setattr(growth, "_bytes_of", lambda *_: 1)
    monkeypatch.setattr(growth, "check_undisturbed", whole)
    monkeypatch.setattr(growth, "_check_who_paid", who_paid)
    axes: dict[str, list[int]] = {"customers": [10, 300_000], "triggers": [], "workers": [1, 2], "window": []}
    sizes = {"events": 1, "warm": 1, "fill": 1, "rounds": 2, "minutes": None, "until": None}
    growth.run(argparse.Namespace(**axes, **sizes, pictures=None, json=tmp_path / "growth.json"))


def test_every_system_is_checked_after_the_last_round(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Those that are not large by the whole of it; what differs in one ends the run without figures."""
    whole: list[object] = []
    paid: list[tuple[int, int]] = []

    def differ(_: object) -> None:
        raise SystemExit("void: 1 messages")

    keep: Callable[[Stand], None] = lambda stand: paid.append((stand.size.customers, len(stand.drains)))  # noqa: E731
    _run(monkeypatch, tmp_path, whole.append, keep)
    assert len(set(map(id, whole))) == 3  # of 10 customers, and of 10,000 with one and two workers
    assert paid == [(300_000, 2)]
    assert (tmp_path / "growth.json").exists()
    for checks in ((whole.append, differ), (differ, keep)):
        (tmp_path / "growth.json").unlink(missing_ok=True)
        with pytest.raises(SystemExit, match="void: 1 messages"):
            _run(monkeypatch, tmp_path, *checks)
        assert not (tmp_path / "growth.json").exists()


def test_triggers_that_an_event_does_not_concern_ask_nothing_of_it() -> None:
    """The function that such a payment runs has as many conditions with two hundred triggers as with ten, where the
    others ask for other kinds, visits, products and silences; of a salary some of them do ask."""
    plain, files = rule_files(policy="full"), rule_files(triggers=240, policy="full")
    others = {name: text for name, text in files.items() if name in plain or '"on": "transaction",' not in text}
    assert len(others) - len(plain) > 180
    asked: list[list[int]] = []
    for rules in (plain, others):
        ruleset = load_documents(rules).ruleset
        assert ruleset is not None
        functions = UsualTransactions(Plan(ruleset))
        trees = [
            ast.parse(functions.source(transaction("t", 1, -10, 100, kind=kind)))
            for kind in ("card", "transfer", "salary")
        ]
        asked.append([sum(isinstance(node, ast.If | ast.IfExp | ast.Compare) for node in ast.walk(t)) for t in trees])
    (card, transfer, salary), (card_of_many, transfer_of_many, salary_of_many) = asked
    assert card == card_of_many > 100
    assert transfer == transfer_of_many
    assert salary < salary_of_many


def test_the_sections_of_a_state_make_up_its_bytes() -> None:
    """But for the few that frame them; the largest is told first."""
    stage, state = CustomerStage("bank"), CustomerStage("bank").fresh("C0000000")
    ruleset = rule_set(policy="full")
    for event in [*profiles(1), *holdings(1), *transactions(30, 1)]:
        stage.process(decode(TOPIC[event.topic], "bank", event.key, event.value), state, ruleset, None)
    data = stage.encode(state)
    assert data is not None
    parts = parts_of([("C0000000", data), ("C0000000", data)])
    assert 0 < len(data) - sum(parts.values()) < 8
    assert next(iter(parts)) == "series"
    told = explained([replace(_figure("window", 30, 40), parts={"series": 1_234.0, "seen": 5.0})])
    assert told[0] == "state with 30 events, bytes by section before it is compressed: series 1,234, seen 5"
    assert len(told) == 2
