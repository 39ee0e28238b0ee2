"""The schemas for editors: what ships is right by them, what is broken is not, and they say what each key means."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from tests.triggers.language.rule_texts import GOOD
from triggers.language.document import read_document
from triggers.language.editor_schema import editor_schemas, editor_settings
from triggers.language.grammar import EVENTS, FILES, FUNCTIONS
from triggers.language.loader import load_ruleset
from triggers.language.names import CATALOGUE, HELPERS
from triggers.language.starters import starters

ROOT = Path(__file__).parents[3]
SCHEMAS = editor_schemas()
RIGHT = [
    *sorted((ROOT / "triggers" / "library").rglob("*.yaml")),
    *sorted(path for name in ("anz", "berka") for path in (ROOT / "tests" / "data" / "rules" / name).rglob("*.yaml")),
]


def _schema_of(name: str) -> dict[str, Any]:
    return SCHEMAS[f"{Path(name).stem}.schema.json" if name in FILES else "trigger.schema.json"]


def _mistakes(name: str, text: str) -> list[str]:
    """Where the schema of a file finds something wrong."""
    document, problems = read_document(name, text)
    assert not problems
    assert document is not None
    value = document.root.plain() if document.root else {}
    errors = Draft7Validator(_schema_of(name)).iter_errors(value)
    return sorted("/".join(map(str, error.absolute_path)) for error in errors)


def test_there_is_a_schema_for_each_kind_of_file() -> None:
    """Each is itself right by draft 7, and survives JSON."""
    assert set(SCHEMAS) == {"trigger.schema.json", *(f"{Path(name).stem}.schema.json" for name in FILES)}
    for schema in SCHEMAS.values():
        Draft7Validator.check_schema(schema)
        assert json.loads(json.dumps(schema)) == schema


@pytest.mark.parametrize("path", RIGHT, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_ships_is_right(path: Path) -> None:
    """Triggers and the files beside them."""
    assert _mistakes(path.name, path.read_text("utf-8")) == []


def test_templates_are_right() -> None:
    """Also the files that they bring along."""
    for starter in starters().values():
        files = {"mine.yaml": starter.fill_in("mine", "team", "call"), **starter.fill_in_beside("team")}
        for name, text in files.items():
            assert _mistakes(name, text) == [], starter.kind


def test_the_good_trigger_is_right() -> None:
    """Else what follows would prove nothing."""
    assert _mistakes("good.yaml", GOOD) == []


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ("owner: team", "onwer: team", ""),
        ("version: 1", "version: one", "version"),
        ("version: 1", "version: 0", "version"),
        ("title: A good trigger", "title: 7", "title"),
        ("status: live", "status: alive", "status"),
        ("on: transaction", "on: transactions", "on"),
        ("on: transaction", "on: [transaction, behaviour.brows]", "on/1"),
        ("on: transaction", "on: {silence: transaction, fore: 90d}", "on"),
        ("on: transaction", "on: {maturity: 7 days before}", "on"),
        ("max: customer.balance", "maxx: customer.balance", "features/peak"),
        ("over: 7d", "over: a week", "features/peak/over"),
        ("once_per: 14d", "once_per: 14 days", "once_per"),
        ("when: customer.balance <= peak * 0.7", "when: [a]", "when"),
        ("  category: retention\n", "", "action"),
        ("complexity: simple", "complexity: easy", "action/complexity"),
        ("priority: 80", "priority: 800", "action/priority"),
        ("priority: 80", 'priority: "80"', "action/priority"),
        ("offer: call\n", "offer: {choose: depsit}\n", "action/offer"),
        ("use: sms", "use: smss", "action/ladder/1"),
        ("{template: good-v1, ", "{", "action/message"),
        ("balance: 200000", "balanse: 200000", "tests/0/customer"),
        ("balance: 200000", "tier: hihg", "tests/0/customer/tier"),
        ("direction: debit", "direction: debt", "tests/0/events/0/transaction/direction"),
        ("amount: 60000", "amount: lots", "tests/0/events/0/transaction/amount"),
        ('"2026-03-02 10:00", transaction', '"2nd of March", transaction', "tests/0/events/0/at"),
        ("offer: call, channel: push", "offer: call, chanel: push", "tests/0/expect/0"),
        ("    expect: []", "    expect: none", "tests/1/expect"),
    ],
)
def test_a_broken_trigger_is_underlined(old: str, new: str, where: str) -> None:
    """One mistake, at its place: unknown keys, wrong types, bad choices, what is missing."""
    assert GOOD.count(old) == 1
    assert _mistakes("good.yaml", GOOD.replace(old, new)) == [where]


@pytest.mark.parametrize(
    ("name", "text", "where"),
    [
        ("policy.yaml", "curency: CNY", ""),
        ("policy.yaml", "currency: Yuan", "currency"),
        ("policy.yaml", "caps: [{at_most: 3}]", "caps/0"),
        ("policy.yaml", "consent: sms", "consent"),
        ("calendar.yaml", "remind_at: 9", "remind_at"),
        ("calendar.yaml", "time_zone: Asia/Shanghai", ""),
        ("offers.yaml", "offers: {a: {kind: deposite}}", "offers/a/kind"),
        ("offers.yaml", "offers: {a: {kind: deposit, expected_yield: 2.1%}}", "offers/a/expected_yield"),
        ("offers.yaml", "offers: {a: {kind: deposit, valid: {from: next year}}}", "offers/a/valid/from"),
        ("offers.yaml", "offers: {The-Offer: {kind: deposit}}", "offers"),
        ("tiers.yaml", "tierings: {tier: {measure: customer.aum}}", "tierings/tier"),
        ("tiers.yaml", "tierings: {tier: {measure: customer.aum, edges: {a: none, b: 1}}}", "tierings/tier/edges/a"),
        ("tags.yaml", "tags: {a: {if: customer.balance > 1, when: customer.balance > 1}}", "tags/a"),
    ],
)
def test_a_broken_file_beside_them_is_underlined(name: str, text: str, where: str) -> None:
    """As triggers are."""
    assert _mistakes(name, text + "\n") == [where]


def test_nothing_is_underlined_that_check_accepts() -> None:
    """In the folder of broken files, only those that check finds a mistake of form in."""
    forms = {*(f"E{number:03}" for number in range(10, 19)), "E033", "E109", "E111"}
    broken = ROOT / "tests" / "data" / "rules" / "broken"
    wrong = {problem.file for problem in load_ruleset([broken]).problems if problem.code in forms}
    underlined = set()
    for path in broken.rglob("*.yaml"):
        document, problems = read_document(path.name, path.read_bytes())
        if document is not None and document.root is not None and not problems:
            found = Draft7Validator(_schema_of(path.name)).iter_errors(document.root.plain())
            underlined |= {str(path)} if any(found) else set()
    assert underlined <= wrong
    assert len(underlined) >= 10


def test_names_come_from_the_code() -> None:
    """Events, functions, helpers and what expressions read are those there are."""
    text = json.dumps(_schema_of("good.yaml"))
    for word in (*EVENTS, *FUNCTIONS):
        assert f'"{word}"' in text
    said = _schema_of("good.yaml")["properties"]["when"]["description"]
    for helper in HELPERS:
        assert helper in said
    for path in CATALOGUE:
        assert path.rpartition(".")[0] in said


def _keys(schema: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(schema, dict):
        if isinstance(schema.get("properties"), dict):
            yield from schema["properties"].items()
        for inner in schema.values():
            yield from _keys(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from _keys(inner)


def test_every_key_of_a_form_says_what_it_means() -> None:
    """For whoever hovers over it; the fields of events are told by the contract's schemas."""
    for name, schema in SCHEMAS.items():
        forms = {key: value for key, value in schema["definitions"].items() if value["type"] == "object"}
        for key, value in _keys({"properties": schema["properties"], "forms": forms}):
            assert value.get("description"), (name, key)


def test_the_settings_of_vs_code_name_every_schema() -> None:
    """Files with a role of their own are no triggers."""
    settings = editor_settings(".schemas", "rules")["yaml.schemas"]
    assert set(settings) == {f".schemas/{name}" for name in SCHEMAS}
    assert settings[".schemas/trigger.schema.json"] == ["rules/**/*.yaml", *(f"!rules/**/{name}" for name in FILES)]
    assert settings[".schemas/offers.schema.json"] == "rules/**/offers.yaml"
