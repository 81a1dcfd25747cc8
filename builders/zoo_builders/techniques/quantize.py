"""`quantize`: store weights, or weights and activations, in fewer bits. Done by the converter, after training."""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from zoo_builders import file_names
from zoo_builders.graph import FIXED, FORMULA, Graph, Node
from zoo_builders.layer_tensors import kernels_of
from zoo_builders.mistakes import nearest
from zoo_builders.proof import Promise
from zoo_builders.qat_layers import EIGHT_BIT_SOUND
from zoo_builders.select import Words
from zoo_builders.specs import Name, Spec
from zoo_builders.techniques import TECHNIQUES, Objection, Step, Technique, Verdict

DOC = """Post-training quantization.

`float16` halves the file, costs no accuracy and no latency: processors widen it back to float32. `dynamic` stores int8 weights and
computes partly in int8: a quarter of the size, but often slower than float32 under XNNPACK. `int8` needs calibration data and is the fast
one on phones and servers. `int16x8` (int16 activations) saves accuracy where int8 loses it, and runs on reference kernels: slow. `int4`
stores the weights of convolutions and dense layers in four bits (all others in eight) and computes as `dynamic` does: for models that are
mostly weights. `keep_float` leaves layers that suffer in float: those you name, or with `auto` as few as bring the metric back.
"""

MINIMUM_DYNAMIC = 1024
"""`dynamic` leaves weight tensors with fewer elements in float: the TensorFlow converter's own rule."""

SAMPLES = 200
"""Calibration inputs where a manifest does not say how many: ranges hardly move after some hundred."""

MAX_DROP, MAX_FLOAT_LAYERS = 0.01, 8
"""How far `keep_float: auto` goes where a manifest does not say."""

FOUR_BITS = ("CONV_2D", "FULLY_CONNECTED", "EMBEDDING_LOOKUP")
"""Operators whose weights the LiteRT quantizer stores in four bits; of depthwise and others no runtime has such kernels."""

EIGHT_BITS = ("BATCH_MATMUL", "CONV_2D", "DEPTHWISE_CONV_2D", "EMBEDDING_LOOKUP", "FULLY_CONNECTED", "TRANSPOSE_CONV")
"""Operators whose weights it stores in eight."""

BLOCKWISE = ("FULLY_CONNECTED", "EMBEDDING_LOOKUP")
"""Operators whose scales may stand for blocks of inputs."""

MOVING = (
    "CONCATENATION", "DEPTH_TO_SPACE", "EXPAND_DIMS", "GATHER", "MAX_POOL_2D", "MIRROR_PAD", "PACK", "PAD", "PADV2", "RESHAPE",
    "RESIZE_NEAREST_NEIGHBOR", "SLICE", "SPACE_TO_DEPTH", "SPLIT", "SQUEEZE", "STRIDED_SLICE", "TRANSPOSE", "UNPACK",
)  # fmt: skip
"""Operators that only move values about: they stay in float with the layer they follow, or rounding there undoes what that saved."""

FRONT_END = (f"{FIXED}*",)
"""Words for the layers of a front end inside the file. They stay float: in int8 they cost more accuracy than the whole network behind."""

_TYPES = {"Conv2D": "CONV_2D", "Dense": "FULLY_CONNECTED", "DepthwiseConv2D": "DEPTHWISE_CONV_2D", "Conv2DTranspose": "TRANSPOSE_CONV"}
_FUSED = frozenset({"InputLayer", "BatchNormalization", "ReLU", "Activation", "Dropout", "Flatten", "Reshape", "ZeroPadding2D"})
"""Layers that are no operator of their own, or one that keeps the numbers of the layer before it."""

Granularity = Literal["channel", "tensor", "block32", "block64", "block128", "block256"]
Dtype = Literal["float16", "dynamic", "int8", "int16x8", "int4"]
SparseRule = Literal["auto", "always", "never"]


