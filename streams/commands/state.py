"""``state``: an operator's decisions to go on where a worker refuses or has halted."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

import typer

from streams.clock import SystemClock
from streams.commands.console import ConfigOption, fail, run, say, settings_or_exit
from streams.commands.rebuild import EXAMPLE, rebuild
from streams.connections import await_kafka, await_store, kafka_options
from streams.patience import Patience
from streams.settings import Settings
from streams.store import IntentPending

app = typer.Typer(help="The state in the store.", no_args_is_help=True)
app.command(name="rebuild", epilog=EXAMPLE)(rebuild)


@app.command(name="accept-loss", epilog="Example: bank-triggers state accept-loss --partition 3")
def accept_loss(
    partition: Annotated[int, typer.Option(min=0, help="The partition to go on with.")],
    config: ConfigOption = None,
    abandon_batch: Annotated[
        bool, typer.Option("--abandon-batch", help="Also give up a batch that was begun and cannot be run again.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Lets a worker go on with a partition that it refuses, with what is left of it.

    A topic whose position is unknown goes on where the consumer group has read; one whose position is no longer in
    Kafka goes on with what Kafka still has. Stop the workers first. What the lost states knew (windows, contacts,
    caps) is gone for good.
    """
    settings = settings_or_exit(config)
    if not yes:
        typer.confirm(f"Give up what is lost of partition {partition}?", abort=True)
    try:
        done = run(lambda: _accept(settings, partition, abandon_batch=abandon_batch))
    except IntentPending as error:
        fail(f"{error}; a worker runs it again at its start. If it cannot: --abandon-batch")
    for line in done or [f"nothing is lost of partition {partition}"]:
        say(line)


@app.command(name="resume", epilog="Example: bank-triggers state resume --partition 3")
def resume(
    partition: Annotated[list[int], typer.Option(min=0, help="A halted partition; several may be given.")],
    config: ConfigOption = None,
) -> None:
    """Lets the workers go on with partitions that a flood of dead letters halted. The count begins anew.

    What was set aside stays in the dead letters: bank-triggers dead-letters list, redrive, drop.
    """
    settings = settings_or_exit(config)
    resumed = run(lambda: _resume(settings, partition))
    for number in partition:
        say(f"partition {number} {'goes on' if number in resumed else 'is not halted'}")


@app.command(name="acl", epilog="Example: bank-triggers state acl --user bank-triggers")
def show_acl(
    user: Annotated[str, typer.Option(help="The user of Redis that the URL names.")] = "bank-triggers",
    operator: Annotated[
        bool, typer.Option("--operator", help="Also what state rebuild needs; a worker does not.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Prints the least rights in Redis, as the line that its administrators type. Changes nothing.

    Put the password in the place of PASSWORD. On a cluster it is typed on every node.
    """
    from streams.store_redis import acl_rule

    settings = settings_or_exit(config)
    database = urlsplit(settings.redis_url.get_secret_value()).path.strip("/")
    say(
        acl_rule(
            user,
            settings.namespace,
            cluster=settings.redis_cluster,
            database=int(database or 0),
            operator=operator,
            replicas=settings.redis_wait_replicas > 0,
        )
    )


async def _resume(settings: Settings, partitions: list[int]) -> set[int]:
    from streams.worker import open_store

    store = open_store(settings)
    try:
        await await_store(store, settings)
        return {number for number in partitions if await store.resume(number)}
    finally:
        await store.close()


async def _accept(settings: Settings, partition: int, *, abandon_batch: bool) -> list[str]:
    # Only here: Faust and the clients take as long to import as an author's command takes to run.
    from streams.journal import KafkaJournal
    from streams.replay import KafkaLog, KafkaUnavailable
    from streams.worker import make_routes, open_store

    store = open_store(settings)
    done = []
    try:
        await await_kafka(settings)
        await await_store(store, settings)
        patience = Patience("Kafka", SystemClock(), (KafkaUnavailable,))
        kafka = KafkaLog(kafka_options(settings), settings.app_id, patience)
        routes = make_routes(settings)
        pairs = {(topic, partition) for topic in routes.kafka_topics}
        spans, committed = await kafka.spans(pairs), await kafka.committed(pairs)
        newest = await KafkaJournal(kafka, settings.topic_prefix).newest({partition})
        held = await store.positions(partition)
        number = await store.abandon_intent(partition) if abandon_batch else None
        if number is not None:
            done.append(f"partition {partition}: batch {number} is given up")
        positions = {}
        for pair in sorted(pairs):
            topic, (start, end) = routes.of_kafka(pair[0]).topic.name, spans[pair]
            wanted = held.get(topic, committed[pair] or start)
            goes_on = min(max(wanted, start), end)
            if held.get(topic) != goes_on:
                positions[topic] = goes_on
                done.append(f"{pair[0]} partition {partition}: goes on at offset {goes_on}")
        if positions or number is not None:
            # A number that no batch has: whoever runs the journal again sees that something was given up here.
            await store.reset_positions(partition, positions, max(newest[partition], number or 0) + 1)
    finally:
        await store.close()
    return done
