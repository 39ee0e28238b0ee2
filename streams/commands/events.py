"""``publish``, ``import``, ``simulate``: a file of events to Kafka; CSV or a made-up bank to a file of events."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Awaitable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.topics import TOPIC
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
from streams.connections import await_kafka, kafka_options
from streams.event_file import EventLine, format_event, read_events, replacing
from streams.importer import ImportRefused, ImportReport, ImportStopped, import_files
from streams.settings import Settings
from streams.simulator import BankPlan, simulate_bank
from streams.simulator.records import moment
from streams.topic_reader import NoSuchTopic, partition_counts
from triggers.errors import Problem

PUBLISH_EXAMPLE = "Example: bank-triggers publish events.jsonl.gz"
IMPORT_EXAMPLE = "Example: bank-triggers import berka.yaml ./berka --output events.jsonl.gz"
SIMULATE_EXAMPLE = "Example: bank-triggers simulate --output year.jsonl.gz"

_IN_FLIGHT = 5_000


def publish(
    file: Annotated[Path, typer.Argument(help="An event file: JSON lines of topic, key and value.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Publishes the events of a file, keyed as the file says, in its order. Bad lines are listed and left out."""
    settings = settings_or_exit(config)
    try:
        published, problems = run(lambda: _publish(settings, file))
    except NoSuchTopic as error:
        fail(str(error))
    if as_json:
        say_json({"published": published, "problems": [asdict(problem) for problem in problems]})
    else:
        for problem in problems:
            complain(str(problem))
        say(f"{published} events published, {len(problems)} lines left out")
    if problems:
        raise typer.Exit(Exit.FAILED)


def import_(
    mapping: Annotated[Path, typer.Argument(help="The mapping file: how rows become events.")],
    files: Annotated[list[str], typer.Argument(help="CSV files, folders, or name=path for a source of the mapping.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write; .gz packs it.")],
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first row with a mistake.")] = False,
    tenant: Annotated[str | None, typer.Option(help="The tenant of the events; else the mapping's.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Turns a bank's history in CSV into an event file, sorted by time, and lists the rows with mistakes."""
    try:
        report = import_files(mapping, files, output, strict=strict, tenant=tenant)
    except ImportRefused as refused:
        for problem in refused.problems:
            complain(str(problem))
        raise typer.Exit(Exit.FAILED) from None
    except ImportStopped as stopped:
        fail(str(stopped.error))
    if as_json:
        say_json(report.to_json())
    else:
        _show(report)
    if report.error_count:
        raise typer.Exit(Exit.FAILED)


def simulate(
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write; .gz packs it.")],
    events: Annotated[int, typer.Option(min=1_000, max=5_000_000, help="About how many events.")] = 20_000,
    days: Annotated[int, typer.Option(min=100, max=3_660, help="Over how many days.")] = 365,
    seed: Annotated[int, typer.Option(min=0, help="Another seed gives another bank.")] = 1,
) -> None:
    """Writes the events of a made-up bank to a file: history to try triggers on where there is none yet.

    Customers with salaries, spending, own transfers, reversals, late and repeated events, products falling due and
    visits to the app. The same options give the same bytes.
    """
    records = [
        record
        for record in simulate_bank(BankPlan(events=events, days=days, seed=seed))
        # What no reader would take is for testing a system, not for trying a trigger.
        if record.what != "spoiled" and record.key is not None and record.value is not None
    ]
    try:
        with (
            tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}-") as scratch,
            replacing(output, Path(scratch)) as file,
        ):
            for record in records:
                assert record.key is not None
                assert record.value is not None
                file.write(format_event(record.topic, record.key.decode(), record.value.decode()).encode())
    except OSError as error:
        fail(f"{output}: cannot be written ({error.strerror}); expected a file in a folder that exists")
    first, last = (f"{moment(records[at].at_ms):%Y-%m-%d}" for at in (0, -1))
    say(f"{len(records)} events from {first} to {last}")
    unseen = Counter(record.topic for record in records if TOPIC[record.topic].stage != "customer")
    if unseen:
        named = ", ".join(f"{topic} {count}" for topic, count in sorted(unseen.items()))
        say(f"{unseen.total()} of them are not by customer, only a worker reads them: {named}")


def _show(report: ImportReport) -> None:
    for error in report.errors:
        complain(str(error))
    if report.error_count > len(report.errors):
        complain(f"… and {report.error_count - len(report.errors)} more mistakes")
    for output in report.outputs:
        say(
            f"{output.name}: {output.rows_read} rows read, {output.filtered} filtered, "
            f"{output.rejected} with mistakes, {output.written} events for {output.topic}"
        )
        if output.chain is not None:
            chain = output.chain
            say(
                f"  balances: {chain.within_in_file} of {chain.steps} steps add up in the file's order, "
                f"{chain.within_ordered} as ordered here"
            )
    if report.first is not None and report.last is not None:
        say(f"{report.written} events from {report.first.isoformat()} to {report.last.isoformat()}")


async def _publish(settings: Settings, file: Path) -> tuple[int, list[Problem]]:
    await await_kafka(settings)
    options = kafka_options(settings)
    existing = await partition_counts(options)
    problems: list[Problem] = []
    waiting: list[tuple[EventLine, Awaitable[Any]]] = []
    published = 0
    # The default partitioner hashes the key as every Java and Python client does: one key, one partition.
    producer = AIOKafkaProducer(**options, acks="all", enable_idempotence=True, linger_ms=5)

    async def settle() -> int:
        """Waits for what was sent; returns how many lines were acknowledged."""
        acknowledged = 0
        for line, sent in waiting:
            try:
                await sent
                acknowledged += 1
            except KafkaError as error:
                problems.append(_refused(file, line, error))
        waiting.clear()
        return acknowledged

    await producer.start()
    try:
        for line in read_events(file):
            if isinstance(line, Problem):
                problems.append(line)
                continue
            topic = settings.topic_prefix + line.topic
            if topic not in existing:
                raise NoSuchTopic(topic)
            try:
                key = None if line.key is None else line.key.encode()
                waiting.append((line, await producer.send(topic, line.value, key=key)))
            except KafkaError as error:
                problems.append(_refused(file, line, error))
            if len(waiting) >= _IN_FLIGHT:
                published += await settle()
        published += await settle()
    finally:
        await producer.stop()
    return published, sorted(problems)


def _refused(file: Path, line: EventLine, error: KafkaError) -> Problem:
    # Its text may quote the message.
    return Problem(str(file), line.line, 1, "F006", f"Kafka does not take the message: {type(error).__name__}")
