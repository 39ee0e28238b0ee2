"""A small trigger without mistakes, to be varied."""

from __future__ import annotations

from collections.abc import Mapping

from triggers.language.loader import Loaded, load_documents

GOOD = """\
trigger: good
version: 1
title: A good trigger
owner: team
status: live
on: transaction
features:
  peak: {max: customer.balance, over: 7d}
when: customer.balance <= peak * 0.7
once_per: 14d
action:
  offer: call
  category: retention
  complexity: simple
  priority: 80
  value: peak - customer.balance
  expires: 48h
  ladder: [push, {after: 2d, unless: opened, use: sms}]
  message: {template: good-v1, drop: peak - customer.balance}
tests:
  - name: fires
    customer: {balance: 200000}
    events:
      - {at: "2026-03-02 10:00", transaction: {direction: debit, amount: 60000}}
    expect:
      - {at: "2026-03-02 10:00", offer: call, channel: push}
  - name: silent
    events: []
    expect: []
"""


def vary(*changes: tuple[str, str]) -> str:
    """The good trigger with texts replaced; each must stand in it exactly once."""
    text = GOOD
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def places(loaded: Loaded) -> list[tuple[str, int, int, str]]:
    """File, line, column and code of every problem."""
    return [(problem.file, problem.line, problem.column, problem.code) for problem in loaded.problems]


def found_in(*changes: tuple[str, str]) -> list[tuple[int, int, str]]:
    """Line, column and code of every problem of a varied good trigger."""
    return [place[1:] for place in places(load_documents({"good.yaml": vary(*changes)}))]


def load(files: Mapping[str, str]) -> Loaded:
    return load_documents(files)
