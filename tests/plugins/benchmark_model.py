# A stand-in for Google's benchmark_model: its flags and its words, LiteRT of this machine behind
# them. Written to a phone by plugins.phone,
# which puts INSIDE (what XNNPACK says of itself in a profile) above this line.
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

INSIDE: list[str] = globals().get("INSIDE", [])
FLAGS = dict(part.removeprefix("--").split("=", 1) for part in sys.argv[1:])


def say(text: str) -> None:
    print(f"INFO: {text}", flush=True)  # noqa: T201  it is what the real one does


def summary(times: list[int]) -> str:
    """Spell statistics as tsl's Stat and StatWithPercentiles do."""
    if not times:
        return "count=0"
    ordered = sorted(times)
    places = " ".join(
        f"{name}={ordered[len(ordered) * share // 100]}"
        for name, share in (("p5", 5), ("median", 50), ("p95", 95))
    )
    if len(set(times)) == 1:
        return (
            f"count={len(times)} curr={times[-1]}{' (all same)' if len(times) > 1 else ''} {places}"
        )
    middle = (
        f"min={ordered[0]} max={ordered[-1]} avg={statistics.fmean(times):g}"
        f" std={int(statistics.pstdev(times))}"
    )
    return f"count={len(times)} first={times[0]} curr={times[-1]} {middle} {places}"


def repeat(model: Any, least: int, seconds: float) -> list[int]:
    say(
        f"Running benchmark for at least {least} iterations and at least {seconds:g} seconds but"
        " terminate if exceeding 150 seconds."
    )
    times: list[int] = []
    ends = time.perf_counter() + seconds
    while len(times) < least or time.perf_counter() < ends:
        started = time.perf_counter()
        model.invoke()
        times.append(max(1, round((time.perf_counter() - started) * 1e6)))
    say(summary(times) + "\n")
    return times


def feed(model: Any) -> None:
    files = [item.split(":", 1)[1] for item in FLAGS["input_layer_value_files"].split(",")]
    for port, file in zip(model.get_input_details(), files, strict=True):
        data = Path(file).read_bytes()
        if len(data) != int(np.prod(port["shape"])) * np.dtype(port["dtype"]).itemsize:
            print(f"FATAL: The size of {file} is {len(data)} bytes.", file=sys.stderr, flush=True)  # noqa: T201
            raise SystemExit(134)
        model.set_tensor(port["index"], np.frombuffer(data, port["dtype"]).reshape(port["shape"]))


def table(rows: list[tuple[str, float, str]]) -> str:
    """Spell rows as tsl's StatsCalculator does, as CSV."""
    bar = 30 * "="
    head = f"{bar} Run Order {bar}\nnode type, first, avg_ms, %, cdf%, mem KB, times called, name\n"
    return (
        head
        + "".join(f"{kind}, {ms:g}, {ms:g}, 50%, 50%, 0, 1, {name}\n" for kind, ms, name in rows)
        + "\n"
    )


def profile(model: Any, microseconds: float) -> str:
    taken = [
        node
        for node in model._get_ops_details()
        if "Delegate" in node["op_name"] or node["op_name"] == "DELEGATE"
    ]
    primary = [
        ("TfLiteXNNPackDelegate", microseconds / 1e3, f"[out]:{index}")
        for index in range(len(taken))
    ]
    inside = [
        (kind, microseconds / 1e3 / len(INSIDE), f"{kind}:{index}")
        for index, kind in enumerate(INSIDE)
    ]
    text = "Profiling Info for Benchmark Initialization:\n" + table(
        [("ModifyGraphWithDelegate", 3.2, "ModifyGraphWithDelegate/0")]
    )
    text += "Operator-wise Profiling Info for Regular Benchmark Runs:\n" + table(primary)
    return text + ("Delegate internal: \n" + table(inside) if inside else "")


def main() -> int:
    say("STARTING!")
    started = time.perf_counter()
    try:
        model = Interpreter(FLAGS["graph"], num_threads=int(FLAGS["num_threads"]))
        model.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        print(  # noqa: T201
            f"ERROR: {error}\nERROR: Failed to load model {FLAGS['graph']}\nERROR: Benchmarking"
            " failed.",
            file=sys.stderr,
        )
        return 1
    took = round((time.perf_counter() - started) * 1e6)
    say(
        "Explicitly applied XNNPACK delegate, and the model graph will be completely executed by"
        " the delegate."
    )
    say(f"Initialized session in {took / 1e3}ms.")
    feed(model)
    warm = repeat(model, int(FLAGS["warmup_runs"]), float(FLAGS["warmup_min_secs"]))
    times = repeat(model, int(FLAGS["num_runs"]), float(FLAGS["min_secs"]))
    averages = (
        f"Warmup (avg): {statistics.fmean(warm) if warm else 0:g}, Inference (avg):"
        f" {statistics.fmean(times):g}"
    )
    first = warm[0] if warm else 0
    say(f"Inference timings in us: Init: {took}, First inference: {first}, {averages}")
    say("Memory footprint delta from the start of the tool (MB): init=1.25 overall=2.5")
    if "output_filepath" in FLAGS:
        ports = model.get_output_details()
        Path(FLAGS["output_filepath"]).write_bytes(
            b"".join(model.get_tensor(port["index"]).tobytes() for port in ports)
        )
    if "op_profiling_output_file" in FLAGS:
        Path(FLAGS["op_profiling_output_file"]).write_text(profile(model, statistics.fmean(times)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
