"""The rule sets on Kafka: written by each worker at its start, read where the store has lost them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import ValidationError

from schemas.encode import encode
from schemas.rulesets import RuleSetDocument
from schemas.topics import RULESETS
from streams.topic_reader import read_topic
from triggers.engine.batch import Message
from triggers.language.model import RuleSet


def ruleset_message(tenant: str, ruleset: RuleSet) -> Message:
    """What a worker publishes of its rule set, at the partition of the hash: the topic is compacted by it."""
    record = RuleSetDocument(tenant=tenant, ruleset=ruleset.hash, document=ruleset.document)
    return Message(RULESETS, ruleset.hash.encode(), encode(record), by_key=True)


async def read_rulesets(
    options: Mapping[str, Any], topic_prefix: str, tenant: str, wanted: Collection[str]
) -> dict[str, str]:
    """The documents of these rule sets, as far as Kafka has them, by their hashes.

    Raises ``NoSuchTopic``, and aiokafka's errors where Kafka does not answer.
    """
    found = {}
    async for message in read_topic(options, topic_prefix + RULESETS):
        try:
            record = RuleSetDocument.model_validate_json(message.value or b"")
        except ValidationError:
            continue  # Whoever wants a rule set that is not found is told so.
        if record.tenant == tenant and record.ruleset in wanted:
            found[record.ruleset] = record.document
    return found
