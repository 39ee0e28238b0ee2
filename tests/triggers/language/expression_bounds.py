"""The dearest expressions that the language allows, each as large as it may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final


def balanced(leaves: list[str], operator: str) -> str:
    """One operator over all leaves, in brackets, as flat as can be."""
    if len(leaves) == 1:
        return leaves[0]
    middle = len(leaves) // 2
    return f"({balanced(leaves[:middle], operator)}{operator}{balanced(leaves[middle:], operator)})"


DEAREST: Final[Mapping[str, str]] = {
    "99 divisions": balanced(["peak_7d", *["visits"] * 49], "/") + "+" + balanced(["in_30d", *["visits"] * 48], "/"),
    "49 percentages, rounded": "round(" + balanced(["percent(in_30d,peak_7d)"] * 49, "+") + ",9)",
    "the largest of 90": "max(" + ",".join(["max(" + ",".join(["visits"] * 9) + ")"] * 10) + ")*0.1",
    "99 chained comparisons": "<=".join(["in_30d"] * 99),
    "66 memberships": " or ".join(["visits in [7.5]"] * 66),
    "39 crossings": " or ".join(["crossed_above(customer.aum+1,9)"] * 39),
    "64 texts in lists of text": " or ".join(['"none" in customer.segments'] * 64),
    "66 alternatives with unknowns": " or ".join(["not customer.blacklisted"] * 66),
}
"""Each by what it is. The names are those of the tests' worlds."""
