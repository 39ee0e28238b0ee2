"""The notifier's kit: repeats dropped, expiry and withdrawals obeyed, nothing forgotten that was not handled."""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schemas.actions import Cancellation, NextBestAction
from schemas.base import Record, from_ms, to_ms
from schemas.decode import Rejected, decode
from schemas.encode import encode
from schemas.events import Feedback
from schemas.topics import TOPIC, queue_of
from streams.embedded_broker import EmbeddedBroker

with warnings.catch_warnings():
    # kafka-python reads its own data by a call that Python 3.11 deprecates.
    warnings.simplefilter("ignore", DeprecationWarning)
    from kafka import KafkaConsumer, KafkaProducer, TopicPartition

    from streams.kits.notifier import (
        Entry,
        Inbox,
        MemoryLedger,
        Notifier,
        NotifierConfig,
        QueueMissing,
        Verdict,
        feedback_of,
    )
    from streams.simulator.outreach import SimulatedOutreach

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:kafka.*")

NOW = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)
NOW_MS = to_ms(NOW)
CLIENT = {"api_version": (2, 1)}
HOUR_MS = 3_600_000
_QUICK = {"session_timeout_ms": 1_000, "heartbeat_interval_ms": 300}
"""The embedded broker lets a group's next first member in when the session of its last member would have ended."""


class Phone:
    """A channel that notes what it is given; ``fail`` makes the next delivery raise."""

    def __init__(self) -> None:
        self.delivered: list[str] = []
        self.withdrawn: list[str] = []
        self.fail = 0

    def deliver(self, action: NextBestAction) -> None:
        if self.fail:
            self.fail -= 1
            raise ConnectionError("the gateway is away")
        self.delivered.append(action.action_id)

    def withdraw(self, cancellation: Cancellation) -> None:
        self.withdrawn.append(cancellation.action_id)


def action(action_id: str = "a1", *, hours: float = 48, **more: Any) -> NextBestAction:
    """An action created now that expires so many hours from now."""
    return NextBestAction.model_validate(
        {
            "tenant": "bank",
            "action_id": action_id,
            "customer_id": "C1",
            "trigger": "balance_drop",
            "trigger_version": 1,
            "ruleset": "r1",
            "occasion": "transaction:e1",
            "step": 0,
            "channel": "push",
            "offer": "retention_call",
            "category": "retention",
            "complexity": "medium",
            "priority": 80,
            "created_at": NOW,
            "expires_at": NOW + timedelta(hours=hours),
            **more,
        }
    )


def cancellation(action_id: str = "a1", **more: Any) -> Cancellation:
    """The withdrawal of an action."""
    return Cancellation.model_validate(
        {
            "tenant": "bank",
            "action_id": action_id,
            "customer_id": "C1",
            "trigger": "balance_drop",
            "channel": "push",
            "reason": "reversed",
            "caused_by": "e2",
            "created_at": NOW,
            **more,
        }
    )


