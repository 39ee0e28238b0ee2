"""The job on Bytewax: a stateful step by customer, snapshots of changed states into its recovery store (SQLite).

The library has no timers in the records' own time: those of a silent customer run with the customer's next record, and
at the end of the input. There are two executions: the first learns what is known, the second resumes from its store.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import bytewax.operators as op
import orjson
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource, KafkaSourceMessage
from bytewax.dataflow import Dataflow
from bytewax.operators import StatefulBatchLogic
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main
from job import Output, apply, fresh, run_timers, time_of
from task import FLOW, KNOWN, Task, Watch, given

Item = tuple[str, int, dict[str, Any]]
"""A record's topic, its partition and its body."""

_reached: dict[int, int] = {}
"""By partition, the newest time of the flow."""


class Customer(StatefulBatchLogic[Item, Output, bytes]):
    """One customer's state. Who it is stands in the records: the library does not say."""

    def __init__(self, snapshot: bytes | None) -> None:
        self._partition, self._customer, self._state = (0, "", fresh()) if snapshot is None else orjson.loads(snapshot)

    def on_batch(self, values: list[Item]) -> tuple[Iterable[Output], bool]:
        """Applies the records."""
        out: list[Output] = []
        for topic, self._partition, record in values:
            self._customer = record["customer_id"]
            out += apply(topic, self._customer, record, self._state)
        return out, self.RETAIN

    def on_eof(self) -> tuple[Iterable[Output], bool]:
        """Runs what the end of the input has reached."""
        until = _reached.get(self._partition)
        return ([] if until is None else run_timers(self._customer, self._state, until)), self.RETAIN

    def snapshot(self) -> bytes:
        """The state as the recovery store keeps it."""
        return orjson.dumps((self._partition, self._customer, self._state))


def flow_of(task: Task, step: str, topics: Sequence[str], watch: Watch) -> Dataflow:
    """The dataflow over some of the topics; its stateful step is the same whichever they are."""

    def read(message: KafkaSourceMessage[bytes, bytes]) -> tuple[str, Item]:
        record = orjson.loads(message.value)
        topic, partition = task.name_of(message.topic or ""), message.partition or 0
        if topic == FLOW:
            watch.take()
            _reached[partition] = time_of(record)
        return message.key.decode(), (topic, partition, record)

    def write(keyed: tuple[str, Output]) -> KafkaSinkMessage[bytes, bytes]:
        customer, output = keyed
        return KafkaSinkMessage(customer.encode(), orjson.dumps(output), topic=f"{task.out}{output['type']}s")

    flow = Dataflow("job")
    source = KafkaSource([task.bootstrap], [task.prefix + topic for topic in topics], tail=False)
    read_from = op.map("read", op.input(step, flow, source), read)
    # The step's state is found by its name, whichever input feeds it.
    outputs = op.stateful_batch("customers", read_from, Customer)
    op.output("outputs", op.map("write", outputs, write), KafkaSink([task.bootstrap], None))
    return flow


def main(task: Task) -> None:
    """Learns what is known, then reads the flow."""
    store = task.workspace / "recovery"
    store.mkdir(parents=True)
    init_db_dir(store, 1)
    watch = Watch(task.warm)
    for step, topics in (("known", KNOWN), ("flow", (FLOW,))):
        cli_main(flow_of(task, step, topics, watch), recovery_config=RecoveryConfig(str(store)))
    # The last epoch's commit is the last that an execution does.
    watch.answer()


if __name__ == "__main__":
    main(given())
