"""What Google's benchmark_model prints, in the forms of several years.

As its sources and reports of its users show them.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo_builders.devices.phone import benchmark_model, facts
from zoo_builders.devices.phone.benchmark_model import Input
from zoo_registry.model.errors import MeasureFailed

OLD = """STARTING!
Log parameter values verbosely: [0]
Num threads: [1]
Graph: [/data/local/tmp/model.tflite]
Loaded model /data/local/tmp/model.tflite
INFO: Created TensorFlow Lite XNNPACK delegate for CPU.
The input model file size (MB): 1.41812
Initialized session in 17.851ms.
Running benchmark for at least 1 iterations and at least 0.5 seconds but terminate if exceeding 150 seconds.
count=478 first=2104 curr=1017 min=1012 max=2104 avg=1041.15 std=63

Running benchmark for at least 3 iterations and at least 0 seconds but terminate if exceeding 150 seconds.
count=3 first=1040 curr=1018 min=1012 max=1040 avg=1023.33 std=12

Inference timings in us: Init: 17851, First inference: 2104, Warmup (avg): 1041.15, Inference (avg): 1023.33
Note: as the benchmark tool itself affects memory footprint, the following is only APPROXIMATE to the actual memory footprint.
Memory footprint delta from the start of the tool (MB): init=8.97656 overall=18.7227
"""
NEW = """INFO: STARTING!
INFO: Explicitly applied XNNPACK delegate, and the model graph will be completely executed by the delegate.
INFO: Running benchmark for at least 3 iterations and at least 0.05 seconds but terminate if exceeding 150 seconds.
INFO: count=3 first=900 curr=800 min=800 max=900 avg=840 std=42 p5=800 median=820 p95=900

INFO: Running benchmark for at least 3 iterations and at least 0 seconds but terminate if exceeding 150 seconds.
INFO: count=3 first=812 curr=807 min=799 max=812 avg=806 std=5 p5=799 median=807 p95=812

INFO: Inference timings in us: Init: 4000, First inference: 900, Warmup (avg): 840, Inference (avg): 806
"""
TABLE = """Profiling Info for Benchmark Initialization:
============================== Run Order ==============================
node type, start, first, avg_ms, %, cdf%, mem KB, times called, name
ModifyGraphWithDelegate, 0, 2.1, 2.1, 80%, 80%, 0, 1, ModifyGraphWithDelegate/0
AllocateTensors, 2.2, 0.5, 0.5, 20%, 100%, 0, 1, AllocateTensors/0

Operator-wise Profiling Info for Regular Benchmark Runs:
============================== Run Order ==============================
node type, start, first, avg_ms, %, cdf%, mem KB, times called, name
TfLiteXNNPackDelegate, 0, 4.012, 3.9, 97.5%, 97.5%, 0, 1, [MobilenetV2/Predictions/Reshape, and more]:66
SOFTMAX, 3.9, 0.1, 0.1, 2.5%, 100%, 0, 1, [MobilenetV2/Predictions/Softmax]:67

============================== Top by Computation Time ==============================
node type, start, first, avg_ms, %, cdf%, mem KB, times called, name
TfLiteXNNPackDelegate, 0, 4.012, 3.9, 97.5%, 97.5%, 0, 1, [MobilenetV2/Predictions/Reshape]:66

Number of nodes executed: 2
============================== Summary by node type ==============================
node type, count, avg_ms, avg %, cdf %, mem KB, times called
TfLiteXNNPackDelegate, 1, 3.9, 97.5%, 97.5%, 0, 1

Timings (microseconds): count=50 first=4112 curr=4001 min=3999 max=4112 avg=4010.5 std=12
Memory (bytes): count=0
2 nodes observed

Delegate internal:
============================== Run Order ==============================
node type, start, first, avg_ms, %, cdf%, mem KB, times called, name
Convolution (NHWC2NCHW, F32) CONV, 0, 0.9, 0.875, 22%, 22%, 0, 1, Convolution (NHWC2NCHW, F32) CONV:0
Convolution (NCHW, F32) SPMM, 0.9, 1.2, 1.25, 32%, 54%, 0, 1, Convolution (NCHW, F32) SPMM:1
Copy, 2.1, 0.01, 1e-05, nan%, inf%, 0, 1, Copy:2

