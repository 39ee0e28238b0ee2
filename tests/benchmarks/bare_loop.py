"""The ceiling: a bare aiokafka loop that fetches and decodes JSON, no rules, no state, nothing published.

Usage: bare_loop.py BOOTSTRAP TOPIC EVENTS. Prints events, seconds and CPU seconds as one JSON object.
"""

from __future__ import annotations

import json
import sys
import time

import msgspec
import uvloop
from aiokafka import AIOKafkaConsumer


async def main(bootstrap: str, topic: str, events: int) -> None:
    """Reads ``events`` records from the beginning of the topic."""
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, group_id=None, auto_offset_reset="earliest")
    await consumer.start()
    decode = msgspec.json.Decoder().decode
    began, used, seen = 0.0, 0.0, 0
    try:
        while seen < events:
            for records in (await consumer.getmany(timeout_ms=1000, max_records=4096)).values():
                began, used = began or time.perf_counter(), used or time.process_time()
                for record in records:
                    decode(record.value)
                seen += len(records)
    finally:
        took, used = time.perf_counter() - began, time.process_time() - used
        await consumer.stop()
    print(json.dumps({"events": seen, "seconds": took, "cpu": used}))


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
