"""The notifier's kit: consumes outreach queues, drops repeats, obeys expiry and withdrawals, sends feedback.

A notifier gives it two functions (an ``OutreachChannel``) and calls ``Notifier.poll`` for ever:

    notifier = Notifier(NotifierConfig(("127.0.0.1:9092",), channels=("sms",), group="sms-notifier"), my_channel)
    while True:
        notifier.poll()

The queues deliver at least once. The kit makes "at most once per action" of it by the action's id, as long as its
``Ledger`` lasts: the one in memory lasts as long as the process, one in the notifier's own database for ever.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final, Literal, Protocol

from kafka import KafkaConsumer, KafkaProducer
from kafka.errors import CommitFailedError

from schemas.actions import Cancellation, NextBestAction
from schemas.base import Record, to_ms
from schemas.decode import Rejected, decode
from schemas.encode import encode
from schemas.events import Channel, Feedback
from schemas.topics import TOPIC, queue_of

log = logging.getLogger(__name__)

FEEDBACK_TOPIC: Final = "bank.feedback"
_DAY_MS: Final = 86_400_000
_KEPT_AFTER_EXPIRY_MS: Final = _DAY_MS
_KEPT_WITHDRAWAL_MS: Final = 7 * _DAY_MS
"""How long a withdrawal waits for its action: the retention of the queues."""
_PRUNE_EVERY: Final = 4_096

Verdict = Literal["accepted", "repeat", "expired", "withdrawn", "withdrawn_unseen", "unreadable"]
"""What became of one message of a queue.

``accepted``: a new action, handed to the channel. ``repeat``: seen before. ``expired``: came too late to be sent.
``withdrawn``: a cancellation of an accepted action. ``withdrawn_unseen``: a cancellation whose action was not
accepted here; should it still come, it is dropped. ``unreadable``: not a record of this bank's queue.
"""
Outcome = Literal["delivered", "opened", "clicked", "answered", "refused", "bought", "failed"]


class QueueMissing(Exception):
    """A queue does not exist. The text names it and what makes it."""


class OutreachChannel(Protocol):
    """The notifier's own side. Raising from either makes the message come again."""

    def deliver(self, action: NextBestAction) -> None:
        """A new action to send before it expires. One that waits asks ``Inbox.may_send`` just before it goes out."""

    def withdraw(self, cancellation: Cancellation) -> None:
        """An accepted action is withdrawn: not to be sent, or, where it was, to be taken down."""


@dataclass(slots=True)
class Entry:
    """What is known of one action: until when it matters (ms) and whether it was withdrawn."""

    until_ms: int
    withdrawn: bool = False


class Ledger(Protocol):
    """Remembers actions by id. To outlast a crash it belongs where the notifier records what it sent."""

    def get(self, action_id: str) -> Entry | None:
        """What is known of an action."""

    def put(self, action_id: str, entry: Entry) -> None:
        """Remembers an action, or what changed of it."""

    def forget(self, before_ms: int) -> None:
        """May drop the entries whose ``until_ms`` lies before a time."""


