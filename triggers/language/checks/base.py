"""What a check is: a code and a function from all trigger files to problems."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from triggers.errors import Problem
from triggers.language.codes import Code
from triggers.language.draft import Draft


@dataclass(frozen=True, slots=True)
class Check:
    """One code and how it is found. A check sees every file of the rule set, so that it may compare them."""

    code: Code
    find: Callable[[Sequence[Draft]], Iterator[Problem]]
