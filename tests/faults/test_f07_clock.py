"""F7: the wall clock ahead and back by an hour, midnight at UTC+8, month end, leap day."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.support.faults import fault_system, settle
from tests.support.system import payment
from tests.support.wall_clock import ZONE, WallClock
from tests.support.worker_process import wait_until

CAPPED = Path(__file__).parent / "rules" / "capped"
POLICY = """\
currency: CNY
consent: []
caps:
  - {at_most: 1, per: day}
  - {at_most: 2, per: month}
quiet:
  - {channels: [push], from: "02:00", to: "04:00"}
"""


def test_caps_and_quiet_hours_hold_whatever_the_clock_does(
    kafka: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On 29 February near midnight in Shanghai (16:00 UTC): each payment is decided at the time the clock then shows.

    A contact counts for its day though the clock was set back behind it, and a new day or month begins when the bank's
    does. Nothing goes out in quiet hours, also where the clock comes back to them. All equals the oracle, which runs by
    the times in the journal.
    """
    rules = tmp_path / "rules"
    rules.mkdir()
    for file in CAPPED.iterdir():
        (rules / file.name).write_text(POLICY if file.name == "policy.yaml" else file.read_text())
    clock = WallClock(tmp_path, monkeypatch)
    clock.set("2028-02-29 23:50")
    with fault_system(kafka, redis_url, tmp_path, name="f07", rules=rules, partitions=1, clock="wall") as system:
        system.start_worker().wait_for_partitions()
        paid: Counter[str] = Counter()
        outcomes: list[tuple[str, str]] = []

        def pay(*customers: str) -> list[str]:
            """Each pays now; what becomes of it, in order."""
            for customer in customers:
                paid[customer] += 1
            at = (clock.now - timedelta(minutes=1)).isoformat()
            system.publish([payment(customer, paid[customer], at) for customer in customers])
            system.wait_until_drained()
            found = became_of(*customers)
            outcomes.extend(zip(customers, found, strict=True))
            return found

        def became_of(*customers: str) -> list[str]:
            """What became of the last payment of each, as of now."""
            by_occasion = {one["occasion"]: one["reason"] for one in system.decisions()}
            return [by_occasion[f"transaction:{customer}-{paid[customer]}"] for customer in customers]

        assert pay("a", "b") == ["sent", "sent"]
        assert pay("a") == ["capped"]
        clock.set("2028-02-29 22:50")  # back by an hour
        assert pay("a", "c") == ["capped", "sent"]
        clock.set("2028-03-01 00:10")  # another day and month in Shanghai, the same in UTC
        assert pay("a", "d") == ["sent", "sent"]
        assert pay("a", "d") == ["capped", "capped"]
        clock.set("2028-02-29 23:10")  # back behind midnight: what was sent on the first of March counts
        assert pay("a", "b", "d") == ["capped", "capped", "capped"]
        assert pay("e") == ["sent"]
        clock.set("2028-03-01 00:10")
        assert pay("e", "d") == ["sent", "capped"]
        clock.set("2028-03-02 00:10")
        assert pay("a", "d") == ["sent", "sent"]
        clock.set("2028-03-03 00:10")
        assert pay("a", "d", "b") == ["capped", "capped", "sent"]  # two in March
        clock.set("2028-04-01 00:10")
        assert pay("a", "d") == ["sent", "sent"]
        clock.set("2028-04-02 02:30")  # quiet until 04:00; what is offered now is over at 03:30
        assert pay("f", "g") == ["expired", "expired"]
        clock.set("2028-04-02 01:30")  # back by an hour: not quiet yet, but a customer's own time never goes back
        assert pay("f", "i") == ["expired", "sent"]
        clock.set("2028-04-02 03:30")
        assert pay("f", "i") == ["quiet_hours", "quiet_hours"]
        clock.set("2028-04-02 03:20")
        assert pay("h") == ["quiet_hours"]
        clock.set("2028-04-02 04:10")
        waiting = ("f", "h", "i")
        wait_until(lambda: "quiet_hours" not in became_of(*waiting), "what waited is decided")
        assert became_of(*waiting) == ["sent", "sent", "capped"]
        outcomes.extend(zip(waiting, became_of(*waiting), strict=True))
        settle(system, order_free=False)
        system.stop_workers()

        made = [(action["customer_id"], _local(action["created_at"])) for action in system.actions()]
        assert max(Counter((customer, at.date()) for customer, at in made).values()) == 1, made
        assert max(Counter((customer, at.year, at.month) for customer, at in made).values()) == 2, made
        assert not [one for one in made if 2 <= one[1].hour < 4], made
        assert len(made) == sum(reason == "sent" for _, reason in outcomes)


def _local(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(ZONE)
