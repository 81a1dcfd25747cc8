"""Our latency beside that of `litert-benchmark`, which LiteRT ships.

Same file, one thread, as many runs, in turns.

    python benchmarks/litert_benchmark.py [FILE] [--times 10]

Two claims. The median agrees within 10 % in alternating runs. And a ratio, here of the file to
itself (the truth is 1), repeats better: `litert-benchmark` has no baseline, so its ratio is that of
two runs back to back. FILE as in `aa.py`; `litert-benchmark` prints hundredths of a millisecond, so
it should take some tenths. Exit code 1 when a claim does not hold.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import aa
from zoo_builders.lab import golden_for_strangers
from zoo_builders.lab.candidates import Candidate, Order
from zoo_registry.model.measurement import Measurement

AGREE = 0.10
ORDER = Order(runs=50, rounds=5)


def theirs(file: Path, folder: Path) -> float:
    """Run `litert-benchmark` once; its median in milliseconds."""
    out = folder / "theirs.json"
    words = [
        "litert-benchmark",
        f"--model={file}",
        "--num_threads=1",
        f"--num_runs={ORDER.runs * ORDER.rounds}",
        f"--warmup_runs={ORDER.warmup * ORDER.rounds}",
        f"--result_json={out}",
    ]
    subprocess.run(words, check=True, capture_output=True)
    return float(json.loads(out.read_text())["latency"]["median_ms"])


def spread(ratios: list[float]) -> float:
    """Root mean square distance from 1, on a log scale: the truth is 1."""
    return math.sqrt(statistics.fmean(math.log(ratio) ** 2 for ratio in ratios))


def main() -> int:
    """Alternate, print a line a time, then both verdicts."""
    words = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    words.add_argument("file", nargs="?", type=Path)
    words.add_argument("--times", type=int, default=10)
    asked = words.parse_args()
    file, ours, pairs = asked.file or aa.usual(), list[Measurement](), list[tuple[float, float]]()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        one = Candidate.of(
            file.name, golden_for_strangers.make(file, folder / "golden.npz", timeout_s=120)
        )
        for index in range(asked.times):
            ours.append(aa.session(one, replace(ORDER, seed=index)))
            pairs.append((theirs(file, folder), theirs(file, folder)))
            first, second = pairs[-1]
            m = ours[-1]
            print(
                f"{index + 1:3d}  ours {m.latency_ms.median:.3f} ms, ratio"
                f" {m.aa_ratio.value:.4f}{' noisy' if m.noisy else ''}   litert-benchmark"
                f" {first:.3f} {second:.3f} ms, ratio {second / first:.4f}",
                flush=True,
            )
    return verdict(ours, pairs)


def verdict(ours: list[Measurement], pairs: list[tuple[float, float]]) -> int:
    """Print both claims with their numbers."""
    medians = [m.latency_ms.median for m in ours], [value for pair in pairs for value in pair]
    mine, peer = (statistics.median(side) for side in medians)
    agrees = abs(mine / peer - 1) <= AGREE
    spread_mine, spread_peer = (
        spread([m.aa_ratio.value for m in ours]),
        spread([second / first for first, second in pairs]),
    )
    narrower = spread_mine < spread_peer
    print(
        f"VERDICT {'holds' if agrees else 'FAILS'}: median {mine:.3f} ms, litert-benchmark"
        f" {peer:.3f} ms, ratio {mine / peer:.3f}"
    )
    told = (
        f"a ratio of 1 repeats within {spread_mine:.2%}, litert-benchmark's within"
        f" {spread_peer:.2%}"
    )
    print(f"VERDICT {'holds' if narrower else 'FAILS'}: {told}")
    return 0 if agrees and narrower else 1


if __name__ == "__main__":
    sys.exit(main())
