"""`quantize`: store weights, or weights and activations, in fewer bits.

Done by the converter, after training.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from zoo_builders.networks import verdicts
from zoo_builders.networks.graph import FORMULA, Graph, Node
from zoo_builders.networks.verdicts import Objection, Verdict
from zoo_builders.techniques import TECHNIQUES, Step, Technique
from zoo_builders.techniques.quantize import rules
from zoo_builders.techniques.quantize.params import (
    BLOCKWISE,
    EIGHT_BITS,
    FOUR_BITS,
    FRONT_END,
    MINIMUM_DYNAMIC,
    MOVING,
    Params,
)
from zoo_builders.techniques.quantize.rules import TYPES, in_blocks, left_to_step, named
from zoo_builders.techniques.quantize_aware.qat_layers import EIGHT_BIT_SOUND
from zoo_builders.tflite import operator_names
from zoo_builders.tflite.layer_tensors import kernels_of
from zoo_builders.tflite.proof import Promise
from zoo_registry.model.suggest import nearest

__all__ = ["Params"]

DOC = """Post-training quantization.

`float16` halves the file, costs no accuracy and no latency: processors widen it back to float32.
`dynamic` stores int8 weights and computes partly in int8: a quarter of the size, slower than
float32 where depthwise kernels are large, faster where there are none. `int8` needs calibration
data and is the fast one on phones and servers. `int16x8` (int16 activations) saves accuracy where
int8 loses it, and runs on reference kernels: slow. `int4` stores the weights of convolutions and
dense layers in four bits (all others in eight) and computes as `dynamic` does: for models that are
mostly weights. `keep_float` leaves layers that suffer in float: those you name, or with `auto` as
few as bring the metric back."""

_SHAPED = frozenset({"prune", "cluster"})
"""Techniques whose weights must stay where they are."""

_FUSED = frozenset(
    {
        "InputLayer",
        "BatchNormalization",
        "ReLU",
        "Activation",
        "Dropout",
        "Flatten",
        "Reshape",
        "ZeroPadding2D",
    }
)
"""Layers that are no operator of their own.

