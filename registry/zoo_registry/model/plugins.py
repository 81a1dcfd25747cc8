"""How a plugin of any kind is found: by being there.

A plugin of the zoo is a module or a folder in the package of its kind, which registers itself by
being imported. A plugin of another installed distribution is named by an entry point:

    [project.entry-points."edgezoo.tasks"]
    depth = "edgezoo_depth.task:DEPTH"

The name is the plugin's name, the object is the plugin; the group ends in the plural of the kind.
Such a plugin is imported when it is asked for by name, or when all of its kind are. One that cannot
be used breaks nothing else: it is a `Broken`, told with its distribution.
"""

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from zoo_registry.model.errors import BrokenPlugin, UnknownPlugin
from zoo_registry.model.suggest import nearest

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")
GROUPS = "edgezoo."
"""What the groups of entry points begin with."""
_loading: "list[EntryPoint]" = []
"""The entry points whose modules are being imported now."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """A plugin that another installed distribution names, not imported yet."""

    noun: str
    entry: "EntryPoint"
    like: type | None = None

    @property
    def name(self) -> str:
        """What the plugin is called."""
        return self.entry.name

    @property
    def distribution(self) -> str:
        """Name of the distribution that brings it."""
        return self.entry.dist.name if self.entry.dist is not None else "?"

    @property
    def summary(self) -> str:
        """One line on the distribution, as it says itself, with its name and version."""
        if self.entry.dist is None:
            return self.distribution
        said = self.entry.dist.metadata["Summary"] or ""
        return f"{said} ({self.distribution} {self.entry.dist.version})".strip()

    def load(self) -> Any:
        """Import it; what it prints goes to stderr, because stdout is the answer's.

        Raises:
            BrokenPlugin: its module does not run, or the object is no plugin of its kind.
        """
        _loading.append(self.entry)
        try:
            with redirect_stdout(sys.stderr):
                plugin = self.entry.load()
        except (Exception, SystemExit) as error:  # code of others may raise anything
            raise self.broken(f"{type(error).__name__}: {error}") from error
        finally:
            _loading.pop()
        if wrong := _unlike(plugin, self.like):
            raise self.broken(wrong)
        return plugin

    def broken(self, why: str) -> BrokenPlugin:
        """Say that it cannot be used, and whose it is."""
        return BrokenPlugin(
            f"{self.noun} {self.name!r} of {self.distribution} cannot be used: {why}",
            hint=f"pip install --upgrade {self.distribution}   # or pip uninstall it",
        )


@cache
def _entries() -> "Mapping[str, tuple[EntryPoint, ...]]":
    """Group → entry points, of our groups alone.

    Most installations have none. Looking for the word in the files is ten times as fast as the
    library, which every start of `zoo` would wait for.
    """
    if not any(f"[{GROUPS}".encode() in _bytes(file) for file in _entry_files()):
        return {}
    from importlib.metadata import entry_points

    found = entry_points()
    return {
        group: tuple(sorted(found.select(group=group), key=_order))
        for group in found.groups
        if group.startswith(GROUPS)
    }


def _bytes(file: Path) -> bytes:
    """Read a file of another installation; nothing of one that we may not read."""
    try:
        return file.read_bytes()
    except OSError:
        return b""


def _entry_files() -> Iterator[Path]:
    for folder in (Path(part) for part in sys.path):
        if folder.is_dir():
            yield from folder.glob("*.*-info/entry_points.txt")


def _order(entry: "EntryPoint") -> tuple[str, str]:
    return entry.name, entry.dist.name if entry.dist is not None else ""


def foreign(noun: str, plural: str, like: type | None = None) -> tuple[Foreign, ...]:
    """List the plugins of a kind that other distributions name; imports none of them."""
    return tuple(Foreign(noun, entry, like) for entry in _entries().get(f"{GROUPS}{plural}", ()))


def brought_by(modules: Iterable[str]) -> tuple[str, ...]:
    """Name the distributions whose plugins live in the packages of these modules, sorted."""
    packages = {module.partition(".")[0] for module in modules}
    entries = (entry for group in _entries().values() for entry in group)
    return tuple(
        sorted({e.dist.name for e in entries if e.dist and e.module.partition(".")[0] in packages})
    )


def _unlike(plugin: Any, like: type | None) -> str:
    """Say why an object is no plugin of a kind; empty where it can be one."""
    if like is None:
        return "" if callable(plugin) else f"expected a function or class, found {plugin!r:.80}"
    if not getattr(like, "_is_protocol", False):
        right = isinstance(plugin, like)
        return "" if right else f"expected a {like.__name__}, found {plugin!r:.80}"
    if inspect.isclass(plugin):
        return f"expected an instance, found the class {plugin.__name__}"
    members = {*vars(like), *inspect.get_annotations(like)}
    absent = sorted(m for m in members if not m.startswith("_") and not hasattr(plugin, m))
    return f"it is no {like.__name__}: it has no {', '.join(absent)}" if absent else ""


class Kind(Generic[T]):
    """All plugins of one kind. Adding one never means editing a second file.

    Args:
        noun: what one of them is called in messages, such as `technique`.
        plural: what all are called in `zoo list` and in entry points.
        package: import name of the package whose modules are the plugins; imported when the first
            one is asked for.
        like: what a plugin must be: an instance of a class, or what has all that a protocol names;
            without it, something that can be called.
    """

    def __init__(self, noun: str, plural: str, package: str, *, like: type | None = None) -> None:
        self.noun, self.plural = noun, plural
        self.like, self._package = like, package
        self._found: dict[str, T] = {}
        self._adopted: dict[str, T] = {}
        self._foreign: dict[str, T] = {}
        self._tried: set[EntryPoint] = set()
        self._broken: dict[EntryPoint, BrokenPlugin] = {}
        self._sources: list[tuple[Kind[Any], Callable[[Any], T]]] = [(self, lambda plugin: plugin)]
        self._complete = False

    def add(self, name: str, plugin: T) -> T:
        """Register `plugin`; a name taken twice is a programming error.

        A module of another distribution may call it like a module of the zoo: what counts there is
        the entry point.

        Raises:
            ValueError: another plugin has the name.
        """
        if _loading and not self._is_ours(_caller()):
            return plugin
        if name in self._found:
            raise ValueError(f"{self.noun} {name!r} is registered twice")
        self._found[name] = plugin
        return plugin

    def _is_ours(self, module: str) -> bool:
        return module.partition(".")[0] == self._package.partition(".")[0]

    def adopt(self, name: str, plugin: T) -> None:
        """Know a plugin of a user in this process: `get` gives it, `names` does not list it.

        The last one of a name counts.
        """
        self._adopted[name] = plugin

    def make_from(self, other: "Kind[Any]", make: Callable[[Any], T]) -> None:
        """Have a plugin of this kind for each of another kind, under the same name."""
        self._sources.append((other, make))
        for name, plugin in other.own().items():
            self.add(name, make(plugin))

    def register(self, name: str) -> Callable[[T], T]:
        """Decorate a class or function to register it under `name`."""
        return lambda plugin: self.add(name, plugin)

    def own(self) -> dict[str, T]:
        """Give the plugins of the zoo, by name."""
        if not self._complete:
            package = importlib.import_module(self._package)
            for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda m: m.name):
                importlib.import_module(f"{self._package}.{module.name}")
            self._complete = True
        return self._found

    @contextmanager
    def collecting(self) -> Iterator[dict[str, T]]:
        """Divert what registers itself inside the block into the dict given.

        This is for files of a user, which are read again and again.
        """
        kept, collected = dict(self.own()), dict[str, T]()
        self._found = collected
        try:
            yield collected
        finally:
            self._found = kept

    def names(self) -> tuple[str, ...]:
        """List the names of all that can be used, sorted."""
        found = self.own()
        for plugin, make in self._elsewhere():
            self._bring(plugin, make)
        return tuple(sorted({*found, *self._foreign}))

    def broken(self) -> tuple[BrokenPlugin, ...]:
        """List the plugins of other distributions that cannot be used."""
        self.names()
        return tuple(self._broken.values())

    def get(self, name: str) -> T:
        """Give the plugin called `name`.

        Raises:
            UnknownPlugin: there is none; the hint names the nearest.
            BrokenPlugin: another distribution has one that cannot be used.
        """
        if refusal := self.refusal(name):
            raise refusal
        return {**self._foreign, **self._found, **self._adopted}[name]

    def refusal(self, name: str) -> UnknownPlugin | BrokenPlugin | None:
        """Say why `get` has no plugin called `name`; None where it has one."""
        if name in self.own() or name in self._adopted:
            return None
        mine = self._named(name)
        for plugin, make in mine:
            self._bring(plugin, make)
        if name in self._foreign:
            return None
        if mine:
            return self._broken[mine[0][0].entry]
        hint = nearest(name, self.names())
        return UnknownPlugin(f"no {self.noun} is called {name!r}", hint=hint)

    def foreign(self, name: str) -> Foreign | None:
        """Say which distribution brings a plugin; None for one of the zoo or of a user."""
        if name in self.own() or name in self._adopted:
            return None
        return next((plugin for plugin, _ in self._named(name)), None)

    def _elsewhere(self) -> Iterator[tuple[Foreign, Callable[[Any], T]]]:
        for kind, make in self._sources:
            for plugin in foreign(kind.noun, kind.plural, kind.like):
                yield plugin, make

    def _named(self, name: str) -> list[tuple[Foreign, Callable[[Any], T]]]:
        return [(plugin, make) for plugin, make in self._elsewhere() if plugin.name == name]

    def _bring(self, plugin: Foreign, make: Callable[[Any], T]) -> None:
        """Import a plugin of another distribution, once; remember what is wrong with it."""
        if plugin.entry in self._tried:
            return
        self._tried.add(plugin.entry)
        try:
            if plugin.name in {*self._found, *self._foreign}:
                raise plugin.broken(f"another {self.noun} has that name")
            self._foreign[plugin.name] = make(plugin.load())
        except BrokenPlugin as error:
            self._broken[plugin.entry] = error


def _caller() -> str:
    """Name of the module that called into this one."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_globals["__name__"] == __name__:
        frame = frame.f_back
    return str(frame.f_globals["__name__"]) if frame is not None else ""
