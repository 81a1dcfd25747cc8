"""What `quantize` refuses, and what it does to each layer. Pure, on a `Graph`."""

from collections.abc import Mapping, Sequence
from typing import Any

from zoo_builders.networks import verdicts
from zoo_builders.networks.graph import FORMULA, Graph, Node
from zoo_builders.networks.verdicts import Objection, Verdict
from zoo_builders.techniques import Step
from zoo_builders.techniques.quantize import engines
from zoo_builders.techniques.quantize.engines import EIGHT_BITS, FOUR_BITS, MINIMUM_DYNAMIC
from zoo_builders.techniques.quantize.params import Params, Rule
from zoo_builders.techniques.quantize.selection import (
    TYPES,
    any_large,
    blocked,
    deciding,
    in_blocks,
    is_large,
    left_float,
    left_to_step,
    named,
    of_type,
    own,
)
from zoo_builders.techniques.quantize_aware.limits import EIGHT_BIT_SOUND
from zoo_builders.tflite import operator_names
from zoo_registry.model.suggest import nearest

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

Where one is an operator, it keeps the numbers of the layer before it.
"""


def infer(params: Params, before: Sequence[Step]) -> Params:
    """Choose the engine, and how far a search goes, where the manifest does not."""
    del before
    changes: dict[str, Any] = {"engine": engines.made_by(params)}
    if params.keep_float == "auto":
        changes |= {
            "max_drop": engines.limits(params)[0],
            "max_float_layers": engines.limits(params)[1],
        }
    return params.model_copy(update=changes)


def on_file(params: Params) -> Params | str:
    """Say how a finished float .tflite is quantized, or why it cannot be.

    The LiteRT quantizer does it: no other one takes such a file.
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
    words = (*engines.kept(params), *(word for rule in params.rules for word in rule.layers))
    found += [
        objection
        for word in dict.fromkeys(words)
        if (objection := _unknown(graph, word)) is not None
    ]
    found += _objections_of_rules(graph, params)
    found += _objections_of_a_front_end(graph, params)
    found += [
        _moved(graph, step.technique)
        for step in before
        if params.rounding == "compensated" and step.technique in _SHAPED
    ]
    if params.dtype == "int4" and not of_type(left_to_step(graph, params), FOUR_BITS):
        found.append(
            Objection(
                graph.name,
                "no Conv2D, Dense or Embedding takes int4 weights",
                "write dtype: dynamic",
            )
        )
    if params.granularity.startswith("block") and not blocked(graph, params):
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
    if engines.made_by(params) == "tensorflow" and params.dtype != "int8":
        reason = (
            f"the front end stays float, and of {params.dtype} files the TensorFlow converter"
            " leaves no layer float"
        )
        found.append(Objection(graph.fixed[0].name, reason, "write engine: litert"))
    return found


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


def _objections_of_rules(graph: Graph, params: Params) -> list[Objection]:
    """Refuse rules that decide nothing, and layers that two keys claim.

    Scales and bits that a layer cannot have are refused too.
    """
    return [objection for rule in params.rules for objection in _objections(graph, params, rule)]


def _objections(graph: Graph, params: Params, rule: Rule) -> list[Objection]:
    kernels = [node for node in named(graph, rule.layers) if node.op in TYPES and not node.is_fixed]
    kept = {node.name for node in named(graph, engines.kept(params))}
    mine = own(graph, params, rule)
    found = [
        Objection(
            node.name,
            f"keep_float leaves it in float, and a rule stores it as {rule.dtype}",
            "take it out of one of the two",
        )
        for node in kernels
        if node.name in kept
    ]
    if kernels and not mine and not any(_is_other_operator(word) for word in rule.layers):
        fix = "drop the rule, or put it last"
        found.append(
            Objection(
                f"{{layers: {', '.join(rule.layers)}}}",
                "later rules decide about every layer it means",
                fix,
            )
        )
    return found + [objection for node in mine if (objection := _unfit(node, rule)) is not None]


def _is_other_operator(word: str) -> bool:
    """Whether a word is a type of operator of which the network says nothing (`MEAN`)."""
    return word.isupper() and word not in TYPES.values()


def _unfit(node: Node, rule: Rule) -> Objection | None:
    if rule.dtype == "int4" and TYPES[node.op] not in FOUR_BITS:
        fix = f"add {{layers: {node.name}, dtype: int8}} to rules, as the last one"
        return Objection(
            node.name, f"{node.op} has no four-bit kernels, and a rule stores it as int4", fix
        )
    grain = rule.granularity or ""
    if grain.startswith("block") and not in_blocks(node, grain):
        why = (
            f"its {node.weights['kernel'][0]} inputs make no whole blocks"
            if node.op == "Dense"
            else f"{node.op} has no blocks of inputs"
        )
        fix = (
            f"add {{layers: {node.name}, dtype: int4, granularity: channel}} to rules, as the"
            " last one"
        )
        return Objection(node.name, f"a rule says granularity: {grain}, but {why}", fix)
    return None


def remarks(graph: Graph, params: Params, steps: Sequence[Step]) -> list[str]:
    """Say so where a dtype does nothing to some or all layers."""
    del steps
    found = []
    if params.dtype == "dynamic" and engines.made_by(params) != "litert" and not any_large(graph):
        small = (
            f"no kernel has the {MINIMUM_DYNAMIC:,} elements the converter asks for; weights stay"
            " float32"
        )
        found.append(f"dynamic quantizes nothing here: {small}")
    if params.dtype == "int4" and (
        others := of_type(left_to_step(graph, params), tuple(set(EIGHT_BITS) - set(FOUR_BITS)))
    ):
        found.append(
            f"int4: {len(others)} of the layers ({others[0].op}) have no four-bit kernels and are"
            " stored as int8"
        )
    if params.granularity.startswith("block") and (
        rest := len(of_type(left_to_step(graph, params), FOUR_BITS)) - len(blocked(graph, params))
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
    kept = {node.name for node in named(graph, left_float(graph, params))}
    return {
        node.name: _verdict(node, params, kept=node.name in kept)
        for node in graph.nodes
        if node.weights and node.op not in _FUSED
    }


def _verdict(node: Node, params: Params, *, kept: bool) -> Verdict:
    rule = deciding(node, params)
    if kept or (rule is not None and rule.dtype == "float32"):
        return _float(node)
    if params.dtype == "dynamic" and engines.made_by(params) != "litert" and not is_large(node):
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
