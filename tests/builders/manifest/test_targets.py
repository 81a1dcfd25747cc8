"""Addresses to publish to are judged at `zoo validate`, all of them, and before a build begins."""

from pathlib import Path
from typing import Any

import pytest

from zoo_builders.manifest.reader import Reader
from zoo_builders.manifest.source_tree import Digests, WorkTree
from zoo_builders.manifest.targets import demand, refusal
from zoo_registry.model.errors import InvalidManifest, WrongUse

GOOD = ["registry", "embedded:", "https://zoo.example.org", "http://127.0.0.1:8080/zoo"]
GOOD += [
    "hub://org/repo",
    "hub://o_r.g/a-b.c/",
    "s3://bucket",
    "S3://bucket/a/b",
    "file:///srv/zoo",
]
WRONG = {
    "gs://bucket/x": "no remote is called 'gs'",
    "ftp://x": "no remote is called 'ftp'",
    "s3:///x": "s3://bucket",
    "s3:bucket": "s3://bucket/prefix",
    "s3://buck et/x": "s3://bucket",
    "s3://bucket:80/x": "s3://bucket",
    "hub://org": "hub://org/repo",
    "hub://org/repo/more": "hub://org/repo",
    "hub://org/a--b": "hub://org/repo",
    "hub://org/repo.git": "hub://org/repo",
    "https://huggingface.co/org/repo": "write hub://org/repo",
    "file://relative": "file:///srv/zoo",
    "file://~/zoo": "file:///srv/zoo",
    "file:zoo": "file:///folder",
    "file:///etc/passwd/zoo": "/etc/passwd is a file",
    "https://": "https://host",
    "https://[::1": "Invalid IPv6",
    "https://host:99999": "Port out of range",
    "https://exa mple.org": "https://host",
    "https://host/artifacts?device=host-cpu": "https://host",
    "https://host\nx": "https://host",
    "https": "hub://org/repo",
    "shelf": "no remote is called 'shelf'",
    "/srv/zoo": "write file:///srv/zoo",
    "": "file:///srv/zoo",
    " https://host": "https://zoo.example.org",
}


@pytest.mark.parametrize("target", GOOD)
def test_an_address_is_one(target: str) -> None:
    assert refusal(target) is None


@pytest.mark.parametrize("target", WRONG)
def test_what_is_no_address_says_what_would_be(target: str) -> None:
    error = refusal(target)
    assert error is not None
    assert error.exit_code == 2
    assert error.hint
    assert WRONG[target] in str(error)
    with pytest.raises(WrongUse) as refused:
        demand(["registry", target])
    assert repr(target) in refused.value.message


def a_manifest(folder: Path, publish: list[str]) -> Any:
    text = (Path(__file__).parents[1] / "conftest.py").read_text()
    text = text.partition('MANIFEST = """\\\n')[2].partition('"""')[0]
    (folder / "m.yaml").write_text(f"{text}publish: {publish}\n")
    return Reader(WorkTree(Digests(folder / "digests.json")), {})


def test_validate_names_every_wrong_target_with_its_line(tmp_path: Path) -> None:
    wrong = ["gs://bucket/x", "s3:///x", "hub://org", "file://relative"]
    reader = a_manifest(tmp_path, ["registry", *wrong])
    with pytest.raises(InvalidManifest) as refused:
        reader.read(tmp_path / "m.yaml", "m.yaml")
    found = [(mistake.key, mistake.line) for mistake in refused.value.mistakes]
    line = (tmp_path / "m.yaml").read_text().splitlines().index(f"publish: {['registry', *wrong]}")
    assert found == [(f"publish[{index}]", line + 1) for index in (1, 2, 3, 4)]


def test_an_old_commits_targets_are_nobodys_business(tmp_path: Path) -> None:
    reader = a_manifest(tmp_path, ["gs://bucket/x"])
    old = Reader(reader.tree, {}, judge=False)
    assert old.read(tmp_path / "m.yaml", "m.yaml").spec.publish == ["gs://bucket/x"]
