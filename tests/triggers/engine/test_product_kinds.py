"""How many kinds of product a customer holds: of open ones alone, told to tags when one is bought or redeemed."""

from __future__ import annotations

from triggers.casework.suite_runner import SuiteRunner
from triggers.language.loader import load_documents

TAGS = """\
tags:
  several:
    title: Holds several kinds
    owner: tests
    when: customer.product_kinds >= 2
    tests:
      - name: the second kind, until it is redeemed
        events:
          - {at: "2026-03-02 10:00", maturity: {holding_id: a, status: purchased, product_kind: deposit}}
          - {at: "2026-03-03 10:00", maturity: {holding_id: b, status: purchased, product_kind: deposit}}
          - {at: "2026-03-04 10:00", maturity: {holding_id: c, status: purchased, product_kind: wealth}}
          - {at: "2026-03-05 10:00", maturity: {holding_id: b, status: redeemed, product_kind: deposit}}
          - {at: "2026-03-06 10:00", maturity: {holding_id: a, status: redeemed, product_kind: deposit}}
        expect:
          - {at: "2026-03-04 10:00", tag: added}
          - {at: "2026-03-06 10:00", tag: removed}
"""


def test_a_tag_follows_the_kinds_held() -> None:
    """Two deposits are one kind; the last of a kind takes it away."""
    ruleset = load_documents({"tags.yaml": "# noqa: W115 nothing but its cases reads it\n" + TAGS}).ruleset
    assert ruleset is not None
    (suite,) = ruleset.suites
    (case,) = suite.cases
    result = SuiteRunner(ruleset, suite).run(case)
    assert result.passed, result.rows
