"""The simulated bank: repeatable, its books add up, every shipped trigger and every mistake of a publisher occurs."""

from __future__ import annotations

import time
import warnings
from collections import Counter, defaultdict, deque
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

import triggers
from schemas.actions import Cancellation, NextBestAction
from schemas.base import to_ms
from schemas.dead_letter import Reason
from schemas.decisions import Decision
from schemas.decode import Rejected, decode
from schemas.desk import DeskManager, DeskStep, Standing
from schemas.topics import TOPIC
from streams.embedded_broker import EmbeddedBroker
from streams.simulator import BankPlan, BankRecord, simulate_bank
from streams.simulator.desks import answer_to
from streams.simulator.records import START_MS
from triggers.desk.managers import ManagerStage
from triggers.desk.stage import DeskStage
from triggers.desk.work import HANDOVER
from triggers.engine.customer import CustomerStage
from triggers.engine.stage import Outcome
from triggers.language.loader import load_ruleset

with warnings.catch_warnings():
    # kafka-python reads its own data by a call that Python 3.11 deprecates.
    warnings.simplefilter("ignore", DeprecationWarning)
    from kafka import KafkaConsumer, TopicPartition

    from streams.kits.notifier import feedback_of
    from streams.simulator.outreach import SimulatedOutreach
    from streams.simulator.publish import BankPublisher, Pace

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:kafka.*")

PLAN = BankPlan(events=9_000)
CLIENT = {"api_version": (2, 1)}


@pytest.fixture(scope="module")
def records() -> list[BankRecord]:
    """The messages of a bank."""
    return simulate_bank(PLAN)


def test_same_plan_gives_the_same_bytes(records: list[BankRecord]) -> None:
    """The same plan gives the same messages; another seed gives others."""
    assert simulate_bank(PLAN) == records
    assert simulate_bank(BankPlan(events=6_000, seed=2)) != records


def test_gives_what_was_asked_for(records: list[BankRecord]) -> None:
    """As many messages as planned, in the order of arrival, all within the simulated days and a few after."""
    assert len(records) == PLAN.events
    assert all(earlier.at_ms <= later.at_ms for earlier, later in pairwise(records))
    assert records[0].at_ms == START_MS
    assert records[-1].at_ms < START_MS + (PLAN.days + 7) * 86_400_000


@pytest.mark.parametrize("events", [100, 500, 1_500])
def test_small_banks_stay_valid(events: int) -> None:
    """A bank too small for its stories has a few messages more than asked for, and all of them are in order."""
    small = simulate_bank(BankPlan(events=events))
    assert events <= len(small) <= events + 300
    assert {record.what for record in small} == {"event", "duplicate", "spoiled"}


def test_good_records_are_read(records: list[BankRecord]) -> None:
    """Every event and duplicate is a valid record of its topic, under its key."""
    for record in records:
        if record.reason is None:
            read = decode(TOPIC[record.topic], PLAN.tenant, record.key, record.value)
            assert not isinstance(read, Rejected), read
            assert to_ms(read.occurred_at) == record.occurred_ms  # type: ignore[attr-defined]  # every event has it
            assert record.at_ms >= record.occurred_ms


def test_spoiled_records_are_refused_as_said(records: list[BankRecord]) -> None:
    """Every spoiled record is refused for the reason it names; every reason that a publisher can cause occurs."""
    spoiled = [record for record in records if record.what == "spoiled"]
    for record in spoiled:
        if record.reason not in (Reason.TOO_LATE, Reason.UNKNOWN_ACTION):  # the engine says so
            read = decode(TOPIC[record.topic], PLAN.tenant, record.key, record.value)
            assert isinstance(read, Rejected)
            assert read.reason is record.reason
    # The future is judged by the wall clock; a contradiction needs two dates, which a transaction has not; how much
    # waits for a link depends on how far the clock has come; which channel an action went out by, on what was decided.
    elsewhere = {Reason.FROM_THE_FUTURE, Reason.CONTRADICTION, Reason.TOO_MANY_HELD, Reason.OTHER_CHANNEL}
    assert {record.reason for record in spoiled} == set(Reason) - elsewhere


