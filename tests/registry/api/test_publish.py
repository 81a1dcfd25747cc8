"""Publishing over HTTP: uploads, releases, and what is said of them later."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from zoo_registry.model.digest import Digest
from zoo_registry.model.record import Measurement, Record

DATA = b"TFL3" + bytes(range(200))
DIGEST = Digest.of(DATA)
Publish = Callable[..., Record]


def begin(api: TestClient, size: int = len(DATA), digest: str = DIGEST) -> str:
    answer = api.post("/v1/uploads", json={"sha256": digest, "size": size})
    assert answer.status_code == 201, answer.text
    return f"/v1/uploads/{answer.json()['id']}"


def test_an_upload_at_once(api: TestClient) -> None:
    url = begin(api)
    assert api.get(url).json()["offset"] == 0
    sent = api.put(url, content=DATA)
    assert (sent.status_code, sent.json()["done"], sent.json()["offset"]) == (201, True, len(DATA))
    assert api.get(f"/v1/blobs/{DIGEST}").content == DATA
    assert api.get(url).status_code == 404


def test_an_upload_in_parts(api: TestClient) -> None:
    url = begin(api)
    for start, end in ((0, 50), (50, 51), (51, len(DATA))):
        sent = api.put(
            url,
            content=DATA[start:end],
            headers={"Content-Range": f"bytes {start}-{end - 1}/{len(DATA)}"},
        )
        assert sent.json()["offset"] == end, sent.text
    assert sent.json()["done"]
    assert api.get(f"/v1/blobs/{DIGEST}").content == DATA


def test_an_upload_is_done_when_the_blob_is_here(
    api: TestClient, upload: Callable[[bytes], Digest]
) -> None:
    upload(DATA)
    again = api.post("/v1/uploads", json={"sha256": DIGEST, "size": len(DATA)})
    assert (again.status_code, again.json()["done"]) == (200, True)


def test_a_part_out_of_place_is_refused(api: TestClient) -> None:
    url = begin(api)
    api.put(url, content=DATA[:10], headers={"Content-Range": f"bytes 0-9/{len(DATA)}"})
    wrong = api.put(
        url, content=DATA[20:], headers={"Content-Range": f"bytes 20-{len(DATA) - 1}/{len(DATA)}"}
    )
    assert wrong.status_code == 409
    assert "10" in wrong.json()["detail"]
    assert api.get(url).json()["offset"] == 10
    assert api.put(url, content=DATA).json()["done"], "starting again is always allowed"


def test_other_bytes_are_dropped(api: TestClient, folder: Path) -> None:
    url = begin(api)
    wrong = api.put(url, content=DATA[::-1])
    assert (wrong.status_code, wrong.json()["type"]) == (422, "urn:edgezoo:digest-mismatch")
    assert DIGEST in wrong.json()["detail"]
    assert api.head(f"/v1/blobs/{DIGEST}").status_code == 404
    assert api.get(url).status_code == 404
    assert list((folder / "uploads").iterdir()) == []


def test_more_than_announced_is_refused(api: TestClient) -> None:
    url = begin(api, size=10)
    assert api.put(url, content=DATA).status_code == 413
    assert api.head(f"/v1/blobs/{DIGEST}").status_code == 404


@pytest.mark.parametrize(
    "header", ["bytes 0-9/10", "bytes */204", "x", "bytes 5-1/204", "bytes 0-9/*"]
)
def test_a_hostile_content_range(api: TestClient, header: str) -> None:
    assert (
        api.put(begin(api), content=DATA[:10], headers={"Content-Range": header}).status_code == 422
    )


NAMED = f'"sha256": "{DIGEST}"'.encode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"sha256": "x", "size": 1}',
        b"{%s}" % NAMED,
        b'{%s, "size": -1}' % NAMED,
        b'{%s, "size": "9"}' % NAMED,
        b'{%s, "size": 1, "path": "/etc"}' % NAMED,
        b'{%s, "size": 1, "size": 2}' % NAMED,
        b"\xff",
        b'{"size": NaN}',
        b"[" * 5000,
    ],
)
def test_a_hostile_announcement(api: TestClient, body: bytes) -> None:
    answer = api.post("/v1/uploads", content=body)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")


def test_bodies_and_blobs_are_bounded(api: TestClient) -> None:
    assert api.post("/v1/uploads", content=b" " * (65 << 10)).status_code == 413
    assert api.post("/v1/uploads", json={"sha256": DIGEST, "size": 1 << 50}).status_code == 413
    assert api.post("/v1/releases", content=b" " * ((8 << 20) + 1)).status_code == 413


@pytest.mark.parametrize("identity", ["x", "0" * 32, "..%2Fzoo.db", "A" * 32])
def test_an_upload_that_nobody_announced(api: TestClient, identity: str) -> None:
    assert api.put(f"/v1/uploads/{identity}", content=DATA).status_code == 404


def test_a_record_is_given_with_what_was_said_since(
    api: TestClient, publish: Publish, make_measurement: Callable[..., Measurement]
) -> None:
    record = publish()
    added = (
        make_measurement(record.file.sha256, device="web-wasm", median=7.5)
        .model_dump_json()
        .encode()
    )
    url = "/v1/artifacts/digits-cnn-int8/1.0.0/measurements"
    assert [api.post(url, content=added).json() for _ in range(2)] == [
        {"added": True},
        {"added": False},
    ]
    assert (
        api.put(
            "/v1/artifacts/digits-cnn-int8/aliases/stable", json={"version": "1.0.0"}
        ).status_code
        == 200
    )
    shown = api.get("/v1/artifacts/digits-cnn-int8/stable").json()
    assert (
        Record.read(
            json.dumps({k: v for k, v in shown.items() if k != "measurements"}).encode()
        ).file
        == record.file
    )
    assert [m["device"] for m in shown["measurements"]] == ["host-cpu", "web-wasm"]
    assert shown["release"]["aliases"] == ["stable"]
    assert api.get(f"/v1/blobs/{shown['release']['record_sha256']}").content == record.to_bytes()
    assert [
        item["timings"][1]["device"]
        for item in api.get("/v1/artifacts?device=web-wasm").json()["items"]
    ] == ["web-wasm"]


def test_a_record_has_an_etag_that_changes_with_it(api: TestClient, publish: Publish) -> None:
    publish()
    url = "/v1/artifacts/digits-cnn-int8/1.0.0"
    etag = api.get(url).headers["etag"]
    assert api.get(url, headers={"If-None-Match": etag}).status_code == 304
    api.put("/v1/artifacts/digits-cnn-int8/aliases/stable", json={"version": "1.0.0"})
    assert api.get(url, headers={"If-None-Match": etag}).status_code == 200


def test_releasing_twice_is_no_change_and_other_bytes_are_refused(
    api: TestClient,
    publish: Publish,
    upload: Callable[[bytes], Digest],
    make_record: Callable[..., Record],
) -> None:
    record = publish()
    assert api.post("/v1/releases", content=record.to_bytes()).json()["created"] is False
    upload(DATA)
    refused = api.post("/v1/releases", content=make_record(data=DATA).to_bytes())
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:edgezoo:release-exists")
    assert "zoo bump" in refused.json()["hint"]
    assert (
        api.get("/v1/artifacts/digits-cnn-int8/1.0.0").json()["file"]["sha256"]
        == record.file.sha256
    )


def test_a_release_needs_its_file(api: TestClient, make_record: Callable[..., Record]) -> None:
    refused = api.post("/v1/releases", content=make_record().to_bytes())
    assert (refused.status_code, refused.json()["type"]) == (422, "urn:edgezoo:invalid-record")
    assert api.get("/v1/artifacts").json()["items"] == []


def test_a_measurement_of_another_file_is_refused(
    api: TestClient, publish: Publish, make_measurement: Callable[..., Measurement]
) -> None:
    publish()
    wrong = make_measurement(DIGEST).model_dump_json()
    answer = api.post("/v1/artifacts/digits-cnn-int8/1.0.0/measurements", content=wrong)
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:edgezoo:invalid-record")
    assert f"measured on sha256:{DIGEST}" in answer.json()["detail"]


Change = Callable[[dict[str, Any]], Any]
HOSTILE: dict[str, tuple[Change, str]] = {
    "negative": (lambda m: m["latency_ms"].update(min=-1.0), "latency_ms.min"),
    "zero": (lambda m: m["ratio"].update(value=0), "ratio.value"),
    "huge": (lambda m: m["latency_ms"].update(max=1e300, std=1e300), "latency_ms.max"),
    "out of order": (lambda m: m["latency_ms"].update(median=1e5, max=1e6), "latency_ms.median"),
    "many runs": (lambda m: m.update(runs=10**12), "runs"),
    "more nodes than there are": (
        lambda m: m.update(nodes_delegated=99, nodes_total=9),
        "nodes_delegated",
    ),
    "an interval beside the value": (lambda m: m["ratio"].update(ci95=[7.0, 8.0]), "ratio.ci95"),
    "an impossible ratio": (
        lambda m: m.update(ratio={"value": 1e12, "ci95": [1e12, 1e12]}),
        "ratio.value",
    ),
    "no host": (lambda m: m.pop("host"), "host"),
    "a host that is a text": (lambda m: m.update(host="laptop"), "host"),
    "another protocol": (lambda m: m.update(protocol="once/v1"), "protocol"),
    "other kernels": (lambda m: m.update(kernels="reference"), "kernels"),
    "the future": (lambda m: m.update(when="2999-01-01T00:00:00Z"), "when"),
    "no time zone": (lambda m: m.update(when="2026-01-01T00:00:00"), "when"),
    "a device that is a path": (lambda m: m.update(device="../../etc"), "device"),
    "a novel": (lambda m: m["host"].update(cpu="x" * 5000), "host.cpu"),
    "many causes": (lambda m: m.update(noise_causes=["load"] * 1000), "noise_causes"),
    "no threads": (lambda m: m.update(threads=0), "threads"),
    "a key of its own": (lambda m: m.update(admin=True), "admin"),
    "outputs not checked": (lambda m: m.update(output_check="skipped"), "output_check"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_measurement_is_refused_with_the_field_named(
    api: TestClient, publish: Publish, make_measurement: Callable[..., Measurement], kind: str
) -> None:
    record = publish()
    url = "/v1/artifacts/digits-cnn-int8/1.0.0/measurements"
    plain = make_measurement(record.file.sha256, device="web-wasm").model_dump(mode="json")
    change, field = HOSTILE[kind]
    change(plain)
    answer = api.post(url, json=plain)
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:edgezoo:invalid-record")
    assert any(told.strip().startswith(field) for told in answer.json()["detail"].split(";"))
    assert len(api.get("/v1/artifacts/digits-cnn-int8/1.0.0").json()["measurements"]) == 1


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_no_number_is_no_measurement(
    api: TestClient, publish: Publish, make_measurement: Callable[..., Measurement], text: str
) -> None:
    record = publish()
    spelled = (
        make_measurement(record.file.sha256, device="web-wasm")
        .model_dump_json()
        .replace('"init_ms":3.0', f'"init_ms":{text}')
    )
    assert text in spelled
    assert (
        api.post("/v1/artifacts/digits-cnn-int8/1.0.0/measurements", content=spelled).status_code
        == 422
    )


def test_versions(api: TestClient, publish: Publish) -> None:
    publish()
    publish(version="1.1.0")
    api.put("/v1/artifacts/digits-cnn-int8/aliases/stable", json={"version": "1.0.0"})
    shown = api.get("/v1/artifacts/digits-cnn-int8").json()
    assert [item["version"] for item in shown["items"]] == ["1.1.0", "1.0.0"]
    assert shown["aliases"] == {"stable": "1.0.0"}
    assert api.get("/v1/artifacts/digits-cnn-int8/^1").json()["version"] == "1.1.0"


@pytest.mark.parametrize(
    ("method", "url", "status", "slug"),
    [
        ("GET", "/v1/artifacts/digit-cnn-int8", 404, "not-found"),
        ("GET", "/v1/artifacts/digits-cnn-int8/9.9.9", 404, "not-found"),
        ("GET", "/v1/artifacts/digits-cnn-int8/01.0.0", 422, "invalid-ref"),
        ("GET", "/v1/artifacts/UPPER/1.0.0", 422, "invalid-ref"),
        ("GET", "/v1/artifacts/..%2F..%2Fetc/1.0.0", 404, "not-found"),
        ("GET", "/v1/nothing", 404, "not-found"),
        ("DELETE", "/v1/artifacts", 405, "method-not-allowed"),
        ("PUT", "/v1/artifacts/digits-cnn-int8/aliases/latest", 422, "wrong-use"),
        ("PUT", "/v1/artifacts/digits-cnn-int8/aliases/x%2e", 422, "wrong-use"),
        ("POST", "/v1/artifacts/digits-cnn-int8/1.0.0/yank", 422, "wrong-use"),
    ],
)
def test_mistakes_are_problems(
    api: TestClient, publish: Publish, method: str, url: str, status: int, slug: str
) -> None:
    publish()
    answer = api.request(method, url, content=b'{"version": "1.0.0"}' if method != "GET" else None)
    assert (answer.status_code, answer.json()["type"]) == (status, f"urn:edgezoo:{slug}")
    assert answer.json()["hint"]
    assert answer.headers["content-type"] == "application/problem+json"


def test_yanking(api: TestClient, publish: Publish) -> None:
    publish()
    yanked = api.post("/v1/artifacts/digits-cnn-int8/1.0.0/yank", json={"reason": "wrong labels"})
    assert yanked.json()["reason"] == "wrong labels"
    assert api.get("/v1/artifacts/digits-cnn-int8/1.0.0").json()["release"]["yanked"] is True
    gone = api.get("/v1/artifacts/digits-cnn-int8/latest")
    assert (gone.status_code, gone.json()["type"]) == (410, "urn:edgezoo:yanked")
    assert api.get("/v1/artifacts").json()["items"] == []
