"""The ceiling: a bare aiokafka loop that decodes JSON and publishes as many messages as the job does.

No rules and no state; the publishes are spread evenly, and every acknowledgement is awaited before the end.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from task import FLOW, Task, Watch, given


async def main(task: Task) -> None:
    """Reads the flow from its beginning."""
    consumer = AIOKafkaConsumer(
        task.prefix + FLOW,
        bootstrap_servers=task.bootstrap,
        group_id=None,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=50,
    )
    producer = AIOKafkaProducer(bootstrap_servers=task.bootstrap, linger_ms=5, enable_idempotence=True)
    await consumer.start()
    await producer.start()
    decode, out, body = msgspec.json.Decoder().decode, task.out + "actions", b"x" * task.output_bytes
    watch, sent = Watch(task.warm), 0
    waiting: list[asyncio.Future[Any]] = []
    try:
        while watch.seen < task.events:
            for records in (await consumer.getmany(timeout_ms=1000, max_records=4096)).values():
                seen = watch.seen
                watch.take(len(records))
                for record in records:
                    decode(record.value)
                    seen += 1
                    while sent * task.events < seen * task.outputs:
                        waiting.append(await producer.send(out, body, key=record.key))
                        sent += 1
        await asyncio.gather(*waiting)
        watch.answer()
    finally:
        await producer.stop()
        await consumer.stop()


if __name__ == "__main__":
    uvloop.run(main(given()))
