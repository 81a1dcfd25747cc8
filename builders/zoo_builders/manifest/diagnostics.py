"""Mistakes in a manifest, gathered so that all are reported at once.

Pydantic's findings in the words of people.
"""

import json
import types
import typing
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, RootModel, ValidationError
from pydantic.fields import FieldInfo

from zoo_builders.manifest.yaml_lines import Document, Key, spell
from zoo_registry.model.errors import InvalidManifest
from zoo_registry.model.record import shorten
from zoo_registry.model.suggest import nearest

_KINDS = {
    bool: "true/false",
    int: "whole number",
    float: "number",
    str: "text",
    list: "list",
    dict: "mapping",
    type(None): "nothing",
}


class Mistakes:
    """Collects what is wrong with one file.

    Args:
        file: how messages name it.
        document: for the line of each key.
    """

    def __init__(self, file: str, document: Document) -> None:
        self.file, self.document = file, document
        self.found: list[InvalidManifest] = []

    def add(self, key: Key, message: str, hint: str = "") -> None:
        """Note a mistake at `key`."""
        self.found.append(
            InvalidManifest(
                message, file=self.file, line=self.document.line(key), key=spell(key), hint=hint
            )
        )

    def add_validation(
        self, error: ValidationError, model: type[BaseModel], above: Key = ()
    ) -> list[Key]:
        """Note everything pydantic found in the part of the document at `above`.

        Give the keys that are wrong.
        """
        keys = []
        for item in error.errors(include_url=False):
            key, line = self._key(above, item["loc"]), 0
            message, hint = _words(item, model, key[len(above) :])
            if item["type"] == "missing":
                line = self.document.line(key[:-1])
            self.found.append(
                InvalidManifest(
                    message,
                    file=self.file,
                    line=line or self.document.line(key),
                    key=spell(key),
                    hint=hint,
                )
            )
            keys.append(key)
        return keys

    def _key(self, above: Key, loc: Sequence[str | int]) -> Key:
        """Pydantic's location without the names of union members, which stand in no file."""
        key = above
        for index, part in enumerate(loc):
            if (*key, part) in self.document.lines or (index == len(loc) - 1 and part != "[key]"):
                key = (*key, part)
        return key

    def finish(self) -> None:
        """Raise what was found.

        Raises:
            InvalidManifest: the one mistake, or all of them as one.
        """
        if len(self.found) == 1:
            raise self.found[0]
        if self.found:
            raise InvalidManifest.several(self.found, file=self.file)


def validate(model: type[BaseModel], data: Any) -> BaseModel:
    """Check YAML data as strictly as JSON: text is no number, but a list may fill a tuple.

    Raises:
        ValidationError: it breaks the model.
    """
    return model.model_validate_json(json.dumps(data), strict=True)


def found_text(value: Any) -> str:
    """Write a value of the file and what kind of thing it is."""
    kind = _KINDS.get(type(value), type(value).__name__)
    return f"{shorten(json.dumps(value, ensure_ascii=False), 60)} ({kind})"


def _words(item: Any, model: type[BaseModel], key: Key) -> tuple[str, str]:
    if item["type"] == "extra_forbidden":
        return f"unknown key {str(key[-1])!r}", nearest(str(key[-1]), fields_at(model, key[:-1]))
    if item["type"] == "missing":
        return f"the key {str(key[-1])!r} is missing", f"add {key[-1]}: …"
    if item["type"] == "value_error":
        return str(item["ctx"]["error"]), _described(model, key)
    message = str(item["msg"]).replace("Input should be ", "expected ")
    if not message.startswith("expected"):
        message = f"expected {message[:1].lower()}{message[1:]}"
    hint = _described(model, key) or (
        "put it in quotes" if item["type"] == "string_type" else f"change the value of {spell(key)}"
    )
    return f"{message}, found {found_text(item['input'])}", hint


def fields_at(model: type[BaseModel], key: Key) -> list[str]:
    """Names that may stand at a place below `model`, as a manifest spells them."""
    names: list[str] = []
    for found in _models_at(model, key):
        names += [field.alias or name for name, field in found.model_fields.items()]
    return list(dict.fromkeys(names))


def _described(model: type[BaseModel], key: Key) -> str:
    """Take the description of the field at `key` as the hint, where it has one."""
    for owner in _models_at(model, key[:-1]) if key else []:
        for name, field in owner.model_fields.items():
            if (field.alias or name) == key[-1]:
                return _default(field)
    return ""


def _default(field: FieldInfo) -> str:
    text = field.description or ""
    if (
        field.is_required()
        or field.default_factory is not None
        or isinstance(field.default, BaseModel | dict)
    ):
        return text
    spelled = f"default: {json.dumps(field.default, default=str)}"
    return f"{text} ({spelled})" if text else spelled


def _models_at(model: type[BaseModel], key: Key) -> list[type[BaseModel]]:
    types_here: list[Any] = [model]
    for part in key:
        types_here = [deeper for here in types_here for deeper in _step(here, part)]
    return [found for here in types_here for found in _flat(here)]


def _flat(annotation: Any) -> list[type[BaseModel]]:
    if (
        isinstance(annotation, type)
        and issubclass(annotation, BaseModel)
        and not issubclass(annotation, RootModel)
    ):
        return [annotation]
    if typing.get_origin(annotation) in {typing.Union, types.UnionType, typing.Annotated}:
        return [found for part in typing.get_args(annotation) for found in _flat(part)]
    return []


def _step(annotation: Any, part: str | int) -> list[Any]:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in {typing.Union, types.UnionType}:
        return [deeper for argument in arguments for deeper in _step(argument, part)]
    if origin is dict:
        return [arguments[1]]
    if origin in {list, tuple}:
        return [arguments[0]]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [
            f.annotation for name, f in annotation.model_fields.items() if (f.alias or name) == part
        ]
    return []
