"""The caps of a policy, counted anew from the actions that were sent: by the file as it is written, not by the engine.

What a cap lets through (``except``) may come beside it in any number, and is left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import yaml

_UNITS: Final = {"d": "days", "h": "hours", "m": "minutes"}


def check_caps(actions: Iterable[Mapping[str, Any]], rules: Path) -> None:
    """Raises ``AssertionError`` for the first customer who was contacted more often than ``rules`` allow."""
    policy = yaml.safe_load((rules / "policy.yaml").read_text("utf-8"))
    zone = ZoneInfo(yaml.safe_load((rules / "calendar.yaml").read_text("utf-8"))["timezone"])
    assert policy["caps"], f"{rules} caps nothing"
    by_customer: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for action in actions:
        by_customer[action["customer_id"]].append(action)
    for cap in policy["caps"]:
        for customer, theirs in sorted(by_customer.items()):
            times = sorted(
                datetime.fromisoformat(one["created_at"]).astimezone(zone) for one in theirs if _of(cap, one)
            )
            for last in times:
                within = [at for at in times if at <= last and _shares_window(cap["per"], at, last)]
                assert len(within) <= cap["at_most"], (
                    f"{customer} was contacted {len(within)} times within the window of {cap} that ends with the last: "
                    f"{', '.join(at.isoformat(' ') for at in within)}"
                )


def _of(cap: Mapping[str, Any], action: Mapping[str, Any]) -> bool:
    return (
        cap.get("category") in (None, action["category"])
        and cap.get("channel") in (None, action["channel"])
        and action["category"] not in cap.get("except", ())
    )


def _shares_window(per: str, at: datetime, last: datetime) -> bool:
    if per == "day":
        return at.date() == last.date()
    if per == "week":
        return at.isocalendar()[:2] == last.isocalendar()[:2]
    if per == "month":
        return (at.year, at.month) == (last.year, last.month)
    return last - at < timedelta(**{_UNITS[per[-1]]: int(per[:-1])})
