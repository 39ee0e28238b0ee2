"""The rule sets on Kafka: written by each worker at its start, read where the store has lost them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import ValidationError

from schemas.encode import encode
from schemas.rulesets import RuleSetDocument
from schemas.topics import RULESETS
from streams.kept_rulesets import NotTaken, load_kept
from streams.signing import Release, Trust
from streams.topic_reader import read_topic
from triggers.engine.batch import Message


def ruleset_message(tenant: str, release: Release) -> Message:
    """What a worker publishes of its rule set, at the partition of the hash: the topic is compacted by it."""
    ruleset = release.ruleset
    record = RuleSetDocument(
        tenant=tenant, ruleset=ruleset.hash, document=ruleset.document, signatures=dict(release.signatures)
    )
    return Message(RULESETS, ruleset.hash.encode(), encode(record), by_key=True)


async def read_rulesets(
    options: Mapping[str, Any], topic_prefix: str, tenant: str, wanted: Collection[str], trust: Trust
) -> tuple[dict[str, Release], dict[str, str]]:
    """These rule sets, as far as Kafka has them and they can be taken, by their hashes; and why others are not taken.

    Of several messages under a hash any one will do: one that another writer put there hides none of ours.

    Raises ``NoSuchTopic``, and aiokafka's errors where Kafka does not answer.
    """
    found: dict[str, Release] = {}
    not_taken: dict[str, str] = {}
    async for message in read_topic(options, topic_prefix + RULESETS):
        try:
            record = RuleSetDocument.model_validate_json(message.value or b"")
        except ValidationError:
            continue  # Whoever wants a rule set that is not found is told so.
        name = record.ruleset
        if record.tenant == tenant and name in wanted and name not in found:
            try:
                found[name] = load_kept(name, record.document, record.signatures, trust)
            except NotTaken as error:
                not_taken[name] = str(error)
    return found, {name: why for name, why in not_taken.items() if name not in found}
