"""``actions`` and ``decisions``: what came out, read beside the consumers."""

from __future__ import annotations

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
)
from streams.connections import await_kafka, kafka_options
from streams.settings import Settings
from streams.topic_reader import NoSuchTopic, read_topic

ACTIONS_EXAMPLE = "Example: bank-triggers actions --channel sms --follow"
DECISIONS_EXAMPLE = "Example: bank-triggers decisions --customer C1 --json"

CHANNELS = ("push", "sms", "wechat", "email", "manager", "agent", "branch")

FollowOption = Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")]
NewOption = Annotated[bool, typer.Option("--new", help="Only what comes from now on; with --follow.")]


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
