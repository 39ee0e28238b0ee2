"""Everything on record of what the bank meant to say to one customer: each candidate with all that became of it.

A candidate is a trigger whose wake came and whose condition was true. Each has one decision for every step that it came
to, and one more for each time that it waited. A trigger whose condition was false or unknown leaves no record: there
are thousands of those for each candidate, and the engine, run again over the journal, tells them all (see ``rerun``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from zoneinfo import ZoneInfo

from schemas.actions import Cancellation, NextBestAction
from schemas.base import from_ms, to_ms
from schemas.decisions import Decision
from schemas.events import Feedback
from triggers.casework.reasons import MEANINGS
from triggers.casework.timeline import moment, show_detail
from triggers.language.model import Trigger

MOST: Final = 2_000
"""Candidates that are kept of one customer: the newest."""


@dataclass(slots=True)
class Candidacy:
    """One candidate: a trigger at an occasion. Its records stand in the order of time once the dossier is closed."""

    trigger: str
    occasion: str
    decisions: dict[str, Decision] = field(default_factory=dict)
    actions: dict[str, NextBestAction] = field(default_factory=dict)
    cancellations: dict[str, Cancellation] = field(default_factory=dict)
    feedback: list[Any] = field(default_factory=list)

    @property
    def first_ms(self) -> int:
        """When it was first considered."""
        return min(self._times())

    @property
    def last_ms(self) -> int:
        """When it was last decided on."""
        return max(self._times())

    def _times(self) -> Iterator[int]:
        yield from (to_ms(one.decided_at) for one in self.decisions.values())
        yield from (to_ms(one.created_at) for one in self.actions.values())


class Dossier:
    """Takes one customer's records in any order, repeats too; ``close`` lays them out. Its memory is bounded."""

    def __init__(self, since_ms: int | None = None, trigger: str | None = None, most: int = MOST) -> None:
        self._since_ms = since_ms
        self._trigger = trigger
        self._most = most
        self._candidacies: dict[tuple[str, str], Candidacy] = {}
        self._cancellations: dict[str, Cancellation] = {}
        self._feedback: dict[str, Any] = {}
        self.left_out = 0
        """The oldest candidates, for which there was no room."""
        self.strays: list[Any] = []
        """Feedback about actions that are not among these."""

    def add(self, record: Any) -> None:
        """Takes a decision, an action, a withdrawal or a feedback; other records say nothing here."""
        if isinstance(record, Decision):
            if self._wanted(record.trigger, to_ms(record.decided_at)):
                found = self._candidacy(record.trigger, record.occasion)
                found.decisions.setdefault(record.decision_id, record)
        elif isinstance(record, NextBestAction):
            if self._wanted(record.trigger, to_ms(record.created_at)):
                found = self._candidacy(record.trigger, record.occasion)
                found.actions.setdefault(record.action_id, record)
        elif isinstance(record, Cancellation):
            if self._wanted(record.trigger, to_ms(record.created_at)):
                self._cancellations.setdefault(record.action_id, record)
        elif record.record_type == Feedback.record_type:
            at = to_ms(record.occurred_at)
            if self._since_ms is None or at >= self._since_ms:
                self._feedback.setdefault(record.event_id, record)
        if max(len(self._candidacies), len(self._feedback), len(self._cancellations)) > 2 * self._most:
            self._cut()

    def close(self) -> Sequence[Candidacy]:
        """The candidates in the order in which they were first considered, each with what belongs to it."""
        self._cut()
        owner = {}
        for candidacy in self._candidacies.values():
            for decision in candidacy.decisions.values():
                if decision.action_id is not None:
                    owner[decision.action_id] = candidacy
            owner |= dict.fromkeys(candidacy.actions, candidacy)
        for action_id, cancellation in self._cancellations.items():
            if action_id in owner:
                owner[action_id].cancellations[action_id] = cancellation
        for record in sorted(self._feedback.values(), key=lambda one: (one.occurred_at, one.event_id)):
            if record.action_id in owner:
                owner[record.action_id].feedback.append(record)
            elif self._trigger is None:
                self.strays.append(record)
        return sorted(self._candidacies.values(), key=lambda one: (one.first_ms, one.trigger, one.occasion))

    def _wanted(self, trigger: str, at: int) -> bool:
        return self._trigger in (None, trigger) and (self._since_ms is None or at >= self._since_ms)

    def _candidacy(self, trigger: str, occasion: str) -> Candidacy:
        return self._candidacies.setdefault((trigger, occasion), Candidacy(trigger, occasion))

    def _cut(self) -> None:
        """Keeps the newest of everything."""
        newest = sorted(self._candidacies.items(), key=lambda item: (item[1].last_ms, item[0]))
        self.left_out += max(0, len(newest) - self._most)
        self._candidacies = dict(newest[-self._most :])
        told = sorted(self._feedback.items(), key=lambda item: (item[1].occurred_at, item[0]))
        self._feedback = dict(told[-2 * self._most :])
        withdrawn = sorted(self._cancellations.items(), key=lambda item: (item[1].created_at, item[0]))
        self._cancellations = dict(withdrawn[-2 * self._most :])


