"""What timers bring up for a customer at one moment competes as the candidates of one occasion do: the best is heard.

A quiet night puts off many a message to the same minute of the morning, and a schedule may come round then as well.
While the timers of a moment run, what would go out is gathered here: new candidates, first steps that waited, and
further steps of ladders. What is due at another moment is not of it, also where a late sweep runs both.
"""

from __future__ import annotations

from dataclasses import dataclass

from triggers.engine.state import Journey
from triggers.language.model import Trigger

Shadow = tuple[Trigger, str, str]
"""A candidate in shadow: its trigger, its occasion, and what would have become of it."""


@dataclass(slots=True)
class Together:
    """What competes at one moment. ``steps`` has the step of each journey that has begun, by trigger and occasion."""

    ready: list[tuple[Trigger, Journey]]
    shadows: list[Shadow]
    steps: dict[tuple[str, str], int]
    woken_by: dict[str, str]
