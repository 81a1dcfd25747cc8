"""How long `zoo` takes to answer, beside what it must not import.

    python benchmarks/startup.py            # in a folder where manifests/digits-cnn.yaml was built

Runs each command alternately with its peer, seven times, and prints medians and their ratio.
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 7
MANIFEST = Path("manifests/digits-cnn.yaml")


def seconds(words: list[str]) -> float:
    """Run a command once."""
    start = time.perf_counter()
    subprocess.run(words, check=True, capture_output=True)
    return time.perf_counter() - start


def compare(claim: str, ours: list[str], peer: list[str]) -> None:
    """Alternate two commands and print a line."""
    times = [(seconds(ours), seconds(peer)) for _ in range(ROUNDS)]
    mine, theirs = (statistics.median(side) for side in zip(*times, strict=True))
    print(
        f"{claim:<34} {mine:6.2f} s   peer {theirs:6.2f} s   ratio {mine / theirs:5.2f}  "
        f" ({' '.join(ours)} | {' '.join(peer)})"
    )


def main() -> None:
    """Print one line a claim."""
    python = sys.executable
    compare("zoo --help", ["zoo", "--help"], [python, "-c", "import typer"])
    if MANIFEST.exists():
        subprocess.run(["zoo", "build", str(MANIFEST)], check=True, capture_output=True)
        compare(
            "zoo build, nothing to do",
            ["zoo", "build", str(MANIFEST)],
            [python, "-c", "import tensorflow"],
        )


if __name__ == "__main__":
    main()
