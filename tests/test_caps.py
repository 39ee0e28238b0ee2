"""The caps counted anew from actions: each kind of window, and what a cap does not concern."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.caps import check_caps


def _policy(folder: Path, cap: str) -> Path:
    (folder / "policy.yaml").write_text(f"caps:\n  - {cap}\n")
    (folder / "calendar.yaml").write_text("timezone: Asia/Shanghai\n")
    return folder


def _action(at: str, **changes: str) -> dict[str, str]:
    return {"customer_id": "c1", "created_at": f"{at}:00Z", "category": "growth", "channel": "push", **changes}


# Midnight in Shanghai is 16:00 UTC.
@pytest.mark.parametrize(
    ("cap", "held", "broken"),
    [
        ("{at_most: 1, per: day}", ["2026-03-01 15:59", "2026-03-01 16:00"], ["2026-03-01 16:00", "2026-03-02 15:59"]),
        ("{at_most: 1, per: week}", ["2026-03-01 15:59", "2026-03-01 16:00"], ["2026-03-01 16:00", "2026-03-08 15:59"]),
        (
            "{at_most: 1, per: month}",
            ["2026-03-31 15:59", "2026-03-31 16:00"],
            ["2026-02-28 16:00", "2026-03-31 15:59"],
        ),
        ("{at_most: 1, per: 7d}", ["2026-03-01 10:00", "2026-03-08 10:00"], ["2026-03-01 10:00", "2026-03-08 09:59"]),
        ("{at_most: 1, per: 6h}", ["2026-03-01 10:00", "2026-03-01 16:00"], ["2026-03-01 10:00", "2026-03-01 15:59"]),
    ],
)
def test_one_more_within_a_window_is_found(tmp_path: Path, cap: str, held: list[str], broken: list[str]) -> None:
    """In the bank's time zone, in whatever order they come; of each customer alone."""
    rules = _policy(tmp_path, cap)
    check_caps(map(_action, held), rules)
    check_caps([_action(broken[0]), _action(broken[1], customer_id="c2")], rules)
    for order in (broken, broken[::-1]):
        with pytest.raises(AssertionError, match=r"c1 was contacted 2 times within the window of .*'at_most': 1"):
            check_caps(map(_action, order), rules)


def test_a_cap_concerns_its_channel_and_category_and_not_what_it_lets_through(tmp_path: Path) -> None:
    """Others come beside it."""
    two = [_action("2026-03-01 10:00"), _action("2026-03-01 11:00")]
    for cap in ("channel: sms", "category: retention", "except: [desk, growth]"):
        check_caps(two, _policy(tmp_path, f"{{at_most: 1, per: day, {cap}}}"))
    for cap in ("channel: push", "category: growth", "except: [desk]"):
        with pytest.raises(AssertionError, match="c1 was contacted 2 times"):
            check_caps(two, _policy(tmp_path, f"{{at_most: 1, per: day, {cap}}}"))


def test_a_policy_without_caps_shows_nothing(tmp_path: Path) -> None:
    """To count against no cap would always be right."""
    (tmp_path / "calendar.yaml").write_text("timezone: Asia/Shanghai\n")
    (tmp_path / "policy.yaml").write_text("caps: []\n")
    with pytest.raises(AssertionError, match="caps nothing"):
        check_caps([], tmp_path)
