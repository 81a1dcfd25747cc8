"""PQAT, CQAT and PCQAT on a residual network whose stem stays dense.

What each step made stands in the int8 file, tensor by tensor.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from plugins.digits import TRAIN, a_job
from zoo_builders.manifest.recipes import graphs
from zoo_builders.networks.graph import Graph
from zoo_builders.networks.net import Net
from zoo_builders.techniques import TECHNIQUES, Step

POINTWISE = ("squeeze", "expand", "wide")
SHARED = {"clusters": 6, "epochs": 1, "learning_rate": 1e-3}
Recipe = Sequence[Mapping[str, Any]]


def residual() -> Graph:
    """Write a bottleneck with a shortcut.

    A depthwise layer and a Dense behind a convolution with batch normalisation as stem.
    """
    net = Net("residual", (8, 8, 1))
    net.conv(12, 3, padding="same", bias=False, name="stem")
    net.batch_norm(momentum=0.9, name="stem_bn")
    shortcut = net.relu(name="stem_relu")
    net.conv(8, 1, bias=False, name="squeeze")
    net.batch_norm(momentum=0.9, name="squeeze_bn")
    net.relu(name="squeeze_relu")
    net.conv(12, 1, bias=False, name="expand")
    net.batch_norm(momentum=0.9, name="expand_bn")
    net.add(shortcut, net.last, name="sum")
    net.relu(name="sum_relu")
    net.depthwise(3, 2, name="depthwise")
    net.relu(name="depthwise_relu")
    net.conv(32, 1, name="wide")
    net.relu(name="wide_relu")
    net.global_pool(keepdims=True, name="pool")
    net.flatten(name="flatten")
    net.dense(10, name="classifier")
    return net.graph()


@pytest.fixture(scope="module")
def base(digits_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained as a base stage trains it."""
    from zoo_builders import tf
    from zoo_builders.keras_models import files
    from zoo_builders.keras_models.render import render
    from zoo_builders.training import fit as train
    from zoo_builders.training.fit import fit
    from zoo_builders.training.job_context import JobContext, write_json
    from zoo_builders.training.settings import Train

    folder = tmp_path_factory.mktemp("residual")
    settings = Train.model_validate({**TRAIN, "learning_rate": 1e-2})
    context = JobContext(a_job("base", folder, {}, inputs={"data": digits_data}), settings, 7)
    tf.deterministic(7)
    model = render(residual())
    fit(model, context, settings, note="train")
    files.save(model, folder / "model.keras")
    write_json(folder / "report.json", {"accuracy": train.accuracy(model, context)})
    return folder


class Cascades:
    """Runs recipes as the pipeline does, each step once."""

    def __init__(self, base: Path, data: Path, folder: Path) -> None:
        self.base, self.data, self.folder = base, data, folder

    def resolved(self, recipe: Recipe) -> list[Step]:
        steps: list[Step] = []
        for entry in recipe:
            ((name, said),) = entry.items()
            technique = TECHNIQUES.get(name)
            steps.append(
                Step(name, technique.infer(technique.params.model_validate(said), tuple(steps)))
            )
        return steps

    def model(self, steps: Sequence[Step]) -> Path:
        """Apply the steps, or find them applied; give the folder of the last one's result."""
        from zoo_builders.stages import technique as technique_stage

        if not steps:
            return self.base
        out = self.folder / "-".join(step.technique for step in steps)
        if not (out / "model.keras").exists():
            last = steps[-1]
            params = {
                "technique": last.technique,
                "params": last.params.model_dump(mode="json"),
                "train": TRAIN,
                "seed": 7,
            }
            technique_stage.run(
                a_job(
                    "technique",
                    out,
                    params,
                    inputs={"model": self.model(steps[:-1]), "data": self.data},
                )
            )
        return out

    def proven(self, recipe: Recipe) -> Mapping[str, tuple[float, int]]:
        """Build the file, hold it to every promise, give {layer.

        (share of zeros, distinct values in a channel)}.

        Raises:
            ProofFailed: a promise is broken.
        """
        from zoo_builders.stages import convert
        from zoo_builders.stages import inspect as look

        steps, graph = self.resolved(recipe), residual()
        met = graphs(graph, steps)
        asked = {
            key: value
            for step in steps
            for key, value in TECHNIQUES.get(step.technique).converts(step.params, steps).items()
        }
        file = a_job(
            "convert",
            self.model(steps) / "file",
            {"quantize": None, **asked},
            inputs=self._inputs(steps),
        )
        convert.run(file)
        found = [
            p
            for step, at in zip(steps, met, strict=True)
            for p in TECHNIQUES.get(step.technique).promises(at, step.params, steps)
        ]
        proofs = a_job(
            "inspect",
            file.out / "look",
            {"promises": [p.model_dump(mode="json") for p in found]},
            inputs={"file": file.out},
        )
        look.run(proofs)
        weights = json.loads((proofs.out / "structure.json").read_text())["weights"]
        return {
            weight["name"].split("/")[1]: (weight["sparsity"], weight["distinct_per_channel"])
            for weight in weights
        }

    def _inputs(self, steps: Sequence[Step]) -> dict[str, Path]:
        return {"model": self.model(steps), "data": self.data}

    def accuracy(self, recipe: Recipe) -> float:
        report = json.loads((self.model(self.resolved(recipe)) / "report.json").read_text())
        return float(report["accuracy"]["validation"])


