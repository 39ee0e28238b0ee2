"""The ceiling with librdkafka: a bare confluent-kafka loop, doing what the aiokafka loop does."""

from __future__ import annotations

import msgspec
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from task import FLOW, Task, Watch, given


def main(task: Task) -> None:
    """Reads the flow from its beginning."""
    failed: list[KafkaError] = []

    def acknowledged(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failed.append(error)

    consumer = Consumer(
        {
            "bootstrap.servers": task.bootstrap,
            "group.id": "unused",
            "enable.auto.commit": False,
            "fetch.queue.backoff.ms": 100,
        }
    )
    producer = Producer(
        {"bootstrap.servers": task.bootstrap, "enable.idempotence": True, "partitioner": "murmur2_random"}
    )
    consumer.assign([TopicPartition(task.prefix + FLOW, number, 0) for number in range(task.partitions)])
    decode, out, body = msgspec.json.Decoder().decode, task.out + "actions", b"x" * task.output_bytes
    watch, seen, sent = Watch(task.warm), 0, 0
    while seen < task.events:
        messages = consumer.consume(4096, timeout=0.05)
        if messages:
            watch.take(len(messages))
        for message in messages:
            if message.error() is not None:
                raise SystemExit(str(message.error()))
            decode(message.value())
            seen += 1
            while sent * task.events < seen * task.outputs:
                try:
                    producer.produce(out, body, message.key(), on_delivery=acknowledged)
                except BufferError:
                    producer.poll(0.05)
                    continue
                sent += 1
        producer.poll(0)
    if producer.flush(60) or failed:
        raise SystemExit(f"not every message was acknowledged: {failed[:1]}")
    watch.answer()
    consumer.close()


if __name__ == "__main__":
    main(given())
