"""Rule sets built by hand, for tests of the engine that need no rule file."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from triggers.engine.scope import Scope
from triggers.language.model import (
    ActionSpec,
    Expression,
    Feature,
    Goal,
    OnEvent,
    Policy,
    RuleSet,
    Series,
    Step,
    Trigger,
    Wake,
)

DAY = 86_400_000
HOUR = 3_600_000
EVERYTHING = frozenset({"transaction", "maturity", "profile", "behaviour", "feedback"})
NO_LIMITS = Policy(caps=(), consent=frozenset())


def expression(evaluate: Callable[[Scope], Any], *names: str) -> Expression:
    """An expression from a Python function."""
    return Expression(source="python", evaluate=evaluate, names=frozenset(names))


def trigger(
    name: str,
    when: Callable[[Scope], Any] | None = None,
    *names: str,
    on: tuple[Wake, ...] = (OnEvent("transaction"),),
    rearm: Callable[[Scope], Any] | None = None,
    once_per_ms: int | None = None,
    ladder: tuple[Step, ...] = (Step("push"),),
    expires_ms: int = 2 * DAY,
    priority: int = 50,
    value: Callable[[Scope], Any] | None = None,
    fields: dict[str, Callable[[Scope], Any]] | None = None,
    status: str = "live",
    category: str = "test",
    goal: Goal | None = None,
) -> Trigger:
    """A trigger with everything a test does not care about filled in."""
    condition = expression(when, *names) if when else None
    return Trigger(
        id=name,
        version=1,
        title=name,
        owner="tests",
        status=status,  # type: ignore[arg-type]
        on=on,
        when=condition,
        clauses=(condition,) if condition else (),
        rearm=expression(rearm) if rearm else None,
        once_per_ms=once_per_ms,
        action=ActionSpec(
            offer=f"offer_{name}",
            category=category,
            complexity="simple",
            priority=priority,
            value=expression(value) if value else None,
            expires_ms=expires_ms,
            ladder=ladder,
            template=None,
            fields={key: expression(field) for key, field in (fields or {}).items()},
            goal=goal,
        ),
        on_change="carry",
        file=f"{name}.yaml",
    )


def ruleset(
    *triggers: Trigger,
    series: tuple[Series, ...] = (),
    features: tuple[Feature, ...] = (),
    policy: Policy = NO_LIMITS,
    name: str = "rules",
) -> RuleSet:
    """A rule set of these triggers."""
    return RuleSet(name, triggers, series, features, policy, "{}")


def balance_series(retain_ms: int = 30 * DAY) -> Series:
    """The customer's balance as a level."""
    return Series(
        "balance",
        expression(lambda scope: scope.customer.balance, "customer.balance"),
        None,
        EVERYTHING,
        "customer",
        level=True,
        retain_ms=retain_ms,
    )


def outflow_series(retain_ms: int = 30 * DAY, by: str = "customer") -> Series:
    """Amounts that went out, as a flow."""
    return Series(
        f"outflow_{by}",
        expression(lambda scope: scope.event.amount, "event.amount"),
        expression(lambda scope: scope.event.direction == "debit", "event.direction"),
        frozenset({"transaction"}),
        by,  # type: ignore[arg-type]
        level=False,
        retain_ms=retain_ms,
    )


def money(text: str | int) -> Decimal:
    """An exact amount."""
    return Decimal(text)