@pytest.fixture(scope="module")
def cascades(base: Path, digits_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Cascades:
    return Cascades(base, digits_data, tmp_path_factory.mktemp("cascades"))


PRUNE = {"prune": {"final": 0.5, "epochs": 1, "skip": [{"name": "stem"}]}}
CLUSTER = {"cluster": SHARED}
PER_CHANNEL = {"cluster": {**SHARED, "clusters": 3, "per_channel": True}}
AWARE = {"quantize_aware": {"epochs": 1, "learning_rate": 1e-3}}


@pytest.mark.train
def test_pcqat_keeps_zeros_and_shared_values_in_every_tensor_that_had_them(
    cascades: Cascades,
) -> None:
    found = cascades.proven([PRUNE, CLUSTER, AWARE])
    for name in (*POINTWISE, "classifier"):
        zeros, values = found[name]
        assert 0.5 <= zeros < 0.7, f"{name} is {zeros:.0%} zero"
        assert values <= 6
    assert found["stem"][0] < 0.3
    assert found["stem"][1] <= 6
    assert found["depthwise"][1] > 6
    assert cascades.accuracy([PRUNE, CLUSTER, AWARE]) > cascades.accuracy([]) - 0.05


@pytest.mark.train
def test_pqat_keeps_zeros_through_batch_normalisation_beside_a_dense_stem(
    cascades: Cascades,
) -> None:
    found = cascades.proven([PRUNE, AWARE])
    assert all(0.5 <= found[name][0] < 0.7 for name in (*POINTWISE, "classifier"))
    assert found["stem"][0] < 0.3
    assert cascades.accuracy([PRUNE, AWARE]) > cascades.accuracy([]) - 0.05


@pytest.mark.train
def test_values_of_each_channel_survive_to_the_file(cascades: Cascades) -> None:
    found = cascades.proven([PER_CHANNEL, AWARE])
    assert all(found[name][1] <= 3 for name in ("stem", *POINTWISE))
    report = json.loads(
        (cascades.model(cascades.resolved([PER_CHANNEL, AWARE])) / "report.json").read_text()
    )
    assert report["preserved"]["wide"] == {"values": 3}


OWN = """
from zoo_builders import tf

kinds = tf.tfmot.quantization.keras
EIGHT = dict(num_bits=8, per_axis=False)

class OneScale(kinds.QuantizeConfig):
    def get_weights_and_quantizers(self, layer):
        last = kinds.quantizers.LastValueQuantizer(symmetric=True, narrow_range=True, **EIGHT)
        return [(layer.kernel, last)]
    def get_activations_and_quantizers(self, layer):
        return []
    def set_quantize_weights(self, layer, weights):
        layer.kernel = weights[0]
    def set_quantize_activations(self, layer, activations):
        pass
    def get_output_quantizers(self, layer):
        moving = kinds.quantizers.MovingAverageQuantizer
        return [moving(symmetric=False, narrow_range=False, **EIGHT)]
    def get_config(self):
        return {}

def one_scale(layer):
    return OneScale() if layer.name.startswith("conv") else None
"""


def _short() -> Graph:
    net = Net("short", (8, 8, 1))
    net.conv(4, 3, name="conv")
    net.relu(name="conv_relu")
    net.conv(6, 3, name="conv2")
    net.flatten(name="flatten")
    net.dense(10, name="classifier")
    return net.graph()


@pytest.mark.train
def test_a_layer_with_a_config_of_the_users_own_is_quantized_by_it(
    digits_data: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    from zoo_builders.keras_models import files
    from zoo_builders.keras_models.render import render
    from zoo_builders.stages import convert
    from zoo_builders.stages import technique as technique_stage
    from zoo_builders.tflite.inspection import inspect
    from zoo_registry.model.errors import BuildFailed

    (tmp_path / "scaling.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    technique, graph = TECHNIQUES.get("quantize_aware"), _short()
    said = {"epochs": 1, "configs": [{"name": "conv", "function": "python:scaling:one_scale"}]}
    params = technique.infer(technique.params.model_validate(said), ())
    assert technique.check(graph, params, ()) == []
    assert len(params.model_dump()["configs"][0]["sha256"]) == 64

    files.save(render(graph), tmp_path / "model.keras")
    inputs = {"model": tmp_path, "data": digits_data}
    plain = params.model_dump(mode="json")
    stage = {"technique": "quantize_aware", "params": plain, "train": TRAIN, "seed": 7}
    technique_stage.run(job := a_job("technique", tmp_path / "aware", stage, inputs=inputs))
    file = a_job(
        "convert",
        tmp_path / "file",
        technique.converts(params, ()),
        inputs={**inputs, "model": job.out},
    )
    convert.run(file)
    weights = inspect((file.out / "model.tflite").read_bytes()).weights
    assert [(weight.dtype, weight.granularity) for weight in weights][:2] == [
        ("int8", "tensor"),
        ("int8", "channel"),
    ]

    configs = [{"name": "classifier", "function": "python:scaling:one_scale"}]
    with pytest.raises(BuildFailed, match="gave a NoneType for layer classifier"):
        technique_stage.run(
            a_job(
                "technique",
                tmp_path / "none",
                {**stage, "params": {**plain, "configs": configs}},
                inputs=inputs,
            )
        )


def test_a_config_that_cannot_be_found_is_refused_before_anything_is_trained() -> None:
    technique = TECHNIQUES.get("quantize_aware")
    said = {
        "configs": [
            {"name": "conv", "function": "python:no_such_module:any"},
            {"name": "konv", "function": "python:json:loads"},
        ]
    }
    found = technique.check(
        _short(), technique.infer(technique.params.model_validate(said), ()), ()
    )
    assert [(o.layer, o.fix.split("?")[0]) for o in found] == [
        ("{name: konv}", "did you mean 'conv'"),
        ("python:no_such_module:any", "put it into the project, or install its package"),
    ]
