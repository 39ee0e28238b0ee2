"""One row to one draft of a record, and a numbered draft to the line that is written."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import blake2b
from typing import Any

from pydantic import ValidationError

from schemas.base import SCHEMA_VERSION, Event
from schemas.decode import record_key
from streams.importer.binding import BoundOutput
from streams.importer.report import RowError
from streams.importer.steps import BadValue, as_text
from streams.importer.table import Row
from streams.importer.transform import Read, View


@dataclass(slots=True)
class Draft:
    """A row that became a record but for its number. ``ordinal`` counts the rows as they were read.

    ``per`` and ``order`` are what it is numbered by; ``amount`` (signed) and ``balance`` serve the chain.
    """

    output: int
    per: str
    order: tuple[Any, ...]
    ordinal: int
    file: str
    line: int
    record: dict[str, Any]
    amount: Decimal | None = None
    balance: Decimal | None = None
    number: int = 0

    def error(self, code: str, message: str, *, column: str = "", field: str = "") -> RowError:
        """A mistake in this draft's row."""
        return RowError(self.file, self.line, column, field, code, message)


@dataclass(frozen=True, slots=True)
class Message:
    """What is written for one row: its event time in UTC, and topic, key and value of the message."""

    time: datetime
    topic: str
    key: str
    value: str


class RowReader:
    """Reads the rows of one output and remembers their event ids: about 150 bytes of memory for each."""

    def __init__(self, index: int, bound: BoundOutput, tenant: str) -> None:
        self.bound = bound
        self.index = index
        self._tenant = tenant
        self._seen: dict[bytes, tuple[str, int, int]] = {}
        self._order_types: dict[int, type] = {}

    def read(self, row: Row, ordinal: int) -> Draft | list[RowError] | None:
        """The draft of a row, everything that is wrong with it, or ``None`` where the ``where`` leaves it out."""
        view = View(row.fields)
        errors: list[RowError] = []
        try:
            for join in self.bound.joins:
                view.joined[join.join.name] = join.find(view)
            if not self.bound.where(view):
                return None
        except BadValue as bad:
            return [RowError(row.file, row.line, bad.column, "", bad.code, bad.message)]

        def attempt(field: str, read: Read) -> Any:
            try:
                return read(view)
            except BadValue as bad:
                error = RowError(row.file, row.line, bad.column, field, bad.code, bad.message)
                # A value that several fields share is one mistake.
                if not any((e.column, e.code, e.message) == (error.column, error.code, error.message) for e in errors):
                    errors.append(error)
                return None

        record = {
            field: value for field, read in self.bound.record.items() if (value := attempt(field, read)) is not None
        }
        draft = Draft(self.index, "", (), ordinal, row.file, row.line, record)
        if self.bound.sequencing is not None:
            self._place(draft, attempt, errors)
        if not errors:
            errors = self._check(draft)
        return errors or draft

    def _place(self, draft: Draft, attempt: Any, errors: list[RowError]) -> None:
        assert self.bound.sequencing is not None
        bound = self.bound.sequencing
        parts = {"per": bound.per, "balance": bound.balance, "amount": bound.amount}
        parts |= {f"order[{index}]": read for index, read in enumerate(bound.order)}
        found = {name: attempt(f"sequence.{name}", read) for name, read in parts.items() if read is not None}
        if errors:
            return
        for name, value in found.items():
            column, where = bound.column[name], f"sequence.{name}"
            if value is None:
                message = "the row cannot be numbered: the value is missing"
                errors.append(draft.error("R010", message, column=column, field=where))
            elif name in ("balance", "amount") and (isinstance(value, bool) or not isinstance(value, Decimal | int)):
                message = "expected a number; give the value as: number"
                errors.append(draft.error("R014", message, column=column, field=where))
        if errors:
            return
        draft.per = as_text(found["per"])
        draft.order = tuple(found[f"order[{index}]"] for index in range(len(bound.order)))
        for index, value in enumerate(draft.order):
            # Values of two types have no order: what the first row has, all must have.
            if type(value) is not self._order_types.setdefault(index, type(value)):
                where = f"order[{index}]"
                message = "the rows cannot be ordered: this value is of another type than in the rows before"
                errors.append(draft.error("R014", message, column=bound.column[where], field=f"sequence.{where}"))
        if bound.balance is not None:
            draft.balance, draft.amount = Decimal(found["balance"]), Decimal(found["amount"])

    def _check(self, draft: Draft) -> list[RowError]:
        checked = _validate(draft, self.bound, self._tenant)
        if isinstance(checked, list):
            return checked
        digest = blake2b(checked.event_id.encode(), digest_size=16).digest()
        file, line, ordinal = self._seen.setdefault(digest, (draft.file, draft.line, draft.ordinal))
        if ordinal == draft.ordinal:
            return []
        column = self.bound.column.get("event_id", "")
        message = f"expected an id of its own; {file}:{line} has the same one"
        return [draft.error("R031", message, column=column, field="event_id")]


def finish(draft: Draft, bound: BoundOutput, tenant: str) -> Message | list[RowError]:
    """The message of a numbered draft, or what is wrong with it."""
    record = _validate(draft, bound, tenant)
    if isinstance(record, list):
        return record
    value = record.model_dump_json(exclude_unset=True)
    topic = bound.output.topic
    return Message(record.occurred_at.astimezone(UTC), topic.name, record_key(topic, record).decode(), value)


def _validate(draft: Draft, bound: BoundOutput, tenant: str) -> Event | list[RowError]:
    model = bound.output.topic.models[0]
    whole = {"schema_version": SCHEMA_VERSION, "tenant": tenant, **draft.record}
    if bound.sequencing is not None:
        whole["sequence"] = draft.number
    try:
        record = model.model_validate(whole)
    except ValidationError as error:
        return [
            _record_error(draft, bound, problem)
            for problem in error.errors(include_url=False, include_input=False, include_context=False)
        ]
    assert isinstance(record, Event)
    return record


def _record_error(draft: Draft, bound: BoundOutput, problem: Any) -> RowError:
    field = ".".join(str(part) for part in problem["loc"])
    column = bound.column.get(field.partition(".")[0], "")
    if problem["type"] == "missing":
        return draft.error("R010", "the field needs a value, and here it is missing", column=column, field=field)
    return draft.error("R030", str(problem["msg"]), column=column, field=field)
