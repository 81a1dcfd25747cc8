"""CI that rebuilds: in a scripted repository, exactly what changed is listed.

Built and published.
"""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.train, pytest.mark.slow]

MANIFEST = """\
schema: edgezoo/v1
model: tiny
version: 1.0.0
license: apache-2.0
base:
  network: tiny
  train: {epochs: 1, batch_size: 256, seed: 3}
data: {source: digits, preprocess: [{rescale: [0, 1]}]}
variants:
  fp32: []
  int8: [{quantize: {dtype: int8}}]
  sparse: [{prune: {final: 0.5, epochs: 2}}]
"""
NETWORK = """\
from zoo_builders.authoring import Graph
from zoo_builders.authoring import Net


def network(width: int = 8) -> Graph:
    net = Net("tiny", (8, 8, 1))
    net.conv(width, 3, 2)
    net.relu()
    net.flatten()
    net.dense(10)
    return net.graph()
"""


class Repository:
    """A git repository with one manifest and its network."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "manifests/models").mkdir(parents=True)
        self.manifest, self.network = (
            folder / "manifests/tiny.yaml",
            folder / "manifests/models/tiny.py",
        )
        self.manifest.write_text(MANIFEST)
        self.network.write_text(NETWORK)
        self.git("init", "-q")
        self.commit()

    def git(self, *words: str) -> None:
        identity = ("-c", "user.name=zoo", "-c", "user.email=zoo@localhost")
        subprocess.run(["git", *identity, *words], cwd=self.folder, check=True, capture_output=True)

    def commit(self) -> None:
        self.git("add", "manifests")
        self.git("commit", "-q", "-m", "a change")

    def edit(self, path: Path, old: str, new: str) -> None:
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        self.commit()


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repository")


def changed(zoo: Any) -> set[str]:
    return {
        change["variant"]
        for change in zoo.json("plan", "manifests/tiny.yaml", "--since", "HEAD~1")["changes"]
    }


def test_exactly_the_variants_whose_plan_changed(
    repository: Repository, zoo_in: Callable[[str], Any]
) -> None:
    zoo = zoo_in("repository")
    repository.edit(
        repository.manifest, "license: apache-2.0", "license: apache-2.0   # the usual one"
    )
    assert changed(zoo) == set()
    repository.edit(repository.manifest, "epochs: 2}}]", "epochs: 3}}]")
    assert changed(zoo) == {"sparse"}
    matrix = json.loads(
        zoo.run("plan", "manifests/tiny.yaml", "--since", "HEAD~1", "--format", "github")
    )
    assert [row["variant"] for row in matrix["include"]] == ["sparse"]
    repository.edit(repository.network, "width: int = 8", "width: int = 12")
    assert changed(zoo) == {"fp32", "int8", "sparse"}


def test_an_unchanged_version_is_refused_and_raised_then_published(
    repository: Repository, zoo_in: Callable[[str], Any]
) -> None:
    zoo = zoo_in("repository")
    repository.edit(repository.manifest, "epochs: 2}}]", "epochs: 3}}]")
    words = ("build", "manifests/tiny.yaml", "--since", "HEAD~1", "--publish", "--no-benchmark")
    said = zoo.run(*words, code=1)
    assert "zoo bump manifests/tiny.yaml" in said
    assert not list(zoo.home.glob("cache/stages/??/*/stage.json"))
    zoo.run("bump", "manifests/tiny.yaml")
    repository.commit()
    repository.git("tag", "now")
    answer = zoo.json(
        "build", "manifests/tiny.yaml", "--since", "HEAD~2", "--publish", "--no-benchmark"
    )
    assert [item["name"] for item in answer["published"]] == ["tiny-sparse"]
    assert {
        (item["name"], item["version"]) for item in zoo.json("search", "--model", "tiny")["items"]
    } == {("tiny-sparse", "1.0.1")}
