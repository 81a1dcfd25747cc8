"""The Hub's layout, asked by the Hub's own client and command over real HTTP."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from huggingface_hub import HfApi, ModelCard, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from plugins.records import blob, make
from plugins.registry_server import RegistryServer, stock
from zoo_registry.catalogue import tokens
from zoo_registry.model.digest import Digest
from zoo_registry.model.record import Record
from zoo_registry.registry import Registry
from zoo_registry.repository import commit_of

REPO = "zoo/digits-cnn-int8"
FILE = "digits-cnn-int8.tflite"
GOLDEN = b"PK golden vectors " * 20
VERSIONS = ("1.0.0", "1.1.0", "2.0.0")
HF = shutil.which("hf") or ""


def publish(registry: Registry, version: str) -> Record:
    record = make(version=version, golden=GOLDEN, description="Fällt auf: <b>|x|</b>")
    return stock(registry, record, blob(f"{record.name}@{version}"), GOLDEN)


@pytest.fixture
def published(registry_server: RegistryServer) -> dict[str, Record]:
    """Three versions: the first is `stable`, the last was yanked."""
    registry: Registry = registry_server.app.state.registry
    records = {version: publish(registry, version) for version in VERSIONS}
    registry.set_alias("digits-cnn-int8", "stable", "1.0.0")
    registry.yank("digits-cnn-int8", "2.0.0", "wrong labels")
    return records


@pytest.fixture
def hf(registry_server: RegistryServer, published: dict[str, Record]) -> HfApi:
    return HfApi(endpoint=registry_server.url, token=False)


def command(
    server: RegistryServer, home: Path, *arguments: str, xet: bool = True, **more: str
) -> subprocess.CompletedProcess[str]:
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith("HF_")
    } | more
    environment |= {"HF_ENDPOINT": server.url, "HF_HOME": str(home)} | (
        {} if xet else {"HF_HUB_DISABLE_XET": "1"}
    )
    return subprocess.run(
        [HF, *arguments], env=environment, check=False, capture_output=True, text=True, timeout=120
    )


@pytest.mark.skipif(not HF, reason="needs the hf command: pip install 'edgezoo[hub]'")
@pytest.mark.parametrize("xet", [True, False], ids=["with Xet", "without Xet"])
def test_the_hf_command_downloads_what_was_published(
    registry_server: RegistryServer, published: dict[str, Record], tmp_path: Path, xet: bool
) -> None:
    out = tmp_path / "out"
    done = command(
        registry_server, tmp_path / "hf", "download", REPO, "--local-dir", str(out), xet=xet
    )
    assert done.returncode == 0, done.stderr
    record = published["1.1.0"]
    assert {path.name for path in out.iterdir() if path.is_file()} == {
        FILE,
        "golden.npz",
        "record.json",
        "README.md",
    }
    assert Digest.of((out / FILE).read_bytes()) == record.file.sha256
    assert (out / "golden.npz").read_bytes() == GOLDEN
    assert (out / "record.json").read_bytes() == record.to_bytes()


@pytest.mark.skipif(not HF, reason="needs the hf command: pip install 'edgezoo[hub]'")
def test_the_hf_command_says_what_is_missing(
    registry_server: RegistryServer, published: dict[str, Record], tmp_path: Path
) -> None:
    for arguments, said in (
        (("zoo/digits-cnn-int9",), "'zoo/digits-cnn-int9' not found"),
        ((REPO, "--revision", "v9.9.9"), f"Revision not found in model '{REPO}'"),
        ((REPO, "model.safetensors"), f"File not found in model '{REPO}'"),
    ):
        done = command(registry_server, tmp_path / "hf", "download", *arguments)
        assert done.returncode != 0
        assert said in " ".join((done.stdout + done.stderr).split())


def test_a_snapshot_is_whole_and_passes_the_clients_own_check(
    hf: HfApi, published: dict[str, Record], tmp_path: Path
) -> None:
    folder = Path(snapshot_download(REPO, endpoint=hf.endpoint, cache_dir=tmp_path, token=False))
    assert Digest.of((folder / FILE).read_bytes()) == published["1.1.0"].file.sha256
    found = hf.verify_repo_checksums(REPO, cache_dir=tmp_path)
    assert (found.checked_count, found.mismatches, found.missing_paths, found.extra_paths) == (
        4,
        [],
        [],
        [],
    )
    (folder / FILE).resolve().write_bytes(b"other bytes")
    assert [
        entry["path"] for entry in hf.verify_repo_checksums(REPO, cache_dir=tmp_path).mismatches
    ] == [FILE]


@pytest.mark.parametrize(
    ("revision", "version"),
    [
        (None, "1.1.0"),
        ("main", "1.1.0"),
        ("v1.0.0", "1.0.0"),
        ("1.0.0", "1.0.0"),
        ("stable", "1.0.0"),
        ("^1", "1.1.0"),
        ("v2.0.0", "2.0.0"),
    ],
)
def test_revisions(
    hf: HfApi, published: dict[str, Record], tmp_path: Path, revision: str | None, version: str
) -> None:
    record = published[version]
    path = hf_hub_download(
        REPO, FILE, revision=revision, endpoint=hf.endpoint, cache_dir=tmp_path, token=False
    )
    assert Digest.of(Path(path).read_bytes()) == record.file.sha256
    info = hf.model_info(REPO, revision=revision)
    assert info.sha == Path(path).parent.name == commit_of(Digest.of(record.to_bytes()))
    pinned = hf_hub_download(
        REPO,
        "record.json",
        revision=info.sha,
        endpoint=hf.endpoint,
        cache_dir=tmp_path,
        token=False,
    )
    assert Path(pinned).read_bytes() == record.to_bytes()


def test_the_description(hf: HfApi, published: dict[str, Record]) -> None:
    info = hf.model_info(REPO, files_metadata=True)
    assert (info.id, info.author, info.library_name, info.pipeline_tag, info.private) == (
        REPO,
        "zoo",
        "litert",
        "image-classification",
        False,
    )
    assert info.card_data is not None
    assert [result.metric_value for result in info.card_data.eval_results or ()] == [0.97]
    large = {file.rfilename: file.lfs.sha256 for file in info.siblings or () if file.lfs}
    assert large == {FILE: published["1.1.0"].file.sha256, "golden.npz": Digest.of(GOLDEN)}
    assert sum(file.size or 0 for file in info.siblings or ()) == info.used_storage
    assert info.created_at is not None


def test_branches_and_tags(hf: HfApi, published: dict[str, Record]) -> None:
    found = hf.list_repo_refs(REPO)
    commits = {
        version: commit_of(Digest.of(record.to_bytes())) for version, record in published.items()
    }
    assert {branch.name: branch.target_commit for branch in found.branches} == {
        "main": commits["1.1.0"],
        "stable": commits["1.0.0"],
    }
    assert {tag.name: tag.target_commit for tag in found.tags} == {
        f"v{version}": commit for version, commit in commits.items()
    }


def test_the_card_is_read_by_the_hubs_own_parser(hf: HfApi, tmp_path: Path) -> None:
    text = Path(
        hf_hub_download(REPO, "README.md", endpoint=hf.endpoint, cache_dir=tmp_path, token=False)
    ).read_text(encoding="utf-8")
    assert "license: apache-2.0" in ModelCard(text).data.to_yaml()
    assert "Fällt auf:" in text
    assert "<b>" not in text
    assert f"hf download {REPO} --revision v1.1.0" in text


def test_what_is_not_there(hf: HfApi, tmp_path: Path) -> None:
    for repo in ("zoo/digits-cnn-int9", "zoo/UPPER", "google/digits-cnn-int8"):
        with pytest.raises(
            RepositoryNotFoundError, match=r"no artifact|not an artifact name|all repositories here"
        ):
            hf.model_info(repo)
    for revision in ("v9.9.9", "nightly", "0" * 40, "^3", "not a revision", "1.0.0#sha256:x", "ü"):
        with pytest.raises(RevisionNotFoundError):
            hf.model_info(REPO, revision=revision)
    for path in ("model.safetensors", "a/b/c.bin", "%2e%2e/zoo.db"):
        with pytest.raises(EntryNotFoundError):
            hf.hf_hub_download(REPO, path, cache_dir=tmp_path)


def test_all_versions_yanked_says_why(hf: HfApi, registry_server: RegistryServer) -> None:
    for version in ("1.0.0", "1.1.0"):
        registry_server.app.state.registry.yank("digits-cnn-int8", version, "wrong labels")
    with pytest.raises(RevisionNotFoundError, match="wrong labels"):
        hf.model_info(REPO)
    assert hf.model_info(REPO, revision="v1.0.0").sha
    assert [branch.name for branch in hf.list_repo_refs(REPO).branches] == ["stable"]


def test_private_reads_take_a_token_the_hubs_way(
    serve_registry: Callable[..., RegistryServer], tmp_path: Path
) -> None:
    server = serve_registry("private", trusted=False, public_reads=False)
    registry: Registry = server.app.state.registry
    record = publish(registry, "1.0.0")
    token = tokens.create(registry.catalogue.engine, "reader", ("measure",), "2026-01-01T00:00:00Z")
    with pytest.raises(HfHubHTTPError, match="this needs a token"):
        HfApi(endpoint=server.url, token=False).model_info(REPO)
    api = HfApi(endpoint=server.url, token=token)
    assert api.model_info(REPO).private
    assert (
        Digest.of(Path(api.hf_hub_download(REPO, FILE, cache_dir=tmp_path)).read_bytes())
        == record.file.sha256
    )


@pytest.mark.s3
def test_a_store_that_presigns_sends_large_files_itself(
    serve_registry: Callable[..., RegistryServer], s3_prefix: Callable[[], str], tmp_path: Path
) -> None:
    server = serve_registry("s3", store=s3_prefix(), presign=60)
    record = publish(server.app.state.registry, "1.0.0")
    with httpx.Client(base_url=server.url) as client:
        assert (
            client.head(f"/{REPO}/resolve/main/{FILE}")
            .headers["location"]
            .startswith("http://127.0.0.1:")
        )
    folder = Path(snapshot_download(REPO, endpoint=server.url, cache_dir=tmp_path, token=False))
    assert Digest.of((folder / FILE).read_bytes()) == record.file.sha256
    assert (folder / "record.json").read_bytes() == record.to_bytes()


@pytest.fixture
def filled(api: Any) -> Record:
    return publish(api.app.state.registry, "1.0.0")


def test_headers_of_large_and_small_files(api: Any, filled: Record) -> None:
    large = api.head(f"/{REPO}/resolve/main/{FILE}")
    assert (large.status_code, large.content, large.headers["content-length"]) == (
        200,
        b"",
        str(filled.file.size),
    )
    assert large.headers["etag"] == large.headers["x-linked-etag"] == f'"{filled.file.sha256}"'
    assert large.headers["x-linked-size"] == str(filled.file.size)
    small = api.head(f"/{REPO}/resolve/main/record.json")
    assert "x-linked-etag" not in small.headers
    assert (
        small.headers["x-repo-commit"]
        == large.headers["x-repo-commit"]
        == commit_of(Digest.of(filled.to_bytes()))
    )


@pytest.mark.parametrize("path", [FILE, "golden.npz", "record.json", "README.md"])
def test_ranges_and_conditions_hold_for_every_file(api: Any, filled: Record, path: str) -> None:
    url = f"/{REPO}/resolve/v1.0.0/{path}"
    whole = api.get(url)
    part = api.get(url, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{len(whole.content)}"
    assert api.get(url, headers={"If-None-Match": whole.headers["etag"]}).status_code == 304
    assert api.get(url, headers={"Range": f"bytes={len(whole.content)}-"}).status_code == 416


def test_errors_are_problem_documents_with_the_hubs_headers(api: Any, filled: Record) -> None:
    found = api.get(f"/{REPO}/resolve/main/%C3%BC.bin", headers={"Accept": "text/html"})
    assert (found.status_code, found.json()["type"]) == (404, "urn:edgezoo:not-found")
    assert (found.headers["x-error-code"], found.headers["x-repo-commit"]) == (
        "EntryNotFound",
        commit_of(Digest.of(filled.to_bytes())),
    )
    assert found.headers["x-error-message"].startswith("digits-cnn-int8@1.0.0 has no file")


def test_the_tree_is_spelled_as_the_hub_spells_it(api: Any, filled: Record) -> None:
    tree = {
        entry["path"]: entry
        for entry in api.get(f"/api/models/{REPO}/tree/main", params={"recursive": True}).json()
    }
    assert tree[FILE]["lfs"] == {
        "oid": filled.file.sha256,
        "size": filled.file.size,
        "pointerSize": 128,
    }
    git = subprocess.run(
        ["git", "hash-object", "--stdin"], input=filled.to_bytes(), check=True, capture_output=True
    )
    assert tree["record.json"] == {
        "type": "file",
        "path": "record.json",
        "size": len(filled.to_bytes()),
        "oid": git.stdout.decode().strip(),
    }
    assert json.loads(api.get(f"/{REPO}/resolve/main/record.json").content)["name"] == filled.name
