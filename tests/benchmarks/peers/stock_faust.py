"""The stock way: an ordinary Faust agent, record by record, its states in a Faust table with a changelog.

It promises less than the worker: states, outputs and positions are not of one piece, a failed send is only logged, and
the timers of silent customers are in memory.
"""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

import faust
from job import Job, Output
from task import FLOW, KNOWN, Task, Watch, given


def main(task: Task) -> None:
    """Runs the job and ends the process."""
    app = faust.App(
        task.out.strip("."),
        broker=f"kafka://{task.bootstrap}",
        key_serializer="raw",
        value_serializer="raw",
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        topic_partitions=task.partitions,
        topic_replication_factor=1,
        store="memory://",
        consumer_auto_offset_reset="earliest",
        datadir=task.folder,
        # The agent of the transactions waits until all is known. Once its queue were full, Faust's one conductor would
        # hand nobody anything any more.
        stream_buffer_maxsize=task.known + task.events,
    )
    # Its changelog topic is made before: Faust's own creation of it hangs with topics it does not declare.
    states = app.Table("states", partitions=task.partitions, key_type=str, value_type=dict)
    topics = {kind: app.topic(f"{task.out}{kind}s", value_serializer="json") for kind in ("action", "decision")}
    job, watch, known = Job(), Watch(task.warm), asyncio.Event()
    learned = 0

    async def work(topic: str, event: Any) -> None:
        customer = event.key.decode()
        for output in job.take(
            topic, event.message.partition, customer, json.loads(event.value), states.get, states.__setitem__
        ):
            await _send(topics, output)

    async def learn(topic: str, stream: Any) -> None:
        nonlocal learned
        async for event in stream.events():
            await work(topic, event)
            learned += 1
            if learned == task.known:
                known.set()

    @app.agent(app.topic(task.prefix + KNOWN[0], key_type=bytes, value_type=bytes))
    async def profiles(stream: Any) -> None:
        await learn(KNOWN[0], stream)

    @app.agent(app.topic(task.prefix + KNOWN[1], key_type=bytes, value_type=bytes))
    async def maturities(stream: Any) -> None:
        await learn(KNOWN[1], stream)

    @app.agent(app.topic(task.prefix + FLOW, key_type=bytes, value_type=bytes))
    async def transactions(stream: Any) -> None:
        await known.wait()
        async for event in stream.events():
            watch.take()
            await work(FLOW, event)
            if watch.seen == task.events:
                await app.producer.flush()
                watch.answer()
                # Faust's own shutdown waits for much that nobody needs here.
                os._exit(0)

    faust.Worker(app, loglevel="ERROR", quiet=True, redirect_stdouts=False).execute_from_commandline()


async def _send(topics: dict[str, Any], output: Output) -> None:
    await topics[output["type"]].send(key=output["customer_id"].encode(), value=output)


if __name__ == "__main__":
    main(given())
