"""The cache of results: whole or not there, whatever happens to whoever writes it."""

import json
import os
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from zoo_builders.running.stage_cache import StageCache
from zoo_builders.stage import Stage
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import BuildFailed

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def stage(name: str = "a") -> Stage:
    return Stage(
        kind="data",
        name=name,
        params={"n": name},
        code=Digest.of(b"c"),
        tools={},
        reproducible="bitwise",
    )


def keep(cache: StageCache, made: Stage, **files: bytes) -> Path:
    with cache.making(made.fingerprint), cache.workspace(made.fingerprint) as out:
        for name, data in files.items():
            (out / name).write_bytes(data)
        return cache.keep(made, out, started=NOW, duration_s=1.0, host="h")


def test_a_result_is_there_with_its_note(tmp_path: Path) -> None:
    cache = StageCache(tmp_path)
    folder = keep(cache, stage(), model=b"x" * 10)
    assert cache.has(stage().fingerprint)
    assert folder == tmp_path / stage().fingerprint[:2] / stage().fingerprint
    assert cache.note(stage().fingerprint).files["model"].size == 10
    assert cache.verify() == ()
    assert not os.access(folder / "model", os.W_OK) or os.geteuid() == 0


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    cache, made = StageCache(tmp_path), stage()
    with (  # noqa: PT012
        pytest.raises(RuntimeError),
        cache.making(made.fingerprint),
        cache.workspace(made.fingerprint) as out,
    ):
        (out / "half").write_bytes(b"x")
        raise RuntimeError
    assert not cache.has(made.fingerprint)
    assert [
        path for path in tmp_path.rglob("*") if path.is_file() and not path.name.endswith(".lock")
    ] == []


def test_what_a_crash_left_is_cleared(tmp_path: Path) -> None:
    cache, made = StageCache(tmp_path), stage()
    left = tmp_path / made.fingerprint[:2] / f".{made.fingerprint}.dead.tmp"
    left.mkdir(parents=True)
    (left / "half").write_bytes(b"x")
    keep(cache, made, model=b"y")
    assert not left.exists()
    assert cache.fingerprints() == (made.fingerprint,)


def test_a_short_file_is_no_result_and_is_made_again(tmp_path: Path) -> None:
    cache, made = StageCache(tmp_path), stage()
    folder = keep(cache, made, model=b"x" * 10)
    (folder / "model").chmod(0o644)
    (folder / "model").write_bytes(b"x" * 9)
    assert not cache.has(made.fingerprint)
    keep(cache, made, model=b"x" * 10)
    assert cache.has(made.fingerprint)


def test_verify_names_changed_missing_and_strange_files(tmp_path: Path) -> None:
    cache, made = StageCache(tmp_path), stage()
    folder = keep(cache, made, a=b"1", b=b"2")
    (folder / "a").unlink()
    (folder / "a").write_bytes(b"x")
    (folder / "b").unlink()
    (folder / "c").write_bytes(b"")
    found = {damage.file: damage.reason for damage in cache.verify()}
    assert set(found) == {"a", "b", "c"}
    assert "expected sha256:" in found["a"]
    assert found["b"] == "is missing"


@pytest.mark.parametrize("kind", ["nothing", "folder", "link"])
def test_only_plain_files_are_results(tmp_path: Path, kind: str) -> None:
    cache, made = StageCache(tmp_path), stage()
    # prepared inside the workspace
    with cache.workspace(made.fingerprint) as out, pytest.raises(BuildFailed):  # noqa: PT012
        if kind == "folder":
            (out / "x").mkdir()
        elif kind == "link":
            (out / "x").symlink_to("/etc/hostname")
        cache.keep(made, out, started=NOW, duration_s=1.0, host="h")
    assert not cache.has(made.fingerprint)


def test_two_who_finish_the_same_stage_do_not_clash(tmp_path: Path) -> None:
    cache, made = StageCache(tmp_path), stage()
    with cache.workspace(made.fingerprint) as first, cache.workspace(made.fingerprint) as second:
        for out in (first, second):
            (out / "model").write_bytes(b"same")
        folders = [
            cache.keep(made, out, started=NOW, duration_s=1.0, host="h") for out in (first, second)
        ]
    assert folders[0] == folders[1]
    assert cache.verify() == ()


def test_many_builders_do_the_work_once(tmp_path: Path) -> None:
    cache, made, work = StageCache(tmp_path), stage(), list[int]()

    def build() -> None:
        with cache.making(made.fingerprint):
            if not cache.has(made.fingerprint):
                work.append(1)
                with cache.workspace(made.fingerprint) as out:
                    (out / "model").write_bytes(b"x")
                    cache.keep(made, out, started=NOW, duration_s=1.0, host="h")

    threads = [threading.Thread(target=build) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert work == [1]


def test_zoo_cache_verify_finds_a_damaged_result_and_drops_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from zoo_client.cli import run

    monkeypatch.setenv("ZOO_HOME", str(tmp_path))
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "pulled"))
    cache = StageCache(tmp_path / "cache/stages")
    keep(cache, stage("whole"), model=b"x" * 10)
    hurt = keep(cache, stage("hurt"), model=b"x" * 10) / "model"
    assert run(["cache", "verify"]) == 0
    hurt.chmod(0o644)
    hurt.write_bytes(b"y" * 10)
    assert run(["cache", "verify", "--json"]) == 1
    damaged = json.loads(capsys.readouterr().out.partition("\n")[2])["damaged_results"]
    assert [(d["fingerprint"], d["file"]) for d in damaged] == [
        (stage("hurt").fingerprint, "model")
    ]
    assert not cache.has(stage("hurt").fingerprint)
    assert run(["cache", "verify"]) == 0
