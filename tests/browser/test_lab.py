"""The lab in the visitor's browser, pressed by Playwright.

Real files, the real runtime, a real registry.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Request, expect

from plugins.lab import MODEL, digest, releases
from plugins.registry_server import serving, stock
from plugins.visit import CONTRAST, Visit
from zoo_registry.app import create_app
from zoo_registry.catalogue import tokens
from zoo_registry.model import formatting
from zoo_registry.model.record import Measurement
from zoo_registry.model.ref import Ref
from zoo_registry.settings import Settings

pytestmark = [pytest.mark.browser, pytest.mark.litertjs]
VARIANTS = ("fp32", "sparse", "int8-io", "wrong")
ENOUGH_MS = 120_000
WATCH = """
new MutationObserver(() => seen(document.querySelector("#lab-bar").value)).observe(document.querySelector("#lab-doing"), {childList: true})
"""
PAGE = f"/artifacts/{MODEL}-sparse"


class Bench:
    """A served registry with the family in it."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.app = create_app(
            Settings(
                db=str(folder / "zoo.db"),
                store=str(folder / "store"),
                litertjs=Settings.read().litertjs,
                **settings,
            )
        )
        self.releases = {release.record.variant: release for release in releases(*VARIANTS)}
        for release in self.releases.values():
            stock(self.app.state.registry, release.record, release.data, release.golden)
        self.address = ""

    def added(self, variant: str) -> tuple[Measurement, ...]:
        """Measurements that were submitted since."""
        # state is untyped
        return self.app.state.registry.release(Ref.parse(f"{MODEL}-{variant}")).added  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    found = Bench(tmp_path_factory.mktemp("lab"))
    with serving(found.app) as found.address:
        yield found


@pytest.fixture
def visit(chromium: Browser, bench: Bench) -> Iterator[Visit]:
    """Open pages of the lab's registry; whatever the browser complains about fails the test."""
    visitor = Visit(chromium, bench.address)
    yield visitor
    visitor.close()
    assert not visitor.complaints


def choose(page: Page, *variants: str, rounds: int = 2) -> None:
    page.get_by_text("Choose files").click()
    for box in page.locator("#lab-files input").all():
        box.set_checked(
            any(
                name in (box.locator("..").text_content() or "")
                for name in (f" {MODEL}-{v} " for v in variants)
            )
        )
    page.get_by_label("Rounds").select_option(str(rounds))


def press(page: Page) -> None:
    page.get_by_role("button", name="Measure in this browser").click()


def finished(page: Page) -> None:
    expect(page.locator("#lab-results")).to_be_visible(timeout=ENOUGH_MS)


def rows(page: Page) -> dict[str, str]:
    found = page.locator("#lab-results tbody tr")
    return {(row.locator(".name a").text_content() or ""): row.inner_text() for row in found.all()}


def listen(page: Page) -> list[Request]:
    asked: list[Request] = []
    # Playwright marks what it is given
    page.on("request", lambda request: asked.append(request))  # noqa: PLW0108
    return asked


