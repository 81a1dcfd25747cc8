"""The process that drives the measuring browser.

The browser is Chromium by Playwright. Each file gets a page in a profile of its own.

`python -m zoo_builders.devices.browser.driver`, one JSON object a line on stdin, one answer a line
on stdout:

    {"do": "start", "chromium", "litertjs", "threads", "cores", "timeout_s"}
        → {"browser", "features"}
    {"do": "open", "id"}
        → {}
    {"do": "load", "id", "name", "file", "golden", "atol", "rule"}
        → as `devices.Ready`
    {"do": "run", "id", "count"}
        → {"seconds", "batch"}
    {"do": "memory", "id"}
        → {"mb"}
    {"do": "close", "id"}
        → {}

What goes wrong with one file is answered as {"failed": {"kind", "message"}} and leaves the others
alone; {"error", "kind"} ends the process. A process apart, because Playwright wants a thread
without an event loop, and so that whatever happens to the one who asks, the end of stdin ends the
browser too. It leaves the terminal's group: Ctrl-C is for the one who asks, who then closes stdin.
"""

import json
import os
import sys
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from zoo_builders.devices.browser import processes
from zoo_builders.devices.browser.server import BrowserFiles
from zoo_registry.model.errors import MeasureFailed

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page, Playwright

Order = Mapping[str, Any]

