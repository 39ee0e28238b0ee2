"""What a transaction does to a customer's state.

The balance of an account is that of its highest sequence, whenever that record arrives. A reversal takes back what its
original did and withdraws what it caused. A leg of a transfer between own accounts is no flow, and its money is never
missing in between. A repeated event changes nothing.
"""

from __future__ import annotations

from decimal import Decimal

from schemas.dead_letter import Reason
from schemas.decode import Rejected
from schemas.events import Transaction
from triggers.engine.evaluation import Evaluation
from triggers.engine.firing import Cause
from triggers.engine.seen import event_key, seen_of, too_late
from triggers.engine.state import Account, CustomerState
from triggers.engine.timers import note_activity, schedule_silence
from triggers.engine.waits import note_waits, reverse_waits
from triggers.engine.withdrawal import end_by_event, take_back
from triggers.language.model import Policy


def apply_transaction(run: Evaluation, record: Transaction, at: int) -> Rejected | None:
    """Applies one transaction at its event time (ms); a rejection where it may not take effect."""
    state, plan = run.state, run.plan
    policy = plan.policy
    seen = state.seen.get("transaction")
    if seen is None:
        seen = seen_of(state.seen, "transaction")
    key = event_key(record.event_id)
    if key in seen:
        return None
    account = state.account_map.get(record.account_id)
    # A sequence above the account's highest cannot be a repeat, however old the record is.
    newer = account is None or record.sequence > account.sequence
    if not newer and at < seen.newest - policy.lateness_ms:
        return too_late()
    if account is not None and account.currency != record.currency:
        return Rejected(Reason.CONTRADICTION, "currency", "the account is kept in another currency")
    seen.add(key, at, policy.lateness_ms)

    amount = record.amount if record.direction == "credit" else -record.amount
    opened = account is None
    if account is None:
        account = _open(state, record, amount, policy.currency)
    run.begin(at, record)
    run.scope.account = account
    cause = Cause(f"transaction:{record.event_id}", key, "", at)
    run.settle_before(cause.occasion, account, opened=opened)

    undone = bool(state.undone) and state.undone.pop(key, None) is not None
    if state.transit or record.transfer_id is not None:
        _net_transfer(state, record, amount, at, policy)
    in_force = account.balance
    step = record.balance_after - in_force
    if newer:
        account.balance, account.sequence = record.balance_after, record.sequence
        if account.currency == state.currency:
            # As ``_shift``, without its call.
            state.balance += step  # type: ignore[operator]  # known, since the account is
            state.aum += step  # type: ignore[operator]
        if plan.levels:
            run.sample_levels(key)
    elif plan.levels and not undone:
        # Booked before what is known: its balance stood for a while in the past, and stands no more.
        account.balance = record.balance_after
        _shift(state, account, step, policy.currency)
        run.sample_late_levels(key)
        account.balance = in_force
        _shift(state, account, -step, policy.currency)

    reversed_key = 0
    if record.reversal_of is not None:
        reversed_key = event_key(record.reversal_of)
        _reverse(run, record, reversed_key)
    if record.reversal_of is not None or undone:
        # What is taken back, and what it had changed, wakes nothing: the customer did nothing.
        if plan.derives:
            run.derive("transaction", cause, reversed_key)
        return None
    run.sample_flows("transaction", key)
    note_activity(state, plan, "transaction", record.kind, at, key)
    if plan.waits_on:
        note_waits(run, "transaction", record.kind, key, record.event_id)
    if plan.until:
        end_by_event(run, "transaction", record.kind, record.event_id)
    run.follow(plan.woken("transaction", record.kind), "transaction", cause)
    return None


def open_account(run: Evaluation, record: Transaction, at: int) -> Account | None:
    """The first known transaction of an account, before it takes effect: the account becomes known, and what holds
    before the event is noted. ``None``, and nothing has changed, where it is a repeat, comes late or concerns another
    event.

    ``apply_transaction`` comes to the same, whether it finds this done or not.
    """
    state = run.state
    if state.transit or state.undone or record.transfer_id is not None or record.reversal_of is not None:
        return None
    seen = seen_of(state.seen, "transaction")
    if at < seen.newest or event_key(record.event_id) in seen:
        return None
    amount = record.amount if record.direction == "credit" else -record.amount
    account = _open(state, record, amount, run.plan.policy.currency)
    run.begin(at, record)
    run.scope.account = account
    run.settle_before(f"transaction:{record.event_id}", account, opened=True)
    return account


def _open(state: CustomerState, record: Transaction, amount: Decimal, currency: str) -> Account:
    """Adds an account with its balance before its first known record.

    Without that balance, becoming known would look like an inflow of everything the account holds.
    """
    account = Account(record.account_id, record.currency, record.balance_after - amount, record.sequence - 1)
    state.account_map[account.id] = account
    state.settle(currency)
    return account


def _shift(state: CustomerState, account: Account, step: Decimal, currency: str) -> None:
    """Moves the customer's totals by a step of one account's balance."""
    if account.currency == currency:
        assert state.balance is not None
        assert state.aum is not None
        state.balance += step
        state.aum += step


def _net_transfer(state: CustomerState, record: Transaction, amount: Decimal, at: int, policy: Policy) -> None:
    """Counts a leg of a transfer between own accounts as not away, until its other leg comes or the horizon passes.

    A leg in another currency than the bank's is not in the customer's total: it only closes the transfer.
    """
    floor = at - policy.lateness_ms
    transit = {key: leg for key, leg in state.transit.items() if leg[1] >= floor}
    if record.own_account and record.transfer_id is not None:
        name = event_key(record.transfer_id)
        if name in transit:
            del transit[name]
        else:
            transit[name] = (int(-amount.scaleb(4)) if record.currency == policy.currency else 0, at)
    if transit != state.transit:
        state.transit = transit
        state.settle(policy.currency)


def _reverse(run: Evaluation, record: Transaction, original: int) -> None:
    """Takes back what the original did to windows, silence and triggers, and withdraws what it caused."""
    state, plan = run.state, run.plan
    for series in state.series.values():
        series.remove(original)
    for name, heard in state.activity.items():
        if heard.remove(original):
            kind, _, detail = name.partition(".")
            schedule_silence(state, plan, kind, detail or None)
    for memory in state.memory.values():
        if memory.fired_key == original:
            memory.take_back()
    reverse_waits(run, original)
    take_back(run, lambda journey: journey.event_key == original, "reversed", record.event_id)
    seen = state.seen["transaction"]
    if original not in seen:
        # The reversal came first: its original must leave no trace when it comes.
        floor = seen.newest - plan.policy.lateness_ms
        state.undone = {key: when for key, when in state.undone.items() if when >= floor}
        state.undone[original] = run.at
