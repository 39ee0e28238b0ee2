"""A pool and its customers in memory: standings and steps cross between them as Kafka would carry them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from schemas.actions import NextBestAction
from schemas.base import Record, from_ms, to_ms
from schemas.decisions import Decision
from schemas.desk import DeskAnswer, DeskManager, DeskReport, DeskStep, Standing
from triggers.desk.stage import DeskStage
from triggers.desk.state import Pool
from triggers.language.loader import load_documents
from triggers.language.model import RuleSet

START_MS = 1_772_323_200_000
"""2026-03-01 08:00 in Shanghai: a Sunday, so that the review of March is on the Monday."""
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
POOL = "B1"
DESKS = """
desks:
  counter: {tiers: [mid], capacity: 3, contact: 90d}
  vip: {tiers: [high, private], capacity: 2, contact: 90d}
elsewhere: {from: 200000, desk: counter}
review: {on_day: 1, at: "08:00"}
handover: {approve: 5d, ask: 1h, call: 2d}
recall: {after: 90d, evaluate: quarter}
"""
TRIGGER = """
trigger: any_login
version: 1
title: Any login
owner: tests
status: draft
on: behaviour.login
when: customer.balance > 0
action: {offer: hello, category: service, complexity: simple, priority: 1, expires: 1d, ladder: [push]}
tests:
  - name: fires
    customer: {balance: 1}
    events: [{at: "2026-03-02 10:00", behaviour: {action: login}}]
    expect: [{at: "2026-03-02 10:00"}]
  - name: silent
    customer: {balance: 0}
    events: [{at: "2026-03-02 10:00", behaviour: {action: login}}]
    expect: []
