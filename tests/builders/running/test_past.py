"""An artifact is its name: what a commit had of it is found, whichever manifest it stands in."""

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from zoo_builders.manifest.source_tree import Repository
from zoo_builders.running.project import Project
from zoo_builders.running.since import Change, changes, demand_versions
from zoo_registry.model.errors import VersionUnchanged, WrongUse

OLD, NEW = "manifests/tiny.yaml", "manifests/other.yaml"
Since = Callable[..., list[Change]]


@pytest.fixture
def since(zoo: Any, git: Any, monkeypatch: pytest.MonkeyPatch) -> Since:
    """Commit what there is and compare it with the commit before, in this process."""
    monkeypatch.chdir(zoo.folder)
    monkeypatch.setenv("ZOO_HOME", str(zoo.folder / ".zoo"))

    def run(*manifests: str, deleted: bool = True) -> list[Change]:
        git("add", "-A")
        git("commit", "-qm", "change")
        return changes(Project(), "HEAD~1", [Path(path) for path in manifests], deleted=deleted)

    return run


def edited(zoo: Any, path: str, *edits: tuple[str, str]) -> None:
    text = (zoo.folder / path).read_text()
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    (zoo.folder / path).write_text(text)


def told(found: Sequence[Change]) -> list[tuple[str, str, str]]:
    return [(change.variant, change.why, change.before) for change in found]


EPOCHS = ("{final: 0.5, epochs: 1}", "{final: 0.5, epochs: 2}")


def test_a_renamed_manifest_is_no_change(zoo: Any, git: Any, since: Since) -> None:
    git("mv", OLD, NEW)
    assert since(NEW) == []


def test_renaming_is_no_way_around_the_version(zoo: Any, git: Any, since: Since) -> None:
    git("mv", OLD, NEW)
    edited(zoo, NEW, EPOCHS)
    found = since(NEW)
    assert told(found) == [("sparse", "changed", "1.0.0"), ("sparse-fp16", "changed", "1.0.0")]
    with pytest.raises(VersionUnchanged, match="tiny-sparse") as refused:
        demand_versions(found)
    assert refused.value.hint == f"zoo bump {NEW}"


def test_nor_is_a_folder_nor_another_name_for_model_and_variant(
    zoo: Any, git: Any, since: Since
) -> None:
    (zoo.folder / "moved/deep").mkdir(parents=True)
    git("mv", OLD, "moved/deep/a.yml")
    edited(
        zoo,
        "moved/deep/a.yml",
        EPOCHS,
        ("model: tiny", "model: tiny-sparse"),
        ("  sparse-fp16:", "  fp16:"),
        ("  fp16:\n    - quantize: {dtype: float16}\n  sparse:", "  sparse:"),
    )
    found = {change.name: change for change in since("moved/deep/a.yml", deleted=False)}
    assert found["tiny-sparse-fp16"].why == "changed"
    assert found["tiny-sparse-fp16"].version_unchanged
    assert found["tiny-sparse-fp32"].why == "new"


def test_a_copy_beside_the_old_one_is_not_new_either(zoo: Any, since: Since) -> None:
    text = (zoo.folder / OLD).read_text()
    (zoo.folder / NEW).write_text(text.replace(*EPOCHS))
    assert [change.why for change in since(NEW)] == ["changed", "changed"]


def test_what_is_left_out_is_deleted_and_once(zoo: Any, git: Any, since: Since) -> None:
    git("mv", OLD, NEW)
    edited(zoo, NEW, ("  fp16:\n    - quantize: {dtype: float16}\n", ""))
    assert told(since(NEW)) == [("fp16", "deleted", "1.0.0")]


def test_an_old_one_that_means_nothing_today_counts_under_its_names(
    zoo: Any, git: Any, since: Since
) -> None:
    edited(zoo, OLD, ("network: digits_cnn", "network: digits_cnnn"))
    git("commit", "-qam", "broken")
    git("mv", OLD, NEW)
    edited(zoo, NEW, ("digits_cnnn", "digits_cnn"))
    found = since(NEW)
    assert {change.why for change in found} == {"changed"}
    assert all("could not be planned as of then" in change.remark for change in found)
    assert all(change.version_unchanged for change in found)


def refusal(folder: Path, ref: str) -> WrongUse:
    with pytest.raises(WrongUse) as refused:
        Repository.around(folder).commit(ref)
    return refused.value


@pytest.mark.parametrize("ref", ["", "  ", "0" * 40, "0" * 64, "nothing", "HEAD~9", "f" * 40])
def test_no_commit_has_its_own_words(ref: str, zoo: Any, git: Any) -> None:
    error = refusal(zoo.folder, ref)
    assert "rev-parse" not in error.message
    assert error.hint.startswith("git ")
    assert ("there was none before" in error.message) == ref.startswith("0000")


def test_a_commit_that_was_not_fetched_says_how(zoo: Any, git: Any, tmp_path: Path) -> None:
    git("remote", "add", "upstream", "https://example.org/x.git")
    assert refusal(zoo.folder, "f" * 40).hint == f"git fetch upstream {'f' * 40}"
    assert refusal(zoo.folder, "upstream/main~2").hint == "git fetch upstream main"
    assert refusal(zoo.folder, "HEAD~5").hint == "git log --oneline"


def test_a_shallow_clone_says_that_it_is_one(zoo: Any, git: Any, tmp_path: Path) -> None:
    git("commit", "-q", "--allow-empty", "-m", "second")
    clone = tmp_path / "clone"
    command = ["git", "clone", "-q", "--depth=1", f"file://{zoo.folder}", str(clone)]
    subprocess.run(command, check=True, capture_output=True)
    error = refusal(clone, "HEAD~1")
    assert "this clone is shallow: it holds 1 commits" in error.message
    assert error.hint.startswith("git fetch --unshallow")
    assert Repository.around(clone).commit("HEAD")


def test_a_repository_without_a_commit_says_so(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    assert "no commit yet" in refusal(tmp_path, "HEAD~1").message
