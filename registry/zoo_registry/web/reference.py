"""What the page of the API shows, read from the OpenAPI document.

Pure: whatever the document says, in words and links.

The document is our own, so what is looked up is there; what JSON Schema can say beyond what our
types use is shown as `any`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

Schema = Mapping[str, Any]

_METHODS = ("get", "head", "post", "put", "patch", "delete")
_PROBLEM = "application/problem+json"
_LIMITS = (
    ("exclusiveMinimum", "> {}"),
    ("minimum", "≥ {}"),
    ("exclusiveMaximum", "< {}"),
    ("maximum", "≤ {}"),
    ("minLength", "at least {} long"),
    ("maxLength", "at most {} long"),
)
_DIGEST = "[0-9a-f]{64}"


@dataclass(frozen=True, slots=True)
class SchemaField:
    """One parameter, or one key of an object; `place` is path, query or header for a parameter."""

    name: str
    kind: Markup
    note: Markup
    required: bool
    place: str = ""


@dataclass(frozen=True, slots=True)
class Body:
    """What is sent or comes back.

    Its media type, its kind, and its keys where it has no name of its own.
    """

    media: str
    kind: Markup
    note: Markup
    fields: tuple[SchemaField, ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """One status that is no problem."""

    status: str
    note: str
    bodies: tuple[Body, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path.

    `headline` is the first sentence of `text`; `problems` are the statuses that are errors.
    """

    ident: str
    method: str
    path: str
    headline: Markup
    text: tuple[Markup, ...]
    parameters: tuple[SchemaField, ...]
    bodies: tuple[Body, ...]
    replies: tuple[Reply, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Subject:
    """Operations of one subject."""

    ident: str
    name: str
    about: Markup
    operations: tuple[Operation, ...]


@dataclass(frozen=True, slots=True)
class Shape:
    """One named object."""

    name: str
    ident: str
    about: Markup
    fields: tuple[SchemaField, ...]


@dataclass(frozen=True, slots=True)
class Reference:
    """The whole page."""

    groups: tuple[Subject, ...]
    problem: Shape | None
    shapes: tuple[Shape, ...]


def reference(document: Schema) -> Reference:
    """Read an OpenAPI 3.1 document: subjects in the order of its tags, then of its paths.

    Shapes by name.
    """
    about = {tag["name"]: tag.get("description", "") for tag in document.get("tags", ())}
    found: dict[str, list[Operation]] = {name: [] for name in about}
    for path, item in document["paths"].items():
        for method in (name for name in _METHODS if name in item):
            found.setdefault(item[method].get("tags", ["other"])[0], []).append(
                _operation(path, method, item[method])
            )
    groups = (
        Subject(_ident("group", name), name, prose(about.get(name, "")), tuple(ops))
        for name, ops in found.items()
        if ops
    )
    shapes = {
        name: _shape(name, schema)
        for name, schema in sorted(document["components"]["schemas"].items())
    }
    problem = shapes.pop("Problem", None)
    return Reference(tuple(groups), problem, tuple(shapes.values()))


def prose(text: str) -> Markup:
    """Set what stands between backticks as code; everything is escaped."""
    parts = text.split("`")
    return Markup().join(
        Markup("<code>{}</code>").format(part) if index % 2 else escape(part)
        for index, part in enumerate(parts)
    )


def _ident(kind: str, *parts: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", "-".join((kind, *parts)).lower()).strip("-")


def _operation(path: str, method: str, operation: Schema) -> Operation:
    said = operation.get("description") or operation.get("summary", "")
    paragraphs = [" ".join(part.split()) for part in said.split("\n\n")]
    errors = [
        status
        for status, reply in operation["responses"].items()
        if _PROBLEM in reply.get("content", {})
    ]
    return Operation(
        ident=_ident("op", method, path),
        method=method.upper(),
        path=path,
        headline=prose(re.split(r"(?<=[.;]) ", paragraphs[0], maxsplit=1)[0].rstrip(".;")),
        text=tuple(map(prose, paragraphs)),
        parameters=tuple(_parameter(parameter) for parameter in operation.get("parameters", ())),
        bodies=_bodies(operation.get("requestBody", {})),
        replies=tuple(
            _reply(status, reply)
            for status, reply in sorted(operation["responses"].items())
            if status not in errors
        ),
        problems=tuple(sorted(errors)),
    )


def _parameter(parameter: Schema) -> SchemaField:
    schema = parameter["schema"]
    return SchemaField(
        parameter["name"],
        kind(schema),
        _note(schema, parameter.get("description", "")),
        parameter["required"],
        parameter["in"],
    )


def _bodies(content_of: Schema) -> tuple[Body, ...]:
    contents = content_of.get("content", {})
    return tuple(_body(media, content.get("schema", {})) for media, content in contents.items())


def _body(media: str, schema: Schema) -> Body:
    about = schema.get("description", "").split("\n\n")[0]
    return Body(media, kind(schema), prose(" ".join(about.split())), _fields(schema))


def _reply(status: str, reply: Schema) -> Reply:
    note = reply.get("description", "")
    return Reply(status, "" if note == "Successful Response" else note, _bodies(reply))


def _shape(name: str, schema: Schema) -> Shape:
    about = schema.get("description", "").split("\n\n")[0]
    return Shape(name, _ident("shape", name), prose(" ".join(about.split())), _fields(schema))


def _fields(schema: Schema) -> tuple[SchemaField, ...]:
    required = schema.get("required", ())
    return tuple(
        SchemaField(name, kind(part), _note(part, part.get("description", "")), name in required)
        for name, part in schema.get("properties", {}).items()
    )


def _note(schema: Schema, description: str) -> Markup:
    """Say what a value means, and what it is when it is not given."""
    default = schema.get("default")
    told = (
        ""
        if default in (None, "", [], {})
        else f"default `{str(default).lower() if isinstance(default, bool) else default}`"
    )
    return prose("; ".join(part for part in (description, told) if part))


def kind(schema: Schema) -> Markup:
    """Spell a type: `integer ≥ 1`, `list of Summary` with a link, `"dense" or "sparse"`."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return Markup('<a href="#{}">{}</a>').format(_ident("shape", name), name)
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return Markup(" or ").join(kind(part) for part in schema[several])
    if "enum" in schema or "const" in schema:
        return Markup(" or ").join(
            Markup("<code>{}</code>").format(value)
            for value in schema.get("enum") or [schema["const"]]
        )
    return _plain(schema)


def _plain(schema: Schema) -> Markup:
    name = schema.get("type", "any")
    if name == "array":
        return _list(schema)
    if name == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        return Markup("map of string to {}").format(kind(schema["additionalProperties"]))
    if name == "string" and _DIGEST in schema.get("pattern", ""):
        return Markup("sha256")
    if name == "string" and schema.get("format") == "binary":
        return Markup("bytes")
    limits = Markup(", ").join(_limits(schema))
    return Markup("{}{}{}").format(
        name, " " if name in ("integer", "number") and limits else ", " if limits else "", limits
    )


def _limits(schema: Schema) -> Iterable[Markup]:
    return (escape(text.format(schema[key])) for key, text in _LIMITS if key in schema)


def _list(schema: Schema) -> Markup:
    if "prefixItems" in schema:
        return Markup("[{}]").format(
            Markup(", ").join(kind(part) for part in schema["prefixItems"])
        )
    return Markup("list of {}").format(kind(schema.get("items", {})))
