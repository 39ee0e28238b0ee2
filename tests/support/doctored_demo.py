"""A short demo, kept, of which one action is withheld from the check: it must fail. Run as a program."""

from __future__ import annotations

import sys
from dataclasses import replace

from streams.demo import DemoOptions, run_demo
from streams.demo.check import Evidence
from streams.demo.tap import QUEUES


def withhold(evidence: Evidence) -> Evidence:
    """The evidence without the first message of one outreach queue."""
    place = next(place for place, messages in evidence.log.items() if place[0] in QUEUES and messages)
    return replace(evidence, log={**evidence.log, place: evidence.log[place][1:]})


if __name__ == "__main__":
    sys.exit(run_demo(DemoOptions(keep=True, seconds=1, events=500), withhold))
