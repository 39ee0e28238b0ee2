"""Charts as inline SVG: coloured by the page's own style, each with a title that says all. Every text is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

COLOURS: Final = 6
"""How many parts of a column have a colour of their own (classes ``c0`` … of the page); the last is for the rest."""

_WIDTH: Final = 860
_NARROW: Final = 380
_LABEL_WIDTH: Final = 190
_NARROW_LABEL_WIDTH: Final = 96
_NUMBER_WIDTH: Final = 70
_ROW: Final = 26


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a chart over time: its label, and the height of each of its parts from the bottom up."""

    label: str
    parts: tuple[int, ...]

    @property
    def total(self) -> int:
        """The height of the whole."""
        return sum(self.parts)


@dataclass(frozen=True, slots=True)
class Spread:
    """A spread of numbers: percentiles 5, 25, 50, 75 and 95, and the thresholds beside them."""

    low: float
    quarter: float
    middle: float
    three_quarters: float
    high: float
    thresholds: tuple[float, ...]


def bars(name: str, title: str, rows: Sequence[tuple[str, int]], *, narrow: bool = False) -> str:
    """Horizontal bars, the number at the end of each. ``name`` is the chart's id on its page."""
    most = max((count for _, count in rows), default=0)
    width, left = (_NARROW, _NARROW_LABEL_WIDTH) if narrow else (_WIDTH, _LABEL_WIDTH)
    body = []
    for index, (label, count) in enumerate(rows):
        top = index * _ROW
        long = _round((width - left - _NUMBER_WIDTH) * count / most) if most else 0
        body.append(
            f'<text class="label" x="{left - 8}" y="{top + 17}" text-anchor="end">{_fit(label, left // 7)}</text>'
            f'<rect class="c0" x="{left}" y="{top + 4}" width="{long}" height="{_ROW - 8}" rx="2">'
            f"<title>{escape(label)}: {count:,}</title></rect>"
            f'<text class="number" x="{left + long + 6:g}" y="{top + 17}">{count:,}</text>'
        )
    return _svg(name, title, _ROW * len(rows), "".join(body), width=width, kind="chart narrow" if narrow else "chart")


def columns(name: str, title: str, found: Sequence[Column], parts: Sequence[str]) -> str:
    """Columns over time, each stacked of ``parts``, with a scale on the left and a few labels below."""
    height, left, below = 220, 56, 24
    most = max((column.total for column in found), default=0)
    top, step = scale(most)
    room = _WIDTH - left
    width = room / max(len(found), 1)
    gap = min(2.0, width * 0.2)
    body = []
    for mark in range(0, top + 1, step):
        y = _round(height - height * mark / top)
        body.append(
            f'<line class="grid" x1="{left}" x2="{_WIDTH}" y1="{y}" y2="{y}"/>'
            f'<text class="number" x="{left - 6}" y="{_round(y + 4)}" text-anchor="end">{mark:,}</text>'
        )
    every = -(-len(found) // 6)
    for index, column in enumerate(found):
        x, base = left + index * width, float(height)
        said = ", ".join(f"{part} {count:,}" for part, count in zip(parts, column.parts, strict=True) if count)
        drawn = []
        for part, count in enumerate(column.parts):
            if count:
                tall = height * count / top
                base -= tall
                drawn.append(
                    f'<rect class="c{part}" x="{_round(x + gap / 2)}" y="{_round(base)}" '
                    f'width="{_round(width - gap)}" height="{_round(tall)}"/>'
                )
        body.append(f"<g><title>{escape(column.label)}: {said or '0'}</title>{''.join(drawn)}</g>")
        if index % every == 0 and (index == 0 or x < _WIDTH - 80):
            body.append(f'<text class="label" x="{_round(x)}" y="{height + 18}">{escape(column.label)}</text>')
    return _svg(name, title, height + below, "".join(body), above=12)


def strip(name: str, title: str, spread: Spread) -> str:
    """A spread on one line: from the 5th to the 95th percentile, its middle half as a box, thresholds as marks."""
    width, height, pad = 260, 34, 8
    ends = (spread.low, spread.high, *spread.thresholds)
    least, most = min(ends), max(ends)

    def x(value: float) -> float:
        return _round(pad + (width - 2 * pad) * ((value - least) / (most - least) if most > least else 0.5))

    middle = height / 2
    box = max(x(spread.three_quarters) - x(spread.quarter), 2)
    body = [
        f'<line class="whisker" x1="{x(spread.low)}" x2="{x(spread.high)}" y1="{middle:g}" y2="{middle:g}"/>',
        f'<rect class="c0" x="{x(spread.quarter)}" y="{middle - 7:g}" width="{_round(box)}" height="14" rx="2"/>',
        f'<path class="median" d="M{x(spread.middle)} {middle - 9:g}v18"/>',
    ]
    for threshold in spread.thresholds:
        at = x(threshold)
        body.append(
            f'<path class="threshold" d="M{at} {middle - 13:g}V{middle + 13:g}M{_round(at - 4)} {middle - 16:g}'
            f'h8l-4 5z"/>'
        )
    return _svg(name, title, height, "".join(body), width=width, kind="strip")


def scale(most: int) -> tuple[int, int]:
    """A round number at or above ``most`` for the top of a scale, and the step between its marks."""
    step = 1
    while most > step * 5:
        digit = str(step)[0]
        step = step * 5 // 2 if digit == "2" else step * 2
    return max(-(-most // step), 1) * step, step


def _svg(
    name: str, title: str, height: float, body: str, *, above: int = 0, width: int = _WIDTH, kind: str = "chart"
) -> str:
    return (
        f'<svg class="{kind}" viewBox="0 {-above} {width} {height + above:g}" role="img" '
        f'aria-labelledby="{name}"><title id="{name}">{escape(title)}</title>{body}</svg>'
    )


def _fit(label: str, room: int) -> str:
    """A label cut to the letters it has room for; the bar's own title has all of it."""
    return escape(label if len(label) <= room else f"{label[: room - 1]}…")


def _round(value: float) -> float:
    return round(value, 1)
