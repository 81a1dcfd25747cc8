"""Who may do what."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from plugins.records import blob
from plugins.registry_server import stock
from zoo_registry.app import create_app
from zoo_registry.catalogue import tokens
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import NotFound, WrongUse
from zoo_registry.model.record import Measurement, Record
from zoo_registry.settings import Settings

WRITES = [
    ("POST", "/v1/uploads", "publish"),
    ("PUT", "/v1/uploads/" + "0" * 32, "publish"),
    ("POST", "/v1/releases", "publish"),
    ("POST", "/v1/artifacts/a-b/1.0.0/measurements", "measure"),
    ("PUT", "/v1/artifacts/a-b/aliases/stable", "publish"),
    ("POST", "/v1/artifacts/a-b/1.0.0/yank", "publish"),
]


@pytest.fixture
def settings(folder: Path) -> Settings:
    return Settings(db=str(folder / "zoo.db"), store=str(folder))


@pytest.fixture
def token(api: TestClient) -> Callable[..., dict[str, str]]:
    """Make a token with scopes; give the header that carries it."""
    engine = api.app.state.registry.catalogue.engine  # type: ignore[attr-defined]
    return lambda *scopes: {
        "Authorization": f"Bearer {tokens.create(engine, 'test', scopes, '2026-01-01T00:00:00Z')}"
    }


@pytest.mark.parametrize(("method", "url", "scope"), WRITES)
def test_writes_need_the_scope(
    api: TestClient, token: Callable[..., dict[str, str]], method: str, url: str, scope: str
) -> None:
    for header in (None, "", "Bearer", "Bearer zoo_wrong", "Basic abc", "Bearer zoo_é"):
        headers = [] if header is None else [(b"Authorization", header.encode())]
        without = api.request(method, url, headers=headers)
        assert (without.status_code, without.json()["type"]) == (401, "urn:edgezoo:unauthorized")
        assert without.headers["www-authenticate"].startswith("Bearer")
    other = "measure" if scope == "publish" else "publish"
    refused = api.request(method, url, headers=token("read", other))
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:edgezoo:forbidden")
    assert scope in refused.json()["hint"]
    for good in (scope, "admin"):
        assert api.request(method, url, headers=token(good)).status_code not in (401, 403)


def test_reads_are_public(api: TestClient) -> None:
    assert api.get("/v1/artifacts").status_code == 200


@pytest.fixture
def private(folder: Path) -> Iterator[TestClient]:
    settings = Settings(db=str(folder / "private.db"), store=str(folder), public_reads=False)
    with TestClient(create_app(settings)) as client:
        yield client


def test_reads_can_be_private(private: TestClient) -> None:
    engine = private.app.state.registry.catalogue.engine  # type: ignore[attr-defined]
    for url in ("/v1/artifacts", "/v1/facets", "/v1/blobs/" + "0" * 64, "/"):
        assert private.get(url).status_code == 401
    assert private.get("/healthz").status_code == 200
    made = tokens.create(engine, "reader", ("measure",), "2026-01-01T00:00:00Z")
    assert (
        private.get("/v1/artifacts", headers={"Authorization": f"bearer {made}"}).status_code == 200
    )


def test_the_page_that_asks_for_a_token_has_its_style_and_gives_no_name_away(
    private: TestClient, make_record: Callable[..., Record], blob_bytes: Callable[..., bytes]
) -> None:
    registry, record = private.app.state.registry, make_record()  # type: ignore[attr-defined]
    stock(registry, record, blob_bytes(f"{record.name}@{record.version}"))
    browser = {"Accept": "text/html"}
    asked = private.get("/", headers=browser)
    assert (asked.status_code, "This registry asks for a token" in asked.text) == (401, True)
    addresses = re.findall(r'(?:href|src)="(/static/[^"]+)"', asked.text)
    assert {private.get(address).status_code for address in addresses} == {200}
    assert len(addresses) == 3
    made = tokens.create(registry.catalogue.engine, "reader", ("measure",), "2026-01-01T00:00:00Z")
    for path in (f"/{record.name}s", f"/static/{record.name}s", f"/artifacts/{record.name}s"):
        assert record.name + '"' not in private.get(path, headers=browser).text
    assert (
        record.name + '"'
        in private.get(
            f"/{record.name}s", headers={**browser, "Authorization": f"Bearer {made}"}
        ).text
    )


def test_tokens_are_kept_as_digests_and_can_be_revoked(api: TestClient, folder: Path) -> None:
    engine = api.app.state.registry.catalogue.engine  # type: ignore[attr-defined]
    made = tokens.create(engine, "ci", ("publish",), "2026-01-01T00:00:00Z")
    assert all(made.encode() not in path.read_bytes() for path in folder.glob("zoo.db*"))
    identity = tokens.listed(engine)[0].id
    assert tokens.scopes_of(engine, made) == frozenset({"publish", "read"})
    tokens.revoke(engine, identity)
    assert tokens.scopes_of(engine, made) is None
    for wrong in (identity, "", "%", "_"):
        with pytest.raises(NotFound):
            tokens.revoke(engine, wrong)


@pytest.mark.parametrize("scopes", [(), ("root",), ("publish", "x")])
def test_unknown_scopes_are_refused(api: TestClient, scopes: tuple[str, ...]) -> None:
    engine = api.app.state.registry.catalogue.engine  # type: ignore[attr-defined]
    with pytest.raises(WrongUse, match="scope"):
        tokens.create(engine, "x", scopes, "")


@pytest.mark.parametrize(
    ("device", "status"), [("web-wasm:firefox-android", 201), ("web-wasm", 401), ("host-cpu", 401)]
)
def test_where_visitors_may_submit_they_speak_of_their_browsers_alone(
    folder: Path,
    make_record: Callable[..., Record],
    make_measurement: Callable[..., Measurement],
    device: str,
    status: int,
) -> None:
    app = create_app(Settings(db=str(folder / "zoo.db"), store=str(folder), open_measurements=True))
    record = stock(app.state.registry, make_record(), blob("digits-cnn-int8@1.0.0"))
    body = make_measurement(record.file.sha256, device=device).model_dump_json()
    with TestClient(app) as client:
        assert (
            client.post(
                "/v1/artifacts/digits-cnn-int8/1.0.0/measurements", content=body
            ).status_code
            == status
        )
        assert (
            client.put(
                "/v1/artifacts/digits-cnn-int8/aliases/stable", json={"version": "1.0.0"}
            ).status_code
            == 401
        )
        other = make_measurement(
            Digest.of(b"another file"), device="web-wasm:firefox-android"
        ).model_dump_json()
        assert (
            client.post(
                "/v1/artifacts/digits-cnn-int8/1.0.0/measurements", content=other
            ).status_code
            == 422
        )


def test_visitors_need_a_token_unless_told_otherwise(
    api: TestClient, make_measurement: Callable[..., Measurement]
) -> None:
    body = make_measurement(Digest.of(b"file"), device="web-wasm:firefox-android").model_dump_json()
    assert api.post("/v1/artifacts/a-b/1.0.0/measurements", content=body).status_code == 401
