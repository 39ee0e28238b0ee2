"""F13: an opt-out between decision and dispatch."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from schemas.actions import Cancellation, NextBestAction
from schemas.base import to_ms
from tests.support.faults import fault_system, settle
from tests.support.system import Event, System, event, payment
from tests.support.worker_process import wait_until

with warnings.catch_warnings():
    # kafka-python reads its own data by a call that Python 3.11 deprecates.
    warnings.simplefilter("ignore", DeprecationWarning)
    from streams.kits.notifier import Notifier, NotifierConfig

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:kafka.*")

NOW_MS = to_ms(datetime(2026, 3, 2, 2, 5, tzinfo=UTC))
CUSTOMERS = ("stays", "opts-out", "blacklisted")


class Desk:
    """A channel on which an action waits before it goes out, in a list that outlasts the notifier."""

    def __init__(self) -> None:
        self.waiting: list[NextBestAction] = []
        self.withdrawn: list[str] = []

    def deliver(self, action: NextBestAction) -> None:
        self.waiting.append(action)

    def withdraw(self, cancellation: Cancellation) -> None:
        self.withdrawn.append(cancellation.customer_id)


@pytest.mark.parametrize(
    "restarted",
    [
        pytest.param(False, id="same-notifier", marks=pytest.mark.thorough),
        pytest.param(True, id="restarted-without-ledger"),
    ],
)
def test_an_action_that_waits_is_not_sent_after_the_customer_has_opted_out(
    kafka: str, redis_url: str, tmp_path: Path, *, restarted: bool
) -> None:
    """Decided and taken by the notifier, then the customer closes the channel, or is put on the blacklist: the action

    may not be sent any more, and the reason is on record. A notifier that has forgotten everything meanwhile sends
    nothing that it was not told of since.
    """
    desk, sent = Desk(), list[str]()
    with fault_system(kafka, redis_url, tmp_path, name="f13", partitions=2) as system:
        system.start_worker().wait_for_partitions(system.partitions)
        system.publish([payment(customer, 1, "2026-03-02T10:01:00+08:00") for customer in CUSTOMERS])
        notifier = _notifier(system, desk)
        wait_until(lambda: notifier.poll(200) >= 0 and len(desk.waiting) == len(CUSTOMERS), "all wait for dispatch")
        if restarted:
            notifier.close()
            notifier = _notifier(system, desk)
        system.publish([_profile("opts-out", consents={"push": False}), _profile("blacklisted", blacklisted=True)])
        # The notifier has the withdrawals, or at least all that the worker has sent.
        verdict = settle(system, order_free=False)
        assert verdict.cancellations == 2
        told = "withdrawn_unseen" if restarted else "withdrawn"
        wait_until(lambda: notifier.poll(200) >= 0 and notifier.inbox.counts[told] == 2, "both are withdrawn")
        sent += [action.customer_id for action in desk.waiting if notifier.inbox.may_send(action, NOW_MS)]
        assert sent == ([] if restarted else ["stays"])
        # Whatever happens later does not reach them either.
        system.publish([payment(customer, 2, "2026-03-02T10:02:00+08:00") for customer in CUSTOMERS])
        settle(system, order_free=False)
        wait_until(lambda: notifier.poll(200) >= 0 and len(desk.waiting) == 4, "the other one's is there")
        assert [action.customer_id for action in desk.waiting[3:]] == ["stays"]
        assert desk.withdrawn == [] if restarted else set(desk.withdrawn) == {"opts-out", "blacklisted"}
        notifier.close()
        reasons = {(one["customer_id"], one["outcome"], one["reason"]) for one in system.decisions()}
        assert {
            ("opts-out", "cancelled", "opted_out"),
            ("opts-out", "suppressed", "no_consent"),
            ("blacklisted", "cancelled", "excluded"),
            ("blacklisted", "suppressed", "excluded"),
        } <= reasons
        system.stop_workers()


def _notifier(system: System, desk: Desk) -> Notifier:
    config = NotifierConfig(
        (system.kafka,), channels=("push",), group=f"{system.name}-notifier", topic_prefix=system.settings.topic_prefix
    )
    return Notifier(config, desk, now_ms=lambda _record: NOW_MS)


def _profile(customer: str, **fields: Any) -> Event:
    return event(
        "bank.profiles",
        customer,
        tenant="bank",
        event_id=f"{customer}-profile",
        occurred_at="2026-03-02T10:01:30+08:00",
        customer_id=customer,
        sequence=1,
        **fields,
    )
