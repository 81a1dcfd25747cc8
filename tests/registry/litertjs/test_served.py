"""LiteRT.js as the registry serves it.

Known files, as they were installed, and nothing beside them.
"""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from plugins.lab import VERSION, install
from zoo_registry.app import create_app
from zoo_registry.litertjs import installed
from zoo_registry.settings import Settings
from zoo_registry.web import render

WASM = "core/wasm/litert_wasm_internal.wasm"
Serve = Callable[..., TestClient]


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    return install(tmp_path / "litertjs")


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    def start(folder: Path) -> TestClient:
        settings = Settings(
            db=str(tmp_path / "zoo.db"), store=str(tmp_path / "store"), litertjs=folder
        )
        return TestClient(create_app(settings))

    return start


def at(name: str, version: str = VERSION) -> str:
    return f"/static/litertjs/{version}/{name}"


def test_every_known_file_is_sent_as_what_it_is_and_may_be_kept(
    serve: Serve, runtime: Path
) -> None:
    client = serve(runtime)
    for name, media in installed.FILES.items():
        got = client.get(at(name), headers={"accept-encoding": "identity"})
        assert (got.status_code, got.content) == (200, (runtime / name).read_bytes())
        assert got.headers["content-type"].startswith(media)
        assert "immutable" in got.headers["cache-control"]
        assert got.headers["cross-origin-embedder-policy"] == "require-corp", (
            "an isolated page takes no other worker"
        )


def test_only_workers_may_compile_webassembly(serve: Serve, runtime: Path) -> None:
    client = serve(runtime)
    worker = client.get(render.lab_address("worker.js")).headers["content-security-policy"]
    assert "script-src 'self' 'wasm-unsafe-eval';" in worker
    assert "script-src 'self';" in client.get("/").headers["content-security-policy"]


def test_packed_for_who_takes_it_and_each_form_has_its_tag(serve: Serve, runtime: Path) -> None:
    client = serve(runtime)
    packed = client.get(at(WASM), headers={"accept-encoding": "gzip"})
    plain = client.get(at(WASM), headers={"accept-encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < len(plain.content) == len(packed.content)
    assert packed.headers["etag"] != plain.headers["etag"]
    assert packed.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"
    for form, got in (("gzip", packed), ("identity", plain)):
        again = client.get(
            at(WASM), headers={"accept-encoding": form, "if-none-match": got.headers["etag"]}
        )
        assert (again.status_code, again.content) == (304, b"")
    assert (
        client.get(
            at(WASM), headers={"accept-encoding": "gzip", "if-none-match": plain.headers["etag"]}
        ).status_code
        == 200
    )


@pytest.mark.parametrize(
    "path",
    [
        "../secret",
        "..%2Fsecret",
        "core/../../secret",
        "core%2F..%2F..%2Fsecret",
        "/etc/passwd",
        "core/wasm/other.wasm",
        "%00",
        "core",
        "",
    ],
)
def test_no_other_file_is_ever_sent(serve: Serve, runtime: Path, path: str) -> None:
    (runtime.parent / "secret").write_text("not for you")
    (runtime / "core" / "wasm" / "other.wasm").write_text("not for you")
    got = serve(runtime).get(at(path))
    assert got.status_code == 404
    assert "not for you" not in got.text


def test_a_file_that_changed_since_it_was_installed_is_not_sent(
    serve: Serve, runtime: Path
) -> None:
    (runtime / WASM).chmod(0o644)
    (runtime / WASM).write_bytes(b"something else")
    got = serve(runtime).get(at(WASM))
    assert (got.status_code, got.json()["hint"]) == (404, installed.COMMAND)


def test_an_old_address_still_works_but_is_not_kept(serve: Serve, runtime: Path) -> None:
    got = serve(runtime).get(at(WASM, "1.0.0"))
    assert (got.status_code, got.headers["cache-control"]) == (200, "no-cache")


def test_it_may_be_installed_and_replaced_while_the_registry_runs(
    serve: Serve, tmp_path: Path
) -> None:
    folder = tmp_path / "later"
    client = serve(folder)
    missing = client.get(at(WASM))
    assert (missing.status_code, missing.json()["hint"]) == (404, installed.COMMAND)
    install(folder)
    first = client.get(at(WASM)).content
    install(folder, "9.9.0")
    assert client.get(at(WASM, "9.9.0")).content != first


def test_modules_of_the_lab_are_kept_or_replaced_together(serve: Serve, runtime: Path) -> None:
    client = serve(runtime)
    current = client.get(render.lab_address("page.js"))
    assert "immutable" in current.headers["cache-control"]
    assert current.headers["content-type"].startswith("text/javascript")
    stale = client.get("/static/lab/0123/page.js")
    assert (stale.content, stale.headers["cache-control"]) == (current.content, "no-cache")
    for name in ("nothing.js", "..%2Fzoo.js", "..%2F..%2Frender.py"):
        assert client.get(f"/static/lab/{render.lab_version()}/{name}").status_code == 404


def test_packing_a_file_twice_gives_the_same_bytes(serve: Serve, runtime: Path) -> None:
    # starlette types an app as a function
    files = serve(runtime).app.state.litertjs  # type: ignore[attr-defined]
    assert gzip.decompress(files.get(WASM).packed) == files.get(WASM).data
    assert files.download == len(files.get(WASM).packed)
