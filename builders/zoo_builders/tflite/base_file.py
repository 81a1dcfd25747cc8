"""What a `.tflite` from anywhere must be so that the zoo can work with it, and which part is meant.

Pure: what a file says is held against what can be run, fed and judged. One input, outputs of which
one is chosen by name, operators that the runtime has.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from zoo_builders.tflite import finite_weights, weight_tensors
from zoo_builders.tflite.tflite_file import Called, Subgraph, Tensor, TfliteFile
from zoo_registry.model.suggest import nearest

CUSTOM = frozenset({"TFLite_Detection_PostProcess", "NumericVerify", "Mfcc", "AudioSpectrogram"})
"""Custom operators that LiteRT itself brings (`kernels/register.cc`)."""

FED = frozenset({"float32", "float16", "int8", "uint8", "int16", "int32", "int64"})
"""Types of an input that examples can be turned into."""

JUDGED = frozenset({*FED, "bool"})
"""Types of an output that can be read as numbers."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a file cannot be taken: the key of `base` it is about, the words, what to do."""

    key: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Choice:
    """The part of a file that is meant.

    Attributes:
        subgraph: the one that runs.
        output: position of the output that metrics speak of; None: all of them together.
        name: what that output is called; empty where there is only one, or all are meant.
    """

    subgraph: int
    output: int | None = 0
    name: str = ""


def ports(file: TfliteFile, subgraph: int, *, inputs: bool) -> list[tuple[str, Tensor]]:
    """Give the inputs or outputs of a subgraph in order, by the names a signature gives them."""
    graph = file.subgraphs[subgraph]
    called = next((one for one in file.signatures if one.subgraph == subgraph), None)
    given = {} if called is None else called.inputs if inputs else called.outputs
    names = {index: name for name, index in given.items()}
    indices = graph.inputs if inputs else graph.outputs
    return [(names.get(i) or graph.tensors[i].name, graph.tensors[i]) for i in indices]


def choose(
    file: TfliteFile, signature: str, output: str | int | None, *, scored: bool
) -> Choice | Problem:
    """Find the signature and the output that are meant; nothing is taken silently.

    `scored` says whether the task has metrics, which speak of one output. A problem where what is
    named is not there, or several are and none is named; its message lists them.
    """
    subgraph = _subgraph(file, signature)
    if isinstance(subgraph, Problem):
        return subgraph
    found = ports(file, subgraph, inputs=False)
    names = [name for name, _ in found]
    shown = "; ".join(f"{name} {_shape(tensor)}" for name, tensor in found)
    if output is None:
        if len(found) > 1 and scored:
            return Problem(
                "output",
                f"the file has {len(found)} outputs, and none is chosen: {shown}",
                f"write output: {names[0]} below base, or whichever gives the scores",
            )
        return Choice(subgraph, 0 if len(found) == 1 else None)
    if isinstance(output, int) and 0 <= output < len(found):
        return Choice(subgraph, output, names[output] if len(found) > 1 else "")
    if output in names and names.count(str(output)) == 1:
        index = names.index(str(output))
        return Choice(subgraph, index, names[index] if len(found) > 1 else "")
    return Problem(
        "output", f"the file has no output {output!r}; it has {shown}", nearest(str(output), names)
    )


def _shape(tensor: Tensor) -> str:
    return f"{tensor.dtype}{list(tensor.shape)}"


def _subgraph(file: TfliteFile, signature: str) -> int | Problem:
    """Give the number of the subgraph that a signature, or a subgraph's own name, means."""
    known = file.signatures or _unnamed(file)
    if not signature and len(known) == 1:
        return known[0].subgraph
    keys = [one.key for one in known]
    if not signature:
        return Problem(
            "signature",
            f"the file has {len(known)} signatures, and none is chosen:"
            f" {'; '.join(_spelled(file, one) for one in known)}",
            f"write signature: {keys[0]} below base, or whichever is meant",
        )
    if keys.count(signature) == 1:
        return known[keys.index(signature)].subgraph
    return Problem(
        "signature",
        f"the file has no signature {signature!r}; it has {', '.join(keys)}",
        nearest(signature, keys),
    )


def _unnamed(file: TfliteFile) -> tuple[Called, ...]:
    """Give the subgraphs that no other one runs, under their own names, as if they were signatures.

    Nobody runs the first one but the user.
    """
    inner = {
        number
        for graph in file.subgraphs
        for operator in graph.operators
        for name, number in operator.options.items()
        if name.endswith("SubgraphIndex") or (operator.code, name) == ("CALL", "Subgraph")
    }
    free = [index for index in range(len(file.subgraphs)) if index not in inner] or [0]
    return tuple(
        Called(file.subgraphs[index].name or f"subgraph {index}", index, {}, {}) for index in free
    )


def _spelled(file: TfliteFile, called: Called) -> str:
    inputs = ", ".join(
        f"{name} {_shape(tensor)}" for name, tensor in ports(file, called.subgraph, inputs=True)
    )
    outputs = ", ".join(
        f"{name} {_shape(tensor)}" for name, tensor in ports(file, called.subgraph, inputs=False)
    )
    return f"{called.key} ({inputs} → {outputs})"


