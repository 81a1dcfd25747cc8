"""Every layer that a technique leaves alone is told why and what to do.

All techniques on all networks that ship.
"""

from collections import Counter
from typing import Any

import pytest

from zoo_builders.networks import sparse_path
from zoo_builders.networks.graph import Graph
from zoo_builders.networks.net import Net
from zoo_builders.networks.shipped import NETWORKS
from zoo_builders.networks.verdicts import Verdict
from zoo_builders.preflight import latency_forecast, layer_report, view
from zoo_builders.techniques import TECHNIQUES, Step

ALSO: dict[str, dict[str, Any]] = {
    "prune": {"policy": "xnnpack"},
    "cluster": {"layers": [{"position": "first"}], "clusters": 1024},
    "quantize": {"dtype": "int8", "keep_float": ["re:.*"]},
    "quantize_aware": {"layers": [{"position": "first"}]},
    "svd": {"rank": 30},
}
"""Parameters under which a technique leaves more alone than at its defaults."""


def _verdicts(graph: Graph, technique: str) -> list[tuple[str, Verdict]]:
    known = TECHNIQUES.get(technique)
    asked = [known.params(), known.params.model_validate(ALSO.get(technique, {}))]
    return [said for params in asked for said in known.layers(graph, params, ()).items()]


@pytest.mark.parametrize("network", NETWORKS.names())
def test_every_no_has_a_reason_and_a_fix(network: str) -> None:
    graph = NETWORKS.get(network)()
    said = [(name, *one) for name in TECHNIQUES.names() for one in _verdicts(graph, name)]
    said += [("XNNPACK-sparse", *one) for one in sparse_path.verdicts(graph).items()]
    refused = [one for one in said if not one[2].applies]
    assert refused
    assert [one for one in refused if not one[2].reason or not one[2].fix] == []


def test_kernels_left_alone_are_weighed() -> None:
    net = Net("weighed", (8, 8, 3))
    net.conv(10, 1, name="pointwise")
    net.depthwise(3, name="depthwise")
    net.conv(10, 1, name="again")
    [fix] = [
        verdict.fix
        for name, verdict in _verdicts(net.graph(), "cluster")[:3]
        if name == "depthwise"
    ]
    assert "40.9% of this network's 220 weights" in fix


def test_a_rank_that_saves_nothing_is_answered_with_one_that_does() -> None:
    net = Net("ranked", (8, 8, 3))
    net.conv(16, 1, name="small")
    net.conv(16, 1, name="wide")
    said = dict(
        TECHNIQUES.get("svd").layers(
            net.graph(), TECHNIQUES.get("svd").params.model_validate({"rank": 30}), ()
        )
    )
    assert said["wide"].fix == "lower rank to 7, or add {name: wide} to skip"


def test_a_whole_mobilenet_fits_into_a_few_notes() -> None:
    report = layer_report.offer(NETWORKS.get("mobilenet_v2")())
    shown = {node.name for node in report.layers}
    said = [
        (column.name, {column.verdicts[name] for name in shown & column.verdicts.keys()})
        for column in report.columns
    ]
    spoken = Counter(name for name, verdicts in said for verdict in verdicts if verdict.reason)
    assert max(spoken.values()) <= 4


def test_layers_with_nothing_to_do_about_them_get_no_row_of_their_own() -> None:
    graph = NETWORKS.get("cifar10_cnn")()
    assert not [
        node.name for node in layer_report.offer(graph).layers if node.op == "BatchNormalization"
    ]


def test_json_tells_the_fix() -> None:
    report = layer_report.recipe(
        NETWORKS.get("cifar10_cnn")(), "p", [Step("prune", TECHNIQUES.get("prune").params())]
    )
    rows = {
        row["layer"]: row["verdicts"]["prune"]
        for row in view.plain(report, latency_forecast.Here(None, "a machine"))["layers"]
    }
    assert rows["block1_depthwise"]["fix"].startswith(
        "nothing to do: all DepthwiseConv2D kernels together"
    )
