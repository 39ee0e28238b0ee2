"""``why``: everything that the bank considered to say to one customer, what it said, what it did not, and why not."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import typer
from pydantic import ValidationError

from schemas.base import Record, to_ms
from schemas.decisions import Decision
from schemas.decode import Rejected, decode
from schemas.journal import JOURNAL
from schemas.topics import CONSUMED, DECISIONS, JOURNAL_TOPIC, TOPIC, Topic
from streams.backtest.sources import NoEvents, find_files
from streams.commands.console import (
    ConfigOption,
    Exit,
    JsonOption,
    complain,
    fail,
    run,
    say,
    say_json,
    settings_or_exit,
)
from streams.commands.explaining import show_evaluations
from streams.commands.library import SHIPPED, moment_option
from streams.connections import await_kafka, kafka_options
from streams.record_files import QUEUES, read_records, tenant_of
from streams.settings import Settings
from streams.topic_reader import NoSuchTopic, partition_counts, partition_of, read_topic
from triggers.casework.dossier import Candidacy, Dossier, candidacy_json, considered_at, tell
from triggers.casework.history import choose, run_history
from triggers.casework.rerun import Rerun, RuleSetMissing
from triggers.casework.timeline import moment
from triggers.casework.trace import Evaluated
from triggers.engine.batch import RawRecord
from triggers.errors import Problem
from triggers.language.loader import load_ruleset
from triggers.language.model import Policy, RuleSet, Trigger

WHY_EXAMPLE = 'Example: bank-triggers why C1 --trigger balance_drop --at "2026-03-02 10:00"'

_SHOWN: Final = 10
_HEARD: Final = tuple(topic for topic in CONSUMED if topic.stage == "customer")
"""Everything that the customer's engine reads, also what desks tell it."""
_TOLD: Final = (TOPIC[DECISIONS], *QUEUES, TOPIC["bank.feedback"])


