"""The words of ``test -k``: which cases to run, as in pytest: parts of names with ``and``, ``or``, ``not``, ``( )``.

A word is looked for, in whatever case, in the trigger's id, the case's name and the file's name. Several words that
belong together stand in quotes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

Matches = Callable[[str], bool]

_TOKEN: Final = re.compile(r"""\s*(?:([()])|"([^"]*)"|'([^']*)'|([^\s()"']+))""")
_OPERATORS: Final = frozenset({"and", "or", "not"})
_DEEPEST: Final = 50


class BadSelection(Exception):
    """The words of a selection do not fit together; the message says where and what would be right."""


def parse_selection(text: str) -> Matches:
    """A function that says whether a text is meant. Raises ``BadSelection``."""
    parser = _Parser(_tokens(text))
    matches = parser.either(0)
    parser.end()
    return matches


def _tokens(text: str) -> list[tuple[str, str]]:
    """Operators and brackets as they are, words under the kind ``word``."""
    found: list[tuple[str, str]] = []
    text = text.strip()
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            begin = at + len(text[at:]) - len(text[at:].lstrip())
            raise BadSelection(f"the quotation that begins at character {begin + 1} does not end")
        bracket, *quoted, word = match.groups()
        words = [one for one in quoted if one is not None]
        if bracket:
            found.append((bracket, bracket))
        elif words:
            found.append(("word", words[0].casefold()))
        else:
            found.append((word, word) if word in _OPERATORS else ("word", word.casefold()))
        at = match.end()
    return found


class _Parser:
    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = tokens
        self._at = 0

    def either(self, depth: int) -> Matches:
        found = [self._both(depth)]
        while self._take("or"):
            found.append(self._both(depth))
        return lambda text: any(part(text) for part in found)

    def end(self) -> None:
        if self._at < len(self._tokens):
            raise BadSelection(f"{self._here()} has no and or or before it; words that belong together stand in quotes")

    def _both(self, depth: int) -> Matches:
        found = [self._one(depth)]
        while self._take("and"):
            found.append(self._one(depth))
        return lambda text: all(part(text) for part in found)

    def _one(self, depth: int) -> Matches:
        if depth > _DEEPEST:
            raise BadSelection(f"nested more than {_DEEPEST} deep")
        if self._take("not"):
            negated = self._one(depth + 1)
            return lambda text: not negated(text)
        if self._take("("):
            inner = self.either(depth + 1)
            if not self._take(")"):
                raise BadSelection(f"expected ) instead of {self._here()}")
            return inner
        if self._at < len(self._tokens) and self._tokens[self._at][0] == "word":
            word = self._tokens[self._at][1]
            self._at += 1
            return lambda text: word in text.casefold()
        raise BadSelection(f"expected a part of a name instead of {self._here()}")

    def _take(self, kind: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at][0] == kind:
            self._at += 1
            return True
        return False

    def _here(self) -> str:
        return f'"{self._tokens[self._at][1]}"' if self._at < len(self._tokens) else "the end"
