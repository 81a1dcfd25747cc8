"""What every compression algorithm promises.

A new one is tested here by being there, and so is the example of the guide.
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from plugins.digits import a_job
from zoo_builders.manifest.own_algorithms import Finder
from zoo_builders.manifest.source_tree import Digests, WorkTree
from zoo_builders.networks.graph import Graph, Node
from zoo_builders.networks.net import Net
from zoo_builders.techniques import TECHNIQUES, Step, Technique
from zoo_builders.techniques.compress import own as own_compress
from zoo_builders.techniques.compress.algorithms import ALGORITHMS, Algorithm, Params
from zoo_builders.techniques.compress.selection import chosen, replaced
from zoo_builders.techniques.compress.technique import Compressor, macs, stored_parameters
from zoo_builders.tflite.layer_tensors import kernels_of
from zoo_builders.tflite.proof import Inspection, Promise, judge
from zoo_registry.model.errors import BuildFailed

GUIDE = Path(__file__).parents[2] / "docs/guides/algorithm-author.md"
TRAIN = {"epochs": 1, "batch_size": 50, "learning_rate": 1e-3, "seed": 7}


def of_the_guide() -> Algorithm:
    """The guide's example, in the other style.

    No layer is replaced, weights are projected after every step.
    """
    [code] = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    with ALGORITHMS.collecting() as found:
        # our own guide, run as its reader runs it
        exec(compile(code, str(GUIDE), "exec"), {"__name__": "guide_example"})  # noqa: S102
    [example] = found.values()
    return example


EVERY = [*(ALGORITHMS.get(name) for name in ALGORITHMS.names()), of_the_guide()]


def network() -> Graph:
    """1x1 and 3x3 convolutions around a sum, a depthwise one, two Dense layers."""
    net = Net("wide", (8, 8, 1))
    start = net.conv(24, 3, 2, padding="same", name="stem")
    net.conv(24, 1, name="point", activation="relu", bias=False)
    net.batch_norm(name="point_norm")
    net.add(net.last, start, name="sum")
    net.depthwise(3, name="deep")
    net.global_pool(keepdims=False, name="mean")
    net.dense(32, activation="relu", name="hidden")
    net.dense(10, name="head")
    return net.graph()


def of_the_command_line(named: str, folder: Path) -> Algorithm:
    """The algorithm that `--algorithm` names, found as a manifest in `folder` finds it."""
    finder = Finder(folder, WorkTree(Digests(folder / ".zoo/digests.json")), os.environ)
    own = finder.found[finder(named)]
    return own_compress.algorithm(own.spelled, Path(own.file.path))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run on every algorithm, or on the one of `--algorithm` alone."""
    if "algorithm" in metafunc.fixturenames:
        named = metafunc.config.getoption("--algorithm")
        chosen = (
            [of_the_command_line(named, metafunc.config.invocation_params.dir)] if named else EVERY
        )
        metafunc.parametrize("algorithm", chosen, ids=lambda algorithm: algorithm.name)


@pytest.fixture
def technique(algorithm: Algorithm) -> Technique:
    return Compressor(algorithm)


def weights(graph: Graph) -> dict[str, dict[str, Any]]:
    random = np.random.default_rng(5)
    return {
        n.name: {
            key: random.normal(0, 0.3, shape).astype(np.float32) for key, shape in n.weights.items()
        }
        for n in graph.nodes
    }


def made(algorithm: Algorithm, params: Params) -> dict[str, tuple[Node, ...]]:
    graph, values = network(), weights(network())
    return {
        node.name: algorithm.replace(node, params, values[node.name])
        for node in chosen(algorithm, graph, params)
    }


def test_registered_it_is_a_technique_of_its_own_name() -> None:
    for name in ALGORITHMS.names():
        assert TECHNIQUES.get(name).doc == ALGORITHMS.get(name).doc
    assert all(len(algorithm.doc.split()) > 30 for algorithm in EVERY)


def test_the_network_is_whole_after_it(algorithm: Algorithm) -> None:
    after = replaced(network(), made(algorithm, algorithm.params()))
    names = [node.name for node in after.nodes]
    assert len(set(names)) == len(names)
    assert all(
        names.index(origin) < names.index(node.name)
        for node in after.nodes
        for origin in node.inputs
    )
    assert (after.input_shape, after.output_shape) == (
        network().input_shape,
        network().output_shape,
    )


