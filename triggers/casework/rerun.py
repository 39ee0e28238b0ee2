"""One customer run again through the pure engine, in the journal's order, with each look at one trigger noted.

It answers what no record says: why a trigger whose condition was false, or unknown, was no candidate. Other customers
are left out, whom the engine never looks at; only when a sweep of due timers had too many customers for one batch may
this one's have run a batch later in production than here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from schemas.base import Record
from schemas.decisions import Decision
from schemas.decode import Rejected, decode
from schemas.journal import RecordBatch, TimerBatch
from schemas.topics import TOPIC
from triggers.casework.trace import TracedEvaluation
from triggers.engine.batch import RawRecord
from triggers.engine.customer import CustomerStage
from triggers.engine.stage import Outcome
from triggers.language.model import RuleSet


class RuleSetMissing(Exception):
    """A batch with this customer ran under a rule set that is not at hand."""

    def __init__(self, ruleset: str) -> None:
        super().__init__(f"part of it ran under rule set {ruleset}, which is not among those given")
        self.ruleset = ruleset


class Rerun:
    """One customer's records, by topic and in the order of offsets, fed with the journal of the customer's partition.

    ``rulesets`` are those at hand, by hash. ``begins_at`` is the first batch that the journal still has: 1 where it has
    all. A batch that stands twice in the journal counts once.
    """

    def __init__(
        self,
        records: Mapping[str, Sequence[RawRecord]],
        rulesets: Mapping[str, RuleSet],
        tenant: str,
        customer: str,
        trigger: str,
    ) -> None:
        run = TracedEvaluation(tenant, {trigger})
        self.trace = run.trace
        self.outputs: list[Record] = []
        self.records = 0
        self.begins_at: int | None = None
        self._stage = CustomerStage(tenant, run)
        self._state = self._stage.fresh(customer)
        self._tenant = tenant
        self._rulesets = rulesets
        self._waiting = {topic: list(reversed(found)) for topic, found in records.items()}
        self._last = 0
        self._due: int | None = None
        """As a commit keeps it: the time at which the next sweep finds this customer."""

    @property
    def decision_ids(self) -> set[str]:
        """The decisions on triggers that it came to."""
        return {one.decision_id for one in self.outputs if isinstance(one, Decision) and one.trigger_version}

    def feed(self, entry: RecordBatch | TimerBatch) -> None:
        """Runs the customer's part of the next batch. Raises ``RuleSetMissing``."""
        if self.begins_at is None:
            self.begins_at = entry.sequence
        if entry.sequence <= self._last:
            return
        self._last = entry.sequence
        if entry.stage != self._stage.name:
            return
        if isinstance(entry, TimerBatch):
            if self._due is None or self._due > entry.until_ms:
                return
            now = entry.now_ms if entry.clock == "wall" else None
            self._note(self._stage.run_timers(self._state, self._ruleset(entry), entry.until_ms, now))
            self._due = self._stage.next_due(self._state)
        else:
            self._feed_records(entry)
        changed, due = self._stage.take_due_change(self._state)
        if changed:
            self._due = due

    def _feed_records(self, entry: RecordBatch) -> None:
        of_topic = self._waiting.get(entry.topic, [])
        while of_topic and of_topic[-1].offset <= entry.last_offset:
            raw = of_topic.pop()
            record = decode(TOPIC[entry.topic], self._tenant, raw.key, raw.value)
            if raw.offset < entry.first_offset or isinstance(record, Rejected):
                continue
            self.records += 1
            now = entry.now_ms if entry.clock == "wall" else None
            self._note(self._stage.process(record, self._state, self._ruleset(entry), now))

    def _ruleset(self, entry: RecordBatch | TimerBatch) -> RuleSet:
        found = self._rulesets.get(entry.ruleset)
        if found is None:
            raise RuleSetMissing(entry.ruleset)
        return found

    def _note(self, outcome: Outcome | None) -> None:
        if outcome is not None:
            self.outputs += outcome.outputs
