"""Whatever the bytes are, reading them gives a record or a reason: never an exception, never a value in the reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas import decode as decoding
from schemas.dead_letter import DeadLetter, Reason
from schemas.decode import MAX_VALUE_BYTES, Rejected, decode
from schemas.encode import encode
from schemas.topics import INBOUND, TOPIC
from tests.schemas.record_strategies import bent, damaged, messages, written

TRANSACTIONS = TOPIC["bank.transactions"]
SECRET = "Zhang-13800138000"
BODY: dict[str, Any] = {
    "tenant": "bank",
    "event_id": "tx-1",
    "occurred_at": "2026-03-02T10:00:00+08:00",
    "customer_id": "C1",
    "account_id": "A1",
    "sequence": 7,
    "direction": "debit",
    "amount": "1234.50",
    "currency": "CNY",
    "balance_after": "10",
}
PROFILE = {"tenant": "bank", "event_id": "p", "occurred_at": BODY["occurred_at"], "customer_id": "C1", "sequence": 1}


def text(*left_out: str, **changed: Any) -> bytes:
    return json.dumps({k: v for k, v in (BODY | changed).items() if k not in left_out}).encode()


def raw(name: str, token: str) -> bytes:
    """The body with one field as the JSON text given."""
    return text(**{name: "@"}).replace(b'"@"', token.encode("utf-8", "surrogatepass"))


def refused(value: bytes | None, key: bytes | None = b"C1", topic: str = "bank.transactions") -> Rejected:
    answer = decode(TOPIC[topic], "bank", key, value)
    assert isinstance(answer, Rejected), answer
    assert_harmless(answer)
    return answer


def assert_harmless(answer: Rejected) -> None:
    """It names no value, and a dead letter can carry it."""
    assert SECRET not in answer.problem
    assert SECRET not in answer.field
    assert answer.problem
    letter = DeadLetter(
        tenant="bank",
        reason=answer.reason,
        field=answer.field,
        problem=answer.problem,
        topic="t" * 249,
        partition=0,
        offset=0,
        value_bytes=0,
        rejected_at="2026-03-02T10:00:00Z",  # type: ignore[arg-type]  # read as from JSON
    )
    assert DeadLetter.model_validate_json(encode(letter)) == letter


def test_the_body_itself_is_fine() -> None:
    """Else every refusal below could have another cause."""
    assert not isinstance(decode(TRANSACTIONS, "bank", b"C1", text()), Rejected)


@pytest.mark.parametrize(
    ("value", "reason", "field"),
    [
        (None, "EMPTY_VALUE", ""),
        (b"", "EMPTY_VALUE", ""),
        (b"not json", "NOT_JSON", ""),
        (b"{", "NOT_JSON", ""),
        (b"\x00\x01\x02", "NOT_JSON", ""),
        (b'\xef\xbb\xbf{"a":1}', "NOT_JSON", ""),
        (text() + b"{}", "NOT_JSON", ""),
        (text()[:-1] + b",}", "NOT_JSON", ""),
        (b"[]", "NOT_AN_OBJECT", ""),
        (b"null", "NOT_AN_OBJECT", ""),
        (b'"' + SECRET.encode() + b'"', "NOT_AN_OBJECT", ""),
        (b"{}", "MISSING_FIELD", "tenant"),
        (text("amount"), "MISSING_FIELD", "amount"),
        (text(note=SECRET), "UNKNOWN_FIELD", "note"),
        (text(record_type="transaction"), "UNKNOWN_FIELD", "record_type"),
        (text(sequence="7"), "WRONG_TYPE", "sequence"),
        (text(sequence=True), "WRONG_TYPE", "sequence"),
        (raw("sequence", "7.0"), "WRONG_TYPE", "sequence"),
        (text(own_account="yes"), "WRONG_TYPE", "own_account"),
        (text(own_account=1), "WRONG_TYPE", "own_account"),
        (text(customer_id=13800138000), "WRONG_TYPE", "customer_id"),
        (text(occurred_at=1772416800), "WRONG_TYPE", "occurred_at"),
        (text(amount=[SECRET]), "WRONG_TYPE", "amount"),
        (text(amount=None), "WRONG_TYPE", "amount"),
        (text(amount=SECRET), "BAD_NUMBER", "amount"),
        (text(amount="1.00001"), "BAD_NUMBER", "amount"),
        (raw("amount", "1.00001"), "BAD_NUMBER", "amount"),
        (raw("balance_after", "NaN"), "NOT_FINITE", "balance_after"),
        (raw("balance_after", "-Infinity"), "NOT_FINITE", "balance_after"),
        (text(balance_after="NaN"), "BAD_NUMBER", "balance_after"),
        (raw("amount", "1e308"), "OUT_OF_RANGE", "amount"),
        (raw("amount", "1e400"), "OUT_OF_RANGE", "amount"),
        (raw("amount", "1e99999999999999999999"), "BAD_NUMBER", ""),
        (raw("amount", "1" * 100), "OUT_OF_RANGE", "amount"),
        (raw("amount", "1" * 10_000), "BAD_NUMBER", ""),
        (raw("sequence", "1" * 10_000), "BAD_NUMBER", ""),
        (raw("amount", "1." + "1" * 10_000), "BAD_NUMBER", "amount"),
        (raw("sequence", "9223372036854775808"), "OUT_OF_RANGE", "sequence"),
        (text(sequence=-1), "OUT_OF_RANGE", "sequence"),
        (text(amount="-1"), "OUT_OF_RANGE", "amount"),
        (text(customer_id=""), "OUT_OF_RANGE", "customer_id"),
        (text(customer_id="x" * 65), "OUT_OF_RANGE", "customer_id"),
        (text(customer_id="Zhang San"), "OUT_OF_RANGE", "customer_id"),
        (text(customer_id="C1\n"), "OUT_OF_RANGE", "customer_id"),
        (text(customer_id="张三"), "OUT_OF_RANGE", "customer_id"),
        (text(merchant="x" * 201), "OUT_OF_RANGE", "merchant"),
        (text(occurred_at="1899-01-01T00:00:00Z"), "OUT_OF_RANGE", "occurred_at"),
        (text(occurred_at="2026-03-02T10:00:00"), "NAIVE_TIME", "occurred_at"),
        (text(occurred_at="2026-03-02T10:00:00.123"), "NAIVE_TIME", "occurred_at"),
        (text(occurred_at="2026-03-02"), "BAD_TIME", "occurred_at"),
        (text(occurred_at=SECRET), "BAD_TIME", "occurred_at"),
        (text(direction=SECRET), "UNKNOWN_VALUE", "direction"),
        (text(currency="RMB"), "UNKNOWN_CURRENCY", "currency"),
        (text(currency="cny"), "UNKNOWN_CURRENCY", "currency"),
        (text(tenant="other-bank"), "WRONG_TENANT", "tenant"),
        (raw("merchant", '"\\ud800"'), "NOT_JSON", ""),
        (raw("merchant", '"\\udc00\\ud800"'), "NOT_JSON", ""),
        (raw("merchant", '"\ud800"'), "NOT_JSON", ""),
        (text(merchant="@").replace(b"@", b"\xff\xfe"), "NOT_JSON", ""),
        (text(merchant="@").replace(b"@", b"a\x01b"), "NOT_JSON", ""),
    ],
)  # fmt: skip
def test_each_kind_of_bad_message_has_its_reason_and_field(value: bytes | None, reason: str, field: str) -> None:
    """The reason is a code, the field is the path to the culprit."""
    answer = refused(value)
    assert (answer.reason, answer.field) == (Reason(reason), field)


@pytest.mark.parametrize(
    ("value", "reason", "field"),
    [
        ({"consents": {SECRET: True}}, "UNKNOWN_VALUE", "consents"),
        ({"consents": {"sms": SECRET}}, "WRONG_TYPE", "consents.sms"),
        ({"consents": {"sms": True, SECRET: SECRET}}, "UNKNOWN_VALUE", "consents"),
        ({"consents": [SECRET]}, "WRONG_TYPE", "consents"),
        ({"segments": ["a", SECRET + " "]}, "OUT_OF_RANGE", "segments.1"),
        ({"segments": ["a"] * 33}, "OUT_OF_RANGE", "segments"),
        ({"segments": SECRET}, "WRONG_TYPE", "segments"),
        ({"birth_date": "2026-02-30"}, "BAD_TIME", "birth_date"),
        ({"birth_date": 19800229}, "WRONG_TYPE", "birth_date"),
    ],
)
def test_a_path_leads_into_a_mapping_or_a_list_without_naming_its_keys(
    value: dict[str, Any], reason: str, field: str
) -> None:
    """A key of a mapping is the sender's text and may be personal: only the schema's own names are shown."""
    answer = refused(json.dumps(PROFILE | value).encode(), topic="bank.profiles")
    assert (answer.reason, answer.field) == (Reason(reason), field)


@pytest.mark.parametrize(
    ("name", "shown", "near"),
    [
        ("amuont", "amuont", "did you mean amount?"),
        ("balanceAfter", "balanceAfter", "did you mean balance_after?"),
        ("colour_of_the_card", "colour_of_the_card", ""),
        ("Zhang San", "", ""),
        ("13800138000", "", ""),
        ("张三", "", ""),
        ("x" * 60_000, "", ""),
        ("", "", ""),
    ],
)
def test_an_unknown_field_is_named_where_it_looks_like_a_name_and_the_near_one_suggested(
    name: str, shown: str, near: str
) -> None:
    """Bounded, and with what would be right."""
    answer = refused(text("amount", **{name: "1"}))
    assert (answer.reason, answer.field) == (Reason.UNKNOWN_FIELD, shown)
    assert answer.problem.startswith("a transaction has no such field")
    assert near in answer.problem
    assert bool(near) == ("did you mean" in answer.problem)


@pytest.mark.parametrize("version", [2, 0, -1, "1", "2", None, True, 1.0, [1], 10**30])
def test_an_unknown_version_is_said_before_anything_else(version: Any) -> None:
    """A later version has other fields too: those errors would mislead."""
    for other in ({}, {"amount": 1, "money": "1", "occurred_at": "?"}):
        answer = refused(text("account_id", schema_version=version, **other))
        assert (answer.reason, answer.field) == (Reason.UNKNOWN_VERSION, "schema_version")


@pytest.mark.parametrize("name", [*BODY, "kind", "merchant"])
def test_a_field_that_stands_twice_is_refused(name: str) -> None:
    """Even with the same value, even where the value is the default: which one was meant is a guess."""
    pair = json.dumps({name: BODY.get(name, "other" if name == "kind" else None)})[1:-1]
    body = text().decode()[1:-1]
    for twice in (f"{{{pair},{body},{pair}}}", f"{{{pair},{pair},{body}}}"):
        answer = refused(twice.encode())
        assert (answer.reason, answer.field) == (Reason.DUPLICATE_FIELD, name)
    escaped = f'{{{body},"amoun\\u0074":"9"}}'
    assert refused(escaped.encode()).reason is Reason.DUPLICATE_FIELD


def test_a_repeated_unknown_name_is_not_shown() -> None:
    """It is the sender's text."""
    answer = refused(f'{{"{SECRET}":1,"{SECRET}":2}}'.encode())
    assert (answer.reason, answer.field) == (Reason.DUPLICATE_FIELD, "")


