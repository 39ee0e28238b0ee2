"""The states of a partition made again from what Kafka keeps: the journal, the input, the rule sets, the decisions.

The journal says which batches were run, over which records, under which rule set and at what time. Run again in its
order they give the states that were lost, byte for byte. Nothing is published. All is written to a copy, which takes
the partition's place in one step when it is whole: a rebuild that is broken off leaves nothing behind that a worker
would use. What came in after the journal's end is left to the worker.

Where the journal or the input no longer reaches back to the first batch, the states begin at the oldest batch that can
be run again; of what was before, only the contacts are known, from the decisions.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from schemas.journal import RecordBatch, TimerBatch
from streams.catch_up import ReadAhead, catch_up, run_again, silent
from streams.journal import Journal, Journalled, Repeats
from streams.partition import Partition, Services
from streams.refusals import JournalUnreadable, Refused
from streams.store import Commit
from triggers.engine.state import CustomerState

log = logging.getLogger(__name__)

_SEED_AT_ONCE: Final = 2_000
_CUSTOMERS: Final = "customer"


class NothingKept(Refused):
    """There is no batch that could be run again."""

    def __init__(self, partition: int) -> None:
        super().__init__(
            f"Kafka keeps nothing from which partition {partition} could be rebuilt: no batch of its journal can be "
            f"run again. To begin afresh: bank-triggers state accept-loss --partition {partition}"
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """What a rebuild would do: the batches from ``first`` to ``last``, over so many records and sweeps of timers.

    ``positions`` are those of the partition's topics before the first of them. ``lost`` says, a line each, why they are
    not all that ever were; ``since_ms`` is the time of the first.
    """

    partition: int
    first: int
    last: int
    records: int
    sweeps: int
    since_ms: int
    positions: Mapping[str, int]
    rulesets: frozenset[str]
    newest_ruleset: str
    lost: tuple[str, ...] = ()

    @property
    def batches(self) -> int:
        """How many batches are run again."""
        return self.last - self.first + 1


@dataclass(slots=True)
class _Run:
    """Batches that follow one another without a gap."""

    first: int = 0
    last: int = 0
    records: int = 0
    sweeps: int = 0
    since_ms: int = 0
    begins: dict[str, int] = field(default_factory=dict)
    rulesets: set[str] = field(default_factory=set)
    newest_ruleset: str = ""

    def add(self, entry: RecordBatch | TimerBatch) -> None:
        if not self.first:
            self.first, self.since_ms = entry.sequence, entry.now_ms
        self.last = entry.sequence
        self.newest_ruleset = entry.ruleset
        self.rulesets.add(entry.ruleset)
        if isinstance(entry, RecordBatch):
            self.begins.setdefault(entry.topic, entry.first_offset)
            self.records += entry.last_offset - entry.first_offset + 1
        else:
            self.sweeps += 1


async def make_plan(
    number: int,
    journal: Journal,
    starts: Mapping[str, int],
    committed: Mapping[str, int | None],
) -> Plan:
    """Reads the journal of a partition. ``starts`` and ``committed`` map its topics (the registry's names) to the first

    offset kept and the one that the group has read up to. Raises ``Refused``.
    """
    run, repeats = _Run(), Repeats()
    positions: dict[str, int] = {}
    newest, lost = 0, list[str]()
    async for journalled in journal.after(number, 0):
        if repeats.is_repeat(journalled):
            continue
        entry = journalled.entry
        if entry.sequence <= newest:
            raise JournalUnreadable(
                f"the journal of partition {number} has two different batches {entry.sequence}: it cannot be run again"
            )
        if gap := _gap(entry, newest, positions):
            lost, run = [gap], _Run()
        newest = entry.sequence
        run.add(entry)
        if isinstance(entry, RecordBatch):
            positions[entry.topic] = entry.last_offset + 1
            if entry.first_offset < starts[entry.topic]:
                lost = [f"{entry.topic} is kept from offset {starts[entry.topic]} on, batch {newest} read before it"]
                run = _Run()
    if not run.first:
        raise NothingKept(number)
    for topic, read in sorted(committed.items()):
        if read and topic not in positions:
            lost.append(f"{topic} was read up to offset {read}, and the journal says nothing of it")
    return Plan(
        partition=number,
        first=run.first,
        last=run.last,
        records=run.records,
        sweeps=run.sweeps,
        since_ms=run.since_ms,
        positions={
            topic: run.begins.get(topic, positions.get(topic, max(starts[topic], committed[topic] or 0)))
            for topic in starts
        }
        if lost
        else {},
        rulesets=frozenset(run.rulesets),
        newest_ruleset=run.newest_ruleset,
        lost=tuple(lost),
    )


def _gap(entry: RecordBatch | TimerBatch, newest: int, positions: Mapping[str, int]) -> str:
    """Why an entry does not follow on what was before; empty where it does."""
    if entry.sequence != newest + 1:
        if not newest:
            return f"the journal is kept from batch {entry.sequence} on"
        return f"batch {newest + 1} is not in the journal: something was given up there"
    if isinstance(entry, RecordBatch):
        position = positions.get(entry.topic, entry.first_offset)
        if entry.first_offset != position:
            return f"batch {entry.sequence} begins at offset {entry.first_offset} of {entry.topic}, not at {position}"
    return ""


async def rebuild(
    services: Services,
    plan: Plan,
    journal: Journal,
    ends: Mapping[tuple[str, int], int],
    committed: Mapping[str, int | None],
    contacts: Mapping[str, CustomerState],
    last_batch: int | None,
) -> None:
    """Carries a plan out. ``services.store`` is the live one; the rule sets must be there.

    ``ends`` maps (Kafka topic, partition) to the offset behind the last record. ``contacts`` are states of customers
    with which the partition begins. ``last_batch`` is what the store said of the partition before.

    Raises ``Refused`` where something is missing, and ``Fenced`` where a worker has run batches meanwhile; the
    partition is then as it was.
    """
    number, live = plan.partition, services.store
    copies = live.apart()
    insist = services.patience.insist
    await insist(lambda: copies.clear(number))
    apart = replace(services, store=copies)
    if plan.lost:
        await _begin(apart, plan, contacts)
    taken = await insist(lambda: copies.take_over(number))
    source = ReadAhead(services.source, ends)
    held, last = await catch_up(apart, number, taken, _up_to(journal, plan), source)
    assert last is not None  # a plan has at least one batch
    entry = last.entry
    if isinstance(entry, RecordBatch) and (committed[entry.topic] or 0) > entry.last_offset:
        # The group was told of it, so it was published whole and committed.
        await run_again(silent(apart, source), Partition(number, silent(apart, source), held, held.positions), last)
    else:
        # Perhaps not all of it was published: the worker that takes the partition over runs it again, and sends it.
        await insist(lambda: copies.announce(number, taken.epoch, entry.sequence, last.data, entry.stage, []))
    await insist(lambda: live.promote(number, last_batch))


async def _begin(services: Services, plan: Plan, contacts: Mapping[str, CustomerState]) -> None:
    """Positions and contacts of a partition whose first batches cannot be run again."""
    number, store, insist = plan.partition, services.store, services.patience.insist
    stage = services.routes.stage(_CUSTOMERS)
    before = plan.first - 1
    states = {customer: stage.encode(state) for customer, state in contacts.items()}
    size = max(_SEED_AT_ONCE, -(-len(states) // max(1, before)))
    customers = sorted(states)
    parts = [customers[index : index + size] for index in range(0, len(customers), size)]
    await insist(lambda: store.reset_positions(number, plan.positions, before - len(parts)))
    taken = await insist(lambda: store.take_over(number))
    for sequence, part in enumerate(parts, before - len(parts) + 1):
        await _seed(services, number, taken.epoch, sequence, {customer: states[customer] for customer in part})


async def _seed(services: Services, number: int, epoch: int, sequence: int, states: Mapping[str, bytes]) -> None:
    store, insist = services.store, services.patience.insist
    await insist(lambda: store.announce(number, epoch, sequence, b"contacts", _CUSTOMERS, []))
    await insist(lambda: store.commit(number, epoch, sequence, Commit(_CUSTOMERS, states)))


async def _up_to(journal: Journal, plan: Plan) -> AsyncIterator[Journalled]:
    async for journalled in journal.after(plan.partition, plan.first - 1):
        if journalled.entry.sequence > plan.last:
            return
        yield journalled


def tell(plan: Plan) -> list[str]:
    """The plan in lines for an operator."""
    head = (
        f"partition {plan.partition}: {plan.batches} batches ({plan.first} to {plan.last}) over {plan.records} records "
        f"and {plan.sweeps} sweeps of timers, under {len(plan.rulesets)} rule sets, are run again"
    )
    return [head, *(f"partition {plan.partition}: incomplete: {line}" for line in plan.lost)]
