"""``policy.yaml``: what the gate obeys."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final, Literal, cast

from schemas.base import CURRENCIES
from triggers.language import codes, grammar
from triggers.language.document import Document, Node, Place, shorten
from triggers.language.draft import Draft
from triggers.language.ladder_steps import read_ladders
from triggers.language.model import Attempts, Cap, Cooldown, Policy
from triggers.language.policy_names import named_in
from triggers.language.policy_rules import read_exclusion, read_holdout, read_quiet, read_routing, read_suitability
from triggers.language.policy_weights import read_objectives, read_score, read_seasons, read_window
from triggers.language.reader import DAY_MS, MINUTE_MS, Fields, Reader, show_duration
from triggers.language.shared import Shared, Spot

_HOUR_MS: Final = 60 * MINUTE_MS

Calendar = Literal["day", "week", "month"]
# A day on which the clocks are put back has 25 hours.
_LONGEST_PERIOD: Final[dict[str, int]] = {
    "day": DAY_MS + _HOUR_MS,
    "week": 7 * DAY_MS + _HOUR_MS,
    "month": 31 * DAY_MS + _HOUR_MS,
}
"""The calendar periods of caps, each with the longest it can be."""


def read_policy(reader: Reader, document: Document, shared: Shared) -> Shared:
    """The policy with what the file says; what it leaves out stays as it was."""
    fields = reader.mapping(_root(document), grammar.POLICY)
    if fields is None:
        return shared
    policy = shared.policy
    currency = _currency(reader, fields.get("currency"))
    lateness = fields.duration("lateness")
    skew = fields.duration("skew")
    exclusion = fields.get("exclusion")
    consent = [reader.choice(item, grammar.CHANNELS) for item in fields.items("consent", "channels")]
    caps, places = _caps(reader, fields)
    cooldown = fields.get("cooldown")
    attempts = fields.get("attempts")
    suitability, suiting = read_suitability(reader, fields, shared.vocabulary)
    routing = read_routing(reader, fields, shared.vocabulary)
    ladders = read_ladders(reader, fields)
    quiet = read_quiet(reader, fields, policy.calendar)
    holdout = fields.get("holdout")
    seasons = read_seasons(reader, fields)
    objectives = read_objectives(reader, fields, shared.vocabulary)
    score = fields.get("score")
    arbitration = fields.get("arbitration")
    window = read_window(reader, arbitration) if arbitration else None
    identity = reader.mapping(fields.entries["identity"].value, grammar.HOLD) if "identity" in fields else None
    half_life = _half_life(fields)
    reach = [reader.choice(item, grammar.CHANNELS) for item in fields.items("reach", "channels")]
    policy = replace(
        policy,
        currency=currency or policy.currency,
        lateness_ms=lateness or policy.lateness_ms,
        skew_ms=skew or policy.skew_ms,
        exclusion=(read_exclusion(reader, exclusion) if exclusion else None) or policy.exclusion,
        consent=frozenset(filter(None, consent)) if "consent" in fields else policy.consent,
        caps=caps if "caps" in fields else policy.caps,
        cooldown=(_cooldown(reader, cooldown) if cooldown else None) or policy.cooldown,
        attempts=(_attempts(reader, attempts) if attempts else None) or policy.attempts,
        suitability=suitability if "suitability" in fields else policy.suitability,
        routing=routing if "routing" in fields else policy.routing,
        ladders=ladders if "ladders" in fields else policy.ladders,
        quiet=quiet if "quiet" in fields else policy.quiet,
        holdout=(read_holdout(reader, holdout) if holdout else None) or policy.holdout,
        seasons=seasons if "seasons" in fields else policy.seasons,
        objectives=objectives if "objectives" in fields else policy.objectives,
        score=(read_score(reader, score, shared.vocabulary) if score else None) or policy.score,
        window_ms=policy.window_ms if window is None else window,
        channel_half_life_ms=policy.channel_half_life_ms if half_life is None else half_life,
        reach=frozenset(filter(None, reach)) or policy.reach,
        samples=fields.integer("samples") or policy.samples,
        hold_ms=(identity.duration("hold") if identity else None) or policy.hold_ms,
        hold_at_most=(identity.integer("at_most") if identity else None) or policy.hold_at_most,
    )
    _check_hold(reader, fields, policy)
    quiet_node = fields.get("quiet")
    items = quiet_node.value if quiet_node is not None and isinstance(quiet_node.value, list) else []
    places_of_days = [item.place for item in items if isinstance(item.value, dict) and "days" in item.value]
    spots = {"quiet": Spot(document.file, places_of_days[0])} if places_of_days else {}
    spots |= {f"caps[{index}]": Spot(document.file, place) for index, place in enumerate(places)}
    spots |= {f"suitability[{index}]": Spot(document.file, place) for index, place in enumerate(suiting)}
    draft = Draft(document.file, fields, policy)
    return replace(
        shared,
        policy=policy,
        spots={**shared.spots, **spots},
        named=tuple(named_in(document.file, fields)),
        drafts=(*shared.drafts, draft),
    )


def _root(document: Document) -> Node:
    return document.root or Node({}, Place(1, 1, ""))


def _currency(reader: Reader, node: Node | None) -> str | None:
    currency = reader.text(node, 3) if node else None
    if currency is not None and node is not None and currency not in CURRENCIES:
        message = f'"{shorten(currency)}" is no active ISO 4217 code such as CNY'
        reader.report(codes.BAD_CHOICE, node.place, message)
    return currency


def _half_life(fields: Fields) -> int | None:
    node = fields.get("channel_half_life")
    return 0 if node is not None and node.value == "none" else fields.duration("channel_half_life")


def _caps(reader: Reader, fields: Fields) -> tuple[tuple[Cap, ...], list[Place]]:
    """The caps, with the place of each."""
    found: dict[tuple[Any, ...], Cap] = {}
    places: list[Place] = []
    for item in fields.items("caps", "caps"):
        cap = _cap(reader, item)
        if cap is None:
            continue
        what = (cap.per_ms, cap.calendar, cap.category, cap.channel, cap.exempt)
        if what in found:
            message = f"two caps count the same contacts: this one and at_most: {found[what].at_most}"
            reader.report(codes.CONTRADICTION, item.place, message)
        else:
            found[what] = cap
            places.append(item.place)
    return tuple(found.values()), places


def _cap(reader: Reader, node: Node) -> Cap | None:
    fields = reader.mapping(node, grammar.CAP)
    if fields is None:
        return None
    at_most = fields.integer("at_most")
    category = fields.identifier("category")
    channel = fields.choice("channel")
    exempt = _excepted(reader, fields)
    if category in exempt:
        message = f'this cap is of the category "{category}" alone, which it lets through'
        reader.report(codes.CONTRADICTION, fields.key_place("except"), message)
    per = fields.get("per")
    length, calendar = _period(reader, per) if per else (None, None)
    if at_most is None or length is None:
        return None
    return Cap(at_most, length, category, channel, calendar, exempt)


def _period(reader: Reader, node: Node) -> tuple[int | None, Calendar | None]:
    if isinstance(node.value, str) and node.value.isalpha():
        if node.value in _LONGEST_PERIOD:
            return _LONGEST_PERIOD[node.value], cast("Calendar", node.value)
        message = f'expected a length of time such as 7d, or day, week or month, found "{shorten(node.value)}"'
        reader.report(codes.BAD_DURATION, node.place, message)
        return None, None
    return reader.duration(node, MINUTE_MS, grammar.LONGEST_CAP_MS), None


def _cooldown(reader: Reader, node: Node) -> Cooldown | None:
    fields = reader.mapping(node, grammar.COOLDOWN)
    if fields is None:
        return None
    lengths = (fields.duration(key) for key in ("all", "category", "trigger"))
    return Cooldown(*(length or 0 for length in lengths))


def _attempts(reader: Reader, node: Node) -> Attempts | None:
    fields = reader.mapping(node, grammar.ATTEMPTS)
    if fields is None:
        return None
    at_most = fields.integer("at_most")
    pause = fields.duration("pause")
    return Attempts(at_most, pause, _excepted(reader, fields)) if at_most and pause else None


def _excepted(reader: Reader, fields: Fields) -> frozenset[str]:
    return frozenset(filter(None, (reader.identifier(item) for item in fields.items("except", "categories"))))


def _check_hold(reader: Reader, fields: Fields, policy: Policy) -> None:
    """What is held longer than the lateness rule allows would be set aside when its link comes."""
    if policy.hold_ms is None or policy.hold_ms <= policy.longest_hold_ms:
        return
    key = next((name for name in ("identity", "lateness", "skew") if name in fields), None)
    if key is None:
        return  # The file that said it has its error.
    message = (
        f"behaviour held for {show_duration(policy.hold_ms)} could be too late for the lateness rule when its link "
        f"comes; expected identity.hold of at most lateness less skew, {show_duration(policy.longest_hold_ms)}"
    )
    reader.report(codes.CONTRADICTION, fields.key_place(key), message)
