"""What shall become of each operator of a float .tflite file that the LiteRT quantizer quantizes.

Decided by exact names. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from zoo_builders.techniques.quantize.engines import BLOCKWISE, EIGHT_BITS, FOUR_BITS, kept
from zoo_builders.tflite import operator_names
from zoo_builders.tflite.tflite_file import Operator, Subgraph
from zoo_builders.tflite.weight_tensors import WEIGHTS, known_as
from zoo_registry.model.errors import BuildFailed

if TYPE_CHECKING:
    from zoo_builders.techniques.quantize.params import Params as Quantize
    from zoo_builders.techniques.quantize.params import Rule


_FREE = frozenset({"QUANTIZE", "DEQUANTIZE", "CAST", "SHAPE"})
"""Operators that compute nothing in float that could be integer."""


@dataclass(frozen=True, slots=True)
class Assigned:
    """What shall become of one operator.

    Attributes:
        output: name of what it gives: how the quantizer knows it.
        weights: `float32` leaves it alone.
        activations: bits of what goes in and out; 0 = float.
        rule: the one of the recipe that decides about this operator; None where none does.
    """

    code: str
    known_as: str
    output: str
    weights: Literal["float32", "float16", "int8", "int4"]
    granularity: str
    activations: int
    rule: "Rule | None" = None


def assign(graph: Subgraph, quantize: "Quantize") -> tuple[Assigned, ...]:
    """Decide for every operator of a float file, in order. Pure.

    Raises:
        BuildFailed: a word of `keep_float` or of a rule means no operator of this file, or a rule
            decides about none.
    """
    found = tuple(
        _assigned(graph, operator, known_as(graph, operator), quantize)
        for operator in graph.operators
        if operator.outputs
    )
    words = (*kept(quantize), *(word for rule in quantize.rules for word in rule.layers))
    unknown(words, [(one.code, one.known_as) for one in found])
    _demand_work(quantize.rules, found)
    return found


def _demand_work(rules: "Sequence[Rule]", found: Sequence[Assigned]) -> None:
    for rule in rules:
        if not any(one.rule is rule for one in found):
            why = "later ones or keep_float decide, or it means operators without weights"
            raise BuildFailed(
                f"the rule for {', '.join(rule.layers)} changes nothing: {why}",
                hint="take it out of rules",
            )


def unknown(words: Sequence[str], operators: Sequence[tuple[str, str]]) -> None:
    """Insist that every word means one of the operators (type, name).

    Raises:
        BuildFailed: one means none; with the names there are.
    """
    lost = [
        word
        for word in words
        if not any(operator_names.matches(word, code, name) for code, name in operators)
    ]
    if lost:
        names = dict.fromkeys(
            f"{operator_names.layer_of(name)} ({code})" for code, name in operators
        )
        raise BuildFailed(
            f"no operator of the file is called {', '.join(lost)}",
            hint=f"there are: {', '.join(names)}",
        )


def _assigned(graph: Subgraph, operator: Operator, name: str, quantize: "Quantize") -> Assigned:
    activations = {"int8": 8, "int16x8": 16}.get(quantize.dtype, 0)
    rule = next(
        (
            rule
            for rule in reversed(quantize.rules)
            if operator_names.any_of(rule.layers, operator.code, name)
        ),
        None,
    )
    if rule is not None and rule.dtype != "float32" and operator.code not in EIGHT_BITS:
        rule = None  # it speaks of weights, and this has none
    weights = _usual(operator.code, quantize) if rule is None else rule.dtype
    if operator_names.any_of(kept(quantize), operator.code, name):
        weights, rule = "float32", None
    granularity = _granularity(
        graph, operator, (rule and rule.granularity) or quantize.granularity, weights
    )
    output = graph.tensors[operator.outputs[0]].name
    bits = 0 if weights == "float32" else activations
    return Assigned(operator.code, name, output, weights, granularity, bits, rule)


def _usual(code: str, quantize: "Quantize") -> Literal["float32", "float16", "int8", "int4"]:
    if quantize.dtype == "float16":
        return "float16" if code in EIGHT_BITS else "float32"
    if quantize.dtype == "int4":
        return "int4" if code in FOUR_BITS else "int8" if code in EIGHT_BITS else "float32"
    if quantize.dtype == "dynamic":
        return "int8" if code in EIGHT_BITS else "float32"
    return "float32" if code in _FREE else "int8"


def _granularity(graph: Subgraph, operator: Operator, wanted: str, weights: str) -> str:
    """Give the granularity there can be.

    Blocks only in dense layers whose inputs they divide, in four bits.
    """
    if not wanted.startswith("block"):
        return wanted
    fits = (
        operator.code in BLOCKWISE
        and weights == "int4"
        and graph.tensors[operator.inputs[WEIGHTS]].shape[-1] % int(wanted.removeprefix("block"))
        == 0
    )
    return wanted if fits else "channel"