class Rule(Spec):
    """Other weights for some layers. Of several rules that fit one layer, the last decides."""

    layers: Words = Field(min_length=1, description="layer names, patterns (block1_*), operator types (CONV_2D) or re: and an expression")
    dtype: Literal["float32", "int8", "int4"] = Field(description="what their weights are stored as; float32 leaves the layer alone")
    granularity: Granularity | None = Field(default=None, description="default: that of the step")

    @field_validator("layers")
    @classmethod
    def _spelled(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        return _words(words)


def _words(words: tuple[str, ...]) -> tuple[str, ...]:
    wrong = next((found for word in words if (found := file_names.mistake(word))), "")
    if wrong:
        raise ValueError(wrong)
    return words


class Params(Spec):
    """What a manifest may say about `quantize`."""

    dtype: Dtype = Field(default="int8", description="what weights (and activations) are stored as")
    interface: Literal["float", "int8"] = Field(
        default="float",
        description="an int8 file's inputs and outputs: float runs everywhere (LiteRT.js takes nothing else), int8 saves 2 conversions",
    )
    engine: Literal["auto", "tensorflow", "litert"] = Field(
        default="auto",
        description="tensorflow: its converter; litert: litert-quantizer, which knows int4, blocks and rules and takes any float .tflite",
    )
    granularity: Granularity = Field(
        default="channel", description="what one scale of the weights stands for; blocks of inputs for dense layers in int4"
    )
    method: Literal["minmax", "mse", "octav"] = Field(
        default="minmax",
        description="how the range of weights is chosen: minmax clips nothing; mse and octav clip outliers (engine litert)",
    )
    compute: Literal["integer", "float"] = Field(
        default="integer", description="dynamic and int4: quantize activations while running, or widen the weights and compute in float"
    )
    calibration: Name = Field(default="calibration", description="split whose inputs fix the ranges of int8 and int16x8")
    samples: Annotated[int, Field(ge=1, le=100_000)] | None = Field(
        default=None, description=f"how many of its inputs, from the start; default: {SAMPLES}, or all where there are fewer"
    )
    allow_float_fallback: bool = Field(default=False, description="let operators without an integer kernel stay float instead of failing")
    keep_float: Literal["auto"] | Words = Field(
        default=(),
        description="layers left in float: names, patterns, operator types (MEAN) or re: and an expression; auto: as few as needed",
    )
    max_drop: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = Field(
        default=None,
        description=f"with keep_float: auto: how far the metric may fall below float's on the validation split; default: {MAX_DROP}",
    )
    max_float_layers: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        default=None, description=f"with keep_float: auto: how many layers at most; default: {MAX_FLOAT_LAYERS}"
    )
    rules: tuple[Rule, ...] = Field(default=(), description="other weights for some layers (engine litert)")
    report: bool = Field(default=True, description="measure what int8 or int16x8 does to each layer; stored with the record")
    sparse_encoding: SparseRule | None = Field(
        default=None, description="leave zeros out of the file: auto keeps the smaller file; default: what earlier steps say, or auto"
    )

    @field_validator("keep_float")
    @classmethod
    def _names(cls, words: Any) -> Any:
        return words if words == "auto" else _words(words)

    @model_validator(mode="after")
    def _fits_together(self) -> "Params":
        wrong = next((words for broken, words in _contradictions(self) if broken), "")
        if wrong:
            raise ValueError(wrong)
        return self

    @property
    def needs_litert(self) -> str:
        """What only the LiteRT quantizer can do; empty when the TensorFlow converter can do it all."""
        asked = {
            "dtype: int4": self.dtype == "int4",
            f"granularity: {self.granularity}": self.granularity.startswith("block"),
            f"method: {self.method}": self.method != "minmax",
            "compute: float": self.compute == "float",
            "rules": bool(self.rules),
            f"keep_float with dtype: {self.dtype}": bool(self.keep_float) and self.dtype in {"dynamic", "int16x8"},
        }
        return next((what for what, is_asked in asked.items() if is_asked), "")

    @property
    def made_by(self) -> Literal["tensorflow", "litert"]:
        """The engine that does it."""
        if self.engine == "auto":
            return "litert" if self.needs_litert else "tensorflow"
        return self.engine

    @property
    def limits(self) -> tuple[float, int]:
        """How far the metric may fall, and how many layers may stay float, where a search leaves some."""
        most = MAX_FLOAT_LAYERS if self.max_float_layers is None else self.max_float_layers
        return MAX_DROP if self.max_drop is None else self.max_drop, most

    @property
    def kept(self) -> tuple[str, ...]:
        """Words for the layers left in float by hand."""
        return () if self.keep_float == "auto" else self.keep_float


