"""What there is to type: the verbs of `zoo` and the kinds of plugins, read without importing them.

A module in the folder `commands` of one of our packages is a verb if it says so in one literal:

    VERB = {"group": "Everyone", "rank": 20, "help": "Download one artifact."}

`rank` orders the verbs of a group, `extra` names what brings the packages that the verb needs,
`call` what to call where that is not the function of the module's name, and `name` what is typed
where no module can be called so (`import`). A verb of another
distribution is an entry point of the group `edgezoo.commands`.

A kind of plugins is a package whose `__init__` makes one:

    TASKS: Kind[Task] = Kind("task", "tasks", __name__, like=Task)
"""

import ast
import importlib
import importlib.util
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from zoo_client.extras import missing_extra

if TYPE_CHECKING:
    from zoo_registry.model.plugins import Foreign, Kind

PACKAGES = ("zoo_client", "zoo_builders", "zoo_registry")
GROUPS = ("Everyone", "Model engineer", "Platform engineer")
OTHERS = "From other packages"
_VERB = re.compile(r"^VERB = (\{.*?\})$", re.DOTALL | re.MULTILINE)
_KIND = re.compile(
    r'^(?P<name>[A-Z]+): Kind\[[^=]+\] = Kind\(\s*"[^"]+", "(?P<plural>[a-z]+)", __name__',
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Verb:
    """One row: what is typed, its group, what it does, where it lives, the extra it needs."""

    name: str
    group: str
    help: str
    rank: int = 0
    extra: str = ""
    module: str = ""
    call: str = ""
    foreign: "Foreign | None" = None

    def load(self) -> Any:
        """Import the verb and give its command: a click command made by typer.

        Raises:
            MissingExtra: a package it needs is not installed; the hint is the pip command.
            BrokenPlugin: it belongs to another distribution, and cannot be used.
        """
        if self.foreign is not None:
            return _command(self.name, self.foreign.load())
        try:
            return _command(self.name, getattr(importlib.import_module(self.module), self.call))
        except ModuleNotFoundError as error:
            raise missing_extra(error, f"zoo {self.name}", self.extra) or error from error


def _command(name: str, found: Any) -> Any:
    """Make a command of a function with typer's annotations, or of a `typer.Typer`."""
    if isinstance(found, typer.Typer):
        return typer.main.get_command(found)
    app = typer.Typer(add_completion=False)
    app.command(name)(found)
    return typer.main.get_command(app)


@cache
def shipped() -> Mapping[str, Verb]:
    """Name → verb of those that ship with the zoo, by group and rank."""
    found = [verb for package in PACKAGES for verb in _verbs(package)]
    found.sort(key=lambda verb: (GROUPS.index(verb.group), verb.rank))
    return {verb.name: verb for verb in found}


@cache
def verbs() -> Mapping[str, Verb]:
    """Name → verb of all, the shipped ones first; a name of theirs nobody else can have."""
    from zoo_registry.model.plugins import foreign

    others = {
        found.name: Verb(found.name, OTHERS, found.summary, foreign=found)
        for found in foreign("verb", "commands")
    }
    return {**shipped(), **{name: others[name] for name in others if name not in shipped()}}


def verb(name: str) -> Verb | None:
    """Look up one verb; other distributions are asked only for what does not ship."""
    return shipped().get(name) or verbs().get(name)


def _verbs(package: str) -> Iterator[Verb]:
    for file in _folder(package).glob("commands/*.py"):
        said = _VERB.search(file.read_text(encoding="utf-8"))
        if said is not None:
            row = {"name": file.stem, "call": file.stem, **ast.literal_eval(said[1])}
            yield Verb(module=f"{package}.commands.{file.stem}", **row)


def _folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    return Path(spec.origin).parent if spec is not None and spec.origin else Path(package)


@cache
def kinds() -> Mapping[str, str]:
    """Plural of a kind → where it is made, as `module:NAME`; sorted."""
    found = {}
    for file in (file for package in PACKAGES for file in _folder(package).rglob("__init__.py")):
        made = _KIND.search(file.read_text(encoding="utf-8"))
        if made is not None:
            at = next(i for i, part in enumerate(file.parts) if part in PACKAGES)
            found[made["plural"]] = f"{'.'.join(file.parts[at:-1])}:{made['name']}"
    return dict(sorted(found.items()))


def load_kind(plural: str) -> "Kind[Any]":
    """Import a kind of plugins.

    Raises:
        MissingExtra: the package that brings them needs something that is not installed.
    """
    module, _, name = kinds()[plural].partition(":")
    try:
        found: Kind[Any] = getattr(importlib.import_module(module), name)
        found.names()
    except ModuleNotFoundError as error:
        raise missing_extra(error, f"zoo list {plural}", "build") or error from error
    return found
