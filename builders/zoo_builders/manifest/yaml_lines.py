"""YAML as manifests use it: plain data, with the line of every key.

Whatever could surprise is refused.

The subset is mappings with text keys, lists, text, numbers, true/false and null, read by the rules
of YAML 1.2 (`no` is text, `1e-3` is a number). Tags, merge keys, duplicate keys, tabs and alias
bombs are refused. Anchors work, within a bound.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from zoo_registry.model.errors import InvalidManifest

MAX_BYTES = 1 << 20
MAX_DEPTH = 24
MAX_NODES = 20_000
MAX_NUMBER = 32
"""Longer digits are text: a sha256 may look like a number."""

Key = tuple[str | int, ...]

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INT = re.compile(r"[-+]?[0-9]{1,19}")
_FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)
_WORDS: Mapping[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_FLOW_BREAKERS = re.compile(r"\{.*(\w\[|\$\{)")


@dataclass(slots=True)
class Document:
    """What a YAML file says, and the line (from 1) on which each key or list item starts."""

    data: Any
    lines: dict[Key, int] = field(default_factory=dict)

    def line(self, key: Key) -> int:
        """Line of `key`, or of the nearest place above it that stands in the file; 1 at worst."""
        while key and key not in self.lines:
            key = key[:-1]
        return self.lines.get(key, 1)


def spell(key: Key) -> str:
    """Write a key path the way people do: `variants.int8[0].quantize`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in key)
    return text.removeprefix(".")


def in_one_line(value: Mapping[str, Any]) -> str:
    """Spell a piece of a manifest as one line of it, for a message to show what to write."""
    line: str = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=math.inf)
    return line.strip()[1:-1]


def read(raw: bytes, file: str) -> Document:
    """Read one YAML document; `file` is only for messages.

    Raises:
        InvalidManifest: it is too large, too deep, not YAML, or uses what manifests do not; with
            file and line.
    """
    text = _decode(raw, file)
    try:
        for event in _bounded(text, file):
            _refuse_tags(event, file)
        root = yaml.compose(text, Loader=_LOADER)
    except yaml.YAMLError as error:
        raise _syntax(error, text, file) from error
    if root is None:
        raise InvalidManifest(
            "the file is empty",
            file=file,
            line=1,
            hint="zoo init   # writes a manifest to start from",
        )
    return _Builder(file).build(root)


def _decode(raw: bytes, file: str) -> str:
    if len(raw) > MAX_BYTES:
        raise InvalidManifest(
            f"{len(raw)} bytes; a manifest has at most {MAX_BYTES}", file=file, line=1
        )
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InvalidManifest(
            "not UTF-8 text", file=file, line=line, hint="save the file as UTF-8"
        ) from error


def _bounded(text: str, file: str) -> Iterator[Any]:
    """Give the parser's events.

    Refusing depth and number before anything is composed (composing is recursive).
    """
    depth = 0
    for number, event in enumerate(yaml.parse(text, Loader=_LOADER)):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(
            event, yaml.CollectionEndEvent
        )
        if depth > MAX_DEPTH or number > MAX_NODES:
            what = (
                f"nested deeper than {MAX_DEPTH}"
                if depth > MAX_DEPTH
                else f"more than {MAX_NODES} nodes"
            )
            raise InvalidManifest(what, file=file, line=_line(event))
        yield event


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _refuse_tags(event: Any, file: str) -> None:
    if getattr(event, "tag", None) not in {None, "!"}:
        hint = "write the value without a tag"
        raise InvalidManifest(
            f"tags such as {event.tag} are not used in manifests",
            file=file,
            line=_line(event),
            hint=hint,
        )


def _syntax(error: yaml.YAMLError, text: str, file: str) -> InvalidManifest:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line = getattr(mark, "line", 0) + 1
    problem = str(getattr(error, "problem", None) or error).splitlines()[0]
    lines = text.splitlines()
    shown = lines[line - 1] if line <= len(lines) else ""
    if "\t" in shown:
        hint = "indent with spaces, not tabs"
    elif _FLOW_BREAKERS.search(shown):
        hint = 'inside {…} put quotes around values with [ ] or ${ }: {train: "train[:90%]"}'
    else:
        hint = f"see line {line}: {shown.strip()[:80]}"
    return InvalidManifest(f"not YAML: {problem}", file=file, line=line, hint=hint)


class _Builder:
    """Turns composed nodes into data.

    Aliases are expanded, so the count here is what an alias bomb runs into.
    """

    def __init__(self, file: str) -> None:
        self._file, self._count = file, 0
        self._lines: dict[Key, int] = {}

    def build(self, root: Any) -> Document:
        return Document(self._value(root, ()), self._lines)

    def _refuse(self, node: Any, message: str, key: Key = (), hint: str = "") -> InvalidManifest:
        line = (
            self._lines.get(key[:1], 1)
            if hint.startswith("write the values out")
            else node.start_mark.line + 1
        )
        return InvalidManifest(message, file=self._file, line=line, key=spell(key), hint=hint)

    def _value(self, node: Any, key: Key) -> Any:
        self._count += 1
        if self._count > MAX_NODES or len(key) > MAX_DEPTH:
            hint = "write the values out: aliases (*name) that contain aliases multiply"
            raise self._refuse(
                node,
                f"aliases expand to more than {MAX_NODES} values or {MAX_DEPTH} levels",
                key,
                hint,
            )
        self._lines.setdefault(key, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, key)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item, (*key, index)) for index, item in enumerate(node.value)]
        return self._scalar(node, key)

    def _mapping(self, node: Any, key: Key) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            name = self._name(key_node, key)
            where = (*key, name)
            if name in found:
                hint = f"it stands on line {self._lines[where]} already; remove or rename one"
                raise self._refuse(key_node, f"the key {name!r} stands twice", where, hint)
            self._lines[where] = key_node.start_mark.line + 1
            found[name] = self._value(value_node, where)
        return found

    def _name(self, node: Any, key: Key) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise self._refuse(node, "a key must be text", key)
        if node.value == "<<" and not node.style:
            raise self._refuse(
                node, "merge keys (<<) are not used in manifests", key, "write the keys out"
            )
        return self._text(node, key)

    def _text(self, node: Any, key: Key) -> str:
        text = str(node.value)
        if any("\ud800" <= letter <= "\udfff" for letter in text):
            raise self._refuse(node, "half a surrogate pair is not text", key)
        return text

    def _scalar(self, node: Any, key: Key) -> Any:
        text = self._text(node, key)
        if node.style in {"'", '"', "|", ">"}:
            return text
        if text in _WORDS:
            return _WORDS[text]
        if _INT.fullmatch(text):
            return int(text)
        if _FLOAT.fullmatch(text) and len(text) <= MAX_NUMBER:
            return self._number(node, text, key)
        return text

    def _number(self, node: Any, text: str, key: Key) -> float:
        """Read a number; what is none, or is too large to be one, is refused with its line."""
        value = math.nan if text.lower().endswith(("inf", "nan")) else float(text)
        if not math.isfinite(value):
            raise self._refuse(node, f"{text} is not a number that can be used", key, "write one")
        return value
