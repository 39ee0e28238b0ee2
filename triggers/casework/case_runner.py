"""Runs the inline tests of a trigger on a virtual clock, through the production engine, gate and ladder.

A case is one customer. What the author leaves out of an event is filled in: ids, the publisher's sequence, the
bank's currency, the balance that follows from direction and amount. After the last event the clock runs on until no
timer is left, so that "expect nothing" covers all that could still come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from schemas.actions import Cancellation, NextBestAction
from schemas.base import Record, from_ms
from schemas.decisions import Decision
from schemas.events import Behaviour, Feedback, Maturity, Profile, Transaction
from triggers.engine.customer import CustomerStage
from triggers.engine.signals import set_profile
from triggers.engine.state import PROFILE_FIELDS, Account, CustomerState
from triggers.language.model import Case, CaseEvent, Expected, RuleSet, Trigger

_CUSTOMER: Final = "case-customer"
_TENANT: Final = "case"
_ACCOUNT: Final = "main"
_HORIZON_MS: Final = 3 * 366 * 86_400_000
_CHANNELS: Final = ("push", "sms", "wechat", "email", "manager", "agent", "branch")
_MODELS: Final[dict[str, type[Record]]] = {
    "transaction": Transaction,
    "maturity": Maturity,
    "profile": Profile,
    "behaviour": Behaviour,
    "feedback": Feedback,
}


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What became of one case. ``report`` is empty for a case that passed, else what was expected and what came."""

    trigger: str
    case: str
    file: str
    line: int
    report: str

    @property
    def passed(self) -> bool:
        """Whether every expected action came, and nothing else."""
        return not self.report


def run_case(ruleset: RuleSet, trigger: Trigger, case: Case) -> CaseResult:
    """Runs one case of a trigger, alone, under the rule set's policy."""
    alone = replace(ruleset, triggers=(replace(trigger, status="live"),))
    run = _Run(alone, case)
    try:
        outputs = run.outputs()
    except _BadCaseEvent as error:
        return CaseResult(trigger.id, case.name, trigger.file, error.line, f"line {error.line}: {error}")
    return CaseResult(trigger.id, case.name, trigger.file, case.line, _compare(ruleset, case, outputs))


class _BadCaseEvent(Exception):
    """An event of the case is not a valid record, once the defaults are filled in."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


class _Run:
    """One case under way: the customer's state and what the defaults of the next event need."""

    def __init__(self, ruleset: RuleSet, case: Case) -> None:
        self._ruleset = ruleset
        self._case = case
        self._stage = CustomerStage(_TENANT)
        self._state = self._customer(case.customer)
        self._outputs: list[Record] = []
        self._count = 0
        self._transactions: dict[str, Transaction] = {}
        self._holdings: dict[str, dict[str, Any]] = {}
        self._profile = {name: getattr(self._state, name) for name in PROFILE_FIELDS}

    def outputs(self) -> list[Record]:
        events = sorted(self._case.events, key=lambda event: event.at_ms)
        start = events[0].at_ms if events else 0
        for fields in self._case.customer.get("holdings", ()):
            self._feed(CaseEvent(start, "maturity", fields, self._case.line))
        for event in events:
            self._feed(event)
        end = self._case.until_ms or (events[-1].at_ms if events else start) + _HORIZON_MS
        outcome = self._stage.run_timers(self._state, self._ruleset, end, None)
        if outcome is not None:
            self._outputs.extend(outcome.outputs)
        return self._outputs

    def _customer(self, given: Mapping[str, Any]) -> CustomerState:
        state = CustomerState(_CUSTOMER)
        # Consent is given unless the case says otherwise: most cases are about something else.
        values = dict.fromkeys(PROFILE_FIELDS) | {
            "consents": dict.fromkeys(_CHANNELS, True),
            "segments": (),
        }
        set_profile(state, 0, values | {name: given[name] for name in PROFILE_FIELDS if name in given})
        currency = self._ruleset.policy.currency
        if "balance" in given:
            state.account_map[_ACCOUNT] = Account(_ACCOUNT, currency, Decimal(given["balance"]), 0)
        state.settle(currency)
        return state

    def _feed(self, event: CaseEvent) -> None:
        self._count += 1
        filled = {
            "tenant": _TENANT,
            "event_id": f"e{self._count}",
            "customer_id": _CUSTOMER,
            "occurred_at": from_ms(event.at_ms).astimezone(self._ruleset.policy.timezone),
            **getattr(self, f"_{event.record_type}_defaults")(event),
            **event.fields,
        }
        try:
            record = _MODELS[event.record_type].model_validate(filled)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            path = ".".join(str(part) for part in first["loc"])
            raise _BadCaseEvent(event.line, f"{event.record_type}.{path}: {first['msg']}") from None
        if isinstance(record, Transaction):
            self._transactions[record.event_id] = record
        if isinstance(record, Maturity):
            self._holdings[record.holding_id] = filled
        outcome = self._stage.process(record, self._state, self._ruleset, None)
        if outcome is not None:
            if outcome.rejected is not None:
                raise _BadCaseEvent(event.line, f"{outcome.rejected.field}: {outcome.rejected.problem}")
            self._outputs.extend(outcome.outputs)

    def _transaction_defaults(self, event: CaseEvent) -> dict[str, Any]:
        given = event.fields
        original = self._transactions.get(str(given.get("reversal_of")))
        name = given.get("account_id", original.account_id if original else _ACCOUNT)
        account = self._state.account_map.get(name)
        amount = given.get("amount", original.amount if original else Decimal(0))
        opposite = {"credit": "debit", "debit": "credit"}
        direction = given.get("direction", opposite[original.direction] if original else "debit")
        before = account.balance if account else Decimal(0)
        filled: dict[str, Any] = {
            "account_id": name,
            "sequence": account.sequence + 1 if account else 1,
            "direction": direction,
            "amount": amount,
            "currency": account.currency if account else self._ruleset.policy.currency,
        }
        if isinstance(amount, Decimal | int):
            filled["balance_after"] = before + amount if direction == "credit" else before - amount
        return filled

    def _maturity_defaults(self, event: CaseEvent) -> dict[str, Any]:
        name = event.fields.get("holding_id", "h1")
        today = from_ms(event.at_ms).astimezone(self._ruleset.policy.timezone).date()
        known = self._holdings.get(name)
        if known is not None:
            kept = {key: value for key, value in known.items() if key not in ("event_id", "occurred_at", "status")}
            return {**kept, "sequence": known["sequence"] + 1, "status": "corrected"}
        matures = event.fields.get("matures_on", today)
        purchased = event.fields.get("purchased_on", today)
        try:
            days = (_day(matures) - _day(purchased)).days
        except (TypeError, ValueError):
            days = 0
        return {
            "holding_id": name,
            "sequence": 1,
            "status": "purchased",
            "product_id": "p1",
            "product_kind": "deposit",
            "amount": Decimal(10_000),
            "currency": self._ruleset.policy.currency,
            "term_days": max(days, 0),
            "purchased_on": today,
            "matures_on": matures,
        }

    def _profile_defaults(self, event: CaseEvent) -> dict[str, Any]:
        self._profile.update(event.fields)
        return {
            **self._profile,
            "sequence": self._state.profile_sequence + 1,
        }

    def _behaviour_defaults(self, _event: CaseEvent) -> dict[str, Any]:
        return {"source": "app"}

    def _feedback_defaults(self, _event: CaseEvent) -> dict[str, Any]:
        sent = [output for output in self._outputs if isinstance(output, NextBestAction)]
        return {"action_id": sent[-1].action_id, "channel": sent[-1].channel} if sent else {"action_id": "none"}


