"""``dead-letters``: what was set aside, shown, sent again or given up."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any

import typer
from aiokafka.errors import KafkaError

from schemas.dead_letter import Reason
from streams.clock import SystemClock
from streams.commands.console import (
    ConfigOption,
    JsonOption,
    complain,
    fail,
    run,
    say,
    say_json,
    settings_or_exit,
    show_table,
)
from streams.connections import await_kafka, kafka_options
from streams.dead_letters import Source, StoredDeadLetter, read_dead_letters
from streams.redrive import obstacle, open_redriver
from streams.settings import Settings
from streams.topic_reader import NoSuchTopic

LIST_EXAMPLE = "Example: bank-triggers dead-letters list --reason NAIVE_TIME"
SHOW_EXAMPLE = "Example: bank-triggers dead-letters show bank.transactions/3@48110 --value > record.json"
REDRIVE_EXAMPLE = "Example: bank-triggers dead-letters redrive --reason WRONG_TENANT --note 'tenant mended' --dry-run"
DROP_EXAMPLE = "Example: bank-triggers dead-letters drop --topic bank.behaviour --note 'test traffic'"

NamesArgument = Annotated[
    list[str] | None, typer.Argument(help="Dead letters as list names them: topic/partition@offset.")
]
ReasonOption = Annotated[list[str] | None, typer.Option(help="Only those with this reason code; several may be given.")]
TopicOption = Annotated[str | None, typer.Option(help="Only those from this topic (the registry's name).")]
SinceOption = Annotated[datetime | None, typer.Option(help="Only those set aside at this time (UTC) or later.")]
UntilOption = Annotated[datetime | None, typer.Option(help="Only those set aside before this time (UTC).")]
NoteOption = Annotated[str, typer.Option(help="Why; it is kept with each of them.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]

Chosen = Callable[[StoredDeadLetter], bool]

app = typer.Typer(help="Records that could not be read or may not take effect.", no_args_is_help=True)


@app.command(name="list", epilog=LIST_EXAMPLE)
def list_dead_letters(
    reason: ReasonOption = None,
    topic: TopicOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    resolved: Annotated[bool, typer.Option("--resolved", help="Also those that were redriven or dropped.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Lists the dead letters: reason, field, and where each came from. Original values are not shown."""
    settings = settings_or_exit(config)
    wanted = _filter(None, reason, topic, since, until)
    letters = _read(settings, lambda letter: wanted(letter) and (resolved or letter.resolution is None))
    if as_json:
        for letter in letters:
            say_json(_json(letter))
        return
    columns = ("reason", "field", "from", "bytes", "problem", *(["resolved"] if resolved else []))
    show_table("", columns, [_row(letter, resolved=resolved) for letter in letters])
    counts = Counter(letter.about.reason if letter.about else "?" for letter in letters)
    told = ", ".join(f"{code} {count}" for code, count in sorted(counts.items()))
    say(f"{len(letters)} dead letters{': ' if told else ''}{told}")