def test_press_progress_rows_chart_and_nothing_is_sent(visit: Visit, bench: Bench) -> None:
    page = visit(PAGE)
    asked = listen(page)
    seen: list[float] = []
    page.expose_function("seen", lambda value: seen.append(float(value)))
    page.evaluate(WATCH)
    choose(page, *VARIANTS)
    assert re.search(
        r"4 files: downloads up to [\d.]+ [kM]B, takes about \d+ (s|min)",
        page.locator("#lab-cost").text_content() or "",
    )
    page.get_by_role("button", name="Measure in this browser").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Cancel")).to_be_focused()
    expect(page.locator("#lab-doing")).to_contain_text(
        re.compile(rf"\d+ %(, about \d+ (s|min) left)? · {MODEL}-\w+: (loading|running)"),
        timeout=ENOUGH_MS,
    )
    finished(page)
    assert seen == sorted(seen), "progress never goes back"
    assert len(set(seen)) > 10
    assert seen[-1] == 1

    shown = rows(page)
    assert sorted(shown) == sorted(f"{MODEL}-{variant}" for variant in VARIANTS)
    for variant in ("fp32", "sparse"):
        assert re.search(rf"\d\.\d+ {formatting.DASH} \d", shown[f"{MODEL}-{variant}"]), (
            "an interval"
        )
    assert "baseline" in shown[f"{MODEL}-fp32"]
    assert re.search(r"faster|slower|within noise", shown[f"{MODEL}-sparse"])
    assert "sparse path predicted" in shown[f"{MODEL}-sparse"]
    assert "not runnable in this browser it takes or gives int8" in shown[f"{MODEL}-int8-io"]
    assert "interface: float" in shown[f"{MODEL}-int8-io"]
    assert re.search(
        r"not runnable in this browser .*: half of 3 golden examples are off by 1 or more",
        shown[f"{MODEL}-wrong"],
    )
    assert page.locator("#lab-results .fronts svg").count() == 2, "ours beside the published one"
    assert page.locator("#lab-results .fronts figure").first.locator("a.dot").count() == 2, (
        "what failed is no point"
    )
    assert page.locator(".best-here code").inner_text().startswith(f"zoo pull {MODEL}-")
    expect(page.get_by_text("takes 5 rounds")).to_be_visible()

    assert {request.method for request in asked} == {"GET"}
    assert all(
        request.url.startswith(bench.address) or request.url.startswith("data:")
        for request in asked
    )
    int8 = digest(bench.releases["int8-io"])
    assert not [request.url for request in asked if int8 in request.url], (
        "what cannot run is not loaded"
    )


def test_cancelling_ends_every_instance_and_the_button_comes_back(visit: Visit) -> None:
    page = visit(PAGE)
    choose(page, "fp32", "sparse", rounds=10)
    press(page)
    expect(page.locator("#lab-doing")).to_contain_text("running", timeout=ENOUGH_MS)
    assert page.workers
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("button", name="Measure in this browser")).to_be_focused()
    expect(page.locator("#lab-status")).to_have_text("Cancelled; nothing was kept.")
    assert page.locator("#lab-results").is_hidden()
    page.wait_for_timeout(300)
    assert not page.workers


def test_submitting_shows_everything_first_asks_for_a_token_and_stores(
    visit: Visit, bench: Bench
) -> None:
    page = visit(PAGE)
    asked = listen(page)
    choose(page, "fp32", "sparse", rounds=5)
    press(page)
    finished(page)
    page.get_by_text("Submit to this registry").click()
    host = json.loads(page.get_by_label("What is sent of this machine").inner_text())
    page.get_by_text("Everything that is sent").click()
    rows_shown = json.loads(page.get_by_label("Everything that is sent").inner_text())
    assert set(host) == {
        "cpu",
        "arch",
        "cores",
        "features",
        "memory_gb",
        "os",
        "governor",
        "virtual",
        "fingerprint",
    }
    assert rows_shown[0]["host"] == host
    assert not [request for request in asked if request.method != "GET"]

    page.get_by_label("Token").fill("zoo_wrong")
    page.get_by_role("button", name="Submit 2 measurements").click()
    expect(page.locator("#lab-submit form li")).to_have_text(
        re.compile("refused.*nobody made this token.*zoo registry token create --scope measure")
    )
    assert bench.added("sparse") == ()
    visit.complaints.clear()  # the browser reports the 401 that was asked for

    token = tokens.create(
        bench.app.state.registry.catalogue.engine, "a visitor", ("measure",), "2026-01-02"
    )
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Submit 2 measurements").click()
    expect(page.locator("#lab-submit form li")).to_have_count(2)
    (stored,) = bench.added("sparse")
    assert stored.device.startswith("web-wasm:chrom")
    assert stored.rounds == 5
    assert stored.host.model_dump(mode="json") == host
    assert [stored.model_dump(mode="json")["latency_ms"]] == [
        row["latency_ms"] for row in rows_shown if row["file_sha256"] == stored.file_sha256
    ]

    page.get_by_role("button", name="Submit 2 measurements").click()
    expect(page.locator("#lab-submit form li").first).to_contain_text("known already")
    assert len(bench.added("sparse")) == 1
    assert token not in json.dumps(page.evaluate("({...localStorage, cookie: document.cookie})"))