def _contradictions(p: Params) -> list[tuple[bool, str]]:
    """List what does not fit together, each with whether it is so."""
    auto = p.keep_float == "auto"
    searched = [name for name, value in (("max_drop", p.max_drop), ("max_float_layers", p.max_float_layers)) if value is not None]
    return [
        (p.interface == "int8" and p.dtype != "int8", f"interface: int8 goes with dtype: int8 only, not {p.dtype}"),
        (p.granularity.startswith("block") and p.dtype != "int4", f"granularity: {p.granularity} goes with dtype: int4 only"),
        (p.compute == "float" and p.dtype not in {"dynamic", "int4"}, "compute: float goes with dtype: dynamic or int4 only"),
        (bool(p.keep_float) and p.dtype == "float16", "keep_float: float16 files compute in float anyhow"),
        (bool(p.rules) and p.dtype == "float16", "rules: float16 has one kind of weights only"),
        (auto and p.dtype != "int8", f"keep_float: auto goes with dtype: int8 only, not {p.dtype}"),
        (auto and p.engine == "litert", "keep_float: auto needs the TensorFlow converter's debugger; with engine: litert name the layers"),
        (bool(searched) and not auto, f"{', '.join(searched)}: only with keep_float: auto"),
        (p.engine == "tensorflow" and bool(p.needs_litert), f"{p.needs_litert} needs engine: litert"),
        (auto and bool(p.needs_litert), f"{p.needs_litert} needs engine: litert, keep_float: auto needs engine: tensorflow"),
        (p.sparse_encoding == "always" and p.made_by == "litert", "sparse_encoding: always: the litert engine stores no weights sparse"),
    ]


def infer(params: Params, before: Sequence[Step]) -> Params:
    """Choose the engine, and how far a search goes, where the manifest does not."""
    del before
    changes: dict[str, Any] = {"engine": params.made_by}
    if params.keep_float == "auto":
        changes |= {"max_drop": params.limits[0], "max_float_layers": params.limits[1]}
    return params.model_copy(update=changes)


def on_file(params: Params) -> Params | str:
    """Say how a finished float .tflite is quantized: by the LiteRT quantizer, the only one that takes it; or why not."""
    if params.engine == "tensorflow":
        return "engine: tensorflow converts Keras models only; a .tflite file takes engine: litert"
    if params.keep_float == "auto":
        return "keep_float: auto needs a Keras model; name the layers to keep"
    return params.model_copy(update={"engine": "litert"})


def check(graph: Graph, params: Params, before: Sequence[Step]) -> list[Objection]:
    """Refuse a second quantization, words that name no layer, and what finds nothing to quantize; the rest only the converter knows."""
    twice = any(step.technique == "quantize" for step in before)
    found = [Objection(graph.name, "the recipe quantizes twice", "keep one quantize step, the last of the recipe")] if twice else []
    if not graph.nodes:
        return found
    words = (*params.kept, *(word for rule in params.rules for word in rule.layers))
    found += [objection for word in dict.fromkeys(words) if (objection := _unknown(graph, word)) is not None]
    found += _objections_of_a_front_end(graph, params)
    if params.dtype == "int4" and not _of_type(graph, FOUR_BITS):
        found.append(Objection(graph.name, "no Conv2D, Dense or Embedding takes int4 weights", "write dtype: dynamic"))
    if params.granularity.startswith("block") and not _blocked(graph, params.granularity):
        hint = "write granularity: channel, or a smaller block"
        found.append(Objection(graph.name, f"no Dense has inputs in whole blocks of {params.granularity[5:]}", hint))
    return found


def _objections_of_a_front_end(graph: Graph, params: Params) -> list[Objection]:
    """Refuse what would put recordings or the front end's formulas into eight bits: it stays float, or the words around it mean nothing."""
    if not graph.fixed or params.dtype == "float16":
        return []
    found = []
    if params.interface == "int8":
        found.append(Objection(graph.nodes[0].name, EIGHT_BIT_SOUND, "write interface: float"))
    if params.made_by == "tensorflow" and params.dtype != "int8":
        reason = f"the front end stays float, and of {params.dtype} files the TensorFlow converter leaves no layer float"
        found.append(Objection(graph.fixed[0].name, reason, "write engine: litert"))
    return found


def _left(graph: Graph, params: Params) -> tuple[str, ...]:
    """Give words for what stays float: layers that are named, and a front end."""
    return (*params.kept, *(FRONT_END if graph.fixed and params.dtype != "float16" else ()))


