"""Stage `technique`: one step of a recipe, applied to its own copy of a Keras model."""

from typing import Any

from zoo_builders import tf
from zoo_builders.keras_models import custom_layers, fake_quant_models, finite_weights
from zoo_builders.keras_models.files import load, save
from zoo_builders.keras_models.weights import copied
from zoo_builders.stage import Job
from zoo_builders.techniques import TECHNIQUES, Technique
from zoo_builders.techniques.compress import own
from zoo_builders.training.context import Context
from zoo_builders.training.fit import accuracy
from zoo_builders.training.job_context import JobContext, write_json
from zoo_builders.training.settings import Train
from zoo_registry.model.errors import BuildFailed

_DIVERGED = "weights were numbers before it: lower its learning_rate, or take it out of the recipe"


_KERAS = "tf_keras."


def run(job: Job) -> None:
    """Write `model.keras` and `report.json`.

    The report: accuracy by split, parameters, seed, threads, and what the technique kept.

    Reads params `technique`, `params`, `train`, `seed`, and `algorithm` with the file of that role
    where the technique is an algorithm of the user; inputs `model` and `data`.

    Raises:
        UnknownPlugin: no technique of that name.
        BuildFailed: the technique failed, or left its training wrappers in the model.
    """
    if "algorithm" in job.files:
        own.adopt(
            str(job.params["technique"]), str(job.params["algorithm"]), job.files["algorithm"]
        )
    technique = TECHNIQUES.get(str(job.params["technique"]))
    train = Train.model_validate(job.params["train"])
    seed = int(job.params.get("seed", train.seed))
    tf.deterministic(seed)
    context = JobContext(job, train, seed)
    changed = applied(
        technique, load(job.inputs["model"] / "model.keras"), job.params["params"], context
    )
    save(changed, job.out / "model.keras")
    custom_layers.carry(job.inputs["model"], job.out)
    report = {
        "accuracy": accuracy(changed, context),
        "parameters": int(changed.count_params()),
        "seed": seed,
        "threads": tf.THREADS,
    }
    write_json(job.out / "report.json", {**context.kept, **report})


def applied(technique: Technique, model: Any, params: Any, context: Context) -> Any:
    """Give what a technique makes of its own copy of `model`, which stays as it is.

    TFMOT's wrappers share layers with what they wrap.

    Raises:
        BuildFailed: it is done by the converter, it failed, left its training wrappers in the
            model, or a weight that is no number.
    """
    changed = technique.apply(copied(model), technique.params.model_validate(params), context)
    refuse_wrappers(changed, technique.name)
    finite_weights.refuse(changed, f"after {technique.name}", _DIVERGED)
    return changed


def refuse_wrappers(model: Any, technique: str) -> None:
    """Insist that no wrapper of TFMOT's is left on a model.

    Those that carry fake quantization for the converter are allowed, and Keras's own
    (`Bidirectional`, `TimeDistributed`), which are layers like others.

    Raises:
        BuildFailed: a wrapper is left; its layer is named.
    """
    left = [
        layer.name
        for layer in model.layers
        if isinstance(layer, tf.keras.layers.Wrapper)
        and not type(layer).__module__.startswith(_KERAS)
        and not fake_quant_models.is_wrapper(layer)
    ]
    if left:
        raise BuildFailed(
            f"{technique} left its wrappers on {', '.join(left)}; expected plain Keras layers"
        )
