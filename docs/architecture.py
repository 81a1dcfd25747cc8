"""Draw the parts of ARCHITECTURE.md that the code knows; check the functions that it names.

`make golden` runs it. Run by hand it lists references to functions that are gone.
"""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "ARCHITECTURE.md"
REFERENCE = re.compile(r"\[`((?![\w.]+\.py`)[\w.]+)`\]\(([^)#]+\.py)\)")
"""A link whose text is a class or `module.function`, and whose target is the file it is in."""


def first_line(path: Path) -> str:
    """Give the first paragraph of a module's docstring in one line."""
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    if not text:
        raise SystemExit(f"{path} has no docstring: describe it")
    return " ".join(text.split("\n\n")[0].split())


def layers(package: str) -> list[str]:
    """List what lies in a package from the top down, by its import contract, if it has one."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = project["tool"]["importlinter"]["contracts"]
    found = [one["layers"] for one in contracts if one.get("containers") == [package]]
    return [name.strip() for layer in (found or [[]])[0] for name in layer.split("|")]


def row(path: Path) -> str:
    """Give one line of a table: what it is called, linked, and what it says of itself."""
    folder = path.name == "__init__.py"
    target = path.parent if folder else path
    shown = f"{target.name}/" if folder else target.name
    link = target.relative_to(ROOT).as_posix()
    return f"| [`{shown}`]({link}) | {first_line(path)} |\n"


def packages(folder: str) -> str:
    """List what lies in a package: as it is layered, or else folders first, then modules."""
    root = ROOT / folder
    layered = layers(root.name)
    names = layered or sorted(path.parent.name for path in root.glob("*/__init__.py"))
    names += [] if layered else sorted(path.stem for path in root.glob("[!_]*.py"))
    whole = {name: root / name / "__init__.py" for name in names}
    found = [path if path.exists() else root / f"{name}.py" for name, path in whole.items()]
    head = "from the top down" if layered else ""
    return f"| {head} | |\n|---|---|\n" + "".join(map(row, found))


def parts() -> dict[str, str]:
    """Give the generated parts by the name between their markers."""
    folders = ("builders/zoo_builders", "client/zoo_client", "registry/zoo_registry")
    return {folder.partition("/")[0]: packages(folder) for folder in folders}


def drawn(page: str) -> str:
    """Give the page with its generated parts as the code has them now."""
    for name, text in parts().items():
        begin, end = f"<!-- {name}: made by `make golden` -->\n", f"<!-- end of {name} -->"
        before, middle, rest = page.partition(begin)
        _, found, after = rest.partition(end)
        if not (middle and found):
            raise SystemExit(f"ARCHITECTURE.md has no place for {name}: {begin.strip()} … {end}")
        page = f"{before}{begin}{text}{end}{after}"
    return page


@cache
def defined(path: Path) -> frozenset[str]:
    """Name what a module defines, and of its classes what they define: `Stage.fingerprint`."""
    return frozenset(_defined(ast.parse(path.read_text()).body))


def _defined(body: list[ast.stmt], prefix: str = "") -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield prefix + node.name
        if isinstance(node, ast.ClassDef):
            yield from _defined(node.body, f"{prefix}{node.name}.")
        targets = getattr(node, "targets", [getattr(node, "target", None)])
        yield from (prefix + one.id for one in targets if isinstance(one, ast.Name))


def broken(page: Path) -> list[str]:
    """List the references of a page that lead nowhere, with where the name is now."""
    found = []
    for text, target in REFERENCE.findall(page.read_text()):
        path = page.parent / target
        symbol = text.removeprefix(f"{module(path)}.")
        if not path.exists() or symbol not in defined(path.resolve()):
            found.append(f"{target} has no {symbol}; {_elsewhere(symbol)}")
    return found


def module(path: Path) -> str:
    """Name a module as references do: `protocol` in `protocol.ratio`."""
    return path.parent.name if path.name == "__init__.py" else path.stem


def _elsewhere(symbol: str) -> str:
    files = (
        path
        for name in ("builders", "client", "registry")
        for path in ROOT.glob(f"{name}/*/**/*.py")
    )
    here = sorted(path.relative_to(ROOT).as_posix() for path in files if symbol in defined(path))
    return f"it is in {', '.join(here)}" if here else "nothing is called so"


if __name__ == "__main__":
    PAGE.write_text(drawn(PAGE.read_text()))
    sys.exit("\n".join(broken(PAGE)) or None)
