"""The job on Quix Streams: its state store (RocksDB with a changelog topic), its checkpoints.

The library has no timers in the records' own time, so those of silent customers stand in memory, and their states are
reached through the checkpoint's transaction.
"""

from __future__ import annotations

from typing import Any

from job import Job, Output, State
from quixstreams import Application, message_context
from task import FLOW, KNOWN, Task, Watch, given


def main(task: Task) -> None:
    """Runs the job until the flow is read."""
    watch, job = Watch(task.warm), Job()
    left = task.known + task.events

    def processed(_topic: str, _partition: int, _offset: int) -> None:
        nonlocal left
        left -= 1
        if not left:
            # What the library does next, and what it then shuts down is not timed, of none of the contenders.
            frame.processing_context.commit_checkpoint(force=True)
            watch.answer()
            app.stop()

    app = Application(
        broker_address=task.bootstrap,
        consumer_group=task.out.strip("."),
        auto_offset_reset="earliest",
        state_dir=task.workspace / "state",
        processing_guarantee=task.guarantee or "at-least-once",
        on_message_processed=processed,
        loglevel="WARNING",
    )
    inputs = [
        app.topic(task.prefix + name, key_deserializer="str", value_deserializer="json") for name in (*KNOWN, FLOW)
    ]
    outputs = {
        kind: app.topic(f"{task.out}{kind}s", key_serializer="str", value_serializer="json")
        for kind in ("action", "decision")
    }
    # Records of several topics come in the order of their times on Kafka: what is known was published before.
    profiles, maturities, transactions = map(app.dataframe, inputs)
    frame = profiles.concat(maturities).concat(transactions)

    def work(record: Any, customer: str, _timestamp: int, _headers: Any, _state: Any) -> list[Output]:
        context = message_context()
        name = task.name_of(context.topic)
        if name == FLOW:
            watch.take()
        store = frame.processing_context.checkpoint.get_store_transaction(
            stream_id=frame.stream_id, partition=context.partition
        )

        def get(customer: str) -> State | None:
            return store.as_state(prefix=customer).get("state")

        def put(customer: str, state: State) -> None:
            store.as_state(prefix=customer).set("state", state)

        return job.take(name, context.partition, customer, record, get, put)

    frame.apply(work, stateful=True, metadata=True, expand=True).to_topic(
        lambda output, *_: outputs[output["type"]], key=lambda output: output["customer_id"]
    )
    app.run()


if __name__ == "__main__":
    main(given())
