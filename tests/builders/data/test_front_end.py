"""The front end inside the file, before TensorFlow.

Its graph, its weights, what a manifest may say, and that techniques leave it alone.
"""

import json
from typing import Any

import numpy as np
import pytest

from zoo_builders.data import front_end
from zoo_builders.data.audio_features import features
from zoo_builders.data.front_end import LAST, FrontEnd
from zoo_builders.data.preprocess import ValueMap
from zoo_builders.manifest import recipes
from zoo_builders.manifest.diagnostics import Mistakes
from zoo_builders.manifest.yaml_lines import Document
from zoo_builders.networks.graph import Graph
from zoo_builders.networks.shipped.ds_cnn import ds_cnn
from zoo_builders.preflight.layer_report import offer
from zoo_registry.model.errors import BuildFailed

RATE = 8000
PLAIN = ValueMap()


def front(
    samples: int = RATE, rate: int = RATE, *, step: str = "mfcc", mapped: bool = True, **params: Any
) -> FrontEnd:
    steps: list[dict[str, Any]] = [
        {step: {"inside": True, **params}},
        *([{"standardize": {}}] if mapped else []),
    ]
    found = front_end.of(steps, samples, rate)
    assert found is not None
    return found


def heard(made: FrontEnd, recordings: Any, values: ValueMap = PLAIN) -> Any:
    """Compute the layers as a graph says them, in numpy.

    Convolutions over rows, magnitude, logarithm.
    """
    weights = front_end.weights(made, values)
    window, step = made.params.window(made.sample_rate), made.params.step(made.sample_rate)
    used = window + (made.shape[0] - 1) * step
    cosine, sine = (
        weights[f"front_end_{name}"]["kernel"].reshape(window, -1) for name in ("cosine", "sine")
    )
    frames = np.lib.stride_tricks.sliding_window_view(
        recordings[:, :used, 0, 0] / 32768, window, axis=1
    )[:, ::step]
    magnitude = np.hypot(frames @ cosine, frames @ sine)
    mel = weights["front_end_mel"]
    bands = np.log(magnitude @ mel["kernel"][0, 0] + mel["bias"])
    last = weights.get("front_end_values", {})
    kernel = (
        last["kernel"][0, 0]
        if "kernel" in last
        else last.get("depthwise_kernel", np.ones((1, 1, 1, 1)))[0, 0, :, 0]
    )
    made_of = bands @ kernel if "kernel" in last else bands * kernel
    return (made_of + last.get("bias", 0.0))[..., None]


@pytest.mark.parametrize(
    ("rate", "samples", "params"),
    [
        (8000, 8000, {}),
        (
            8000,
            8123,
            {"window_ms": 30, "stride_ms": 20},
        ),  # nothing divides evenly: the end is cropped
        (
            16_000,
            16_000,
            {"window_ms": 25, "stride_ms": 10, "bins": 20, "low_hz": 300, "high_hz": 3000},
        ),
        (11_025, 5000, {"step": "log_mel", "bins": 24}),
        (8000, 320, {"step": "log_mel", "mapped": False}),
    ],
)
def test_it_gives_what_the_features_outside_are(
    rate: int, samples: int, params: dict[str, Any]
) -> None:
    recordings = (
        np.random.default_rng(samples).integers(-9000, 9000, (3, samples, 1, 1)).astype(np.int16)
    )
    made = front(samples, rate, **params)
    values = ValueMap([0.5], [0.25]) if made.mapped else PLAIN
    expected = values(features(made.params, recordings, rate))
    assert heard(made, recordings, values) == pytest.approx(expected, abs=1e-4)
    assert made.shape == expected.shape[1:]
    again, told = front_end.read(json.loads(json.dumps(made.told(values))))
    assert (again.shape, told) == (made.shape, values)
    assert heard(again, recordings, told) == pytest.approx(expected, abs=1e-4)


def test_it_stands_before_the_network_which_stays_as_it_was() -> None:
    plain = ds_cnn(classes=10)
    graph = front_end.attached(plain, front(8123))
    assert (graph.input_shape, graph.output_shape) == ((8123, 1, 1), (10,))
    assert graph.node("stem_conv").inputs == (LAST,)
    assert [node for node in graph.nodes if not node.is_fixed][2:] == list(plain.nodes[2:])
    assert {node.name: dict(node.weights) for node in graph.fixed if node.weights} == {
        name: {key: array.shape for key, array in own.items()}
        for name, own in front_end.weights(front(8123), PLAIN).items()
    }
    assert all(node.config["trainable"] is False for node in graph.fixed if node.weights)
    with pytest.raises(
        BuildFailed, match=r"takes inputs of shape \[49, 10, 1\], the front end gives \[49, 12, 1\]"
    ):
        front_end.attached(plain, front(coefficients=12))


GRAPH = front_end.attached(ds_cnn(classes=10), front())


def test_every_technique_leaves_it_alone_and_says_why() -> None:
    for column in offer(GRAPH).columns[:-1]:
        said = {
            name: verdict
            for name, verdict in column.verdicts.items()
            if name.startswith("front_end_")
        }
        assert not any(verdict.applies for verdict in said.values()), column.name
        assert all("its weights are a formula" in verdict.reason for verdict in said.values()), (
            column.name
        )
        assert column.name == "quantize" or {"front_end_cosine", "front_end_mel"} <= set(said), (
            column.name
        )


def refusal(graph: Graph, *steps: dict[str, Any]) -> str:
    mistakes = Mistakes("m.yaml", Document({"variants": {"v": list(steps)}}, {}))
    found = recipes.read_recipes({"v": list(steps)}, mistakes)
    recipes.judge(found, graph, mistakes)
    return " | ".join(f"{mistake.reason}; {mistake.hint}" for mistake in mistakes.found)


@pytest.mark.parametrize(
    ("step", "wanted"),
    [
        (
            {"quantize": {"interface": "int8"}},
            "eight bits leave 256 steps of loudness; write interface: float",
        ),
        (
            {"quantize_aware": {"interface": "int8"}},
            "eight bits leave 256 steps of loudness; write interface: float",
        ),
        ({"quantize": {"dtype": "int16x8"}}, "leaves no layer float; write engine: litert"),
        ({"quantize": {"dtype": "dynamic"}}, "leaves no layer float; write engine: litert"),
        ({"prune": {"layers": [{"name": "front_end_mel"}]}}, "prune cannot change front_end_mel"),
    ],
)
def test_what_would_harm_it_is_refused(step: dict[str, Any], wanted: str) -> None:
    assert wanted in refusal(GRAPH, step)
    assert wanted not in refusal(ds_cnn(classes=10), step)


def test_what_leaves_it_in_float_is_not() -> None:
    fine: list[dict[str, Any]] = [
        {},
        {"dtype": "float16"},
        {"dtype": "int16x8", "engine": "litert"},
    ]
    assert [refusal(GRAPH, {"quantize": params}) for params in fine] == ["", "", ""]