@app.command(epilog=SHOW_EXAMPLE)
def show(
    name: Annotated[str, typer.Argument(help="A dead letter as list names it: topic/partition@offset.")],
    value: Annotated[
        bool, typer.Option("--value", help="Write the original bytes, which may hold personal data, and nothing else.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Shows one dead letter: why, where from, what was done about it, and whether it could be sent again."""
    settings = settings_or_exit(config)
    source = _source(name)
    found = _read(settings, lambda letter: letter.about is not None and Source.of(letter.about) == source, values=True)
    if not found:
        fail(f"there is no dead letter {name}; see: bank-triggers dead-letters list --resolved")
    (letter,) = found
    if value:
        sys.stdout.buffer.write(letter.value or b"")
        sys.stdout.flush()
        return
    blocked = obstacle(letter, settings.tenant)
    say_json({**_json(letter), "redrive": "possible" if blocked is None else blocked})


@app.command(epilog=REDRIVE_EXAMPLE)
def redrive(
    note: NoteOption,
    names: NamesArgument = None,
    reason: ReasonOption = None,
    topic: TopicOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    everything: Annotated[bool, typer.Option("--all", help="All that were not resolved.")] = False,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    config: ConfigOption = None,
) -> None:
    """Sends dead letters again to the topics they came from, and marks them.

    Each is checked first: one that would only be set aside again is named and left. What is sent goes through the same
    checks as any record, and counts once however often it is sent. Exit code 1 where some were left.
    """
    settings = settings_or_exit(config)
    letters = _open(settings, names, reason, topic, since, until, everything=everything, values=True)
    blocked = [(letter, why) for letter in letters if (why := obstacle(letter, settings.tenant)) is not None]
    left = {id(letter) for letter, _ in blocked}
    ready = [letter for letter in letters if id(letter) not in left]
    for letter, why in blocked:
        complain(f"{_name(letter)} is left: {why}")
    question = "" if yes else f"Send {len(ready)} dead letters again?"
    doing = _Doing("sent again", f", {len(blocked)} left", question, dry_run=dry_run)
    doing.run(settings, ready, lambda redriver: redriver.redrive(ready, note))
    if blocked:
        raise typer.Exit(1)


@app.command(epilog=DROP_EXAMPLE)
def drop(
    note: NoteOption,
    names: NamesArgument = None,
    reason: ReasonOption = None,
    topic: TopicOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    everything: Annotated[bool, typer.Option("--all", help="All that were not resolved.")] = False,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    config: ConfigOption = None,
) -> None:
    """Gives dead letters up: they are marked, and stay in the topic until its retention ends."""
    settings = settings_or_exit(config)
    letters = _open(settings, names, reason, topic, since, until, everything=everything, values=False)
    question = "" if yes else f"Give up {len(letters)} dead letters?"
    doing = _Doing("dropped", "", question, dry_run=dry_run)
    doing.run(settings, letters, lambda redriver: redriver.drop(letters, note))


@dataclass(frozen=True, slots=True)
class _Doing:
    """How something is done with dead letters, and told: ``done`` (sent again), and what was not.

    ``question`` is asked before; empty for none.
    """

    done: str
    left: str
    question: str
    dry_run: bool

    def run(self, settings: Settings, letters: Sequence[StoredDeadLetter], act: Callable[[Any], Any]) -> None:
        if self.dry_run:
            for letter in letters:
                say(f"{_name(letter)} would be {self.done}")
            say(f"{len(letters)} would be {self.done}{self.left}")
        elif letters:
            if self.question:
                typer.confirm(self.question, abort=True)
            _carry_out(settings, act)
            say(f"{len(letters)} {self.done}{self.left}")
        else:
            say(f"none {self.done}{self.left}")


def _open(
    settings: Settings,
    names: Sequence[str] | None,
    reason: Sequence[str] | None,
    topic: str | None,
    since: datetime | None,
    until: datetime | None,
    *,
    everything: bool,
    values: bool,
) -> list[StoredDeadLetter]:
    """The dead letters that a command is to act on: chosen, not resolved, and known to be ours."""
    if not (names or reason or topic or since or until or everything):
        raise typer.BadParameter("nothing is chosen; expected names, --reason, --topic, --since, --until or --all")
    wanted = _filter(names, reason, topic, since, until)
    letters = _read(
        settings,
        lambda letter: letter.about is not None and letter.resolution is None and wanted(letter),
        values=values,
    )
    missing = {_source(name) for name in names or ()} - {Source.of(letter.about) for letter in letters if letter.about}
    if missing:
        fail(f"there is no open dead letter {', '.join(map(str, sorted(missing)))}")
    return letters


def _filter(
    names: Sequence[str] | None,
    reasons: Sequence[str] | None,
    topic: str | None,
    since: datetime | None,
    until: datetime | None,
) -> Chosen:
    unknown = [reason for reason in reasons or () if reason not in Reason.__members__]
    if unknown:
        raise typer.BadParameter(f"there is no reason {unknown[0]}; expected one of {', '.join(Reason)}")
    sources = {_source(name) for name in names} if names else None

    def wanted(letter: StoredDeadLetter) -> bool:
        about = letter.about
        if about is None:
            return not (sources or reasons or topic or since or until)
        at = about.rejected_at.replace(tzinfo=None)
        return (
            (sources is None or Source.of(about) in sources)
            and (not reasons or about.reason in reasons)
            and (topic is None or about.topic == topic)
            and (since is None or at >= since)
            and (until is None or at < until)
        )

    return wanted


def _source(name: str) -> Source:
    topic, slash, rest = name.rpartition("/")
    partition, at, offset = rest.partition("@")
    if not (slash and at and partition.isdecimal() and offset.isdecimal()):
        raise typer.BadParameter(f"{name!r} names no dead letter; expected topic/partition@offset")
    return Source(topic, int(partition), int(offset))


def _read(settings: Settings, wanted: Chosen, *, values: bool = False) -> list[StoredDeadLetter]:
    async def read() -> list[StoredDeadLetter]:
        await await_kafka(settings)
        letters = read_dead_letters(kafka_options(settings), settings.topic_prefix)
        # A flood is listed without its values: many small things instead of many large ones.
        return [letter if values else replace(letter, value=None) async for letter in letters if wanted(letter)]

    try:
        return run(read)
    except NoSuchTopic as error:
        fail(str(error))


def _carry_out(settings: Settings, act: Callable[[Any], Any]) -> None:
    async def work() -> None:
        options = kafka_options(settings)
        async with open_redriver(options, settings.tenant, settings.topic_prefix, SystemClock()) as redriver:
            await act(redriver)

    try:
        run(work)
    except KafkaError as error:
        fail(f"Kafka did not take all of it ({type(error).__name__}); the same command goes on where it stopped")


def _name(letter: StoredDeadLetter) -> str:
    if letter.about is None:
        return f"dead letter {letter.partition}/{letter.offset}"
    return str(Source.of(letter.about))


def _row(letter: StoredDeadLetter, *, resolved: bool) -> Sequence[str]:
    about, done = letter.about, letter.resolution
    if about is None:
        row = ["?", "", _name(letter), "?", letter.problem]
    else:
        row = [about.reason, about.field, _name(letter), str(about.value_bytes), about.problem]
    return [*row, f"{done.outcome}: {done.note}" if done else ""] if resolved else row


def _json(letter: StoredDeadLetter) -> dict[str, Any]:
    about: dict[str, Any] = letter.about.model_dump(mode="json") if letter.about else {"problem": letter.problem}
    body = {"dead_letter_partition": letter.partition, "dead_letter_offset": letter.offset, **about}
    if letter.resolution is not None:
        body["resolution"] = letter.resolution.model_dump(mode="json", include={"outcome", "note", "resolved_at"})
    return body
