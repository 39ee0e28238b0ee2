"""The bank's time as whole numbers is what times with a zone say, and so are the rules that reckon with it."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.base import from_ms, to_ms
from triggers.engine.scope import Scope
from triggers.engine.state import Contact, CustomerState
from triggers.language.calendar import Calendar, first_day
from triggers.language.model import Cap, Policy, Quiet
from triggers.policy import caps, quiet_hours
from triggers.policy.candidate import Candidate, Held
from triggers.policy.local_time import begin_of, day_of, local_ms, moment_of

# Half an hour of summer time, an hour, none; quarters of an hour; seconds (before 1937); a day left out (1994).
ZONES = ["Asia/Shanghai", "Australia/Lord_Howe", "America/New_York", "Asia/Kathmandu", "Europe/Amsterdam"]
zones = st.sampled_from([*ZONES, "Pacific/Kiritimati"]).map(ZoneInfo)
anywhen = st.integers(to_ms(datetime(1900, 1, 3, tzinfo=UTC)), to_ms(datetime(2199, 12, 29, tzinfo=UTC)))
changes = st.sampled_from(["2026-03-08", "2026-11-01", "2026-04-04", "2026-10-03", "1937-06-30", "1994-12-31"])
near_a_change = st.builds(
    lambda day, minutes: to_ms(datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(minutes=minutes)),
    changes,
    st.integers(-1_500, 3_000),
)
moments = anywhen | near_a_change


def wall(moment: int, zone: ZoneInfo) -> datetime:
    """What the clocks show."""
    return from_ms(moment).astimezone(zone).replace(tzinfo=None)


@given(moments, zones)
@example(to_ms(datetime(2026, 10, 3, 15, 40, tzinfo=UTC)), ZoneInfo("Australia/Lord_Howe"))
def test_local_time_is_what_the_clocks_of_the_zone_show(moment: int, zone: ZoneInfo) -> None:
    """Also in the hours in which they are put forward or back."""
    shown = from_ms(local_ms(moment, zone)).replace(tzinfo=None)
    assert shown == wall(moment, zone)
    assert day_of(local_ms(moment, zone)) == shown.date()


@given(st.dates(date(1900, 1, 3), date(2199, 12, 29)), zones)
def test_a_day_begins_when_its_midnight_is(day: date, zone: ZoneInfo) -> None:
    """Where the clocks leave midnight out it is as late as if they had gone on."""
    assert day_of(begin_of(day)) == day
    assert moment_of(begin_of(day), zone) == to_ms(datetime.combine(day, time(), tzinfo=zone))


def candidate(moment: int, category: str = "growth", channel: str = "push") -> Candidate:
    """A contact proposed at a time."""
    return Candidate("any", category, channel, "simple", 0, moment, Scope())


def held_by_the_clock(policy: Policy, moment: int) -> Held | None:
    """Quiet hours of push reckoned with times instead of numbers, as the rule reads."""
    now = wall(moment, policy.timezone)
    found, first = now, None
    while found - now < timedelta(days=400):
        ends = [(quiet, end) for quiet in policy.quiet if (end := end_of(quiet, found, policy.calendar))]
        if not ends:
            break
        first, found = first or ends[0][0], ends[0][1]
    if first is None:
        return None
    detail = {"channel": "push", "hour": f"{now:%H:%M}"}
    if first.days != "all":
        detail["day"] = f"{now:%Y-%m-%d}, {first.days}"
    ends = [to_ms(found.replace(tzinfo=policy.timezone, fold=fold)) for fold in (0, 1)]
    return Held(detail, ends[0] if ends[0] > moment else ends[1])


def end_of(quiet: Quiet, moment: datetime, calendar: Calendar) -> datetime | None:
    """When quiet hours of push end that a moment is in."""
    if "push" not in quiet.channels:
        return None
    for begun in (moment.date(), moment.date() - timedelta(days=1)):
        midnight = datetime.combine(begun, time())
        begin = midnight + timedelta(minutes=quiet.begin)
        end = midnight + timedelta(days=quiet.begin > quiet.end, minutes=quiet.end)
        if begin <= moment < end and quiet.begins_on(begun, calendar):
            return end
    return None


quiets = st.builds(
    Quiet,
    st.sampled_from([frozenset({"push"}), frozenset({"sms"}), frozenset({"push", "sms"})]),
    st.integers(0, 1_439),
    st.integers(0, 1_440),
    st.sampled_from(["all", "open", "closed"]),
)
calendars = st.builds(
    Calendar,
    weekend=st.sampled_from([frozenset({5, 6}), frozenset({4}), frozenset()]),
    holidays=st.frozensets(st.dates(date(2026, 3, 1), date(2026, 4, 30)), max_size=20),
)


@settings(deadline=None)
@given(st.lists(quiets, max_size=3), calendars, moments, zones)
def test_quiet_hours_are_those_of_the_clock(
    quiet: list[Quiet], calendar: Calendar, moment: int, zone: ZoneInfo
) -> None:
    """The moment, the hour and the day that are told are the same as reckoned with times."""
    policy = Policy(timezone=zone, calendar=calendar, quiet=tuple(quiet))
    held = quiet_hours.holds_back(CustomerState(), policy, candidate(moment))
    assert held == held_by_the_clock(policy, moment)
    assert held is None or held.until is None or held.until > moment


cap = st.builds(
    Cap,
    at_most=st.integers(0, 4),
    per_ms=st.integers(1, 40 * 86_400_000),
    category=st.sampled_from([None, "growth", "retention"]),
    channel=st.sampled_from([None, "push", "sms"]),
    calendar=st.sampled_from([None, "day", "week", "month"]),
    exempt=st.sampled_from([frozenset(), frozenset({"growth"})]),
)
ages = st.integers(0, 40 * 86_400_000)
names = st.tuples(ages, st.sampled_from(["growth", "retention"]), st.sampled_from(["push", "sms"]))


@given(cap, st.lists(names, max_size=6), moments, zones)
def test_a_cap_counts_the_contacts_of_its_window(
    cap: Cap, ages: list[tuple[int, str, str]], moment: int, zone: ZoneInfo
) -> None:
    """One by one: those of its category and channel since its window began, whatever the clocks did meanwhile."""
    contacts = [Contact(moment - age, "any", category, channel) for age, category, channel in ages]
    today = wall(moment, zone).date()
    if cap.calendar is None:
        opened = moment - cap.per_ms + 1
    else:
        begin = first_day("today" if cap.calendar == "day" else cap.calendar, today)
        opened = to_ms(datetime.combine(begin, time(), tzinfo=zone))
    counted = [
        contact
        for contact in contacts
        if contact.at >= opened and cap.category in (None, contact.category) and cap.channel in (None, contact.channel)
    ]
    concerned = cap.category in (None, "growth") and cap.channel in (None, "push") and "growth" not in cap.exempt
    held = caps.holds_back(
        CustomerState(contacts=sorted(contacts)), Policy(caps=(cap,), timezone=zone), candidate(moment)
    )
    assert (held is not None) is (concerned and len(counted) >= cap.at_most)
