"""What a page holds for measuring in the browser.

Chosen purely, spelled safely, and honest about what is missing.
"""

from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from plugins.family import family, file_of, summaries
from plugins.lab import VERSION, install
from plugins.records import make
from plugins.registry_server import stock
from zoo_registry.app import create_app
from zoo_registry.model.canonical import parse
from zoo_registry.model.summary import Summary
from zoo_registry.settings import Settings
from zoo_registry.web.lab import Runtime, lab

RUNTIME = Runtime("2.5.3", 2_700_000)
HOSTILE = "'\"></div><script>alert(1)</script>&amp;"


class Held(HTMLParser):
    """Finds what the lab's element holds, as a browser would read it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.data: Any = None
        self.scripts: list[str | None] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "script":
            self.scripts.append(given.get("src"))
        if given.get("id") == "lab-data":
            self.data = parse((given["data-lab"] or "").encode())


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("lab")
    settings = Settings(
        db=str(folder / "zoo.db"), store=str(folder), litertjs=install(folder / "litertjs")
    )
    app = create_app(settings)
    for record in family():
        stock(app.state.registry, record, file_of(record))
    for version in ("1.0.0", "2.0.0"):
        for variant, technique in (("fp32", None), ("int8", "quantize")):
            data = f"{variant} {version}".encode()
            stock(
                app.state.registry,
                make(
                    variant=variant,
                    version=version,
                    technique=technique,
                    data=data,
                    description=HOSTILE,
                ),
                data,
            )
    with TestClient(app, headers={"accept": "text/html"}) as found:
        yield found


def items() -> tuple[Summary, ...]:
    return summaries(family())


def entries(client: TestClient, path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = Held(client.get(path).text).data["entries"]
    return found


def test_the_page_is_about_its_own_release_first_and_knows_the_baseline(client: TestClient) -> None:
    found = entries(client, "/artifacts/cifar10-cnn-sparse75")
    assert [entry["name"] for entry in found][:2] == ["cifar10-cnn-sparse75", "cifar10-cnn-fp32"]
    assert [entry["float"] for entry in found][:2] == [False, True]
    assert found[0]["record"] == "/v1/artifacts/cifar10-cnn-sparse75/1.0.0"
    assert found[0]["published"]["ratio"] == pytest.approx(0.66), (
        "on web-wasm, where it was measured there"
    )
    assert sum(entry["ticked"] for entry in found) == 8


def test_relatives_are_of_the_same_version(client: TestClient) -> None:
    for version in ("1.0.0", "2.0.0"):
        found = entries(client, f"/artifacts/digits-cnn-int8/{version}")
        assert {(entry["name"], entry["version"]) for entry in found} == {
            ("digits-cnn-int8", version),
            ("digits-cnn-fp32", version),
        }
        compared = entries(client, f"/compare?ref=digits-cnn-int8@{version}")
        assert {(entry["name"], entry["version"]) for entry in compared} == {
            ("digits-cnn-int8", version),
            ("digits-cnn-fp32", version),
        }


def test_a_comparison_measures_what_is_compared_and_the_baseline_of_each_model(
    client: TestClient,
) -> None:
    found = entries(client, "/compare?ref=cifar10-cnn-int8&ref=digits-cnn-int8")
    assert {entry["name"] for entry in found} == {
        "cifar10-cnn-int8",
        "digits-cnn-int8",
        "cifar10-cnn-fp32",
        "digits-cnn-fp32",
    }
    assert all(entry["ticked"] for entry in found)
    assert Held(client.get("/compare").text).data is None, "nothing is compared"


def test_what_a_publisher_writes_stays_data(client: TestClient) -> None:
    page = Held(client.get("/artifacts/digits-cnn-int8").text)
    assert all(src and src.startswith("/static/") for src in page.scripts)
    held = lab(items()[:1], items(), RUNTIME, needs_token=True)
    assert held is not None
    assert HOSTILE not in str(held.data), "a description is not needed"


def test_the_runtime_is_where_it_was_installed_and_its_size_is_told(client: TestClient) -> None:
    runtime = Held(client.get("/artifacts/cifar10-cnn-int8").text).data["runtime"]
    assert runtime["base"] == f"/static/litertjs/{VERSION}/"
    assert client.get(runtime["base"] + "litertjs.json").json()["version"] == VERSION
    assert 0 < runtime["bytes"] < 3000


def test_without_the_runtime_the_page_tells_its_operator_and_has_no_button(tmp_path: Path) -> None:
    app = create_app(
        Settings(db=str(tmp_path / "zoo.db"), store=str(tmp_path), litertjs=tmp_path / "nothing")
    )
    record = family()[0]
    stock(app.state.registry, record, file_of(record))
    text = TestClient(app, headers={"accept": "text/html"}).get(f"/artifacts/{record.name}").text
    assert "zoo devices install web-wasm" in text
    assert "lab-run" not in text
    assert Held(text).data is None


@pytest.mark.parametrize(
    ("settings", "asks"),
    [({}, True), ({"open_measurements": True}, False), ({"trusted": True}, False)],
)
def test_the_page_knows_whether_submitting_needs_a_token(
    tmp_path: Path, settings: dict[str, bool], asks: bool
) -> None:
    folder = install(tmp_path / "litertjs")
    app = create_app(
        Settings.model_validate(
            {"db": str(tmp_path / "zoo.db"), "store": str(tmp_path), "litertjs": folder, **settings}
        )
    )
    record = family()[0]
    stock(app.state.registry, record, file_of(record))
    text = TestClient(app, headers={"accept": "text/html"}).get(f"/artifacts/{record.name}").text
    assert Held(text).data["needs_token"] is asks


def test_large_relatives_are_left_for_the_visitor_to_tick() -> None:
    known = [item.model_copy(update={"size": 15_000_000}) for item in items()]
    held = lab(known[5:6], known, RUNTIME, needs_token=True)
    assert held is not None
    assert [entry["variant"] for entry in held.data["entries"] if entry["ticked"]] == [
        "sparse75",
        "fp32",
    ]


def test_the_published_device_is_one_that_has_numbers() -> None:
    def device(kept: Callable[[str], bool]) -> str:
        timed = [
            item.model_copy(update={"timings": tuple(t for t in item.timings if kept(t.device))})
            for item in items()
        ]
        held = lab(timed[:1], timed, RUNTIME, needs_token=True)
        assert held is not None
        return str(held.data["device"])

    assert device(lambda _: True) == "web-wasm"
    assert device(lambda name: name != "web-wasm") == "host-cpu"
    assert device(lambda _: False) == ""
