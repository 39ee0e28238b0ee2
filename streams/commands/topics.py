"""``topics create`` and ``topics check``."""

from __future__ import annotations

from typing import Annotated

import typer

from streams.commands.console import ConfigOption, Exit, fail, run, say, settings_or_exit
from streams.connections import await_kafka
from streams.settings import Settings
from streams.topic_admin import TopicProblem, TopicsRefused, check, connect_admin, create

app = typer.Typer(help="The topics on Kafka, as the registry wants them.", no_args_is_help=True)


@app.command(name="create", epilog="Example: bank-triggers topics create --partitions 12")
def create_topics(
    config: ConfigOption = None,
    partitions: Annotated[int | None, typer.Option(min=1, help="Partitions of each topic; all have as many.")] = None,
) -> None:
    """Creates the topics that are missing and sets what differs; what is right is left alone."""
    settings = settings_or_exit(config, partitions=partitions)
    try:
        done = run(lambda: _create(settings))
    except TopicsRefused as error:
        fail(str(error))
    for line in done or ["every topic is as it should be"]:
        say(line)


@app.command(name="check", epilog="Example: bank-triggers topics check")
def check_topics(config: ConfigOption = None) -> None:
    """Compares the topics with the registry: names, partitions, cleanup, sizes, retention."""
    settings = settings_or_exit(config)
    try:
        problems = run(lambda: _check(settings))
    except TopicsRefused as error:
        fail(str(error))
    for problem in problems:
        say(str(problem))
    if problems:
        raise typer.Exit(Exit.FAILED)
    say("every topic is as it should be")


async def _create(settings: Settings) -> list[str]:
    await await_kafka(settings)
    async with connect_admin(settings) as admin:
        return await create(admin, settings)


async def _check(settings: Settings) -> list[TopicProblem]:
    await await_kafka(settings)
    async with connect_admin(settings) as admin:
        return await check(admin, settings)