def test_books_add_up(records: list[BankRecord]) -> None:
    """Per account the sequence runs without a gap and each balance is the one before plus the amount."""
    accounts: dict[str, dict[int, dict[str, Any]]] = defaultdict(dict)
    for body in _transactions(records):
        accounts[body["account_id"]][body["sequence"]] = body
    assert len(accounts) > 100
    for history in accounts.values():
        assert sorted(history) == list(range(1, len(history) + 1))
        ordered = [history[number] for number in sorted(history)]
        for before, after in pairwise(ordered):
            assert Decimal(after["balance_after"]) == Decimal(before["balance_after"]) + _signed(after)
            assert after["occurred_at"] >= before["occurred_at"]


def test_reversals_take_back_the_whole(records: list[BankRecord]) -> None:
    """A reversal moves the same amount the other way on the same account, after its original."""
    by_id = {body["event_id"]: body for body in _transactions(records)}
    reversals = [body for body in by_id.values() if body["reversal_of"]]
    assert len(reversals) > 10
    for reversal in reversals:
        original = by_id[reversal["reversal_of"]]
        assert _signed(reversal) == -_signed(original)
        assert reversal["account_id"] == original["account_id"]
        assert reversal["sequence"] > original["sequence"]


def test_transfers_between_own_accounts_have_two_legs(records: list[BankRecord]) -> None:
    """Both legs carry the transfer's id and the own-account flag, on two accounts of one customer, and sum to zero."""
    legs: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for body in _transactions(records):
        assert body["own_account"] == (body["transfer_id"] is not None)
        if body["transfer_id"]:
            legs[body["transfer_id"]].append(body)
    assert legs
    for out, back in legs.values():
        assert _signed(out) + _signed(back) == 0
        assert out["account_id"] != back["account_id"]
        assert out["customer_id"] == back["customer_id"]


def test_duplicates_and_late_records_come(records: list[BankRecord]) -> None:
    """Duplicates are the same bytes after the original; some records come behind later ones of their account."""
    first: dict[str | None, BankRecord] = {}
    newest: dict[bytes | None, int] = {}
    duplicates = overtaken = 0
    for record in records:
        if record.what == "duplicate":
            duplicates += 1
            original = first[record.event_id]
            assert (original.topic, original.key, original.value) == (record.topic, record.key, record.value)
        elif record.what == "event":
            assert record.event_id not in first
            first[record.event_id] = record
            if record.topic == "bank.transactions":
                overtaken += record.occurred_ms < newest.get(record.key, 0)
                newest[record.key] = max(newest.get(record.key, 0), record.occurred_ms)
    assert duplicates == PLAN.events // 50
    assert overtaken > 20


