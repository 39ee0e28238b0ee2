"""The rule sets of the end-to-end tests load, pass their own cases, and fire on their bank's history."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from schemas.decode import Rejected, decode
from schemas.topics import TOPIC
from streams.event_file import EventLine, read_events
from streams.importer import import_files
from tests.support.bank_data import bank_folder
from triggers.casework.case_runner import run_case
from triggers.casework.report import report
from triggers.engine.customer import CustomerStage
from triggers.engine.state import CustomerState
from triggers.language.loader import load_ruleset
from triggers.language.model import RuleSet

ROOT = Path(__file__).parents[3]
HERE = ROOT / "tests" / "data"
_END_MS = 2**42


def load(bank: str) -> RuleSet:
    loaded = load_ruleset([HERE / "rules" / bank])
    assert loaded.problems == []
    assert loaded.ruleset is not None
    return loaded.ruleset


@pytest.mark.parametrize("bank", ["berka", "anz"])
def test_every_case_passes(bank: str) -> None:
    """No problem, no warning, and each trigger has at least one case that fires and one that is silent."""
    ruleset = load(bank)
    for trigger in ruleset.triggers:
        assert [report(run_case(ruleset, trigger, case)) for case in trigger.cases] == [[]] * len(trigger.cases)
        assert {bool(case.expect) for case in trigger.cases} == {True, False}


@pytest.mark.parametrize(("bank", "triggers"), [("berka", 7), ("anz", 6)])
def test_every_trigger_fires_on_the_history(bank: str, triggers: int, tmp_path: Path) -> None:
    """Through the engine alone, each trigger acts at least twenty times, and no event is set aside."""
    data = bank_folder(bank)
    import_files(HERE / "mappings" / f"{bank}.yaml", [str(data)], tmp_path / "events.jsonl")
    ruleset, stage = load(bank), CustomerStage(bank)
    states: dict[str, CustomerState] = {}
    fired: Counter[str] = Counter()
    for line in read_events(tmp_path / "events.jsonl"):
        assert isinstance(line, EventLine)
        assert line.key is not None
        record = decode(TOPIC[line.topic], bank, line.key.encode(), line.value)
        assert not isinstance(record, Rejected)
        outcome = stage.process(record, states.setdefault(line.key, stage.fresh(line.key)), ruleset, None)
        if outcome is not None:
            assert outcome.rejected is None
            fired.update(output.trigger for output in outcome.outputs if output.record_type == "action")
    for state in states.values():
        outcome = stage.run_timers(state, ruleset, _END_MS, None)
        if outcome is not None:
            fired.update(output.trigger for output in outcome.outputs if output.record_type == "action")
    assert len(ruleset.triggers) == triggers
    assert all(fired[trigger.id] >= 20 for trigger in ruleset.triggers), fired