class MemoryLedger:
    """A ledger that lasts as long as the process."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def get(self, action_id: str) -> Entry | None:
        return self._entries.get(action_id)

    def put(self, action_id: str, entry: Entry) -> None:
        self._entries[action_id] = entry

    def forget(self, before_ms: int) -> None:
        self._entries = {name: entry for name, entry in self._entries.items() if entry.until_ms >= before_ms}


class Inbox:
    """Judges the messages of the queues one by one. Knows no Kafka and no clock."""

    def __init__(self, channel: OutreachChannel, ledger: Ledger | None = None, tenant: str = "bank") -> None:
        self.counts: Counter[Verdict] = Counter()
        self._channel = channel
        self._ledger: Ledger = MemoryLedger() if ledger is None else ledger
        self._tenant = tenant

    def receive(
        self, topic: str, key: bytes | None, value: bytes | None, now_ms: Callable[[Record], int]
    ) -> tuple[Verdict, NextBestAction | Cancellation | None]:
        """Judges one message of a queue (``topic`` is the registry's name) and hands it on where it counts.

        Whatever the channel raises is raised here, and the message is not remembered.
        """
        read = decode(TOPIC[topic], self._tenant, key, value)
        record = read if isinstance(read, NextBestAction | Cancellation) else None
        verdict: Verdict
        if isinstance(record, NextBestAction):
            verdict = self._accept(record, now_ms(record))
        elif record is not None:
            verdict = self._withdraw(record, now_ms(record))
        else:
            verdict = "unreadable"
            reason = read.reason if isinstance(read, Rejected) else "not an outreach record"
            log.error("a message of %s cannot be read and is passed over: %s", topic, reason)
        self.counts[verdict] += 1
        return verdict, record

    def may_send(self, action: NextBestAction, now_ms: int) -> bool:
        """Whether an accepted action may still go out: neither withdrawn nor expired."""
        entry = self._ledger.get(action.action_id)
        return entry is not None and not entry.withdrawn and to_ms(action.expires_at) > now_ms

    def _accept(self, action: NextBestAction, now_ms: int) -> Verdict:
        if self._ledger.get(action.action_id) is not None:
            return "repeat"
        expires_ms = to_ms(action.expires_at)
        if expires_ms <= now_ms:
            return "expired"
        self._channel.deliver(action)
        # An id is needed until its action expires: after that every repeat of it is expired, too.
        self._ledger.put(action.action_id, Entry(expires_ms + _KEPT_AFTER_EXPIRY_MS))
        if (self.counts["accepted"] + 1) % _PRUNE_EVERY == 0:
            self._ledger.forget(now_ms)
        return "accepted"

    def _withdraw(self, cancellation: Cancellation, now_ms: int) -> Verdict:
        entry = self._ledger.get(cancellation.action_id)
        if entry is None:
            self._ledger.put(cancellation.action_id, Entry(now_ms + _KEPT_WITHDRAWAL_MS, withdrawn=True))
            return "withdrawn_unseen"
        if entry.withdrawn:
            return "repeat"
        self._channel.withdraw(cancellation)
        self._ledger.put(cancellation.action_id, Entry(entry.until_ms, withdrawn=True))
        return "withdrawn"


@dataclass(frozen=True, slots=True)
class NotifierConfig:
    """Where the queues are.

    ``client`` goes to both kafka-python clients (security, ``api_version`` …), ``consumer`` to the consumer alone
    (``session_timeout_ms`` …).
    """

    bootstrap: Sequence[str]
    channels: Sequence[Channel]
    group: str
    tenant: str = "bank"
    topic_prefix: str = ""
    client: Mapping[str, Any] = field(default_factory=dict)
    consumer: Mapping[str, Any] = field(default_factory=dict)


class Notifier:
    """The kit on Kafka: one consumer in one group, one producer for feedback. Not for several threads at once.

    ``now_ms`` takes a record and says what time it is: the wall clock, or, on history, the record's own time.
    ``seen`` is told of every message judged, for statistics. Making one raises ``QueueMissing``, or kafka-python's
    ``KafkaTimeoutError`` where Kafka does not answer.
    """

    def __init__(
        self,
        config: NotifierConfig,
        channel: OutreachChannel,
        *,
        ledger: Ledger | None = None,
        now_ms: Callable[[Record], int] | None = None,
        seen: Callable[[Verdict, NextBestAction | Cancellation | None], None] | None = None,
    ) -> None:
        self.inbox = Inbox(channel, ledger, config.tenant)
        self._config = config
        self._now_ms = now_ms or (lambda _record: time.time_ns() // 1_000_000)
        self._seen = seen or (lambda _verdict, _record: None)
        self._queues = {config.topic_prefix + queue_of(name): queue_of(name) for name in config.channels}
        options = {"bootstrap_servers": list(config.bootstrap), **config.client}
        self._consumer = KafkaConsumer(
            group_id=config.group,
            # Offsets are committed after the channel has taken the messages, never before.
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            **options,
            **config.consumer,
        )
        try:
            self._subscribe()
            self._producer = KafkaProducer(acks="all", **options)
        except BaseException:
            self._consumer.close(autocommit=False)
            raise

    @property
    def assigned(self) -> bool:
        """Whether the group has given this notifier partitions to read."""
        return bool(self._consumer.assignment())

    def poll(self, timeout_ms: int = 500) -> int:
        """Handles what has come, waiting at most so long for the first message; returns how many there were.

        Where the channel raises, what was handled before is committed and the rest comes again.
        """
        fetched = self._consumer.poll(timeout_ms=timeout_ms)
        handled = 0
        try:
            for partition, messages in fetched.items():
                queue = self._queues[partition.topic]
                for index, message in enumerate(messages):
                    try:
                        verdict, record = self.inbox.receive(queue, message.key, message.value, self._now_ms)
                    except BaseException:
                        self._rewind(fetched, partition, index)
                        raise
                    handled += 1
                    self._seen(verdict, record)
                fetched[partition] = []
        finally:
            if handled:
                self._commit()
        return handled

    def report(self, action: NextBestAction, outcome: Outcome, at: datetime) -> None:
        """Sends what became of an action. The same outcome of an action is the same event, however often it is sent."""
        feedback = feedback_of(action, outcome, at)
        self._producer.send(
            self._config.topic_prefix + FEEDBACK_TOPIC, key=feedback.customer_id.encode(), value=encode(feedback)
        ).add_errback(lambda error: log.error("feedback was not sent: %s", type(error).__name__))

    def flush(self, seconds: float = 10.0) -> None:
        """Waits until all feedback is acknowledged. Raises kafka-python's ``KafkaTimeoutError``."""
        self._producer.flush(timeout=seconds)

    def close(self) -> None:
        """Sends what is waiting and leaves the group."""
        try:
            self._producer.close(timeout=5)
        finally:
            self._consumer.close(autocommit=False)

    def _subscribe(self) -> None:
        # The client joins its group with whatever it knows of the topics, and does not join anew when it learns more:
        # without this a notifier may be given no partition at all.
        missing = [name for name in self._queues if not self._consumer.partitions_for_topic(name)]
        if missing:
            raise QueueMissing(
                f"Kafka has no topic {', '.join(missing)}; expected the queues of {', '.join(self._config.channels)}, "
                "which bank-triggers topics create makes"
            )
        self._consumer.subscribe(list(self._queues))

    def _rewind(self, fetched: Mapping[Any, Sequence[Any]], failed: Any, index: int) -> None:
        """Goes back to the first message that was not handled, of each partition."""
        for partition, messages in fetched.items():
            rest = messages[index:] if partition == failed else messages
            if rest:
                self._consumer.seek(partition, rest[0].offset)

    def _commit(self) -> None:
        try:
            self._consumer.commit()
        except CommitFailedError:
            # The partitions went to another member: it sees these messages again and drops what its ledger knows.
            log.warning("the group was rebalanced: what was handled since the last commit comes again")


def feedback_of(action: NextBestAction, outcome: Outcome, at: datetime) -> Feedback:
    """The feedback record on an action. Its event id follows from action and outcome."""
    event_id = blake2b(f"{action.action_id}:{outcome}".encode(), digest_size=16).hexdigest()
    return Feedback.model_validate(
        {
            "tenant": action.tenant,
            "event_id": event_id,
            "occurred_at": at,
            "customer_id": action.customer_id,
            "action_id": action.action_id,
            "channel": action.channel,
            "outcome": outcome,
        }
    )
