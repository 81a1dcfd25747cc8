"""Budgets as queries, over HTTP."""

from collections.abc import Callable

import pytest
from starlette.testclient import TestClient

from zoo_registry.model.record import Record

Publish = Callable[..., Record]


@pytest.fixture
def family(publish: Publish) -> None:
    publish(variant="fp32", technique=None, top1=0.98, medians={"host-cpu": 4.0, "web-wasm": 9.0})
    publish(variant="int8", technique="quantize", top1=0.96, medians={"host-cpu": 1.5})
    publish(
        variant="sparse75", technique="prune", top1=0.95, medians={"host-cpu": 4.1, "web-wasm": 3.0}
    )


def names(answer: object) -> list[str]:
    return [item["variant"] for item in answer.json()["items"]]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("", ["fp32", "int8", "sparse75"]),
        ("task=image-classification&device=host-cpu&max_latency_ms=2&min_top1=0.9", ["int8"]),
        ("device=web-wasm&max_latency_ms=5", ["sparse75"]),
        ("technique=none", ["fp32"]),
        ("technique=prune", ["sparse75"]),
        ("max_ratio=0.4", ["int8"]),
        ("max_size=1kB", ["fp32", "int8", "sparse75"]),
        ("q=TESTS+int8", ["int8"]),
        ("license=Apache-2.0&sort=-top1", ["fp32", "int8", "sparse75"]),
        ("sort=latency&device=host-cpu", ["int8", "fp32", "sparse75"]),
        ("pareto=true&device=host-cpu", ["fp32", "int8"]),
        ("threads=1&device=web-wasm", ["fp32", "sparse75"]),
        ("max_latency_ms=&task=", ["fp32", "int8", "sparse75"]),
    ],
)
def test_filters(api: TestClient, family: None, asked: str, expected: list[str]) -> None:
    assert names(api.get(f"/v1/artifacts?{asked}")) == expected


def test_nothing_fits_gives_near_misses(api: TestClient, family: None) -> None:
    answer = api.get("/v1/artifacts?device=host-cpu&max_latency_ms=1&min_top1=0.96").json()
    assert answer["items"] == []
    nearest = answer["near_misses"][0]
    assert nearest["item"]["variant"] == "int8"
    assert nearest["misses"] == [
        {"limit": "max_latency_ms", "wanted": 1.0, "found": 1.5, "by": 0.5}
    ]


def test_resolve_chooses_the_most_accurate_that_fits(api: TestClient, family: None) -> None:
    answer = api.get("/v1/resolve?device=host-cpu&max_latency_ms=4.05").json()
    assert answer["chosen"]["variant"] == "fp32"
    assert "of 2 that fit" in answer["why"]
    assert [item["variant"] for item in answer["alternatives"]] == ["int8"]


def test_resolve_says_when_nothing_fits(api: TestClient, family: None) -> None:
    answer = api.get("/v1/resolve?device=host-cpu&max_latency_ms=0.1")
    assert answer.status_code == 200
    assert answer.json()["chosen"] is None
    assert len(answer.json()["near_misses"]) == 3


def test_the_front_marks_what_nothing_beats(api: TestClient, family: None) -> None:
    answer = api.get("/v1/pareto?device=host-cpu&x=latency_ms&y=top1").json()
    assert [(point["item"]["variant"], point["on_front"]) for point in answer["points"]] == [
        ("int8", True),
        ("fp32", True),
        ("sparse75", False),
    ]


def test_pages_follow_each_other(api: TestClient, family: None) -> None:
    asked = {"limit": 2, "sort": "-latency", "device": "host-cpu"}
    first = api.get("/v1/artifacts", params=asked).json()
    second = api.get("/v1/artifacts", params={**asked, "cursor": first["next_cursor"]}).json()
    assert [item["variant"] for item in (*first["items"], *second["items"])] == [
        "sparse75",
        "fp32",
        "int8",
    ]
    assert second["next_cursor"] is None


def test_only_the_latest_version_is_listed(api: TestClient, publish: Publish) -> None:
    for version in ("1.0.0", "1.1.0", "1.2.0-rc.1"):
        publish(version=version)
    assert [item["version"] for item in api.get("/v1/artifacts").json()["items"]] == ["1.1.0"]
    assert [
        item["version"] for item in api.get("/v1/artifacts?all_versions=true").json()["items"]
    ] == ["1.2.0-rc.1", "1.1.0", "1.0.0"]
    assert (
        api.post("/v1/artifacts/digits-cnn-int8/1.1.0/yank", json={"reason": "wrong"}).status_code
        == 200
    )
    assert [item["version"] for item in api.get("/v1/artifacts").json()["items"]] == ["1.0.0"]


