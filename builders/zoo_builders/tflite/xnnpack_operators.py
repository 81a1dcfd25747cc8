"""What XNNPACK can make of each operator of a graph when it looks for its sparse path. Pure.

Follows `xnn_check_nchw_compatibility` of XNNPACK's src/subgraph.c, `xnn_is_chw_compatible_config`
of its hardware-config.h, and what TFLite's delegate makes of a file (it folds PAD into the
convolution behind it). How operators join into clusters is `xnnpack`'s.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Flag, auto

from zoo_builders.tflite import weight_tensors
from zoo_builders.tflite.tflite_file import Operator, Subgraph, Tensor

Pad = tuple[int, int, int, int]
"""What is added around an image: top, bottom, left, right."""

_SAME, _RGB, _RANK = 0, 3, 4
_UNARY = frozenset(
    {
        "ABS",
        "CEIL",
        "ELU",
        "EXP",
        "FLOOR",
        "GELU",
        "HARD_SWISH",
        "LEAKY_RELU",
        "LOG",
        "LOGISTIC",
        "NEG",
        "RELU",
        "RELU6",
        "RELU_0_TO_1",
        "RELU_N1_TO_1",
        "ROUND",
        "RSQRT",
        "SIN",
        "COS",
        "SQRT",
        "SQUARE",
        "TANH",
    }
)


class Role(Flag):
    """What an operator can be in a cluster."""

    NONE = 0
    INSIDE = auto()
    ENTRY = auto()
    EXIT = auto()


@dataclass(frozen=True, slots=True)
class _Window:
    """A convolution's window.

    Kernel, strides, dilations (height, width), padding (top, bottom, left, right) or None = SAME.
    """

    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    padding: Pad | None


@dataclass(slots=True)
class Node:
    """An operator as XNNPACK sees it.

    Attributes:
        inputs: the computed tensors that it reads after folding, by index.
        role: what it can be in a cluster.
        why: why it can be nothing there; empty where it can.
        leader: place of the node that speaks for its cluster; its own as long as it is alone.
        broken: whether something keeps it out of every cluster.
    """

    operator: Operator
    inputs: tuple[int, ...]
    role: Role
    why: str
    leader: int
    broken: bool = False

    @property
    def inside(self) -> bool:
        """Whether it can work channel by channel on what others gave it so."""
        return bool(self.role & (Role.INSIDE | Role.EXIT))

    @property
    def entered(self) -> bool:
        """Whether it can give its result channel by channel."""
        return bool(self.role & (Role.INSIDE | Role.ENTRY))


def nodes(graph: Subgraph) -> list[Node]:
    """List the operators as XNNPACK sees them, in order.

    Left out are those that unpack weights, and every PAD that is folded into a convolution.
    """
    pads = {op.index: pad for op in graph.operators if (pad := _folded_pad(graph, op)) is not None}
    seen = [
        operator
        for operator in graph.operators
        if operator.code not in weight_tensors.UNPACKING and operator.index not in pads
    ]
    return [
        Node(operator, *_judge(graph, operator, pads), leader=place)
        for place, operator in enumerate(seen)
    ]


def _folded_pad(graph: Subgraph, operator: Operator) -> Pad | None:
    """Give (top, bottom, left, right) of a PAD folded into the VALID convolution behind it."""
    readers = graph.consumers.get(operator.outputs[0], []) if operator.outputs else []
    if (
        operator.code != "PAD"
        or len(readers) != 1
        or readers[0].code not in {"CONV_2D", "DEPTHWISE_CONV_2D"}
    ):
        return None
    amounts = weight_tensors.constant(graph, operator.inputs[1])
    if (
        amounts is None
        or amounts.shape != (_RANK, 2)
        or amounts[0].any()
        or amounts[3].any()
        or readers[0].options.get("Padding") == _SAME
    ):
        return None
    return (int(amounts[1][0]), int(amounts[1][1]), int(amounts[2][0]), int(amounts[2][1]))


def _judge(
    graph: Subgraph, operator: Operator, pads: Mapping[int, Pad]
) -> tuple[tuple[int, ...], Role, str]:
    """Say which computed tensors it reads (past a folded PAD), what it can be, why not more."""
    read = [index for index in operator.inputs if index >= 0]
    data = tuple(index for index in read if weight_tensors.stored(graph, index) is None)
    pad = graph.producers.get(data[0]) if data else None
    padding = pads.get(pad.index) if pad else None
    inputs = (pad.inputs[0], *data[1:]) if pad and padding else data
    wrong = next(
        (
            tensor
            for index in (*read, *operator.outputs)
            if (tensor := _not_float(graph, index)) is not None
        ),
        None,
    )
    if wrong is not None:
        what = f"tensor {wrong.name!r} is {wrong.dtype}, the sparse path takes float only"
        return inputs, Role.NONE, what
    found = _role(graph, operator, padding)
    return (inputs, Role.NONE, found) if isinstance(found, str) else (inputs, found, "")


def _not_float(graph: Subgraph, index: int) -> Tensor | None:
    tensor = graph.tensors[index]
    shapes_and_axes = tensor.constant and tensor.dtype in {"int32", "int64"}
    return None if shapes_and_axes or tensor.dtype in {"float32", "float16"} else tensor


def _role(graph: Subgraph, operator: Operator, padding: Pad | None) -> Role | str:
    """Say what an operator can be, or why it can be nothing."""
    shape = (
        graph.tensors[operator.inputs[0]].shape
        if operator.inputs and operator.inputs[0] >= 0
        else ()
    )
    if operator.code in {"CONV_2D", "DEPTHWISE_CONV_2D"}:
        window = _window(graph, operator, padding)
        return (
            _conv(window, filters_of(graph, operator), shape)
            if operator.code == "CONV_2D"
            else _depthwise(window, operator.options)
        )
    if operator.code == "FULLY_CONNECTED":
        return Role.INSIDE
    if operator.code == "DEPTH_TO_SPACE":
        return Role.EXIT
    if operator.code not in {"ADD", "MUL", "MEAN", "SUM", "RESIZE_BILINEAR", *_UNARY}:
        return f"{operator.code} has no sparse counterpart"
    if len(shape) != _RANK:
        return f"its input has {len(shape)} dimensions, 4 are needed"
    return _other(graph, operator, shape)


def _other(graph: Subgraph, operator: Operator, shape: tuple[int, ...]) -> Role | str:
    if operator.code in {"MEAN", "SUM"}:
        return Role.INSIDE | Role.EXIT
    if operator.code == "RESIZE_BILINEAR" and min(shape[1:3]) <= 1:
        return f"bilinear resize of {shape[1]}x{shape[2]}"
    if operator.code in {"ADD", "MUL"}:
        shapes = [graph.tensors[index] for index in operator.inputs if index >= 0]
        if any(len(tensor.shape) != _RANK for tensor in shapes):
            return "both sides must have 4 dimensions"
        wide = next(
            (t for t in shapes if t.constant and sum(size != 1 for size in t.shape) > 1), None
        )
        if wide is not None:
            return f"constant {wide.name!r} of shape {wide.shape} is neither a scalar nor a vector"
    return Role.INSIDE


def filters_of(graph: Subgraph, operator: Operator) -> tuple[int, ...]:
    """Give the shape of the filters of an operator that has some."""
    return graph.tensors[operator.inputs[1]].shape


def _window(graph: Subgraph, operator: Operator, padding: Pad | None) -> _Window:
    options = operator.options
    kernel = filters_of(graph, operator)[1:3]
    window = _Window(
        (kernel[0], kernel[1]),
        (options.get("StrideH", 1), options.get("StrideW", 1)),
        (options.get("DilationHFactor", 1), options.get("DilationWFactor", 1)),
        padding or (0, 0, 0, 0),
    )
    return _same(window) if options.get("Padding", _SAME) == _SAME else window


def _same(window: _Window) -> _Window:
    """Spell SAME padding out where the stride is 1, as XNNPACK does.

    With a stride it stays SAME, which the sparse path refuses.
    """
    if window.strides != (1, 1):
        return replace(window, padding=None)
    high, wide = ((window.kernel[axis] - 1) * window.dilations[axis] for axis in (0, 1))
    return replace(window, padding=(high // 2, high - high // 2, wide // 2, wide - wide // 2))


def _conv(window: _Window, filters: Sequence[int], shape: Sequence[int]) -> Role | str:
    if len(shape) == _RANK and filters[3] != shape[3]:
        return "grouped convolution"
    if window.dilations != (1, 1):
        return f"dilation {window.dilations}"
    size = f"{window.kernel[0]}x{window.kernel[1]} convolution"
    padding = "SAME" if window.padding is None else window.padding
    if window.kernel == (1, 1):
        if window.strides != (1, 1) or window.padding != (0, 0, 0, 0):
            return (
                f"{size} with stride {window.strides} and padding {padding}; only stride 1"
                " without padding"
            )
        return Role.INSIDE
    if (
        window.kernel == (3, 3)
        and window.strides == (2, 2)
        and window.padding == (1, 1, 1, 1)
        and filters[3] == _RGB
    ):
        return Role.ENTRY
    wanted = "only the stem may be 3x3, with stride 2, padding 1 on all sides and 3 input channels"
    return (
        f"{size} with stride {window.strides}, padding {padding}, {filters[3]} input channels;"
        f" {wanted}"
    )


def _depthwise(window: _Window, options: Mapping[str, int]) -> Role | str:
    size = window.kernel[0]
    if (
        window.kernel not in {(3, 3), (5, 5)}
        or window.strides not in {(1, 1), (2, 2)}
        or window.dilations != (1, 1)
    ):
        return (
            f"depthwise {window.kernel} with stride {window.strides} and dilation"
            f" {window.dilations}; only 3x3 or 5x5, stride 1 or 2"
        )
    if options.get("DepthMultiplier", 1) != 1:
        return f"depth multiplier {options['DepthMultiplier']}, only 1"
    if window.padding != (size // 2,) * 4:
        padding = "SAME" if window.padding is None else window.padding
        return (
            f"depthwise {size}x{size} with stride {window.strides} and padding {padding};"
            f" {size // 2} is needed on all sides"
        )
    return Role.INSIDE
