"""Rule sets that were kept for later, in the store or on Kafka: read back only if they are what they were kept as."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from streams.patience import Patience
from streams.signing import Release, Trust
from streams.store import Store
from triggers.language.loader import InvalidRuleSet, from_document
from triggers.language.model import RuleSet


class NotTaken(Exception):
    """What is kept under a hash is not run. The message says why."""


async def read_kept(
    store: Store,
    patience: Patience,
    name: str,
    trust: Trust,
    load_document: Callable[[str], RuleSet] = from_document,
) -> Release | None:
    """What the store keeps under the hash ``name``; ``None`` where it keeps nothing. Raises ``NotTaken``."""
    document = await patience.insist(lambda: store.get_ruleset(name))
    if document is None:
        return None
    signatures = await patience.insist(lambda: store.ruleset_signatures(name))
    return load_kept(name, document, signatures, trust, load_document)


def load_kept(
    name: str,
    document: str,
    signatures: Mapping[str, str],
    trust: Trust,
    load_document: Callable[[str], RuleSet] = from_document,
) -> Release:
    """The rule set of a document that is kept under the hash ``name``. Raises ``NotTaken``.

    Whoever may write to the store or to Kafka could have put another one there: what nobody trusted has signed is not
    even read, and what it says of itself does not count.
    """
    if objection := trust.objection(document, signatures):
        raise NotTaken(objection)
    try:
        ruleset = load_document(document)
    except InvalidRuleSet as error:
        raise NotTaken(f"this program cannot read it ({error.problems[0].message})") from error
    if ruleset.hash != name:
        raise NotTaken(f"its content is that of rule set {ruleset.hash}: it was changed where it is kept")
    return Release(ruleset, signatures)
