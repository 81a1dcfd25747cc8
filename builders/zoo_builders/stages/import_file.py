"""Stage `import`: a finished .tflite file takes the place of a Keras model.

Once it is seen that it can be run, fed with the data's examples, and judged. Its bytes stay as they
are, unless another signature than the first is chosen, or a float file leaves its input's shape
open.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from zoo_builders.arrays import Array
from zoo_builders.data import stored
from zoo_builders.stage import Job
from zoo_builders.tflite import attachments, base_file, first_subgraph, fixed_shapes
from zoo_builders.tflite.base_file import Problem
from zoo_builders.tflite.fed_examples import demand, shaped
from zoo_builders.tflite.flatbuffer import read
from zoo_builders.tflite.litert import Session
from zoo_builders.tflite.tflite_file import TfliteFile
from zoo_builders.training.job_context import write_json
from zoo_registry.model.errors import BuildFailed, Unsupported
from zoo_registry.model.files import write_bytes

FILE, REPORT = "model.tflite", "import.json"
EXAMPLES = 64
"""On how many of the data's examples a file that was changed is held against the one that came."""

CLOSE = 1e-5
"""How far outputs may be off then, as a share of their range: orders of addition, nothing else."""


def run(job: Job) -> None:
    """Write `model.tflite`, and `import.json`: what was changed, and how closely it was compared.

    Reads the file of role `tflite`, the param `signature`, and the examples of input `data`.

    Raises:
        BadFile: it is no .tflite file, cut off, or damaged.
        Unsupported: the file cannot be run, fed or judged; or outputs changed with the batch.
        BuildFailed: the examples are not what the file takes.
        MeasureFailed: the runtime does not take it; the message is its own.
    """
    file = read(job.files["tflite"].read_bytes())
    choice = base_file.choose(file, str(job.params.get("signature", "")), None, scored=False)
    wrong = [choice] if isinstance(choice, Problem) else base_file.problems(file, choice)
    if isinstance(choice, Problem) or wrong:
        raise Unsupported(wrong[0].message, hint=wrong[0].hint)
    _demand_same_order(job, file.data)
    first = read(attachments.carried_through(file, first_subgraph.put(file, choice.subgraph)))
    data, report = _fixed(first, _examples(job))
    write_bytes(job.out / FILE, data)
    write_json(job.out / REPORT, {"changed": data != file.data, **report})
    job.progress(1, 1, "import")


def _demand_same_order(job: Job, data: bytes) -> None:
    """See that a list of labels in the file does not contradict the order of the data's classes."""
    folder = job.inputs.get("data")
    named = attachments.labels(data)
    classes = () if folder is None else tuple(stored.load_about(folder).get("classes", ()))
    at = next((i for i, (a, b) in enumerate(zip(named, classes, strict=False)) if a != b), None)
    if at is not None and len(named) == len(classes) and set(named) == set(classes):
        raise BuildFailed(
            f"the labels in the file and the data's classes are the same in another order: number"
            f" {at} is {named[at]!r} in the file, {classes[at]!r} in the data",
            hint="data.args.classes: a text with the file's order (zoo import writes one)",
        )


def _examples(job: Job) -> Array | None:
    """Give some of the data's examples; None where a stage of an older plan has no data."""
    folder = job.inputs.get("data")
    if folder is None:
        return None
    inputs, _ = stored.load_raw(folder, "calibration")
    if not len(inputs):
        raise BuildFailed(
            "the split 'calibration' is empty: the file cannot be tried",
            hint="zoo plan shows how the splits are cut",
        )
    chosen = np.unique(np.linspace(0, len(inputs) - 1, EXAMPLES).astype(int))
    mapped: Array = stored.load_value_map(folder)(np.asarray(inputs[chosen]))
    return mapped


def _fixed(file: TfliteFile, examples: Array | None) -> tuple[bytes, dict[str, Any]]:
    """Give the file's bytes, with the shape of its input fixed where that is open.

    A file that is quantized stays as it came as long as only its batch is open: the runtime takes
    it as one.
    """
    wanted = file.main.tensors[file.main.inputs[0]].shape
    if examples is None:
        Session(file.data)
        return file.data, {}
    shape = shaped(wanted, examples.shape[1:])
    is_as_it_came = bool(base_file.stored_already(file.main)) and -1 not in wanted[1:]
    if not fixed_shapes.is_open(file) or is_as_it_came:
        session = Session(file.data)
        demand(session.inputs[0], examples)
        session.run([session.inputs[0].store(examples[:1])])
        return file.data, {}
    port = Session(file.data, kernels="builtin", shape=shape).inputs[0]
    demand(port, examples)
    given = [port.store(example[None]) for example in examples]
    data = attachments.carried_through(file, fixed_shapes.fix(file, shape, given[0]))
    return data, {"shape": list(shape), **_compared(file.data, data, shape, given)}


def _compared(
    old: bytes, new: bytes, shape: Sequence[int], given: Sequence[Array]
) -> dict[str, Any]:
    worst = fixed_shapes.difference(old, new, shape, given)
    if worst > CLOSE:
        raise Unsupported(
            f"with a fixed batch its outputs differ by {worst:.2g} of their range from those of the"
            f" file as it came, over {len(given)} examples",
            hint="convert it with a fixed batch: tf.TensorSpec((1, …))",
        )
    return {"examples": len(given), "difference": worst}
