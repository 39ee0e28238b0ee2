"""The records that a pool sends: steps, decisions, requests to people, reports. Equal causes give equal bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from schemas.actions import NextBestAction
from schemas.base import from_ms
from schemas.decisions import Decision
from schemas.desk import DeskReport, DeskStep
from triggers.engine.ids import make_id

REQUEST: Final = "desk:"
"""So begins the id of a request to the bank's own people, which is no contact with the customer."""


def request_id(tenant: str, customer: str, *about: str) -> str:
    """The id of a request about a customer. It ends in a mark by which the customer's stage, which is told of no
    request, knows an id that a desk gave from any other.
    """
    found = make_id(tenant, customer, *about)
    return f"{REQUEST}{found}.{_mark(tenant, customer, found)}"


def is_request_id(tenant: str, customer: str, action_id: str) -> bool:
    """Whether a desk gave this id to a request about this customer."""
    found, _, mark = action_id.removeprefix(REQUEST).partition(".")
    return action_id.startswith(REQUEST) and mark == _mark(tenant, customer, found)


def _mark(tenant: str, customer: str, found: str) -> str:
    return make_id("desk-request", tenant, customer, found)[:16]


def step_record(
    tenant: str, pool: str, customer: str, number: int, step: str, desk: str, manager: str, former: str | None, at: int
) -> DeskStep:
    """What the desk did with a customer."""
    return DeskStep.model_validate(
        {
            "tenant": tenant,
            "event_id": make_id(tenant, "desk", pool, customer, str(number)),
            "occurred_at": from_ms(at),
            "customer_id": customer,
            "pool": pool,
            "number": number,
            "step": step,
            "desk": desk,
            "manager_id": manager,
            "former_manager_id": former,
        }
    )


def decision_record(
    tenant: str,
    ruleset: str,
    customer: str,
    about: str,
    occasion: str,
    outcome: str,
    reason: str,
    at: int,
    detail: Mapping[str, str],
    action_id: str | None = None,
) -> Decision:
    """Why something was done with a customer, or not. ``about`` stands in the place of a trigger."""
    return Decision.model_validate(
        {
            "tenant": tenant,
            "decision_id": make_id(tenant, customer, about, occasion, outcome, reason, str(at)),
            "customer_id": customer,
            "trigger": about,
            "trigger_version": 0,
            "ruleset": ruleset,
            "occasion": occasion,
            "step": 0,
            "outcome": outcome,
            "reason": reason,
            "action_id": action_id,
            "detail": detail,
            "decided_at": from_ms(at),
        }
    )


TITLES: Final = {
    "handover_approval": (
        {"en": "A handover waits for approval", "zh": "客户移交待审批"},
        {"en": "Approve or reject the handover", "zh": "审批客户移交"},
    ),
    "handover_escalation": (
        {"en": "The new manager has not called", "zh": "新客户经理逾期未致电"},
        {"en": "A call from the branch", "zh": "网点代为致电"},
    ),
}
"""What the desks read of a request: why it comes, and what is to be done."""


def request_record(
    tenant: str,
    ruleset: str,
    customer: str,
    action_id: str,
    channel: str,
    offer: str,
    occasion: str,
    at: int,
    expires: int,
    desk: str,
    manager: str,
    fields: Mapping[str, str],
) -> NextBestAction:
    """What a person of the bank must do. The customer is not contacted by it, so that it does not pass the gate."""
    return NextBestAction.model_validate(
        {
            "tenant": tenant,
            "action_id": action_id,
            "customer_id": customer,
            "trigger": "desk_handover",
            "trigger_version": 0,
            "ruleset": ruleset,
            "occasion": occasion,
            "step": 0,
            "channel": channel,
            "offer": offer,
            "title": TITLES[offer][0],
            "offer_title": TITLES[offer][1],
            "category": "desk",
            "complexity": "medium",
            "priority": 80,
            "fields": fields,
            "created_at": from_ms(at),
            "expires_at": from_ms(expires),
            "desk": desk,
            "manager_id": manager,
        }
    )


def report_record(
    tenant: str,
    ruleset: str,
    kind: str,
    pool: str,
    desk: str,
    manager: str,
    customers: int,
    capacity: int,
    neglected: int,
    recalled: int,
    occasion: str,
    at: int,
) -> DeskReport:
    """What the bank should know of a manager."""
    return DeskReport.model_validate(
        {
            "tenant": tenant,
            "report_id": make_id(tenant, pool, kind, manager, occasion, str(at)),
            "ruleset": ruleset,
            "kind": kind,
            "pool": pool,
            "desk": desk,
            "manager_id": manager,
            "customers": customers,
            "capacity": capacity,
            "neglected": neglected,
            "recalled": recalled,
            "reported_at": from_ms(at),
        }
    )
