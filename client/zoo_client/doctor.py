"""What `zoo doctor` looks at: one function a check; each says what it found and how to mend it."""

import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from zoo_client import browser, inventory
from zoo_client import machine as this_machine
from zoo_client.cache import Cache
from zoo_client.extras import MODULES_OF
from zoo_client.remotes import open_remote
from zoo_client.settings import Settings
from zoo_registry.litertjs import installed
from zoo_registry.model import formatting
from zoo_registry.model.errors import MissingExtra, NotFound, ZooError
from zoo_registry.model.platform import slow_int8
from zoo_registry.model.query import Query

State = Literal["ok", "note", "broken"]
OLDEST = (3, 11)
_SPARSE_ARCHS = ("arm64", "aarch64", "armv7l", "riscv64")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. `note` = works, but something is not to be had; `broken` = mend it.

    `fix` is a command.
    """

    what: str
    state: State
    found: str
    fix: str = ""


def look(settings: Settings) -> tuple[Finding, ...]:
    """Look at everything.

    Two parts are slow: the registry is asked one question, and the cache is hashed.
    """
    checks: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
        python,
        extras,
        plugins,
        registry,
        cache,
        data,
        chromium,
        litert_js,
        processor,
    )
    return tuple(finding for check in checks for finding in check(settings))


def python(settings: Settings) -> Iterator[Finding]:  # noqa: ARG001  the signature of all checks
    """Python's version and ours."""
    new_enough = sys.version_info[:2] >= OLDEST
    yield Finding(
        "python",
        "ok" if new_enough else "broken",
        platform.python_version(),
        "" if new_enough else "install Python 3.11",
    )
    try:
        yield Finding("edgezoo", "ok", version("edgezoo"))
    except PackageNotFoundError:
        yield Finding("edgezoo", "note", "not installed as a package", "pip install -e .")


def extras(settings: Settings) -> Iterator[Finding]:  # noqa: ARG001  the signature of all checks
    """Which extras are installed; found without importing any of them."""
    for extra, modules in MODULES_OF.items():
        absent = [module for module in modules if find_spec(module) is None]
        if not absent:
            yield Finding(f"[{extra}]", "ok", "installed")
        else:
            yield Finding(
                f"[{extra}]",
                "note",
                f"without {', '.join(absent)}",
                f"pip install 'edgezoo[{extra}]'",
            )


def plugins(settings: Settings) -> Iterator[Finding]:  # noqa: ARG001  the signature of all checks
    """Whether the plugins of other installed distributions can be used; all are imported."""
    usable = []
    for plural in inventory.kinds():
        with suppress(MissingExtra):
            kind = inventory.load_kind(plural)
            others = ((name, kind.foreign(name)) for name in kind.names())
            usable += [f"{name} of {found.distribution}" for name, found in others if found]
            for error in kind.broken():
                yield Finding("plugins", "broken", error.message, error.hint)
    yield Finding("plugins", "ok", ", ".join(usable) or "none of other packages")


def registry(settings: Settings) -> Iterator[Finding]:
    """Whether the remote answers."""
    where = settings.registry or "the project's folder"
    try:
        remote = open_remote(None, settings)
        some = remote.search(Query(), limit=1).items
        yield Finding(
            "registry", "ok", f"{remote.url} answers{'' if some else ', nothing published yet'}"
        )
    except ZooError as error:
        yield Finding(
            "registry",
            "broken",
            f"{where}: {error.message}",
            error.hint or "zoo serve   # starts one",
        )


def cache(settings: Settings) -> Iterator[Finding]:
    """Whether the pulled files still are what they are called."""
    kept = Cache(settings.cache)
    count = len(kept.blobs())
    try:
        damages = kept.verify()
    except OSError as error:
        yield Finding(
            "cache",
            "broken",
            f"{settings.cache}: {error.strerror}",
            "export ZOO_CACHE=…   # a folder you may write",
        )
        return
    if damages:
        yield Finding(
            "cache",
            "broken",
            f"{len(damages)} of {count} files were damaged and are put aside",
            "zoo cache gc   # drops them",
        )
    else:
        yield Finding(
            "cache", "ok", f"{count} files, {formatting.size(kept.size())} in {settings.cache}"
        )


def data(settings: Settings) -> Iterator[Finding]:
    """Whether `ZOO_DATA` names a folder."""
    if settings.data is None:
        yield Finding(
            "ZOO_DATA",
            "note",
            "not set; manifests that name ${ZOO_DATA} cannot be built",
            "export ZOO_DATA=/path/to/data",
        )
    elif settings.data.is_dir():
        yield Finding("ZOO_DATA", "ok", str(settings.data))
    else:
        yield Finding(
            "ZOO_DATA",
            "broken",
            f"{settings.data} is not a folder",
            "export ZOO_DATA=/path/to/data",
        )


def chromium(settings: Settings) -> Iterator[Finding]:
    """Whether there is a browser to measure in."""
    found = browser.find(settings)
    if found:
        yield Finding("browser", "ok", str(found))
    elif settings.chromium is not None:
        yield Finding(
            "browser",
            "broken",
            f"ZOO_CHROMIUM: there is no {settings.chromium}",
            "export ZOO_CHROMIUM=/path/to/chrome",
        )
    else:
        yield Finding("browser", "note", "no Chromium; web-wasm cannot be measured", browser.HINT)


def litert_js(settings: Settings) -> Iterator[Finding]:
    """Whether the runtime that browsers run is there, undamaged.

    Pages of a registry on this machine offer it to visitors.
    """
    where = installed.folder(settings.litertjs)
    try:
        installed.verify(where)
    except NotFound:
        yield Finding(
            "LiteRT.js",
            "note",
            "not installed; nothing can be measured in a browser",
            installed.COMMAND,
        )
    except ZooError as error:
        yield Finding("LiteRT.js", "broken", error.message, installed.COMMAND)
    else:
        yield Finding("LiteRT.js", "ok", f"{installed.version_in(where)} in {where}")


def processor(settings: Settings) -> Iterator[Finding]:  # noqa: ARG001  the signature of all checks
    """Which class of machine this is; whether XNNPACK takes its sparse kernels here.

    It does on ARM and RISC-V, and on no x86 with AVX (its hardware-config.h).
    """
    mine = this_machine.here()
    slow = slow_int8(mine.key)
    yield Finding(
        "platform",
        "ok" if mine.known else "note",
        f"{mine.told}, as {mine.key}{f'; {slow}' if slow else ''}",
        "" if mine.known else "zoo search --device any   # times of every class of machine",
    )
    machine = platform.machine().lower()
    flags = _cpu_flags()
    if machine in _SPARSE_ARCHS:
        yield Finding("XNNPACK sparse", "ok", f"yes ({machine})")
    elif "avx" in flags or not flags:
        yield Finding(
            "XNNPACK sparse",
            "note",
            f"no: {machine} with AVX runs sparse files dense",
            "measure them on web-wasm or on a phone",
        )
    else:
        yield Finding(
            "XNNPACK sparse",
            "note",
            f"unknown on {machine} without AVX",
            "zoo search --technique prune   # measured elsewhere",
        )


def _cpu_flags() -> frozenset[str]:
    info = Path("/proc/cpuinfo")
    text = info.read_text(encoding="utf-8", errors="replace") if info.is_file() else ""
    line = next((line for line in text.splitlines() if line.startswith(("flags", "Features"))), "")
    return frozenset(line.partition(":")[2].split())
