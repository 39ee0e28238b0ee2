"""JSON Schemas of rule files, so that editors complete, explain on hover, and underline. Built from the forms alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

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
    Shape,
    Text,
    Whole,
    Written,
)
from triggers.language.grammar import FILES, TRIGGER
from triggers.language.names import CATALOGUE, HELPERS
from triggers.language.reader import DURATION, IDENTIFIER, show_duration

DIALECT: Final = "http://json-schema.org/draft-07/schema#"
"""What the common language server for YAML understands best."""
TRIGGER_SCHEMA: Final = "trigger.schema.json"

_KINDS: Final = {
    "flag": "A condition; it does not hold where a value in it is unknown.",
    "number": "An expression that gives money or a number.",
    "value": "An expression.",
}
_EXPRESSION_TYPES: Final = {"flag": ["string", "boolean"], "number": ["string", "number"]}

Schema = dict[str, Any]


def editor_schemas() -> dict[str, Schema]:
    """A JSON Schema (draft 7) by the name of its file: of triggers, and of each file beside them."""
    beside = {f"{name.removesuffix('.yaml')}.schema.json": form for name, form in FILES.items()}
    return {name: _document(name, form) for name, form in {TRIGGER_SCHEMA: TRIGGER, **beside}.items()}


def editor_settings(folder: str, rules: str) -> Schema:
    """The setting ``yaml.schemas`` of VS Code: which schema in ``folder`` is for which files under ``rules``."""
    others = [f"!{rules}/**/{name}" for name in FILES]
    found: dict[str, Any] = {f"{folder}/{TRIGGER_SCHEMA}": [f"{rules}/**/*.yaml", *others]}
    for name in FILES:
        found[f"{folder}/{name.removesuffix('.yaml')}.schema.json"] = f"{rules}/**/{name}"
    return {"yaml.schemas": found}


def _document(name: str, form: Form) -> Schema:
    builder = _Builder()
    root = builder.mapping(form)
    return {
        "$schema": DIALECT,
        "$id": f"urn:bank-triggers:editor:{name.removesuffix('.schema.json')}",
        "title": form.what,
        **root,
        "definitions": dict(sorted(builder.definitions.items())),
    }


class _Builder:
    """Shapes as schemas; a form that stands in another is a definition, told once."""

    def __init__(self) -> None:
        self.definitions: dict[str, Schema] = {}
        self._names: dict[int, str] = {}

    def of(self, shape: Shape) -> Schema:
        match shape:
            case Text():
                return {"type": "string", "minLength": 1, "maxLength": shape.limit}
            case Name():
                return {"type": "string", "pattern": _whole(IDENTIFIER.pattern)}
            case Whole():
                return {"type": "integer", "minimum": shape.low, "maximum": shape.high}
            case Number():
                return {"type": "number", "minimum": float(shape.low), "maximum": float(shape.high)}
            case Flag():
                return {"type": "boolean"}
            case OneOf():
                return {"enum": list(shape.values)}
            case Written():
                return {"type": "string", "pattern": _whole(shape.pattern), "examples": [shape.example]}
            case Length():
                about = f"A length of time from {show_duration(shape.low)} to {show_duration(shape.high)}, such as 7d."
                return {"type": "string", "pattern": _whole(DURATION.pattern), "description": about}
            case Expression():
                return _expression(shape)
            case Items():
                counts = {"minItems": shape.least, "maxItems": shape.most}
                return {"type": "array", "items": self.of(shape.of), **counts}
            case ByName():
                names = {"pattern": _whole(IDENTIFIER.pattern)}
                return {"type": "object", "propertyNames": names, "additionalProperties": self.of(shape.of)}
            case AnyOf():
                return self._any_of(shape)
        return self._reference(shape)

    def _any_of(self, shape: AnyOf) -> Schema:
        """Where one is a list, what is wrong in a list is shown at its place in it."""
        lists = [inner for inner in shape.shapes if isinstance(inner, Items)]
        others = [self.of(inner) for inner in shape.shapes if not isinstance(inner, Items)]
        other = others[0] if len(others) == 1 else {"anyOf": others}
        if len(lists) != 1:
            return {"anyOf": [self.of(inner) for inner in shape.shapes]}
        return {"if": {"type": "array"}, "then": self.of(lists[0]), "else": other}

    def mapping(self, form: Form | Record) -> Schema:
        """The schema of a form itself."""
        if isinstance(form, Record):
            known = form.model.model_json_schema(mode="validation")
            properties = {name: known["properties"][name] for name in form.names if name in known["properties"]}
            for name in properties:
                properties[name] = {key: value for key, value in properties[name].items() if key != "title"}
            return {
                "type": ["object", "null"],
                "properties": properties | self._properties(form.more),
                "additionalProperties": False,
            }
        return {
            "type": "object",
            "properties": self._properties(form.keys),
            "required": list(form.required),
            "additionalProperties": False if form.others is None else self.of(form.others),
        }

    def _properties(self, keys: Iterable[Key]) -> Schema:
        return {key.name: _described(self.of(key.shape), key.about) for key in keys}

    def _reference(self, form: Form | Record) -> Schema:
        name = self._names.get(id(form))
        if name is None:
            words = form.what.removeprefix("a ").removeprefix("an ").replace(" ", "_")
            taken = sum(known == words or known.startswith(f"{words}_") for known in self._names.values())
            name = self._names[id(form)] = f"{words}_{taken + 1}" if taken else words
            self.definitions[name] = self.mapping(form)
        return {"$ref": f"#/definitions/{name}"}


def _described(schema: Schema, about: str) -> Schema:
    """A schema with what it is about; what stands beside a reference would not be read."""
    if "$ref" in schema:
        return {"description": about, "allOf": [schema]}
    more = schema.get("description")
    return {**schema, "description": f"{about}\n{more}" if more else about}


def _expression(shape: Expression) -> Schema:
    names = ", ".join(sorted({path.rpartition(".")[0] + ".*" for path in CATALOGUE}))
    return {
        "type": _EXPRESSION_TYPES.get(shape.gives, ["string", "number", "boolean"]),
        "description": f"{_KINDS[shape.gives]} It may use {names}, features, and {', '.join(HELPERS)}.",
    }


def _whole(pattern: str) -> str:
    return f"^(?:{pattern})$"
