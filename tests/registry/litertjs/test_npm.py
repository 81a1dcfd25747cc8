"""LiteRT.js arrives verified or not at all.

Npm is stood in for by scripts, so that it can be made to fail.
"""

import json
from pathlib import Path

import pytest

from zoo_client.doctor import litert_js
from zoo_client.settings import Settings
from zoo_registry.litertjs import installed
from zoo_registry.litertjs.npm import install
from zoo_registry.model.errors import DigestMismatch, NotFound, Unreachable, Unsupported
from zoo_registry.model.files import digest_file
from zoo_registry.settings import Settings as ServerSettings


def npm(folder: Path, script: str) -> str:
    """Write an npm that does what `script` says; `$to` is where it shall leave the tarball."""
    made = folder / "npm"
    made.write_text(f'#!/bin/sh\nfor word in "$@"; do to="$word"; done\n{script}\n')
    made.chmod(0o755)
    return str(made)


def laid(where: Path) -> Path:
    """Lay files where an installation has them."""
    files = {}
    for path in set(installed.FILES) - {installed.ABOUT}:
        (where / path).parent.mkdir(parents=True, exist_ok=True)
        (where / path).write_bytes(path.encode())
        files[path] = digest_file(where / path)
    (where / installed.ABOUT).write_text(json.dumps({"version": installed.VERSION, "files": files}))
    return where


def nothing_in(folder: Path) -> bool:
    return [path.name for path in folder.iterdir() if path.name != "npm"] == []


def test_another_tarball_is_refused_and_nothing_is_kept(tmp_path: Path) -> None:
    bad = npm(tmp_path, f'echo evil > "$to/litertjs-core-{installed.VERSION}.tgz"')
    with pytest.raises(DigestMismatch, match="sha512:PlGmbMOq"):
        install(tmp_path / "runtime", npm=bad)
    assert nothing_in(tmp_path)


def test_what_npm_says_is_passed_on(tmp_path: Path) -> None:
    bad = npm(
        tmp_path,
        "echo 'npm error code ENOTFOUND' >&2; echo 'npm error network request failed' >&2; exit 1",
    )
    with pytest.raises(Unreachable, match="ENOTFOUND; network request failed") as failed:
        install(tmp_path / "runtime", npm=bad)
    assert failed.value.hint.startswith("npm ping")
    silent = npm(tmp_path, "exit 0")
    with pytest.raises(Unreachable, match="left no file"):
        install(tmp_path / "runtime", npm=silent)
    assert nothing_in(tmp_path)


def test_without_npm_the_hint_brings_it(tmp_path: Path) -> None:
    with pytest.raises(Unsupported) as failed:
        install(tmp_path / "runtime", npm=str(tmp_path / "none"))
    assert failed.value.hint == "apt-get install npm"


def test_npm_runs_no_script_of_a_package_and_is_told_no_registry(tmp_path: Path) -> None:
    told = npm(tmp_path, f'echo "$@" > {tmp_path}/words; exit 1')
    with pytest.raises(Unreachable):
        install(tmp_path / "runtime", npm=told)
    words = (tmp_path / "words").read_text()
    assert "--ignore-scripts" in words
    assert f"@litertjs/core@{installed.VERSION}" in words
    assert "--registry" not in words


def test_a_second_run_does_nothing_and_a_damaged_one_starts_again(tmp_path: Path) -> None:
    where = laid(tmp_path / "runtime")
    called = npm(tmp_path, "echo called >&2; exit 1")
    assert not install(where, npm=called)
    (where / "core/dist/index.js").write_text("changed")
    with pytest.raises(DigestMismatch):
        installed.verify(where)
    with pytest.raises(Unreachable, match="called"):
        install(where, npm=called)
    assert installed.version_in(where), "what was there stays until the new one is whole"


def test_a_folder_with_anything_else_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home/thesis.txt").write_text("years of work")
    for where in (tmp_path / "home", tmp_path / "home/thesis.txt"):
        with pytest.raises(Unsupported, match="something else"):
            install(where, npm=npm(tmp_path, "exit 1"))
    assert (tmp_path / "home/thesis.txt").read_text() == "years of work"


def test_a_part_of_it_is_not_it(tmp_path: Path) -> None:
    where = laid(tmp_path / "runtime")
    assert installed.found(where) == where
    (where / "core/wasm/litert_wasm_internal.wasm").unlink()
    with pytest.raises(NotFound) as failed:
        installed.found(where)
    assert failed.value.hint == "zoo devices install web-wasm"


def test_client_and_server_look_in_the_same_place(tmp_path: Path) -> None:
    told = {"ZOO_LITERTJS": str(tmp_path)}
    assert (
        installed.folder(Settings.read(told).litertjs)
        == installed.folder(ServerSettings.read(told).litertjs)
        == tmp_path
    )
    assert installed.folder(Settings.read({}).litertjs) == installed.folder(
        ServerSettings.read({}).litertjs
    )


def test_the_doctor_tells_missing_from_damaged(tmp_path: Path) -> None:
    settings = Settings.read({"ZOO_LITERTJS": str(tmp_path / "runtime")})
    assert [one.state for one in litert_js(settings)] == ["note"]
    where = laid(tmp_path / "runtime")
    assert [one.state for one in litert_js(settings)] == ["ok"]
    (where / "wasm-utils/dist/index.js").write_text("changed")
    (broken,) = litert_js(settings)
    assert (broken.state, broken.fix) == ("broken", "zoo devices install web-wasm")


@pytest.mark.litertjs
def test_what_is_installed_here_can_be_loaded_by_workers() -> None:
    where = installed.found(Settings.read().litertjs)
    installed.verify(where)
    library = (where / "core/dist/index.js").read_text()
    assert 'from "@' not in library, "import maps do not reach workers"
    assert 'from "../../wasm-utils/dist/index.js"' in library
