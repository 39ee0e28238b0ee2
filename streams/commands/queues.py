"""``actions``, ``decisions`` and ``dead-letters``: what came out, read beside the consumers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer
from pydantic import BaseModel, ValidationError

from schemas.actions import OUTREACH, Cancellation
from schemas.decisions import Decision
from schemas.topics import DECISIONS, queue_of
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
from streams.dead_letters import StoredDeadLetter, read_dead_letters
from streams.settings import Settings
from streams.topic_reader import NoSuchTopic, read_topic

ACTIONS_EXAMPLE = "Example: bank-triggers actions --channel sms --follow"
DECISIONS_EXAMPLE = "Example: bank-triggers decisions --customer C1 --json"
LIST_EXAMPLE = "Example: bank-triggers dead-letters list --reason NAIVE_TIME"

CHANNELS = ("push", "sms", "wechat", "email", "manager", "agent", "branch")

FollowOption = Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")]
NewOption = Annotated[bool, typer.Option("--new", help="Only what comes from now on; with --follow.")]

dead_letters = typer.Typer(help="Records that could not be read or may not take effect.", no_args_is_help=True)


def actions(
    channel: Annotated[list[str] | None, typer.Option(help="The queue of this channel; several may be given.")] = None,
    config: ConfigOption = None,
    follow: FollowOption = False,
    new: NewOption = False,
    as_json: JsonOption = False,
) -> None:
    """Shows the actions and withdrawals on the outreach queues."""
    unknown = [name for name in channel or () if name not in CHANNELS]
    if unknown:
        raise typer.BadParameter(f"there is no channel {unknown[0]}; expected one of {', '.join(CHANNELS)}")
    if follow and len(channel or ()) != 1:
        raise typer.BadParameter("--follow follows one queue; expected one --channel")
    settings = settings_or_exit(config)
    for name in channel or CHANNELS:
        _show(settings, queue_of(name), _action_line, customer=None, follow=follow, new=new, as_json=as_json)


def decisions(
    customer: Annotated[str | None, typer.Option(help="Only this customer's.")] = None,
    config: ConfigOption = None,
    follow: FollowOption = False,
    new: NewOption = False,
    as_json: JsonOption = False,
) -> None:
    """Shows why each candidate was sent or not."""
    settings = settings_or_exit(config)
    _show(settings, DECISIONS, _decision_line, customer=customer, follow=follow, new=new, as_json=as_json)


@dead_letters.command(name="list", epilog=LIST_EXAMPLE)
def list_dead_letters(
    reason: Annotated[str | None, typer.Option(help="Only those with this reason code.")] = None,
    topic: Annotated[str | None, typer.Option(help="Only those from this topic (the registry's name).")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Lists the dead letters: reason, field, and where each came from. Original values are not shown."""
    settings = settings_or_exit(config)
    try:
        letters = run(lambda: _dead_letters(settings))
    except NoSuchTopic as error:
        fail(str(error))
    chosen = [
        letter
        for letter in letters
        if (reason is None or (letter.about is not None and letter.about.reason == reason))
        and (topic is None or (letter.about is not None and letter.about.topic == topic))
    ]
    if as_json:
        for letter in chosen:
            about: dict[str, Any] = (
                letter.about.model_dump(mode="json") if letter.about else {"problem": letter.problem}
            )
            say_json({"partition": letter.partition, "offset": letter.offset, **about})
        return
    show_table("", ("reason", "field", "from", "bytes", "problem"), [_dead_letter_row(letter) for letter in chosen])
    say(f"{len(chosen)} dead letters")


def _dead_letter_row(letter: StoredDeadLetter) -> Sequence[str]:
    about = letter.about
    if about is None:
        return (
            "?",
            "",
            f"dead letter {letter.partition}/{letter.offset}",
            str(len(letter.value or b"")),
            letter.problem,
        )
    where = f"{about.topic}/{about.partition}@{about.offset}"
    return (about.reason, about.field, where, str(about.value_bytes), about.problem)


async def _dead_letters(settings: Settings) -> list[StoredDeadLetter]:
    await await_kafka(settings)
    return [letter async for letter in read_dead_letters(kafka_options(settings), settings.topic_prefix)]


def _action_line(value: bytes) -> tuple[BaseModel, str]:
    record = OUTREACH.validate_json(value)
    if isinstance(record, Cancellation):
        line = f"cancel {record.channel} {record.customer_id} {record.trigger} {record.reason} {record.action_id}"
        return record, f"{record.created_at.isoformat()} {line}"
    line = f"action {record.channel} {record.customer_id} {record.trigger} {record.offer} {record.action_id}"
    return record, f"{record.created_at.isoformat()} {line}"


def _decision_line(value: bytes) -> tuple[BaseModel, str]:
    record = Decision.model_validate_json(value)
    detail = " ".join(f"{name}={text}" for name, text in record.detail.items())
    line = f"{record.customer_id} {record.trigger} step {record.step} {record.outcome}: {record.reason} {detail}"
    return record, f"{record.decided_at.isoformat()} {line.rstrip()}"


def _show(
    settings: Settings, topic: str, line_of: Any, *, customer: str | None, follow: bool, new: bool, as_json: bool
) -> None:
    async def read() -> None:
        await await_kafka(settings)
        name = settings.topic_prefix + topic
        async for raw in read_topic(kafka_options(settings), name, from_beginning=not new, follow=follow):
            try:
                record, line = line_of(raw.value or b"")
            except ValidationError as error:
                complain(
                    f"{name}/{raw.partition}@{raw.offset}: not a record of this topic ({error.error_count()} errors)"
                )
                continue
            if customer is not None and record.customer_id != customer:
                continue
            if as_json:
                say_json(record.model_dump(mode="json"))
            else:
                say(line)

    try:
        run(read)
    except NoSuchTopic as error:
        fail(str(error))
