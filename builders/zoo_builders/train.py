"""Stage `base`: a network and data become a trained Keras model, from a seed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoo_builders import custom_layers, front_end, networks, sound_layers, tf, wrapped
from zoo_builders.borrow import borrow
from zoo_builders.context import JobContext, write_json
from zoo_builders.data_stage import labelled, load_about
from zoo_builders.fit import compile_classifier, fit
from zoo_builders.front_end import FrontEnd
from zoo_builders.graph import Graph
from zoo_builders.keras_weights import render_with, weights_of
from zoo_builders.preprocess import ValueMap
from zoo_builders.render import graph_of, render
from zoo_builders.specs import Train
from zoo_builders.stage import Job
from zoo_builders.tasks import refuse_other_classes
from zoo_builders.weights_sources import epochs
from zoo_registry.model.errors import BuildFailed, WrongUse

_FILE = "file:"
_HINT = "return Net(...).graph()"


def run(job: Job) -> None:
    """Write `model.keras` and `report.json` ({history, accuracy by split, seed, threads, parameters, weights if borrowed}).

    Reads params `network`, `args`, `weights`, `train`, `task`; the input `data`; the file roles `network` (a finished Keras file),
    `network_source` (a Python file, with network `file:FUNCTION`) and `weights`. A model whose weights come from elsewhere is trained for
    `fine_tune` epochs only.
    """
    train = Train.model_validate(job.params["train"])
    tf.deterministic(train.seed)
    context = JobContext(job, train, train.seed)
    model, borrowed = _ready(job)
    count = epochs(job.params.get("weights"), train.epochs)
    history = fit(model, context, train.model_copy(update={"epochs": count}), note="train") if count else []
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
    """Make the model with the weights it starts from, behind its front end where features are made inside; and what was borrowed."""
    about = load_about(job.inputs["data"])
    front = front_end.read(about["front_end"]) if "front_end" in about else None
    model = build(job)
    refuse_other_shapes(model, about["shape"] if front is None else front[0].shape)
    refuse_other_classes(str(job.params["task"]), model.outputs[0].shape[1:], about["classes"])
    borrowed = borrow(model, job)
    return model if front is None else hearing(model, *front), borrowed


def hearing(model: Any, front: FrontEnd, values: ValueMap) -> Any:
    """Give a model that takes recordings: the front end as fixed layers, then `model` with its weights.

    Raises:
        Unsupported: `model` has layers that we have no description for, and so cannot be put behind others.
    """
    graph = graph_of(model)
    return render_with(front_end.attached(graph, front), {**front_end.weights(front, values), **weights_of(model, graph)})


def build(job: Job) -> Any:
    """Make the Keras model that `network` names: a registered network, a Python function, or the Keras file of role `network`.

    Raises:
        UnknownPlugin: no network of that name.
        WrongUse: the function cannot be imported or called, or gives neither a Graph nor a Keras model.
        BuildFailed: the file cannot be loaded.
    """
    if "network" in job.files:
        return load(job.files["network"])
    name = str(job.params["network"])
    made = networks.call(_network(name, job.files.get("network_source")), dict(job.params.get("args", {})))
    if isinstance(made, Graph):
        return render(made)
    if not isinstance(made, tf.keras.Model):
        raise WrongUse(f"{name} gave a {type(made).__name__}; expected a zoo_builders.graph.Graph or a tf_keras model", hint=_HINT)
    return made


def _python(job: Job) -> networks.Network | None:
    """Say which Python code made the model; None of a finished Keras file."""
    return None if "network" in job.files else _network(str(job.params["network"]), job.files.get("network_source"))


def _network(name: str, source: Path | None) -> networks.Network:
    """Find Python code again: a file's function where the plan spelled it so; else what is importable or shipped by that name."""
    if source is not None and name.startswith(_FILE):
        return networks.Network("source", source, name.removeprefix(_FILE))
    return networks.locate(name, Path(), None, lambda _: False)


def refuse_other_shapes(model: Any, shape: Sequence[int]) -> None:
    """Insist that the network takes what the data stage gives.

    Raises:
        BuildFailed: with both shapes.
    """
    taken = tuple(model.input_shape[1:])
    if len(taken) != len(shape) or any(size not in (None, given) for size, given in zip(taken, shape, strict=True)):
        raise BuildFailed(
            f"the network takes inputs of shape {list(taken)}, the data give {list(shape)}",
            hint="change base.args (resolution, frames, …) or data.preprocess in the manifest",
        )


def load(path: Path) -> Any:
    """Load a whole model from `.keras`, `.h5` or a SavedModel folder, without its training configuration.

    Raises:
        BuildFailed: it cannot be read as one, or needs code we do not run (Lambda layers).
    """
    sound_layers.classes()
    try:
        with wrapped.scope(path), custom_layers.scope(path):
            return tf.keras.models.load_model(path, compile=False, safe_mode=True)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BuildFailed(
            f"{path.name} cannot be loaded as a Keras model: {error}", hint="save it with tf_keras: model.save('NAME.keras')"
        ) from error


def load_weights(model: Any, path: Path) -> None:
    """Set `model`'s weights from a whole model or a weights file whose layers match it in order and shape.

    Raises:
        BuildFailed: they do not match.
    """
    try:
        if path.name.endswith(".weights.h5"):
            model.load_weights(path)
        else:
            model.set_weights(load(path).get_weights())
    except (OSError, ValueError) as error:
        raise BuildFailed(
            f"the weights in {path.name} do not fit the network: {error}", hint="zoo plan MANIFEST   # names the network that is meant"
        ) from error


def save(model: Any, path: Path) -> None:
    """Write a model without optimizer state: a `.keras` archive, of one that carries fake quantization HDF5."""
    if wrapped.is_wrapped(model):
        wrapped.save(model, path)
        return
    clean = tf.keras.models.clone_model(model)
    clean.set_weights(model.get_weights())
    clean.save(path)


def accuracy(model: Any, context: JobContext) -> dict[str, float]:
    """Top-1 of the Keras model on `train` and `validation`, nothing without labels; published numbers come from the file instead."""
    if not labelled(context.job.inputs["data"]):
        return {}
    compile_classifier(model, Train())
    splits = ("train", "validation")
    return {split: float(model.evaluate(context.batches(split, batch_size=1024, shuffle=False), verbose=0)[1]) for split in splits}
