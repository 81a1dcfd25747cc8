"""`web-wasm`: LiteRT.js in a real headless Chromium on this machine.

One WASM instance, in a page and a renderer process of its own, for each file and round; the threads
that compute are pinned, those that compile and collect garbage are not.
"""

import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import fields
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any, Self

from typing_extensions import override

from zoo_builders.devices import (
    DEVICES,
    Device,
    Found,
    Load,
    Place,
    Ready,
    Runner,
    Setting,
    Subject,
    host,
)
from zoo_builders.devices.agent.client import Conversation
from zoo_builders.devices.browser import driver, processes
from zoo_builders.devices.host import Clock
from zoo_client import browser, machine
from zoo_client.settings import Settings
from zoo_registry.litertjs import installed, npm
from zoo_registry.model.errors import MeasureFailed, Unsupported
from zoo_registry.model.record import Host

_GRACE_S = 30.0
"""How much longer than a page may take for an answer the browser as a whole may.

Then it is the browser that hangs.
"""


class WebWasm(Device):
    """LiteRT.js (XNNPACK in WebAssembly with SIMD) in headless Chromium on this machine.

    Runs XNNPACK's sparse kernels on every processor.

    Needs Playwright (`pip install 'edgezoo[web-bench]'`), a Chromium, and LiteRT.js (`zoo devices
    install web-wasm`). Takes float32, int32 and uint8 at a file's interface only: an int8 file
    needs `interface: float`.
    """

    name = "web-wasm"
    runtime = "litert.js"
    interface = frozenset({"float32", "int32", "uint8"})

    @override
    def found(self) -> Sequence[Found]:
        settings = Settings.read()
        executable, (missing, hint) = browser.find(settings), _missing(settings)
        return (Found(self.name, str(executable or ""), missing=missing, hint=hint),)

    @override
    def connect(self, setting: Setting) -> "WebBrowser":
        settings, cores = Settings.read(), host.fastest_cores(setting.threads)
        missing, hint = _missing(settings)
        executable = browser.find(settings)
        if missing or executable is None:
            raise Unsupported(
                f"{self.name} needs {missing}, which is not installed here", hint=hint
            )
        return WebBrowser(setting, cores, executable, installed.found(settings.litertjs))

    @override
    def install(self, tell: Callable[[str], None]) -> str:
        """Fetch LiteRT.js; do nothing where it is already.

        Raises:
            DigestMismatch: what came is not what was committed to.
        """
        where = installed.folder(Settings.read().litertjs)
        fresh = npm.install(where, progress=lambda _done, _total, what: tell(what))
        return f"LiteRT.js {installed.VERSION} {'is now' if fresh else 'was already'} in {where}"


def _missing(settings: Settings) -> tuple[str, str]:
    """Name the first part that is missing, and the command that brings it.

    Empty when all are there.
    """
    if find_spec("playwright") is None:
        return "Playwright", "pip install 'edgezoo[web-bench]'"
    if browser.find(settings) is None:
        return "Chromium", browser.HINT
    if not installed.version_in(installed.folder(settings.litertjs)):
        return "LiteRT.js", installed.COMMAND
    return "", ""