def _unknown(graph: Graph, word: str) -> Objection | None:
    named = _named(graph, (word,))
    if not named:
        fix = nearest(word, [node.name for node in graph.nodes if node.op not in _FUSED])
        return None if word.isupper() and word not in _TYPES.values() else Objection(word, "no layer is called so", fix)
    fused = [node for node in named if node.op in _FUSED]
    if len(fused) == len(named) and not word.startswith(file_names.REGEX):
        reason = f"{fused[0].op} is no operator of its own in the file"
        return Objection(word, reason, f"name the layer it is fused with: {', '.join(fused[0].inputs)}")
    return None


def _named(graph: Graph, words: Sequence[str]) -> list[Node]:
    """Give the layers that words mean, a layer's name standing for what the file will call it."""
    return [node for node in graph.nodes if file_names.any_of(words, _TYPES.get(node.op, node.op), node.name)]


def _of_type(graph: Graph, operators: Sequence[str]) -> list[Node]:
    return [node for node in graph.nodes if _TYPES.get(node.op) in operators]


def _blocked(graph: Graph, granularity: str) -> list[Node]:
    """Give the dense layers whose inputs divide into whole blocks: others get one scale a channel."""
    return [node for node in _of_type(graph, ("FULLY_CONNECTED",)) if node.weights["kernel"][0] % int(granularity[5:]) == 0]


def promises(graph: Graph, params: Params, steps: Sequence[Step]) -> list[Promise]:
    """State the dtypes of weights, activations and interface, what is left in float, and how coarse the scales are."""
    del steps
    search = {"allowed": params.limits[1]} if params.keep_float == "auto" else {}
    left = _left(graph, params)
    besides = (*left, *(word for rule in params.rules for word in rule.layers))
    found = [promise.model_copy(update={"besides": besides, **search}) for promise in _weights(graph, params)]
    found += [_left_float(graph, left)] if left else []
    found += [_ruled(graph, rule) for rule in params.rules]
    found += [promise.model_copy(update={"besides": besides}) for promise in _scales(graph, params)]
    if params.dtype in {"int8", "int16x8"} and not params.allow_float_fallback:
        value, kept = "int8" if params.dtype == "int8" else "int16", (*left, *_float_words(params))
        kept += MOVING if params.keep_float or left else ()
        twice = {name: 2 * number for name, number in search.items()}  # what goes in and what comes out
        found.append(Promise(technique="quantize", kind="activations_dtype", value=value, besides=kept, **twice))
    return [*found, Promise(technique="quantize", kind="interface_dtype", value="int8" if params.interface == "int8" else "float32")]


def _float_words(params: Params) -> tuple[str, ...]:
    return tuple(word for rule in params.rules if rule.dtype == "float32" for word in rule.layers)


def _weights(graph: Graph, params: Params) -> list[Promise]:
    """Say what weights are stored as, all or by operator."""
    if params.dtype == "int4":
        eight = tuple(operator for operator in EIGHT_BITS if operator not in FOUR_BITS)
        return [
            Promise(technique="quantize", kind="weights_dtype", value="int4", operators=FOUR_BITS),
            Promise(technique="quantize", kind="weights_dtype", value="int8", operators=eight, may_be_absent=True),
        ]
    small_too = params.dtype != "dynamic" or params.made_by == "litert"
    if not small_too and not _any_large(graph):
        return [Promise(technique="quantize", kind="weights_dtype", value="float32")]
    stored = "float16" if params.dtype == "float16" else "int8"
    return [Promise(technique="quantize", kind="weights_dtype", value=stored, at_least_elements=0 if small_too else MINIMUM_DYNAMIC)]


def _left_float(graph: Graph, words: tuple[str, ...]) -> Promise:
    """Promise float32 weights of what `words` name: exactly these layers where the network is known."""
    layers = kernels_of(graph, [node.name for node in _named(graph, words)])
    if layers:
        return Promise(technique="quantize", kind="weights_dtype", value="float32", layers=layers)
    return Promise(technique="quantize", kind="weights_dtype", value="float32", named=words, may_be_absent=True)


def _ruled(graph: Graph, rule: Rule) -> Promise:
    layers = kernels_of(graph, [node.name for node in _named(graph, rule.layers)])
    if layers:
        return Promise(technique="quantize", kind="weights_dtype", value=rule.dtype, layers=layers)
    return Promise(technique="quantize", kind="weights_dtype", value=rule.dtype, named=rule.layers)


