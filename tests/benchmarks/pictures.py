"""Pictures that stand alone: in a page its style holds and its text says what is drawn, a file has its own."""

from __future__ import annotations

import re
from typing import Final

_STYLE: Final = (
    "svg{font:13px sans-serif}.c0{fill:#3267a8}.label,.number,.said{fill:#222}.said{font-weight:bold}"
    "@media(prefers-color-scheme:dark){.c0{fill:#6fa3dd}.label,.number,.said{fill:#ddd}}"
)
_HEAD: Final = 28


def alone(drawn: str) -> str:
    """A chart of a page as a file of its own, its title drawn above it."""

    def opened(found: re.Match[str]) -> str:
        before, top, width, height, after = found.groups()
        box = f"0 {float(top) - _HEAD:g} {width} {float(height) + _HEAD:g}"
        return f'<svg xmlns="http://www.w3.org/2000/svg" {before}viewBox="{box}"{after}><style>{_STYLE}</style>'

    titled = re.sub(r'<svg ([^>]*)viewBox="0 (\S+) (\S+) (\S+)"([^>]*)>', opened, drawn)
    return re.sub(
        r"(<title [^>]*>)(.*?)</title>", rf'\g<0><text class="said" x="4" y="{10 - _HEAD}">\2</text>', titled, count=1
    )
