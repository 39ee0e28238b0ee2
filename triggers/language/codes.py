"""The codes of what reading finds: the file itself, its structure, its values, its expressions.

A code never changes its meaning and is never used again: E017 was "not supported yet". What concerns a whole
trigger, or several, has its own file under ``checks``; ``checks.ALL_CODES`` lists both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True, slots=True)
class Code:
    """What can be wrong, in one line. ``id`` is E and a number; W where the rule set still loads.

    A ``silenceable`` one may be silenced by a comment with a reason: the rule set can run nevertheless.
    """

    id: str
    about: str
    silenceable: bool = False

    @property
    def severity(self) -> Literal["error", "warning"]:
        return "warning" if self.id.startswith("W") else "error"


UNREADABLE: Final = Code("E001", "the file cannot be read: missing, too large, not UTF-8, or with control characters")
NOT_YAML: Final = Code("E002", "the file is not YAML")
DUPLICATE_KEY: Final = Code("E003", "a key stands twice in one mapping")
YAML_FORM: Final = Code(
    "E004", "a form of YAML that rule files do not use: anchor, alias, merge, tag, second document, a bare comma"
)
TOO_BIG: Final = Code("E005", "the file is nested too deeply or holds too many values")

UNKNOWN_KEY: Final = Code("E010", "a key that has no meaning here")
MISSING_KEY: Final = Code("E011", "a key that must be there")
WRONG_TYPE: Final = Code("E012", "a value of the wrong type")
BAD_CHOICE: Final = Code("E013", "a value that is not one of those allowed")
OUT_OF_RANGE: Final = Code("E014", "a value that is too small, too large, too long or malformed")
BAD_DURATION: Final = Code("E015", "not a length of time such as 30m, 48h, 7d or 2w")
BAD_TIME: Final = Code("E016", "not a time, or one that does not exist")
CONTRADICTION: Final = Code("E018", "two keys, or a key and its value, contradict each other")
SECOND_FILE: Final = Code("E019", "the rule set already has a file with this role")

BAD_SILENCE: Final = Code("E020", "a noqa comment without a code or without a reason")
NOT_SILENCEABLE: Final = Code("E021", "a noqa comment with a code that does not exist or cannot be silenced")
NOTHING_SILENCED: Final = Code("W022", "a noqa comment with nothing to silence")

BAD_SYNTAX: Final = Code("E030", "not an expression")
UNKNOWN_NAME: Final = Code("E031", "a name that does not exist")
TYPE_MISMATCH: Final = Code("E032", "values of types that do not go together")
IMPOSSIBLE_VALUE: Final = Code("E033", "a comparison with a value that the name never has")
NOT_ALLOWED: Final = Code("E034", "a construct that expressions do not have")
TOO_COMPLEX: Final = Code("E035", "an expression that is too long, too deep or too large")
BAD_CALL: Final = Code("E036", "a helper called in a way it cannot be")
NOT_HERE: Final = Code("E037", "a name that has no value in this place")
UNKNOWN_OFFER: Final = Code("E038", "an offer that the catalogue does not have")

READING: Final = (
    UNREADABLE,
    NOT_YAML,
    DUPLICATE_KEY,
    YAML_FORM,
    TOO_BIG,
    UNKNOWN_KEY,
    MISSING_KEY,
    WRONG_TYPE,
    BAD_CHOICE,
    OUT_OF_RANGE,
    BAD_DURATION,
    BAD_TIME,
    CONTRADICTION,
    SECOND_FILE,
    BAD_SILENCE,
    NOT_SILENCEABLE,
    NOTHING_SILENCED,
    BAD_SYNTAX,
    UNKNOWN_NAME,
    TYPE_MISMATCH,
    IMPOSSIBLE_VALUE,
    NOT_ALLOWED,
    TOO_COMPLEX,
    BAD_CALL,
    NOT_HERE,
    UNKNOWN_OFFER,
)
"""Every code that reading a file can give."""