def test_keys() -> None:
    """The message key must be the body's own."""
    assert refused(text(), key=None).reason is Reason.MISSING_KEY
    for key in (b"C2", b"", b"C1 ", b"\xff", b"c1"):
        assert refused(text(), key=key).reason is Reason.KEY_MISMATCH
    link = json.dumps(
        {k: BODY[k] for k in ("tenant", "event_id", "occurred_at", "sequence")}
        | {"source": "web", "source_user_id": "u:1"}
    ).encode()
    assert not isinstance(decode(TOPIC["bank.identity-links"], "bank", b"web:u:1", link), Rejected)
    assert refused(link, b"u:1", "bank.identity-links").field == "source:source_user_id"


def test_a_contradiction_within_a_record() -> None:
    """A holding cannot fall due before it was bought."""
    body = {
        k: BODY[k] for k in ("tenant", "event_id", "occurred_at", "customer_id", "sequence", "amount", "currency")
    } | {
        "holding_id": "h",
        "status": "purchased",
        "product_id": "p",
        "product_kind": "loan",
        "term_days": 1,
        "purchased_on": "2026-03-02",
        "matures_on": "2026-03-01",
    }
    answer = refused(json.dumps(body).encode(), topic="bank.maturities")
    assert (answer.reason, answer.field) == (Reason.CONTRADICTION, "")


