"""What changed since a commit, in scripted git repositories, through the real command."""

import json
from collections.abc import Callable
from typing import Any

import pytest

Change = Callable[[str, str], None]

NETWORK = """\
from zoo_builders.authoring import Graph
from zoo_builders.authoring import Net


def tiny(*, width: int = 4) -> Graph:
    net = Net("tiny", (8, 8, 1))
    net.conv(width, 3)
    net.global_pool(keepdims=False)
    net.dense(10)
    return net.graph()
"""


@pytest.fixture
def change(zoo: Any, git: Any) -> Change:
    """Replace a text in the manifest and commit."""

    def run(old: str, new: str) -> None:
        path = zoo.folder / "manifests/tiny.yaml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        git("commit", "-qam", "change")

    return run


def changed(zoo: Any, *arguments: str) -> list[dict[str, Any]]:
    done = zoo("plan", *arguments, "--since", "HEAD~1", "--json")
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)["changes"]
    return found


def names(found: list[dict[str, Any]]) -> list[str]:
    return [item["variant"] for item in found]


ALL = ["fp32", "fp16", "sparse", "sparse-fp16"]
SPARSE = "  sparse:\n    - prune: {final: 0.5, epochs: 1}"


def test_a_comment_changes_nothing(zoo: Any, change: Change) -> None:
    change("schema:", "# a comment\nschema:")
    assert changed(zoo) == []
    assert "nothing changed since HEAD~1" in zoo("plan", "--since", "HEAD~1").stdout


def test_a_description_or_a_version_changes_nothing(zoo: Any, change: Change) -> None:
    change("version: 1.0.0", "version: 1.1.0\ndescription: other words")
    assert changed(zoo) == []


def test_one_variants_epochs_change_that_variant(zoo: Any, change: Change) -> None:
    change(SPARSE, SPARSE.replace("epochs: 1", "epochs: 2"))
    (found,) = changed(zoo)
    assert (found["variant"], found["why"], found["version_unchanged"]) == (
        "sparse",
        "changed",
        True,
    )
    assert found["hint"] == "zoo bump manifests/tiny.yaml"
    assert "zoo bump manifests/tiny.yaml" in zoo("plan", "--since", "HEAD~1").stderr


def test_a_raised_version_is_no_warning(zoo: Any, change: Change) -> None:
    change(SPARSE, SPARSE.replace("epochs: 1", "epochs: 2"))
    assert zoo("bump", "manifests/tiny.yaml").returncode == 0
    (found,) = changed(zoo)
    assert (found["before"], found["now"], found["version_unchanged"]) == ("1.0.0", "1.0.1", False)


def test_the_networks_file_changes_all(zoo: Any, git: Any, change: Change) -> None:
    path = zoo.write("manifests/models/tiny.py", NETWORK)
    git("add", "-A")
    change("network: digits_cnn", "network: tiny")
    path.write_text(NETWORK.replace("3)", "5)"))
    git("commit", "-qam", "wider")
    assert names(changed(zoo)) == ALL


def test_a_new_manifest_brings_all_its_variants_and_a_deleted_one_is_told(
    zoo: Any, git: Any
) -> None:
    text = (zoo.folder / "manifests/tiny.yaml").read_text()
    zoo.write("manifests/other.yaml", text.replace("model: tiny", "model: other"))
    git("rm", "-q", "manifests/tiny.yaml")
    git("add", "-A")
    git("commit", "-qm", "other")
    found = changed(zoo)
    assert {(item["name"], item["why"]) for item in found} == {
        *((f"other-{name}", "new") for name in ALL),
        *((f"tiny-{name}", "deleted") for name in ALL),
    }
    matrix = json.loads(zoo("plan", "--since", "HEAD~1", "--format", "github").stdout)
    assert {item["name"] for item in matrix["include"]} == {f"other-{name}" for name in ALL}
    assert set(matrix["include"][0]) == {"manifest", "variant", "name"}


def test_a_new_variant_is_new_and_a_dropped_one_deleted(zoo: Any, change: Change) -> None:
    change("  fp16:", "  half:")
    assert {(item["variant"], item["why"]) for item in changed(zoo)} == {
        ("half", "new"),
        ("fp16", "deleted"),
    }


def test_what_could_not_be_planned_before_counts_as_changed(zoo: Any, change: Change) -> None:
    change("source: digits", "source: digitz")
    change("source: digitz", "source: digits")
    found = changed(zoo)
    assert names(found) == ALL
    assert "no data source is called 'digitz'" in found[0]["remark"]


def test_the_working_tree_is_compared_and_left_alone(zoo: Any, git: Any) -> None:
    path = zoo.folder / "manifests/tiny.yaml"
    path.write_text(path.read_text().replace("seed: 3", "seed: 4"))
    done = zoo("plan", "--since", "HEAD", "--format", "json")
    assert names(json.loads(done.stdout)["changes"]) == ALL
    assert git("status", "--porcelain").split() == ["M", "manifests/tiny.yaml"]


def test_building_to_publish_refuses_an_unchanged_version_before_any_work(
    zoo: Any, change: Change
) -> None:
    change("seed: 3", "seed: 4")
    done = zoo("build", "manifests/tiny.yaml", "--since", "HEAD~1", "--publish")
    assert done.returncode == 1
    assert "tiny-fp32 (still 1.0.0)" in done.stderr
    assert "hint: zoo bump manifests/tiny.yaml" in done.stderr
    assert not (zoo.folder / ".zoo/cache/stages").exists()


@pytest.mark.parametrize("ref", ["nothing", "--help", "HEAD~99"])
def test_a_commit_that_is_not_there_is_wrong_use(zoo: Any, git: Any, ref: str) -> None:
    done = zoo("plan", f"--since={ref}")
    assert done.returncode == 2
    assert "hint: git log" in done.stderr


def test_outside_a_repository_is_wrong_use(zoo: Any) -> None:
    done = zoo("plan", "--since", "HEAD", GIT_CEILING_DIRECTORIES=str(zoo.folder.parent))
    assert done.returncode == 2
    assert "git" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "version"),
    [
        ((), "1.0.1"),
        (("--part", "minor"), "1.1.0"),
        (("--part", "major"), "2.0.0"),
        (("--to", "3.2.1"), "3.2.1"),
    ],
)
def test_bump_changes_the_version_line_only(
    zoo: Any, arguments: tuple[str, ...], version: str
) -> None:
    path = zoo.folder / "manifests/tiny.yaml"
    text = (
        path.read_text()
        .replace("version: 1.0.0", "version:   '1.0.0'   # why")
        .replace("\n", "\r\n")
    )
    path.write_bytes(text.encode())
    assert zoo("bump", "manifests/tiny.yaml", *arguments).returncode == 0
    assert path.read_bytes().decode() == text.replace("'1.0.0'", f"'{version}'")


def test_bump_refuses_to_go_back(zoo: Any) -> None:
    done = zoo("bump", "manifests/tiny.yaml", "--to", "0.9.0")
    assert done.returncode == 2
    assert "not higher than 1.0.0" in done.stderr
