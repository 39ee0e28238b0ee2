"""A worker on the batch driver with a partition owner that only keeps books. Run as ``python -m``, one JSON argument.

Its book is one file of JSON lines, appended to by all workers of a test: a line for each chunk done is position and
effect in one atomic write, so that a worker killed at any moment leaves no doubt. Keys of the argument: see ``Plan``.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streams.app import WorkerParameters, build_app, run_worker
from streams.driver import Chunk


@dataclass(frozen=True)
class Plan:
    """What the worker reads and how its owner behaves.

    ``start`` are positions by topic for partitions the book knows nothing of. ``delay_s`` is spent on each chunk.
    ``raise_at`` makes ``submit`` raise, ``fail_at`` makes ``failed`` complete, once that many records were seen.
    ``hold`` are partitions whose chunks are not done until the first chunk after the next take-over: too late.
    ``block`` makes ``submit`` wait for ever until the second take-over. ``take_over_s`` is spent in each take-over,
    ``break_take_over`` makes it raise, ``rewind`` makes it answer ``start`` whatever was done.
    """

    bootstrap: str
    group: str
    topics: Sequence[str]
    book: str
    session_timeout_s: float = 6.0
    request_timeout_s: float = 30.0
    max_poll_records: int = 500
    instance_id: str | None = None
    start: Mapping[str, int] = field(default_factory=dict)
    delay_s: float = 0.0
    take_over_s: float = 0.0
    raise_at: int | None = None
    fail_at: int | None = None
    break_take_over: bool = False
    hold: Sequence[int] = ()
    block: bool = False
    rewind: bool = False


class BookKeeper:
    """A partition owner: one queue and one task per partition, a line in the book per chunk."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._failed: asyncio.Future[None] | None = None
        self._seen = 0
        self._epoch = 0
        self._next: dict[tuple[str, int], int] = {}
        self._queues: dict[int, asyncio.Queue[tuple[Chunk, Callable[[], None]]]] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._held: list[tuple[int, Callable[[], None]]] = []

    async def take_over(self, assigned: AbstractSet[tuple[str, int]]) -> Mapping[tuple[str, int], int]:
        if self._plan.break_take_over:
            raise RuntimeError("the take-over broke")
        self._write("taking")
        await asyncio.sleep(self._plan.take_over_s)
        self._epoch += 1
        done = {(line["topic"], line["partition"]): line["last"] + 1 for line in read(self._plan.book, "chunk")}
        if self._plan.rewind:
            done.clear()
        self._next = {tp: done.get(tp, self._plan.start.get(tp[0], 0)) for tp in assigned}
        for partition in {partition for _, partition in assigned}:
            self._queues[partition] = asyncio.Queue(2)
            self._tasks[partition] = asyncio.create_task(self._work(partition))
        self._write("take", assigned=sorted(assigned))
        return self._next

    async def release(self, revoked: AbstractSet[int]) -> None:
        tasks = [self._tasks.pop(partition) for partition in revoked if partition in self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._write("release", partitions=sorted(revoked))

    async def submit(self, chunk: Chunk, done: Callable[[], None]) -> None:
        self._seen += len(chunk.records)
        if self._plan.raise_at is not None and self._seen >= self._plan.raise_at:
            raise RuntimeError("submit broke")
        if self._plan.fail_at is not None and self._seen >= self._plan.fail_at and not self.failed().done():
            self.failed().set_exception(RuntimeError("the owner failed"))
            return
        if self._plan.block and self._epoch == 1:
            self._write("blocked")
            await asyncio.Event().wait()
        await self._queues[chunk.partition].put((chunk, done))

    def failed(self) -> asyncio.Future[None]:
        # Not in `__init__`: there is no loop yet.
        if self._failed is None:
            self._failed = asyncio.get_running_loop().create_future()
        return self._failed

    async def _work(self, partition: int) -> None:
        queue = self._queues[partition]
        while True:
            chunk, done = await queue.get()
            tp = (chunk.topic, partition)
            fresh = [record.offset for record in chunk.records if record.offset >= self._next[tp]]
            if partition in self._plan.hold:
                self._call_late()
                self._held.append((self._epoch, done))
                self._write("held", topic=chunk.topic, partition=partition, first=fresh[0], last=fresh[-1])
                continue
            await asyncio.sleep(self._plan.delay_s)
            if fresh:
                self._next[tp] = fresh[-1] + 1
                self._write("chunk", topic=chunk.topic, partition=partition, first=fresh[0], last=fresh[-1],
                            offsets=_ranges(fresh))  # fmt: skip
            done()

    def _call_late(self) -> None:
        late = [done for epoch, done in self._held if epoch < self._epoch]
        self._held = [held for held in self._held if held[0] == self._epoch]
        for done in late:
            done()
        if late:
            self._write("late", count=len(late))

    def _write(self, kind: str, **what: Any) -> None:
        line = json.dumps({"kind": kind, "pid": os.getpid(), "epoch": self._epoch, **what}) + "\n"
        with Path(self._plan.book).open("ab", buffering=0) as book:
            book.write(line.encode())


def read(book: str | Path, kind: str | None = None) -> list[dict[str, Any]]:
    """The lines of a book, all or of one kind, in the order they were written."""
    path = Path(book)
    if not path.exists():
        return []
    text = path.read_text()
    lines = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
    return [line for line in lines if kind is None or line["kind"] == kind]


def _ranges(offsets: Sequence[int]) -> list[list[int]]:
    ranges: list[list[int]] = []
    for offset in offsets:
        if ranges and ranges[-1][1] == offset - 1:
            ranges[-1][1] = offset
        else:
            ranges.append([offset, offset])
    return ranges


def main() -> int:
    """Runs the worker of the plan in the first argument; the exit code is that of ``run_worker``."""
    logging.basicConfig(level=logging.INFO, format="%(name)s %(levelname)s %(message)s")
    plan = Plan(**json.loads(sys.argv[1]))
    parameters = WorkerParameters(
        app_id=plan.group,
        bootstrap=[plan.bootstrap],
        session_timeout_s=plan.session_timeout_s,
        request_timeout_s=plan.request_timeout_s,
        heartbeat_interval_s=0.3,
        commit_interval_s=0.3,
        fetch_wait_ms=20,  # the embedded broker holds a fetch so long, whatever comes meanwhile
        max_poll_records=plan.max_poll_records,
        instance_id=plan.instance_id,
    )
    return run_worker(build_app(parameters, BookKeeper(plan), plan.topics))


if __name__ == "__main__":
    sys.exit(main())
