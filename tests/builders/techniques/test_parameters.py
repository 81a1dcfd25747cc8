"""What a manifest says reaches the one that does it: each parameter here changes what comes out."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plugins.digits import a_job
from zoo_builders.networks.net import Net
from zoo_builders.networks.shipped import NETWORKS
from zoo_builders.techniques import TECHNIQUES, Step
from zoo_builders.techniques.prune.masks import Target
from zoo_builders.techniques.prune.params import Params as Prune
from zoo_builders.techniques.prune.schedule import Timing, Window, share_at, timing
from zoo_builders.techniques.prune.selection import target
from zoo_builders.techniques.prune.work import schedule_of
from zoo_builders.techniques.quantize.params import Params as Quantize
from zoo_builders.tflite import proof
from zoo_builders.tflite.flatbuffer import read
from zoo_builders.tflite.inspection import examine
from zoo_builders.tflite.proof import Inspection
from zoo_registry.model.errors import BuildFailed, ProofFailed

pytestmark = pytest.mark.train

QUANTIZE = TECHNIQUES.get("quantize")
WINDOW = Window(begin=10, asked=50, end=50, every=5, last=60)


def share(params: Prune, step: int) -> tuple[bool, float]:
    """Whether masks are renewed at a step of `WINDOW`, and the share of zeros they then leave."""
    from zoo_builders import tf

    renewed, zeros = schedule_of(WINDOW, params, target(params, None))(tf.tensorflow.constant(step))
    return bool(renewed), float(zeros)


@pytest.mark.parametrize("step", [10, 20, 35, 50])
@pytest.mark.parametrize(("initial", "power"), [(0.0, 3.0), (0.3, 3.0), (0.0, 1.0), (0.2, 2.0)])
def test_zeros_grow_as_the_polynomial_says(initial: float, power: float, step: int) -> None:
    asked = Prune(final=0.8, initial=initial, power=power)
    renewed, zeros = share(asked, step)
    assert renewed
    assert zeros == pytest.approx(share_at(step, WINDOW, initial, 0.8, power), abs=1e-6)
    assert share_at(20, WINDOW, 0.2, 0.8, 2) == pytest.approx(0.8 - 0.6 * 0.75**2)


def test_a_constant_schedule_is_there_at_once_and_none_begins_early() -> None:
    renewed, zeros = share(Prune(final=0.8, schedule="constant"), 10)
    assert renewed
    assert zeros == pytest.approx(0.8)
    for kind in ("constant", "polynomial"):
        assert not share(Prune(final=0.8, schedule=kind), 5)[0], "a renewal, had it begun at 0"


def test_a_schedule_begins_where_it_is_said_to() -> None:
    assert Timing(epochs=6, from_epoch=2, until_epoch=5).window(10).begin == 20
    assert Timing(epochs=6, begin_step=7, until_epoch=5).window(10).begin == 7
    assert timing(Prune(epochs=6, prune_from_epoch=2)).from_epoch == 2
    assert timing(Prune(epochs=6, begin_step=7)).begin_step == 7


def test_a_layer_is_pruned_as_the_step_says_where_its_rule_is_silent() -> None:
    asked = Prune(final=0.6, initial=0.1, block=(1, 4), pooling="max", bias=True)
    assert target(asked, None) == Target(0.6, 0.1, bias=True, block=(1, 4), pooling="max")
    assert target(Prune(), None) == Target(0.5)


def tiny(activation: str = "relu") -> Any:
    """A network that converts in no time: a 1x1 convolution, an activation, a Dense.

    One weight in each channel is far off.
    """
    from zoo_builders import tf
    from zoo_builders.keras_models.render import render

    net = Net("tiny", (4, 4, 8))
    net.conv(16, 1, name="conv")
    net.activation(activation, name="act")
    net.flatten(name="flat")
    net.dense(8, name="head")
    tf.deterministic(3)
    model, random = render(net.graph()), np.random.default_rng(3)
    for name in ("conv", "head"):
        kernel, bias = model.get_layer(name).get_weights()
        kernel = random.normal(0, 0.05, kernel.shape)
        kernel[..., 0, :] = 1.0
        model.get_layer(name).set_weights([kernel, bias])
    return model


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Splits whose largest inputs differ.

    1 in `calibration` (0.25 in its first ten), 2 in `loud`, 4 in the others.
    """
    folder = tmp_path_factory.mktemp("loud")
    for split, largest in {
        "calibration": 1,
        "loud": 2,
        "train": 4,
        "validation": 4,
        "test": 4,
    }.items():
        inputs = np.random.default_rng(0).uniform(0, largest, (40, 4, 4, 8)).astype(np.float32)
        inputs[:, 0, 0, 0] = largest
        inputs[:10] *= 0.25
        np.save(folder / f"{split}_x.npy", inputs)
        np.save(folder / f"{split}_y.npy", np.zeros(40, np.int64))
    (folder / "dataset.json").write_text(json.dumps({"classes": [], "value_map": {}, "splits": {}}))
    return folder


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from zoo_builders.keras_models.files import save

    folder = tmp_path_factory.mktemp("tiny")
    save(tiny(), folder / "model.keras")
    return folder


