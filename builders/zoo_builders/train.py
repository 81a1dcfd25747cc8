"""Stage `base`: a network and data become a trained Keras model, from a seed."""

import importlib
from pathlib import Path
from typing import Any

from zoo_builders import tf
from zoo_builders.context import JobContext, write_json
from zoo_builders.fit import compile_classifier, fit
from zoo_builders.graph import Graph
from zoo_builders.models import NETWORKS
from zoo_builders.render import render
from zoo_builders.specs import Train
from zoo_builders.stage import Job
from zoo_registry.model.errors import BuildFailed, WrongUse


def run(job: Job) -> None:
    """Write `model.keras` and `report.json` ({history, accuracy by split, seed, threads, parameters}).

    Reads params `network`, `args`, `weights`, `train`; the file role `network` where the network is a Keras file, and `weights` where
    `weights.source` is `file`; the input `data`.
    """
    train = Train.model_validate(job.params["train"])
    tf.deterministic(train.seed)
    context = JobContext(job, train, train.seed)
    model = build(job)
    source = (job.params.get("weights") or {"source": "train"})["source"]
    if source == "file":
        load_weights(model, job.files["weights"])
    history = fit(model, context, train, note="train") if source == "train" else []
    save(model, job.out / "model.keras")
    report = {
        "accuracy": accuracy(model, context),
        "history": history,
        "parameters": int(model.count_params()),
        "seed": train.seed,
        "threads": tf.THREADS,
    }
    write_json(job.out / "report.json", report)


def build(job: Job) -> Any:
    """Make the Keras model that `network` names: a registered network, `python:module:function`, or the file of that role.

    Raises:
        UnknownPlugin: no network of that name.
        WrongUse: the function cannot be imported, or gives neither a Graph nor a Keras model.
        BuildFailed: the file cannot be loaded.
    """
    name, args = str(job.params["network"]), dict(job.params.get("args", {}))
    if "network" in job.files:
        return load(job.files["network"])
    made = _function(name)(**args) if name.startswith("python:") else NETWORKS.get(name)(**args)
    if isinstance(made, Graph):
        return render(made)
    if not isinstance(made, tf.keras.Model):
        raise WrongUse(
            f"{name} gave a {type(made).__name__}; expected a zoo_builders.graph.Graph or a tf_keras model", hint="return Net(...).graph()"
        )
    return made


def _function(name: str) -> Any:
    module, _, attribute = name.removeprefix("python:").partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise WrongUse(f"{name}: {error}", hint="write python:package.module:function, importable where zoo runs") from error


def load(path: Path) -> Any:
    """Load a whole model from `.keras`, `.h5` or a SavedModel folder, without its training configuration.

    Raises:
        BuildFailed: it cannot be read as one, or needs code we do not run (Lambda layers).
    """
    try:
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
            f"the weights in {path.name} do not fit the network: {error}", hint="compare the layers with zoo preflight"
        ) from error


def save(model: Any, path: Path) -> None:
    """Write a `.keras` archive without optimizer state."""
    clean = tf.keras.models.clone_model(model)
    clean.set_weights(model.get_weights())
    clean.save(path)


def accuracy(model: Any, context: JobContext) -> dict[str, float]:
    """Top-1 of the Keras model on `train` and `validation`; published numbers come from the finished file instead."""
    compile_classifier(model, Train())
    splits = ("train", "validation")
    return {split: float(model.evaluate(context.batches(split, batch_size=1024, shuffle=False), verbose=0)[1]) for split in splits}
