"""Google's `benchmark_model`: how it is asked, and what its output says. Pure.

Source of flags and formats: tflite/tools/benchmark (benchmark_model.cc, benchmark_tflite_model.cc)
and tflite/profiling (profile_summary_formatter.cc) of LiteRT, and tsl/util/stats_calculator.h of
TensorFlow, which they print with.

It reports no list of runs, only statistics of a block. Of a block of at most three runs they tell
each run: least, median and greatest, whole microseconds. So a run is timed as one of three in a
process of its own, behind that process's warm-up: nothing is made up, at the price of loading the
file more often.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from zoo_registry.model.errors import MeasureFailed
from zoo_registry.model.record import OperatorTime

BLOCK = 3
"""Most runs a process may time for its statistics to tell each of them."""

WARMUP_RUNS, WARMUP_S = 3, 0.05

_BLOCK_STARTS = re.compile(r"Running benchmark for at least \d+ iterations")
_STATISTICS = re.compile(r"count=(?P<count>\d+)(?P<rest>[^\n]*)")
_FIELD = re.compile(r"\b(first|curr|min|max|avg|median)=([-+.\deE]+)")
_TIMINGS = re.compile(
    r"Inference timings in us: Init: (?P<init>\d+), First inference: (?P<first>\d+)"
)
_MEMORY = re.compile(
    r"Memory footprint delta from the start of the tool \(MB\): init=(?P<init>[-.\deE+]+)"
    r" overall=(?P<overall>[-.\deE+]+)"
)
_RUN_SECTION = "Operator-wise Profiling Info for Regular Benchmark Runs:"
_DELEGATE_SECTION = "Delegate internal:"
_TITLE = re.compile(r"=+ (?P<title>[A-Za-z ]+) =+")
_NUMBER = r", [-+.\deE]+%?|, -?(?:nan|inf)%?"
_ROW = re.compile(rf"(?P<kind>.*?)(?P<numbers>(?:{_NUMBER}){{6,7}}), (?P<name>.*)")
_DELEGATE = "Delegate"


@dataclass(frozen=True, slots=True)
class Input:
    """One input of a file: its shape, and the path, there, of the bytes to feed."""

    shape: Sequence[int]
    path: str


@dataclass(frozen=True, slots=True)
class Load:
    """What loading a file took.

    Times are in microseconds. `memory_mb` is what the process grew by (0 where the tool does not
    say).
    """

    init_us: float
    first_us: float
    memory_mb: float


@dataclass(frozen=True, slots=True)
class Profile:
    """Where time went: in operators that the runtime ran itself, and in those inside delegates.

    It also counts the delegate nodes (`partitions`).
    """

    own: tuple[OperatorTime, ...]
    delegated: tuple[OperatorTime, ...]
    partitions: int
    delegate_ms: float

    @property
    def operators(self) -> tuple[OperatorTime, ...]:
        """List all operators; where the delegate does not tell what it did, it is one operator."""
        if self.delegated or not self.partitions:
            return self.delegated + self.own
        return (OperatorTime(name="delegate", kind=_DELEGATE, ms=self.delegate_ms), *self.own)


def flags(graph: str, threads: int, inputs: Sequence[Input]) -> list[str]:
    """Say what to run: the file with XNNPACK.

    It is fed with `inputs` under names of ours (the tool matches inputs by their order).
    """
    names = [f"in{index}" for index in range(len(inputs))]
    shapes = ":".join(",".join(map(str, one.shape)) for one in inputs)
    files = ",".join(f"{name}:{one.path}" for name, one in zip(names, inputs, strict=True))
    fed = (
        [
            f"--input_layer={','.join(names)}",
            f"--input_layer_shape={shapes}",
            f"--input_layer_value_files={files}",
        ]
        if inputs
        else []
    )
    return [f"--graph={graph}", f"--num_threads={threads}", "--use_xnnpack=true", *fed]


def once(output: str) -> list[str]:
    """Say how often: one run to warm up (the first inference), and one more.

    The outputs of the second run are written to the path `output`.
    """
    return [*_often(1, 1, 0.0), f"--output_filepath={output}"]


def alone(output: str) -> list[str]:
    """Say how often: a single run, whose outputs are written to the path `output`.

    This is for files that keep state, where a run before it would reach it.
    """
    return [*_often(1, 0, 0.0), f"--output_filepath={output}"]


def block(runs: int) -> list[str]:
    """Say how often: `runs` (at most `BLOCK`) timed runs behind a warm-up."""
    return _often(runs, WARMUP_RUNS, WARMUP_S)


def profiled(runs: int, table: str) -> list[str]:
    """Say how often, and that the time of each operator be written to the path `table`, as CSV."""
    return [
        *_often(runs, 1, 0.0),
        "--enable_op_profiling=true",
        "--op_profiling_output_mode=csv",
        f"--op_profiling_output_file={table}",
    ]


def _often(runs: int, warmup_runs: int, warmup_s: float) -> list[str]:
    return [
        f"--num_runs={runs}",
        "--min_secs=0",
        f"--warmup_runs={warmup_runs}",
        f"--warmup_min_secs={warmup_s:g}",
    ]


def blocks(count: int) -> list[int]:
    """Split `count` runs into blocks that tell each run."""
    return [min(BLOCK, count - start) for start in range(0, count, BLOCK)]


def times(output: str) -> list[float]:
    """Give the seconds of each timed run of all processes whose output this is.

    The first block of each process is its warm-up and does not count.

    Raises:
        MeasureFailed: (kind `device`) it is not the output of `benchmark_model`.
    """
    lines, expected = [], 0
    for line in output.splitlines():
        if _BLOCK_STARTS.search(line):
            expected += 1
        elif expected and (found := _STATISTICS.search(line)):
            lines.append(found)
            expected -= 1
    if expected or len(lines) % 2 or not lines:
        raise _not_understood("statistics of a warm-up and of a block for each process", output)
    return [seconds for found in lines[1::2] for seconds in _runs(found, output)]


def _runs(found: "re.Match[str]", output: str) -> list[float]:
    """Give the runs of one block.

    A block reads `count=3 first=64 curr=56 min=54 max=65 avg=58.3 std=4 p5=54 median=56 p95=65`, or
    `(all same)`.
    """
    count = int(found["count"])
    fields = {name: float(value) for name, value in _FIELD.findall(found["rest"])}
    try:
        alike = count == 1 or "all same" in found["rest"]
        microseconds = [fields["curr"]] * count if alike else _sorted_runs(count, fields)
    except KeyError as error:
        raise _not_understood(f"{error} of a block", output) from error
    if min(microseconds, default=0) <= 0:
        raise MeasureFailed(
            "benchmark_model timed a run at 0 µs: the file is too small for its clock",
            kind="runtime",
        )
    return [value / 1e6 for value in microseconds]


def _sorted_runs(count: int, fields: Mapping[str, float]) -> list[float]:
    least, greatest = fields["min"], fields["max"]
    if count == 2:  # noqa: PLR2004  least and greatest are both of them
        return [least, greatest]
    if count != BLOCK:
        raise KeyError(f"count={count}")
    if "median" in fields:
        return [least, fields["median"], greatest]
    middle = round(
        BLOCK * fields["avg"] - least - greatest
    )  # of an average with six digits: it may miss by some microseconds
    return [least, min(max(middle, least), greatest), greatest]


def load(output: str) -> Load:
    """Read what loading took.

    Raises:
        MeasureFailed: (kind `device`) it is not the output of `benchmark_model`.
    """
    timings, memory = _TIMINGS.search(output), _MEMORY.search(output)
    if timings is None:
        raise _not_understood("'Inference timings in us'", output)
    return Load(
        float(timings["init"]),
        float(timings["first"]),
        max(0.0, float(memory["overall"])) if memory else 0.0,
    )


def profile(table: str) -> Profile:
    """Read the operators of a profile, in the order they ran.

    Names hold commas, so a row is read around its run of numbers.

    Raises:
        MeasureFailed: (kind `device`) it is no such table.
    """
    _, found, rest = table.partition(_RUN_SECTION)
    if not found:
        raise _not_understood(f"{_RUN_SECTION!r}", table)
    primary, _, inside = rest.partition(_DELEGATE_SECTION)
    rows = _rows(primary)
    delegates = [row for row in rows if _DELEGATE in row.kind]
    own = tuple(row for row in rows if _DELEGATE not in row.kind)
    return Profile(own, tuple(_rows(inside)), len(delegates), sum(row.ms for row in delegates))


def _rows(section: str) -> list[OperatorTime]:
    """Read the rows below `Run Order`.

    A row is: type, [start,] first, avg ms, %, cdf %, mem KB, times called, name.
    """
    rows, reading, average = [], False, 1
    for line in section.splitlines():
        if title := _TITLE.search(line):
            reading = title["title"] == "Run Order"
        elif line.startswith("node type"):
            average = 2 if "start" in line else 1
        elif reading and (row := _ROW.fullmatch(line.strip())):
            numbers = row["numbers"].split(", ")[1:]
            rows.append(
                OperatorTime(name=row["name"], kind=row["kind"].strip(), ms=float(numbers[average]))
            )
    return rows


def delegate_nodes(total: int, found: Profile) -> int:
    """Count the file's nodes that the delegate took: all that the runtime did not run itself."""
    return max(0, total - len(found.own)) if found.partitions else 0


def failure(code: int, output: str) -> MeasureFailed:
    """Say why a process ended with `code` (128 + n: by signal n), by its own last words."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    told = [
        line
        for line in lines
        if line.startswith(("ERROR", "FATAL")) and "Benchmarking failed" not in line
    ]
    words = "; ".join((told or lines)[-2:]) or "without a word"
    loading = any(sign in output for sign in _LOADING)
    if code > _SIGNAL:
        return MeasureFailed(
            f"benchmark_model was ended by signal {code - _SIGNAL}: {words}", kind="died"
        )
    return MeasureFailed(
        f"benchmark_model ended with code {code}: {words}", kind="load" if loading else "runtime"
    )


_SIGNAL = 128
_LOADING = (
    "Failed to load model",
    "Failed to allocate tensors",
    "Failed to initialize",
    "Failed to apply",
)


def _not_understood(wanted: str, output: str) -> MeasureFailed:
    last = output.strip().splitlines()[-1:] or ["nothing"]
    return MeasureFailed(
        f"benchmark_model said something else than expected: no {wanted}; its last line:"
        f" {last[0][:200]}",
        kind="device",
        hint="is it a current benchmark_model of the Interpreter? docs/latency.md",
    )