def why(
    customer: Annotated[str, typer.Argument(help="The customer's id.")],
    trigger: Annotated[str | None, typer.Option("--trigger", help="Only candidates of this trigger.")] = None,
    at: Annotated[
        str | None, typer.Option("--at", help="What was considered at this time, or the last time before it.")
    ] = None,
    since: Annotated[str | None, typer.Option("--since", help="Leave out what lies before this time or day.")] = None,
    records: Annotated[
        list[Path] | None,
        typer.Option(
            "--records",
            help="Files or folders instead of Kafka: event files, and what `actions --json` and `decisions --json` "
            "print. May be repeated.",
        ),
    ] = None,
    rules: Annotated[
        list[Path] | None,
        typer.Option("--rules", help="Trigger files, for titles and --replay; else the setting's, or those that ship."),
    ] = None,
    replay: Annotated[
        bool,
        typer.Option(
            "--replay",
            help="Run the customer's events again and show the condition of --trigger, also where it failed.",
        ),
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Shows, in the order of time, what was considered for a customer, sent, put off, held back and withdrawn, and why.

    It reads decisions, actions and feedback: of Kafka only the customer's own partition. A trigger whose condition
    was not true leaves no record; --replay runs the customer's events again as the journal has them and shows it.
    """
    if replay and trigger is None:
        fail("--replay shows the condition of one trigger: expected --trigger", Exit.USAGE)
    if records is not None and config is not None:
        fail("expected either --records or --config", Exit.USAGE)
    # Files need no settings: a mistake in them is no reason not to read.
    settings = settings_or_exit(config) if records is None else None
    rulesets = _rulesets(rules or [(settings.rules if settings else None) or SHIPPED])
    known = {one.id: one for one in rulesets[0].triggers} if rulesets else {}
    zone = rulesets[0].policy.timezone if rulesets else Policy().timezone
    at_ms = moment_option("--at", at, zone, end=True)
    dossier = Dossier(moment_option("--since", since, zone, end=False), trigger)
    found = _Found(customer, dossier)
    try:
        if settings is None:
            _read_files(found, records or [], replay=replay)
        else:
            run(lambda: _read_topics(settings, found))
        candidacies = dossier.close()
        chosen = list(candidacies) if at_ms is None else considered_at(candidacies, at_ms)
        if as_json:
            for one in chosen:
                say_json({"customer": customer, **candidacy_json(one, known)})
        else:
            _show(found, len(candidacies), chosen, known, zone)
        looks: list[Evaluated] = []
        if replay and trigger is not None:
            looks, outputs = _replay(found, trigger, rulesets, at_ms, settings)
            show_evaluations(looks, outputs, zone, as_json=as_json)
        _complain(found)
    except (NoEvents, NoSuchTopic) as error:
        fail(str(error))
    if found.broken or not (chosen or looks):
        raise typer.Exit(Exit.FAILED)


@dataclass(slots=True)
class _Found:
    """What was read of the customer. ``events`` of files only where they are to be run again."""

    customer: str
    dossier: Dossier
    tenant: str = ""
    problems: list[str] = field(default_factory=list)
    problem_count: int = 0
    broken: bool = False
    """A file could not be read to its end."""
    events: list[Record] = field(default_factory=list)
    decided: set[str] = field(default_factory=set)

    def take(self, topic: Topic, where: str, key: bytes | None, value: bytes | None) -> Record | None:
        """Takes a message of the customer; what is no record is noted with its place."""
        record = decode(topic, self.tenant, key, value)
        if isinstance(record, Rejected):
            self.complain(f"{where} {record.reason} {record.field} {record.problem}")
            return None
        self.dossier.add(record)
        return record

    def complain(self, problem: str) -> None:
        self.problem_count += 1
        if len(self.problems) < _SHOWN:
            self.problems.append(problem)


def _rulesets(paths: Sequence[Path]) -> list[RuleSet]:
    """The rule set of each path, as far as it can be read."""
    found = []
    for path in paths:
        loaded = load_ruleset([path])
        ruleset = loaded.ruleset or loaded.sound
        if loaded.ruleset is None:
            complain(f"{path}: the triggers have errors; see: bank-triggers check {path}")
        if ruleset is not None:
            found.append(ruleset)
    return found


def _read_files(found: _Found, paths: Sequence[Path], *, replay: bool) -> None:
    key = found.customer.encode("utf-8", "surrogateescape")
    for source in find_files(paths):
        for line in read_records(source.path):
            if isinstance(line, Problem):
                found.broken = found.broken or line.code == "F001"
                found.complain(str(line))
            elif line.key == key:
                found.tenant = found.tenant or tenant_of(line.value)
                again = replay and line.topic in _HEARD
                if again or line.topic in _TOLD:
                    record = found.take(line.topic, f"{source.name}:{line.position}", line.key, line.value)
                    if again and record is not None:
                        found.events.append(record)


async def _read_topics(settings: Settings, found: _Found) -> None:
    await await_kafka(settings)
    options = kafka_options(settings)
    found.tenant = settings.tenant
    key = found.customer.encode("utf-8", "surrogateescape")

    async def read(topic: Topic) -> None:
        async for raw in read_topic(options, settings.topic_prefix + topic.name, key=key):
            record = found.take(topic, f"{topic.name}/{raw.partition}@{raw.offset}", raw.key, raw.value)
            if isinstance(record, Decision) and record.trigger_version:  # else it is about what a desk did
                found.decided.add(record.decision_id)

    # Side by side: the dossier puts them in order.
    await asyncio.gather(*map(read, _TOLD))


async def _rerun(settings: Settings, found: _Found, trigger: str, rulesets: Mapping[str, RuleSet]) -> Rerun:
    """Runs the customer again as the journal says, entry by entry: it may be longer than what memory holds."""
    options = kafka_options(settings)
    key = found.customer.encode("utf-8", "surrogateescape")
    events: dict[str, list[RawRecord]] = {topic.name: [] for topic in _HEARD}

    async def keep(topic: Topic) -> None:
        async for raw in read_topic(options, settings.topic_prefix + topic.name, key=key):
            events[topic.name].append(raw)

    await asyncio.gather(*map(keep, _HEARD))
    result = Rerun(events, rulesets, settings.tenant, found.customer, trigger)
    name = settings.topic_prefix + JOURNAL_TOPIC
    partition = partition_of(key, (await partition_counts(options)).get(name, settings.partitions))
    async for raw in read_topic(options, name, partition=partition):
        try:
            entry = JOURNAL.validate_json(raw.value or b"")
        except ValidationError:
            found.complain(f"{JOURNAL_TOPIC}/{raw.partition}@{raw.offset}: not an entry of the journal")
        else:
            result.feed(entry)
    return result


def _replay(
    found: _Found, trigger: str, rulesets: Sequence[RuleSet], at_ms: int | None, settings: Settings | None
) -> tuple[list[Evaluated], Sequence[Record]]:
    """The looks at a trigger's condition at that time, and all that came of the customer's events."""
    if not rulesets:
        fail("no rule set to run the events under: expected --rules")
    if settings is None:
        history = run_history(rulesets[0], trigger, found.tenant, found.customer, found.events, None)
        trace, outputs, count = history.trace, history.outputs, history.records
        complain(f"{count} events of the files run again, each at its own time, under rule set {rulesets[0].hash}")
    else:
        try:
            result = run(lambda: _rerun(settings, found, trigger, {one.hash: one for one in rulesets}))
        except RuleSetMissing as error:
            fail(f"{error}; expected its files with --rules (at hand: {', '.join(one.hash for one in rulesets)})")
        trace, outputs, count = result.trace, result.outputs, result.records
        complain(f"{count} events run again as the journal has them; {_compared(found, result)}")
    chosen = choose(trace, at_ms)
    if not chosen:
        complain(f"{trigger} was never woken for the customer{'' if at_ms is None else ' by then'}")
    return chosen, outputs


def _compared(found: _Found, result: Rerun) -> str:
    """Whether what came of it is what is on record."""
    if result.begins_at is None:
        return "the journal is empty"
    if result.begins_at > 1:
        return f"the journal begins at batch {result.begins_at}: what was before is unknown here, and values may differ"
    missing, more = len(found.decided - result.decision_ids), len(result.decision_ids - found.decided)
    if missing or more:
        return f"{missing} decisions on record did not come again, {more} came that are not on record"
    return f"the same {len(found.decided)} decisions as on record"


def _show(
    found: _Found, every: int, chosen: Sequence[Candidacy], triggers: Mapping[str, Trigger], zone: ZoneInfo
) -> None:
    said = f"{every} candidate{'' if every == 1 else 's'} on record"
    if len(chosen) < every:
        said += f", {len(chosen)} shown"
    say(f"customer {found.customer}: {said} (times of {zone.key})")
    for one in chosen:
        say("")
        for line in tell(one, triggers, zone):
            say(line)
    if found.dossier.strays:
        say("")
        say(f"feedback about actions that are not among these: {len(found.dossier.strays)}")
        for stray in found.dossier.strays[-_SHOWN:]:
            say(f"  {moment(to_ms(stray.occurred_at), zone)}  {stray.channel}: {stray.outcome}  {stray.action_id}")


def _complain(found: _Found) -> None:
    if found.dossier.left_out:
        complain(f"the oldest {found.dossier.left_out} candidates are left out; --since and --trigger narrow it down")
    for problem in found.problems:
        complain(problem)
    if found.problem_count > len(found.problems):
        complain(f"… and {found.problem_count - len(found.problems)} more mistakes")
