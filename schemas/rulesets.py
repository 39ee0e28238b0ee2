"""A rule set's document, kept on Kafka for as long as a batch may have to be run again under it."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Strict

from schemas.base import Identifier, Record


class RuleSetDocument(Record):
    """``document`` holds all files of the rule set ``ruleset`` (its hash), as JSON: file names and texts."""

    record_type: ClassVar[str] = "ruleset_document"

    ruleset: Identifier
    document: Annotated[str, Strict()]