"""


def desk_rules(desks: str | None = DESKS) -> RuleSet:
    """A rule set with these desks, or without any, and nothing that sends."""
    files = {"any_login.yaml": TRIGGER} | ({"desks.yaml": desks} if desks is not None else {})
    loaded = load_documents(files)
    assert loaded.ruleset is not None, loaded.problems
    return loaded.ruleset


@dataclass(slots=True)
class Person:
    """A customer as the customer stage would keep its side: what the latest standing said, the latest step known."""

    number: int = 0
    answered: int = 0
    desk: str | None = None
    manager: str | None = None
    contacted: int | None = None
    spoken: int | None = None
    steps: list[DeskStep] = field(default_factory=list)


class DeskWorld:
    """One pool. ``outbox`` are the steps that customers have not heard yet, in order."""

    def __init__(self, ruleset: RuleSet | None = None) -> None:
        self.ruleset = ruleset or desk_rules()
        self.stage = DeskStage("bank")
        self.pool: Pool = self.stage.fresh(POOL)
        self.now = START_MS
        self.people: dict[str, Person] = {}
        self.sequences: dict[str, int] = {}
        self.outputs: list[Record] = []
        self.outbox: list[DeskStep] = []
        self.events = 0

    # --- what comes

    def manager(self, name: str, desk: str = "counter", *, capacity: int = 1000, active: bool = True) -> DeskManager:
        self.sequences[name] = self.sequences.get(name, 0) + 1
        record = DeskManager(
            tenant="bank",
            event_id=f"m-{name}-{self.sequences[name]}",
            occurred_at=from_ms(self.now),
            pool=POOL,
            manager_id=name,
            sequence=self.sequences[name],
            desk=desk,  # type: ignore[arg-type]  # tests name desks as text
            capacity=capacity,
            active=active,
        )
        self.feed(record)
        return record

    def stands(
        self,
        name: str,
        desk: str | None = None,
        *,
        manager: str | None = None,
        contacted: int | None = None,
        spoken: int | None = None,
    ) -> Standing:
        """The customer tells its pool how it stands now; what is not given stays.

        Who spoke with the manager was reached.
        """
        person = self.people.setdefault(name, Person())
        person.desk = desk if desk is not None else person.desk
        person.manager = manager if manager is not None else person.manager
        person.spoken = spoken if spoken is not None else person.spoken
        contacted = spoken if contacted is None else contacted
        person.contacted = contacted if contacted is not None else person.contacted
        return self.tell(name)

    def tell(self, name: str, *, left: bool = False) -> Standing:
        person = self.people[name]
        person.number += 1
        record = Standing(
            tenant="bank",
            event_id=f"s-{name}-{person.number}",
            occurred_at=from_ms(self.now),
            pool=POOL,
            customer_id=name,
            number=person.number,
            answered=person.answered,
            desk=person.desk,  # type: ignore[arg-type]  # tests name desks as text
            manager_id=person.manager,
            contacted_ms=person.contacted,
            spoken_ms=person.spoken,
            left=left,
        )
        self.feed(record)
        return record

    def answer(self, handover_id: str, customer: str, answer: str) -> DeskAnswer:
        self.events += 1
        record = DeskAnswer(
            tenant="bank",
            event_id=f"a-{self.events}",
            occurred_at=from_ms(self.now),
            branch_id=POOL,
            customer_id=customer,
            handover_id=handover_id,
            answer=answer,  # type: ignore[arg-type]  # tests name answers as text
        )
        self.feed(record)
        return record

    def feed(self, record: Any) -> list[Record]:
        """One record, through the bytes of the state, as a worker that took over would find them."""
        outcome = self.stage.process(record, self.pool, self.ruleset, self.now)
        return self._keep(outcome)

    def advance(self, length: int) -> list[Record]:
        """Lets time pass and runs what falls due."""
        until = self.now + length
        found: list[Record] = []
        while (due := self.stage.next_due(self.pool)) is not None and due <= until:
            self.now = max(self.now, due)
            found += self._keep(self.stage.run_timers(self.pool, self.ruleset, self.now, self.now))
        self.now = until
        return found

    def _keep(self, outcome: Any) -> list[Record]:
        self.pool = self.stage.decode(POOL, self.stage.encode(self.pool))
        outputs: list[Record] = outcome.outputs if outcome is not None else []
        self.outputs += outputs
        self.outbox += [output for output in outputs if isinstance(output, DeskStep)]
        return outputs

    # --- what crosses

    def deliver(self, count: int | None = None) -> None:
        """Customers hear the next steps, take them over as the customer stage does, and answer."""
        for _ in range(len(self.outbox) if count is None else min(count, len(self.outbox))):
            self.hear(self.outbox.pop(0))

    def hear(self, step: DeskStep) -> None:
        person = self.people[step.customer_id]
        if step.number <= person.answered:
            return
        person.answered = step.number
        person.steps.append(step)
        if step.step != "call" and person.manager in (step.former_manager_id, step.manager_id):
            person.manager = step.manager_id
        self.tell(step.customer_id)

    # --- what came of it

    def decisions(self, customer: str | None = None) -> list[tuple[str, str]]:
        """Outcome and reason of every decision."""
        return [
            (output.outcome, output.reason)
            for output in self.outputs
            if isinstance(output, Decision) and customer in (None, output.customer_id)
        ]

    def steps(self, customer: str | None = None) -> list[tuple[str, str]]:
        """What was done, and with which manager."""
        return [
            (output.step, output.manager_id)
            for output in self.outputs
            if isinstance(output, DeskStep) and customer in (None, output.customer_id)
        ]

    def requests(self) -> list[NextBestAction]:
        return [output for output in self.outputs if isinstance(output, NextBestAction)]

    def reports(self) -> list[DeskReport]:
        return [output for output in self.outputs if isinstance(output, DeskReport)]

    @property
    def day(self) -> str:
        return f"{from_ms(self.now):%Y-%m-%d %H:%M}"


def ms_of(record: Any) -> int:
    """When a record happened."""
    return to_ms(record.occurred_at)
