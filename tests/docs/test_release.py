"""What a release and a commit are held to, and what is in the wheel."""

import importlib.util
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PYPROJECT = '[project]\nversion = "1.2.3"\n'
CHANGELOG = (
    "# Changelog\n\n## [Unreleased]\n\n- next\n\n## [1.2.3] - 2026-01-02\n\n- this\n\n## [1.2.2]\n"
)


def script(name: str) -> Any:
    """Import a script of .ci/."""
    spec = importlib.util.spec_from_file_location(name, ROOT / f".ci/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_notes_of_a_release_are_its_section_of_the_changelog() -> None:
    assert script("release").notes("v1.2.3", PYPROJECT, CHANGELOG) == "- this"


def test_a_tag_that_is_not_the_version_is_refused() -> None:
    with pytest.raises(
        SystemExit, match=r"the tag is v1\.2\.4, the version in pyproject\.toml 1\.2\.3"
    ):
        script("release").notes("v1.2.4", PYPROJECT, CHANGELOG)


@pytest.mark.parametrize(
    "changelog", ["# Changelog\n\n## [Unreleased]\n- next\n", "## [1.2.3] - 2026-01-02\n\n"]
)
def test_a_release_without_a_word_in_the_changelog_is_refused(changelog: str) -> None:
    with pytest.raises(SystemExit, match=r"no section: ## \[1\.2\.3\] - YYYY-MM-DD"):
        script("release").notes("v1.2.3", PYPROJECT, changelog)


def test_coverage_is_added_up_by_package() -> None:
    def counted(*counts: int) -> dict[str, dict[str, int]]:
        names = ("num_statements", "covered_lines", "num_branches", "covered_branches")
        return {"summary": dict(zip(names, counts, strict=True))}

    cover = script("cover")
    found = cover.shares(
        {
            "builders/zoo_builders/lab/protocol.py": counted(10, 8, 4, 1),
            "builders/zoo_builders/lab/deep/er.py": counted(10, 2, 0, 0),
            "builders/zoo_builders/tf.py": counted(5, 5, 0, 0),
        }
    )
    assert found == {
        "zoo_builders/lab": (20, 10, 4, 1),
        "zoo_builders": (5, 5, 0, 0),
        "all": (25, 15, 4, 1),
    }
    lines = cover.table(found).splitlines()
    assert lines[1].split() == ["zoo_builders/lab", "20", "50.0%", "4", "25.0%"]
    assert lines[2].split() == ["zoo_builders", "5", "100.0%", "0", "-"]


def test_a_commit_is_held_to_what_make_check_runs() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    hooks = [hook for repo in config["repos"] for hook in repo["hooks"]]
    assert {repo["repo"] for repo in config["repos"]} == {"local"}, "nothing from the network"
    check = (ROOT / "Makefile").read_text().partition("\ncheck:")[2].partition("\n\n")[0]
    made = re.findall(r"\$\(BIN\)/(\w[\w-]*(?: format| check)?)", check)
    assert [hook["entry"].removeprefix(".venv/bin/") for hook in hooks] == made


def test_forms_and_workflows_can_be_read() -> None:
    forms = list((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))
    assert {"bug.yml", "feature.yml", "plugin.yml"} <= {path.name for path in forms}
    for path in forms:
        form = yaml.safe_load(path.read_text())
        ids = [one["id"] for one in form["body"]]
        assert form["name"]
        assert form["description"]
        assert len(ids) == len(set(ids))


def test_only_the_job_that_publishes_may_ask_for_an_identity() -> None:
    text = (ROOT / ".github/workflows/release.yml").read_text()
    jobs = yaml.safe_load(text)["jobs"]
    asking = [name for name, job in jobs.items() if "id-token" in job.get("permissions", {})]
    assert asking == ["publish"]
    assert set(jobs["publish"]["needs"]) == {"test", "build"}
    assert "secrets." not in text


@pytest.mark.process
def test_the_wheel_holds_what_runs_and_nothing_else(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", str(wheel)],
        check=True,
        capture_output=True,
    )
    names = set(zipfile.ZipFile(wheel).namelist())
    roots = {name.partition("/")[0] for name in names}
    assert {root for root in roots if not root.endswith(".dist-info")} == {
        "zoo_registry",
        "zoo_builders",
        "zoo_client",
    }
    kept = {".py", ".html", ".css", ".js", ".svg", ".typed"}
    assert {Path(name).suffix for name in names if ".dist-info/" not in name} <= kept
    assert "zoo_registry/web/templates/list.html" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
