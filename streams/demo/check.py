"""The demo's proof: what stands on the topics and in the store, against the pure engine run again over the journal.

And, beside the journal, what the simulated bank knows: which records were spoiled, which events were taken back, and
that the notifier accepted each action once.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from schemas.base import read_time, to_ms
from schemas.dead_letter import DEAD_LETTER_HEADER, Reason
from schemas.journal import JOURNAL
from schemas.topics import (
    BEHAVIOUR,
    CONSUMED,
    DEAD_LETTERS,
    DECISIONS,
    DESK_REPORTS,
    IDENTITY_DECISIONS,
    JOURNAL_TOPIC,
)
from streams.demo.tap import BETWEEN, QUEUES, Kept, Place
from streams.publisher import partition_of
from triggers.casework.oracle import JournalBroken, Replay, replay
from triggers.engine.batch import ORIGIN_HEADER, Message
from triggers.engine.feedback import ENDS
from triggers.engine.plan import Plan
from triggers.engine.stage import Stage
from triggers.language.model import RuleSet

CUSTOMER_TOPICS: Final = tuple(topic.name for topic in CONSUMED if topic.stage == "customer")


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that the check compares.

    ``log`` holds all messages of all topics. ``states`` maps (stage, partition, key) to what the store keeps,
    ``positions`` (topic, partition) to the next offset. ``spoiled`` maps where a spoiled record stands to the reason
    expected; ``reversals`` lists (original event, reversing event) pairs; ``accepted`` are the ids of the actions that
    the notifier accepted, ``accepted_twice`` those that it would have sent again. ``anonymous`` maps what was done
    under an id of a channel (``source:id:event``) to the customers it can have been, and its time.
    """

    log: Mapping[Place, Sequence[Kept]]
    states: Mapping[tuple[str, int, str], bytes]
    positions: Mapping[Place, int]
    stages: Mapping[str, Stage[Any]]
    ruleset: RuleSet
    tenant: str
    spoiled: Mapping[tuple[str, int, int], Reason]
    reversals: Sequence[tuple[str, str]]
    accepted: AbstractSet[str]
    anonymous: Mapping[str, tuple[AbstractSet[str], int]]
    accepted_twice: AbstractSet[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing checked. ``difference`` names the first difference, empty where there is none."""

    name: str
    compared: int
    difference: str = ""

    @property
    def passed(self) -> bool:
        """Whether nothing differed."""
        return not self.difference


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the check found, in the order to show. ``repeats`` counts messages that stand twice with the same bytes."""

    findings: tuple[Finding, ...]
    repeats: int = 0

    @property
    def passed(self) -> bool:
        """Whether every finding passed; nothing compared is no pass."""
        return all(finding.passed for finding in self.findings) and any(f.compared for f in self.findings)


def verify(evidence: Evidence, pause: Callable[[], None] = lambda: None) -> Verdict:
    """Runs the pure engine over the journal and compares. ``pause`` is called now and then; it may raise to stop."""
    try:
        oracle = _run_engine(evidence, pause)
    except JournalBroken as error:
        return Verdict((Finding("journal is whole", 0, str(error)),))
    expected: dict[str, Counter[tuple[int, Message]]] = defaultdict(Counter)
    partitions = len({partition for _, partition in evidence.log})
    for partition, message in oracle.messages:
        reached = partition_of(message.key or b"", partitions) if message.placed else partition
        expected[message.topic][reached, _plain(message)] += 1
    repeats = 0
    findings = [_all_processed(evidence, oracle)]
    for name, topics in (
        ("actions and withdrawals", QUEUES),
        ("decisions and reports", (DECISIONS, IDENTITY_DECISIONS, DESK_REPORTS)),
        ("dead letters", (DEAD_LETTERS,)),
        ("what stages tell one another", (*BETWEEN, BEHAVIOUR)),
    ):
        actual: Counter[tuple[int, Message]] = Counter()
        wanted: Counter[tuple[int, Message]] = Counter()
        for topic in topics:
            wanted += expected[topic]
            for partition, message in _messages(evidence.log, topic):
                if topic != BEHAVIOUR or message.headers:  # the bank's own behaviour has none
                    actual[partition, message] += 1
        finding, repeated = _same_messages(name, actual, wanted)
        findings.append(finding)
        repeats += repeated
    actions = [_body(message) for queue in QUEUES for _, message in _messages(evidence.log, queue)]
    findings += [
        _behaviour_once(evidence),
        _same_states(evidence.states, oracle.states),
        _one_body_each(actions),
        _accepted_once(evidence, actions),
        _spoiled_set_aside(evidence, actions),
        _reversals_withdrawn(evidence, actions),
    ]
    return Verdict(tuple(findings), repeats)


def _run_engine(evidence: Evidence, pause: Callable[[], None]) -> Replay:
    journal = [JOURNAL.validate_json(message.value or b"") for _, message in _messages(evidence.log, JOURNAL_TOPIC)]

    def read(topic: str, partition: int, first: int, last: int) -> Sequence[Kept]:
        pause()
        return evidence.log[topic, partition][first : last + 1]

    def ruleset_of(name: str) -> RuleSet:
        if name != evidence.ruleset.hash:
            raise JournalBroken(f"a batch was run under the rule set {name}, not under {evidence.ruleset.hash}")
        return evidence.ruleset

    return replay(journal, evidence.stages, evidence.tenant, read, ruleset_of)


def _all_processed(evidence: Evidence, oracle: Replay) -> Finding:
    name = "every record processed, from the first to the last"
    compared = 0
    for topic in CONSUMED:
        for place, messages in evidence.log.items():
            if place[0] != topic.name or not messages:
                continue
            compared += len(messages)
            for whose, positions in (("journal", oracle.positions), ("store", evidence.positions)):
                reached = positions.get(place, 0)
                if reached != len(messages):
                    where = f"{place[0]} partition {place[1]}"
                    return Finding(name, compared, f"{where}: {len(messages)} records, the {whose} is at {reached}")
    return Finding(name, compared)


def _same_messages(
    name: str, actual: Counter[tuple[int, Message]], wanted: Counter[tuple[int, Message]]
) -> tuple[Finding, int]:
    """What stands on the topics and what the engine yields; a message that stands twice as it is counts as repeat."""
    compared = len(wanted)
    lost = [entry for entry in wanted if actual[entry] < wanted[entry]]
    extra = [entry for entry in actual if entry not in wanted]
    repeats = sum(count - wanted[entry] for entry, count in actual.items() if entry in wanted and count > wanted[entry])
    if lost:
        return Finding(name, compared, f"{len(lost)} lost, the first: {_shown(lost[0])}"), repeats
    if extra:
        return Finding(
            name, compared, f"{len(extra)} that the engine does not yield, the first: {_shown(extra[0])}"
        ), repeats
    return Finding(name, compared), repeats


def _same_states(actual: Mapping[tuple[str, int, str], bytes], wanted: Mapping[tuple[str, int, str], bytes]) -> Finding:
    name = "states in the store"
    for key in sorted(actual.keys() | wanted.keys()):
        if actual.get(key) != wanted.get(key):
            stage, partition, customer = key
            what = "lost" if key not in actual else "not the engine's" if key not in wanted else "other bytes"
            return Finding(name, len(wanted), f"{stage} partition {partition} key {customer}: {what}")
    return Finding(name, len(wanted))


def _one_body_each(actions: Iterable[dict[str, Any]]) -> Finding:
    """The same action id never stands with two bodies: what a consumer drops as a repeat is one."""
    bodies: dict[str, dict[str, Any]] = {}
    for body in actions:
        if body["type"] == "action" and bodies.setdefault(body["action_id"], body) != body:
            return Finding("one body for each action id", len(bodies), f"action {body['action_id']} has two bodies")
    return Finding("one body for each action id", len(bodies))


def _accepted_once(evidence: Evidence, actions: Iterable[dict[str, Any]]) -> Finding:
    name = "accepted by the notifier, each once"
    sent = {body["action_id"] for body in actions if body["type"] == "action"}
    if missing := sorted(sent - evidence.accepted):
        return Finding(name, len(sent), f"{len(missing)} never accepted, the first: action {missing[0]}")
    if unknown := sorted(evidence.accepted - sent):
        return Finding(name, len(sent), f"{len(unknown)} accepted that nobody sent, the first: action {unknown[0]}")
    if twice := sorted(evidence.accepted_twice):
        return Finding(name, len(sent), f"{len(twice)} accepted twice, the first: action {twice[0]}")
    return Finding(name, len(sent))


def _spoiled_set_aside(evidence: Evidence, actions: Sequence[dict[str, Any]]) -> Finding:
    """Every spoiled record is one dead letter, with its reason and its original bytes, and no other record is one.

    But for feedback that comes when its action is forgotten: months go by in seconds here, and where the machine is
    slow the notifier's answer is months late.
    """
    name = "every spoiled record one dead letter, no other record"
    forgotten = _forgotten(evidence, actions)
    seen: Counter[tuple[str, int, int]] = Counter()
    for _, message in _messages(evidence.log, DEAD_LETTERS):
        about = msgspec.json.decode(dict(message.headers)[DEAD_LETTER_HEADER])
        where = (about["topic"], about["partition"], about["offset"])
        reason = evidence.spoiled.get(where)
        shown = f"{where[0]} partition {where[1]} offset {where[2]}"
        seen[where] += 1
        if reason is None and about["reason"] == Reason.UNKNOWN_ACTION:
            feedback = _body(evidence.log[where[0], where[1]][where[2]])
            if (feedback["action_id"], feedback["customer_id"], feedback["channel"]) in forgotten:
                continue
        if reason is None:
            return Finding(name, len(evidence.spoiled), f"{shown}: set aside as {about['reason']}, and was good")
        if about["reason"] != reason:
            return Finding(name, len(evidence.spoiled), f"{shown}: {about['reason']}, expected {reason}")
        original = evidence.log[where[0], where[1]][where[2]]
        if (message.key, message.value) != (original.key, original.value):
            return Finding(name, len(evidence.spoiled), f"{shown}: the dead letter does not hold the original bytes")
    for where in evidence.spoiled:
        if seen[where] == 0:
            shown = f"{where[0]} partition {where[1]} offset {where[2]}"
            return Finding(name, len(evidence.spoiled), f"{shown}: {evidence.spoiled[where]} expected, no dead letter")
    return Finding(name, len(evidence.spoiled))


def _forgotten(evidence: Evidence, actions: Sequence[dict[str, Any]]) -> set[tuple[str, str, str]]:
    """Id, customer and channel of the actions that the engine may have forgotten by the customer's last event."""
    newest: dict[str, int] = {}
    for topic in CUSTOMER_TOPICS:
        for _, message in _messages(evidence.log, topic):
            try:
                body = _body(message)
                customer, at = body["customer_id"], to_ms(read_time(body["occurred_at"]))
            except (ValueError, LookupError, TypeError):
                continue  # spoiled
            newest[customer] = max(at, newest.get(customer, at))
    kept_ms = Plan(evidence.ruleset).journey_ms
    return {
        (body["action_id"], body["customer_id"], body["channel"])
        for body in actions
        if body["type"] == "action"
        and newest.get(body["customer_id"], 0) - to_ms(read_time(body["created_at"])) > kept_ms
    }


def _reversals_withdrawn(evidence: Evidence, actions: Sequence[dict[str, Any]]) -> Finding:
    """Every action that an event caused before it was taken back is withdrawn, if it had not expired by then.

    What the customer had bought or refused by then had come to its end.
    """
    name = "every action on a reversed event withdrawn"
    caused: dict[str, list[dict[str, Any]]] = defaultdict(list)
    withdrawn: set[tuple[str, str]] = set()
    for body in actions:
        if body["type"] == "action":
            caused[body["occasion"]].append(body)
        else:
            withdrawn.add((body["action_id"], body["caused_by"]))
    answered = _answered(evidence)
    ended: dict[tuple[str, str], str] = {}
    for _, message in _messages(evidence.log, DECISIONS):
        decision = _body(message)
        if decision["outcome"] == "cancelled" and decision["reason"] == "reversed":
            ended[decision["trigger"], decision["occasion"]] = decision["decided_at"]
    compared = 0
    for original, reversal in evidence.reversals:
        for action in caused[f"transaction:{original}"]:
            compared += 1
            at = ended.get((action["trigger"], action["occasion"]))
            if at is None and action["action_id"] in answered:
                continue
            if at is None:
                return Finding(name, compared, f"action {action['action_id']}: its journey was not ended")
            in_force = read_time(action["expires_at"]) > read_time(at)
            if in_force and (action["action_id"], reversal) not in withdrawn:
                return Finding(name, compared, f"action {action['action_id']}: not withdrawn")
    return Finding(name, compared)


def _answered(evidence: Evidence) -> set[str]:
    """The actions that their customers bought on, or refused."""
    found = set()
    for _, message in _messages(evidence.log, "bank.feedback"):
        try:
            body = _body(message)
            if body["outcome"] in ENDS:
                found.add(body["action_id"])
        except (ValueError, LookupError, TypeError):
            continue  # spoiled
    return found


def _behaviour_once(evidence: Evidence) -> Finding:
    """What was done under an id was sent on once, at its own time, for who it was; or it is on record why not.

    Beside the engine: the bank knows who it was.
    """
    name = "behaviour of ids counted once, for who it was"
    compared = len(evidence.anonymous)
    found: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for _, message in _messages(evidence.log, BEHAVIOUR):
        sent_on = dict(message.headers).get(ORIGIN_HEADER)
        if sent_on is not None:
            body = _body(message)
            found[sent_on.decode()].add((body["customer_id"], body["occurred_at"]))
    decisions = [_body(message) for _, message in _messages(evidence.log, IDENTITY_DECISIONS)]
    expired = {f"{body['identity']}:{body['caused_by']}" for body in decisions if body["outcome"] == "expired"}
    for origin, (whose, at_ms) in evidence.anonymous.items():
        events = found.pop(origin, set())
        if len(events) > 1:
            return Finding(name, compared, f"{origin}: sent on as {len(events)} events, not one")
        if events and origin in expired:
            return Finding(name, compared, f"{origin}: sent on, and on record as expired")
        if whose and not events and origin not in expired:
            return Finding(name, compared, f"{origin}: neither sent on nor on record as expired")
        for customer_id, at in events:
            if customer_id not in whose:
                return Finding(name, compared, f"{origin}: sent on for a customer who it was not")
            if to_ms(read_time(at)) != at_ms:
                return Finding(name, compared, f"{origin}: sent on with another time than its own")
    if found:
        return Finding(name, compared, f"{min(found)}: sent on, and nobody did it")
    return Finding(name, compared)


def _messages(log: Mapping[Place, Sequence[Kept]], topic: str) -> Iterable[tuple[int, Message]]:
    for (name, partition), messages in log.items():
        if name == topic:
            for kept in messages:
                yield partition, Message(topic, kept.key, kept.value, kept.headers)


def _plain(message: Message) -> Message:
    return message._replace(headers=tuple(message.headers), by_key=False)


def _body(message: Message) -> dict[str, Any]:
    body: dict[str, Any] = msgspec.json.decode(message.value or b"")
    return body


def _shown(entry: tuple[int, Message]) -> str:
    """A message by its ids: its body may hold amounts."""
    partition, message = entry
    where = f"{message.topic} partition {partition}"
    if message.topic == DEAD_LETTERS:
        about = msgspec.json.decode(dict(message.headers)[DEAD_LETTER_HEADER])
        return f"{where}, of {about['topic']} offset {about['offset']}"
    body = _body(message)
    if "type" in body:
        return f"{where}, {body['type']} {body['action_id']}"
    name = next(name for name in ("decision_id", "report_id", "event_id") if name in body)
    return f"{where}, {name.removesuffix('_id')} {body[name]}"
