"""The house in numbers, of the working tree or of any commit.

    python benchmarks/house.py [REV]…

Lines are counted after the formatter at today's width. It splits no text, so statements are counted
too (docstrings left out): they compare whatever the style. Per package of each component: modules
and lines; then the longest chain of imports (circles as one step), the largest module, the longest
function, and the size of the wheel.
"""

import ast
import io
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COMPONENTS = {"builders": "zoo_builders", "client": "zoo_client", "registry": "zoo_registry"}


def tree_of(revision: str, folder: Path) -> Path:
    """Unpack a commit into `folder`, formatted as today; the working tree for an empty name."""
    if revision:
        packed = subprocess.run(
            ["git", "archive", revision], cwd=ROOT, check=True, capture_output=True
        ).stdout
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(folder, filter="data")
    else:
        names = subprocess.run(
            ["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True
        ).stdout.split()
        for name in names:
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes((ROOT / name).read_bytes())
    for path in folder.rglob("*.py"):  # a style packed by hand would count as fewer lines
        path.write_text(path.read_text().replace("  # fmt: skip", ""))
    command = [
        sys.executable,
        "-m",
        "ruff",
        "format",
        "-q",
        "--config",
        str(ROOT / "pyproject.toml"),
    ]
    subprocess.run([*command, str(folder)], check=False)
    return folder


def modules(folder: Path) -> dict[str, Path]:
    """Every module below a component's package, by dotted name."""
    found = {}
    for component, package in COMPONENTS.items():
        for path in sorted((folder / component / package).rglob("*.py")):
            parts = path.relative_to(folder / component).with_suffix("").parts
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


def imports(path: Path, known: dict[str, Path]) -> Iterator[str]:
    """Modules of the zoo that a file imports, wherever in it the import stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            named = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (one if one in known else node.module for one in named)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def statements(path: Path) -> int:
    """Count the statements of a file; a text that stands alone, such as a docstring, is none."""
    every = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.stmt)]
    return sum(
        not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)) for node in every
    )


def longest_chain(known: dict[str, Path], package: str) -> list[str]:
    """Give the longest way along imports inside a package."""
    mine = {name: path for name, path in known.items() if name.startswith(package)}
    edges = {n: sorted({i for i in imports(p, known) if i in mine} - {n}) for n, p in mine.items()}
    walking: set[str] = set()

    @cache
    def below(name: str) -> tuple[str, ...]:
        walking.add(name)
        ways = [below(one) for one in edges[name] if one not in walking]
        walking.discard(name)
        return (name, *max(ways, key=len, default=()))

    return list(max((below(name) for name in mine), key=len))


def functions(known: dict[str, Path]) -> list[tuple[int, str]]:
    """Give the lines of every function, docstring left out, with its name; the longest last."""
    found = []
    for name, path in known.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                length = body[-1].end_lineno - body[0].lineno + 1 if body else 0
                found.append((length, f"{name}.{node.name}"))
    return sorted(found)


def wheel_kilobytes(folder: Path) -> float:
    """Build the wheel of a tree and give its size."""
    with tempfile.TemporaryDirectory() as out:
        build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
        subprocess.run([*build, "-w", out, str(folder)], check=True, capture_output=True)
        return next(Path(out).glob("*.whl")).stat().st_size / 1000


def report(revision: str) -> None:
    """Print the numbers of one tree."""
    with tempfile.TemporaryDirectory() as place:
        folder = tree_of(revision, Path(place))
        known = modules(folder)
        lines = {name: len(path.read_text().splitlines()) for name, path in known.items()}
        print(f"\n== {revision or 'working tree'}")
        for component, package in COMPONENTS.items():
            held = {name: count for name, count in lines.items() if name.startswith(package)}
            chain = longest_chain(known, package)
            count = sum(statements(known[name]) for name in held)
            print(f"{component}: {len(held)} modules, {sum(held.values()):,} lines,", end=" ")
            print(f"{count:,} statements, longest import chain {len(chain)}")
            print("   ", " > ".join(one.removeprefix(f"{package}.") for one in chain))
            folders: dict[Path, list[int]] = {}
            for name, count in held.items():
                folders.setdefault(known[name].parent, []).append(count)
            for path, counts in sorted(folders.items()):
                shown = path.relative_to(folder / component)
                print(f"    {shown!s:45} {len(counts):4} modules {sum(counts):7,} lines")
        largest = max(lines, key=lambda name: lines[name])
        print(f"largest module: {largest}, {lines[largest]} lines")
        every = functions(known)
        median, (length, name) = every[len(every) // 2][0], every[-1]
        print(f"functions: {len(every):,}, median {median} lines, longest {length} ({name})")
        print(f"wheel: {wheel_kilobytes(folder):,.0f} kB")


if __name__ == "__main__":
    for wanted in sys.argv[1:] or [""]:
        report(wanted)
