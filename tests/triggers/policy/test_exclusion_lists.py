"""R29: the marketing blacklist and the employees, and what a list is worth that the branch has not confirmed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.decisions import Decision
from tests.support.bank import Customer, actions, profile, transaction
from tests.support.casework import result_of
from tests.support.rules import ruleset, trigger
from tests.triggers.language.rule_texts import GOOD
from triggers.language.loader import load_documents
from triggers.language.model import Exclusion, Policy

ON = {"blacklisted": True}
STAFF = {"employee": True}
DRAFT: dict[str, Any] = {"exclusion_confirmed": False}
DONE: dict[str, Any] = {"exclusion_confirmed": True}


def customer(**exclusion: Any) -> Customer:
    """A customer of a bank with this rule on its lists."""
    policy = Policy(caps=(), consent=frozenset(), exclusion=Exclusion(**exclusion))
    return Customer(ruleset(trigger("any"), policy=policy), recode=True)


def judged(person: Customer, **known: Any) -> tuple[str, dict[str, str]]:
    """The decision on a contact once this is known of the customer: reason and detail."""
    number = person.state.profile_sequence + 1
    person.feed(profile(f"p{number}", number, **known))
    outputs = person.feed(transaction(f"t{number}", number + 1, 1, 1))
    (decision,) = [out for out in outputs if isinstance(out, Decision)]
    assert bool(actions(outputs)) is (decision.reason == "sent")
    return decision.reason, decision.detail


def test_who_is_on_a_list_is_excluded_confirmed_or_not() -> None:
    """Also by a newer version that nobody has confirmed yet."""
    assert judged(customer(), **ON) == ("excluded", {"list": "blacklist"})
    assert judged(customer(), **STAFF, exclusion_list=4, **DONE) == ("excluded", {"list": "employees"})
    person = customer()
    assert judged(person, exclusion_list=4, **DONE)[0] == "sent"
    assert judged(person, **ON, exclusion_list=5, **DRAFT) == ("excluded", {"list": "blacklist"})


def test_until_the_branch_confirms_nothing_goes_out() -> None:
    """The decision names the branch and both versions; a confirmation that is not told of is none."""
    person = customer()
    told = {"list_version": "5", "branch": "b-7", "confirmed_version": "none"}
    assert judged(person, branch_id="b-7", exclusion_list=5, **DRAFT) == ("list_unconfirmed", told)
    assert judged(person, branch_id="b-7", exclusion_list=5) == ("list_unconfirmed", told)
    assert judged(person, branch_id="b-7", exclusion_list=5, **DONE) == ("sent", {})
    again = {"list_version": "6", "branch": "unknown", "confirmed_version": "5"}
    assert judged(person, exclusion_list=6, **DRAFT) == ("list_unconfirmed", again)


def test_who_was_on_the_confirmed_list_stays_on_it_until_another_is_confirmed() -> None:
    """A list under revision lets nobody go, not even where the bank lets the others hear."""
    person = customer(hold_unconfirmed=False)
    assert judged(person, **ON, exclusion_list=4, **DONE)[0] == "excluded"
    kept = {"list": "blacklist", "confirmed_version": "4"}
    assert judged(person, exclusion_list=5, **DRAFT) == ("excluded", kept)
    assert judged(person) == ("excluded", kept)
    assert judged(person, exclusion_list=5, **DONE)[0] == "sent"
    assert judged(person, exclusion_list=6, **DRAFT)[0] == "sent"


def test_an_older_confirmation_says_nothing_of_a_newer_one() -> None:
    """The versions count, in whatever order the branch sends them."""
    person = customer(hold_unconfirmed=False)
    judged(person, **ON, exclusion_list=5, **DONE)
    assert judged(person, exclusion_list=4, **DONE)[0] == "sent"
    assert judged(person, exclusion_list=6, **DRAFT) == ("excluded", {"list": "blacklist", "confirmed_version": "5"})


@pytest.mark.parametrize(("version", "reason"), [(11, "list_unconfirmed"), (12, "sent"), (13, "sent")])
def test_an_older_version_than_the_one_in_force_does_not_do(version: int, reason: str) -> None:
    """Even where its branch had confirmed it; both sides of the number."""
    found, detail = judged(customer(version=12), exclusion_list=version, **DONE)
    assert found == reason
    assert detail == ({} if reason == "sent" else {"list_version": "11", "branch": "unknown", "in_force": "12"})


@pytest.mark.parametrize(("hold", "reason"), [(True, "list_unconfirmed"), (False, "sent")])
def test_a_profile_without_a_version_counts_as_the_policy_says(hold: bool, reason: str) -> None:
    """A bank that does not version its lists need not."""
    assert judged(customer(hold_unversioned=hold))[0] == reason


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([None, 1, 2, 3]), st.sampled_from([None, False, True]), st.booleans()), max_size=8
    )
)
def test_only_who_is_off_every_list_that_counts_hears(
    steps: list[tuple[int | None, bool | None, bool]],
) -> None:
    """Against a model: the latest list, and the highest version that was confirmed."""
    person = customer()
    confirmed: tuple[int, bool] = (-1, False)
    for version, done, listed in steps:
        known = {"exclusion_list": version, "exclusion_confirmed": done, "blacklisted": listed}
        if version is not None and done and version >= confirmed[0]:
            confirmed = (version, listed)
        settled = version is not None and bool(done)
        reason, _ = judged(person, **known)
        if listed or (confirmed[1] and not settled):
            assert reason == "excluded"
        else:
            assert reason == ("sent" if settled or version is None else "list_unconfirmed")


CASE = """\
  - name: unconfirmed
    customer: {exclusion_list: 5, exclusion_confirmed: false}
    policy: {exclusion: {unconfirmed: CHOICE}}
    events: [{at: "2026-03-02 10:00", transaction: {amount: 500}}]
    expect: [{at: "2026-03-02 10:00"MORE}]
"""


def test_a_case_shows_it() -> None:
    """The customer's list and the policy are the case's own."""
    assert result_of(CASE.replace("CHOICE", "hold").replace("MORE", ", held_back: list_unconfirmed")).passed
    assert result_of(CASE.replace("CHOICE", "allow").replace("MORE", "")).passed


def test_the_policy_file_is_read() -> None:
    """What it leaves out has the default: unconfirmed lists hold back, profiles without a version do not."""

    def read(text: str) -> tuple[Any, list[tuple[int, int, str]]]:
        loaded = load_documents({"good.yaml": GOOD, "policy.yaml": text})
        found = [(problem.line, problem.column, problem.code) for problem in loaded.problems]
        return loaded.ruleset.policy.exclusion if loaded.ruleset else None, found

    assert read("{}")[0] == Exclusion(None, hold_unconfirmed=True, hold_unversioned=False)
    text = "exclusion: {version: 3, unconfirmed: allow, unversioned: hold}"
    assert read(text)[0] == Exclusion(3, hold_unconfirmed=False, hold_unversioned=True)
    assert read("exclusion: {version: -1}")[1] == [(1, 22, "E014")]
    assert read("exclusion: {unconfirmed: no}")[1] == [(1, 26, "E013")]
    assert read("exclusion: {lists: 3}")[1] == [(1, 13, "E010")]
