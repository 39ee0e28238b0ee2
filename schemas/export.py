"""JSON Schema of every topic, for the publishers and consumers that are not written in Python."""

from __future__ import annotations

import json
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field, TypeAdapter

from schemas.base import SCHEMA_VERSION
from schemas.decode import tagged
from schemas.topics import TOPICS, Topic

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def json_schemas() -> dict[str, dict[str, Any]]:
    """JSON Schema 2020-12 of each topic's value, by topic; for the dead letters, of their header."""
    return {topic.name: _schema(topic) for topic in TOPICS}


def export(directory: Path) -> list[Path]:
    """Writes ``<topic>.schema.json`` for each topic into the directory, which is made where it is missing.

    The same registry gives the same bytes. Returns the files, in the registry's order. Raises ``OSError``.
    """
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for name, schema in json_schemas().items():
        file = directory / f"{name}.schema.json"
        file.write_text(json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
        written.append(file)
    return written


def _schema(topic: Topic) -> dict[str, Any]:
    body = _adapter(topic).json_schema()
    what = "the header of a message whose key and value are the original bytes" if not topic.key else "the value"
    key = f"The message key is {':'.join(topic.key)}." if topic.key else ""
    parts = [
        topic.about,
        f"This describes {what}.",
        key,
        f"Owner: {topic.owner}.",
        f"Producers: {', '.join(topic.producers)}.",
        f"Consumers: {', '.join(topic.consumers)}.",
        f"Partitions: {topic.partitions}, as many as every other topic has.",
        f"Kept for {topic.retention_ms // 86_400_000} days.",
        body.get("description", ""),
    ]
    return body | {
        "$schema": DIALECT,
        "$id": f"urn:bank-triggers:{topic.name}:{SCHEMA_VERSION}",
        "title": topic.name,
        "description": " ".join(part for part in parts if part),
    }


def _adapter(topic: Topic) -> TypeAdapter[Any]:
    if len(topic.models) == 1:
        return TypeAdapter(topic.models[0])
    tag, _ = tagged(topic.models)
    either: Any = reduce(or_, topic.models)
    return TypeAdapter(Annotated[either, Field(discriminator=tag)])
