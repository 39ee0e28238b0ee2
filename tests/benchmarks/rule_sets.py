"""The rule sets that benchmarks run: the ten frozen triggers, fewer or more of them, under a short or the full policy.

What makes the ten into hundreds are triggers as banks have them, most of which concern other events than the card
payments that are most of the work: kinds of transaction, visits, products that fall due, silences; some concern every
transaction (edges of the balance, sums over windows that several of them share).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Final

from tests.benchmarks.work import RULES
from triggers.language.loader import load_documents, load_ruleset
from triggers.language.model import RuleSet

FULL: Final = Path(__file__).parent / "full_policy"
POLICIES: Final = ("full", "short")
_SHARED: Final = frozenset({"policy.yaml", "calendar.yaml", "tiers.yaml"})
_PAYMENT: Final = {"at": "2026-03-02 10:00", "transaction": {"amount": 10}}
_CASES: Final = [
    {"name": "fires", "events": [_PAYMENT], "expect": [{"at": "2026-03-02 10:00"}]},
    {"name": "silent", "events": [_PAYMENT], "expect": []},
]


def rule_set(rules: Path = RULES, triggers: int | None = None, policy: str = "short") -> RuleSet:
    """The rules of a folder; so many triggers of them, generated ones where it has not as many."""
    plain = triggers is None and policy != "full"
    loaded = load_ruleset([rules]) if plain else load_documents(rule_files(rules, triggers, policy))
    if loaded.ruleset is None:
        raise SystemExit("\n".join(map(str, loaded.problems)))
    return loaded.ruleset


def rule_files(rules: Path = RULES, triggers: int | None = None, policy: str = "short") -> dict[str, str]:
    """The files of such a rule set: their texts by name."""
    files = {path.name: path.read_text("utf-8") for path in sorted(rules.glob("*.yaml"))}
    if policy == "full":
        files |= {path.name: path.read_text("utf-8") for path in sorted(FULL.glob("*.yaml"))}
    if triggers is not None:
        own = [name for name in files if name not in _SHARED]
        for name in own[triggers:]:
            del files[name]
        files |= dict(islice(_generated(), max(0, triggers - len(own))))
    return files


def write_rules(folder: Path, triggers: int | None = None) -> Path:
    """A folder with so many triggers under the full policy, all of the ten where no number is given."""
    folder.mkdir(exist_ok=True)
    for name, text in rule_files(triggers=triggers, policy="full").items():
        (folder / name).write_text(text, "utf-8")
    return folder


def _generated() -> Iterator[tuple[str, str]]:
    """Trigger files without end, of six families in turn."""
    families = [_of_kinds(), _of_visits(), _of_products(), _of_edges(), _of_windows(), _of_silences()]
    # Of ten new triggers four ask for a kind of transaction, two for every transaction, four for other events.
    for number, family in enumerate(cycle((0, 1, 0, 2, 3, 0, 5, 0, 1, 4))):
        name = f"generated_{number:03}"
        body = next(families[family])
        action = {
            "offer": name,
            "category": ("retention", "growth", "maturity")[number % 3],
            "complexity": "simple",
            "priority": 1 + number % 90,
            "expires": "72h",
            "ladder": ["push"],
        }
        head = {"trigger": name, "version": 1, "title": name, "owner": "benchmarks", "status": "live"}
        yield f"{name}.yaml", json.dumps({**head, **body, "action": action, "tests": _CASES})


def _of_kinds() -> Iterator[dict[str, Any]]:
    kinds = ("pension", "insurance", "household", "loan_payment", "purchase", "redemption", "interest", "fee", "salary")
    for number, kind in enumerate(cycle(kinds)):
        edge = 500 * (1 + number // len(kinds))
        condition = f'event.amount >= {edge} and customer.tier in ["mid", "high"] and paid >= 2'
        feature = {"count": True, "where": f'event.kind == "{kind}"', "over": "60d"}
        yield {"on": f"transaction.{kind}", "features": {"paid": feature}, "when": condition, "once_per": "30d"}


def _of_visits() -> Iterator[dict[str, Any]]:
    actions = ("browse", "search", "like", "share", "apply")
    for number, action in enumerate(cycle(actions)):
        feature = {"count": True, "of": "behaviour", "where": f'event.action == "{action}"', "over": "7d"}
        condition = f"visits >= {2 + number // len(actions)} and customer.balance >= 5000"
        yield {"on": f"behaviour.{action}", "features": {"visits": feature}, "when": condition, "once_per": "7d"}


def _of_products() -> Iterator[dict[str, Any]]:
    kinds = ("deposit", "wealth", "fund", "bond", "insurance")
    for number, kind in enumerate(cycle(kinds)):
        condition = f'product.kind == "{kind}" and product.amount >= {80_000 + 1_000 * number}'
        yield {"on": {"maturity": f"{3 + number % 28}d before"}, "when": condition}


def _of_edges() -> Iterator[dict[str, Any]]:
    edge = 250_000
    while True:
        condition = f"crossed_above(customer.balance, {edge}) and not event.own_account"
        yield {"on": "transaction", "when": condition, "rearm": f"customer.balance < {edge - 20_000}"}
        edge += 10_000


def _of_windows() -> Iterator[dict[str, Any]]:
    windows = cycle(("7d", "30d", "60d"))
    for number, over in enumerate(windows):
        feature = {"sum": "event.amount", "where": 'event.direction == "debit"', "over": over}
        condition = f'event.direction == "debit" and event.amount >= {25_000 + 100 * number} and spent >= 60000'
        yield {"on": "transaction", "features": {"spent": feature}, "when": condition, "once_per": "30d"}


def _of_silences() -> Iterator[dict[str, Any]]:
    kinds = ("pension", "household", "insurance", "loan_payment")
    for number, kind in enumerate(cycle(kinds)):
        yield {"on": {"silence": f"transaction.{kind}", "for": f"{40 + number}d"}, "when": "customer.balance >= 1000"}