def test_every_shipped_trigger_fires(records: list[BankRecord]) -> None:
    """Under the triggers that ship, with customers who answer, each one sends; some actions are withdrawn.

    What comes too late is set aside, and what is said of actions that nobody had.
    """
    loaded = load_ruleset([Path(next(iter(triggers.__path__))) / "library"])
    assert loaded.ruleset is not None
    stages = {stage.name: stage for stage in (CustomerStage("bank"), ManagerStage("bank"), DeskStage("bank"))}
    states: dict[tuple[str, str], Any] = {}
    outputs: list[Any] = []
    set_aside: list[tuple[str | None, Reason | None]] = []
    waiting: deque[Any] = deque()
    outreach, withdrawn = SimulatedOutreach(), set[str]()

    def keep(outcome: Outcome | None, record: BankRecord | None = None) -> None:
        """What came of it; what another stage reads waits, and so does what people answer to it."""
        if outcome is None:
            return
        outputs.extend(outcome.outputs)
        waiting.extend(output for output in outcome.outputs if isinstance(output, Standing | DeskStep | DeskManager))
        for output in outcome.outputs:
            if isinstance(output, NextBestAction):
                outreach.deliver(output)
            elif isinstance(output, Cancellation):
                withdrawn.add(output.action_id)
            answer = answer_to(output) if isinstance(output, NextBestAction) else None
            if answer is not None:
                waiting.append(decode(TOPIC[answer.topic], PLAN.tenant, answer.key, answer.value))
        if outcome.rejected is not None and record is not None:
            set_aside.append((record.event_id, outcome.rejected.reason))

    def take(event: Any, name: str, record: BankRecord | None = None) -> None:
        stage: Any = stages[name]
        key = stage.key_of(event)
        state = states.setdefault((name, key), stage.fresh(key))
        keep(stage.process(event, state, loaded.ruleset, None), record)

    of_record = {Standing: "desk", DeskManager: "desk", DeskStep: "customer"}

    def settle() -> None:
        while waiting:
            told = waiting.popleft()
            take(told, of_record.get(type(told), "desk"))

    def sweep(until: int) -> None:
        for (name, _), state in list(states.items()):
            stage: Any = stages[name]
            due = stage.next_due(state)
            if due is not None and due <= until:
                keep(stage.run_timers(state, loaded.ruleset, until, None))
                settle()

    def report(action: NextBestAction, what: Any, when: datetime) -> None:
        take(feedback_of(action, what, when), "customer")
        settle()

    def may_send(action: NextBestAction, at_ms: int) -> bool:
        return action.action_id not in withdrawn and to_ms(action.expires_at) > at_ms

    swept = 0
    for record in records:
        if record.at_ms > swept + 6 * 3_600_000:  # as a worker does: what is due goes out though nothing comes
            swept = record.at_ms
            sweep(swept)
        outreach.advance(record.at_ms, report, may_send)
        event = decode(TOPIC[record.topic], PLAN.tenant, record.key, record.value)
        if isinstance(event, Rejected) or TOPIC[record.topic].stage not in stages:
            continue
        take(event, str(TOPIC[record.topic].stage), record)
        settle()
    sweep(records[-1].at_ms)
    live = {trigger.id for trigger in loaded.ruleset.triggers if trigger.status == "live"}
    fired = Counter(output.trigger for output in outputs if isinstance(output, NextBestAction))
    assert fired.keys() - {HANDOVER} == live, "a trigger that ships needs a story in streams/simulator/customers.py"
    reasons = {output.reason for output in outputs if isinstance(output, Cancellation)}
    assert reasons >= {"reversed", "corrected", "redeemed", "rolled_over", "bought", "refused", "ended", "opted_out"}
    customers = [state for (name, _), state in states.items() if name == "customer"]
    classes = [name for state in customers for name in state.tags if name.startswith("class_")]
    assert len(classes) == len(customers), "a customer is in exactly one of the classes A to D"
    assert 0.1 <= classes.count("class_a") / len(customers) <= 0.3
    assert 0.2 <= classes.count("class_b") / len(customers) <= 0.4
    suppressed = {
        output.reason for output in outputs if isinstance(output, Decision) and output.outcome == "suppressed"
    }
    assert suppressed >= {"excluded", "no_consent", "capped", "once_per", "not_rearmed", "outranked"}
    done = Counter(output.step for output in outputs if isinstance(output, DeskStep))
    assert done.keys() >= {"assigned", "handed_over", "call"}
    of_engine = (Reason.TOO_LATE, Reason.UNKNOWN_ACTION)
    marked = [(record.event_id, record.reason) for record in records if record.reason in of_engine]
    assert sorted(map(str, set_aside)) == sorted(map(str, marked))
    assert {reason for _, reason in marked} == set(of_engine)


