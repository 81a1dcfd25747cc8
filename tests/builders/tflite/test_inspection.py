"""What is read from real files, and that no bytes can do harm."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zoo_builders.stage import Job
from zoo_builders.stages.inspect import run
from zoo_builders.tflite.flatbuffer import read
from zoo_builders.tflite.inspection import examine, inspect
from zoo_builders.tflite.tflite_file import BadFile
from zoo_registry.model.errors import ProofFailed
from zoo_registry.model.record import Structure

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "files"
POINTWISE = 2
ALL = (
    "fp32",
    "fp16",
    "dynamic",
    "int8",
    "int8-io",
    "int16x8",
    "sparse",
    "sparse-fp16",
    "sparse-int8",
)


@pytest.mark.golden
@pytest.mark.parametrize("name", sorted(path.stem for path in GOLDEN.glob("*.tflite")))
def test_structure_is_what_it_was(
    name: str, files: Mapping[str, bytes], golden: Callable[[Path, str], None]
) -> None:
    structure = inspect(files[name])
    golden(
        GOLDEN / f"{name}.json",
        json.dumps(structure.model_dump(mode="json"), indent=1, sort_keys=True) + "\n",
    )


def test_the_committed_files_are_small_and_of_four_kinds(files: Mapping[str, bytes]) -> None:
    assert set(files) == {"fp32", "int8", "sparse", "sparse-fp16"}
    assert all(len(data) < 20_000 for data in files.values())


def test_parameters_and_macs_are_those_of_the_network(files: Mapping[str, bytes]) -> None:
    filters = 4 * 27 + 9 * 4 + 32 * 4 + 9 * 32 + 40 * 32 + 6 * 40
    biases = 4 + 4 + 32 + 32 + 40 + 6
    stem, first, second = 8 * 8, 8 * 8, 4 * 4
    macs = (
        stem * 4 * 27 + first * 4 * 9 + first * 32 * 4 + second * 32 * 9 + second * 40 * 32 + 6 * 40
    )
    for name in files:
        structure = inspect(files[name])
        assert structure.parameters == filters + biases
        assert structure.macs == macs


def test_sparse_files_hold_the_zeros_they_were_given(files: Mapping[str, bytes]) -> None:
    for name in ("sparse", "sparse-fp16"):
        structure = inspect(files[name])
        pointwise = [weight for weight in structure.weights if weight.shape[1:3] == (1, 1)]
        assert structure.densify == len(pointwise) == POINTWISE
        assert all(weight.encoded_sparse and 0.79 < weight.sparsity < 0.81 for weight in pointwise)
        assert not any(
            weight.encoded_sparse for weight in structure.weights if weight not in pointwise
        )


def test_half_floats_are_weights_of_the_operator_behind_the_dequantize(
    files: Mapping[str, bytes],
) -> None:
    weights = inspect(files["sparse-fp16"]).weights
    assert {weight.dtype for weight in weights} == {"float16"}
    assert [weight.operator for weight in weights].count("CONV_2D") == 3
    assert {weight.operator for weight in weights} == {
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "FULLY_CONNECTED",
    }


def test_distinct_values_are_counted_per_tensor_and_per_channel(files: Mapping[str, bytes]) -> None:
    for weight in inspect(files["fp32"]).weights:
        channels = weight.shape[3] if weight.operator == "DEPTHWISE_CONV_2D" else weight.shape[0]
        assert weight.distinct == np.prod(weight.shape)
        assert weight.distinct_per_channel == weight.distinct // channels


def test_the_signature_tells_how_to_feed_an_integer_file(files: Mapping[str, bytes]) -> None:
    seen = examine(read(files["int8"]))
    assert [(port.name, port.shape, port.dtype, port.scale) for port in seen.signature.inputs] == [
        ("input", (1, 16, 16, 3), "float32", 0.0)
    ]
    assert {activation.dtype for activation in seen.activations} == {"int8"}


@pytest.mark.train
@pytest.mark.parametrize("name", ALL)
def test_every_kind_of_file_is_read(name: str, converted: Mapping[str, bytes]) -> None:
    seen = examine(read(converted[name]))
    assert seen.structure.parameters == inspect(converted["fp32"]).parameters
    kind = name.removeprefix("sparse-")
    stored = {
        "fp32": {"float32"},
        "sparse": {"float32"},
        "fp16": {"float16"},
        "dynamic": {"int8", "float32"},
    }.get(kind, {"int8"})
    assert {weight.dtype for weight in seen.structure.weights} == stored
    assert {activation.dtype for activation in seen.activations} == {
        {"int8": "int8", "int8-io": "int8", "int16x8": "int16"}.get(kind, "float32")
    }
    assert seen.signature.inputs[0].dtype == ("int8" if name == "int8-io" else "float32")
    assert (seen.structure.sparsity_overall > 0.5) == name.startswith("sparse")


@pytest.mark.train
def test_the_committed_files_are_what_the_maker_makes_in_structure(
    files: Mapping[str, bytes], converted: Mapping[str, bytes]
) -> None:
    for name, data in files.items():
        assert inspect(converted[name]) == inspect(data)


def test_run_writes_structure_and_proofs(
    files: Mapping[str, bytes], make_job: Callable[..., Job]
) -> None:
    promise = {
        "technique": "prune",
        "kind": "sparsity_at_least",
        "value": 0.79,
        "pointwise_only": True,
    }
    job = make_job("inspect", {"promises": [promise]}, file=files["sparse"])
    run(job)
    assert Structure.model_validate_json((job.out / "structure.json").read_bytes()) == inspect(
        files["sparse"]
    )
    assert [finding["held"] for finding in json.loads((job.out / "proofs.json").read_bytes())] == [
        True,
        True,
    ]


def test_run_fails_where_a_promise_is_broken_and_leaves_nothing(
    files: Mapping[str, bytes], make_job: Callable[..., Job]
) -> None:
    job = make_job(
        "inspect",
        {"promises": [{"technique": "prune", "kind": "sparsity_at_least", "value": 0.5}]},
        file=files["fp32"],
    )
    with pytest.raises(
        ProofFailed,
        match=(
            r"tiny/conv2d_0/Conv2D: prune promised share of zeros at least 0\.5, found 0\.0000 \(0"
            r" of 108\)"
        ),
    ):
        run(job)
    assert not list(job.out.iterdir())


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "0 bytes"),
        (b"TFL3", "a text that begins"),
        (b"\0" * 64, "64 zero bytes"),
        (b"\x10\0\0\0TFL3" + b"\0" * 56, "subgraph|damaged"),
        (b"\xff\xff\xff\xffTFL3" + b"\xff" * 56, "damaged"),
        (b"PK\x03\x04" + b"\0" * 100, "zip archive"),
    ],
)
def test_what_is_no_model_is_refused(data: bytes, word: str) -> None:
    with pytest.raises(BadFile, match=word):
        inspect(data)


def test_every_truncation_is_refused_or_read(files: Mapping[str, bytes]) -> None:
    data = files["sparse"]
    for length in range(0, len(data), 97):
        try:
            inspect(data[:length])
        except BadFile as error:
            assert error.message  # noqa: PT017  both outcomes are right; a third one is not


@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    name=st.sampled_from(["fp32", "int8", "sparse", "sparse-fp16"]),
    places=st.lists(
        st.tuples(
            st.integers(0, 1 << 20), st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]) | st.integers(0, 255)
        ),
        min_size=1,
        max_size=8,
    ),
    tail=st.booleans(),
)
def test_damaged_files_are_refused_or_read_but_never_crash(
    name: str, places: list[tuple[int, int]], tail: bool, files: Mapping[str, bytes]
) -> None:
    data = bytearray(files[name])
    for place, value in places:
        data[(len(data) - 1 - place % 4096) if tail else place % len(data)] = value
    try:
        structure = inspect(bytes(data))
    except BadFile:
        return
    assert 0 <= structure.sparsity_overall <= 1


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    places=st.lists(
        st.tuples(
            st.integers(0, 1 << 20),
            st.sampled_from([0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 4, 0x1000000]),
        ),
        max_size=4,
    )
)
def test_huge_lengths_and_offsets_are_refused_or_read(
    places: list[tuple[int, int]], files: Mapping[str, bytes]
) -> None:
    data = bytearray(files["sparse"])
    for place, value in places:
        start = place % (len(data) // 4) * 4
        data[start : start + 4] = value.to_bytes(4, "little")
    try:
        read(bytes(data))
        inspect(bytes(data))
    except BadFile:
        return
