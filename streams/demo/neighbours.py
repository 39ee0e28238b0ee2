"""The demo's two neighbours of the system, each in a thread: the bank that publishes and the notifier that answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from threading import Event, Thread
from types import TracebackType
from typing import Final, Self, get_args

from schemas.actions import Cancellation, NextBestAction
from schemas.base import to_ms
from schemas.events import Channel
from streams.kits.notifier import Notifier, NotifierConfig, Verdict
from streams.simulator.desks import answer_to
from streams.simulator.outreach import SimulatedOutreach
from streams.simulator.publish import BankPublisher, Handed, Pace, Published
from streams.simulator.records import BankRecord

CLIENT: Final = {"api_version": (2, 1)}
"""kafka-python cannot find the version of the embedded broker out by itself."""
_CONSUMER: Final = {
    # The embedded broker answers a fetch that finds nothing after this time, whatever comes meanwhile.
    "fetch_max_wait_ms": 10,
    "session_timeout_ms": 6_000,
}
_JOIN_MS: Final = 1_500
"""A join of the group that a short poll breaks off leaves a member behind, which the group waits for."""
_POLL_MS: Final = 20


class BankThread:
    """Publishes the records on the fast clock. ``failure`` is what ended it, if it did not end by itself."""

    def __init__(self, publisher: BankPublisher, records: Sequence[BankRecord], pace: Pace) -> None:
        self.failure: BaseException | None = None
        self._publisher = publisher
        self._records = records
        self._pace = pace
        self._stop = Event()
        self._thread = Thread(target=self._run, name="demo-bank", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def running(self) -> bool:
        """Whether there is more to publish."""
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._publisher.play(self._records, self._pace, self._stop.is_set)
        except Exception as error:  # noqa: BLE001 - whatever it is, the main thread must hear of it
            self.failure = error


class NotifierThread:
    """One notifier of all channels. ``latencies`` are seconds from publishing an event to reading its action, where the
    action was decided at the event's own time: what waited for a quiet night or a holiday to end waited on purpose.

    Feedback is sent until ``hush``; it goes on reading until it is left.
    """

    def __init__(self, bootstrap: str, published: Published, seed: int) -> None:
        self.failure: BaseException | None = None
        self.outreach = SimulatedOutreach(seed)
        self.accepted: set[str] = set()
        self.accepted_twice: set[str] = set()
        self.latencies: list[float] = []
        self._published = published
        self._ready = Event()
        self._people = BankPublisher((bootstrap,), client=CLIENT)
        self._hushed = Event()
        self._quiet = Event()
        self._stop = Event()
        config = NotifierConfig((bootstrap,), get_args(Channel), "demo-notifier", client=CLIENT, consumer=_CONSUMER)
        self._notifier = Notifier(config, self.outreach, now_ms=_record_time, seen=self._note)
        self._thread = Thread(target=self._run, name="demo-notifier", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()
        self._notifier.close()
        self._people.close()

    @property
    def ready(self) -> bool:
        """Whether it has its partitions: before that it reads nothing."""
        return self._ready.is_set()

    @property
    def verdicts(self) -> dict[str, int]:
        """How many messages were judged how."""
        return {str(name): count for name, count in self._notifier.inbox.counts.items()}

    def hush(self) -> None:
        """No more feedback from now on; what was sent is acknowledged once ``quiet``."""
        self._hushed.set()

    @property
    def quiet(self) -> bool:
        """Whether all feedback that was sent stands on its topic, and no more will come."""
        return self._quiet.is_set()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._notifier.poll(_POLL_MS if self._ready.is_set() else _JOIN_MS)
                if self._notifier.assigned:
                    self._ready.set()
                if not self._hushed.is_set():
                    inbox = self._notifier.inbox
                    self.outreach.advance(self._published.reached_ms, self._notifier.report, inbox.may_send)
                elif not self._quiet.is_set():
                    self._notifier.flush()
                    self._people.flush()
                    self._quiet.set()
        except Exception as error:  # noqa: BLE001 - whatever it is, the main thread must hear of it
            self.failure = error

    def _note(self, verdict: Verdict, record: NextBestAction | Cancellation | None) -> None:
        if verdict != "accepted" or not isinstance(record, NextBestAction):
            return
        if record.action_id in self.accepted:
            self.accepted_twice.add(record.action_id)
        self.accepted.add(record.action_id)
        answer = answer_to(record)
        if answer is not None and not self._hushed.is_set():
            self._people.send(answer)
        seconds = latency(record, self._published.when, time.monotonic())
        if seconds is not None:
            self.latencies.append(seconds)


def latency(action: NextBestAction, when: Mapping[str, Handed], now: float) -> float | None:
    """The seconds since the event that an action answers at once was handed to Kafka; ``None`` for other actions.

    A ladder's later steps, and what was put off, bear a later time than their event.
    """
    handed = when.get(action.occasion.partition(":")[2])
    if handed is None or action.step != 0 or to_ms(action.created_at) != handed.occurred_ms:
        return None
    return now - handed.seconds


def _record_time(record: object) -> int:
    """The queues of the demo are history on a fast clock: a record is read at its own time."""
    assert isinstance(record, NextBestAction | Cancellation)
    return to_ms(record.created_at)


def percentile(values: Sequence[float], part: float) -> float | None:
    """The value that so great a part of the values does not exceed; ``None`` without values."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


Watch = Callable[[], None]
"""Called between steps; raises what should end the demo."""