def test_devices_and_facets(api: TestClient, family: None) -> None:
    cpu, wasm = api.get("/v1/devices").json()
    assert {**cpu, "platforms": None} == {
        "device": "host-cpu",
        "threads": [1],
        "releases": 3,
        "platforms": None,
    }
    assert cpu["platforms"] == [
        {
            "platform": "host-cpu/x86-64-unknown/test",
            "told": "test (x86-64, class unknown)",
            "threads": [1],
            "releases": 3,
        }
    ]
    assert (wasm["device"], wasm["threads"], wasm["releases"]) == ("web-wasm", [1], 2)
    facets = api.get("/v1/facets").json()
    assert facets["technique"] == ["none", "prune", "quantize"]
    assert facets["device"] == ["host-cpu", "web-wasm"]
    assert facets["platform"] == ["host-cpu/x86-64-unknown/test", "web-wasm/x86-64-unknown/test"]
    assert facets["metric"] == ["top1"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [("max_latncy_ms=3", "max_latency_ms"), ("min_=3", "known:"), ("MAX_SIZE=3", "known:")],
)
def test_unknown_parameters_are_refused(api: TestClient, asked: str, said: str) -> None:
    answer = api.get(f"/v1/artifacts?{asked}")
    assert answer.status_code == 422
    assert said in answer.json()["hint"]


@pytest.mark.parametrize(
    "asked",
    [
        "max_latency_ms=fast",
        "max_latency_ms=-1",
        "max_latency_ms=nan",
        "max_latency_ms=inf",
        "max_latency_ms=1e999",
        "max_ratio=0",
        "max_latency_ms=1_0",
        "threads=0",
        "threads=1.5",
        "threads=9999999999999999999999",
        "threads=%D9%A1",
        "max_size=4XB",
        "max_size=-4",
        "max_size=99999999999999GiB",
        "max_size=" + "9" * 400,
        "min_top1=x",
        "pareto=maybe",
        "sort=name;drop",
        "q=%00",
        "task=a&task=b",
        "q=" + "x" * 201,
        "device=a%0Ab",
    ],
)
def test_hostile_values_are_refused_with_a_reason(api: TestClient, asked: str) -> None:
    for route in ("artifacts", "resolve", "pareto"):
        answer = api.get(f"/v1/{route}?{asked}")
        assert answer.status_code == 422, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["type"] == "urn:edgezoo:invalid-query"


def test_sorting_by_what_nobody_has_is_refused(api: TestClient, family: None) -> None:
    answer = api.get("/v1/artifacts?sort=colour")
    assert answer.status_code == 422
    assert "top1" in answer.json()["detail"]


@pytest.mark.parametrize(
    "asked",
    ["limit=0", "limit=201", "limit=x", "cursor=x", "cursor=%F0", "cursor=" + "A" * 3000, "x=size"],
)
def test_hostile_paging_is_refused(api: TestClient, asked: str) -> None:
    assert api.get(f"/v1/artifacts?{asked}").json()["type"] == "urn:edgezoo:invalid-query"


def test_a_cursor_belongs_to_its_search(api: TestClient, family: None) -> None:
    cursor = api.get("/v1/artifacts?limit=1").json()["next_cursor"]
    assert api.get("/v1/artifacts", params={"limit": 2, "cursor": cursor}).status_code == 200
    assert (
        api.get("/v1/artifacts", params={"limit": 1, "cursor": cursor, "q": "int8"}).status_code
        == 422
    )


@pytest.mark.parametrize("text", ["%", "_", "'; DROP TABLE releases; --", '" OR 1=1', "\\", "%25"])
def test_words_are_words_not_patterns(api: TestClient, family: None, text: str) -> None:
    answer = api.get("/v1/artifacts", params={"q": text})
    assert (answer.status_code, answer.json()["items"]) == (200, [])
    assert len(api.get("/v1/artifacts").json()["items"]) == 3


def test_a_question_of_endless_metrics_is_refused(api: TestClient) -> None:
    asked = "&".join(f"min_m{number}=0.1" for number in range(1200))
    answer = api.get(f"/v1/artifacts?{asked}")
    assert answer.status_code == 422
    assert "16" in answer.json()["detail"]