class WebBrowser(Place):
    """A running browser, for one session."""

    def __init__(
        self, setting: Setting, cores: Sequence[int], executable: Path, runtime: Path
    ) -> None:
        self._setting, self._ids, self._runtime = setting, count(), runtime
        self._order = {
            "chromium": str(executable),
            "litertjs": str(runtime),
            "threads": setting.threads,
            "timeout_s": setting.timeout_s,
            "cores": list(cores),
        }
        self._start()

    def _start(self) -> None:
        talk = Conversation(
            (sys.executable, "-m", driver.__name__),
            WebWasm.name,
            self._setting.timeout_s + _GRACE_S,
        )
        try:
            answer = talk.__enter__().ask("start", **self._order)
            self._about = _unless_failed(answer)
        except BaseException as error:
            talk.__exit__()
            if isinstance(error, MeasureFailed):
                raise MeasureFailed(error.message, kind="device", hint="zoo doctor") from error
            raise
        self._talk = talk
        self._since, self._taken = Clock.look(), processes.cpu_seconds(talk.process.pid)

    @property
    @override
    def version(self) -> str:
        return installed.version_in(self._runtime)

    @property
    @override
    def host(self) -> Host:
        """WebAssembly on this processor, in this version of the browser."""
        here = machine.describe()
        known = here.model_dump(exclude={"fingerprint"}) | {
            "arch": "wasm",
            "features": tuple(self._about["features"]),
            "os": f"{self._about['browser']} on {here.os}",
        }
        return machine.described(known)

    @override
    def busy(self) -> Load:
        own = processes.cpu_seconds(self._talk.process.pid) - self._taken
        return Clock.look().plus_own(max(0.0, own)).since(self._since)

    @override
    def prepare(self, subject: Subject) -> "Tab":
        return Tab(subject, self, next(self._ids))

    def ask(self, what: str, **order: Any) -> dict[str, Any]:
        """Ask the process that drives the browser.

        Raises:
            MeasureFailed: what was asked failed, with its kind; or the browser as a whole hangs or
                ended: then others get a new one.
        """
        try:
            answer = self._talk.ask(what, **order)
        except MeasureFailed:
            self._end(patiently=False)
            self._start()
            raise
        return _unless_failed(answer)

    @override
    def leave(self) -> None:
        self._end(patiently=True)

    def _end(self, *, patiently: bool) -> None:
        """Let the browser close itself if it can, then kill what is left.

        A renderer that hangs hears nothing.
        """
        known = processes.family(self._talk.process.pid)
        if patiently:
            self._talk.part()
        self._talk.__exit__()
        processes.end(known)


def _unless_failed(answer: dict[str, Any]) -> dict[str, Any]:
    if "failed" not in answer:
        return answer
    kind, message = answer["failed"]["kind"], answer["failed"]["message"]
    hint = FLOAT_TWIN if kind == "interface" else UNROLLED if _STATEFUL in message else ""
    raise MeasureFailed(message, kind=kind, hint=hint)


FLOAT_TWIN = (
    "write `interface: float` in the variant's quantize step: the same file, with float32 at its"
    " interface, runs in a browser"
)


_STATEFUL = "Variable tensors not yet supported"
UNROLLED = (
    "LiteRT.js runs no file with variable tensors, as LSTM layers have: write LSTM(…, unroll=True)"
    " in the network, and the file keeps no state"
)


class Tab(Runner):
    """One file in one page; opened on `__enter__`, loaded by the first look at `ready`.

    Closed on `__exit__`.
    """

    def __init__(self, subject: Subject, place: WebBrowser, number: int) -> None:
        self._subject, self._place, self._id = subject, place, number
        self._ready: Ready | None = None
        self.batch = 1
        """Inferences behind one number of `run`.

        They are several where the browser's clock is too coarse for one.
        """

    def __enter__(self) -> Self:
        """Open the page."""
        self._place.ask("open", id=self._id)
        return self

    def __exit__(self, *_: object) -> None:
        """Close the page; its process ends with it."""
        with suppress(MeasureFailed):
            self._place.ask("close", id=self._id)

    @property
    @override
    def ready(self) -> Ready:
        """LiteRT.js tells no node counts: they are 0.

        Raises:
            MeasureFailed: as everywhere; (kind `interface`) the file has types at its interface
                that LiteRT.js has not.
        """
        if self._ready is None:
            subject = self._subject
            order = {
                "name": subject.file.name,
                "file": str(subject.file),
                "golden": str(subject.golden),
                "atol": subject.atol,
                "rule": subject.rule.plain() if subject.rule else None,
            }
            told = self._place.ask("load", id=self._id, **order)
            self._ready = Ready(**{one.name: told[one.name] for one in fields(Ready)})
        return self._ready

    @override
    def run(self, count: int) -> Sequence[float]:
        answer = self._place.ask("run", id=self._id, count=count)
        self.batch = int(answer["batch"])
        seconds: list[float] = answer["seconds"]
        return seconds

    @override
    def peak_memory_mb(self) -> float:
        """Size of the WASM heap: LiteRT.js' own, the file, and what it computes in."""
        return float(self._place.ask("memory", id=self._id)["mb"])


DEVICES.add(WebWasm.name, WebWasm())
