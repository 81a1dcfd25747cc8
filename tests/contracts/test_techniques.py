"""What every technique promises; a new one is tested here by being registered."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from plugins.digits import TRAIN, a_job
from zoo_builders.networks.graph import Graph
from zoo_builders.networks.shipped import NETWORKS
from zoo_builders.spec import Spec
from zoo_builders.techniques import TECHNIQUES, Step, Technique

CONVERTED = [name for name in TECHNIQUES.names() if TECHNIQUES.get(name).work is None]
APPLIED = [name for name in TECHNIQUES.names() if TECHNIQUES.get(name).work is not None]


@pytest.fixture(params=TECHNIQUES.names())
def technique(request: pytest.FixtureRequest) -> Technique:
    return TECHNIQUES.get(request.param)


@pytest.fixture
def graph() -> Graph:
    return NETWORKS.get("digits_cnn")(width=16)


def test_the_defaults_are_valid_and_survive_json(technique: Technique) -> None:
    params = technique.params()
    assert technique.params.model_validate(json.loads(params.model_dump_json())) == params


def test_every_parameter_says_what_it_does(technique: Technique) -> None:
    for name, field in technique.params.model_fields.items():
        assert field.description, f"{technique.name}.{name} has no description"


def test_unknown_parameters_are_refused(technique: Technique) -> None:
    with pytest.raises(ValueError, match="no_such_thing"):
        technique.params.model_validate({"no_such_thing": 1})


def test_says_what_it_costs_and_when_it_does_not_help(technique: Technique) -> None:
    assert len(technique.doc.split()) > 30


def test_checks_and_promises_without_changing_anything(technique: Technique, graph: Graph) -> None:
    params = technique.params()
    step = Step(technique.name, params)
    assert list(technique.check(graph, params, [])) == []
    assert technique.promises(graph, params, [step]) == technique.promises(graph, params, [step])
    assert all(
        promise.technique == technique.name for promise in technique.promises(graph, params, [step])
    )
    assert technique.promises(graph, params, [step]), "a technique without a promise proves nothing"


@pytest.mark.parametrize("network", NETWORKS.names())
def test_every_layer_with_weights_gets_a_verdict(technique: Technique, network: str) -> None:
    judged = NETWORKS.get(network)()
    said = technique.layers(judged, technique.params(), [])
    silent = [
        node.name
        for node in judged.nodes
        if node.weights and node.op != "BatchNormalization" and node.name not in said
    ]
    assert not silent, f"{technique.name}: Technique.layers says nothing of these"
    unknown = set(said) - {node.name for node in judged.nodes}
    assert not unknown
    for name, verdict in said.items():
        assert verdict.applies or verdict.reason, (
            f"{technique.name}: {name} is left as it is without a reason"
        )


@pytest.mark.parametrize("earlier", TECHNIQUES.names())
def test_every_objection_names_a_place_a_reason_and_a_way_out(
    technique: Technique, earlier: str, graph: Graph
) -> None:
    empty = Graph("nothing", graph.nodes[:1])
    for judged in (graph, empty):
        for objection in technique.check(
            judged, technique.params(), [Step(earlier, TECHNIQUES.get(earlier).params())]
        ):
            assert objection.layer
            assert objection.reason
            assert objection.fix


def test_judging_imports_no_tensorflow() -> None:
    program = (
        "import sys; import zoo_builders.planning.planner, zoo_builders.manifest.reader\nfrom"
        " zoo_builders.networks.shipped import NETWORKS; from zoo_builders.techniques import"
        " TECHNIQUES, Step\nfor t in map(TECHNIQUES.get, TECHNIQUES.names()):\n    for n in"
        " map(NETWORKS.get, NETWORKS.names()):\n        t.check(n(), t.params(), []);"
        " t.promises(n(), t.params(), [Step(t.name, t.params())])\nprint(sorted({'tensorflow',"
        " 'tf_keras', 'tensorflow_model_optimization', 'ai_edge_litert'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def _build(technique: Technique, params: Spec, base: Path, data: Path, folder: Path) -> Path:
    """Run a technique as the pipeline does and convert the result; give the folder of the file."""
    from zoo_builders.stages import convert
    from zoo_builders.stages import technique as technique_stage

    model = base
    if technique.work is not None:
        stage = {
            "technique": technique.name,
            "params": params.model_dump(mode="json"),
            "train": TRAIN,
            "seed": 7,
        }
        job = a_job("technique", folder / "model", stage, inputs={"model": base, "data": data})
        technique_stage.run(job)
        model = job.out
    asked = {"quantize": None, **technique.converts(params, [Step(technique.name, params)])}
    job = a_job("convert", folder / "file", asked, inputs={"model": model, "data": data})
    convert.run(job)
    return job.out


def _short(technique: Technique) -> Spec:
    wanted: dict[str, Any] = {"epochs": 2}
    return technique.params.model_validate(
        {key: value for key, value in wanted.items() if key in technique.params.model_fields}
    )


@pytest.fixture(scope="module")
def built(
    digits_base: Path, digits_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Every technique, alone, applied to the tiny model with short defaults."""
    found = {name: TECHNIQUES.get(name) for name in TECHNIQUES.names()}
    return {
        name: _build(each, _short(each), digits_base, digits_data, tmp_path_factory.mktemp(name))
        for name, each in found.items()
    }


@pytest.mark.train
def test_the_finished_file_holds_what_was_promised(
    technique: Technique, built: dict[str, Path], graph: Graph, tmp_path: Path
) -> None:
    from zoo_builders.stages import inspect as look

    params = _short(technique)
    promises = technique.promises(graph, params, [Step(technique.name, params)])
    job = a_job(
        "inspect",
        tmp_path,
        {"promises": [promise.model_dump(mode="json") for promise in promises]},
        inputs={"file": built[technique.name]},
    )
    look.run(job)  # raises ProofFailed where a promise is broken
    assert (tmp_path / "proofs.json").is_file()


@pytest.mark.train
@pytest.mark.parametrize("name", APPLIED)
def test_gives_a_plain_model_and_a_report(name: str, built: dict[str, Path]) -> None:
    from zoo_builders.keras_models.files import load
    from zoo_builders.stages import technique as technique_stage

    folder = built[name].parent / "model"
    technique_stage.refuse_wrappers(load(folder / "model.keras"), name)
    report = json.loads((folder / "report.json").read_text())
    assert report["accuracy"]["validation"] > 0.5
    assert len(report["history"]["epochs"]) == 2


def test_dynamic_says_where_it_quantizes_nothing_and_promises_just_that() -> None:
    technique = TECHNIQUES.get("quantize")
    dynamic = technique.params.model_validate({"dtype": "dynamic"})
    small, large = NETWORKS.get("cifar10_cnn")(), NETWORKS.get("digits_cnn")()
    assert [
        p.value for p in technique.promises(small, dynamic, ()) if p.kind == "weights_dtype"
    ] == ["float32"]
    assert [
        p.value for p in technique.promises(large, dynamic, ()) if p.kind == "weights_dtype"
    ] == ["int8"]
    assert any("quantizes nothing" in remark for remark in technique.remarks(small, dynamic, ()))
    assert not technique.remarks(large, dynamic, ())


def test_a_network_nobody_can_read_yet_is_not_exempt_from_proof() -> None:
    unknown = Graph("unknown", ())
    for name in TECHNIQUES.names():
        technique = TECHNIQUES.get(name)
        assert technique.promises(unknown, technique.params(), ())
