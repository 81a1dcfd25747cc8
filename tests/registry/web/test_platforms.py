"""One file measured on two classes of machine: every question is answered right for each."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from plugins.records import blob, measured
from plugins.registry_server import stock
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import InvalidRecord
from zoo_registry.model.record import Record
from zoo_registry.model.submitted import accept
from zoo_registry.registry import Registry
from zoo_registry.stores import layout

HOST = {"arch": "x86_64", "cores": 2, "fingerprint": Digest.of(b"host")}
QUICK = {**HOST, "cpu": "AMD EPYC 9654 96-Core Processor", "features": ("avx2", "avx512f")}
QUICK["features"] = (*QUICK["features"], "avx512_vnni")
PLAIN = {**HOST, "cpu": "AMD EPYC", "features": ("avx2", "fma")}
VNNI = "host-cpu/x86-64-avx512-vnni/amd-epyc-9654"
AVX2 = "host-cpu/x86-64-avx2/amd-epyc"
PHONE = "android/arm64-dotprod/google-gs101"
FILES = {"int8": (0.95, 1.0, 6.0, "slower"), "fp32": (0.97, 3.0, 3.0, "baseline")}
"""Variant → top1, median on VNNI, median on AVX2, verdict there."""


def _measurements(data: bytes, variant: str) -> list[Any]:
    """As older programs wrote them: the host tells the platform."""
    _, quick, plain, verdict = FILES[variant]
    digest = Digest.of(data)
    return [
        measured(digest, median=quick, host=QUICK),
        measured(digest, median=plain, host=PLAIN, verdict=verdict),
    ]


@pytest.fixture
def two(registry: Registry, make_record: Callable[..., Record]) -> Registry:
    for variant, (top1, *_) in FILES.items():
        data = blob(variant)
        record = make_record(
            variant=variant,
            data=data,
            top1=top1,
            technique=None if variant == "fp32" else "quantize",
            measurements=_measurements(data, variant),
        )
        stock(registry, record, data)
    return registry


def names(answer: Any) -> list[tuple[str, str]]:
    return [(item["variant"], item["platform"]) for item in answer["items"]]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("device=host-cpu&max_latency_ms=2", [("int8", VNNI)]),
        (f"platform={VNNI}&max_latency_ms=2", [("int8", VNNI)]),
        (f"platform={AVX2}&max_latency_ms=4", [("fp32", AVX2)]),
        (f"platform={AVX2}&max_latency_ms=2", []),
        ("device=host-cpu&max_latency_ms=4", [("fp32", AVX2), ("fp32", VNNI), ("int8", VNNI)]),
        ("platform=host-cpu/x86-64-avx2&max_latency_ms=4", [("fp32", AVX2)]),
        ("sort=latency", [("fp32", AVX2), ("int8", AVX2), ("int8", VNNI), ("fp32", VNNI)]),
        ("", [("fp32", ""), ("int8", "")]),
    ],
)
def test_a_budget_is_met_on_one_platform(
    two: Registry, client: TestClient, asked: str, found: list[tuple[str, str]]
) -> None:
    assert names(client.get(f"/v1/artifacts?{asked}").json()) == found


def test_the_best_is_the_best_of_each_platform(two: Registry, client: TestClient) -> None:
    kind = client.get("/v1/resolve?device=host-cpu&max_latency_ms=2").json()
    assert (kind["chosen"]["variant"], kind["chosen"]["platform"]) == ("int8", VNNI)
    assert "AMD EPYC 9654 (x86-64 avx512-vnni)" in kind["why"]
    assert [(o["platform"], o["chosen"]) for o in kind["elsewhere"]] == [(AVX2, None)]
    wide = client.get("/v1/resolve?device=host-cpu&max_latency_ms=8&min_top1=0.9").json()
    answers = [(wide["chosen"]["platform"], wide["chosen"]["variant"])] + [
        (other["platform"], other["chosen"]["variant"]) for other in wide["elsewhere"]
    ]
    assert answers == [(AVX2, "fp32"), (VNNI, "fp32")]
    for key, best in ((VNNI, "int8"), (AVX2, "fp32")):
        ratio = client.get(f"/v1/resolve?platform={key}&max_size=1MB&min_top1=0.9").json()
        assert ratio["chosen"]["platform"] == key
        quick = client.get(f"/v1/artifacts?platform={key}&sort=latency").json()
        assert quick["items"][0]["variant"] == best


def test_a_front_never_mixes_platforms(two: Registry, client: TestClient) -> None:
    points = client.get("/v1/pareto?device=host-cpu").json()["points"]
    front = {(p["item"]["variant"], p["item"]["platform"]) for p in points if p["on_front"]}
    assert front == {("fp32", AVX2), ("fp32", VNNI), ("int8", VNNI)}
    assert len(points) == 4


def test_nobody_measured_on_mine(two: Registry, client: TestClient) -> None:
    asked = f"platform={PHONE}&max_latency_ms=2"
    for route in ("artifacts", "resolve"):
        lacking = client.get(f"/v1/{route}?{asked}").json()["unmeasured"]
        assert lacking["platform"] == PHONE
        assert lacking["nearest"] == [AVX2, VNNI]
        assert lacking["bench"] == "zoo bench digits-cnn-fp32@1.0.0 --device android --submit"
    page = client.get(f"/?{asked}").text
    assert "Nobody measured on google-gs101 (arm64 dotprod, android) yet" in page
    assert "zoo bench digits-cnn-fp32@1.0.0 --device android --submit" in page


def test_the_pages_name_the_machine(two: Registry, client: TestClient) -> None:
    page = client.get("/?device=host-cpu&max_latency_ms=8").text
    for told in ("AMD EPYC (x86-64 avx2)", "AMD EPYC 9654 (x86-64 avx512-vnni)"):
        assert told in page
    one = client.get("/artifacts/digits-cnn-int8").text
    assert one.count("this CPU has no 8-bit dot product (x86-64 avx2)") == 1
    compared = client.get("/compare?ref=digits-cnn-int8&ref=digits-cnn-fp32").text
    assert "Latency on host-cpu, AMD EPYC (x86-64 avx2), 1 thread" in compared
    assert "Latency on host-cpu, AMD EPYC 9654 (x86-64 avx512-vnni), 1 thread" in compared


@pytest.mark.parametrize("name", ["device", "platform"])
def test_the_registry_does_not_know_where_here_is(client: TestClient, name: str) -> None:
    answer = client.get(f"/v1/artifacts?{name}=here&max_latency_ms=8")
    assert answer.status_code == 422
    assert "zoo search --device here" in answer.json()["hint"]


def test_a_claimed_platform_is_held_against_the_host() -> None:
    honest = measured(Digest.of(b"file"), host=PLAIN)
    accept(honest.model_copy(update={"platform": honest.on}))
    for lie in ({"isa": "avx512-vnni"}, {"kind": "android"}, {"machine": "AMD EPYC 9654"}):
        claimed = honest.on.model_copy(update=lie)
        with pytest.raises(InvalidRecord, match=f"platform: .*expected {AVX2}"):
            accept(honest.model_copy(update={"platform": claimed}))


def test_an_index_of_an_older_program_is_read_again(two: Registry) -> None:
    layout.update_index(two.store)
    found = two.store.load("index.json")
    assert found is not None
    old = json.loads(found[0])
    for entry in old["entries"]:
        for timing in entry["summary"]["timings"]:
            del timing["platform"], timing["machine"]
    assert two.store.replace("index.json", json.dumps(old).encode(), found[1])
    read = layout.index(two.store)
    assert {t.platform for item in read for t in item.timings} == {AVX2, VNNI}


def test_devices_and_facets_list_the_platforms(two: Registry, client: TestClient) -> None:
    (device,) = client.get("/v1/devices").json()
    assert [(one["platform"], one["releases"]) for one in device["platforms"]] == [
        (AVX2, 2),
        (VNNI, 2),
    ]
    assert client.get("/v1/facets").json()["platform"] == [AVX2, VNNI]
