"""Golden vectors of a file that came without a record, made in a process of their own.

A file of strangers may end the one that runs it.

`python -m zoo_builders.lab.golden_for_strangers FILE OUT` writes `OUT` (see `golden`) and prints
{"atol": …, "rule": …}, or {"error": …, "kind": …}.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from zoo_builders.devices import Subject
from zoo_builders.tflite.agreement import Rule
from zoo_registry.model.errors import BuildFailed, MeasureFailed, ZooError

_LAST_WORDS = 400


def make(file: Path, out: Path, *, timeout_s: float) -> Subject:
    """Run the file by the runtime's own kernels on inputs drawn from a seed.

    What it gives is kept: all devices must give the same.

    Raises:
        MeasureFailed: the runtime cannot run the file here, or gives other outputs with its
            delegate; or the process hung or died.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-m", __name__, str(file), str(out)],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise MeasureFailed(
            f"{file.name}: no answer within {timeout_s:g} s; the process was ended", kind="hang"
        ) from error
    answer = _last_line(done.stdout)
    if answer is None:
        words = done.stderr[-_LAST_WORDS:].strip() or "without a word"
        raise MeasureFailed(
            f"{file.name}: the process that ran it ended with code {done.returncode}: {words}",
            kind="died",
        )
    if "error" in answer:
        raise MeasureFailed(f"{file.name}: {answer['error']}", kind=str(answer["kind"]))
    return Subject(file, out, float(answer["atol"]), Rule.of(answer["rule"]))


def _last_line(text: str) -> dict[str, Any] | None:
    """Read the answer; the runtime may have printed before it."""
    lines = text.strip().splitlines()
    if not lines or not lines[-1].startswith("{"):
        return None
    answer: dict[str, Any] = json.loads(lines[-1])
    return answer


def main(file: Path, out: Path) -> int:
    """Do the work in this process."""
    from zoo_builders.tflite import golden, litert

    try:
        data = file.read_bytes()
        litert.Session(data)  # of a broken file, the runtime's words come first
        vectors = golden.seeded(data)
        out.write_bytes(vectors.to_bytes())
        rule = None if vectors.rule is None else vectors.rule.plain()
        answer: dict[str, Any] = {"atol": vectors.atol, "rule": rule}
    except (ZooError, OSError, ValueError, MemoryError) as error:
        kind = "wrong-output" if isinstance(error, BuildFailed) else getattr(error, "kind", "load")
        answer = {
            "error": getattr(error, "message", "") or f"{type(error).__name__}: {error}",
            "kind": kind,
        }
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
