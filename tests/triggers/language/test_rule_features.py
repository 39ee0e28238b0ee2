"""Features: flow or level, what may be asked of each, and how triggers share them."""

from __future__ import annotations

from typing import Any

import pytest

from triggers.language.document import read_document
from triggers.language.expressions import FeatureName
from triggers.language.features import FeatureTable, read_features
from triggers.language.names import ALL_RECORDS
from triggers.language.reader import DAY_MS, Reader

TRANSACTION = frozenset({"transaction"})


def _read(
    text: str, table: FeatureTable | None = None, woken_by: frozenset[str] = TRANSACTION
) -> tuple[dict[str, FeatureName], FeatureTable, list[str]]:
    document, _ = read_document("f.yaml", f"f: {text}")
    assert document is not None
    assert document.root is not None
    reader = Reader(document)
    table = table or FeatureTable()
    features = read_features(reader, document.root, woken_by, table)
    return features, table, [f"{problem.code} {problem.message}" for problem in reader.problems]


@pytest.mark.parametrize(
    ("text", "level", "record_types", "kind", "nullable"),
    [
        ("{max: customer.balance, over: 7d}", True, ALL_RECORDS, "money", True),
        ("{daily_mean: customer.aum, over: 30d}", True, ALL_RECORDS, "money", True),
        ("{first: customer.tier, over: 30d}", True, ALL_RECORDS, "enum", True),
        ("{distinct: customer.tier, over: 30d}", True, ALL_RECORDS, "number", False),
        ("{sum: event.amount, over: 7d}", False, TRANSACTION, "money", False),
        ("{mean: event.amount, over: 7d}", False, TRANSACTION, "money", True),
        ("{last: event.occurred_at, over: 7d}", False, TRANSACTION, "time", True),
        ("{count: true, over: 7d}", False, TRANSACTION, "number", False),
        ("{count: 1, over: 7d, of: behaviour}", False, frozenset({"behaviour"}), "number", False),
        ('{count: true, where: event.action == "login", over: 7d, of: behaviour}', False, None, "number", False),
        ("{distinct: event.channel, over: 7d, of: [transaction, feedback]}", False, None, "number", False),
        ("{max: customer.balance + event.amount, over: 7d}", False, TRANSACTION, "money", True),
        ("{sum: event.amount, over: 7d, by: account}", False, TRANSACTION, "money", True),
        ("{min: account.balance, over: 7d, by: account}", True, ALL_RECORDS, "money", True),
    ],
)
def test_flows_and_levels(
    text: str, level: bool, record_types: frozenset[str] | None, kind: str, nullable: bool
) -> None:
    """What reads event.* is sampled at its events, what stands between them at every event."""
    features, table, problems = _read(text)
    assert not problems
    assert table.series[0].level is level
    if record_types is not None:
        assert table.series[0].record_types == record_types
    assert (features["f"].type.kind, features["f"].type.nullable) == (kind, nullable)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{max: customer.balance}", 'E011 missing key "over"'),
        ("{over: 7d}", "E018 a feature has exactly one function, found 0"),
        (
            "{max: customer.balance, min: customer.balance, over: 7d}",
            "E018 a feature has exactly one function, found 2",
        ),
        ("{maximum: customer.balance, over: 7d}", 'E010 unknown key "maximum": did you mean "max"?'),
        ("{max: customer.balance, over: moth}", 'E015 "moth" is neither a length of time such as 7d nor one of today'),
        ("{max: customer.balance, over: 7}", "E015"),
        ("{max: customer.balance, over: 900d}", "E015"),
        ("{max: customer.tier, over: 7d}", "E032 max needs money or a number"),
        ("{sum: event.direction, over: 7d}", "E032 sum needs money or a number"),
        ("{count: event.own_account, over: 7d}", "E032 count counts the events with a known value"),
        ("{last: customer.segments, over: 7d}", "E032 expected one value"),
        ("{sum: customer.balance, over: 7d}", "E018 sum is of events"),
        ("{daily_mean: event.amount, over: 7d}", "E018 daily_mean is of what holds between events"),
        ("{daily_mean: customer.aum, where: customer.employee, over: 7d}", "E018 daily_mean weighs all time"),
        ("{max: customer.balance, over: 7d, of: transaction}", "E018 of says which events a flow samples"),
        ("{sum: event.amount, over: 7d, of: behaviour}", "E037 event.amount is a field of maturity, transaction"),
        ("{sum: event.seconds, over: 7d}", "E037 event.seconds is a field of behaviour"),
        ("{count: true, over: 7d, of: behaviour, by: account}", "E018 by: account needs events with an account"),
        ("{max: account.balance, over: 7d}", "E018 account.* is of one account: add by: account"),
        ("{max: customer.balance, over: 7d, by: account}", "E018 by: account needs account.* in the expression"),
        ("{max: before.balance, over: 7d}", "E037 before.balance has no value here"),
        ("{count: true, where: 'crossed_above(customer.balance, 5)', over: 7d}", "E037 crossed_above has no value"),
        ("{max: product.amount, over: 7d}", "E037 product.amount has no value here"),
        ("{max: f, over: 7d}", 'E031 unknown name "f"'),
        ("{max: customer.balance, over: 7d, by: branch}", "E013"),
        ("7", "E012 expected the keys of a feature"),
    ],
)
def test_mistakes(text: str, says: str) -> None:
    """Each is one problem; the feature stays known by name, so that its uses are not mistakes too."""
    features, table, problems = _read(text)
    assert len(problems) == 1
    assert problems[0].startswith(says)
    assert features["f"].type.kind == "any"
    assert not table.features


