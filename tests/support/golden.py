"""What the triggers that ship would have done at two real banks, as files that are read and compared.

``python -m tests.support.golden`` makes ``tests/data/golden/*.yaml`` anew; what changed is then to be read before it is
kept. The banks are not Chinese: they take the shipped rules with their own currency and time zone, and without the
holidays of another country, as a bank would begin. Why a number is what it is stands beside it, made from the same run.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import yaml

from streams.backtest.report import as_json
from streams.backtest.run import Options, run_files
from streams.backtest.sources import find_files
from streams.importer import import_files
from tests.support.bank_data import DATA
from triggers.casework.reasons import MEANINGS
from triggers.language.loader import load_documents
from triggers.language.model import OnEvent, OnMaturity, OnSilence, RuleSet, Trigger

ROOT: Final = Path(__file__).parents[2]
GOLDEN: Final = ROOT / "tests" / "data" / "golden"
LIBRARY: Final = ROOT / "triggers" / "library"
BANKS: Final = {"berka": "CZK", "anz": "AUD"}

ABOUT: Final = {
    "berka": """\
A Czech bank, 1993-01 to 1994-03: 240 accounts, bookings by the day, loans, clients' profiles with birth date and sex.
Its amounts are in CZK and go through thresholds that were written for CNY, so that more of its customers count as
"effective" and "mid" than a bank would want: these are the shipped rules as they are, not tuned to it. It knows of
no consent, so that whatever goes by SMS or WeChat alone is held back (no_consent), and of nobody's app. Nobody answers
and no product is bought in it: after five contacts of a category that pauses (no_sale). Some balances came to what an
action was for, while it held (bought). Many are over 50, whom the online channels do not suit (unsuitable).
""",
    "anz": """\
An Australian bank, 2018-08 to 2018-10: 25 customers, bookings to the second in UTC, no products, no behaviour.
Nearly all of it is card payments and weekly or fortnightly salaries. It has no consents either (no_consent).
""",
}


class _Quiet:
    def reading(self, messages: int) -> None: ...
    def running(self, done: int, total: int) -> None: ...


def ruleset_for(bank: str) -> RuleSet:
    """The shipped rules under a bank's currency and calendar."""
    documents = {str(path.relative_to(LIBRARY)): path.read_text("utf-8") for path in sorted(LIBRARY.rglob("*.yaml"))}
    calendar = (ROOT / "tests" / "data" / "rules" / bank / "calendar.yaml").read_text("utf-8")
    documents["calendar.yaml"] = calendar
    documents["policy.yaml"] = re.sub(r"(?m)^currency: \w+", f"currency: {BANKS[bank]}", documents["policy.yaml"])
    loaded = load_documents(documents)
    assert loaded.ruleset is not None, [str(one) for one in loaded.problems if one.severity == "error"]
    return loaded.ruleset


def run(bank: str) -> tuple[RuleSet, dict[str, Any]]:
    """The rule set, and the report of its run over the bank's history."""
    ruleset = ruleset_for(bank)
    with tempfile.TemporaryDirectory() as scratch:
        events = Path(scratch) / f"{bank}.jsonl"
        imported = import_files(ROOT / "tests" / "data" / "mappings" / f"{bank}.yaml", [str(DATA / bank)], events)
        assert imported.error_count == 0
        result = run_files(ruleset, find_files([events]), Options(), _Quiet())
    return ruleset, as_json(result)


def golden_text(bank: str) -> str:
    """The golden file of a bank: the numbers, and beside each trigger why it spoke so often or not at all."""
    ruleset, report = run(bank)
    lines = [f"# {line}".rstrip() for line in ABOUT[bank].splitlines()]
    lines += ["# Made by: python -m tests.support.golden", ""]
    inputs = report["input"]
    lines += _dump(
        {
            "events": inputs["events"],
            "customers": inputs["customers"],
            "first": inputs["first"],
            "last": inputs["last"],
            "errors": report["errors"]["by_code"],
        }
    )
    actions = report["actions"]
    lines += ["", f"actions: {actions['total']}", "by_trigger:"]
    live = sorted((one for one in ruleset.triggers if one.status == "live"), key=lambda one: one.id)
    for trigger in live:
        count = actions["by_trigger"].get(trigger.id, 0)
        held = report["suppressed"]["by_trigger"].get(trigger.id, {})
        lines.append(f"  {trigger.id}: {count}  # {_why(trigger, count, held, inputs['events'])}")
    lines += _dump({"by_channel": actions["by_channel"], "by_tier": actions["by_tier"]})
    for name, about in (
        ("suppressed", "candidates held back, by reason"),
        ("deferred", "put off to a better moment"),
        ("cancelled", "taken back"),
    ):
        lines += ["", f"{name}:  # {about}", f"  total: {report[name]['total']}"]
        for reason, count in report[name]["by_reason"].items():
            lines.append(f"  {reason}: {count}  # {MEANINGS.get(reason, reason)}")
    lines += ["", "# How many customers were contacted so many times."]
    lines += _dump({"customers_by_contacts": report["contacts"]["customers_by_contacts"]})
    return "\n".join(lines) + "\n"


def _why(trigger: Trigger, count: int, held: dict[str, int], events: dict[str, int]) -> str:
    """What a reader asks first: why nothing, or how much was held back beside it."""
    told = ", ".join(f"{reason} {number}" for reason, number in sorted(held.items(), key=lambda one: (-one[1], one[0])))
    if count:
        return f"held back: {told}" if told else "nothing held back"
    if told:
        return f"every candidate was held back: {told}"
    needed = {_needs(wake) for wake in trigger.on}
    missing = sorted(kind for kind in needed if kind and not any(kind in topic for topic in events))
    if missing and len(missing) == len(needed):
        return f"wakes on {' and '.join(missing)}, of which the bank has no events"
    return "its condition was never true, or its wake never came"


def _needs(wake: Any) -> str:
    """The topic without which a wake never comes, as a part of its name."""
    kinds = {"transaction": "transactions", "maturity": "maturities", "profile": "profiles"}
    if isinstance(wake, OnMaturity):
        return "maturities"
    if isinstance(wake, OnEvent | OnSilence):
        return kinds.get(wake.record_type, wake.record_type)
    return ""


def _dump(value: Any) -> list[str]:
    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True)
    return text.rstrip().splitlines()


def main() -> None:
    """Writes the golden files of the banks that are there."""
    for bank in BANKS:
        if not (DATA / bank).is_dir():
            sys.exit(f"the {bank} data is not at {DATA / bank}; set BANK_DATA to the folder that holds it")
        path = GOLDEN / f"{bank}.yaml"
        path.write_text(golden_text(bank), "utf-8")
        print(f"{path.relative_to(ROOT)} written; read what changed: git diff {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