class TestInbox:
    """The judgement of each message, without Kafka."""

    @pytest.fixture
    def phone(self) -> Phone:
        return Phone()

    @pytest.fixture
    def inbox(self, phone: Phone) -> Inbox:
        return Inbox(phone)

    def test_a_repeat_is_dropped(self, inbox: Inbox, phone: Phone) -> None:
        """An action that comes three times is delivered once."""
        assert [_receive(inbox, action()) for _ in range(3)] == ["accepted", "repeat", "repeat"]
        assert phone.delivered == ["a1"]

    def test_an_expired_action_is_dropped(self, inbox: Inbox, phone: Phone) -> None:
        """At its moment of expiry an action is too late; a moment before it is not."""
        assert _receive(inbox, action("a1", hours=1), NOW_MS + HOUR_MS) == "expired"
        assert _receive(inbox, action("a2", hours=1), NOW_MS + HOUR_MS - 1) == "accepted"
        assert phone.delivered == ["a2"]

    def test_a_withdrawal_reaches_the_channel_once(self, inbox: Inbox, phone: Phone) -> None:
        """A cancellation of a delivered action is handed on; its repeat is not, nor is the action delivered again."""
        verdicts = [_receive(inbox, record) for record in (action(), cancellation(), cancellation(), action())]
        assert verdicts == ["accepted", "withdrawn", "repeat", "repeat"]
        assert (phone.delivered, phone.withdrawn) == (["a1"], ["a1"])

    def test_an_action_after_its_withdrawal_is_dropped(self, inbox: Inbox, phone: Phone) -> None:
        """A cancellation whose action was not seen stops the action, should it come after all."""
        assert [_receive(inbox, record) for record in (cancellation(), action())] == ["withdrawn_unseen", "repeat"]
        assert (phone.delivered, phone.withdrawn) == ([], [])

    def test_may_send_asks_for_expiry_and_withdrawal(self, inbox: Inbox) -> None:
        """A waiting action may go out until it expires or is withdrawn; one never accepted may not."""
        first, second = action("a1", hours=2), action("a2", hours=2)
        assert not inbox.may_send(first, NOW_MS)
        _receive(inbox, first)
        _receive(inbox, second)
        assert inbox.may_send(first, NOW_MS + 2 * HOUR_MS - 1)
        assert not inbox.may_send(first, NOW_MS + 2 * HOUR_MS)
        _receive(inbox, cancellation("a1"))
        assert not inbox.may_send(first, NOW_MS)
        assert inbox.may_send(second, NOW_MS)

    def test_what_the_channel_refuses_is_not_remembered(self, inbox: Inbox, phone: Phone) -> None:
        """Where delivering raises, the same action is no repeat when it comes again."""
        phone.fail = 1
        with pytest.raises(ConnectionError):
            _receive(inbox, action())
        assert _receive(inbox, action()) == "accepted"
        assert phone.delivered == ["a1"]

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            (b"C1", b"{"),
            (b"C1", None),
            (b"C2", encode(action())),
            (b"C1", encode(action(tenant="another-bank"))),
        ],
        ids=["no JSON", "empty", "another key", "another tenant"],
    )
    def test_unreadable_messages_are_passed_over(
        self, inbox: Inbox, phone: Phone, key: bytes, value: bytes | None, caplog: pytest.LogCaptureFixture
    ) -> None:
        """What is not a record of this bank's queue is counted and logged without its body."""
        assert inbox.receive("outreach.push", key, value, lambda _: NOW_MS) == ("unreadable", None)
        assert inbox.counts == {"unreadable": 1}
        assert phone.delivered == []
        assert "outreach.push" in caplog.text
        assert "retention_call" not in caplog.text

    def test_memory_forgets_what_no_longer_matters(self) -> None:
        """The ledger drops entries whose time is over, and those alone."""
        ledger = MemoryLedger()
        ledger.put("old", Entry(NOW_MS - 1))
        ledger.put("new", Entry(NOW_MS))
        ledger.forget(NOW_MS)
        assert ledger.get("old") is None
        assert ledger.get("new") == Entry(NOW_MS)

    def test_a_forgotten_action_is_not_delivered_again(self) -> None:
        """The inbox keeps an id at least until its action expires: a later repeat is expired, not new."""
        phone, ledger = Phone(), MemoryLedger()
        inbox = Inbox(phone, ledger)
        _receive(inbox, action(hours=2))
        for hours in (1, 2, 3, 26, 27, 100):
            ledger.forget(NOW_MS + hours * HOUR_MS)
            assert _receive(inbox, action(hours=2), NOW_MS + hours * HOUR_MS) in ("repeat", "expired")
        assert phone.delivered == ["a1"]


def test_feedback_is_one_event_for_each_outcome() -> None:
    """The same outcome of the same action has the same event id; another outcome or action has another."""
    first = feedback_of(action("a1"), "opened", NOW)
    assert feedback_of(action("a1"), "opened", NOW + timedelta(hours=1)).event_id == first.event_id
    ids = {feedback_of(action(name), what, NOW).event_id for name in ("a1", "a2") for what in ("opened", "clicked")}
    assert len(ids) == 4
    assert (first.customer_id, first.channel, first.action_id) == ("C1", "push", "a1")


