"""A soak: for minutes, whatever can break breaks at random, one thing over the other, and everything must still hold.

``python -m tests.faults.soak --minutes 20`` (``make soak``). Workers run on the triggers that ship, on a real broker
and a real Redis behind proxies. In rounds of up to a minute events come in while faults come and go; then all is
mended, the lag must come to zero, everything since the beginning is compared with the oracle, and the policy's caps are
counted anew from the actions. The workers' memory is bounded, and so is how much may wait, also while they are dead,
and how they may end (``tests/support/soak_report.py`` says by what). What is random comes from the seed, which is
printed; when it hits is up to the machine.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from redis.exceptions import RedisError

from schemas.topics import INBOUND
from streams.embedded_redis import EmbeddedRedis
from tests.support.caps import check_caps
from tests.support.faults import SHIPPED, fault_system, history
from tests.support.kafka_broker import KafkaBroker, set_topic_config
from tests.support.metrics import rss_mib
from tests.support.oracle_check import check_against_oracle
from tests.support.soak_report import (
    HEAD,
    REST_S,
    Check,
    Sample,
    check_row,
    lag_row,
    memory_row,
    picture,
    row,
    unexpected_end,
)
from tests.support.system import Event, System
from tests.support.tcp_proxy import TcpProxy
from tests.support.worker_process import NotInTime, WorkerProcess

WORKERS: Final = 2
ROUND_S: Final = 60.0
TICK_S: Final = 0.5
ROW_S: Final = 10.0
CUSTOMERS: Final = 40


@dataclass(slots=True)
class Fault:
    """One under way. ``end`` mends it."""

    name: str
    until: float
    end: Callable[[], None]


@dataclass(slots=True)
class Soak:
    """What is soaked, and what was seen."""

    rng: random.Random
    system: System
    broker: KafkaBroker
    redis: EmbeddedRedis
    redis_line: TcpProxy
    began: float = field(default_factory=time.monotonic)
    faults: list[Fault] = field(default_factory=list)
    published: int = 0
    samples: list[Sample] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    ended: int = 0
    """Workers that ended, as they may."""
    blind: set[str] = field(default_factory=set)
    """Those for which Kafka or the store was away before they had taken partitions over."""
    asked: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    """With which codes they may end, for they were made to."""

    def run(self, minutes: float, seed: int) -> bool:
        """True where everything held."""
        end = self.began + minutes * 60
        length = min(ROUND_S, minutes * 60 / 3)
        print(HEAD)
        part = 0
        while time.monotonic() < end and all(check.difference is None for check in self.checks):
            self._round(history(seed, CUSTOMERS, part=part), length)
            self._mend_all()
            self._check()
            part += 1
        return all(check.difference is None for check in self.checks)

    def _round(self, events: list[Event], length: float) -> None:
        begin, told, sent = time.monotonic(), 0.0, 0
        next_fault = begin + self.rng.uniform(1, 4)
        while (now := time.monotonic()) < begin + length:
            self._keep_workers()
            for fault in [fault for fault in self.faults if fault.until <= now]:
                self._end(fault)
            if now >= next_fault:
                self._begin_one()
                next_fault = now + self.rng.uniform(2, 8)
            due = min(len(events), int(len(events) * (now - begin) / length) + 1)
            if self.broker.running and due > sent:
                self.published += self.system.publish(events[sent:due])
                sent = due
            sample = self._look()
            if now - told >= ROW_S:
                told = now
                print(row(sample), flush=True)
            time.sleep(TICK_S)
        self._mend_all()
        self.published += self.system.publish(events[sent:])

    def _begin_one(self) -> None:
        free = {kind for kind in ("kafka", "store", "output") if not any(f.name.startswith(kind) for f in self.faults)}
        choices = [choice for choice in self._choices() if choice[0].partition(":")[0] in free | {"worker", "input"}]
        name, least, most, begin = self.rng.choice(choices)
        until = time.monotonic() + self.rng.uniform(least, most)
        self.faults.append(Fault(name, until, begin()))
        self._note_blind()
        print(row(self._look()), flush=True)

    def _end(self, fault: Fault) -> None:
        self.faults.remove(fault)
        fault.end()

    def _mend_all(self) -> None:
        for fault in list(self.faults):
            self._end(fault)
        self._keep_workers()

    def _choices(self) -> list[tuple[str, float, float, Callable[[], Callable[[], None]]]]:
        kafka, store, push = self.broker.proxy, self.redis_line, self.system.kafka_topic("outreach.push")

        def line(proxy: TcpProxy, begin: Callable[[], None]) -> Callable[[], Callable[[], None]]:
            def start() -> Callable[[], None]:
                begin()
                return proxy.heal

            return start

        return [
            ("worker: killed", 0.5, 1, self._kill_worker),
            ("worker: told to end", 0.5, 1, self._end_worker),
            ("worker: stands still", 1, 6, self._pause_worker),
            ("kafka: killed", 1, 8, self._kill_broker),
            ("kafka: slow", 2, 8, line(kafka, lambda: kafka.slow(0.2, 2_000_000))),
            ("kafka: frozen", 2, 8, line(kafka, kafka.freeze)),
            ("kafka: cut", 1, 6, line(kafka, kafka.cut)),
            ("kafka: half open", 1, 4, line(kafka, kafka.half_open)),
            ("store: killed", 1, 6, self._kill_redis),
            ("store: slow by 2 s", 3, 9, line(store, lambda: store.slow(1.0))),
            ("store: frozen", 2, 8, line(store, store.freeze)),
            ("store: cut", 1, 6, line(store, store.cut)),
            ("store: half open", 1, 4, line(store, store.half_open)),
            ("output: refused", 3, 10, lambda: self._refuse(push)),
            ("input: 50 bad records", 0.5, 1, self._poison),
        ]

    # Faults

    def _a_worker(self) -> WorkerProcess | None:
        running = [worker for worker in self.system.workers if worker.running]
        return self.rng.choice(running) if running else None

    def _kill_worker(self) -> Callable[[], None]:
        if worker := self._a_worker():
            self.asked[worker.name].add(-9)
            worker.kill()
        return _nothing

    def _end_worker(self) -> Callable[[], None]:
        if worker := self._a_worker():
            # Before a worker has anything it may not have come to listen to signals yet.
            self.asked[worker.name] |= {0} if worker.owned() else {0, -15}
            worker.process.terminate()
        return _nothing

    def _pause_worker(self) -> Callable[[], None]:
        if (worker := self._a_worker()) is None:
            return _nothing
        worker.pause()
        return lambda: worker.resume() if worker.running else None

    def _kill_broker(self) -> Callable[[], None]:
        self.broker.kill()
        return self.broker.start

    def _kill_redis(self) -> Callable[[], None]:
        self.redis.kill()
        return self.redis.restart

    def _refuse(self, topic: str) -> Callable[[], None]:
        if not self.broker.running:
            return _nothing
        set_topic_config(self.broker.bootstrap, topic, {"max.message.bytes": "100"})

        def allow() -> None:
            if not self.broker.running:
                # Whoever mends the broker comes later: then it is allowed again.
                self.faults.append(Fault("output: refused", time.monotonic() + 1, allow))
                return
            set_topic_config(self.broker.bootstrap, topic, {"max.message.bytes": "1048588"})

        return allow

    def _poison(self) -> Callable[[], None]:
        if self.broker.running:
            bad = [
                Event("bank.transactions", b"s%d" % self.rng.randrange(100), b"{bad %d" % number)
                for number in range(50)
            ]
            self.published += self.system.publish(bad)
        return _nothing

    # Looking

    def _keep_workers(self) -> None:
        """Starts another for each that has ended, as a supervisor does; one that ended as none may is a failure."""
        for worker in list(self.system.workers):
            if not worker.running:
                code = worker.wait()
                problem = unexpected_end(code, worker.name in self.blind, self.asked[worker.name])
                assert problem is None, f"{problem}: {worker}"
                if code in (1, 4):
                    print(f"{worker.name} ended with {code}: {worker.text().strip().splitlines()[-1]}", flush=True)
                self.ended += 1
                self.system.workers.remove(worker)
        while self.broker.running and self.redis.running and len(self.system.workers) < WORKERS:
            self.system.start_worker(
                kafka_bootstrap=self.broker.proxied_bootstrap, redis_url=f"redis://{self.redis_line.address}"
            )
            self._note_blind()

    def _note_blind(self) -> None:
        if any(fault.name.startswith(("kafka:", "store:")) for fault in self.faults):
            self.blind |= {worker.name for worker in self.system.workers if not worker.owned()}

    def _look(self) -> Sample:
        try:
            done = sum(
                position
                for number in range(self.system.partitions)
                for topic, position in self.system.meta(number).positions.items()
                if topic in _INBOUND
            )
        except RedisError:
            lag = None
        else:
            lag = max(0, self.published - done)
        memory = tuple(rss_mib(worker) for worker in self.system.workers if worker.running)
        faults = tuple(fault.name for fault in self.faults)
        sample = Sample(time.monotonic() - self.began, memory, lag, self.published, faults)
        self.samples.append(sample)
        return sample

    def _check(self) -> None:
        mended = time.monotonic()
        while True:
            self._keep_workers()
            try:
                self.system.wait_until_drained(5)
            except AssertionError as late:
                if not isinstance(late, NotInTime) and all(worker.running for worker in self.system.workers):
                    raise
                self._look()
                if (waited := time.monotonic() - mended) > REST_S:
                    self._note(Check(mended - self.began, waited, 0, 0, 0, 0, 0, f"it did not come to rest: {late}"))
                    return
            else:
                break
        print(row(self._look()), flush=True)
        at = time.monotonic()
        rest = at - mended
        try:
            found = check_against_oracle(self.system)
            check_caps(self.system.actions(), SHIPPED)
        except AssertionError as difference:
            self._note(Check(at - self.began, rest, time.monotonic() - at, 0, 0, 0, 0, str(difference)))
            return
        took = time.monotonic() - at
        repeated = found.repeated_messages
        self._note(Check(at - self.began, rest, took, found.batches, found.actions, found.decisions, repeated, None))

    def _note(self, check: Check) -> None:
        self.checks.append(check)
        print(check_row(check), flush=True)
        if check.difference is not None:
            print(check.difference)
            for worker in self.system.workers:
                print(worker)


_INBOUND: Final = frozenset(topic.name for topic in INBOUND)


def _nothing() -> None:
    pass


def main() -> int:
    """0 where everything held, else 1."""
    parser = argparse.ArgumentParser(prog="soak", description="Mixed faults at random, for minutes.")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=None, help="of an earlier run; else one is drawn")
    parser.add_argument("--picture", type=Path, default=Path("soak.svg"))
    given = parser.parse_args()
    seed: int = random.SystemRandom().randrange(10**6) if given.seed is None else given.seed
    print(f"seed {seed} (to repeat: --seed {seed} --minutes {given.minutes:g})", flush=True)
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        folder = Path(name)
        with (
            KafkaBroker(folder / "kafka", proxied=True) as broker,
            EmbeddedRedis(folder / "redis", appendonly=True) as redis,
            TcpProxy(redis.port) as line,
            fault_system(
                broker.bootstrap,
                redis.url,
                folder,
                name="soak",
                rules=SHIPPED,
                max_batch=50,
                kafka_request_timeout_ms=5_000,
                redis_timeout_ms=1_500,
                dead_letter_percent=0,
            ) as system,
        ):
            soak = Soak(random.Random(seed), system, broker, redis, line)
            held = soak.run(given.minutes, seed)
    given.picture.write_text(picture(seed, soak.samples, soak.checks))
    bounded, figures = memory_row(soak.samples)
    print(f"{figures}: {'within' if bounded else 'TOO MUCH'}")
    came_down, figures = lag_row(soak.samples, soak.checks)
    print(f"{figures}: {'within' if came_down else 'TOO MUCH'}")
    held = held and came_down
    print(
        f"{'all held' if held and bounded else 'NOT ALL HELD'}: {len(soak.checks)} comparisons with the oracle, "
        f"{soak.published:,} events, {soak.ended} workers ended and were replaced; picture: {given.picture}"
    )
    return 0 if held and bounded else 1


if __name__ == "__main__":
    sys.exit(main())
