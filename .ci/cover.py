"""Show branch coverage by package, from the data that the tests of `make cover` left."""

import json
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import coverage


def package(path: str) -> str:
    """Name the package of a file: `zoo_builders/lab`; modules of a root are `zoo_builders`."""
    parts = Path(path).parts
    root = next(index for index, part in enumerate(parts) if part.startswith("zoo_"))
    return "/".join(parts[root : min(root + 2, len(parts) - 1)])


def shares(files: Mapping[str, Mapping[str, Mapping[str, int]]]) -> dict[str, tuple[int, ...]]:
    """Add up statements and branches by package, in all and covered; `all` is the last."""
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for path, found in sorted(files.items()):
        one = found["summary"]
        counts = (
            one["num_statements"],
            one["covered_lines"],
            one["num_branches"],
            one["covered_branches"],
        )
        for name in (package(path), "all"):
            sums[name] = [a + b for a, b in zip(sums[name], counts, strict=True)]
    total = sums.pop("all", [0, 0, 0, 0])
    return {name: tuple(counts) for name, counts in [*sums.items(), ("all", total)]}


def table(found: Mapping[str, tuple[int, ...]]) -> str:
    """Write one line a package: statements, branches, and the covered share of each."""
    rows = [f"{'package':<32}{'statements':>11}{'covered':>9}{'branches':>10}{'covered':>9}"]
    for name, (lines, ran, branches, taken) in found.items():
        shown = [
            f"{ran / lines:.1%}" if lines else "-",
            f"{taken / branches:.1%}" if branches else "-",
        ]
        rows.append(f"{name:<32}{lines:>11}{shown[0]:>9}{branches:>10}{shown[1]:>9}")
    return "\n".join(rows)


def main() -> None:
    """Read `.coverage` of this folder and print the table."""
    data = coverage.Coverage()
    data.load()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "coverage.json"
        data.json_report(outfile=str(out))
        found = json.loads(out.read_bytes())
    print(table(shares(found["files"])))


if __name__ == "__main__":
    sys.exit(main())