def test_publisher_keeps_order_and_places() -> None:
    """Every message stands on its topic under its key; per partition in order; spoiled ones where it says."""
    records = simulate_bank(BankPlan(events=400))
    with EmbeddedBroker() as broker:
        for topic in {record.topic for record in records}:
            broker.create_topic(topic)
        publisher = BankPublisher((broker.bootstrap,), client=CLIENT)
        try:
            pace = Pace(START_MS, records[-1].at_ms, 0.3, time.monotonic())
            assert publisher.play(records, pace, lambda: False)
            read = _read_all(broker.bootstrap, sorted({record.topic for record in records}), len(records))
        finally:
            publisher.close()
    published = publisher.published
    assert published.count == len(records)
    assert published.reached_ms == records[-1].at_ms
    standing = {place: (message.key, message.value) for place, message in read.items()}
    assert Counter(standing.values()) == Counter((record.key, record.value) for record in records)
    for record, place in published.where:
        assert standing[place] == (record.key, record.value)
    assert {id(record) for record, _ in published.where} >= {id(r) for r in records if r.what != "event"}
    events = {record.event_id: record.occurred_ms for record in records if record.what == "event"}
    assert {event_id: handed.occurred_ms for event_id, handed in published.when.items()} == events
    wanted = defaultdict(list)
    for record in records:
        wanted[record.topic, record.key].append(record.value)
    came = defaultdict(list)
    for (topic, _, _), message in sorted(read.items()):
        came[topic, message.key].append(message.value)
    del wanted["bank.transactions", None], came["bank.transactions", None]  # without a key, any partition will do
    assert came == wanted


def test_publisher_stops_when_told() -> None:
    """A bank told to stop publishes no more, and says so."""
    records = simulate_bank(BankPlan(events=100))
    with EmbeddedBroker() as broker:
        publisher = BankPublisher((broker.bootstrap,), client=CLIENT)
        try:
            pace = Pace(START_MS, records[-1].at_ms, 600.0, time.monotonic())
            assert not publisher.play(records, pace, lambda: publisher.published.count >= 20)
            assert 20 <= publisher.published.count < len(records)
        finally:
            publisher.close()


def test_ids_of_channels_are_linked_before_and_after_they_are_used(records: list[BankRecord]) -> None:
    """Some behaviour comes before the link of its id, some ids move, some customers merge, some ids stay unknown."""
    by_topic: dict[str, list[BankRecord]] = defaultdict(list)
    for record in records:
        if record.what == "event":
            by_topic[record.topic].append(record)
    linked: dict[bytes | None, list[int]] = defaultdict(list)
    for record in by_topic["bank.identity-links"]:
        linked[record.key].append(record.at_ms)
    behaviour = by_topic["bank.channel-behaviour"]
    assert any(record.at_ms < min(linked.get(record.key, [0])) for record in behaviour)
    assert any(len(linked[record.key]) == 2 for record in behaviour)
    assert any(record.key not in linked and not record.whose for record in behaviour)
    assert by_topic["bank.customer-merges"]
    assert all((record.whose is not None) == (record.topic == "bank.channel-behaviour") for record in records)


def _transactions(records: list[BankRecord]) -> list[dict[str, Any]]:
    """The booked transactions: those set aside as too late were booked, too."""
    return [
        msgspec.json.decode(record.value or b"")
        for record in records
        if record.topic == "bank.transactions" and (record.what == "event" or record.reason is Reason.TOO_LATE)
    ]


def _signed(body: dict[str, Any]) -> Decimal:
    amount = Decimal(body["amount"])
    return amount if body["direction"] == "credit" else -amount


def _read_all(bootstrap: str, topics: list[str], count: int) -> dict[tuple[str, int, int], Any]:
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, fetch_max_wait_ms=20, **CLIENT)
    try:
        places = [TopicPartition(topic, partition) for topic in topics for partition in range(4)]
        consumer.assign(places)
        consumer.seek_to_beginning()
        found: dict[tuple[str, int, int], Any] = {}
        while len(found) < count:
            for place, messages in consumer.poll(timeout_ms=200).items():
                found.update({(place.topic, place.partition, message.offset): message for message in messages})
        return found
    finally:
        consumer.close()
