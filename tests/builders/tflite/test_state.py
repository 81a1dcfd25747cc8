"""An example never sees what the one before it left: tensors that outlive it, and resources."""

import json
import re
from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zoo_builders.devices.agent.child import Agent
from zoo_builders.tflite import golden, litert, state
from zoo_builders.tflite.flatbuffer import read
from zoo_builders.tflite.inspection import inspect
from zoo_registry.model.structure import Structure

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
STATEFUL = GOLDEN / "stateful"
WORKER = Path(litert.__file__).parents[3] / "registry/zoo_registry/litertjs/browser/worker.js"
KINDS = {"lstm": "variables", "counter": "resources"}


def file_of(name: str) -> Path:
    return (STATEFUL if name in KINDS else GOLDEN / "files") / f"{name}.tflite"


def examples(name: str) -> Any:
    shape = (3, 8, 8, 1) if name == "lstm" else (3, 4)
    return np.random.default_rng(0).uniform(0, 1, shape).astype(np.float32)


def alone(name: str, example: Any) -> Any:
    """Give the outputs of a file that was loaded for this one example."""
    return litert.Session(file_of(name)).infer([example])[0]


@pytest.mark.parametrize("name", KINDS)
def test_the_file_does_keep_state_where_nobody_resets_it(name: str) -> None:
    session = litert.Session(file_of(name))
    outputs = []
    for _ in range(2):
        session.feed([examples(name)[:1]])
        session.invoke()
        outputs.append(session.fetch()[0])
    assert not np.array_equal(*outputs)


@pytest.mark.parametrize("source", [Path.read_bytes, Path], ids=["bytes", "path"])
@pytest.mark.parametrize("kernels", ["xnnpack", "builtin"])
@pytest.mark.parametrize("name", KINDS)
def test_outputs_depend_on_the_example_alone_in_any_order(
    name: str, kernels: litert.Kernels, source: Callable[[Path], Any]
) -> None:
    inputs = examples(name)
    session = litert.Session(source(file_of(name)), kernels=kernels)
    wanted = [alone(name, example) for example in inputs]
    for order in permutations(range(3)):
        found = session.infer(inputs[list(order)])
        np.testing.assert_allclose(found, [wanted[one] for one in order], atol=1e-6)


def test_what_call_once_put_into_a_resource_is_there_again() -> None:
    ones = np.ones((5, 4), np.float32)
    np.testing.assert_array_equal(litert.Session(file_of("counter")).infer(ones), 8 * ones)


@pytest.mark.parametrize("name", KINDS)
def test_golden_vectors_are_those_of_single_examples(name: str) -> None:
    data = file_of(name).read_bytes()
    vectors = golden.make(data, examples(name))
    for example, output in zip(examples(name), vectors.outputs[0], strict=True):
        np.testing.assert_allclose(output[0], alone(name, example), atol=1e-6)


@pytest.mark.parametrize("name", KINDS)
def test_the_measuring_child_finds_the_golden_outputs_and_starts_turns_fresh(
    name: str, tmp_path: Path
) -> None:
    data = file_of(name).read_bytes()
    vectors = golden.make(data, examples(name))
    (tmp_path / "golden.npz").write_bytes(vectors.to_bytes())
    agent = Agent()
    where = {"file": str(file_of(name)), "golden": str(tmp_path / "golden.npz")}
    agent.load({**where, "atol": 1e-5, "threads": 1, "cores": []})
    assert len(agent.run({"count": 3})["seconds"]) == 3
    session = agent._session
    assert session is not None
    session.fresh()
    np.testing.assert_allclose(
        session.run([vectors.inputs[0][0]])[0], vectors.outputs[0][0], atol=1e-5
    )


@pytest.mark.parametrize(("name", "kept"), [*KINDS.items(), ("fp32", ""), ("int8", "")])
def test_the_structure_says_what_is_kept(name: str, kept: str) -> None:
    data = file_of(name).read_bytes()
    told = inspect(data).model_dump(mode="json")
    assert told.get("state", "") == kept
    assert ("state" in told) == bool(kept), "records of files that keep nothing stay as they were"
    assert Structure.model_validate(json.loads(json.dumps(told))).state == kept
    assert read(data).state == kept
    assert state.holds_resources(data) == (kept == "resources")
    assert state.holds_resources(file_of(name)) == (kept == "resources")


def test_a_variable_of_an_unknown_operator_counts() -> None:
    assert state.of({"CUSTOM"}, variables=True) == "variables"
    assert state.of({"CONV_2D"}) == ""
    assert state.of({"CONV_2D", "SVDF"}) == "variables"
    assert state.of({"SVDF", "RANDOM_UNIFORM"}) == "resources"


def test_the_numbers_are_those_of_the_schema_and_of_the_browser() -> None:
    codes = vars(litert.schema().BuiltinOperator)
    known = {**state.VARIABLES, **state.RESOURCES}
    assert {number: codes[name] for number, name in known.items()} == {one: one for one in known}
    spelled = re.search(r"KEEPING = new Set\(\[([0-9, ]+)\]\)", WORKER.read_text())
    assert spelled
    assert {int(number) for number in spelled[1].split(",")} == set(known)
