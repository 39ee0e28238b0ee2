"""What the reasons of decisions mean, in a few words for the reader of a report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from triggers.engine import offers, window
from triggers.policy import (
    arbitration,
    attempts,
    caps,
    channels,
    consent,
    cooldown,
    exclusion,
    holdout,
    list_confirmation,
    owning_desk,
    quiet_hours,
    routing,
    suitability,
)

MEANINGS: Final[Mapping[str, str]] = {
    exclusion.REASON: "the customer is blacklisted or works for the bank",
    list_confirmation.REASON: "the branch has not confirmed the exclusion lists that the customer was held against",
    consent.REASON: "the channel was declined, or needs a consent that is not on record",
    suitability.REASON: "the channel does not suit the customer, by the policy's clauses",
    routing.REASON: "the policy's routes do not let this channel carry such an offer",
    owning_desk.REASON: "no desk looks after customers of this tier",
    quiet_hours.REASON: "it came in the quiet hours, or on a quiet day, of its channel",
    caps.REASON: "the customer has had as many contacts as a cap allows",
    cooldown.REASON: "too soon after the contact before",
    attempts.REASON: "the category pauses after contacts without a sale",
    holdout.REASON: "the customer is left alone to measure the lift of the others",
    arbitration.REASON: "another candidate ranked higher",
    window.FULL: "so many candidates waited in the window that it was the last in rank",
    window.NO_LONGER: "when its time came a clause of its condition was not true any more",
    window.RETIRED: "its trigger, or that step of it, is not live in the rule set any more",
    channels.REASON: "none of the step's channels was allowed; each has its own reason",
    offers.REASON: "no offer of the catalogue fits the customer on that day",
    "once_per": "it fired for this customer less than its once_per before",
    "not_rearmed": "it has fired, and its rearm has not been true since",
    "answered": "the customer had answered an earlier step",
    "unless": "the step's unless was true",
    "expired": "it ran out before it could go out",
    "broken": "an expression failed: a bug to report",
    "reversed": "the transaction behind it was reversed",
    "answered_late": "what it missed had come in time, but was received late",
    "redeemed": "the product was redeemed",
    "rolled_over": "the product was rolled over",
    "bought": "the customer bought what was offered, or came to what the ladder is for",
    "refused": "the customer refused what was offered",
    "ended": "an event came that the action names under until",
    "opted_out": "the customer withdrew the consent for the channel",
    "excluded": "the customer is blacklisted or works for the bank",
    "corrected": "the day on which the product matures was corrected",
    # What desks do with a customer.
    "assigned": "the customer has a manager now",
    "recalled": "nobody spoke with the customer for too long: another manager has them now",
    "no_capacity": "no manager of the owning desk has room for another customer",
    "unknown_manager": "the branch knows no such manager: another branch's, or a mistake in the profile",
    "handover_approval": "the customer belongs to a higher desk now: the handover was put to a person for approval",
    "approved": "a person approved the handover: the customer has the new manager now",
    "rejected": "a person rejected the handover",
    "no_answer": "nobody answered the request for the handover in time",
    "unknown_handover": "the answer is about a handover that is not under way",
    "no_place": "the bank itself has filled the place that was kept with the new manager",
    "no_longer_promoted": "the customer does not belong to the higher desk any more",
    "manager_left": "the manager who was to take over has left",
    "overtaken": "the bank itself has moved the customer",
    "no_desks": "the rule set has no desks any more",
    "called": "the new manager has spoken with the customer: the handover is done",
    "call_missed": "the new manager did not call in time",
    "handover_escalation": "the branch was asked to see to the call",
}
"""By reason: of the gate, the engine and the desks, for what is done, held back, waits or is withdrawn."""
