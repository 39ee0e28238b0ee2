"""A rule set's document, kept on Kafka for as long as a batch may have to be run again under it."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, Strict

from schemas.base import Identifier, Record, ShortText


class RuleSetDocument(Record):
    """``document`` holds all files of the rule set ``ruleset`` (its hash), as JSON: file names and texts.

    ``signatures`` are over the document, by the ids of their keys; without any it was not signed.
    """

    record_type: ClassVar[str] = "ruleset_document"

    ruleset: Identifier
    document: Annotated[str, Strict()]
    signatures: dict[Identifier, ShortText] = Field(default_factory=dict)
