from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page

from plugins.visit import CONTRAST

pytestmark = pytest.mark.browser

Open = Callable[..., Page]
PAGES = [
    "/",
    "/?device=host-cpu&max_latency_ms=0.001&max_size_gzip=1kB",
    "/artifacts/cifar10-cnn-sparse75-fp16",
    "/compare?ref=cifar10-cnn-fp32&ref=cifar10-cnn-sparse75&ref=cifar10-cnn-int8&ref=cifar10-cnn-clustered16-int8",
    "/docs",
]
TEXT = "p, small, a, th, td, dt, dd, h1, h2, h3, code, .badge, .tag, button:enabled, label span"
WIDGETS = ("link", "button", "textbox", "combobox", "checkbox", "spinbutton")


def names(page: Page) -> list[str]:
    return page.locator(".results .name a").all_text_contents()


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_a_budget_typed_into_the_form_becomes_an_answer_and_an_address(
    visit: Open, scripts: bool
) -> None:
    page = visit("/", scripts=scripts)
    page.get_by_label("Latency at most").fill("0.02")
    page.get_by_label("Download at most").fill("4.5 kB")
    page.get_by_role("button", name="Find").click()
    page.wait_for_url("**/?max_latency_ms=*")
    assert "max_latency_ms=0.02&max_size_gzip=4.5+kB" in page.url
    assert "device" not in page.url, "fields left empty leave the address"
    assert sorted(names(page)) == ["cifar10-cnn-clustered16-int8", "cifar10-cnn-sparse75-int8"]
    assert page.locator(".pick a").text_content() == "cifar10-cnn-sparse75-int8"


def test_choosing_a_device_asks_at_once(visit: Open) -> None:
    page = visit("/")
    page.get_by_label("Device").select_option("web-wasm")
    page.wait_for_url("**/?device=web-wasm")
    assert len(names(page)) == 4


def test_an_artifact_opens_from_the_list_and_from_the_chart(visit: Open) -> None:
    page = visit("/?device=host-cpu")
    page.locator(".results").get_by_role("link", name="cifar10-cnn-sparse75", exact=True).click()
    assert (
        page.get_by_role("heading", level=1).inner_text().startswith("cifar10-cnn-sparse75 1.0.0")
    )
    page.go_back()
    page.locator(".wide .dot.chosen .mark").click()
    page.wait_for_url("**/artifacts/cifar10-cnn-sparse75/1.0.0")


def test_headers_sort_and_say_so(visit: Open) -> None:
    page = visit("/?device=host-cpu")
    page.locator(".results thead").get_by_role("link", name="Download").click()
    assert page.locator("th[aria-sort=ascending]").inner_text().startswith("Download")
    assert names(page)[0] == "cifar10-cnn-clustered16-int8"


def test_two_ticked_artifacts_stand_side_by_side(visit: Open) -> None:
    page = visit("/")
    button = page.get_by_role("button", name="Compare")
    assert button.is_disabled()
    for name in ("cifar10-cnn-fp32@1.0.0", "cifar10-cnn-int8@1.0.0"):
        page.get_by_label(f"Compare {name}").check()
    button.click()
    assert page.locator("thead th a[href^='/artifacts/']").all_text_contents() == [
        "cifar10-cnn-fp32",
        "cifar10-cnn-int8",
    ]


def test_the_pull_command_is_copied(visit: Open, address: str) -> None:
    page = visit("/artifacts/cifar10-cnn-int8")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=address)
    page.locator(".get .command").hover()
    page.get_by_role("button", name="Copy: Pull this release").click()
    assert page.evaluate("navigator.clipboard.readText()") == "zoo pull cifar10-cnn-int8@1.0.0"


def test_the_file_downloads_under_its_own_name(visit: Open) -> None:
    page = visit("/artifacts/cifar10-cnn-int8")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download cifar10-cnn-int8.tflite").click()
    assert download.value.suggested_filename == "cifar10-cnn-int8.tflite"


def test_nothing_fits_is_never_the_end(visit: Open) -> None:
    page = visit("/?device=host-cpu&max_latency_ms=0.001")
    assert page.get_by_role("heading", name="Near misses").is_visible()
    page.get_by_role("link", name="Widen the budget to fit").first.click()
    assert page.get_by_role("heading", name="Best fit").is_visible()


@pytest.mark.parametrize("width", [360, 390, 768, 1280])
@pytest.mark.parametrize("path", PAGES)
def test_no_page_is_wider_than_its_window(visit: Open, path: str, width: int) -> None:
    page = visit(path, width=width, height=800)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_all_text_can_be_read(visit: Open, path: str, dark: bool) -> None:
    page = visit(path, dark=dark)
    found: list[list[Any]] = page.evaluate(
        CONTRAST,
        "p, small, a, th, td, dt, dd, h1, h2, h3, code, .badge, .tag, button:enabled, label span",
    )
    assert found
    assert not [entry for entry in found if entry[0] < 4.5]


def test_dark_is_dark_and_light_is_light(visit: Open) -> None:
    colours = [
        visit("/", dark=dark).evaluate("getComputedStyle(document.body).backgroundColor")
        for dark in (False, True)
    ]
    assert colours[0] == "rgb(255, 255, 255)"
    assert sum(map(int, colours[1].removeprefix("rgb(").removesuffix(")").split(","))) < 150


@pytest.mark.parametrize("path", PAGES)
def test_the_keyboard_reaches_the_content_first_and_sees_where_it_is(
    visit: Open, path: str
) -> None:
    page = visit(path)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


@pytest.mark.parametrize("path", PAGES)
def test_everything_that_can_be_used_has_a_name(visit: Open, path: str) -> None:
    tree = visit(path).locator("body").aria_snapshot()
    nameless = [
        line for line in tree.splitlines() if line.strip() in {f"- {widget}" for widget in WIDGETS}
    ]
    assert not nameless


def test_the_page_of_the_api_opens_and_asks_nobody_else(visit: Open, address: str) -> None:
    page = visit("/docs").context.new_page()  # a second one, listened to before it opens anything
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{address}/docs")
    page.locator("summary", has_text="/v1/artifacts").first.click()
    assert page.get_by_role("cell", name="median milliseconds, at most").first.is_visible()
    page.locator(".op-body").get_by_role("link", name="Page", exact=True).click()
    assert page.url.endswith("/docs#shape-page")
    assert f"{address}/docs" in asked
    assert not [url for url in asked if not url.startswith(f"{address}/")]
