"""Stage `base`: a network and data become a trained Keras model, from a seed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zoo_builders import tf
from zoo_builders.arrays import Array
from zoo_builders.data import front_end
from zoo_builders.data.front_end import FrontEnd
from zoo_builders.data.preprocess import ValueMap
from zoo_builders.data.stored import load_about, load_raw, load_value_map
from zoo_builders.keras_models import custom_layers, finished_models, finite_weights, functions
from zoo_builders.keras_models.files import save
from zoo_builders.keras_models.finished_models import Loaded
from zoo_builders.keras_models.functions import Function
from zoo_builders.keras_models.render import graph_of, render
from zoo_builders.keras_models.weights import render_with, weights_of
from zoo_builders.networks import lookup
from zoo_builders.networks.graph import Graph
from zoo_builders.pretrained.load import borrow
from zoo_builders.pretrained.sources import epochs
from zoo_builders.stage import Job
from zoo_builders.tasks import refuse_other_classes
from zoo_builders.training.fit import accuracy, fit
from zoo_builders.training.job_context import JobContext, write_json
from zoo_builders.training.settings import Train
from zoo_registry.model.errors import BuildFailed, WrongUse

_FILE = "file:"
_PROBES = 4
_DIVERGED = "lower train.learning_rate in the manifest"
_HINT = "return Net(...).graph()"


def run(job: Job) -> None:
    """Write `model.keras` and `report.json`; of a model that is a function alone, `function.zip`.

    The report: history, accuracy by split, seed, threads, parameters, weights if borrowed.

    Reads params `network`, `args`, `weights`, `train`, `task`; the input `data`; the file roles
    `network` (a finished Keras file), `network_source` (a Python file, with network
    `file:FUNCTION`) and `weights`. A model whose weights come from elsewhere is trained for
    `fine_tune` epochs only.
    """
    train = Train.model_validate(job.params["train"])
    tf.deterministic(train.seed)
    context = JobContext(job, train, train.seed)
    model, report = _ready(job)
    _refuse_no_numbers(model, job)
    count = epochs(job.params.get("weights"), train.epochs)
    history = (
        fit(model, context, train.model_copy(update={"epochs": count}), note="train")
        if count
        else []
    )
    finite_weights.refuse(model, "after training", _DIVERGED)
    _keep(model, job)
    report |= {
        "accuracy": accuracy(model, context),
        "history": history,
        "parameters": int(model.count_params()),
        "seed": train.seed,
        "threads": tf.THREADS,
    }
    write_json(job.out / "report.json", report)


def _keep(model: Any, job: Job) -> None:
    if isinstance(model, Function):
        model.save(job.out / functions.FILE)
        return
    save(model, job.out / "model.keras")
    custom_layers.keep(model, _python(job), job.out)


def _ready(job: Job) -> tuple[Any, dict[str, Any]]:
    """Make the model with the weights it starts from.

    Behind its front end where features are made inside; and what is to be reported of it.
    """
    about = load_about(job.inputs["data"])
    front = front_end.read(about["front_end"]) if "front_end" in about else None
    loaded = build(job)
    model = loaded.model
    refuse_other_shapes(model, about["shape"] if front is None else front[0].shape)
    refuse_other_classes(str(job.params["task"]), tuple(model.output_shape[1:]), about["classes"])
    off = loaded.hold(_some(job, model, heard=front is not None))
    report: dict[str, Any] = {} if off is None else {"versus_original": off}
    if not isinstance(model, Function):
        borrowed = borrow(model, job)
        report |= {"weights": borrowed} if borrowed else {}
    return model if front is None else hearing(model, *front), report


def _some(job: Job, model: Any, *, heard: bool) -> Array:
    """Give some inputs: examples of the data, or noise where features are made inside the file."""
    if heard:
        shape = (finished_models.EXAMPLES, *model.input_shape[1:])
        return np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    folder = job.inputs["data"]
    split = next(iter(load_about(folder)["splits"]))
    inputs, _ = load_raw(folder, split)
    some: Array = load_value_map(folder)(np.asarray(inputs[: finished_models.EXAMPLES]))
    return some


def _refuse_no_numbers(model: Any, job: Job) -> None:
    """Look at weights, then at outputs for a few examples, before anything is trained."""
    file = job.files.get("weights") or job.files.get("network")
    asked = (job.params.get("weights") or {}).get("source", "train")
    where = file.name if file else f"the base (weights: {asked})"
    finite_weights.refuse(model, where, f"mend the weights of {where}: every one must be a number")
    folder = job.inputs["data"]
    split = next(iter(load_about(folder)["splits"]))
    images, _ = load_raw(folder, split)
    finite_weights.refuse_outputs(model, load_value_map(folder)(images[:_PROBES]))


def hearing(model: Any, front: FrontEnd, values: ValueMap) -> Any:
    """Give a model that takes recordings.

    The front end as fixed layers, then `model` with its weights.

    Raises:
        Unsupported: `model` has layers that we have no description for, and so cannot be put behind
            others.
    """
    if isinstance(model, Function):
        raise BuildFailed(
            f"{model.name} has no layers that are known: no front end can be put before it",
            hint="drop inside: true from data.preprocess",
        )
    graph = graph_of(model)
    return render_with(
        front_end.attached(graph, front),
        {**front_end.weights(front, values), **weights_of(model, graph)},
    )


def build(job: Job) -> Loaded:
    """Make the model that `network` names.

    A registered network, a Python function, or the finished model of role `network`.

    Raises:
        UnknownPlugin: no network of that name.
        WrongUse: the function cannot be imported or called, or gives neither a Graph nor a Keras
            model.
        BuildFailed: the file cannot be loaded.
    """
    if "network" in job.files:
        return finished_models.load_finished(job.files["network"])
    name = str(job.params["network"])
    made = lookup.call(
        _network(name, job.files.get("network_source")), dict(job.params.get("args", {}))
    )
    if isinstance(made, Graph):
        return Loaded(render(made))
    if isinstance(made, tf.keras.Model):
        return Loaded(made)
    if isinstance(made, tf.keras3.Model):
        return finished_models.of_keras3_model(made)
    raise WrongUse(
        f"{name} gave a {type(made).__name__}; expected a zoo_builders.networks.graph.Graph or"
        " a Keras model",
        hint=_HINT,
    )


def _python(job: Job) -> lookup.Network | None:
    """Say which Python code made the model; None of a finished Keras file."""
    return (
        None
        if "network" in job.files
        else _network(str(job.params["network"]), job.files.get("network_source"))
    )


def _network(name: str, source: Path | None) -> lookup.Network:
    """Find Python code again: a file's function where the plan spelled it so.

    Else what is importable or shipped by that name.
    """
    if source is not None and name.startswith(_FILE):
        return lookup.Network("source", source, name.removeprefix(_FILE))
    return lookup.locate(name, Path(), None, lambda _: False)


def refuse_other_shapes(model: Any, shape: Sequence[int]) -> None:
    """Insist that the network takes what the data stage gives.

    Raises:
        BuildFailed: with both shapes.
    """
    taken = tuple(model.input_shape[1:])
    if len(taken) != len(shape) or any(
        size not in (None, given) for size, given in zip(taken, shape, strict=True)
    ):
        raise BuildFailed(
            f"the network takes inputs of shape {list(taken)}, the data give {list(shape)}",
            hint="change base.args (resolution, frames, …) or data.preprocess in the manifest",
        )
