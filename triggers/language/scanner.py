"""The first look at an expression's text: bounds, characters and tokens, before Python's own parser sees it.

It refuses what that parser would quietly bend: names in look-alike letters, ``1_000``, ``0x10``, ``1e5``, text with
escapes or prefixes, text beside text, comments. After it, every token has one meaning.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from schemas.base import CURRENCIES
from triggers.language import codes
from triggers.language.codes import Code

MAX_LENGTH: Final = 2000
MAX_DEPTH: Final = 30
MAX_NODES: Final = 200
MAX_DIGITS: Final = 18
MAX_TEXT: Final = 200
MAX_LIST: Final = 100

_TOKEN: Final = re.compile(
    r"""(?P<space>[ \n\t]+)
      | (?P<text>"[^"\\\n]*"|'[^'\\\n]*')
      | (?P<number>[0-9]+(?:\.[0-9]+)?(?![0-9A-Za-z_.]))
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<operator><=|>=|==|!=|[-+*/<>(),\[\]]|\.(?![0-9]))
    """,
    re.VERBOSE | re.ASCII,
)
_GROUPED: Final = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?", re.ASCII)
_NUMBER_LIKE: Final = re.compile(r"[0-9.][0-9A-Za-z_.]*", re.ASCII)
_WORDS: Final = frozenset({"and", "or", "not", "in"})
_OPERATOR_HINTS: Final = {
    "**": "there is no power",
    "//": "use / and round()",
    ":=": "an expression names nothing",
    "&&": "write and",
    "||": "write or",
    "<>": "write !=",
    "!": "write not",
    "=": "write == to compare",
    "%": "use percent()",
    "?": "there is no conditional expression",
    "{": "there are no sets and mappings",
    "#": "an expression has no comments",
    "\\": "text has no escapes",
}


class Refused(Exception):
    """A mistake at ``offset`` in the text of an expression."""

    def __init__(self, code: Code, message: str, offset: int) -> None:
        super().__init__(message)
        self.code, self.message, self.offset = code, message, offset


@dataclass(frozen=True, slots=True)
class Token:
    kind: str
    text: str
    begin: int


def scan(text: str) -> list[Token]:
    """The tokens of an expression, spaces left out. Raises ``Refused``."""
    if len(text) > MAX_LENGTH:
        raise Refused(codes.TOO_COMPLEX, f"an expression has at most {MAX_LENGTH} characters", 0)
    tokens: list[Token] = []
    at, depth = 0, 0
    lists: list[bool] = []
    """Whether each open bracket holds values with commas between: a call's or a list's."""
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise _unreadable(text, at)
        token = Token(match.lastgroup, match[0], at)
        at = match.end()
        if token.kind == "space":
            continue
        _check_thousands(token, tokens, text, in_list=bool(lists) and lists[-1])
        _check(token, tokens[-1] if tokens else None, text)
        if token.text in ("(", "["):
            lists.append(token.text == "[" or bool(tokens and tokens[-1].kind == "name"))
        elif token.text in (")", "]") and lists:
            lists.pop()
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(token.text, 0)
        if depth > MAX_DEPTH:
            raise Refused(codes.TOO_COMPLEX, f"brackets nested more than {MAX_DEPTH} deep", token.begin)
        tokens.append(token)
        if len(tokens) > 4 * MAX_NODES:
            raise Refused(codes.TOO_COMPLEX, f"an expression has at most {MAX_NODES} parts", token.begin)
    if not tokens:
        raise Refused(codes.BAD_SYNTAX, "an expression is missing here", 0)
    return tokens


def source_between(tokens: list[Token], begin: int, end: int) -> str:
    """The text between two offsets, with one space where there were several or a line end."""
    parts: list[str] = []
    last = None
    for token in tokens:
        if begin <= token.begin < end:
            if last is not None and token.begin > last:
                parts.append(" ")
            parts.append(token.text)
            last = token.begin + len(token.text)
    return "".join(parts)


def _check_thousands(token: Token, before: list[Token], text: str, *, in_list: bool) -> None:
    """Refuses ``10,000``: a comma among the digits of a number, where it does not stand between two values."""
    if token.kind != "number" or len(before) < 2 or before[-1].text != "," or before[-2].kind != "number":
        return
    first, digits = before[-2], token.text.partition(".")[0]
    adjacent = first.begin + len(first.text) + 1 == token.begin
    if adjacent and len(digits) == 3 and (not in_list or digits[0] == "0"):
        written = _GROUPED.match(text, first.begin)
        bare = (written[0] if written else first.text + token.text).replace(",", "")
        message = f"a number has no thousands separator: write {bare}"
        raise Refused(codes.BAD_SYNTAX, message, first.begin)


def _check(token: Token, before: Token | None, text: str) -> None:
    if token.kind == "number":
        digits = token.text.replace(".", "")
        if len(digits) > MAX_DIGITS:
            raise Refused(codes.TOO_COMPLEX, f"a number has at most {MAX_DIGITS} digits", token.begin)
        if len(digits) > 1 and token.text[0] == "0" and token.text[1] != ".":
            raise Refused(codes.BAD_SYNTAX, f"a number does not begin with 0: write {_bare(token.text)}", token.begin)
    if token.kind == "name" and token.text not in _WORDS and token.text.lower() in _WORDS:
        message = f"{token.text} is written in small letters: {token.text.lower()}"
        raise Refused(codes.BAD_SYNTAX, message, token.begin)
    kinds = (before.kind, token.kind) if before else ()
    beside = before if kinds == ("name", "number") else token if kinds == ("number", "name") else None
    if beside and beside.text in CURRENCIES:
        raise Refused(codes.BAD_SYNTAX, f"an amount has no currency here: leave {beside.text} out", beside.begin)
    if token.kind == "text":
        if len(token.text) - 2 > MAX_TEXT:
            raise Refused(codes.TOO_COMPLEX, f"text has at most {MAX_TEXT} characters", token.begin)
        if before and before.kind == "text":
            raise Refused(codes.BAD_SYNTAX, "a comma is missing between two texts", token.begin)
        if before and before.kind == "name" and before.begin + len(before.text) == token.begin:
            raise Refused(codes.NOT_ALLOWED, f"text has no prefix {before.text}", before.begin)
    if before and before.begin + len(before.text) == token.begin:
        pair = text[before.begin : before.begin + 1] + token.text
        if pair in ("**", "//", "<>") and len(before.text) == 1:
            raise Refused(codes.NOT_ALLOWED, f'"{pair}" is not allowed: {_OPERATOR_HINTS[pair]}', before.begin)


def _bare(number: str) -> str:
    whole, dot, rest = number.partition(".")
    return f"{whole.lstrip('0') or '0'}{dot}{rest}"


def _unreadable(text: str, at: int) -> Refused:
    character = text[at]
    if character in "\"'":
        rest = text[at + 1 :]
        closing = rest.find(character)
        if closing >= 0:
            return Refused(codes.NOT_ALLOWED, "text holds neither a backslash nor a line end", at)
        return Refused(codes.BAD_SYNTAX, "the text that begins here does not end", at)
    number = _NUMBER_LIKE.match(text, at)
    if number and any(sign.isdigit() for sign in number[0]):
        written = number[0][:30]
        bare = written.replace("_", "")
        hint = f": write {bare}" if bare.isdigit() and bare != written else "; expected digits, as in 1000 or 0.75"
        return Refused(codes.BAD_SYNTAX, f'"{written}" is not a number{hint}', at)
    for length in (2, 1):
        hint = _OPERATOR_HINTS.get(text[at : at + length], "")
        if hint:
            return Refused(codes.NOT_ALLOWED, f'"{text[at : at + length]}" is not allowed: {hint}', at)
    if not character.isascii():
        return Refused(
            codes.NOT_ALLOWED, f'"{character}" (U+{ord(character):04X}) is not allowed outside of quotation marks', at
        )
    return Refused(codes.NOT_ALLOWED, f'"{character}" is not allowed', at)
