"""``topics create`` and ``topics check``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from streams.commands.console import ConfigOption, Exit, JsonOption, fail, run, say, say_json, settings_or_exit
from streams.connections import await_kafka
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