def considered_at(candidacies: Sequence[Candidacy], at_ms: int) -> list[Candidacy]:
    """Those first considered at a time; where none was then, those of the last time before."""
    times = [one.first_ms for one in candidacies if one.first_ms <= at_ms]
    return [one for one in candidacies if times and one.first_ms == max(times)]


def tell(candidacy: Candidacy, triggers: Mapping[str, Trigger], zone: ZoneInfo) -> list[str]:
    """A candidate in plain language: a heading, then a line for each thing that happened, in the order of time."""
    known = triggers.get(candidacy.trigger)
    title = f": {known.title}" if known is not None else ""
    lines = [f"{moment(candidacy.first_ms, zone)}  {candidacy.trigger}{title}"]
    versions = {(one.trigger_version, one.ruleset) for one in _made_under(candidacy)}
    for version, ruleset in sorted(versions):
        lines.append(f"  occasion {candidacy.occasion}; version {version}, rule set {ruleset}")
    events = [(to_ms(one.decided_at), 0, _decision(one, candidacy, zone)) for one in candidacy.decisions.values()]
    told = {one.action_id for one in candidacy.decisions.values()}
    for action in candidacy.actions.values():
        if action.action_id not in told:
            said = f"sent by {_offered(action, zone)}; its decision is not among these records"
            events.append((to_ms(action.created_at), 0, _stepped(action.step, said)))
    for gone in candidacy.cancellations.values():
        meaning = MEANINGS.get(gone.reason, gone.reason)
        said = f"withdrawn from {gone.channel}: {meaning} ({gone.reason}, by {gone.caused_by})"
        events.append((to_ms(gone.created_at), 1, said))
    events += [
        (to_ms(one.occurred_at), 2, f"came back from {one.channel}: {one.outcome}") for one in candidacy.feedback
    ]
    lines += [f"  {moment(at, zone)}  {said}" for at, _, said in sorted(events)]
    return lines


def candidacy_json(candidacy: Candidacy, triggers: Mapping[str, Trigger]) -> dict[str, Any]:
    """The same for a machine: the records themselves, with the meaning of each reason."""
    decisions = sorted(candidacy.decisions.values(), key=lambda one: (one.decided_at, one.decision_id))
    known = triggers.get(candidacy.trigger)
    return {
        "trigger": candidacy.trigger,
        "title": None if known is None else known.title,
        "occasion": candidacy.occasion,
        "considered_at": from_ms(candidacy.first_ms).isoformat().replace("+00:00", "Z"),
        "decisions": [
            {**one.model_dump(mode="json"), "meaning": MEANINGS.get(one.reason, one.reason)} for one in decisions
        ],
        "actions": _dumped(candidacy.actions.values()),
        "withdrawals": _dumped(candidacy.cancellations.values()),
        "feedback": [
            {"at": one.occurred_at, "action_id": one.action_id, "channel": one.channel, "outcome": one.outcome}
            for one in candidacy.feedback
        ],
    }


def _made_under(candidacy: Candidacy) -> Iterator[Decision | NextBestAction]:
    yield from candidacy.decisions.values()
    yield from candidacy.actions.values()


def _dumped(records: Iterable[NextBestAction | Cancellation]) -> list[Any]:
    return [one.model_dump(mode="json") for one in sorted(records, key=lambda one: (one.created_at, one.action_id))]


def _decision(decision: Decision, candidacy: Candidacy, zone: ZoneInfo) -> str:
    detail = show_detail(decision.detail, zone)
    if decision.outcome == "sent":
        action = candidacy.actions.get(decision.action_id or "")
        if decision.reason != "sent":  # by a desk, which also does what nobody is sent for
            said = f"{MEANINGS.get(decision.reason, decision.reason)} ({decision.reason})"
            said += f", sent by {_offered(action, zone)}" if action is not None else ""
        else:
            said = f"sent by {decision.channel}" if action is None else f"sent by {_offered(action, zone)}"
        return _stepped(decision.step, said + _listed(detail))
    if decision.reason == "shadow":
        would = detail.pop("would", "")
        said = "sent" if would == "sent" else f"held back: {MEANINGS.get(would, would)} ({would})"
        return _stepped(decision.step, f"in shadow: nothing is sent; live it would be {said}{_listed(detail)}")
    began = {"deferred": "put off", "cancelled": "taken back"}.get(decision.outcome, "not sent")
    meaning = MEANINGS.get(decision.reason, decision.reason)
    on = f" on {decision.channel}" if decision.channel is not None and decision.outcome != "cancelled" else ""
    return _stepped(decision.step, f"{began}{on}: {meaning} ({decision.reason}){_listed(detail)}")


def _offered(action: NextBestAction, zone: ZoneInfo) -> str:
    worth = "" if action.value is None else f", value {action.value}"
    return f"{action.channel}: offer {action.offer}{worth}, until {moment(to_ms(action.expires_at), zone)}"


def _stepped(step: int, said: str) -> str:
    return f"step {step + 1}: {said}" if step else said


def _listed(detail: Mapping[str, str]) -> str:
    """The values that decided, in brackets."""
    return "".join(["  [", ", ".join(f"{name} = {text}" for name, text in detail.items()), "]"]) if detail else ""
