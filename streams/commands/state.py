"""``state accept-loss``: an operator's decision to go on where a worker refuses."""

from __future__ import annotations

from typing import Annotated

import typer

from streams.commands.console import ConfigOption, fail, run, say, settings_or_exit
from streams.connections import await_kafka, await_store, kafka_options
from streams.patience import Patience
from streams.replay import KafkaLog, KafkaUnavailable
from streams.settings import Settings

app = typer.Typer(help="The state in the store.", no_args_is_help=True)


@app.callback()
def _state() -> None:
    """A group of commands, even while it has one."""


@app.command(name="accept-loss", epilog="Example: bank-triggers state accept-loss --partition 3")
def accept_loss(
    partition: Annotated[int, typer.Option(min=0, help="The partition to go on with.")],
    config: ConfigOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Goes on from where the consumer group has read, with the states that the store still holds, if any.

    Stop the workers first. What the lost states knew (windows, contacts, caps) is gone for good.
    """
    settings = settings_or_exit(config)
    if not yes:
        typer.confirm(f"Give up what is lost of partition {partition}?", abort=True)
    positions = run(lambda: _accept(settings, partition))
    if not positions:
        fail(f"no topic has a partition {partition}")
    for topic, position in positions.items():
        say(f"{topic} partition {partition}: goes on at offset {position}")


async def _accept(settings: Settings, partition: int) -> dict[str, int]:
    from streams.clock import SystemClock
    from streams.worker import make_routes, open_store

    store = open_store(settings)
    try:
        await await_kafka(settings)
        await await_store(store, settings)
        patience = Patience("Kafka", SystemClock(), (KafkaUnavailable,))
        kafka = KafkaLog(kafka_options(settings), settings.app_id, patience)
        routes = make_routes(settings)
        pairs = {(topic, partition) for topic in routes.kafka_topics}
        spans = await kafka.spans(pairs)
        committed = await kafka.committed(pairs)
        positions = {}
        for pair in sorted(pairs):
            start, end = spans[pair]
            positions[routes.of_kafka(pair[0]).topic.name] = min(max(committed[pair] or start, start), end)
        await store.reset_positions(partition, positions)
        return positions
    finally:
        await store.close()
