"""Stage `base`: a network and data become a trained Keras model, from a seed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoo_builders import tf
from zoo_builders.data import front_end
from zoo_builders.data.front_end import FrontEnd
from zoo_builders.data.preprocess import ValueMap
from zoo_builders.data.stored import load_about, load_raw, load_value_map
from zoo_builders.keras_models import custom_layers, finite_weights
from zoo_builders.keras_models.files import load, save
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
    """Write `model.keras` and `report.json`.

    The report: history, accuracy by split, seed, threads, parameters, weights if borrowed.

    Reads params `network`, `args`, `weights`, `train`, `task`; the input `data`; the file roles
    `network` (a finished Keras file), `network_source` (a Python file, with network
    `file:FUNCTION`) and `weights`. A model whose weights come from elsewhere is trained for
    `fine_tune` epochs only.
    """
    train = Train.model_validate(job.params["train"])
    tf.deterministic(train.seed)
    context = JobContext(job, train, train.seed)
    model, borrowed = _ready(job)
    _refuse_no_numbers(model, job)
    count = epochs(job.params.get("weights"), train.epochs)
    history = (
        fit(model, context, train.model_copy(update={"epochs": count}), note="train")
        if count
        else []
    )
    finite_weights.refuse(model, "after training", _DIVERGED)
    save(model, job.out / "model.keras")
    custom_layers.keep(model, _python(job), job.out)
    report = {
        "accuracy": accuracy(model, context),
        "history": history,
        "parameters": int(model.count_params()),
        "seed": train.seed,
        "threads": tf.THREADS,
    }
    write_json(job.out / "report.json", report | ({"weights": borrowed} if borrowed else {}))


def _ready(job: Job) -> tuple[Any, dict[str, Any]]:
    """Make the model with the weights it starts from.

    Behind its front end where features are made inside; and what was borrowed.
    """
    about = load_about(job.inputs["data"])
    front = front_end.read(about["front_end"]) if "front_end" in about else None
    model = build(job)
    refuse_other_shapes(model, about["shape"] if front is None else front[0].shape)
    refuse_other_classes(str(job.params["task"]), model.outputs[0].shape[1:], about["classes"])
    borrowed = borrow(model, job)
    return model if front is None else hearing(model, *front), borrowed


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
    graph = graph_of(model)
    return render_with(
        front_end.attached(graph, front),
        {**front_end.weights(front, values), **weights_of(model, graph)},
    )


def build(job: Job) -> Any:
    """Make the Keras model that `network` names.

    A registered network, a Python function, or the Keras file of role `network`.

    Raises:
        UnknownPlugin: no network of that name.
        WrongUse: the function cannot be imported or called, or gives neither a Graph nor a Keras
            model.
        BuildFailed: the file cannot be loaded.
    """
    if "network" in job.files:
        return load(job.files["network"])
    name = str(job.params["network"])
    made = lookup.call(
        _network(name, job.files.get("network_source")), dict(job.params.get("args", {}))
    )
    if isinstance(made, Graph):
        return render(made)
    if not isinstance(made, tf.keras.Model):
        raise WrongUse(
            f"{name} gave a {type(made).__name__}; expected a zoo_builders.networks.graph.Graph or"
            " a tf_keras model",
            hint=_HINT,
        )
    return made


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
