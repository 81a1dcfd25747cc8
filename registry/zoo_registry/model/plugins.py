"""How a plugin of any kind is found.

One file in the kind's package, which registers itself by being imported.
"""

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from zoo_registry.model.errors import UnknownPlugin

T = TypeVar("T")


class Kind(Generic[T]):
    """All plugins of one kind. Adding one never means editing a second file.

    Args:
        noun: what one of them is called in messages, such as `technique`.
        package: import name of the package whose modules are the plugins; imported when the first
            one is asked for.
    """

    def __init__(self, noun: str, package: str) -> None:
        self.noun, self._package = noun, package
        self._found: dict[str, T] = {}
        self._adopted: dict[str, T] = {}
        self._complete = False

    def add(self, name: str, plugin: T) -> T:
        """Register `plugin`; a name taken twice is a programming error.

        Raises:
            ValueError: another plugin has the name.
        """
        if name in self._found:
            raise ValueError(f"{self.noun} {name!r} is registered twice")
        self._found[name] = plugin
        return plugin

    def adopt(self, name: str, plugin: T) -> None:
        """Know a plugin of a user in this process: `get` gives it, `names` does not list it.

        The last one of a name counts.
        """
        self._adopted[name] = plugin

    def register(self, name: str) -> Callable[[T], T]:
        """Decorate a class or function to register it under `name`."""
        return lambda plugin: self.add(name, plugin)

    def _discover(self) -> dict[str, T]:
        if not self._complete:
            package = importlib.import_module(self._package)
            for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda m: m.name):
                importlib.import_module(f"{self._package}.{module.name}")
            self._complete = True
        return self._found

    @contextmanager
    def collecting(self) -> Iterator[dict[str, T]]:
        """Divert what registers itself inside the block into the dict given.

        For files of a user, which are read again and again.
        """
        kept, collected = dict(self._discover()), dict[str, T]()
        self._found = collected
        try:
            yield collected
        finally:
            self._found = kept

    def names(self) -> tuple[str, ...]:
        """List the names, sorted."""
        return tuple(sorted(self._discover()))

    def get(self, name: str) -> T:
        """Give the plugin called `name`.

        Raises:
            UnknownPlugin: there is none; the hint names the nearest.
        """
        found = self._discover()
        if name in self._adopted:
            return self._adopted[name]
        if name not in found:
            near = difflib.get_close_matches(name, found, n=1)
            guess = f"did you mean {near[0]!r}? " if near else ""
            raise UnknownPlugin(
                f"no {self.noun} is called {name!r}",
                hint=f"{guess}known: {', '.join(sorted(found))}",
            )
        return found[name]