============================== Top by Computation Time ==============================
node type, start, first, avg_ms, %, cdf%, mem KB, times called, name
Convolution (NCHW, F32) SPMM, 0.9, 1.2, 1.25, 32%, 54%, 0, 1, Convolution (NCHW, F32) SPMM:1
"""


def test_each_run_of_a_block_of_three_is_known() -> None:
    assert [round(seconds * 1e6) for seconds in benchmark_model.times(NEW)] == [799, 807, 812]
    assert [round(seconds * 1e6) for seconds in benchmark_model.times(OLD)] == [1012, 1018, 1040]
    assert len(benchmark_model.times(OLD + NEW)) == 6


@given(st.lists(st.integers(1, 999_999), min_size=3, max_size=3))
def test_old_tools_that_tell_no_median_tell_the_third_run_all_the_same(runs: list[int]) -> None:
    first, curr, least, greatest = runs[0], runs[-1], min(runs), max(runs)
    same = f"count=3 curr={curr} (all same)"
    line = (
        same
        if least == greatest
        else (
            f"count=3 first={first} curr={curr} min={least} max={greatest} avg={sum(runs) / 3:.6g}"
            " std=1"
        )
    )
    block = "Running benchmark for at least 3 iterations and at least 0 seconds\n"
    found = benchmark_model.times(f"{block}{line}\n{block}{line}\n")
    assert found == pytest.approx([run / 1e6 for run in sorted(runs)], abs=2.1e-6)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "count=3 first=1",
        NEW.replace("count=", "counted="),
        NEW + "\nRunning benchmark for at least 3 iterations\n",
    ],
)
def test_what_is_not_its_output_is_never_a_time(text: str) -> None:
    with pytest.raises(MeasureFailed, match="something else than expected") as caught:
        benchmark_model.times(text)
    assert caught.value.kind == "device"


def test_a_block_whose_runs_are_not_all_told_is_refused() -> None:
    with pytest.raises(MeasureFailed, match="count=5"):
        benchmark_model.times(NEW.replace("count=3 first=812", "count=5 first=812"))


def test_a_run_of_no_time_is_no_time() -> None:
    with pytest.raises(MeasureFailed, match="too small for its clock"):
        benchmark_model.times(NEW.replace("min=799", "min=0"))


def test_loading_is_read_with_and_without_memory() -> None:
    assert benchmark_model.load(OLD) == benchmark_model.Load(17851, 2104, 18.7227)
    assert benchmark_model.load(NEW) == benchmark_model.Load(4000, 900, 0.0)


def test_a_profile_names_kernels_whose_names_hold_commas() -> None:
    found = benchmark_model.profile(TABLE)
    assert [(step.kind, step.ms) for step in found.operators] == [
        ("Convolution (NHWC2NCHW, F32) CONV", 0.875),
        ("Convolution (NCHW, F32) SPMM", 1.25),
        ("Copy", 1e-05),
        ("SOFTMAX", 0.1),
    ]
    assert (found.partitions, found.delegate_ms) == (1, 3.9)
    assert benchmark_model.delegate_nodes(67, found) == 66


def test_a_profile_of_an_older_tool_has_no_start_and_no_inside() -> None:
    older = (
        TABLE.partition("Delegate internal")[0]
        .replace(" start,", "")
        .replace("Delegate, 0,", "Delegate,")
        .replace("SOFTMAX, 3.9,", "SOFTMAX,")
    )
    assert [(step.kind, step.ms) for step in benchmark_model.profile(older).operators] == [
        ("Delegate", 3.9),
        ("SOFTMAX", 0.1),
    ]


def test_no_profile_is_said_as_such() -> None:
    with pytest.raises(MeasureFailed, match="Operator-wise"):
        benchmark_model.profile("")


@given(st.integers(0, 400))
def test_blocks_hold_all_runs_and_none_more_than_can_be_told(count: int) -> None:
    blocks = benchmark_model.blocks(count)
    assert sum(blocks) == count
    assert all(0 < size <= benchmark_model.BLOCK for size in blocks)


def test_inputs_are_fed_by_their_order() -> None:
    flags = benchmark_model.flags("/m", 2, [Input((1, 4), "/a"), Input((1, 2, 2, 3), "/b")])
    assert flags[-3:] == [
        "--input_layer=in0,in1",
        "--input_layer_shape=1,4:1,2,2,3",
        "--input_layer_value_files=in0:/a,in1:/b",
    ]


def test_a_phone_that_says_nothing_is_described_all_the_same() -> None:
    host = facts.describe({}, [])
    assert (host.cpu, host.arch, host.cores) == ("unknown", "unknown", 1)
    assert facts.causes({}, [0]) == ()
    assert facts.answers("bash: no such thing") == {}


@pytest.mark.parametrize(("cores", "mask"), [([7], "80"), ([4, 5, 6, 7], "f0"), ([0], "1")])
def test_cores_are_spelled_as_taskset_takes_them(cores: list[int], mask: str) -> None:
    assert facts.mask(cores) == mask
