"""What ``policy.yaml`` may say, and what it is told where it says something else."""

from __future__ import annotations

from textwrap import dedent

import pytest

from tests.support.rules import DAY, HOUR
from tests.triggers.language.rule_texts import GOOD
from triggers.language.loader import load_documents
from triggers.language.model import Attempts, Cap, Cooldown, Policy


def read(text: str) -> Policy:
    """The policy of a file without mistakes."""
    loaded = load_documents({"good.yaml": GOOD, "policy.yaml": dedent(text)})
    assert loaded.ruleset is not None, loaded.problems
    return loaded.ruleset.policy


def mistakes(text: str) -> list[tuple[int, int, str, str]]:
    """Line, column, code and message of each mistake in a policy."""
    loaded = load_documents({"good.yaml": GOOD, "policy.yaml": dedent(text)})
    return [(p.line, p.column, p.code, p.message) for p in loaded.problems if p.file == "policy.yaml"]


def test_caps_slide_or_follow_the_calendar() -> None:
    """Of everything, of a category, of a channel, or of one category on one channel."""
    policy = read("""\
        caps:
          - {at_most: 3, per: 7d}
          - {at_most: 1, per: day}
          - {at_most: 5, per: week, category: growth}
          - {at_most: 2, per: month, category: growth, channel: sms}
          - {at_most: 3, per: 9d, except: [desk, notice]}
          - {at_most: 4, per: 9d}
    """)
    assert policy.caps == (
        Cap(3, 7 * DAY),
        Cap(1, DAY + HOUR, calendar="day"),
        Cap(5, 7 * DAY + HOUR, "growth", calendar="week"),
        Cap(2, 31 * DAY + HOUR, "growth", "sms", "month"),
        Cap(3, 9 * DAY, exempt=frozenset({"desk", "notice"})),
        Cap(4, 9 * DAY),
    )


def test_cooldown_and_attempts_are_read() -> None:
    """Each part of a cooldown may be left out."""
    policy = read("cooldown: {category: 3d, trigger: 2w}\nattempts: {at_most: 5, pause: 90d}")
    assert policy.cooldown == Cooldown(category_ms=3 * DAY, trigger_ms=14 * DAY)
    assert policy.attempts == Attempts(5, 90 * DAY)
    policy = read("attempts: {at_most: 5, pause: 90d, except: [notice, service]}")
    assert policy.attempts == Attempts(5, 90 * DAY, frozenset({"notice", "service"}))


def test_what_is_left_out_holds_nothing_back() -> None:
    """An empty file is the default policy."""
    assert read("{}") == Policy()
    assert Policy().cooldown == Cooldown()
    assert Policy().attempts is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("caps: [{at_most: 3, per: fortnight}]", (1, 26, "E015", "day, week or month")),
        ("caps: [{at_most: 3, per: 3y}]", (1, 26, "E015", "length of time")),
        ("caps: [{at_most: 1001, per: 7d}]", (1, 18, "E014", "from 0 to 1000")),
        ("caps: [{at_most: 1, per: 7d, channel: fax}]", (1, 39, "E013", "expected one of push")),
        ("caps:\n  - {at_most: 1, per: 7d}\n  - {at_most: 2, per: 1w}", (3, 5, "E018", "at_most: 1")),
        ("caps: [{at_most: 1, per: 7d, category: a, except: [b, a]}]", (1, 43, "E018", "which it lets through")),
        ("cooldown: 3d", (1, 11, "E012", "the keys of a cooldown: all, category, trigger")),
        ("cooldown: {al: 3d}", (1, 12, "E010", 'did you mean "all"?')),
        ("attempts: {at_most: 0, pause: 90d}", (1, 21, "E014", "from 1 to 1000")),
        ("attempts: {at_most: 5}", (1, 11, "E011", 'missing key "pause"')),
        ("attempts: {at_most: 5, pause: 90d, except: notice}", (1, 44, "E012", "a list of categories")),
        ("attempts: {at_most: 5, pause: 90d, except: [Notice]}", (1, 45, "E014", "small letters")),
    ],
)
def test_a_mistake_is_located_and_says_what_would_be_right(text: str, expected: tuple[int, int, str, str]) -> None:
    """File, line, column, code."""
    ((line, column, code, message),) = mistakes(text)
    assert (line, column, code) == expected[:3]
    assert expected[3] in message