def quantized(model: Path, data: Path, out: Path, **said: Any) -> Inspection:
    """Convert as a build does; look at the file."""
    from zoo_builders.stages import convert

    params = QUANTIZE.infer(Quantize.model_validate({"report": False, **said}), ())
    convert.run(
        a_job(
            "convert", out, {**QUANTIZE.converts(params, ())}, inputs={"model": model, "data": data}
        )
    )
    return examine(read((out / "model.tflite").read_bytes()))


@pytest.mark.parametrize(
    ("said", "largest"),
    [
        ({}, 1.0),
        ({"samples": 10}, 0.25),
        ({"calibration": "loud"}, 2.0),
        ({"calibration": "loud", "samples": 10}, 0.5),
    ],
)
def test_ranges_are_those_of_the_split_and_the_samples_that_are_said(
    said: dict[str, Any], largest: float, base: Path, data: Path, tmp_path: Path
) -> None:
    [port] = quantized(base, data, tmp_path, interface="int8", **said).signature.inputs
    assert port.scale == pytest.approx(largest / 255, rel=1e-3)


def test_the_method_decides_what_is_clipped_and_compute_in_what_is_counted(
    base: Path, data: Path, tmp_path: Path
) -> None:
    def scales(name: str, **said: Any) -> Any:
        from zoo_builders.tflite.flatbuffer import read

        seen = quantized(base, data, tmp_path / name, dtype="dynamic", engine="litert", **said)
        graph = read((tmp_path / name / "model.tflite").read_bytes()).main
        return seen, {
            str(tensor.shape): tensor.scales for tensor in graph.tensors if tensor.dtype == "int8"
        }

    plain, minmax = scales("minmax")
    assert all(
        scale == pytest.approx(1 / 127, rel=1e-3) for one in minmax.values() for scale in one
    )
    for method in ("mse", "octav"):
        _, found = scales(method, method=method)
        assert found.keys() == minmax.keys()
        clipped = [
            new / old
            for layer, one in minmax.items()
            for new, old in zip(found[layer], one, strict=True)
        ]
        assert min(clipped) < 0.999, method
    widened, _ = scales("float", compute="float")
    assert (
        plain.structure.operators.get("DEQUANTIZE", 0),
        widened.structure.operators["DEQUANTIZE"],
    ) == (0, 2)


def test_one_scale_a_tensor_also_where_layers_stay_float(
    base: Path, data: Path, tmp_path: Path
) -> None:
    found = quantized(
        base, data, tmp_path, granularity="tensor", keep_float=["head"]
    ).structure.weights
    assert {(weight.dtype, weight.granularity) for weight in found} == {
        ("int8", "tensor"),
        ("float32", ""),
    }


def promised(seen: Inspection, **said: Any) -> None:
    params = QUANTIZE.infer(Quantize.model_validate(said), ())
    found = QUANTIZE.promises(NETWORKS.get("digits_cnn")(), params, [Step("quantize", params)])
    kinds = [promise for promise in found if promise.kind == "activations_dtype"]
    proof.demand(proof.judge(kinds, seen))


def test_an_operator_without_integer_kernel_stays_float_only_where_that_is_allowed(
    data: Path, tmp_path: Path
) -> None:
    from zoo_builders.keras_models.files import save

    save(tiny("elu"), tmp_path / "model.keras")
    seen = quantized(tmp_path, data, tmp_path / "allowed", allow_float_fallback=True)
    assert {one.operator for one in seen.activations if one.dtype == "float32"} == {"ELU"}
    promised(seen, allow_float_fallback=True)
    with pytest.raises(ProofFailed, match="promised activations dtype int8, found float32"):
        promised(quantized(tmp_path, data, tmp_path / "refused"))


def test_the_second_engine_refuses_by_name_what_it_cannot_quantize(
    data: Path, tmp_path: Path
) -> None:
    from zoo_builders.keras_models.files import save

    save(tiny("elu"), tmp_path / "model.keras")
    with pytest.raises(BuildFailed, match=r"engine litert cannot quantize act \(ELU\)") as caught:
        quantized(tmp_path, data, tmp_path / "refused", engine="litert")
    assert "allow_float_fallback: true" in (caught.value.hint or "")
    seen = quantized(
        tmp_path, data, tmp_path / "allowed", engine="litert", allow_float_fallback=True
    )
    assert {weight.dtype for weight in seen.structure.weights} == {"int8"}


def test_a_technique_works_on_a_copy_of_its_own() -> None:
    """Wrappers share layers with what they wrap, and pruning at once writes into them."""
    from zoo_builders.stages.technique import applied

    class Keeps:
        """As much of a context as pruning at once asks for."""

        def keep(self, name: str, value: Any) -> None:
            del name, value

    model = tiny()
    before = model.get_weights()
    # it trains nothing
    changed = applied(TECHNIQUES.get("prune"), model, {"epochs": 0}, Keeps())  # type: ignore[arg-type]
    assert (changed.get_layer("head").get_weights()[0] == 0).mean() >= 0.5
    assert all(
        np.array_equal(old, new) for old, new in zip(before, model.get_weights(), strict=True)
    )
