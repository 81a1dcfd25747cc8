"""Which weight tensors of a finished file are those of a Keras layer.

Where the file was made here, the values of its tensors said it (`converting.origins`, which fills
`TensorSparsity.layers`). Of other files name, operator and shape decide. The module is pure.

Names as the TensorFlow converter writes them (TensorFlow 2.21): operations a tensor was fused from,
separated by `;`, each `model/layer/operation`:

    model/conv/Conv2D
        float32, float16, int8, int16x8; batch normalisation folded or not
    model/relu/Relu;model/pw/BiasAdd;model/pw/Conv2D;model/pw/…
        stored sparse: neighbours are named too
    model/quant_conv/Conv2D;model/quant_conv/LastValueQuant/…
        quantization-aware training
    arith.constant, tfl.pseudo_qconst
        two layers with equal weights, stored once: no name is left

So a tensor is a layer's when it names that layer's own product (`layer/Conv2D`, `layer/MatMul`, …);
where no tensor does, when it names the layer at all; and where none is named, every nameless tensor
of the layer's shape counts. Operator and shape must fit always.
"""

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache

from pydantic import BaseModel, ConfigDict

from zoo_builders.networks.graph import Graph, Node, Shape
from zoo_registry.model.record import TensorSparsity

_PRODUCTS = "Conv2D|MatMul|depthwise|Tensordot|conv2d_transpose|Conv1D|einsum"
_OPERATORS: dict[str, tuple[str, ...]] = {
    "Conv1D": ("CONV_2D",),
    "Conv2D": ("CONV_2D", "FULLY_CONNECTED"),
    "Conv2DTranspose": ("TRANSPOSE_CONV",),
    "Dense": ("FULLY_CONNECTED", "BATCH_MATMUL"),
    "DepthwiseConv2D": ("DEPTHWISE_CONV_2D",),
}
_KERNELS = ("kernel", "depthwise_kernel")


class LayerTensor(BaseModel):
    """The kernel of one Keras layer, as it must stand in a file.

    Attributes:
        layer: name of the layer; with `*` or `?` a pattern, for networks that nobody can read
            before the build.
        operators: flatbuffer operators that may read it; empty = any.
        shape: its sizes as the file orders them (output channels first), ones left out; empty = not
            known.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    layer: str
    operators: tuple[str, ...] = ()
    shape: tuple[int, ...] = ()

    @property
    def is_pattern(self) -> bool:
        """Whether it may mean several layers."""
        return "*" in self.layer or "?" in self.layer


def kernel_of(node: Node) -> LayerTensor | None:
    """Say how the kernel of a layer stands in a file; None for a layer without one.

    A size of 0 is one that training decides.
    """
    kernel = next((node.weights[name] for name in _KERNELS if name in node.weights), None)
    if kernel is None:
        return None
    shape = () if 0 in kernel else _as_stored(node.op, kernel)
    return LayerTensor(layer=node.name, operators=_OPERATORS.get(node.op, ()), shape=shape)


def kernels_of(graph: Graph, names: Iterable[str]) -> tuple[LayerTensor, ...]:
    """Say how the kernels of these layers stand in a file, in the graph's order.

    Layers without a kernel are left out.
    """
    wanted = set(names)
    return tuple(
        kernel
        for node in graph.nodes
        if node.name in wanted and (kernel := kernel_of(node)) is not None
    )


def _as_stored(op: str, kernel: Shape) -> tuple[int, ...]:
    if (
        op == "DepthwiseConv2D"
    ):  # [height, width, channels, multiplier] → [1, height, width, channels * multiplier]
        order: Shape = (*kernel[:2], kernel[2] * kernel[3])
    elif op == "Conv2DTranspose":  # [height, width, out, in] → [out, height, width, in]
        order = (kernel[2], *kernel[:2], kernel[3])
    else:  # [..., in, out] → [out, ..., in]
        order = (kernel[-1], *kernel[:-1])
    return _bare(order)


def _bare(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)


def belonging(weights: Sequence[TensorSparsity], wanted: LayerTensor) -> tuple[int, ...]:
    """Give the positions of the tensors that are the layer's; empty when the file has none."""
    known = tuple(index for index, weight in enumerate(weights) if _is_of(weight, wanted.layer))
    if known:
        return known
    fitting = [index for index, weight in enumerate(weights) if _fits(weight, wanted)]
    own = [index for index in fitting if _product(wanted.layer).search(weights[index].name)]
    named = own or [
        index for index in fitting if _mention(wanted.layer).search(weights[index].name)
    ]
    nameless = (
        []
        if wanted.is_pattern or not wanted.shape
        else [index for index in fitting if "/" not in weights[index].name]
    )
    return tuple(named or nameless)


def _is_of(weight: TensorSparsity, layer: str) -> bool:
    """Whether values told that the tensor is a layer's, or of a layer inside or around it."""
    return any(
        fnmatchcase(part, layer)
        for name in weight.layers
        for part in (name, *(name.split("/") if "/" in name else ()))
    )


def _fits(weight: TensorSparsity, wanted: LayerTensor) -> bool:
    operator = not wanted.operators or weight.operator in wanted.operators
    return operator and (not wanted.shape or _bare(weight.shape) == wanted.shape)


@lru_cache(maxsize=4096)
def _product(layer: str) -> re.Pattern[str]:
    return re.compile(rf"(?:^|[/;])(?:quant_)?{_spelled(layer)}/(?:{_PRODUCTS})")


@lru_cache(maxsize=4096)
def _mention(layer: str) -> re.Pattern[str]:
    return re.compile(rf"(?:^|;)[^/;]+/(?:[^;]+/)?(?:quant_)?{_spelled(layer)}(?:/|;|$)")


def _spelled(layer: str) -> str:
    """Write a layer's name or pattern as a regular expression that stays within one name."""
    return re.escape(layer).replace(r"\*", "[^/;]*").replace(r"\?", "[^/;]")
