"""``bank-triggers demo``: a bank, the system and a notifier on one machine, then a check against the pure engine.

Everything runs on loopback: the embedded broker in this process, an embedded Redis and a worker as children, the
simulated bank and notifier as threads. Nothing of it outlives this process.
"""

from __future__ import annotations

import asyncio
import math
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Final, Self

from schemas.dead_letter import Reason
from schemas.topics import CONSUMED, JOURNAL_TOPIC, TOPICS
from streams.commands.library import SHIPPED
from streams.demo.check import Evidence, Verdict, verify
from streams.demo.neighbours import CLIENT, BankThread, NotifierThread, percentile
from streams.demo.stories import Story, stories
from streams.demo.tap import Place, Tap, TapFailed
from streams.demo.view import Progress, Summary, View, make_view
from streams.demo.worker import WorkerProcess
from streams.embedded_broker import EmbeddedBroker, EmbeddedBrokerFailed
from streams.embedded_redis import EmbeddedRedis, EmbeddedRedisFailed
from streams.settings import load_settings
from streams.simulator import BankPlan, BankRecord, simulate_bank
from streams.simulator.identities import whose_it_is
from streams.simulator.publish import BankPublisher, Pace, PublishingFailed
from streams.simulator.records import START_MS
from streams.worker import make_routes, open_store
from triggers.language.loader import load_ruleset
from triggers.language.model import RuleSet

_START_S: Final = 30.0
_DRAIN_S: Final = 60.0
_SETTLED_S: Final = 0.8
"""Longer than an idle worker waits before it looks for due timers again."""
_CATCH_UP_S: Final = 20.0
_TICK_S: Final = 0.1
_EVENTS_PER_PARTITION: Final = 6_000
"""Of the 5 MiB that the embedded broker keeps of a partition, transactions of this number take about half."""
_LEAST_PARTITIONS: Final = 4


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """How the demo runs: ``events`` messages of the bank over ``seconds``. ``keep`` goes on until Ctrl-C."""

    keep: bool = False
    seconds: float = 20.0
    events: int = 12_000
    as_json: bool = False
    seed: int = 1


class DemoFailed(Exception):
    """The demo could not go on. The text says what happened and shows the end of the worker's log where that helps."""


class Interrupted(Exception):
    """A signal asks the demo to end."""


def run_demo(options: DemoOptions, doctor: Callable[[Evidence], Evidence] = lambda evidence: evidence) -> int:
    """Runs the demo from start to end. Call it from the main thread: it handles signals.

    Returns 0 where everything is equal, 1 where something differs or the demo could not go on, 130 after Ctrl-C and
    143 after SIGTERM. A kept demo that is ended by a signal returns what its check found. ``doctor`` changes the
    evidence before it is checked: it shows that the check can fail.
    """
    with Signals() as signals:
        try:
            return _run(options, signals, doctor)
        except Interrupted:
            return signals.exit_code
        except (DemoFailed, TapFailed, PublishingFailed, EmbeddedBrokerFailed, EmbeddedRedisFailed) as error:
            sys.stderr.write(f"the demo could not go on: {error}\n")
            return 1


class Signals:
    """Notes SIGINT, SIGTERM and SIGHUP. They take effect where ``check`` is called: what is under way ends in order."""

    def __init__(self) -> None:
        self._got: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def exit_code(self) -> int:
        """As a shell has it: 128 and the signal's number."""
        return 128 + (self._got or 0)

    @property
    def got(self) -> bool:
        """Whether a signal came."""
        return self._got is not None

    def check(self) -> None:
        """Raises ``Interrupted`` where a signal came."""
        if self.got:
            raise Interrupted

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._got = self._got or number


def _run(options: DemoOptions, signals: Signals, doctor: Callable[[Evidence], Evidence]) -> int:
    began = time.monotonic()
    ruleset = _load_rules()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bank-triggers-demo-")))
        demo = _Demo(options, signals, ruleset, stack, folder)
        view = make_view(as_json=options.as_json)
        with view:
            evidence = demo.play(view)
        signals.check()
        verdict = verify(doctor(evidence), signals.check)
        view.conclude(demo.summary(verdict, stories(evidence.log), time.monotonic() - began))
        code = 0 if verdict.passed else 1
        if options.keep:
            view.say(demo.how_to_reach())
            while not signals.got:
                demo.watch()
                time.sleep(_TICK_S)
        return code


def _load_rules() -> RuleSet:
    loaded = load_ruleset([SHIPPED])
    if loaded.ruleset is None:
        raise DemoFailed("the triggers that ship have errors:\n" + "\n".join(map(str, loaded.problems)))
    return loaded.ruleset