Or one that keeps the numbers of the layer before it.
"""


def infer(params: Params, before: Sequence[Step]) -> Params:
    """Choose the engine, and how far a search goes, where the manifest does not."""
    del before
    changes: dict[str, Any] = {"engine": params.made_by}
    if params.keep_float == "auto":
        changes |= {"max_drop": params.limits[0], "max_float_layers": params.limits[1]}
    return params.model_copy(update=changes)


def on_file(params: Params) -> Params | str:
    """Say how a finished float .tflite is quantized.

    By the LiteRT quantizer, the only one that takes it; or why not.
    """
    if params.engine == "tensorflow":
        return "engine: tensorflow converts Keras models only; a .tflite file takes engine: litert"
    if params.keep_float == "auto":
        return "keep_float: auto needs a Keras model; name the layers to keep"
    return params.model_copy(update={"engine": "litert"})


def check(graph: Graph, params: Params, before: Sequence[Step]) -> list[Objection]:
    """Refuse a second quantization, words that name no layer, and what finds nothing to quantize.

    The rest only the converter knows.
    """
    twice = any(step.technique == "quantize" for step in before)
    found = (
        [
            Objection(
                graph.name,
                "the recipe quantizes twice",
                "keep one quantize step, the last of the recipe",
            )
        ]
        if twice
        else []
    )
    if not graph.nodes:
        return found
    words = (*params.kept, *(word for rule in params.rules for word in rule.layers))
    found += [
        objection
        for word in dict.fromkeys(words)
        if (objection := _unknown(graph, word)) is not None
    ]
    found += rules.objections(graph, params)
    found += _objections_of_a_front_end(graph, params)
    found += [
        _moved(graph, step.technique)
        for step in before
        if params.rounding == "compensated" and step.technique in _SHAPED
    ]
    if params.dtype == "int4" and not _of_type(left_to_step(graph, params), FOUR_BITS):
        found.append(
            Objection(
                graph.name,
                "no Conv2D, Dense or Embedding takes int4 weights",
                "write dtype: dynamic",
            )
        )
    if params.granularity.startswith("block") and not _blocked(graph, params):
        hint = "write granularity: channel, or a smaller block"
        found.append(
            Objection(
                graph.name, f"no Dense has inputs in whole blocks of {params.granularity[5:]}", hint
            )
        )
    return found


def _moved(graph: Graph, technique: str) -> Objection:
    reason = (
        f"rounding: compensated moves the weights that {technique} set: its zeros and shared values"
        " would be lost"
    )
    return Objection(graph.name, reason, "write rounding: nearest")


def _objections_of_a_front_end(graph: Graph, params: Params) -> list[Objection]:
    """Refuse what would put recordings or the front end's formulas into eight bits.

    It stays float, or the words around it mean nothing.
    """
    if not graph.fixed or params.dtype == "float16":
        return []
    found = []
    if params.interface == "int8":
        found.append(Objection(graph.nodes[0].name, EIGHT_BIT_SOUND, "write interface: float"))
    if params.made_by == "tensorflow" and params.dtype != "int8":
        reason = (
            f"the front end stays float, and of {params.dtype} files the TensorFlow converter"
            " leaves no layer float"
        )
        found.append(Objection(graph.fixed[0].name, reason, "write engine: litert"))
    return found


def _left(graph: Graph, params: Params) -> tuple[str, ...]:
    """Give words for what stays float: layers that are named, and a front end."""
    return (*params.kept, *(FRONT_END if graph.fixed and params.dtype != "float16" else ()))


def _unknown(graph: Graph, word: str) -> Objection | None:
    meant = named(graph, (word,))
    if not meant:
        fix = nearest(word, [node.name for node in graph.nodes if node.op not in _FUSED])
        return (
            None
            if word.isupper() and word not in TYPES.values()
            else Objection(word, "no layer is called so", fix)
        )
    fused = [node for node in meant if node.op in _FUSED]
    if len(fused) == len(meant) and not word.startswith(operator_names.REGEX):
        reason = f"{fused[0].op} is no operator of its own in the file"
        return Objection(
            word, reason, f"name the layer it is fused with: {', '.join(fused[0].inputs)}"
        )
    return None


def _of_type(nodes: Sequence[Node], operators: Sequence[str]) -> list[Node]:
    return [node for node in nodes if TYPES.get(node.op) in operators]


def _blocked(graph: Graph, params: Params) -> list[Node]:
    """Give the dense layers, of those that follow the step.

    Whose inputs divide into whole blocks: others get one scale a channel.
    """
    return [node for node in left_to_step(graph, params) if in_blocks(node, params.granularity)]


def promises(graph: Graph, params: Params, steps: Sequence[Step]) -> list[Promise]:
    """State the dtypes of weights, activations and interface, what is left in float.

    And how coarse the scales are.
    """
    del steps
    search = {"allowed": params.limits[1]} if params.keep_float == "auto" else {}
    left = _left(graph, params)
    besides = (*left, *(word for rule in params.rules for word in rule.layers))
    found = [
        promise.model_copy(update={"besides": besides, **search})
        for promise in _weights(graph, params)
    ]
    found += [_left_float(graph, left)] if left else []
    found += rules.promises(graph, params)
    found += [promise.model_copy(update={"besides": besides}) for promise in _scales(graph, params)]
    if params.dtype in {"int8", "int16x8"} and not params.allow_float_fallback:
        value, kept = "int8" if params.dtype == "int8" else "int16", (*left, *_float_words(params))
        kept += MOVING if params.keep_float or left else ()
        twice = {
            name: 2 * number for name, number in search.items()
        }  # what goes in and what comes out
        found.append(
            Promise(
                technique="quantize", kind="activations_dtype", value=value, besides=kept, **twice
            )
        )
    return [
        *found,
        Promise(
            technique="quantize",
            kind="interface_dtype",
            value="int8" if params.interface == "int8" else "float32",
        ),
    ]


def _float_words(params: Params) -> tuple[str, ...]:
    return tuple(word for rule in params.rules if rule.dtype == "float32" for word in rule.layers)


def _weights(graph: Graph, params: Params) -> list[Promise]:
    """Say what weights are stored as, all or by operator.

    Nothing where rules and `keep_float` say it of every layer.
    """
    if graph.nodes and not left_to_step(graph, params) and (params.rules or params.kept):
        return []
    if params.dtype == "int4":
        eight = tuple(operator for operator in EIGHT_BITS if operator not in FOUR_BITS)
        return [
            Promise(technique="quantize", kind="weights_dtype", value="int4", operators=FOUR_BITS),
            Promise(
                technique="quantize",
                kind="weights_dtype",
                value="int8",
                operators=eight,
                may_be_absent=True,
            ),
        ]
    small_too = params.dtype != "dynamic" or params.made_by == "litert"
    if not small_too and not _any_large(graph):
        return [Promise(technique="quantize", kind="weights_dtype", value="float32")]
    stored = "float16" if params.dtype == "float16" else "int8"
    return [
        Promise(
            technique="quantize",
            kind="weights_dtype",
            value=stored,
            at_least_elements=0 if small_too else MINIMUM_DYNAMIC,
        )
    ]


def _left_float(graph: Graph, words: tuple[str, ...]) -> Promise:
    """Promise float32 weights of what `words` name.

    Exactly these layers where the network is known.
    """
    layers = kernels_of(graph, [node.name for node in named(graph, words)])
    if layers:
        return Promise(technique="quantize", kind="weights_dtype", value="float32", layers=layers)
    return Promise(
        technique="quantize", kind="weights_dtype", value="float32", named=words, may_be_absent=True
    )


def _scales(graph: Graph, params: Params) -> list[Promise]:
    """Promise coarse or fine scales where they were asked for.

    One scale a channel is the rule and needs no word.
    """
    if (
        params.granularity == "channel"
        or params.dtype == "float16"
        or (graph.nodes and not left_to_step(graph, params))
    ):
        return []
    if params.granularity == "tensor":
        least = MINIMUM_DYNAMIC if params.dtype == "dynamic" and params.made_by != "litert" else 0
        return (
            [
                Promise(
                    technique="quantize",
                    kind="weights_granularity",
                    value="tensor",
                    at_least_elements=least,
                )
            ]
            if _any(graph, least)
            else []
        )
    layers = kernels_of(graph, [node.name for node in _blocked(graph, params)])
    chosen = {"layers": layers} if layers else {"operators": BLOCKWISE}
    return [
        Promise.model_validate(
            {
                "technique": "quantize",
                "kind": "weights_granularity",
                "value": params.granularity,
                **chosen,
            }
        )
    ]


def _any(graph: Graph, least: int) -> bool:
    return not least or _any_large(graph)


def _any_large(graph: Graph) -> bool:
    """Whether any kernel is large enough for `dynamic`.

    Of a network nobody can read yet, it is taken for granted.
    """
    return not graph.nodes or any(_is_large(node) for node in graph.nodes)


def _is_large(node: Node) -> bool:
    return any(
        math.prod(shape) >= MINIMUM_DYNAMIC
        for name, shape in node.weights.items()
        if name.endswith("kernel")
    )


def remarks(graph: Graph, params: Params, steps: Sequence[Step]) -> list[str]:
    """Say so where a dtype does nothing to some or all layers."""
    del steps
    found = []
    if params.dtype == "dynamic" and params.made_by != "litert" and not _any_large(graph):
        small = (
            f"no kernel has the {MINIMUM_DYNAMIC:,} elements the converter asks for; weights stay"
            " float32"
        )
        found.append(f"dynamic quantizes nothing here: {small}")
    if params.dtype == "int4" and (
        others := _of_type(left_to_step(graph, params), tuple(set(EIGHT_BITS) - set(FOUR_BITS)))
    ):
        found.append(
            f"int4: {len(others)} of the layers ({others[0].op}) have no four-bit kernels and are"
            " stored as int8"
        )
    if params.granularity.startswith("block") and (
        rest := len(_of_type(left_to_step(graph, params), FOUR_BITS)) - len(_blocked(graph, params))
    ):
        found.append(
            f"{params.granularity}: {rest} of the int4 layers cannot be cut into such blocks and"
            " get one scale a channel"
        )
    if params.dtype == "int16x8":
        found.append("int16x8 runs on reference kernels: expect it to be slower than float32")
    return found


def layers(graph: Graph, params: Params, before: Sequence[Step]) -> Mapping[str, Verdict]:
    """Say of every layer with weights what it is stored as, and why where that is float."""
    del before
    kept = {node.name for node in named(graph, _left(graph, params))}
    return {
        node.name: _verdict(node, params, kept=node.name in kept)
        for node in graph.nodes
        if node.weights and node.op not in _FUSED
    }


def _verdict(node: Node, params: Params, *, kept: bool) -> Verdict:
    rule = rules.deciding(node, params)
    if kept or (rule is not None and rule.dtype == "float32"):
        return _float(node)
    if params.dtype == "dynamic" and params.made_by != "litert" and not _is_large(node):
        return Verdict(
            applies=False,
            reason=f"fewer than {MINIMUM_DYNAMIC:,} weights: the converter leaves it float",
            fix="engine: litert",
        )
    if rule is not None:
        return Verdict(applies=True, reason=f"a rule stores it as {rule.dtype}")
    if params.dtype == "int4" and TYPES.get(node.op) not in FOUR_BITS:
        return Verdict(applies=True, reason="no four-bit kernels: stored as int8")
    if params.keep_float == "auto":
        return Verdict(applies=True, reason="may be left in float, if it suffers")
    return Verdict(applies=True)


def _float(node: Node) -> Verdict:
    if node.is_fixed:
        return Verdict(
            applies=False, reason=f"{FORMULA}; left in float", fix=verdicts.NOTHING_LEARNED
        )
    return Verdict(
        applies=False, reason="left in float by the recipe", fix="take it out of keep_float"
    )


def converts(params: Params, steps: Sequence[Step]) -> dict[str, Any]:
    """Hand the parameters to the converter, which does the work."""
    del steps
    asked = {"quantize": params.model_dump(mode="json", by_alias=True, exclude={"sparse_encoding"})}
    return asked | (
        {} if params.sparse_encoding is None else {"sparse_encoding": params.sparse_encoding}
    )


QUANTIZE = TECHNIQUES.add(
    "quantize",
    Technique(
        "quantize",
        Params,
        None,
        check,
        promises,
        DOC,
        remarks,
        layers=layers,
        infer=infer,
        converts=converts,
        on_file=on_file,
    ),
)
