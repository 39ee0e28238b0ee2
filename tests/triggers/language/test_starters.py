"""The templates of new triggers: in order, and passing check and test with a case that fires and one that is silent."""

from __future__ import annotations

from pathlib import Path

import pytest

from triggers.casework.case_runner import run_case
from triggers.language.formatting import format_text
from triggers.language.grammar import form_of
from triggers.language.loader import ROLES, load_documents
from triggers.language.starters import Starter, starters

LIBRARY = Path(__file__).parents[3] / "triggers" / "library"
SHIPPED = {role: (LIBRARY / role).read_text("utf-8") for role in ROLES if (LIBRARY / role).is_file()}
STARTERS = starters()
# A file of tags or a calendar of the bank's own is what these warn about, not the template.
_OF_THE_RULE_SET = {"W119"}


def test_the_kinds_cover_what_wakes_a_trigger() -> None:
    """Events, crossings, lead times, silence, waits, the calendar, what is derived."""
    assert list(STARTERS) == [
        "balance_drop",
        "hesitation",
        "large_inflow",
        "maturity_due",
        "salary",
        "schedule",
        "silence",
        "tag_added",
        "threshold",
    ]
    assert all(starter.about and "\n" not in starter.about for starter in STARTERS.values())


@pytest.mark.parametrize("starter", STARTERS.values(), ids=lambda starter: starter.kind)
@pytest.mark.parametrize("shipped", [False, True], ids=["alone", "shipped"])
def test_a_template_passes_check_and_test(starter: Starter, *, shipped: bool) -> None:
    """Alone, and under the policy, calendar and catalogue that ship."""
    offer = "retention_call" if shipped else "call"
    files = {**(SHIPPED if shipped else {}), **_with_shipped(starter.fill_in_beside("team"), shipped=shipped)}
    files["mine.yaml"] = starter.fill_in("mine", "team", offer)
    loaded = load_documents(files)
    told = [str(problem) for problem in loaded.problems if shipped or problem.code not in _OF_THE_RULE_SET]
    assert told == []
    assert loaded.ruleset is not None
    (trigger,) = loaded.ruleset.triggers
    assert (trigger.id, trigger.owner, trigger.action.offer, trigger.status) == ("mine", "team", offer, "draft")
    assert len(trigger.cases) == 2
    assert bool(trigger.cases[0].expect) > bool(trigger.cases[1].expect)
    for case in trigger.cases:
        assert run_case(loaded.ruleset, trigger, case).passed, case.name


def _with_shipped(beside: dict[str, str], *, shipped: bool) -> dict[str, str]:
    """The tags that a template needs: alone, or among those that ship, as an author adds them."""
    if not (shipped and beside):
        return beside
    features, tags = beside["tags.yaml"].partition("features:\n")[2].split("tags:\n")
    assert features in SHIPPED["tags.yaml"], "its features stand there already"
    return {"tags.yaml": SHIPPED["tags.yaml"] + tags}


@pytest.mark.parametrize("starter", STARTERS.values(), ids=lambda starter: starter.kind)
def test_a_template_is_in_order(starter: Starter) -> None:
    """As fmt writes it."""
    texts = {"mine.yaml": starter.fill_in("mine", "team", "call"), **starter.fill_in_beside("team")}
    for name, text in texts.items():
        assert format_text(name, text, form_of(name)) == (text, [])
