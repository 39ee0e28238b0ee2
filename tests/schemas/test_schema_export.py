"""The exported JSON Schema accepts what the system accepts and refuses what it refuses by shape."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import schemas
from schemas.export import export, json_schemas
from schemas.topics import TOPIC, TOPICS

EXAMPLES = Path(schemas.__file__).parent / "examples"
SHAPE_REASONS = {
    "WRONG_TYPE", "UNKNOWN_FIELD", "MISSING_FIELD", "UNKNOWN_VALUE", "UNKNOWN_CURRENCY", "UNKNOWN_VERSION",
    "BAD_NUMBER", "OUT_OF_RANGE", "NOT_AN_OBJECT",
}  # fmt: skip
BAD_SHAPES = sorted(path for path in EXAMPLES.glob("invalid/*/*.json") if path.stem.split(".")[0] in SHAPE_REASONS)


made = cache(json_schemas)
"""Made once: it takes longer than any check by them."""


def validator(topic: str) -> Draft202012Validator:
    return Draft202012Validator(made()[topic])


@pytest.mark.parametrize("topic", sorted(TOPIC))
def test_each_schema_is_json_schema_2020_12_and_says_what_it_is(topic: str) -> None:
    """It is valid by its own dialect, has an id of its own, and names the key and the owner."""
    schema = made()[topic]
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"].endswith("2020-12/schema")
    assert schema["title"] == topic
    assert topic in schema["$id"]
    assert TOPIC[topic].owner in schema["description"]
    assert ":".join(TOPIC[topic].key) in schema["description"]


def test_ids_are_unique() -> None:
    """No two topics share a schema id."""
    ids = [schema["$id"] for schema in made().values()]
    assert len(ids) == len(set(ids)) == len(TOPICS)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*/*.json")), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_each_example_is_valid(path: Path) -> None:
    """A publisher that checks by the schema may send each of the examples."""
    validator(path.parent.name).validate(json.loads(path.read_bytes()))


@pytest.mark.parametrize("path", BAD_SHAPES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_each_bad_example_of_a_wrong_shape_is_invalid(path: Path) -> None:
    """A publisher that checks by the schema is told before the record becomes a dead letter."""
    value: Any = json.loads(path.read_bytes())
    assert not validator(path.parent.name).is_valid(value)


def test_bad_shapes_of_every_kind_are_among_the_examples() -> None:
    """None of the kinds is missing, so that the test above cannot pass by having nothing to do."""
    assert {path.stem.split(".")[0] for path in BAD_SHAPES} == SHAPE_REASONS


def test_export_writes_one_stable_file_for_each_topic(tmp_path: Path) -> None:
    """The directory is made, the files are sorted inside, and a second export changes nothing."""
    directory = tmp_path / "a" / "b"
    files = export(directory)
    assert [file.name for file in files] == [f"{topic.name}.schema.json" for topic in TOPICS]
    before, schemas_of_topics = [file.read_bytes() for file in files], json_schemas()
    assert export(directory) == files
    assert [file.read_bytes() for file in files] == before
    for file, text in zip(files, before, strict=True):
        assert json.loads(text) == schemas_of_topics[file.name.removesuffix(".schema.json")]
        assert list(json.loads(text)) == sorted(json.loads(text))
