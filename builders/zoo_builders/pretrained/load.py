"""Weights that were trained elsewhere, put into a Keras model.

Brought by their source, read, and held against the network.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo_builders.keras_models.render import graph_of
from zoo_builders.keras_models.weights import put
from zoo_builders.networks.graph import Graph
from zoo_builders.pretrained.sources import TRAIN, WEIGHTS, WeightsSource
from zoo_builders.pretrained.wanted import Wanted
from zoo_builders.stage import Job
from zoo_registry.model.errors import UnfitFile
from zoo_registry.model.files import digest_file


def borrow(model: Any, job: Job) -> dict[str, Any]:
    """Give `model` the weights that the job's `weights` name, if any; report what was used.

    Returns:
        {source, sha256, layers, fresh}; nothing for a model that is trained from scratch, or came
        whole.

    Raises:
        UnfitFile: the weights do not fit the network.
    """
    asked = job.params.get("weights") or {"source": TRAIN}
    given = job.files.get("weights")
    if asked["source"] == TRAIN or ("network" in job.files and given is None):
        return {}
    source = WEIGHTS.get(str(asked["source"]))
    wanted = _wanted(source, asked, job, graph_of(model) if source.read else None)
    path = given or _bring(source, wanted, job)
    found = source.read(wanted, path) if source.read else None
    if found is None:
        return {
            "source": asked["source"],
            "sha256": str(digest_file(path)),
            "fresh": [],
            "layers": _whole(model, path),
        }
    if wanted.graph is not None:
        put(model, wanted.graph, found.arrays, found.fresh)
    return {
        "source": asked["source"],
        "sha256": found.sha256,
        "fresh": list(found.fresh),
        "layers": len(found.arrays),
    }


def _wanted(
    source: WeightsSource, asked: Mapping[str, Any], job: Job, graph: Graph | None
) -> Wanted:
    params = source.params.model_validate(asked.get("params", {}))
    return Wanted(
        params,
        str(job.params["network"]),
        dict(job.params.get("args", {})),
        graph,
        int(asked.get("fine_tune", 0)),
    )


def _bring(source: WeightsSource, wanted: Wanted, job: Job) -> Path:
    if source.bring is None:
        raise UnfitFile(
            "the weights file is not there",
            hint="zoo validate MANIFEST   # names the file that is meant",
        )
    return source.bring(wanted, job.progress)


def _whole(model: Any, path: Path) -> int:
    from zoo_builders.keras_models.files import load_weights

    load_weights(model, path)
    return sum(bool(layer.weights) for layer in model.layers)
