"""Write docs/reference.md from the code: plugins, manifest keys, commands, settings, errors.

`make golden` runs it.

What is not described in the code fails here: a reference with a hole is a bug of the thing it
    describes.
"""

import inspect
import re
from collections.abc import Iterator
from enum import Enum
from itertools import groupby
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

import zoo_builders.data.splits
import zoo_builders.tflite.flatbuffer  # noqa: F401  both bring their errors
from zoo_builders import spec
from zoo_builders.data.preprocess import STEPS
from zoo_builders.manifest import schema
from zoo_builders.training import settings as specs
from zoo_client import inventory
from zoo_client import settings as client_settings
from zoo_registry import settings as server_settings
from zoo_registry.model.errors import ZooError
from zoo_registry.model.plugins import Kind

SECTION = re.compile(r"[A-Z][a-z]+:(\n|$)|[-*|]|```|\d+\. ")
"""How a paragraph begins that is no prose: a section such as `Args:`, a list, a table, code."""


def prose(text: str) -> list[str]:
    """Give what a text says first: its first paragraph, and the second where that is prose too."""
    first, *more = inspect.cleandoc(text).split("\n\n")
    said = [first] if not more or SECTION.match(more[0]) else [first, more[0]]
    return [" ".join(paragraph.split()) for paragraph in said]


def described(thing: Any) -> str:
    """Give what a docstring says first; an undescribed thing is refused."""
    text = getattr(thing, "doc", "") or thing.__doc__ or ""
    if not text.strip():
        raise SystemExit(f"{thing!r} has no docstring: describe it")
    return " ".join(prose(text))


def plugins(kind: Kind[Any]) -> Iterator[str]:
    """List one kind of plugin with what each is, and the keys of those that a manifest sets."""
    yield f"## {kind.noun.capitalize()}s\n\n`zoo list {kind.plural}`\n\n"
    for name, plugin in sorted(kind.own().items()):
        yield f"- `{name}`: {described(plugin)}\n"
    yield "\n"
    for name, plugin in sorted(kind.own().items()):
        params = getattr(plugin, "params", None)
        if params is not None and params.model_fields:
            yield f"### `{name}`\n\n"
            yield from fields(params)


def preprocessing() -> Iterator[str]:
    """List the steps between a data source and the model, with the keys of those that have some."""
    yield "## Preprocessing\n\n"
    for name, step in STEPS.items():
        yield f"- `{name}`: {described(step)}\n"
    yield "\n"
    for name, step in STEPS.items():
        if issubclass(step, spec.Spec) and step.model_fields:
            yield f"### `{name}`\n\n"
            yield from fields(step)


def fields(model: type[BaseModel]) -> Iterator[str]:
    """List the keys of one type with type, default and description."""
    yield "| key | type | default | |\n|---|---|---|---|\n"
    for name, field in model.model_fields.items():
        default = (
            "required"
            if field.default is PydanticUndefined and field.default_factory is None
            else f"`{_plain(field.default)}`"
        )
        yield (
            f"| `{field.alias or name}` | {kind_of(field.annotation)} | {default} |"
            f" {field.description or ''} |\n"
        )
    yield "\n"


def kind_of(annotation: Any) -> str:
    """Spell a type for people: choices as their values, optional as `or nothing`."""
    arguments = [argument for argument in get_args(annotation) if argument is not type(None)]
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if get_origin(annotation) is Annotated:
        return kind_of(arguments[0])
    if get_origin(annotation) in (Union, UnionType):
        return " or ".join(map(kind_of, arguments))
    return str(getattr(annotation, "__name__", annotation))


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return "{}"
    return value.value if isinstance(value, Enum) else value


def commands() -> Iterator[str]:
    """Show every verb with its arguments and options."""
    yield (
        "## Commands\n\nEvery command takes `--help`; exit code 0 yes, 1 the answer is no, 2 wrong"
        " use, 3 the other side failed.\n\n"
    )
    for group, verbs in groupby(inventory.shipped().values(), lambda verb: verb.group):
        yield f"### {group}\n\n"
        for verb in verbs:
            command = verb.load()
            told = " ".join([verb.help, *prose(command.help or "")[1:]])
            yield f"**`zoo {verb.name}`** {told}\n\n"
            yield from options(command, f"zoo {verb.name}")


def options(command: Any, name: str) -> Iterator[str]:
    """List what a command takes; a group lists its commands."""
    inner = getattr(command, "commands", None)
    if inner and set(inner) != {name.rsplit(maxsplit=1)[-1]}:
        for word, child in inner.items():
            yield f"`{name} {word}` {' '.join(prose(child.help or ''))}\n\n"
            yield from options(child, f"{name} {word}")
        if not command.invoke_without_command:
            return
    shown = [
        param
        for param in command.params
        if getattr(param, "help", "")
        and "--help" not in param.opts
        and not getattr(param, "hidden", False)
    ]
    for param in shown:
        spelled = (
            ", ".join(param.opts)
            if param.param_type_name == "option"
            else (param.metavar or param.name)
        )
        yield f"- `{spelled}` {param.help}\n".replace("\\[", "[")
    yield "\n" if shown else ""


def settings() -> Iterator[str]:
    """Show what the environment may say, as the two readers of it describe themselves."""
    yield "## Settings\n\nRead from the environment.\n\n### Everyone\n\n"
    described = inspect.getdoc(client_settings.Settings) or ""
    attributes = re.sub(
        r"\n {8,}", " ", described.split("Attributes:\n")[1]
    )  # a description may go on in further lines
    for line in attributes.splitlines():
        _, text = line.strip().split(": ", 1)
        yield f"- {text}\n" if "`" in text else ""
    table = (server_settings.__doc__ or "").split("\n\n")[1]
    yield f"\n### The server\n\n```\n{inspect.cleandoc(table)}\n```\n\n"


def errors(kind: type[ZooError] = ZooError) -> Iterator[str]:
    """List the error slugs with exit code and HTTP status."""
    if kind is ZooError:
        yield "## Errors\n\n| slug | exit | HTTP | |\n|---|---|---|---|\n"
    ours = (child for child in kind.__subclasses__() if child.__module__.startswith("zoo_"))
    for child in sorted(ours, key=lambda child: child.slug):
        yield f"| `{child.slug}` | {child.exit_code} | {child.status} | {described(child)} |\n"
        yield from errors(child)


def reference() -> str:
    """Give the whole reference as Markdown."""
    parts = ["# Reference\n\nWritten from the code by `make golden`; do not edit.\n\n"]
    parts += commands()
    for kind in map(inventory.load_kind, inventory.kinds()):
        parts += plugins(kind)
        parts += preprocessing() if kind.plural == "data" else []
    parts.append("## Manifest\n\n")
    for model in (
        schema.Manifest,
        schema.Base,
        schema.Weights,
        specs.Train,
        schema.Data,
        schema.Benchmark,
        schema.MetricGoal,
        schema.SizeGoal,
        schema.RatioGoal,
    ):
        parts += [f"### {model.__name__}\n\n{described(model)}\n\n", *fields(model)]
    parts += [*settings(), *errors()]
    return "".join(parts)


if __name__ == "__main__":
    print(reference(), end="")
