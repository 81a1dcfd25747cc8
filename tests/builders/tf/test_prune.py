"""`prune`: its parameters, its schedule, its zeros."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.digits import TRAIN, a_job
from zoo_builders.models import NETWORKS
from zoo_builders.net import Net
from zoo_builders.techniques import TECHNIQUES, Step
from zoo_builders.techniques.prune import UPDATES, Params, _settle, check, schedule_steps
from zoo_registry.model.errors import ProofFailed


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"final": 1.0}, "less than 1"),
        ({"final": 0}, "greater than 0"),
        ({"final": float("nan")}, "finite|greater"),
        ({"initial": 0.8, "final": 0.5}, "initial: 0.8 is more than final"),
        ({"schedule": "constant", "initial": 0.2}, "goes with schedule: polynomial"),
        ({"epochs": 2, "prune_until_epoch": 3}, "after the last of 2 epochs"),
        ({"policy": "xnnpak"}, "xnnpack"),
    ],
)
def test_parameters_that_cannot_be_are_refused(given_: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Params.model_validate(given_)


@pytest.mark.parametrize(("epochs", "until"), [(1, 1), (2, 1), (3, 2), (15, 8)])
def test_the_target_is_reached_half_way_unless_said_otherwise(epochs: int, until: int) -> None:
    assert Params(epochs=epochs).prune_until_epoch == until


@given(st.integers(1, 5000), st.integers(1, 50))
def test_the_last_renewal_of_the_masks_falls_on_the_end_of_the_schedule(steps: int, epochs: int) -> None:
    end, frequency = schedule_steps(steps, Params(epochs=50, prune_until_epoch=epochs))
    assert 1 <= frequency <= end <= steps * epochs
    assert end % frequency == 0
    assert end > steps * epochs * (1 - 1 / UPDATES) - 1, "no more than one renewal early"
    assert end // frequency >= min(UPDATES, steps * epochs)


class Layer:
    """Something with weights, as a Keras layer has them."""

    name = "layer"

    def __init__(self, kernel: Any) -> None:
        self.weights = [kernel]

    def get_weights(self) -> list[Any]:
        return [weight.copy() for weight in self.weights]

    def set_weights(self, weights: list[Any]) -> None:
        self.weights = weights


@given(st.integers(2, 200), st.floats(0.05, 0.95))
def test_a_kernel_that_lacks_one_zero_to_rounding_gets_it(size: int, final: float) -> None:
    wanted = math.ceil(size * final)
    kernel = np.arange(1, size + 1, dtype=np.float32)
    kernel[: wanted - 1] = 0
    layer = Layer(kernel)
    assert _settle(layer, final) >= final
    assert (layer.weights[0] == 0).sum() == wanted
    assert (layer.weights[0][wanted:] == np.arange(wanted + 1, size + 1)).all(), "the large ones are kept"


def test_a_kernel_whose_masks_never_got_there_fails_the_build() -> None:
    with pytest.raises(ProofFailed, match=r"layer: 10 of 100 weights are zero after pruning; expected 75"):
        _settle(Layer(np.concatenate([np.zeros(10), np.ones(90)])), 0.75)


def test_the_policy_refuses_digits_by_name_and_the_whole_model_does_not() -> None:
    graph = NETWORKS.get("digits_cnn")()
    assert check(graph, Params(), []) == []
    assert [objection.layer for objection in check(graph, Params(policy="xnnpack"), [])] == ["stem_conv"]


@pytest.mark.parametrize("earlier", ["cluster", "quantize"])
def test_pruning_undoes_what_came_before(earlier: str) -> None:
    [found] = check(NETWORKS.get("digits_cnn")(), Params(), [Step(earlier, TECHNIQUES.get(earlier).params())])
    assert earlier in found.reason


def test_a_network_without_kernels_is_refused() -> None:
    net = Net("depthwise", (8, 8, 3))
    net.depthwise()
    assert check(net.graph(), Params(), [])


@pytest.mark.train
@pytest.mark.parametrize("schedule", ["constant", "polynomial"])
def test_one_short_epoch_is_enough_to_reach_the_target(schedule: str, digits_base: Path, digits_data: Path, tmp_path: Path) -> None:
    from zoo_builders import apply
    from zoo_builders.train import load

    params = {"final": 0.7, "schedule": schedule, "epochs": 1, "batch_size": 400}
    stage = {"technique": "prune", "params": params, "train": TRAIN, "seed": 7}
    before = (digits_base / "model.keras").read_bytes()
    job = a_job("technique", tmp_path, stage, inputs={"model": digits_base, "data": digits_data})
    apply.run(job)
    assert (digits_base / "model.keras").read_bytes() == before
    report = json.loads((tmp_path / "report.json").read_text())["sparsity"]
    model = load(tmp_path / "model.keras")
    for name in ("stem_conv", "block1_pointwise", "block2_pointwise", "classifier"):
        zeros = float((model.get_layer(name).get_weights()[0] == 0).mean())
        assert 0.7 <= zeros < 0.71
        assert report[name] == pytest.approx(zeros)
    assert (model.get_layer("block1_depthwise").get_weights()[0] != 0).all()
