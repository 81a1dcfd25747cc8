"""A user's Python file counts with all that it imports from the same project."""

import sys
from pathlib import Path

import pytest

from zoo_builders.networks import own_imports
from zoo_registry.model.digest import Digest


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


FILES = {
    "pyproject.toml": "",
    "manifests/tiny.yaml": "",
    "nets/__init__.py": "",
    "nets/wide.py": "import numpy\nfrom nets import widths\nfrom .blocks import block\n",
    "nets/widths.py": "import nets.wide\nfrom nets.deep.more import depth\n",
    "nets/deep/__init__.py": "",
    "nets/deep/more.py": "from ..rates import rate\ndepth = 3\n",
    "nets/rates.py": "rate = 1\n",
    "nets/blocks.py": "def block(): ...\n",
    "nets/stranger.py": "nobody = 'imports this'\n",
    "helpers.py": "",
    "manifests/beside.py": "def f():\n    import helpers\n    import local\n",
    "manifests/local.py": "",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write(tmp_path / "project", FILES)
    return tmp_path / "project"


def digest(project: Path, name: str) -> Digest:
    return own_imports.digest(project / name, project / "manifests", Path.read_bytes, Path.exists)


def changing(project: Path, name: str) -> set[str]:
    """The files whose change is a change of the file `name`."""
    before, found = digest(project, name), set()
    for other in (path for path in sorted(project.rglob("*.py"))):
        text = other.read_text()
        other.write_text(f"{text}# a change\n")
        if digest(project, name) != before:
            found.add(other.relative_to(project).as_posix())
        other.write_text(text)
    return found


def test_imports_are_followed_to_the_end_and_no_further(project: Path) -> None:
    assert changing(project, "nets/wide.py") == {
        "nets/__init__.py",
        "nets/wide.py",
        "nets/widths.py",
        "nets/blocks.py",
        "nets/rates.py",
        "nets/deep/__init__.py",
        "nets/deep/more.py",
    }
    assert changing(project, "manifests/beside.py") == {
        "manifests/beside.py",
        "manifests/local.py",
        "helpers.py",
    }


def test_a_file_that_imports_nothing_of_the_project_is_its_bytes(project: Path) -> None:
    for text in (b"import numpy, os\nfrom . import nothing\n", b"not ( Python", b"", b"\xff\xfe"):
        (project / "alone.py").write_bytes(text)
        assert digest(project, "alone.py") == Digest.of(text)


def test_where_the_project_lies_does_not_count(project: Path) -> None:
    before = digest(project, "nets/wide.py")
    moved = project.rename(project.with_name("moved"))
    assert digest(moved, "nets/wide.py") == before


def test_an_installed_package_is_not_followed(project: Path) -> None:
    site = project / ".venv/lib/site-packages"
    write(
        site, {"pkg/__init__.py": "", "pkg/net.py": "from pkg import other\n", "pkg/other.py": ""}
    )
    file = site / "pkg/net.py"
    found = own_imports.digest(file, project / "manifests", Path.read_bytes, Path.exists)
    assert found == Digest.of(file.read_bytes())


def test_a_manifest_may_import_up_to_the_top_of_its_project(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = project / "manifests/phones/small"
    deep.mkdir(parents=True)
    assert own_imports.roots(deep) == (deep, deep.parent, deep.parent.parent, project)
    (project / "pyproject.toml").unlink()
    assert own_imports.roots(deep) == (deep, deep.parent)
    monkeypatch.chdir(project)
    assert own_imports.roots(deep)[-1] == project
    monkeypatch.chdir(deep)
    assert own_imports.roots(deep) == (deep, deep.parent)


def test_a_manifest_hides_nothing_that_can_be_imported(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = list(sys.path)
    monkeypatch.setattr(sys, "path", list(before))
    for _ in range(2):
        own_imports.reach(project / "manifests")
    assert sys.path == [*before, str(project / "manifests"), str(project)]