class TestOnKafka:
    """The kit against a broker."""

    @pytest.fixture
    def broker(self) -> Iterator[str]:
        with EmbeddedBroker() as broker:
            for channel in ("push", "sms"):
                broker.create_topic(queue_of(channel))
            broker.create_topic("bank.feedback")
            yield broker.bootstrap

    @pytest.fixture
    def start(self, broker: str) -> Iterator[Callable[[Phone], Notifier]]:
        started: list[Notifier] = []

        def start(phone: Phone) -> Notifier:
            config = NotifierConfig((broker,), ("push", "sms"), "notifier", client=CLIENT, consumer=_QUICK)
            notifier = Notifier(config, phone, now_ms=lambda _: NOW_MS)
            started.append(notifier)
            return notifier

        yield start
        for notifier in started:
            notifier.close()

    def test_reads_all_queues_and_drops_repeats(self, broker: str, start: Callable[[Phone], Notifier]) -> None:
        """Every action of every queue of the notifier is delivered once, however often it stands there."""
        phone = Phone()
        sms = [action(f"s{number}", channel="sms") for number in range(20)]
        _put(broker, "outreach.sms", *sms, *sms)
        _put(broker, "outreach.push", action("p1"), cancellation("p1"))
        notifier = start(phone)
        _poll_until(notifier, lambda: notifier.inbox.counts.total() == 42)
        assert sorted(phone.delivered) == sorted(["p1", *(record.action_id for record in sms)])
        assert phone.withdrawn == ["p1"]
        assert notifier.inbox.counts == {"accepted": 21, "repeat": 20, "withdrawn": 1}

    def test_goes_on_where_it_stopped(self, broker: str, start: Callable[[Phone], Notifier]) -> None:
        """What was handled is committed: the next notifier of the group reads only what came since."""
        first, second = Phone(), Phone()
        _put(broker, "outreach.push", action("a1"), action("a2"))
        notifier = start(first)
        _poll_until(notifier, lambda: len(first.delivered) == 2)
        notifier.close()
        _put(broker, "outreach.push", action("a3"))
        follower = start(second)
        _poll_until(follower, lambda: bool(second.delivered))
        assert second.delivered == ["a3"]

    def test_what_fails_comes_again(
        self, broker: str, start: Callable[[Phone], Notifier], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An action whose delivery raised, and those after it, come again; those before it are not delivered again."""
        phone = Phone()
        _put(broker, "outreach.push", *(action(f"a{number}") for number in range(6)))
        notifier = start(phone)
        deliver = phone.deliver
        failed: list[str] = []

        def fail_once(record: NextBestAction) -> None:
            if record.action_id == "a3" and not failed:
                failed.append(record.action_id)
                raise ConnectionError("the gateway is away")
            deliver(record)

        monkeypatch.setattr(phone, "deliver", fail_once)
        with pytest.raises(ConnectionError):
            _poll_until(notifier, lambda: False)
        assert phone.delivered == ["a0", "a1", "a2"]
        _poll_until(notifier, lambda: len(phone.delivered) == 6)
        assert phone.delivered == [f"a{number}" for number in range(6)]
        assert notifier.inbox.counts == {"accepted": 6}

    def test_a_crash_before_the_commit_repeats(self, broker: str, start: Callable[[Phone], Notifier]) -> None:
        """Offsets are committed after the channel took the messages: what a crash left unhandled is not lost."""
        first, second = Phone(), Phone()
        _put(broker, "outreach.push", *(action(f"a{number}") for number in range(4)))
        notifier = start(first)
        first.fail = 1
        with pytest.raises(ConnectionError):
            _poll_until(notifier, lambda: False)
        notifier.close()
        follower = start(second)
        _poll_until(follower, lambda: len(second.delivered) == 4)
        assert second.delivered == ["a0", "a1", "a2", "a3"]

    def test_a_queue_that_does_not_exist_is_named(self, broker: str) -> None:
        """A notifier of a queue that Kafka does not have is told so at once, by the queue's name."""
        config = NotifierConfig((broker,), ("push",), "notifier", topic_prefix="nowhere.", client=CLIENT)
        with pytest.raises(QueueMissing, match=r"no topic nowhere\.outreach\.push; expected the queues of push"):
            Notifier(config, Phone())

    def test_feedback_is_readable(self, broker: str, start: Callable[[Phone], Notifier]) -> None:
        """Feedback stands on its topic under the customer's key, as the engine reads it."""
        notifier = start(Phone())
        notifier.report(action("a1"), "opened", NOW)
        notifier.flush()
        message = _read_one(broker, "bank.feedback")
        record = decode(TOPIC["bank.feedback"], "bank", message.key, message.value)
        assert not isinstance(record, Rejected)
        expected = feedback_of(action("a1"), "opened", NOW)
        assert all(getattr(record, name) == getattr(expected, name) for name in Feedback.model_fields)


class TestSimulatedOutreach:
    """The customers on the other side."""

    def test_answers_the_same_in_any_order(self) -> None:
        """What customers do follows from the actions, not from the order in which they came."""
        actions = [action(f"a{number}", hours=1_000) for number in range(300)]
        there, _ = _let_answer(actions)
        back, _ = _let_answer(list(reversed(actions)))
        assert Counter(there) == Counter(back)
        outcomes = Counter(outcome for _, outcome in there)
        assert outcomes.keys() >= {"delivered", "failed", "opened", "clicked", "bought", "refused"}
        assert outcomes["delivered"] > outcomes["opened"] > outcomes["clicked"] > outcomes["bought"]

    def test_some_feedback_comes_twice_and_some_late(self) -> None:
        """Late feedback happened up to two days before it is reported; repeats are the same event."""
        _, outreach = _let_answer([action(f"a{number}", hours=1_000) for number in range(300)])
        counts = outreach.counts
        assert counts["sent"] == 300
        assert 0 < counts["feedback_twice"] < counts["feedback"] / 5
        assert 0 < counts["feedback_late"] < counts["feedback"] / 5
        assert outreach.waiting == 0

    def test_feedback_is_never_older_than_the_lateness_rule(self) -> None:
        """However long the notifier was held up, what it reports lies at most two days before the bank's present."""
        outreach = SimulatedOutreach()
        for number in range(200):
            outreach.deliver(action(f"a{number}", hours=10_000))
        ages: list[float] = []
        for day in (0, 30, 60, 90, 120):
            now_ms = NOW_MS + day * 24 * HOUR_MS
            outreach.advance(
                now_ms,
                lambda _action, _outcome, at: ages.append((from_ms(now_ms) - at).total_seconds()),  # noqa: B023
                lambda _action, _now: True,
            )
        assert len(ages) > 200
        assert min(ages) >= 0
        assert max(ages) <= 2 * 86_400

    def test_withdrawn_actions_are_not_sent(self) -> None:
        """What may not be sent when its time comes brings no feedback."""
        outreach = SimulatedOutreach()
        for number in range(50):
            outreach.deliver(action(f"a{number}"))
        reports: list[str] = []
        outreach.advance(NOW_MS + 1_000 * HOUR_MS, lambda *_: reports.append("sent"), lambda *_: False)
        assert reports == []
        assert outreach.counts == {"not_sent": 50}


def _receive(inbox: Inbox, record: NextBestAction | Cancellation, now_ms: int = NOW_MS) -> Verdict:
    verdict, read = inbox.receive("outreach.push", b"C1", encode(record), lambda _record: now_ms)
    assert read == record
    return verdict


def _let_answer(actions: list[NextBestAction]) -> tuple[list[tuple[str, str]], SimulatedOutreach]:
    outreach = SimulatedOutreach()
    for record in actions:
        outreach.deliver(record)
    told: list[tuple[str, str]] = []
    for hours in range(24 * 12):
        outreach.advance(
            NOW_MS + hours * HOUR_MS,
            lambda record, outcome, _at: told.append((record.action_id, outcome)),
            lambda _action, _now: True,
        )
    return told, outreach


def _put(bootstrap: str, topic: str, *records: Record) -> None:
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", **CLIENT)
    try:
        for record in records:
            producer.send(topic, key=b"C1", value=encode(record))
        producer.flush(timeout=10)
    finally:
        producer.close()


def _poll_until(notifier: Notifier, done: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        notifier.poll(timeout_ms=500)
        assert time.monotonic() < deadline, f"after {seconds} s: {notifier.inbox.counts}"


def _read_one(bootstrap: str, topic: str) -> Any:
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, **CLIENT)
    try:
        consumer.assign([TopicPartition(topic, partition) for partition in range(4)])
        consumer.seek_to_beginning()
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            for messages in consumer.poll(timeout_ms=100).values():
                return messages[0]
        raise AssertionError(f"nothing on {topic}")
    finally:
        consumer.close()