FLAGS = (
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
_LAST_WORDS = 400
_WORKER = "DedicatedWorker"
"""What Chromium calls the thread of a web worker: ours, and those that threaded WASM starts."""
_OPEN = """
async ([threads, timeout]) => {
  const lab = await import("/lab/runtime.js");
  window.lab = lab;
  window.runtime = await lab.open({base: "/litertjs", threads, timeout});
  return window.runtime.host();
}
"""
_GUARDED = """
async (given) => {
  try {
    return await (%s)(given);
  } catch (error) {
    return {failed: {kind: error.kind ?? "runtime", message: String(error.message ?? error)}};
  }
}
"""
_LOAD = """
async ({file, golden, atol, rule, name}) => {
  const bytes = async (path) => {
    const answer = await fetch(path);
    if (!answer.ok) throw new lab.LabError("load", `${name}: cannot be read`);
    return answer.arrayBuffer();
  };
  const [model, vectors] = [await bytes(file), await bytes(golden)];
  const read = await lab.readGolden(vectors);
  const given = {bytes: new Uint8Array(model), golden: read, atol, rule, name};
  window.runner = await runtime.prepare(given);
  return runner.ready;
}
"""
_RUN = "async (count) => ({seconds: await runner.run(count), batch: runner.batch})"
_MEMORY = "async () => ({mb: await runner.memory()})"


@dataclass
class Driver:
    """The browser and its pages, between two orders."""

    playwright: "Playwright"
    stack: ExitStack
    start_order: Order = field(default_factory=dict)
    files: BrowserFiles | None = None
    browser: "Browser | None" = None
    pages: dict[int, "_Tab"] = field(default_factory=dict)

    def start(self, order: Order) -> dict[str, Any]:
        """Start the browser and say what it is."""
        self.start_order = order
        self.files = self.stack.enter_context(BrowserFiles(Path(order["litertjs"])))
        with _Tab.of(self._running(), self.files.address) as tab:
            about = tab.evaluate(_OPEN, [order["threads"], 1e3 * order["timeout_s"]])
        name = f"{about['browser']} {self._running().version}"
        return {"browser": name, "features": about["features"]}

    def _running(self) -> "Browser":
        """Give the browser, started again if it ended."""
        if self.browser is None or not self.browser.is_connected():
            self.browser = self.playwright.chromium.launch(
                executable_path=self.start_order["chromium"], args=list(FLAGS), handle_sigint=False
            )
        return self.browser

    def open(self, order: Order) -> dict[str, Any]:
        """Open a page in a new profile, which Chromium gives a renderer process of its own."""
        self.pages[order["id"]] = _Tab.of(self._running(), self._files().address)
        return {}

    def _files(self) -> BrowserFiles:
        if self.files is None:
            raise ValueError("the first order is start")
        return self.files

    def _page(self, order: Order) -> "_Tab":
        """Give the page of an order; one that an earlier browser had died with it."""
        tab = self.pages.get(order["id"])
        if tab is None:
            raise MeasureFailed("the browser that ran the file ended", kind="died")
        return tab

    def load(self, order: Order) -> dict[str, Any]:
        """Load a file into a fresh WASM instance, and check the golden outputs.

        The threads that will compute are pinned.
        """
        tab, start, files = self._page(order), self.start_order, self._files()
        tab.evaluate(_OPEN, [start["threads"], 1e3 * start["timeout_s"]])
        before = processes.threads(os.getpid(), _WORKER)
        paths = {name: files.offer(Path(order[name])) for name in ("file", "golden")}
        try:
            told = {name: order.get(name) for name in ("atol", "rule", "name")}
            ready = tab.evaluate(_LOAD, paths | told)
        finally:
            for path in paths.values():
                files.withdraw(path)
        return ready | {
            "pinned": processes.pin(
                processes.threads(os.getpid(), _WORKER) - before, start["cores"]
            )
        }

    def run(self, order: Order) -> dict[str, Any]:
        """Time runs."""
        return self._page(order).evaluate(_RUN, order["count"])

    def memory(self, order: Order) -> dict[str, Any]:
        """Say how large the WASM heap is."""
        return self._page(order).evaluate(_MEMORY)

    def close(self, order: Order) -> dict[str, Any]:
        """Close a page and its profile, and with them its process."""
        tab = self.pages.pop(order["id"], None)
        if tab is not None:
            tab.close()
        return {}


@dataclass
class _Tab:
    """A page of a profile of its own."""

    context: "BrowserContext"
    page: "Page"
    crashed: bool = False

    @classmethod
    def of(cls, browser: "Browser", address: str) -> Self:
        context = browser.new_context()
        tab = cls(context, context.new_page())
        tab.page.on("crash", tab._mark)
        tab.page.goto(f"{address}/")
        return tab

    def _mark(self, page: "Page") -> None:
        del page
        self.crashed = True

    def evaluate(self, script: str, given: Any = None) -> dict[str, Any]:
        from playwright.sync_api import Error

        try:
            answer: dict[str, Any] = self.page.evaluate(_GUARDED % script, given)
        except Error as error:
            gone = self.crashed or any(
                word in error.message for word in ("crashed", "closed", "disconnected")
            )
            what = (
                "the browser's process that ran the file ended, as when memory runs out"
                if gone
                else error.message
            )
            raise MeasureFailed(what, kind="died" if gone else "runtime") from error
        if "failed" in answer:
            raise MeasureFailed(answer["failed"]["message"], kind=answer["failed"]["kind"])
        return answer

    def close(self) -> None:
        from playwright.sync_api import Error

        with suppress(Error):
            self.context.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def main() -> int:
    """Answer orders until stdin ends."""
    with suppress(OSError, AttributeError):
        os.setsid()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what the browser prints must not mix with the answers
    with ExitStack() as stack:
        from playwright.sync_api import sync_playwright

        driver = Driver(stack.enter_context(sync_playwright()), stack)
        for line in sys.stdin:
            answers.write(json.dumps(_answer(driver, json.loads(line))) + "\n")
    return 0


def _answer(driver: Driver, order: Order) -> dict[str, Any]:
    from playwright.sync_api import Error

    doers = {
        "start": driver.start,
        "open": driver.open,
        "load": driver.load,
        "run": driver.run,
        "memory": driver.memory,
        "close": driver.close,
    }
    try:
        return doers[order["do"]](order)
    except MeasureFailed as error:
        return {"failed": {"kind": error.kind, "message": error.message[:_LAST_WORDS]}}
    except (Error, OSError) as error:
        words = getattr(error, "message", "") or str(error)
        return {"error": words.strip()[:_LAST_WORDS], "kind": "device"}


if __name__ == "__main__":
    sys.exit(main())
