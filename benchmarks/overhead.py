"""What building through the zoo costs over a plain script.

`cifar10-cnn`'s `sparse75`, base included, and all variants at once.

    ZOO_DATA=../shared/data python benchmarks/overhead.py [--epochs 10 --fine-tune 15] [--rounds 3]
    [--variants 4]

Runs, alternately and each in a fresh process and folder, the guide's own script
(`guide_pruning.py`: plain TFMOT calls, Keras' `fit` on arrays) and `zoo build --variant sparse75
--no-benchmark`; prints seconds of both (medians), processor seconds, and the ratio. The zoo's time
includes decoding the data, the float32 baseline, conversion, the proof in the file, evaluation and
checkpoints; the script stops at the trained Keras model.

With `--variants N` the zoo then builds N variants that differ in their final sparsity at once,
against N runs of the script, one for each: what they share (data, base, baseline) the zoo makes
once.

`--epochs` and `--fine-tune` are those of both sides; on a busy machine look at the processor
seconds.
"""

import argparse
import ctypes
import json
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
MANIFEST = HERE.parent / "manifests" / "cifar10-cnn.yaml"
FINALS = (0.75, 0.7, 0.8, 0.85, 0.9, 0.6, 0.65, 0.95)
ZOO = (sys.executable, "-c", "from zoo_client.cli import main; main()")


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run took, children included."""

    wall_s: float
    cpu_s: float


def adopt_orphans() -> None:
    """Let processes whose parent ends (the zoo's fork server) become ours.

    So that their processor time is counted; Linux only.
    """
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER, linux/prctl.h


def wait_for_orphans() -> None:
    """Wait until every adopted process has ended."""
    with suppress(ChildProcessError):
        while True:
            os.wait()


def timed(command: Sequence[str], folder: Path, **env: str) -> Cost:
    """Run a command to its end; one that fails ends the benchmark with its output."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **env}, capture_output=True, text=True, check=False
    )
    wall = time.perf_counter() - began
    wait_for_orphans()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(
            f"{' '.join(command)} ended with"
            f" {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        )
    return Cost(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def script(epochs: int, fine_tune: int, finals: Sequence[float]) -> Cost:
    """Run the guide's script once for each final sparsity."""
    costs = []
    for final in finals:
        arguments = ["--epochs", str(epochs), "--fine-tune", str(fine_tune), "--final", str(final)]
        costs.append(timed([sys.executable, str(HERE / "guide_pruning.py"), *arguments], HERE))
    return Cost(sum(cost.wall_s for cost in costs), sum(cost.cpu_s for cost in costs))


def zoo(epochs: int, fine_tune: int, finals: Sequence[float]) -> Cost:
    """Build the same models through the zoo, from nothing, in a folder of their own."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "manifests").mkdir()
        (Path(folder) / "manifests" / MANIFEST.name).write_text(manifest(epochs, fine_tune, finals))
        data = str(Path(os.environ["ZOO_DATA"]).absolute())
        return timed(
            [*ZOO, "build", "--no-benchmark"],
            Path(folder),
            ZOO_HOME=f"{folder}/.zoo",
            ZOO_DATA=data,
        )


def manifest(epochs: int, fine_tune: int, finals: Sequence[float]) -> str:
    """Write the shipped manifest with these epochs and a pruned variant for each final sparsity.

    Without goals.
    """
    text = MANIFEST.read_text(encoding="utf-8")
    text = re.sub(r"train: \{epochs: \d+", f"train: {{epochs: {epochs}", text)
    reached = max(1, fine_tune // 3)
    step = (
        f"policy: xnnpack, schedule: polynomial, initial: 0.25, epochs: {fine_tune},"
        f" prune_until_epoch: {reached}"
    )
    variants = "".join(
        f"  sparse{round(final * 100)}:\n    - prune: {{final: {final}, {step}}}\n"
        for final in finals
    )
    return text[: text.index("variants:")] + "variants:\n" + variants


def compare(
    name: str, rounds: int, epochs: int, fine_tune: int, finals: Sequence[float]
) -> dict[str, object]:
    """Run both sides alternately, the first of each round changing.

    Give medians and the ratio of the zoo to the script.
    """
    found: dict[str, list[Cost]] = {"script": [], "zoo": []}
    sides = {"script": script, "zoo": zoo}
    for number in range(rounds):
        for side in sorted(sides, reverse=bool(number % 2)):
            cost = sides[side](epochs, fine_tune, finals)
            found[side].append(cost)
            print(
                f"{name}: round {number + 1}: {side} {cost.wall_s:.1f} s, {cost.cpu_s:.1f}"
                " processor seconds",
                file=sys.stderr,
                flush=True,
            )
    wall = {side: statistics.median(cost.wall_s for cost in costs) for side, costs in found.items()}
    cpu = {side: statistics.median(cost.cpu_s for cost in costs) for side, costs in found.items()}
    return {
        "what": name,
        "rounds": rounds,
        "epochs": epochs,
        "fine_tune": fine_tune,
        "load": os.getloadavg()[0],
        "cpus": os.cpu_count(),
        "machine": platform.machine(),
        "script_s": round(wall["script"], 1),
        "zoo_s": round(wall["zoo"], 1),
        "ratio": round(wall["zoo"] / wall["script"], 3),
        "script_cpu_s": round(cpu["script"], 1),
        "zoo_cpu_s": round(cpu["zoo"], 1),
        "cpu_ratio": round(cpu["zoo"] / cpu["script"], 3),
    }


def main() -> None:
    """Measure what is asked for; one JSON line each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=10, help="of the base (the guide: 10)")
    parser.add_argument("--fine-tune", type=int, default=15, help="while pruning (the guide: 15)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--variants",
        type=int,
        default=0,
        choices=range(len(FINALS) + 1),
        help="also N variants against N scripts",
    )
    given = parser.parse_args()
    adopt_orphans()
    print(
        json.dumps(compare("sparse75", given.rounds, given.epochs, given.fine_tune, FINALS[:1])),
        flush=True,
    )
    if given.variants:
        print(
            json.dumps(
                compare(
                    f"{given.variants} variants",
                    given.rounds,
                    given.epochs,
                    given.fine_tune,
                    FINALS[: given.variants],
                )
            )
        )


if __name__ == "__main__":
    main()
