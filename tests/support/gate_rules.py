"""Rule sets for properties of the gate: drawn policies, and triggers whose candidates follow from the events alone."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from hypothesis import strategies as st

from triggers.language.loader import load_documents
from triggers.language.model import RuleSet

CHANNELS = ("push", "sms", "wechat", "manager")
LEAST = {"any_payment": 5, "big_payment": 50, "huge_payment": 500}
"""The triggers on payments: from which amount each is true. They wake on nothing else."""
CATEGORY = {"any_payment": "care", "big_payment": "growth", "huge_payment": "growth", "silent": "care"}
COMPLEXITY = {"any_payment": "simple", "big_payment": "medium", "huge_payment": "simple", "silent": "simple"}
SALT = b"a"
HOURS = {"push": (22, 7), "sms": (18, 10), "wechat": (12, 14), "manager": (17, 9)}


@dataclass(frozen=True)
class Rules:
    """A rule set as it was drawn: what a checker may know of it."""

    caps: tuple[tuple[int, str, str | None, str | None, tuple[str, ...]], ...] = ()
    """At most, per (``2d``, ``day`` …), category, channel, categories that it lets through."""
    consent: frozenset[str] = frozenset()
    quiet: frozenset[str] = frozenset()
    closed: frozenset[str] = frozenset()
    """Channels that are quiet at the ``HOURS`` above, and on Saturdays and Sundays."""
    cooldown: tuple[int, int, int] = (0, 0, 0)
    """Hours: all, category, trigger."""
    attempts: tuple[int, int] | None = None
    exempt: tuple[str, ...] = ()
    """At most, days of pause."""
    holdout: tuple[int, int] = (0, 0)
    """Percent: all, of big payments."""
    window: int = 0
    """Hours."""
    routed: frozenset[str] = frozenset()
    """Channels for medium offers; none means no rule."""
    once_per: int = 0
    """Days."""
    ladder: tuple[tuple[tuple[str, ...], int, bool], ...] = ((("push",), 0, False),)
    """Steps: channels, hours after the one before, whether it depends on nobody having opened."""
    expires: int = 48
    silence: int = 3
    """Days."""
    shadow: frozenset[str] = frozenset()
    """Triggers on payments that are in shadow."""
    absent: frozenset[str] = frozenset()
    """Triggers on payments that it does not have. (One that comes back knows nothing of the silences before.)"""


@st.composite
def drawn_rules(draw: st.DrawFn) -> Rules:
    """Any rule set of this kind."""
    channels = st.frozensets(st.sampled_from(CHANNELS))
    cap = st.tuples(
        st.integers(1, 3),
        st.sampled_from(["6h", "2d", "7d", "day", "week", "month"]),
        st.none() | st.sampled_from(["care", "growth"]),
        st.none() | st.sampled_from(CHANNELS),
        st.sampled_from([(), (), ("care",), ("growth",)]),
    ).filter(lambda cap: cap[2] not in cap[4])
    step = st.tuples(
        st.lists(st.sampled_from(CHANNELS), min_size=1, max_size=3, unique=True).map(tuple),
        st.sampled_from([1, 12, 24, 49]),
        st.booleans(),
    )
    first = draw(st.lists(st.sampled_from(CHANNELS), min_size=1, max_size=3, unique=True))
    return Rules(
        caps=tuple(draw(st.lists(cap, max_size=3, unique_by=lambda one: one[1:]))),
        consent=draw(channels),
        quiet=draw(channels),
        closed=draw(channels),
        cooldown=tuple(draw(st.tuples(*[st.sampled_from([0, 5, 30])] * 3))),
        attempts=draw(st.none() | st.tuples(st.integers(1, 4), st.sampled_from([2, 20]))),
        exempt=draw(st.sampled_from([(), (), ("care",), ("growth",)])),
        holdout=draw(st.sampled_from([(0, 0), (0, 0), (0, 0), (40, 0), (0, 50), (40, 50)])),
        window=draw(st.sampled_from([0, 0, 2, 12])),
        routed=draw(channels),
        once_per=draw(st.sampled_from([0, 0, 2])),
        ladder=((tuple(first), 0, False), *draw(st.lists(step, max_size=2))),
        expires=draw(st.sampled_from([3, 48, 100])),
        shadow=frozenset(draw(st.lists(st.sampled_from(["any_payment", "huge_payment"]), max_size=1))),
        absent=frozenset(draw(st.lists(st.sampled_from(["any_payment", "big_payment"]), max_size=1))),
    )


def rules_by_lot(rng: random.Random) -> Rules:
    """One of these rule sets, with about half of the gate's rules in force: a few of them meet every rule."""

    def maybe(value: Any, otherwise: Any, chance: float = 0.5) -> Any:
        return value if rng.random() < chance else otherwise

    def some(most: int) -> frozenset[str]:
        return frozenset(rng.sample(CHANNELS, rng.randint(0, most)))

    first = tuple(rng.sample(CHANNELS, rng.randint(1, 2)))
    further = [
        (tuple(rng.sample(CHANNELS, rng.randint(1, 2))), rng.choice([1, 12, 24]), rng.random() < 0.6) for _ in range(2)
    ]
    rules = Rules(
        caps=maybe(
            (
                (rng.randint(2, 4), rng.choice(["2d", "7d", "day", "week"]), None, None, maybe(("care",), ())),
                (
                    rng.randint(1, 2),
                    rng.choice(["6h", "day", "month"]),
                    maybe("growth", None),
                    rng.choice(CHANNELS),
                    (),
                ),
            ),
            (),
        ),
        consent=some(2),
        quiet=some(3),
        closed=some(1),
        cooldown=maybe((rng.choice([0, 5]), rng.choice([0, 5, 30]), rng.choice([0, 30])), (0, 0, 0), 0.3),
        attempts=maybe((rng.randint(2, 4), rng.choice([2, 20])), None),
        exempt=maybe(("care",), ()),
        holdout=maybe(rng.choice([(40, 0), (0, 50), (40, 50)]), (0, 0)),
        window=maybe(rng.choice([2, 12]), 0),
        routed=maybe(some(3), frozenset(), 0.3),
        once_per=maybe(2, 0, 0.2),
        ladder=((first, 0, False), *further),
        expires=rng.choice([24, 48, 100]),
        shadow=maybe(frozenset({rng.choice(["any_payment", "huge_payment"])}), frozenset(), 0.3),
        absent=maybe(frozenset({"any_payment"}), frozenset(), 0.1),
    )
    return rules if load(rules) is not None else rules_by_lot(rng)


