"""The forms of every rule file: which keys, in which order they are written, what each holds and means.

Readers take required and allowed keys and bounds from here, the formatter the order, the editors' schema all of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Final, get_args

from schemas.base import CURRENCIES
from schemas.events import Channel, Feedback, Profile
from triggers.language.calendar import WEEKDAYS, Roll, Since
from triggers.language.forms import (
    AnyOf,
    ByName,
    Expression,
    Flag,
    Form,
    Items,
    Key,
    Length,
    Name,
    Number,
    OneOf,
    Record,
    Text,
    Whole,
    Written,
)
from triggers.language.model import By, Complexity, Function, OfferKind, OnChange, Period, Status
from triggers.language.names import ALIASES, DESKS, RECORDS, detail_values, literal_values
from triggers.language.reader import CLOCK, DAY, DAY_MS, HOUR_MS, LONGEST_MS, MINUTE_MS, MOMENT, SECOND_MS, TITLE

CHANNELS: Final = literal_values(Channel)
OUTCOMES: Final = literal_values(Feedback.model_fields["outcome"].annotation)
ANSWERS: Final = ("delivered", "opened", "clicked", "answered", "bought")
"""What a later step may wait for: the outcomes that say that the customer was reached."""
FUNCTIONS: Final[tuple[str, ...]] = get_args(Function)
COMPLEXITIES: Final = literal_values(Complexity)
KINDS: Final = literal_values(OfferKind)
LONGEST_EXPIRY_MS: Final = 366 * DAY_MS
LONGEST_CAP_MS: Final = 2 * 366 * DAY_MS
MOST_STEPS: Final = 20
MOST_CASES: Final = 500
MOST_EVENTS: Final = 2000
GIVEN_BY_RUNNER: Final = frozenset({"schema_version", "tenant", "customer_id"})
NOT_OF_CUSTOMER: Final = GIVEN_BY_RUNNER | {"event_id", "occurred_at", "sequence"}

_MOMENT: Final = Written(MOMENT.pattern, "2026-03-02 10:00")
_DAY: Final = Written(DAY.pattern, "2026-03-02")
_CLOCK: Final = Written(CLOCK.pattern, "09:00")
_VALUE: Final = Expression()
_CONDITION: Final = Expression("flag")

_TITLE: Final = AnyOf((Text(), TITLE))

EVENTS: Final = (
    *(name for record in RECORDS for name in (record, *(f"{record}.{detail}" for detail in detail_values(record)))),
    *ALIASES,
)
"""What ``on`` may name: a kind of event, one of its kinds in turn (``behaviour.browse``), or another name for one."""

DERIVED: Final = Written(
    r"[a-z][a-z0-9_]*\.(up|down)|tag\.(added|removed)(\.[a-z][a-z0-9_]*)?|action\.exhausted", "tag.added.churn_risk"
)
"""What ``on`` may name besides: what the engine itself derives."""

_EVENT: Final = OneOf(EVENTS)
LEAD_TIME: Final = Form(
    "a lead time",
    (
        Key(
            "maturity",
            Written(r"[0-9]{1,4}(d| business days?) before|on the day", "7d before"),
            "How long before a holding falls due: 7d before, 3 business days before, on the day.",
            required=True,
        ),
        Key("roll", OneOf(get_args(Roll)), "Where a day goes that is no business day; it stays where nothing is said."),
    ),
)
SILENCE: Final = Form(
    "a silence",
    (
        Key("silence", _EVENT, "The event that does not come.", required=True),
        Key("for", Length(HOUR_MS, 3660 * DAY_MS), "For how long nothing came, such as 90d.", required=True),
    ),
)
WAIT: Final = Form(
    "a wait",
    (
        Key("after", _EVENT, "The event that begins the wait; further ones during it change nothing.", required=True),
        Key("unless", _EVENT, "The event that ends it.", required=True),
        Key("within", Length(MINUTE_MS, 366 * DAY_MS), "How long is waited, such as 24h.", required=True),
    ),
)
SCHEDULE: Final = Form(
    "a schedule",
    (
        Key("every", OneOf(get_args(Period)), "The period that has one turn.", required=True),
        Key("month", Whole(1, 12), "Which month of a quarter or a year; the first, or with on_day: last the last."),
        Key(
            "on_day",
            AnyOf((Whole(1, 31), OneOf(("last", *WEEKDAYS)))),
            "The day of the month, or last; of a week the weekday. The 31st of a short month is its last day.",
        ),
        Key("at", _CLOCK, "The time of day in the bank's time zone.", required=True),
        Key(
            "roll",
            OneOf(get_args(Roll)),
            "Where a day goes that is no business day; next where nothing is said.",
        ),
        Key(
            "spread",
            AnyOf((Length(MINUTE_MS, DAY_MS), OneOf(("none",)), Whole(0, 0))),
            "Within how long after that time the customers have their turns, each its own; 1h where nothing is said.",
        ),
    ),
)
_WAKE: Final = AnyOf((_EVENT, DERIVED, LEAD_TIME, SILENCE, WAIT, SCHEDULE))

FEATURE: Final = Form(
    "a feature",
    (
        *(Key(name, _VALUE, f"The {name} of this expression over the window.") for name in FUNCTIONS),
        Key("where", _CONDITION, "Only what meets this condition is counted."),
        Key(
            "over",
            AnyOf((Length(MINUTE_MS, 400 * DAY_MS), OneOf(get_args(Since)))),
            "The window on event time: a length such as 30d, or the calendar's day, week, month … so far.",
            required=True,
        ),
        Key("by", OneOf(literal_values(By)), "Over the whole customer (the default), or each account alone."),
        Key("of", AnyOf((OneOf(tuple(RECORDS)), Items(OneOf(tuple(RECORDS))))), "The events a flow samples."),
    ),
)

_FEATURES: Final = Key("features", ByName(FEATURE), "Values over windows of time, by name.")

CHOICE: Final = Form(
    "a choice of an offer",
    (
        Key("choose", AnyOf((OneOf(KINDS), Items(OneOf(KINDS), 1, len(KINDS)))), "The kinds to choose from.", True),
        Key("where", _CONDITION, "Only offers that meet this condition; it may read offer.*."),
        Key("best", Expression("number"), "The offer with the greatest value wins; equal ones go by name."),
    ),
)
_CHANNELS: Final = AnyOf((OneOf(CHANNELS), Items(OneOf(CHANNELS), 1, len(CHANNELS))))
STEP: Final = Form(
    "a step",
    (
        Key("after", Length(MINUTE_MS, LONGEST_EXPIRY_MS), "How long after the step before.", required=True),
        Key("unless", AnyOf((OneOf(ANSWERS), _CONDITION)), "Not where the customer did this, or more."),
        Key("use", _CHANNELS, "The channel of this step, or several: the first that the gate allows.", required=True),
    ),
)
MESSAGE: Final = Form(
    "a message",
    (Key("template", Text(64), "The template that the channel fills in.", required=True),),
    others=_VALUE,
)
_EVENTS: Final = (_EVENT, Items(_EVENT, 1, 20))
GOAL: Final = Form(
    "a goal",
    (
        Key("on", AnyOf(_EVENTS), "The events that may reach it.", required=True),
        Key("when", _CONDITION, "Only where this is true once such an event took effect."),
    ),
)
ACTION: Final = Form(
    "an action",
    (
        Key("offer", AnyOf((Name(), CHOICE)), "What is offered: a name, or a choice from offers.yaml.", required=True),
        Key("category", Name(), "Caps, cooldowns and seasons work on categories.", required=True),
        Key("complexity", OneOf(COMPLEXITIES), "Which desks may handle it; without it, that of the offer."),
        Key("priority", Whole(0, 100), "At one occasion the trigger with the highest priority comes first.", True),
        Key("value", Expression("number"), "What is at stake, as money."),
        Key("expires", Length(MINUTE_MS, LONGEST_EXPIRY_MS), "How long the action is worth anything."),
        Key(
            "ladder",
            AnyOf((Items(AnyOf((*_CHANNELS.shapes, STEP)), 1, MOST_STEPS), Name())),
            "The channels, one after the other, a list of them being one step; or the name of a ladder of the policy.",
            required=True,
        ),
        Key(
            "goal",
            AnyOf((*_EVENTS, GOAL)),
            "What the ladder is for: it ends the ladder as until does, and counts as a sale.",
        ),
        Key(
            "until",
            AnyOf(_EVENTS),
            "The events that end the ladder: what waits is not sent, what was sent is withdrawn.",
        ),
        Key("message", MESSAGE, "The template and the values of its fields."),
    ),
)

_MORE: Final = {"feedback": (Key("action", Whole(1, MOST_EVENTS), "Which action is answered: 1 is the first."),)}
_RECORD_KEYS: Final = tuple(
    Key(
        name,
        Record(
            name,
            model,
            GIVEN_BY_RUNNER,
            _MORE.get(name, ()),
        ),
        f"A {name} event; what is left out is filled in.",
    )
    for name, model in RECORDS.items()
)
EVENT: Final = Form("an event", (Key("at", _MOMENT, "When, in the bank's time zone.", required=True), *_RECORD_KEYS))
CONTACT: Final = Form(
    "a contact",
    (
        Key("at", _MOMENT, "When it went out.", required=True),
        Key("channel", OneOf(CHANNELS), "By which channel.", required=True),
        Key("category", Name(), "Of which category.", required=True),
        Key("trigger", Name(), "By which trigger."),
        Key("offer", Name(), "With which offer."),
        Key("outcome", OneOf(OUTCOMES), "What became of it."),
        Key(
            "expires",
            Length(MINUTE_MS, LONGEST_EXPIRY_MS),
            "It was the last of its ladder, and expires so long after: unanswered, it is exhausted then.",
        ),
    ),
)
ACCOUNT: Final = Form(
    "an account",
    (
        Key("id", Text(64), "The account's id, as events name it.", required=True),
        Key("balance", Number(), "Its balance before the first event.", required=True),
        Key("currency", OneOf(tuple(sorted(CURRENCIES))), "Its currency; the bank's where none is given."),
    ),
)
CUSTOMER: Final = Record(
    "a customer",
    Profile,
    NOT_OF_CUSTOMER,
    (
        Key("balance", Number(), "The balance of the one account, before the first event."),
        Key("accounts", Items(ACCOUNT, 0, 100), "Several accounts, each with its balance."),
        Key("holdings", Items(Record("holdings", RECORDS["maturity"], GIVEN_BY_RUNNER), 0, 100), "Products held."),
        Key("tags", Items(Name(), 0, 200), "The tags of tags.yaml that the customer has from the beginning."),
    ),
)
STATED: Final = ("offer", "channel", "category", "complexity", "priority", "value", "template", "step", "handoff")
EXPECTED: Final = Form(
    "an expectation",
    (
        Key("at", _MOMENT, "When it comes.", required=True),
        Key("cancelled", Flag(), "Whether it is the withdrawal of an action."),
        Key("held_back", Name(), "Nothing is sent, for this reason."),
        Key("offer", Name(), "The offer."),
        Key("channel", OneOf(CHANNELS), "The channel."),
        Key("category", Name(), "The category."),
        Key("complexity", OneOf(COMPLEXITIES), "The complexity."),
        Key("priority", Whole(0, 100), "The priority."),
        Key("value", Number(), "The action's value."),
        Key("template", Text(64), "The message's template."),
        Key("step", Whole(0, MOST_STEPS), "The step of the ladder; the first is 0."),
        Key("message", ByName(AnyOf((Text(), Number(), Flag()))), "Fields of the message."),
        Key("handoff", Items(Text(), 0, 8), "What a person is told was tried, as in [push opened, sms none]."),
        Key("reason", Name(), "Why an action is withdrawn."),
    ),
)

CAP: Final = Form(
    "a cap",
    (
        Key("at_most", Whole(0, 1000), "So many contacts at most.", required=True),
        Key(
            "per",
            AnyOf((OneOf(("day", "week", "month")), Length(MINUTE_MS, LONGEST_CAP_MS))),
            "In any such length of time, or in each calendar day, week or month.",
            required=True,
        ),
        Key("category", Name(), "Counts contacts of this category only."),
        Key("channel", OneOf(CHANNELS), "Counts contacts on this channel only."),
        Key("except", Items(Name(), 0, 100), "Categories that are owed: they count, and it never holds them back."),
    ),
)
COOLDOWN: Final = Form(
    "a cooldown",
    (
        Key("all", Length(MINUTE_MS, LONGEST_CAP_MS), "Between any two contacts."),
        Key("category", Length(MINUTE_MS, LONGEST_CAP_MS), "Between two of one category."),
        Key("trigger", Length(MINUTE_MS, LONGEST_CAP_MS), "Between two of one trigger."),
    ),
)
ATTEMPTS: Final = Form(
    "attempts without a sale",
    (
        Key("at_most", Whole(1, 1000), "So many contacts without a sale.", required=True),
        Key("pause", Length(MINUTE_MS, LONGEST_CAP_MS), "Then nothing for so long.", required=True),
        Key("except", Items(Name(), 0, 100), "Categories that do not sell: neither counted nor paused."),
    ),
)
_USED: Final = Key("channels", Items(OneOf(CHANNELS), 0, 100), "These channels.", required=True)
SUITABILITY: Final = Form(
    "a suitability",
    (
        _USED,
        Key("when", _CONDITION, "They are used only for customers for whom each clause is true.", required=True),
        Key("unknown", OneOf(("allow", "refuse")), "What a clause counts as that is unknown; allow is the default."),
    ),
)
ROUTE: Final = Form(
    "a route",
    (
        Key("complexity", Items(OneOf(COMPLEXITIES), 0, 10), "For offers of these complexities.", required=True),
        Key("when", _CONDITION, "For customers for whom this is true; without it, for all."),
        _USED,
    ),
)
QUIET: Final = Form(
    "quiet hours",
    (
        _USED,
        Key(
            "days",
            OneOf(("closed", "open")),
            "Only on days on which the bank is closed by calendar.yaml, or on its business days.",
        ),
        Key("from", _CLOCK, "From this time of day they are not used; with days and without hours, the whole day."),
        Key("to", _CLOCK, "Until this one, of the next day where it is the earlier."),
    ),
)
HELD_OUT: Final = Form("the triggers of a holdout", (), others=Whole(0, 100))
HOLDOUT: Final = Form(
    "a holdout",
    (
        Key("percent", Whole(0, 100), "The share of the customers who are left alone by all triggers."),
        Key("salt", Text(64), "What draws them: while it stays, so do they.", required=True),
        Key("triggers", HELD_OUT, "The shares who are left alone by single triggers."),
        Key("except", Items(Name(), 0, 100), "Actions of these categories reach everybody: they are no marketing."),
    ),
)
_CATEGORIES: Final = Key("categories", Items(Name(), 0, 100), "Actions of these categories; without it, all.")
_TIMES: Final = Key("times", Number(Decimal(0), Decimal(1000)), "They weigh so many times as much.", required=True)
SEASON: Final = Form(
    "a season", (Key("months", Items(Whole(1, 12), 0, 12), "In these months.", required=True), _CATEGORIES, _TIMES)
)
OBJECTIVE: Final = Form(
    "an objective",
    (Key("when", _CONDITION, "For customers for whom this is true.", required=True), _CATEGORIES, _TIMES),
)
ARBITRATION: Final = Form(
    "an arbitration",
    (
        Key(
            "window",
            AnyOf((Length(SECOND_MS, 7 * DAY_MS), OneOf(("none",)))),
            "The first candidate waits for so long, and competes with those that come meanwhile; none is the default.",
            required=True,
        ),
    ),
)
_HELD: Final = OneOf(("hold", "allow"))
EXCLUSION: Final = Form(
    "an exclusion",
    (
        Key(
            "version",
            Whole(0, 2**31 - 1),
            "The version of the lists in force: older ones do not do.",
        ),
        Key("unconfirmed", _HELD, "Customers whose branch has not confirmed the version; hold is the default."),
        Key("unversioned", _HELD, "Customers whose profile names no version; allow is the default."),
    ),
)
HOLD: Final = Form(
    "what is held",
    (
        Key("hold", Length(MINUTE_MS, 60 * DAY_MS), "How long behaviour waits; at most lateness less skew."),
        Key("at_most", Whole(1, 1000), "So much behaviour of one id; what comes beyond it is set aside."),
    ),
)
_WAITS_FOR: Final = Key("unless", OneOf(ANSWERS), "Not where the customer did this, or more.")
_POLICY_STEP: Final = replace(STEP, keys=tuple(_WAITS_FOR if key.name == "unless" else key for key in STEP.keys))
LADDERS: Final = Form("ladders", (), others=Items(AnyOf((*_CHANNELS.shapes, _POLICY_STEP)), 1, MOST_STEPS))
POLICY: Final = Form(
    "a policy",
    (
        Key("currency", OneOf(tuple(sorted(CURRENCIES))), "The bank's currency."),
        Key("lateness", Length(MINUTE_MS, 60 * DAY_MS), "How late an event may come and still count."),
        Key("skew", Length(SECOND_MS, DAY_MS), "How far in the future an event may be."),
        Key("exclusion", EXCLUSION, "When the blacklist and the list of employees count as complete."),
        Key("consent", Items(OneOf(CHANNELS), 0, 100), "The channels that need the customer's recorded consent."),
        Key(
            "caps",
            Items(CAP, 0, 100),
            "How many contacts a customer gets at most.",
        ),
        Key(
            "cooldown",
            COOLDOWN,
            "The least time between contacts.",
        ),
        Key(
            "attempts",
            ATTEMPTS,
            "How often is tried without a sale.",
        ),
        Key("suitability", Items(SUITABILITY, 0, 100), "Whom channels suit."),
        Key("routing", Items(ROUTE, 0, 100), "Which channels may carry what; the first that fits decides."),
        Key("ladders", LADDERS, "Ladders by name, for triggers to use: ladder: service."),
        Key("quiet", Items(QUIET, 0, 100), "The hours at which a contact waits."),
        Key("holdout", HOLDOUT, "Who is left alone, so that the lift can be measured."),
        Key("score", Expression("number"), "The best of several candidates has most of it."),
        Key("arbitration", ARBITRATION, "How long candidates wait for better ones."),
        Key("seasons", Items(SEASON, 0, 100), "What weighs more in some months."),
        Key("objectives", Items(OBJECTIVE, 0, 100), "What weighs more for some customers."),
        Key("identity", HOLD, "How behaviour waits whose customer is not known yet."),
        Key(
            "channel_half_life",
            AnyOf((Length(DAY_MS, LONGEST_CAP_MS), OneOf(("none",)))),
            "After how long what was learned of a customer's channels counts half; 90d where nothing is said.",
        ),
        Key(
            "reach",
            Items(OneOf(CHANNELS), 1, len(CHANNELS)),
            "The channels that customer.channels_left counts; push, sms and wechat where nothing is said.",
        ),
        Key(
            "samples", Whole(100, 1_000_000), "Samples of one series kept one by one; older ones go into time buckets."
        ),
    ),
)
HOURS: Final = Form(
    "opening hours",
    (
        Key("from", _CLOCK, "When a desk opens.", required=True),
        Key("to", _CLOCK, "When it closes.", required=True),
    ),
)
_OPEN: Final = AnyOf((HOURS, Items(HOURS, 1, 20)))
DESK_HOURS: Final = Form("the hours of desks", tuple(Key(desk, _OPEN, f"The {desk} desk.") for desk in DESKS))
HOLIDAY: Final = Form(
    "a holiday",
    (
        Key("from", _DAY, "The first day.", required=True),
        Key("to", _DAY, "The last day.", required=True),
        Key("name", Text(100), "What is celebrated."),
    ),
)
CALENDAR: Final = Form(
    "a calendar",
    (
        Key("timezone", Text(64), "The bank's time zone, such as Asia/Shanghai."),
        Key("remind_at", _CLOCK, "When reminders of maturities go out."),
        Key("weekend", Items(OneOf(WEEKDAYS), 0, 7), "The days of the week that are not worked."),
        Key("hours", _OPEN, "When the desks are open on business days."),
        Key("desk_hours", DESK_HOURS, "The hours of a desk that differ."),
        Key("slot", Length(5 * MINUTE_MS, DAY_MS), "How long an appointment is; 1h where nothing is said."),
        Key("covers", Items(Whole(1901, 2199), 0, 200), "The years whose holidays are known; else those stated here."),
        Key("holidays", Items(AnyOf((_DAY, HOLIDAY)), 0, 1000), "Days, or spans of them, that are not worked."),
        Key("working_days", Items(_DAY, 0, 1000), "Days of weekends or holidays that are worked."),
    ),
)

CASE: Final = Form(
    "a case",
    (
        Key("name", Text(), "What the case shows.", required=True),
        Key("customer", CUSTOMER, "The customer before the first event."),
        Key("contacts", Items(CONTACT, 0, MOST_EVENTS), "What the customer had heard before the first event."),
        Key("policy", POLICY, "What this case changes of the policy."),
        Key("calendar", CALENDAR, "What this case changes of the calendar."),
        Key("from", _MOMENT, "When the customer becomes known, where that is before the first event."),
        Key(
            "events",
            Items(EVENT, 0, MOST_EVENTS),
            "What happens, in the order of arrival: an earlier time comes late.",
            required=True,
        ),
        Key("until", _MOMENT, "Until when the clock runs on after the last event."),
        Key("expect", Items(EXPECTED, 0, MOST_EVENTS), "All that comes of it; [] for nothing.", required=True),
    ),
)
TRIGGER: Final = Form(
    "a trigger",
    (
        Key("trigger", Name(), "The trigger's id: the name of the file without .yaml.", required=True),
        Key("version", Whole(1, 1_000_000), "Raised with every change of what it does.", required=True),
        Key("title", _TITLE, "One line for people, or one by language.", required=True),
        Key("owner", Text(100), "Who answers for it."),
        Key("status", OneOf(literal_values(Status)), "Only live ones send; shadow ones record.", True),
        Key("on", AnyOf((_WAKE, Items(_WAKE, 1))), "What wakes it.", required=True),
        _FEATURES,
        Key("when", _CONDITION, "Fires only where this is true; an unknown value does not fire."),
        Key("rearm", _CONDITION, "After firing it waits until this was true."),
        Key("once_per", Length(MINUTE_MS, LONGEST_MS), "After firing it is quiet for so long."),
        Key("action", ACTION, "What is sent.", required=True),
        Key("on_change", OneOf(literal_values(OnChange)), "What becomes of its memory when it is edited."),
        Key(
            "tests",
            Items(CASE, 0, MOST_CASES),
            "Cases on a virtual clock: one fires, one is silent.",
        ),
    ),
)

VALID: Final = Form(
    "the days an offer is valid",
    (Key("from", _DAY, "The first day."), Key("until", _DAY, "The last day.")),
)
OFFER: Final = Form(
    "an offer",
    (
        Key("kind", OneOf(KINDS), "The kind of product; service for a contact without one.", required=True),
        Key("title", _TITLE, "One line for people, or one by language."),
        Key("product_id", Text(64), "The product's id in the product system."),
        Key("term", Whole(1, 36_600), "The term in days."),
        Key("expected_yield", Number(Decimal(0), Decimal(1)), "The yearly yield as a ratio: 0.021 is 2.1%."),
        Key("complexity", OneOf(COMPLEXITIES), "Which desks may handle it."),
        Key("tiers", Items(Name(), 1, 20), "Whom it is for; without it, all."),
        Key(
            "valid",
            VALID,
            "When it is to be had, both days included.",
        ),
        Key("min_amount", Number(Decimal(0)), "The least amount."),
    ),
)
OFFERS: Final = Form("a catalogue", (Key("offers", ByName(OFFER), "The offers by name.", required=True),))

HAPPENING: Final = Form("an expectation", (Key("at", _MOMENT, "When it comes.", required=True),))
"""A case of a tiering or a tag expects, beside a time, what a trigger would hear of it."""


def _tests(*keys: Key) -> Key:
    expected = Form(HAPPENING.what, (*HAPPENING.keys, *keys))
    case = tuple(
        replace(key, shape=Items(expected, 0, MOST_EVENTS), about="All that a trigger would hear; [] for nothing.")
        if key.name == "expect"
        else key
        for key in CASE.keys
    )
    return Key("tests", Items(Form(CASE.what, case), 0, MOST_CASES), "Cases on a virtual clock.")


TIERING: Final = Form(
    "a tiering",
    (
        Key("measure", Expression("number"), "What the tiers go by: customer.aum, a feature …", required=True),
        Key("edges", ByName(Number()), "The tiers with their lower edges, lowest first.", required=True),
        Key("margin", Number(Decimal(0), Decimal("0.5")), "How far below its edge a tier is kept, as a ratio."),
        _tests(Key("up", Name(), "Up into this tier."), Key("down", Name(), "Down into this tier.")),
    ),
)
TIERS: Final = Form(
    "tiers", (_FEATURES, Key("tierings", ByName(TIERING), "Tierings by name; tier is customer.tier.", required=True))
)
TAG: Final = Form(
    "a tag",
    (
        Key("title", _TITLE, "One line for people, or one by language."),
        Key("owner", Text(100), "Who answers for it."),
        Key("when", _CONDITION, "The customer has the tag where this is true.", required=True),
        Key("holds", Length(MINUTE_MS, LONGEST_MS), "The tag stays for so long after it was last true."),
        _tests(Key("tag", OneOf(("added", "removed")), "The tag comes, or goes.")),
    ),
)
TAGS: Final = Form("tags", (_FEATURES, Key("tags", ByName(TAG), "Tags by name.", required=True)))

_DESK: Final = OneOf(DESKS)
DESK: Final = Form(
    "a desk",
    (
        Key("tiers", Items(Name(), 1, 50), "The tiers whose customers are its own.", required=True),
        Key("capacity", Whole(1, 100_000), "How many customers a manager has at most; 1000 where nothing is said."),
        Key("contact", Length(DAY_MS, LONGEST_MS), "Each customer is spoken with at least once in so long."),
    ),
)
DESK_TABLE: Final = Form("the desks", tuple(Key(desk, DESK, f"The {desk} desk.") for desk in DESKS))
REVIEW: Final = Form(
    "a review",
    (
        Key("every", OneOf(("week", "month", "quarter")), "The period that has one review; month by default."),
        Key("on_day", Whole(1, 31), "The day of the month; the 1st where nothing is said."),
        Key("at", _CLOCK, "The time of day in the bank's time zone; 08:00 where nothing is said."),
    ),
)
ELSEWHERE: Final = Form(
    "wealth at other banks",
    (
        Key("from", Number(Decimal(0)), "From this amount on a customer belongs to a desk whatever the tier.", True),
        Key("desk", _DESK, "To this desk, where the tier has none.", required=True),
    ),
)
HANDOVER: Final = Form(
    "a handover",
    (
        Key("approve", Length(HOUR_MS, 366 * DAY_MS), "How long approval is waited for; 5d where nothing is said."),
        Key("ask", Length(MINUTE_MS, 366 * DAY_MS), "So long after it the new manager is asked to call; 1h."),
        Key(
            "call",
            Length(HOUR_MS, 366 * DAY_MS),
            "So long after it the new manager must have called, closed days apart; 2d.",
        ),
    ),
)
RECALL: Final = Form(
    "a recall",
    (
        Key("after", Length(DAY_MS, LONGEST_MS), "Without a conversation for so long a customer is recalled.", True),
        Key("evaluate", OneOf(("month", "quarter", "year")), "When managers are reported on; each quarter."),
    ),
)
_PERSON: Final = Text(64)
DESK_EVENT: Final = Form(
    "an event of the desks",
    (
        Key("at", _MOMENT, "When, in the bank's time zone.", required=True),
        Key("customer", _PERSON, "A customer tells how they stand; what is left out stays as it was."),
        Key("manager", _PERSON, "A manager's record; with a customer, whom the bank names as theirs."),
        Key("tier", Name(), "The customer's tier, and with it the owning desk."),
        Key("spoken", Flag(), "The manager spoke with the customer."),
        Key("left", Flag(), "The customer goes to another branch."),
        Key("desk", _DESK, "The manager's desk; counter where nothing was said."),
        Key("capacity", Whole(0, 100_000), "How many customers the bank lets the manager have."),
        Key("customers", Whole(0, 10_000), "The bank names the manager as that of so many customers more."),
        Key("active", Flag(), "Whether the manager still works in this branch."),
        Key("answer", OneOf(("approved", "rejected")), "What a person says to the customer's handover."),
    ),
)
DESK_EXPECTED: Final = Form(
    "an expectation of the desks",
    (
        Key("at", _MOMENT, "When.", required=True),
        Key("customer", _PERSON, "Of which customer."),
        Key("outcome", Name(), "What was decided, or reported: assigned, no_capacity, overload …", required=True),
        Key("manager", _PERSON, "With which manager."),
    ),
)
DESK_CASE: Final = Form(
    "a case of the desks",
    (
        Key("name", Text(), "What the case shows.", required=True),
        Key("events", Items(DESK_EVENT, 0, MOST_EVENTS), "What happens, in the order of time.", required=True),
        Key("until", _MOMENT, "Until when the clock runs on after the last event."),
        Key("expect", Items(DESK_EXPECTED, 0, MOST_EVENTS), "All that is decided; [] for nothing.", required=True),
    ),
)
DESKS_FILE: Final = Form(
    "desks",
    (
        Key("desks", DESK_TABLE, "The desks by name.", required=True),
        Key("elsewhere", ELSEWHERE, "Who belongs to a desk for what they have at other banks."),
        Key("review", REVIEW, "When customers are promoted and recalled."),
        Key("handover", HANDOVER, "How a customer goes to the manager of a higher desk."),
        Key("recall", RECALL, "When a neglected customer goes to another manager; never where nothing is said."),
        Key("tests", Items(DESK_CASE, 0, MOST_CASES), "Cases of one branch on a virtual clock."),
    ),
)

FILES: Final[Mapping[str, Form]] = {
    "policy.yaml": POLICY,
    "calendar.yaml": CALENDAR,
    "tiers.yaml": TIERS,
    "tags.yaml": TAGS,
    "offers.yaml": OFFERS,
    "desks.yaml": DESKS_FILE,
}
"""The files beside the triggers, by name."""


def form_of(file_name: str) -> Form:
    """The form of a rule file by its name without folders: whatever has no role of its own is a trigger."""
    return FILES.get(file_name, TRIGGER)