def _scales(graph: Graph, params: Params) -> list[Promise]:
    """Promise coarse or fine scales where they were asked for; one scale a channel is the rule and needs no word."""
    if params.granularity == "channel" or params.dtype == "float16":
        return []
    if params.granularity == "tensor":
        least = MINIMUM_DYNAMIC if params.dtype == "dynamic" and params.made_by != "litert" else 0
        return (
            [Promise(technique="quantize", kind="weights_granularity", value="tensor", at_least_elements=least)]
            if _any(graph, least)
            else []
        )
    layers = kernels_of(graph, [node.name for node in _blocked(graph, params.granularity)])
    chosen = {"layers": layers} if layers else {"operators": BLOCKWISE}
    return [Promise.model_validate({"technique": "quantize", "kind": "weights_granularity", "value": params.granularity, **chosen})]


def _any(graph: Graph, least: int) -> bool:
    return not least or _any_large(graph)


def _any_large(graph: Graph) -> bool:
    """Whether any kernel is large enough for `dynamic`; of a network nobody can read yet, it is taken for granted."""
    return not graph.nodes or any(_is_large(node) for node in graph.nodes)


def _is_large(node: Node) -> bool:
    return any(math.prod(shape) >= MINIMUM_DYNAMIC for name, shape in node.weights.items() if name.endswith("kernel"))


def remarks(graph: Graph, params: Params, steps: Sequence[Step]) -> list[str]:
    """Say so where a dtype does nothing to some or all layers."""
    del steps
    found = []
    if params.dtype == "dynamic" and params.made_by != "litert" and not _any_large(graph):
        small = f"no kernel has the {MINIMUM_DYNAMIC:,} elements the converter asks for; weights stay float32"
        found.append(f"dynamic quantizes nothing here: {small}")
    if params.dtype == "int4" and (others := _of_type(graph, tuple(set(EIGHT_BITS) - set(FOUR_BITS)))):
        found.append(f"int4: {len(others)} of the layers ({others[0].op}) have no four-bit kernels and are stored as int8")
    if params.granularity.startswith("block") and (rest := len(_of_type(graph, FOUR_BITS)) - len(_blocked(graph, params.granularity))):
        found.append(f"{params.granularity}: {rest} of the int4 layers cannot be cut into such blocks and get one scale a channel")
    if params.dtype == "int16x8":
        found.append("int16x8 runs on reference kernels: expect it to be slower than float32")
    return found


def layers(graph: Graph, params: Params, before: Sequence[Step]) -> Mapping[str, Verdict]:
    """Say of every layer with weights what it is stored as, and why where that is float."""
    del before
    kept = {node.name for node in _named(graph, _left(graph, params))}
    return {node.name: _verdict(node, params, kept=node.name in kept) for node in graph.nodes if node.weights and node.op not in _FUSED}


def _verdict(node: Node, params: Params, *, kept: bool) -> Verdict:
    rule = next((rule for rule in reversed(params.rules) if file_names.any_of(rule.layers, _TYPES.get(node.op, ""), node.name)), None)
    if kept or (rule is not None and rule.dtype == "float32"):
        return _float(node)
    if params.dtype == "dynamic" and params.made_by != "litert" and not _is_large(node):
        return Verdict(applies=False, reason=f"fewer than {MINIMUM_DYNAMIC:,} weights: the converter leaves it float", fix="engine: litert")
    if rule is not None:
        return Verdict(applies=True, reason=f"a rule stores it as {rule.dtype}")
    if params.dtype == "int4" and _TYPES.get(node.op) not in FOUR_BITS:
        return Verdict(applies=True, reason="no four-bit kernels: stored as int8")
    if params.keep_float == "auto":
        return Verdict(applies=True, reason="may be left in float, if it suffers")
    return Verdict(applies=True)


def _float(node: Node) -> Verdict:
    if node.is_fixed:
        return Verdict(applies=False, reason=f"{FORMULA}; left in float")
    return Verdict(applies=False, reason="left in float by the recipe", fix="take it out of keep_float")


def converts(params: Params, steps: Sequence[Step]) -> dict[str, Any]:
    """Hand the parameters to the converter, which does the work."""
    del steps
    asked = {"quantize": params.model_dump(mode="json", by_alias=True, exclude={"sparse_encoding"})}
    return asked | ({} if params.sparse_encoding is None else {"sparse_encoding": params.sparse_encoding})


QUANTIZE = TECHNIQUES.add(
    "quantize",
    Technique(
        "quantize", Params, None, check, promises, DOC, remarks, layers=layers, infer=infer, converts=converts, on_file=on_file
    ),
)  # fmt: skip