@lru_cache(maxsize=512)
def load(rules: Rules) -> RuleSet | None:
    """The rule set that the product makes of it; ``None`` where a check finds an error in the policy."""
    documents = {f"{name}.yaml": _trigger(rules, name) for name in CATEGORY if name not in rules.absent}
    documents["policy.yaml"] = json.dumps(_policy(rules))
    documents["calendar.yaml"] = json.dumps({"timezone": "Asia/Shanghai"})
    return load_documents(documents).ruleset


def _trigger(rules: Rules, name: str) -> str:
    ladder: list[Any] = [list(rules.ladder[0][0])]
    for channels, after, unless in rules.ladder[1:]:
        ladder.append({"after": f"{after}h", "use": list(channels)} | ({"unless": "opened"} if unless else {}))
    body: dict[str, Any] = {"trigger": name, "version": 1, "title": name, "owner": "tests"}
    body["status"] = "shadow" if name in rules.shadow else "live"
    amount = LEAST.get(name)
    if amount is None:
        body["on"] = {"silence": "transaction", "for": f"{rules.silence}d"}
    else:
        body |= {"on": "transaction", "when": f"event.amount >= {amount}"}
    if rules.once_per:
        body["once_per"] = f"{rules.once_per}d"
    body["action"] = {
        "offer": "something",
        "category": CATEGORY[name],
        "complexity": COMPLEXITY[name],
        "priority": 10 + 20 * list(CATEGORY).index(name),
        "expires": f"{rules.expires}h",
        "ladder": ladder,
    }
    body["tests"] = [
        {"name": "fires", "events": [_payment("2026-03-02 10:00", 1_000)], "expect": [{"at": "2026-03-02 10:00"}]},
        {"name": "silent", "events": [_payment("2026-03-02 10:00", 1)], "expect": []},
    ]
    return json.dumps(body)


def _payment(at: str, amount: int) -> dict[str, Any]:
    return {"at": at, "transaction": {"amount": amount}}


def _policy(rules: Rules) -> dict[str, Any]:
    policy: dict[str, Any] = {
        "consent": sorted(rules.consent),
        "caps": [
            {"at_most": most, "per": per}
            | ({} if category is None else {"category": category})
            | ({} if channel is None else {"channel": channel})
            | ({"except": list(exempt)} if exempt else {})
            for most, per, category, channel, exempt in rules.caps
        ],
        "quiet": [
            *(
                {"channels": [channel], "from": f"{HOURS[channel][0]:02}:00", "to": f"{HOURS[channel][1]:02}:00"}
                for channel in sorted(rules.quiet)
            ),
            *({"channels": [channel], "days": "closed"} for channel in sorted(rules.closed)),
        ],
    }
    names = ("all", "category", "trigger")
    cooldown = {name: f"{hours}h" for name, hours in zip(names, rules.cooldown, strict=True) if hours}
    if cooldown:
        policy["cooldown"] = cooldown
    if rules.attempts is not None:
        policy["attempts"] = {
            "at_most": rules.attempts[0],
            "pause": f"{rules.attempts[1]}d",
            "except": list(rules.exempt),
        }
    if any(rules.holdout):
        policy["holdout"] = {
            "salt": SALT.decode(),
            "percent": rules.holdout[0],
            "triggers": {"big_payment": rules.holdout[1]},
        }
    if rules.window:
        policy["arbitration"] = {"window": f"{rules.window}h"}
    if rules.routed:
        policy["routing"] = [{"complexity": ["medium"], "channels": sorted(rules.routed)}]
    return policy
