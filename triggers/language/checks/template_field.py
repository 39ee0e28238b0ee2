"""E109: a field of a message cannot be filled in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from triggers.errors import Problem
from triggers.language.checks.base import Check
from triggers.language.codes import Code
from triggers.language.draft import MOST_FIELDS, Draft
from triggers.language.reader import IDENTIFIER
from triggers.language.tree import Constant

CODE = Code("E109", "a field of a message cannot be filled in")


def find(drafts: Sequence[Draft]) -> Iterator[Problem]:
    for draft in drafts:
        message = draft.message
        if message is None:
            continue
        names = [name for name in message.entries if name != "template"]
        if len(names) > MOST_FIELDS:
            text = f"a message has at most {MOST_FIELDS} fields, found {len(names)}"
            yield draft.problem(CODE, message.node.place, text)
        for name in names[:MOST_FIELDS]:
            node = message.entries[name].value
            if node.value is None and IDENTIFIER.fullmatch(name):
                text = f'the field "{name}" has no value: give it an expression, such as {name}: customer.balance'
                yield draft.problem(CODE, node.place, text)
            checked = draft.message_fields.get(name)
            if not IDENTIFIER.fullmatch(name):
                text = "the name of a field has small letters, digits and _, and begins with a letter"
                yield draft.problem(CODE, message.key_place(name), text)
            elif checked is not None and isinstance(checked.term, Constant) and checked.term.value is None:
                yield draft.problem(CODE, checked.node.place, f'the field "{name}" never has a value')


CHECK = Check(CODE, find)
