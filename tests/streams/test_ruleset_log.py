"""The rule sets on Kafka: of what stands under a hash, only what has it, and whom the reader trusts, is taken."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from streams import ruleset_log
from streams.ruleset_log import read_rulesets, ruleset_message
from streams.signing import ANYONE, Release, Trust
from streams.store import NO_SIGNATURES
from tests.support.release_keys import ReleaseKey
from triggers.language.loader import load_ruleset
from triggers.language.model import RuleSet

RULES = Path(__file__).resolve().parents[1] / "integration" / "rules"


@dataclass(frozen=True, slots=True)
class _Told:
    value: bytes | None


class _Topic:
    """What stands on the topic, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.values: list[bytes | None] = []
        monkeypatch.setattr(ruleset_log, "read_topic", self.read)

    async def read(self, _options: Any, name: str) -> AsyncIterator[_Told]:
        assert name == "p.outreach.rulesets"
        for value in self.values:
            yield _Told(value)

    def put(self, release: Release, changes: Mapping[str, str] = NO_SIGNATURES) -> None:
        body = (ruleset_message("bank", release).value or b"").decode()
        for old, new in changes.items():
            assert old in body
            body = body.replace(old, new)
        self.values.append(body.encode())


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> _Topic:
    return _Topic(monkeypatch)


def _ruleset(name: str) -> RuleSet:
    loaded = load_ruleset([RULES / name])
    assert loaded.ruleset is not None, loaded.problems
    return loaded.ruleset


async def _read(trust: Trust, *wanted: str) -> tuple[dict[str, Release], dict[str, str]]:
    return await read_rulesets({}, "p.", "bank", wanted, trust)


async def test_another_document_under_the_hash_hides_nothing(topic: _Topic) -> None:
    """Whoever else may write there can neither slip rules in nor make ours unfindable, before ours or after."""
    ours, other = _ruleset("independent"), _ruleset("replaced")
    forged = {other.hash: ours.hash}
    topic.values += [None, b"", b"{"]
    topic.put(Release(other), forged)
    found, why = await _read(ANYONE, ours.hash)
    assert found == {}
    assert f"its content is that of rule set {other.hash}" in why[ours.hash]
    topic.put(Release(ours))
    topic.put(Release(other), forged)
    found, why = await _read(ANYONE, ours.hash, "unknown")
    assert {name: one.ruleset.document for name, one in found.items()} == {ours.hash: ours.document}
    assert why == {}


async def test_only_what_a_trusted_key_signed_is_taken(topic: _Topic, tmp_path: Path) -> None:
    """The signature is kept with the document; without one of a key that is trusted it is as good as not there."""
    ours = _ruleset("independent")
    key, stranger = (ReleaseKey.make(tmp_path, name) for name in ("key", "stranger"))
    trust = Trust({key.id: key.secret.public_key()}, "the keys")
    topic.put(Release(ours))
    found, why = await _read(trust, ours.hash)
    assert (found, why) == ({}, {ours.hash: "it is not signed"})
    topic.put(Release(ours, {stranger.id: stranger.signature(ours.document)}))
    assert (await _read(trust, ours.hash))[0] == {}
    topic.put(Release(ours, signatures := {key.id: key.signature(ours.document)}))
    found, why = await _read(trust, ours.hash)
    assert found[ours.hash].signatures == signatures
    assert why == {}