def test_the_same_feature_is_shared() -> None:
    """Spaces and quotation marks make no difference; the longest window decides how much is kept."""
    table = FeatureTable()
    first, _, _ = _read("""{sum: event.amount, where: event.direction == "debit", over: 7d}""", table)
    again, _, _ = _read("""{sum: "event.amount", where: "event.direction   == 'debit'", over: 7d}""", table)
    longer, _, _ = _read("""{max: event.amount, where: event.direction == "debit", over: 30d}""", table)
    assert first == again
    assert longer["f"].index != first["f"].index
    assert len(table.series) == 1
    assert table.series[0].retain_ms == 30 * DAY_MS
    assert [(feature.function, feature.series, feature.over_ms) for feature in table.features] == [
        ("sum", 0, 7 * DAY_MS),
        ("max", 0, 30 * DAY_MS),
    ]


@pytest.mark.parametrize(("since", "days"), [("today", 1), ("week", 7), ("month", 31), ("quarter", 92), ("year", 366)])
def test_calendar_periods(since: str, days: int) -> None:
    """One series serves a period and a length of time; it is kept for the longest there can be."""
    table = FeatureTable()
    period, _, problems = _read(f"{{sum: event.amount, over: {since}}}", table)
    length, _, _ = _read("{sum: event.amount, over: 1h}", table)
    assert not problems
    assert (len(table.series), table.features[0].since, table.features[1].since) == (1, since, None)
    assert period["f"].index != length["f"].index
    assert table.series[0].retain_ms == days * DAY_MS + 3_600_000


@pytest.mark.parametrize(
    "text",
    [
        "{sum: event.amount, over: 7d}",
        '{max: event.amount, where: event.direction == "credit", over: 7d}',
        "{max: event.amount, over: 7d, by: account}",
        "{max: event.amount, over: 7d, of: maturity}",
        "{max: event.amount + 0.10000000000000001, over: 7d}",
        "{max: event.amount + 0.1, over: 7d}",
        "{max: customer.balance, over: 7d}",
    ],
)
def test_different_series_are_not_shared(text: str) -> None:
    """Another condition, account, event or number is another series, with an id that does not change."""
    table = FeatureTable()
    _read('{sum: event.amount, where: event.direction == "debit", over: 7d}', table)
    _read(text, table)
    assert len({series.id for series in table.series}) == 2
    alone = FeatureTable()
    _read(text, alone)
    assert alone.series[0].id == table.series[1].id


def test_a_flow_samples_what_wakes_its_trigger() -> None:
    """Where it does not say of."""
    _, table, _ = _read("{count: true, over: 7d}", woken_by=frozenset({"behaviour"}))
    assert table.series[0].record_types == {"behaviour"}
    _, table, _ = _read("{count: true, over: 7d}", woken_by=frozenset())
    assert table.series[0].record_types == {"transaction"}


def test_features_are_a_mapping() -> None:
    """A list of them is a mistake."""
    document, _ = read_document("f.yaml", "[a]")
    assert document is not None
    assert document.root is not None
    reader = Reader(document)
    found: dict[str, Any] = read_features(reader, document.root, TRANSACTION, FeatureTable())
    assert not found
    assert [problem.code for problem in reader.problems] == ["E012"]


@pytest.mark.parametrize(
    ("counted", "says"), [("event", "count: true;"), ("transaction", "count: true, of: transaction;")]
)
def test_plain_events_are_counted_by_true(counted: str, says: str) -> None:
    """Whoever names the events instead is told so."""
    document, _ = read_document("f.yaml", f"n: {{count: {counted}, over: 7d}}")
    assert document is not None
    assert document.root is not None
    reader = Reader(document)
    read_features(reader, document.root, TRANSACTION, FeatureTable())
    assert [problem.code for problem in reader.problems] == ["E032"]
    assert says in reader.problems[0].message