def test_what_is_planned_is_what_is_made_but_for_sizes_the_weights_decide(
    algorithm: Algorithm,
) -> None:
    for name, into in made(algorithm, algorithm.params()).items():
        planned = algorithm.replace(network().node(name), algorithm.params())
        assert [node.name for node in planned] == [node.name for node in into]
        for one, other in zip(planned, into, strict=True):
            for key, shape in one.weights.items():
                assert all(
                    size in {0, there}
                    for size, there in zip(shape, other.weights[key], strict=True)
                )


def test_baked_weights_fit_the_layers_they_are_for(algorithm: Algorithm) -> None:
    params, values = algorithm.params(), weights(network())
    for name, into in made(algorithm, params).items():
        baked = algorithm.bake(network().node(name), params, values[name], into)
        for node in into:
            if node.weights:
                assert {key: np.shape(array) for key, array in baked[node.name].items()} == dict(
                    node.weights
                )


def test_a_projection_is_done_after_one_time(algorithm: Algorithm) -> None:
    params, values = algorithm.params(), weights(network())
    for name, into in made(algorithm, params).items():
        baked = algorithm.bake(network().node(name), params, values[name], into)
        for node in into:
            once = algorithm.project(node, params, baked[node.name])
            twice = algorithm.project(node, params, once)
            assert all(np.array_equal(once[key], twice[key]) for key in once)


def test_it_says_of_every_layer_whether_it_fits_and_why_not(
    algorithm: Algorithm, technique: Technique
) -> None:
    found = technique.layers(network(), algorithm.params(), [])
    assert set(found) == {node.name for node in network().nodes if node.weights}
    assert any(verdict.applies for verdict in found.values())
    assert all(verdict.reason for verdict in found.values() if not verdict.applies)
    assert not found["deep"].applies


def test_it_is_refused_where_nothing_fits_and_after_what_it_would_undo(
    algorithm: Algorithm, technique: Technique
) -> None:
    narrow = Net("narrow", (8, 8, 1))
    narrow.conv(2, 1)
    assert "fits no layer" in technique.check(narrow.graph(), algorithm.params(), [])[0].reason
    for name in sorted(algorithm.undoes & set(TECHNIQUES.names())):
        assert (
            name
            in technique.check(
                network(), algorithm.params(), [Step(name, TECHNIQUES.get(name).params())]
            )[0].reason
        )
    wrong = algorithm.params.model_validate({"layers": [{"name": "hiden"}]})
    assert any("'hidden'" in objection.fix for objection in technique.check(network(), wrong, []))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from zoo_builders.stages import data as data_stage

    splits = {
        "train": "train[:100]",
        "validation": "train[100:150]",
        "test": "test[:20]",
        "calibration": "train[:20]",
    }
    job = a_job(
        "data",
        tmp_path_factory.mktemp("digits"),
        {"source": "digits", "args": {}, "splits": splits, "preprocess": [{"rescale": [0, 1]}]},
    )
    data_stage.run(job)
    return job.out


