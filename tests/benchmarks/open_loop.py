"""Sends transactions at a fixed rate, whatever becomes of them: an open loop.

Usage: open_loop.py BOOTSTRAP TOPIC FILE RATE. The file has a line for each event, its key and a tab before its value.
Event number ``n`` is meant for ``begin + n / RATE``, by ``time.monotonic``, which all processes of a machine share.
Prints as one JSON object ``begin`` and ``late``, the longest time in seconds by which an event was handed to Kafka too
late.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from confluent_kafka import Producer

_TICK_S = 0.001
_GRACE_S = 0.5


def main(bootstrap: str, topic: str, file: Path, rate: float) -> None:
    """Sends the events, and waits until Kafka has them all."""
    events = [line.split(b"\t", 1) for line in file.read_bytes().splitlines()]
    count = len(events)
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "enable.idempotence": True,
            "partitioner": "murmur2_random",
            "queue.buffering.max.messages": 1_000_000,
        }
    )
    producer.list_topics(topic, timeout=20)
    begin, sent, late = time.monotonic() + _GRACE_S, 0, 0.0
    while sent < count:
        elapsed = time.monotonic() - begin
        due = min(count, int(elapsed * rate) + 1) if elapsed >= 0 else 0
        if due > sent:
            late = max(late, elapsed - sent / rate)
            for key, value in events[sent:due]:
                producer.produce(topic, value, key)
            sent = due
        producer.poll(0)
        time.sleep(_TICK_S)
    left = producer.flush(60)
    if left:
        raise SystemExit(f"{left} events were not acknowledged")
    print(json.dumps({"begin": begin, "late": late}))


if __name__ == "__main__":
    kafka, name, path, pace = sys.argv[1:]
    main(kafka, name, Path(path), float(pace))
