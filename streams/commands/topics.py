"""``topics create`` and ``topics check``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from streams.commands.console import ConfigOption, Exit, JsonOption, fail, run, say, say_json, settings_or_exit
from streams.connections import await_kafka
from streams.kafka_access import WORKER, acl_commands, rights_of, roles
from streams.settings import Settings
from streams.topic_admin import TopicProblem, TopicsRefused, check, connect_admin, create

app = typer.Typer(
    help="The topics on Kafka, as the registry wants them.",
    epilog="Example: bank-triggers topics check",
    no_args_is_help=True,
)


@app.command(name="create", epilog="Example: bank-triggers topics create --partitions 12")
def create_topics(
    config: ConfigOption = None,
    partitions: Annotated[int | None, typer.Option(min=1, help="Partitions of each topic; all have as many.")] = None,
) -> None:
    """Creates the topics that are missing and sets what differs; what is right is left alone."""
    settings = settings_or_exit(config, partitions=partitions)
    try:
        done, left = run(lambda: _create(settings, partitions))
    except TopicsRefused as error:
        fail(str(error))
    for line in done:
        say(line)
    _report(left)


@app.command(name="check", epilog="Example: bank-triggers topics check")
def check_topics(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Compares the topics with the registry: names, partitions, cleanup, sizes, retention."""
    settings = settings_or_exit(config)
    try:
        problems = run(lambda: _check(settings))
    except TopicsRefused as error:
        fail(str(error))
    _report(problems, as_json=as_json)


@app.command(name="acls", epilog="Example: bank-triggers topics acls push-notifier --principal User:push")
def list_acls(
    role: Annotated[
        str, typer.Argument(help="worker, operator, or who publishes to topics or reads them by the registry.")
    ] = WORKER,
    principal: Annotated[
        str | None, typer.Option(help="Whom Kafka is to allow it; else the user of the settings, User:<name>.")
    ] = None,
    group: Annotated[
        str | None, typer.Option(help="The consumer group of another reader; else its role's name.")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Prints the least rights that a role needs, as commands for Kafka's administrators. Changes nothing."""
    settings = settings_or_exit(config)
    who = principal or (f"User:{settings.kafka_sasl_username}" if settings.kafka_sasl_username else None)
    if who is None:
        raise typer.BadParameter("expected --principal, such as User:bank-triggers: the settings name no user")
    if role not in roles():
        raise typer.BadParameter(f"there is no role {role!r}; expected one of {', '.join(roles())}")
    rights = rights_of(role, settings, group=group)
    if as_json:
        for right in rights:
            say_json({"principal": who, **asdict(right)})
        return
    for command in acl_commands(rights, who, ",".join(settings.kafka_bootstrap)):
        say(command)


def _report(problems: list[TopicProblem], *, as_json: bool = False) -> None:
    for problem in problems:
        if as_json:
            say_json(asdict(problem))
        else:
            say(str(problem))
    if problems:
        raise typer.Exit(Exit.FAILED)
    if not as_json:
        say("every topic is as it should be")


async def _create(settings: Settings, partitions: int | None) -> tuple[list[str], list[TopicProblem]]:
    """What was done, and what is left to do by hand."""
    await await_kafka(settings)
    async with connect_admin(settings) as admin:
        done = await create(admin, settings)
        return done, await check(admin, settings, partitions=partitions)


async def _check(settings: Settings) -> list[TopicProblem]:
    await await_kafka(settings)
    async with connect_admin(settings) as admin:
        return await check(admin, settings)