def test_it_fits_a_phone_from_the_compare_page(visit: Visit) -> None:
    page = visit(f"/compare?ref={MODEL}-sparse&ref={MODEL}-int8-io", width=390, height=844)
    choose(page, "sparse", "int8-io")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    press(page)
    finished(page)
    assert sorted(rows(page)) == [f"{MODEL}-fp32", f"{MODEL}-int8-io", f"{MODEL}-sparse"], (
        "the baseline takes part unasked"
    )
    page.get_by_text("Choose files").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert not [
            entry
            for entry in page.evaluate(
                CONTRAST, "#lab :is(p, small, a, th, td, h2, h3, .badge, button, label span)"
            )
            if entry[0] < 4.5
        ]


def test_without_scripts_there_is_no_button(visit: Visit) -> None:
    page = visit(PAGE, scripts=False)
    assert page.get_by_role("button", name="Measure").count() == 0
    assert page.locator("#lab").is_hidden()


def test_a_browser_without_simd_says_so(chromium: Browser, bench: Bench) -> None:
    context = chromium.new_context()
    context.add_init_script("WebAssembly.validate = () => false")
    page = context.new_page()
    page.goto(bench.address + PAGE)
    expect(page.get_by_text("This browser has no WebAssembly SIMD")).to_be_visible()
    assert page.get_by_role("button", name="Measure").is_hidden()
    context.close()


def test_pages_are_isolated_so_that_clocks_are_fine_and_threads_run(visit: Visit) -> None:
    page = visit(PAGE)
    assert page.evaluate("crossOriginIsolated")
    page.get_by_text("Choose files").click()
    cores: int = page.evaluate("navigator.hardwareConcurrency")
    assert page.locator("#lab-threads").is_visible() == (cores > 1)


OUT_OF_SIGHT_ONCE_IT_RUNS = """() => {
  const turn = hidden => {
    Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
    document.dispatchEvent(new Event("visibilitychange"));
  };
  new MutationObserver((_, observer) => {
    if (!document.querySelector("#lab-doing")?.textContent.includes("running")) return;
    observer.disconnect();
    turn(true);
    setTimeout(turn, 60, false);
  }).observe(document.body, {childList: true, characterData: true, subtree: true});
}"""
"""Done by the page itself: a small file may have run before anyone outside sees that it does."""


def test_a_damaged_download_is_a_row_not_a_number_and_a_page_out_of_sight_is_noisy(
    visit: Visit, bench: Bench
) -> None:
    page = visit(PAGE)
    sparse = bench.releases["sparse"]
    page.route(
        f"**/v1/blobs/{digest(sparse)}*", lambda route: route.fulfill(body=b"\0" * len(sparse.data))
    )
    choose(page, "fp32", "sparse")
    page.evaluate(OUT_OF_SIGHT_ONCE_IT_RUNS)
    press(page)
    finished(page)
    shown = rows(page)
    assert "not the ones published" in shown[f"{MODEL}-sparse"]
    assert "noisy" in shown[f"{MODEL}-fp32"]
    page.get_by_text("Noisy: 1 of 2").click()
    expect(
        page.get_by_text(
            re.compile(rf"{MODEL}-fp32: hidden: the page was out of sight for \d+\.\d s")
        )
    ).to_be_visible()


def test_without_a_baseline_nobody_gets_a_number(visit: Visit, bench: Bench) -> None:
    page = visit(PAGE)
    page.route(f"**/v1/blobs/{digest(bench.releases['fp32'])}*", lambda route: route.abort())
    choose(page, "fp32", "sparse")
    press(page)
    finished(page)
    assert "the baseline does not run here: the download broke off" in rows(page)[f"{MODEL}-sparse"]
    assert page.locator("#lab-results svg, #lab-submit, .best-here").count() == 0
    visit.complaints.clear()  # the browser reports the request that was cut off


def test_a_registry_that_fails_is_a_message_and_the_button_comes_back(visit: Visit) -> None:
    page = visit(PAGE)
    page.route("**/v1/artifacts/*/*", lambda route: route.fulfill(status=503, body="{}"))
    press(page)
    expect(page.get_by_role("alert")).to_contain_text(
        "Nothing could be measured. the registry does not give the record"
    )
    expect(page.get_by_role("button", name="Measure in this browser")).to_be_visible()
    visit.complaints.clear()  # the browser reports the 503 that was asked for
