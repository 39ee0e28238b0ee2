"""What a soak saw over time, as a table and as a picture."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from streams.backtest.charts import Column, columns

KINDS: Final = ("worker", "kafka", "store", "output", "input")
"""What a fault concerns."""

MOST_MIB: Final = 256
"""What a worker may have at most: about 95 when it works, and 128 that its cache may fill."""
GROWTH_MIB: Final = 32
"""So much more may the larger worker have in the last third than in the first, each time the median of the looks."""
REST_S: Final = 120.0
"""So long after everything is mended nothing may wait any more."""
_LOOKS: Final = 20
"""Fewer in a third tell nothing of growth."""

_COLUMNS: Final = 120
_CHART_HEIGHT: Final = 280
_STYLE: Final = """\
text{font:12px sans-serif;fill:#444}.grid{stroke:#ddd}h1{font-size:16px}
.c0{fill:#2f6fb0}.c1{fill:#c75f3c}.c2{fill:#4a9a6a}.c3{fill:#8b6bb1}.c4{fill:#c9a227}.c5{fill:#888}"""


@dataclass(frozen=True, slots=True)
class Sample:
    """One look. ``lag`` is ``None`` where nobody could tell: what would is away."""

    at_s: float
    rss_mib: tuple[int, ...]
    """Of each worker that runs."""
    lag: int | None
    published: int
    faults: tuple[str, ...]
    """Those under way: kind, a colon and what."""


@dataclass(frozen=True, slots=True)
class Check:
    """A comparison with the oracle, at rest: every message, the states, the positions, the journal; and the caps."""

    at_s: float
    rest_s: float
    """From the moment at which everything was mended until nothing waited."""
    took_s: float
    batches: int
    actions: int
    decisions: int
    repeated: int
    """Messages that were sent more than once, with the same id and body."""
    difference: str | None
    """``None`` where there is none."""


def row(sample: Sample) -> str:
    """A line of the table."""
    lag = "?" if sample.lag is None else f"{sample.lag:,}"
    memory = "+".join(map(str, sample.rss_mib)) or "-"
    return f"{_clock(sample.at_s)} | {memory:>11} | {lag:>7} | {sample.published:>9,} | {', '.join(sample.faults)}"


HEAD: Final = f"{'time':>5} | {'memory, MiB':>11} | {'lag':>7} | {'published':>9} | faults under way"


def check_row(check: Check) -> str:
    """A line of the table between the others."""
    verdict = (
        "messages, states and positions are the oracle's, caps are kept" if check.difference is None else "DIFFERS"
    )
    return (
        f"{_clock(check.at_s)} | {verdict}: {check.batches:,} batches, {check.actions:,} actions, "
        f"{check.decisions:,} decisions, {check.repeated:,} sent twice and alike; at rest after {check.rest_s:.0f} s, "
        f"looked at in {check.took_s:.0f} s"
    )


def memory_row(samples: Sequence[Sample]) -> tuple[bool, str]:
    """Whether the workers' memory stayed within its bounds, and a line of the figures. Short soaks tell no growth."""
    largest = [max(sample.rss_mib) for sample in samples if sample.rss_mib]
    most, third = max(largest, default=0), len(largest) // 3
    said = f"memory: at most {most} MiB in one worker (bound {MOST_MIB})"
    if third < _LOOKS:
        return most <= MOST_MIB, f"{said}; too few looks to tell growth"
    # Those that have just started are small: the median is of those at work.
    first, last = median(largest[:third]), median(largest[-third:])
    held = most <= MOST_MIB and last - first <= GROWTH_MIB
    return held, f"{said}; median {first:g} MiB in the first third, {last:g} in the last (bound {GROWTH_MIB} more)"


def lag_row(samples: Sequence[Sample], checks: Sequence[Check]) -> tuple[bool, str]:
    """Whether no more ever waited than had come since the last rest, and a line of the figures.

    So the bound rises while workers or what they need are dead, also where all of them are, and a position that went
    back is seen; how soon it must come down is ``REST_S``.
    """
    most, held, rests = 0, True, iter(check.at_s for check in checks)
    published = before = 0
    rest = next(rests, None)
    for sample in samples:
        while rest is not None and sample.at_s > rest:
            before, rest = published, next(rests, None)
        published = sample.published
        if sample.lag is not None:
            most = max(most, sample.lag)
            held = held and sample.lag <= published - before
    slowest = max((check.rest_s for check in checks), default=0.0)
    said = f"lag: at most {most:,} records (bound: what came since the last rest)"
    return held and slowest <= REST_S, f"{said}; nothing waited {slowest:.0f} s after all was mended (bound {REST_S:g})"


def unexpected_end(code: int, blind: bool, asked: Collection[int]) -> str | None:
    """Why a worker may not have ended with a code; ``None`` where it may.

    ``blind``: Kafka or the store was away before it had taken partitions over. ``asked``: how it was made to end: by
    SIGKILL (-9), or told to (0), perhaps before it could listen (-15).
    """
    if code == 5:
        return None  # refused: whether that was right is what the comparison tells
    if code in asked:
        return None
    if code in (0, -9):
        return f"it ended with {code} though nobody {'told it to' if code == 0 else 'killed it'}"
    if code in (1, 4):
        return None if blind else f"it ended with {code} though neither Kafka nor the store was away at its start"
    return f"it ended with {code}"


def picture(seed: int, samples: Sequence[Sample], checks: Sequence[Check]) -> str:
    """An SVG of its own: memory by worker, lag, what was broken, and the checks, over the same time."""
    found = _thinned(samples)
    most = max((len(sample.rss_mib) for sample in found), default=0)
    charts = [
        (
            "memory of the workers, MiB",
            [Column(_clock(s.at_s), s.rss_mib + (0,) * (most - len(s.rss_mib))) for s in found],
            [f"worker {number + 1}" for number in range(most)],
        ),
        ("lag, records (0 where nobody could tell)", [Column(_clock(s.at_s), (s.lag or 0,)) for s in found], ["lag"]),
        (
            "faults under way: " + ", ".join(KINDS),
            [Column(_clock(s.at_s), tuple(_count(s, kind) for kind in KINDS)) for s in found],
            KINDS,
        ),
    ]
    held = sum(check.difference is None for check in checks)
    body = [f'<text x="20" y="24">soak, seed {seed}: {held} of {len(checks)} comparisons with the oracle hold</text>']
    for number, (title, cols, parts) in enumerate(charts):
        top = 48 + number * _CHART_HEIGHT
        drawn = columns(f"chart-{number}", title, cols, parts)
        placed = drawn.replace("<svg ", f'<svg x="20" y="{top + 8}" width="860" height="{_CHART_HEIGHT - 30}" ', 1)
        body.append(f'<text x="20" y="{top}">{title}</text>{placed}')
    height = 48 + len(charts) * _CHART_HEIGHT
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 {height}" width="900" height="{height}">'
        f'<style>{_STYLE}</style><rect width="900" height="{height}" fill="#fff"/>{"".join(body)}</svg>\n'
    )


def _thinned(samples: Sequence[Sample]) -> list[Sample]:
    """As many as there is room for; of those that share a place the one with the most memory."""
    per_column = -(-len(samples) // _COLUMNS) or 1
    groups = [samples[begin : begin + per_column] for begin in range(0, len(samples), per_column)]
    return [max(group, key=lambda sample: sum(sample.rss_mib)) for group in groups]


def _count(sample: Sample, kind: str) -> int:
    return sum(fault.startswith(f"{kind}:") for fault in sample.faults)


def _clock(at_s: float) -> str:
    return f"{int(at_s) // 60:02d}:{int(at_s) % 60:02d}"
