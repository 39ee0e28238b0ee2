"""The checks of whole trigger files, each in a file of its own, and the list of every code there is."""

from __future__ import annotations

from typing import Final

from triggers.language.checks import (
    closed_channel,
    constant_clause,
    contradiction,
    duplicate_id,
    ended_offer,
    ending_calendar,
    endless_case,
    file_name,
    idle_cap,
    idle_offer,
    ladder_channel,
    lead_beyond_term,
    never_false,
    never_fires,
    never_silent,
    no_expiry,
    no_holidays,
    no_owner,
    shadowing_feature,
    short_expiry,
    short_wait,
    suits_nobody,
    template_field,
    unknown_trigger,
    unreachable_step,
    unread_tag,
    untested_tag,
    unused_category,
    unused_feature,
)
from triggers.language.checks.base import Check, DatedCheck, SharedCheck
from triggers.language.codes import READING, Code

ALL_CHECKS: Final[tuple[Check, ...]] = (
    duplicate_id.CHECK,
    file_name.CHECK,
    never_fires.CHECK,
    never_silent.CHECK,
    no_owner.CHECK,
    no_expiry.CHECK,
    unused_feature.CHECK,
    shadowing_feature.CHECK,
    template_field.CHECK,
    constant_clause.CHECK,
    ladder_channel.CHECK,
    contradiction.CHECK,
    unreachable_step.CHECK,
    never_false.CHECK,
    short_wait.CHECK,
    lead_beyond_term.CHECK,
    endless_case.CHECK,
    short_expiry.CHECK,
)
"""Every check, in the order of the codes."""

OF_EXPRESSIONS: Final = frozenset(
    {unused_feature.CHECK, shadowing_feature.CHECK, constant_clause.CHECK, contradiction.CHECK, never_false.CHECK}
)
"""Those of them that concern every file with features and conditions, the policy, tiers and tags too."""

SHARED_CHECKS: Final[tuple[SharedCheck, ...]] = (
    unread_tag.CHECK,
    untested_tag.CHECK,
    no_holidays.CHECK,
    idle_cap.CHECK,
    closed_channel.CHECK,
    idle_offer.CHECK,
    unknown_trigger.CHECK,
    unused_category.CHECK,
    suits_nobody.CHECK,
)
"""The checks that compare the triggers with the files beside them."""

DATED_CHECKS: Final[tuple[DatedCheck, ...]] = (ended_offer.CHECK, ending_calendar.CHECK)
"""The checks that ask which day it is."""

ALL_CODES: Final[tuple[Code, ...]] = (
    *READING,
    *(check.code for check in ALL_CHECKS),
    *(check.code for check in SHARED_CHECKS),
    *(check.code for check in DATED_CHECKS),
)
"""Every code a file can be given, those of reading first."""
