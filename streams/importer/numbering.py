"""Numbers the rows of each account: 1, 2, 3 … in the order the mapping says, balances settling what it leaves open."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import groupby

from streams.importer.binding import BoundOutput
from streams.importer.chain import Step, gaps, order_by_balance
from streams.importer.mapping import Chain
from streams.importer.records import Draft
from streams.importer.report import ChainReport, OutputReport, RowError


def number_rows(
    drafts: Iterable[Draft],
    outputs: Sequence[BoundOutput],
    reports: Sequence[OutputReport],
    note: Callable[[RowError], None],
) -> Iterator[Draft]:
    """Gives each draft its number and, where the mapping spreads them, its time.

    ``drafts`` come sorted by output, ``per``, ``order`` and ``ordinal``. An output without a sequence keeps the order
    it was read in. Of one account two groups of rows equal in ``order`` are held at a time.
    """
    for (index, _), account in groupby(drafts, key=lambda draft: (draft.output, draft.per)):
        sequencing = outputs[index].output.sequence
        if sequencing is None:
            for draft in account:
                draft.number = draft.ordinal
                yield draft
            continue
        number = 0
        for placed in _in_order(account, sequencing.chain, reports[index].chain, sequencing.spread_seconds):
            if isinstance(placed, RowError):
                reports[index].rejected += 1
                note(placed)
                continue
            number += 1
            placed.number = number
            yield placed


def _in_order(
    account: Iterable[Draft], chain: Chain | None, report: ChainReport | None, spread: int
) -> Iterator[Draft | RowError]:
    in_file = ordered = chain.opening if chain else None
    groups = (list(group) for _, group in groupby(account, key=lambda draft: draft.order))
    group = next(groups, None)
    while group is not None:
        following = next(groups, None)
        if chain is not None and report is not None:
            given = _steps(group)
            _count_in_file(report, chain, in_file, given)
            in_file = given[-1].balance
            order = order_by_balance(ordered, given, chain.tolerance, _steps(following or ()))
            group = [group[index] for index in order]
            report.reordered += sum(place != index for place, index in enumerate(order))
            steps = _steps(group)
            _count_ordered(report, chain, ordered, steps)
            ordered = steps[-1].balance
        for place, draft in enumerate(group):
            yield _moved(draft, timedelta(seconds=place * spread)) if spread and place else draft
        group = following


def _steps(drafts: Iterable[Draft]) -> list[Step]:
    steps = []
    for draft in drafts:
        assert draft.amount is not None
        assert draft.balance is not None
        steps.append(Step(draft.amount, draft.balance))
    return steps


def _count_in_file(report: ChainReport, chain: Chain, balance: Decimal | None, steps: Sequence[Step]) -> None:
    for gap in gaps(balance, steps):
        report.exact_in_file += gap == 0
        report.within_in_file += gap <= chain.tolerance


def _count_ordered(report: ChainReport, chain: Chain, balance: Decimal | None, steps: Sequence[Step]) -> None:
    for gap in gaps(balance, steps):
        report.steps += 1
        report.exact_ordered += gap == 0
        report.within_ordered += gap <= chain.tolerance
        report.largest_gap = max(report.largest_gap, gap)


def _moved(draft: Draft, by: timedelta) -> Draft | RowError:
    moment = draft.record["occurred_at"]
    if not isinstance(moment, datetime):
        message = "spread_seconds moves a time; give occurred_at as: datetime, or a date with at"
        return draft.error("R014", message, field="occurred_at")
    # By way of UTC: a day on which the clock is changed has no hour twice and skips none.
    later = (moment.astimezone(UTC) + by).astimezone(moment.tzinfo)
    if later.date() != moment.date():
        message = "too many rows of one day: spread_seconds would carry this one into the next; choose fewer seconds"
        return draft.error("R032", message, field="occurred_at")
    draft.record["occurred_at"] = later
    return draft