def test_a_large_value_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten megabytes cost nothing: neither path is asked."""

    def never(*_: Any) -> Any:
        raise AssertionError("parsed")

    monkeypatch.setattr(decoding.jiter, "from_json", never)
    monkeypatch.setattr(decoding, "_RECOGNISERS", dict.fromkeys([TRANSACTIONS.models[0]], never))
    huge = b'{"amount": "' + b"1" * 10_000_000 + b'"}'
    assert refused(huge).reason is Reason.TOO_LARGE
    with pytest.raises(AssertionError, match="parsed"):
        decode(TRANSACTIONS, "bank", b"C1", text())


def test_the_largest_value_is_still_read() -> None:
    """The bound itself is allowed; one byte more is not."""
    fits = text() + b" " * (MAX_VALUE_BYTES - len(text()))
    assert not isinstance(decode(TRANSACTIONS, "bank", b"C1", fits), Rejected)
    assert refused(fits + b" ").reason is Reason.TOO_LARGE


NESTED: list[Callable[[int], bytes]] = [
    lambda n: b"[" * n,
    lambda n: b'{"a":' * (n // 5),
    lambda n: b"[" * (n // 2) + b"]" * (n // 2),
    lambda n: text()[:-1] + b',"note":' + b"[" * n,
    lambda n: text()[:-1] + b',"merchant":' + b"[" * n,
    lambda n: b'{"amount":' + b"[" * (n // 2) + b"]" * (n // 2) + b"," + text("amount")[1:],
    lambda n: b'{"amount":' + b'{"a":' * (n // 6) + b"1" + b"}" * (n // 6) + b"," + text("amount")[1:],
]


@pytest.mark.parametrize("nested", NESTED)
@pytest.mark.parametrize("size", [2_000, MAX_VALUE_BYTES - 1_000, 100_000])
def test_deep_nesting_neither_crashes_nor_recurses(nested: Callable[[int], bytes], size: int) -> None:
    """It is refused, whichever field it stands in, whatever depth the parsers bear."""
    expected = {Reason.TOO_LARGE} if size == 100_000 else {Reason.NOT_JSON}
    assert refused(nested(size)).reason in expected


def test_a_message_of_nothing_but_unknown_fields_is_refused_once() -> None:
    """Thousands of mistakes in one message do not become thousands of errors."""
    body = json.dumps({f"f{i}": i for i in range(4_000)}).encode()
    assert len(body) < MAX_VALUE_BYTES
    assert refused(body).reason is Reason.UNKNOWN_FIELD


def test_records_of_a_topic_with_two_models_are_told_apart() -> None:
    """By their tag; an unknown tag names the known ones."""
    queue = "outreach.push"
    action = {"tenant": "bank", "customer_id": "C1", "type": "cancelation"}
    answer = refused(json.dumps(action).encode(), topic=queue)
    assert (answer.reason, answer.field) == (Reason.UNKNOWN_VALUE, "type")
    assert "'action' or 'cancellation'" in answer.problem
    assert refused(b'{"tenant":"bank"}', topic=queue).reason is Reason.MISSING_FIELD
    assert refused(b'{"type":["action"]}', topic=queue).reason is Reason.UNKNOWN_VALUE
    assert refused(b'{"type":"action"}', topic=queue) == Rejected(Reason.MISSING_FIELD, "tenant", "Field required")


def test_what_is_rejected_is_bounded() -> None:
    """Whoever makes a Rejected, a dead letter can carry it."""
    assert_harmless(Rejected(Reason.TOO_LATE, "f" * 1_000, "p" * 1_000))


def test_floats_are_refused_in_python_too() -> None:
    """A record made by a program is held to the same: no binary float becomes an amount."""
    model = TRANSACTIONS.models[0]
    with pytest.raises(ValueError, match="binary float"):
        model(**BODY | {"amount": 0.1})
    assert model(**BODY | {"amount": Decimal("0.1")})


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data())
def test_no_bytes_raise_and_every_refusal_fits_a_dead_letter(data: st.DataObject) -> None:
    """Bent records, damaged records, plain noise: a record or a reason, each time."""
    topic = data.draw(st.sampled_from(INBOUND))
    model = topic.models[0]
    value = data.draw(
        st.one_of(
            st.binary(max_size=300),
            bent(model).flatmap(written),
            messages(model).flatmap(written).flatmap(damaged),
        )
    )
    answer = decode(topic, "bank", data.draw(st.none() | st.binary(max_size=10)), value)
    if isinstance(answer, Rejected):
        assert_harmless(answer)
