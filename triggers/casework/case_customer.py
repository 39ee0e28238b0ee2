"""The customer of a case before its first event: profile, accounts, holdings and earlier contacts."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Final

from schemas.base import to_ms
from triggers.casework.case_records import ACCOUNT, CUSTOMER, RecordFiller
from triggers.engine.contact_log import note_contact
from triggers.engine.feedback import note_outcome
from triggers.engine.holdings import holding_of
from triggers.engine.plan import Plan
from triggers.engine.signals import set_profile
from triggers.engine.state import PROFILE_FIELDS, Account, Contact, CustomerState, Journey, Memory, Sent
from triggers.engine.timers import exhaustion_timer
from triggers.language.grammar import CHANNELS
from triggers.language.model import Case, CaseEvent, Expression, Policy, RuleSet, Trigger

_ANOTHER_TRIGGER: Final = "another_trigger"
_ANOTHER_OFFER: Final = "another_offer"
_ALWAYS: Final = Expression("true", lambda _scope: True, frozenset())


def start_of(case: Case, policy: Policy) -> int:
    """When a case begins (ms): where it says so, at its first event, or when the last of its holdings was bought."""
    if case.from_ms is not None:
        return case.from_ms
    times = [event.at_ms for event in case.events]
    if times:
        return min(times)
    bought = [holding["purchased_on"] for holding in case.customer.get("holdings", ()) if "purchased_on" in holding]
    if not bought:
        return 0
    return to_ms(datetime.combine(max(bought), datetime.min.time(), tzinfo=policy.timezone))


def with_given_tags(ruleset: RuleSet, case: Case) -> RuleSet:
    """The rule set in which the tags that the case gives hold throughout; those that hold on, for their time."""
    given = case.customer.get("tags", ())
    if not given:
        return ruleset
    tags = tuple(
        replace(tag, when=_ALWAYS, touched_by=frozenset()) if tag.name in given and not tag.holds_ms else tag
        for tag in ruleset.tags
    )
    return replace(ruleset, tags=tags)


def customer_of(case: Case, trigger: Trigger | None, plan: Plan) -> tuple[CustomerState, RecordFiller]:
    """The customer as the case describes it, and what fills in the events that follow. Raises ``BadCaseEvent``."""
    given, policy = case.customer, plan.policy
    state = CustomerState(key=CUSTOMER)
    # Consent is given unless the case says otherwise: most cases are about something else.
    unsaid = dict.fromkeys(PROFILE_FIELDS) | {"consents": dict.fromkeys(CHANNELS, True), "segments": ()}
    set_profile(state, 0, unsaid | {name: given[name] for name in PROFILE_FIELDS if name in given})
    accounts = given.get("accounts", ())
    if "balance" in given:
        accounts = ({"id": ACCOUNT, "balance": given["balance"]},)
    for account in accounts:
        currency = account.get("currency", policy.currency)
        state.account_map[account["id"]] = Account(account["id"], currency, Decimal(account["balance"]), 0)
    state.clock = start = start_of(case, policy)
    filler = RecordFiller(state, policy)
    for fields in given.get("holdings", ()):
        record = filler.record(CaseEvent(start, "maturity", fields, case.line), ())
        state.holding_map[record.holding_id] = holding_of(record, None)
    state.settle(policy.currency)
    state.tags = {name: _stays(plan, name, start) for name in given.get("tags", ())}
    _remember_contacts(state, case, trigger, plan)
    return state, filler


def _stays(plan: Plan, name: str, start: int) -> int:
    """Until when a tag that the case gives stays: as if it had been true until the first event."""
    holds = next((tag.holds_ms for tag in plan.ruleset.tags if tag.name == name), 0)
    return start + holds if holds else 0


def _remember_contacts(state: CustomerState, case: Case, trigger: Trigger | None, plan: Plan) -> None:
    """As if each contact had gone out: it counts for caps, and its trigger remembers that it fired."""
    for number, contact in enumerate(sorted(case.contacts, key=lambda contact: contact.at_ms), start=1):
        by = contact.trigger or _ANOTHER_TRIGGER
        sent = Sent(f"contact-{number}", contact.channel, 0, contact.at_ms, contact.at_ms + contact.expires_ms)
        journey = Journey(
            trigger=by,
            occasion=f"contact:{number}",
            event_key=0,
            holding_id="",
            at=contact.at_ms,
            category=contact.category,
            offer=contact.offer or _ANOTHER_OFFER,
            complexity="simple",
            value=None,
            fields={},
            sent=[sent],
        )
        state.journeys.append(journey)
        note_contact(state, plan, Contact(contact.at_ms, by, contact.category, contact.channel))
        if contact.expires_ms:
            state.timers[exhaustion_timer(by, f"contact:{number}")] = contact.at_ms + contact.expires_ms
        if contact.outcome:
            note_outcome(state, plan.policy, journey, sent, contact.outcome, contact.at_ms)
        if trigger is not None and contact.trigger == trigger.id:
            state.memory[trigger.id] = Memory(fired_ms=contact.at_ms, armed=trigger.rearm is None)
