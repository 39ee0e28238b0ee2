"""The stock way: an ordinary Faust agent, record by record, on the topic that the worker drains.

``decode`` only decodes JSON: nothing a real job would do. ``job`` does the worker's job by Faust's own means: the same
engine, its states in a Faust table with a changelog, its outputs sent by Faust's producer. It promises less: states,
outputs and positions are not of one piece, and a failed send is only logged.

Usage: stock_faust.py BOOTSTRAP TOPIC EVENTS RULES GROUP decode|job. Prints events, seconds and CPU seconds as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import faust

from schemas.encode import encode
from schemas.topics import TOPIC
from triggers.engine.customer import CustomerStage
from triggers.language.loader import load_ruleset


def main(bootstrap: str, topic: str, events: int, rules: Path, group: str, mode: str) -> None:
    """Reads ``events`` records and ends the process."""
    app = faust.App(
        group,
        broker=f"kafka://{bootstrap}",
        value_serializer="raw" if mode == "job" else "json",
        key_serializer="raw",
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        topic_partitions=4,
        store="memory://",
        consumer_auto_offset_reset="earliest",
        datadir=tempfile.mkdtemp(),
    )
    seen, began, used = 0, 0.0, 0.0

    def count() -> None:
        nonlocal seen, began, used
        began, used = began or time.perf_counter(), used or time.process_time()
        seen += 1
        if seen == events:
            answer = {"events": seen, "seconds": time.perf_counter() - began, "cpu": time.process_time() - used}
            # Past Faust, which takes over the standard output.
            os.write(1, json.dumps(answer).encode())
            # Faust's own shutdown waits for much that nobody needs here.
            os._exit(0)

    if mode == "job":
        _attach_job(app, topic, rules, count)
    else:

        @app.agent(app.topic(topic))
        async def read(stream: Any) -> None:
            async for _ in stream:
                count()

    faust.Worker(app, loglevel="ERROR", quiet=True, redirect_stdouts=False).execute_from_commandline()


def _attach_job(app: faust.App, topic: str, rules: Path, count: Any) -> None:
    ruleset = load_ruleset([rules]).ruleset
    assert ruleset is not None
    stage, spec = CustomerStage("bank"), TOPIC["bank.transactions"]
    from schemas.decode import decode

    # Its changelog topic is made before: Faust's own creation of it hangs with topics it does not declare.
    states = app.Table("states", partitions=4, key_type=bytes, value_type=bytes)
    out = app.topic(topic.replace("bank.transactions", "outreach.decisions"), value_type=bytes)

    @app.agent(app.topic(topic, key_type=bytes, value_type=bytes))
    async def work(stream: Any) -> None:
        async for event in stream.events():
            record = decode(spec, "bank", event.key, event.value)
            key = stage.key_of(record)
            held = states.get(event.key)
            state = stage.decode(key, held) if held is not None else stage.fresh(key)
            outcome = stage.process(record, state, ruleset, None)
            states[event.key] = stage.encode(state)
            if outcome is not None:
                for output in outcome.outputs:
                    await out.send(key=event.key, value=encode(output))
            count()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]), sys.argv[5], sys.argv[6])