def _day(value: Any) -> Any:
    return datetime.fromisoformat(value).date() if isinstance(value, str) else value


def _compare(ruleset: RuleSet, case: Case, outputs: list[Record]) -> str:
    actual = [output for output in outputs if isinstance(output, NextBestAction | Cancellation)]
    matches = len(actual) == len(case.expect) and all(map(_fits, case.expect, actual))
    if matches:
        return ""
    zone = ruleset.policy.timezone
    lines = ["expected:"]
    for expected in case.expect:
        what = "cancelled " if expected.cancelled else ""
        wanted = " ".join(f"{name}={value}" for name, value in expected.fields.items())
        lines.append(f"  {_moment(from_ms(expected.at_ms), zone)} {what}{wanted} (line {expected.line})")
    lines.extend([] if case.expect else ["  nothing"])
    lines.append("came:")
    lines.extend(f"  {line}" for line in filter(None, (_line(output, zone) for output in outputs)))
    lines.extend([] if outputs else ["  nothing"])
    return "\n".join(lines)


def _line(output: Record, zone: ZoneInfo) -> str:
    if isinstance(output, Cancellation):
        return f"{_moment(output.created_at, zone)} cancelled channel={output.channel} reason={output.reason}"
    if isinstance(output, NextBestAction):
        what = f"offer={output.offer} channel={output.channel} step={output.step} value={output.value}"
        return f"{_moment(output.created_at, zone)} {what}"
    if isinstance(output, Decision) and output.outcome == "suppressed":
        detail = " ".join(f"{name}={value}" for name, value in output.detail.items())
        return f"{_moment(output.decided_at, zone)} held back: {output.reason} {detail}".rstrip()
    return ""


def _moment(moment: datetime, zone: ZoneInfo) -> str:
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S}"


def _fits(expected: Expected, output: NextBestAction | Cancellation) -> bool:
    if expected.cancelled != isinstance(output, Cancellation):
        return False
    if from_ms(expected.at_ms) != output.created_at:
        return False
    for name, wanted in expected.fields.items():
        if name == "message" and isinstance(output, NextBestAction):
            if any(output.fields.get(key) != str(text) for key, text in wanted.items()):
                return False
        elif getattr(output, name, None) != wanted:
            return False
    return True
