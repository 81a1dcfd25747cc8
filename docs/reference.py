"""Write docs/reference.md from the code: plugins, manifest keys, commands, settings, errors. `make golden` runs it.

What is not described in the code fails here: a reference with a hole is a bug of the thing it describes.
"""

from collections.abc import Iterator
from enum import Enum
from typing import Any

import click
import typer
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from zoo_builders import specs
from zoo_builders.data import SOURCES
from zoo_builders.devices import DEVICES
from zoo_builders.models import NETWORKS
from zoo_builders.tasks import TASKS
from zoo_builders.techniques import TECHNIQUES
from zoo_client.cli import VERBS, root
from zoo_registry.model.errors import ZooError
from zoo_registry.model.plugins import Kind


def first_line(thing: Any) -> str:
    """Give the first sentence of a docstring; an undescribed thing is refused."""
    text = (getattr(thing, "doc", "") or thing.__doc__ or "").strip()
    if not text:
        raise SystemExit(f"{thing!r} has no docstring: describe it")
    return text.split("\n\n")[0].replace("\n", " ").strip()


def plugins(title: str, kind: Kind[Any]) -> Iterator[str]:
    """List one kind of plugin with what each is."""
    yield f"## {title}\n\n"
    for name in kind.names():
        yield f"- `{name}`: {first_line(kind.get(name))}\n"
    yield "\n"


def fields(model: type[BaseModel]) -> Iterator[str]:
    """List the keys of one type with type, default and description."""
    yield "| key | type | default | |\n|---|---|---|---|\n"
    for name, field in model.model_fields.items():
        default = "required" if field.default is PydanticUndefined and field.default_factory is None else f"`{_plain(field.default)}`"
        kind = str(getattr(field.annotation, "__name__", field.annotation)).replace("typing.", "").replace("|", "\\|")
        yield f"| `{field.alias or name}` | {kind.replace('zoo_builders.specs.', '')} | {default} | {field.description or ''} |\n"
    yield "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return "{}"
    return value.value if isinstance(value, Enum) else value


def commands() -> Iterator[str]:
    """Show the help of every verb."""
    yield "## Commands\n\n"
    context = click.Context(typer.main.get_command(root) if isinstance(root, typer.Typer) else root, info_name="zoo")
    for group, verbs in VERBS.items():
        yield f"### {group}\n\n"
        for verb in verbs:
            yield f"- `zoo {verb.name}`: {verb.help}\n"
        yield "\n"
    del context


def errors(kind: type[ZooError] = ZooError) -> Iterator[str]:
    """List the error slugs with exit code and HTTP status."""
    if kind is ZooError:
        yield "## Errors\n\n| slug | exit | HTTP | |\n|---|---|---|---|\n"
    for child in kind.__subclasses__():
        yield f"| `{child.slug}` | {child.exit_code} | {child.status} | {first_line(child)} |\n"
        yield from errors(child)


def reference() -> str:
    """Give the whole reference as Markdown."""
    parts = ["# Reference\n\nWritten from the code by `make golden`; do not edit.\n\n"]
    parts += commands()
    for title, kind in (("Networks", NETWORKS), ("Techniques", TECHNIQUES), ("Data sources", SOURCES), ("Tasks", TASKS), ("Devices", DEVICES)):
        parts += plugins(title, kind)
        if kind is TECHNIQUES:
            for name in TECHNIQUES.names():
                parts += [f"### `{name}`\n\n", *fields(TECHNIQUES.get(name).params)]
    parts.append("## Manifest\n\n")
    for model in (specs.Manifest, specs.Base, specs.Weights, specs.Train, specs.Data, specs.Benchmark, specs.MetricGoal, specs.SizeGoal, specs.RatioGoal):
        parts += [f"### {model.__name__}\n\n{first_line(model)}\n\n", *fields(model)]
    parts += errors()
    return "".join(parts)


if __name__ == "__main__":
    print(reference(), end="")