class _Demo:
    """Everything that runs; ``stack`` ends it, in the reverse order of its start."""

    def __init__(
        self, options: DemoOptions, signals: Signals, ruleset: RuleSet, stack: ExitStack, folder: Path
    ) -> None:
        self._options = options
        self._signals = signals
        self._ruleset = ruleset
        self._partitions = max(_LEAST_PARTITIONS, math.ceil(options.events / _EVENTS_PER_PARTITION))
        self._began = self._ended = time.monotonic()
        broker = stack.enter_context(EmbeddedBroker())
        for topic in TOPICS:
            broker.create_topic(topic.name, self._partitions)
        redis = stack.enter_context(EmbeddedRedis(folder / "redis", appendonly=False))
        signals.check()
        values = {
            "kafka_bootstrap": broker.bootstrap,
            "redis_url": redis.url,
            "rules": str(SHIPPED),
            # Months in seconds: the time of a decision is that of its record.
            "clock": "record",
            "app_id": "bank-triggers-demo",
            "namespace": "demo",
            "partitions": str(self._partitions),
            "startup_seconds": "20",
            # The embedded broker answers a fetch that finds nothing after this time, whatever comes meanwhile.
            "fetch_wait_ms": "20",
            # On a slow machine a second late is days late: feedback for what is forgotten, and no flood.
            "dead_letter_percent": "0",
            "log_level": "warning",
        }
        self._settings = load_settings(None, {}, **dict[str, Any](values))
        self._values = values
        self._worker = stack.enter_context(WorkerProcess(values, folder / "worker.log"))
        self._runner = stack.enter_context(asyncio.Runner())
        self._store = open_store(self._settings)
        stack.callback(lambda: self._runner.run(self._store.close()))
        self._tap = stack.enter_context(Tap(broker.bootstrap, self._partitions))
        self._publisher = BankPublisher((broker.bootstrap,), client=CLIENT)
        stack.callback(self._publisher.close)
        self._notifier = stack.enter_context(NotifierThread(broker.bootstrap, self._publisher.published, options.seed))
        self._stack = stack
        self._worker_ended = False

    def play(self, view: View) -> Evidence:
        """Publishes everything, waits until all of it was processed, and gathers what the check compares."""
        # While the worker starts.
        records = simulate_bank(BankPlan(events=self._options.events, seed=self._options.seed))
        self._of = len(records)
        opening = [record for record in records if record.at_ms <= START_MS]
        self._show(view, "starting")
        for record in opening:
            self._publisher.send(record)
        self._publisher.flush()
        self._await(self._drained, _START_S, "the worker did not take up its partitions", view, "starting")
        self._await(lambda: self._notifier.ready, _START_S, "the notifier was given no partitions", view, "starting")
        self._began = time.monotonic()
        rest = records[len(opening) :]
        pace = Pace(START_MS, rest[-1].at_ms, self._options.seconds, self._began)
        bank = self._stack.enter_context(BankThread(self._publisher, rest, pace))
        self._await(lambda: not bank.running, self._options.seconds + _DRAIN_S, "the bank is stuck", view, "running")
        if bank.failure is not None:
            raise DemoFailed(f"the simulated bank failed: {bank.failure}") from bank.failure
        self._drain(view)
        if not self._options.keep:
            self._stop_worker()
        self._tap.catch_up(_CATCH_UP_S)
        self._await_notifier(view)
        return self._evidence(records)

    def summary(self, verdict: Verdict, told: Sequence[Story], total_seconds: float) -> Summary:
        """What to show at the end."""
        published = self._publisher.published
        latencies = self._notifier.latencies
        return Summary(
            events=published.count,
            seconds=self._ended - self._began,
            duplicates=sum(record.what == "duplicate" for record, _ in published.where),
            feedback=self._notifier.outreach.counts["feedback"],
            notifier={**self._notifier.verdicts, **self._notifier.outreach.counts},
            tally=self._tap.tally,
            measured=len(latencies),
            p50_ms=_ms(percentile(latencies, 0.5)),
            p99_ms=_ms(percentile(latencies, 0.99)),
            verdict=verdict,
            total_seconds=total_seconds,
            stories=told,
        )

    def how_to_reach(self) -> str:
        """How another terminal reaches the demo that was kept."""
        lines = [f"  export BANK_TRIGGERS_{name.upper()}={self._values[name]}" for name in _TO_REACH]
        return "\n".join(["", "still running, Ctrl-C ends it; in another terminal:", *lines, "  bank-triggers actions"])

    def watch(self) -> None:
        """Raises what should end the demo: a signal, the worker's end, a failed thread."""
        self._signals.check()
        self._tap.raise_failure()
        if self._notifier.failure is not None:
            raise DemoFailed(f"the notifier failed: {self._notifier.failure!r}") from self._notifier.failure
        if not self._worker_ended and self._worker.exit_code is not None:
            raise DemoFailed(f"the worker ended with code {self._worker.exit_code}:\n{self._worker.log_tail()}")

    def _drain(self, view: View) -> None:
        """Until nothing is left to process: all records, the feedback on what they caused, all due timers."""
        self._await(self._drained, _DRAIN_S, "the worker is behind", view, "draining")
        self._notifier.hush()
        self._await(lambda: self._notifier.quiet, _DRAIN_S, "the feedback is stuck", view, "draining")
        self._await(self._drained, _DRAIN_S, "the worker is behind", view, "draining")
        self._ended = time.monotonic()
        settled = _Settled(lambda: self._tap.ends((JOURNAL_TOPIC,)))
        self._await(settled, _DRAIN_S, "the worker's timers do not come to rest", view, "draining")

    def _drained(self) -> bool:
        """Whether the positions in the store are at the end of every topic that is consumed."""
        # The positions first: what was processed by then had been sent on by then, so the ends have it.
        positions = self._positions()
        ends = self._tap.ends([topic.name for topic in CONSUMED])
        return all(positions.get(place, 0) >= end for place, end in ends.items())

    def _positions(self) -> dict[Place, int]:
        found: dict[Place, int] = {}
        for partition in range(self._partitions):
            positions = self._runner.run(_positions(self._store, partition))
            found.update({(topic, partition): offset for topic, offset in positions.items()})
        return found

    def _stop_worker(self) -> None:
        self._worker_ended = True
        code = self._worker.stop()
        if code != 0:
            raise DemoFailed(f"the worker ended with code {code} when it was told to stop:\n{self._worker.log_tail()}")

    def _await_notifier(self, view: View) -> None:
        """Gives the notifier time to read what stands on the queues. What it then has not read counts as lost."""
        actions = self._tap.tally.actions.total()
        deadline = time.monotonic() + _CATCH_UP_S
        while len(self._notifier.accepted) < actions and time.monotonic() < deadline:
            self.watch()
            self._show(view, "reading back")
            time.sleep(_TICK_S)

    def _evidence(self, records: list[BankRecord]) -> Evidence:
        places = self._publisher.published.where
        spoiled: dict[tuple[str, int, int], Reason] = {
            place: record.reason for record, place in places if record.reason is not None
        }
        stages = {
            route.stage.name: route.stage
            for topic in CONSUMED
            for route in [make_routes(self._settings).of_topic(topic.name)]
        }
        reversals = {
            (record.reverses, record.event_id)
            for record in records
            if record.reverses is not None and record.event_id is not None
        }
        return Evidence(
            log=self._tap.log,
            states=self._runner.run(_states(self._store, range(self._partitions), list(stages))),
            positions=self._positions(),
            stages=stages,
            ruleset=self._ruleset,
            tenant=self._settings.tenant,
            spoiled=spoiled,
            reversals=sorted(reversals),
            anonymous=whose_it_is(records),
            accepted=frozenset(self._notifier.accepted),
            accepted_twice=frozenset(self._notifier.accepted_twice),
        )

    def _await(self, condition: Callable[[], bool], seconds: float, problem: str, view: View, phase: str) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            self.watch()
            self._show(view, phase)
            if time.monotonic() > deadline:
                raise DemoFailed(f"{problem}, after {seconds:.0f} s; the worker's log ends:\n{self._worker.log_tail()}")
            time.sleep(_TICK_S)

    def _show(self, view: View, phase: str) -> None:
        published = self._publisher.published
        latencies = list(self._notifier.latencies)
        view.show(
            Progress(
                phase=phase,
                published=published.count,
                of=self._of,
                reached_ms=max(published.reached_ms, START_MS),
                seconds=time.monotonic() - self._began,
                feedback=self._notifier.outreach.counts["feedback"],
                tally=self._tap.tally,
                p50_ms=_ms(percentile(latencies, 0.5)),
                p99_ms=_ms(percentile(latencies, 0.99)),
            )
        )


_TO_REACH: Final = ("kafka_bootstrap", "redis_url", "clock", "app_id", "namespace", "partitions")


class _Settled:
    """Whether a reading has stayed the same for long enough."""

    def __init__(self, read: Callable[[], Mapping[Place, int]]) -> None:
        self._read = read
        self._last: Mapping[Place, int] | None = None
        self._since = 0.0

    def __call__(self) -> bool:
        now, reading = time.monotonic(), self._read()
        if reading != self._last:
            self._last, self._since = reading, now
        return now - self._since >= _SETTLED_S


async def _positions(store: Any, partition: int) -> Mapping[str, int]:
    found: Mapping[str, int] = await store.positions(partition)
    return found


async def _states(store: Any, partitions: range, stages: list[str]) -> dict[tuple[str, int, str], bytes]:
    return {
        (stage, partition, key): state
        for partition in partitions
        for stage in stages
        async for key, state in store.states(partition, stage)
    }


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)