def applied(
    technique: Technique, data: Path, out: Path, params: Mapping[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """Apply to the network with the seed's weights; give the model and what it kept."""
    from zoo_builders import tf
    from zoo_builders.keras_models.weights import render_with
    from zoo_builders.training.job_context import JobContext
    from zoo_builders.training.settings import Train

    tf.deterministic(7)
    context = JobContext(
        a_job("technique", out, {}, inputs={"data": data}), Train.model_validate(TRAIN), 7
    )
    model = render_with(
        network(),
        {
            name: {k: np.abs(v) if "norm" in name else v for k, v in w.items()}
            for name, w in weights(network()).items()
        },
    )
    return technique.apply(model, technique.params.model_validate(params), context), context.kept


@pytest.mark.train
@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_the_file_holds_what_was_promised_and_works_with_quantize(
    algorithm: Algorithm, technique: Technique, dtype: str, data: Path, tmp_path: Path
) -> None:
    from zoo_builders.keras_models.files import save
    from zoo_builders.stages import convert
    from zoo_builders.tflite.flatbuffer import read
    from zoo_builders.tflite.inspection import examine

    params = algorithm.params.model_validate({"epochs": 1})
    model, kept = applied(technique, data, tmp_path, params.model_dump(mode="json"))
    save(model, tmp_path / "model.keras")
    assert len(kept["history"]["epochs"]) == 1
    quantize = (
        None
        if dtype == "float32"
        else TECHNIQUES.get("quantize")
        .params.model_validate({"dtype": dtype, "samples": 20, "report": False})
        .model_dump(mode="json")
    )
    job = a_job(
        "convert",
        tmp_path / "file",
        {"quantize": quantize},
        inputs={"model": tmp_path, "data": data},
    )
    convert.run(job)
    seen = examine(read((job.out / "model.tflite").read_bytes()))
    promised = technique.promises(network(), params, [Step(technique.name, params)])
    found = judge(promised, seen)
    assert len(found) >= 2
    assert [finding for finding in found if not finding.held] == []
    assert not [
        f
        for f in judge(
            [p.model_copy(update={"value": 1}) for p in promised],
            Inspection(seen.structure, seen.signature),
        )
        if f.held
    ]


class Idle(Algorithm):
    """Promises, and does nothing."""

    name: ClassVar[str] = "idle"
    doc: ClassVar[str] = "Says what is so anyhow."

    def fits(self, node: Node, params: Params) -> str:
        """Fit the Dense layers."""
        del params
        return "" if node.op == "Dense" else "no Dense"

    def promises(
        self, before: Graph, after: Graph, layers: Sequence[str], params: Params
    ) -> list[Promise]:
        """State what holds of any file."""
        del before, params
        return [
            Promise(
                technique=self.name,
                kind="distinct_at_most",
                value=10_000,
                layers=kernels_of(after, layers),
            )
        ]


@pytest.mark.train
def test_a_step_that_changes_no_weight_fails(data: Path, tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match="idle changed no weight of hidden, head"):
        applied(Compressor(Idle()), data, tmp_path, {"epochs": 0})


def test_bounds_count_what_the_file_will_hold() -> None:
    graph = network()
    assert stored_parameters(graph) == graph.parameters + 24, (
        "the converter adds a bias to the convolution without one"
    )
    assert macs(graph) == 4 * 4 * 24 * 9 + 4 * 4 * 24 * 24 + 4 * 4 * 24 * 9 + 24 * 32 + 32 * 10


@pytest.mark.train
def test_of_full_energy_the_two_layers_compute_what_the_one_did(data: Path, tmp_path: Path) -> None:
    """A kernel of rank 3 is given back whole by any energy short of all of it."""
    svd = ALGORITHMS.get("svd")
    node = network().node("hidden")
    random = np.random.default_rng(0)
    kernel = (random.normal(size=(24, 3)) @ random.normal(size=(3, 32))).astype(np.float32)
    values = {"kernel": kernel, "bias": np.zeros(32, np.float32)}
    params = svd.params.model_validate({"energy": 0.999999})
    into = svd.replace(node, params, values)
    baked = svd.bake(node, params, values, into)
    assert into[0].shape == (3,)
    np.testing.assert_allclose(
        baked["hidden_svd"]["kernel"] @ baked["hidden"]["kernel"], kernel, atol=1e-4
    )


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"rank": 2, "energy": 0.5}, "one of rank"),
        ({"share": None}, "one of rank"),
        ({"rank": 0}, "greater"),
    ],
)
def test_svd_wants_one_way_to_say_the_rank(said: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TECHNIQUES.get("svd").params.model_validate(said)


def test_svd_refuses_a_rank_that_saves_nothing_and_kernels_that_are_no_matrix() -> None:
    svd = ALGORITHMS.get("svd")
    params = svd.params.model_validate({"rank": 14})
    assert "saves no weights: up to 13" in svd.fits(network().node("hidden"), params)
    assert "no matrix" in svd.fits(network().node("stem"), params)
    read = svd.params.model_validate({"energy": 0.9})
    assert svd.params.model_validate(json.loads(read.model_dump_json())) == read


def test_svd_keeps_stride_in_the_first_layer_and_activation_in_the_last() -> None:
    net = Net("strided", (8, 8, 32))
    net.conv(32, 1, 2, activation="relu", name="down")
    svd = ALGORITHMS.get("svd")
    narrow, wide = svd.replace(net.graph().node("down"), svd.params.model_validate({"rank": 4}))
    assert (narrow.config["strides"], narrow.config["activation"], narrow.shape) == (
        2,
        None,
        (4, 4, 4),
    )
    assert (wide.config["strides"], wide.config["activation"], wide.shape) == (
        1,
        "relu",
        (4, 4, 32),
    )