def problems(file: TfliteFile, choice: Choice) -> list[Problem]:
    """Say why the chosen part cannot be fed, run or judged; empty where nothing is in the way."""
    return [
        *_of_operators(file),
        *_of_inputs(file, choice),
        *_of_outputs(file, choice),
        *_of_weights(file, choice),
    ]


def _of_weights(file: TfliteFile, choice: Choice) -> Iterator[Problem]:
    if found := finite_weights.problem(file.subgraphs[choice.subgraph]):
        yield Problem(
            "tflite",
            f"{found}; every weight must be a number",
            "convert the model again from a checkpoint whose weights are numbers",
        )


def _of_operators(file: TfliteFile) -> Iterator[Problem]:
    operators = [operator for graph in file.subgraphs for operator in graph.operators]
    custom = sorted({one.custom for one in operators if one.code == "CUSTOM"} - CUSTOM)
    flex = [name for name in custom if name.startswith("Flex")]
    others = [name or "(without a name)" for name in custom if name not in flex]
    unknown = sorted({one.code for one in operators if one.code.startswith("BUILTIN_")})
    if flex:
        yield Problem(
            "tflite",
            f"the operators {', '.join(flex)} need TensorFlow inside the runtime (the Flex"
            " delegate), which devices of this zoo do not have",
            "convert without tf.lite.OpsSet.SELECT_TF_OPS",
        )
    if others:
        yield Problem(
            "tflite",
            f"the custom operators {', '.join(others)} are no part of LiteRT:"
            " only the application that brings them can run the file",
            "give a file without them",
        )
    if unknown:
        yield Problem(
            "tflite",
            f"the operators {', '.join(unknown)} are newer than the installed LiteRT",
            "pip install -U ai-edge-litert",
        )


def _of_inputs(file: TfliteFile, choice: Choice) -> Iterator[Problem]:
    found = ports(file, choice.subgraph, inputs=True)
    if len(found) != 1:
        shown = "; ".join(f"{name} {_shape(tensor)}" for name, tensor in found) or "none"
        yield Problem(
            "tflite",
            f"the file has {len(found)} inputs ({shown}); one is expected, as an example has one",
            "give a file of one input; zoo bench FILE measures this one as it is",
        )
    for name, tensor in found:
        if tensor.dtype not in FED:
            yield Problem(
                "tflite",
                f"the input {name!r} takes {tensor.dtype}; expected {', '.join(sorted(FED))}",
                "give the part of the model behind it",
            )
        elif not tensor.shape:
            yield Problem("tflite", f"the input {name!r} takes a single number", _BATCH)
        elif tensor.shape[0] not in {1, -1} and len(found) == 1:
            yield Problem(
                "tflite",
                f"the input {name!r} has the shape {list(tensor.shape)}; expected a batch of one,"
                " or one that is open (-1)",
                _BATCH,
            )


_BATCH = "convert it with a batch of one: tf.TensorSpec((1, …)), or the converter's default"


def _of_outputs(file: TfliteFile, choice: Choice) -> Iterator[Problem]:
    found = ports(file, choice.subgraph, inputs=False)
    if not found:
        yield Problem(
            "tflite", "the file has no outputs: nothing can be judged", "give the whole model"
        )
    for name, tensor in found:
        if tensor.dtype not in JUDGED:
            yield Problem(
                "tflite",
                f"the output {name!r} gives {tensor.dtype}; expected numbers",
                "give the part of the model before it",
            )


def stored_already(graph: Subgraph) -> str:
    """Say why no recipe can store the weights of a file in another way; empty where one can.

    Nothing can be measured against what is quantized, halved or sparse already, and no quantizer
    takes it.
    """
    stored = [
        *((graph.tensors[index], "an input") for index in graph.inputs),
        *((graph.tensors[index], "an output") for index in graph.outputs),
        *(
            (tensor, f"a weight of {operator.code}")
            for operator in graph.operators
            if (tensor := weight_tensors.of(graph, operator)) is not None
        ),
    ]
    for tensor, what in stored:
        number = what == "an output" and not tensor.scales  # such as an index of a class
        if tensor.dtype != "float32" and not number:
            return f"{tensor.name!r} ({what}) is stored as {tensor.dtype}"
        if tensor.sparse is not None:
            return f"{tensor.name!r} ({what}) is stored sparse"
    if not any(_is_weight(tensor) for tensor in graph.tensors):
        return "the file holds no float32 weights"
    return ""


def _is_weight(tensor: Tensor) -> bool:
    return tensor.constant and tensor.dtype == "float32" and math.prod(tensor.shape) > 1


def unknown_sizes(file: TfliteFile, subgraph: int) -> Sequence[str]:
    """Name the inputs of a subgraph whose shape is open somewhere."""
    return [name for name, tensor in ports(file, subgraph, inputs=True) if -1 in tensor.shape]
