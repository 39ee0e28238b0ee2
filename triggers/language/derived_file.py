"""What ``tiers.yaml`` and ``tags.yaml`` have in common: features, expressions over what holds, when to look again."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from schemas.events import Profile
from triggers.language import codes
from triggers.language.derived_cases import Happenings, read_derived_cases
from triggers.language.document import Entry, Node
from triggers.language.draft import Draft
from triggers.language.expressions import Checked, Context, read_expression
from triggers.language.features import read_features, used_features
from triggers.language.forms import Form
from triggers.language.model import Suite
from triggers.language.names import RECORDS, ROOTS
from triggers.language.reader import Fields, Reader
from triggers.language.shared import Shared
from triggers.language.tree import Call, FeatureReference, Reference
from triggers.language.vocabulary import Vocabulary

_ABSENT: Final = {
    "event": "tiers and tags say what holds, whatever the event",
    "before": "tiers and tags say what holds now",
    "account": "tiers and tags are of a customer, not of one account",
    "product": "tiers and tags are of a customer, not of one holding",
    "action": "tiers and tags do not concern one action",
    "offer": "tiers and tags do not concern an offer",
}
_TIMELESS: Final = frozenset({"min", "max", "abs", "round", "percent"})
_OF_ACCOUNTS: Final = frozenset({"balance", "aum", "accounts", "holdings", "product_kinds"})
_OF_REACH: Final = frozenset({"channels_left"})
_TAKEN: Final = frozenset({*RECORDS, *ROOTS, "tag", "tags"})


def read_head(reader: Reader, node: Node, form: Form, shared: Shared) -> Draft | None:
    """The file's mapping and its features, which are sampled before tiers and tags are worked out."""
    fields = reader.mapping(node, form)
    if fields is None:
        return None
    draft = Draft(reader.document.file, fields, shared.policy)
    features = fields.get("features")
    if features is not None:
        before = len(reader.problems)
        derived = ("tags", *(shared.vocabulary.tierings or ()), "tier")
        reason = "a feature of this file is sampled before tiers and tags are worked out"
        vocabulary = shared.vocabulary.without(dict.fromkeys(derived, reason))
        draft.features = read_features(reader, features, frozenset(), shared.table, vocabulary)
        draft.complete = len(reader.problems) == before
        if isinstance(features.value, dict):
            draft.feature_places = {name: entry.place for name, entry in features.value.items()}
    return draft


def named_entries(
    reader: Reader, fields: Fields, section: str, what: str, taken: Collection[str] = ()
) -> dict[str, Entry]:
    """The entries of a section by name; names that cannot be are reported and left out."""
    node = fields.get(section)
    if node is None:
        return {}
    if not isinstance(node.value, dict) or not node.value:
        reader.wrong_type(node, f"{section} by name")
        return {}
    found: dict[str, Entry] = {}
    for name, entry in node.value.items():
        reader.key(f"a {what}", name, entry.place)
        if name in _TAKEN or name in taken:
            message = f'"{name}" means something else already: give the {what} another name'
            reader.report(codes.CONTRADICTION, entry.place, message)
        else:
            found[name] = entry
    return found


def read_suite(reader: Reader, node: Node, name: str, happenings: Happenings, shared: Shared) -> tuple[Suite, ...]:
    """The tests of a tiering or a tag, where it has some."""
    tests = node.value.get("tests") if isinstance(node.value, dict) else None
    if tests is None:
        return ()
    return (Suite(name, reader.document.file, read_derived_cases(reader, tests.value, shared, happenings)),)


def read_derived(reader: Reader, draft: Draft, node: Node, vocabulary: Vocabulary, expect: str) -> Checked | None:
    """An expression over what holds of the customer, with its use of features noted."""
    context = Context(features=draft.features, absent=_ABSENT, vocabulary=vocabulary)
    checked = read_expression(reader, node, context, expect=expect)
    if checked is None:
        draft.complete = False
    else:
        draft.used |= used_features(checked)
    return checked


def touched_by(checked: Checked, derived: Mapping[str, frozenset[str] | None]) -> frozenset[str] | None:
    """The records after which an expression may have another value; ``None`` where time alone may change it.

    ``derived`` has those of the tiers and tags that it may read, by name (``tags`` for all of them).
    """
    found: list[frozenset[str] | None] = []
    for term in checked.term.walk():
        match term:
            case FeatureReference():
                return None
            case Call() if term.helper not in _TIMELESS:
                return None
            case Reference() if term.name.part == "customer":
                field = term.name.path.partition(".")[2]
                if field in derived:
                    found.append(derived[field])
                elif field in _OF_ACCOUNTS:
                    found.append(frozenset({"transaction", "maturity"}))
                elif field in ("manager_id", "managed"):
                    found.append(frozenset({"profile", "desk"}))
                elif field in _OF_REACH:
                    found.append(frozenset({"feedback", "behaviour", "profile", "timer"}))
                elif field in Profile.model_fields:
                    found.append(frozenset({"profile"}))
                else:
                    return None
            case Reference():
                return None
    return union(found)


def union(kinds: Iterable[frozenset[str] | None]) -> frozenset[str] | None:
    """The records of all; ``None`` where one of them is."""
    together: frozenset[str] = frozenset()
    for kind in kinds:
        if kind is None:
            return None
        together |= kind
    return together
