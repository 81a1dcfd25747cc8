"""Will XNNPACK run this graph with its sparse kernels, on which CPUs, and if not: why not. Pure.

Follows `xnn_check_nchw_compatibility` and `xnn_subgraph_rewrite_for_nchw` of XNNPACK's
src/subgraph.c, `xnn_is_chw_compatible_config` of its hardware-config.h, and what TFLite's delegate
makes of a file (hints sparsity when it meets a DENSIFY, folds PAD into the convolution behind it).
XNNPACK looks for clusters of operators that can work channel by channel (NCHW): entered by the stem
(a 3x3 stride-2 convolution), left by a mean. One value of the cluster that comes from elsewhere, or
is read elsewhere, turns all of it off.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Flag, auto
from typing import Any

from zoo_builders.tflite import weight_tensors
from zoo_builders.tflite.flatbuffer import Operator, Subgraph, Tensor
from zoo_registry.model.record import Xnnpack

CPUS = ("arm64", "arm", "wasm-simd", "riscv")
"""Where the sparse path exists.

On x86 it is off wherever AVX is on: dense is expected to be faster there.
"""

SHARE = (2, 3)
"""More than this share of the cluster's 1x1 and fully connected weights must be zero."""

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


class _Role(Flag):
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
    padding: tuple[int, int, int, int] | None


@dataclass(slots=True)
class _Node:
    """An operator as XNNPACK sees it.

    What it reads and writes after folding, what it can be, and why it cannot.
    """

    operator: Operator
    inputs: tuple[int, ...]
    role: _Role
    why: str
    leader: int
    broken: bool = False

    @property
    def inside(self) -> bool:
        return bool(self.role & (_Role.INSIDE | _Role.EXIT))

    @property
    def entered(self) -> bool:
        return bool(self.role & (_Role.INSIDE | _Role.ENTRY))


def predict(graph: Subgraph) -> Xnnpack:
    """Say whether the sparse path opens for `graph`.

    The reason names the first operator or tensor in the way, or the share of zeros.
    """
    if not any(operator.code == "DENSIFY" for operator in graph.operators):
        return Xnnpack(
            predicted_sparse=False,
            reason=(
                "no weight is stored sparse (no DENSIFY), so the delegate does not look for the"
                " path"
            ),
        )
    view = _View(graph)
    if not any(node.role & _Role.EXIT for node in view.nodes):
        return Xnnpack(
            predicted_sparse=False,
            reason="no mean or global pooling ends the sparse part of the graph",
        )
    view.grow()
    return view.verdict()


class _View:
    """A subgraph as XNNPACK gets it, and the search for clusters in it."""

    def __init__(self, graph: Subgraph) -> None:
        self._graph, self._all_producers = graph, graph.producers()
        self._readers = graph.consumers()
        self._blocks: list[tuple[int, str]] = []
        self._pads = {
            op.index: pads for op in graph.operators if (pads := self._pad(op)) is not None
        }
        self.nodes: list[_Node] = []
        for operator in graph.operators:
            if operator.code not in weight_tensors.UNPACKING and operator.index not in self._pads:
                role, why, inputs = self._judge(operator)
                self.nodes.append(_Node(operator, inputs, role, why, leader=len(self.nodes)))
        self._writers = {
            tensor: index
            for index, node in enumerate(self.nodes)
            for tensor in node.operator.outputs
        }

    def _pad(self, operator: Operator) -> tuple[int, int, int, int] | None:
        """Give (top, bottom, left, right) of a PAD folded into the VALID convolution behind it."""
        readers = self._readers.get(operator.outputs[0], []) if operator.outputs else []
        if (
            operator.code != "PAD"
            or len(readers) != 1
            or readers[0].code not in {"CONV_2D", "DEPTHWISE_CONV_2D"}
        ):
            return None
        amounts = self._constant(operator.inputs[1])
        if (
            amounts is None
            or amounts.shape != (_RANK, 2)
            or amounts[0].any()
            or amounts[3].any()
            or readers[0].options.get("Padding") == _SAME
        ):
            return None
        return (int(amounts[1][0]), int(amounts[1][1]), int(amounts[2][0]), int(amounts[2][1]))

    def _constant(self, index: int) -> Any:
        tensor = weight_tensors.stored(self._graph, self._all_producers, index)
        return None if tensor is None else weight_tensors.values(tensor)

    def _judge(self, operator: Operator) -> tuple[_Role, str, tuple[int, ...]]:
        """Decide what an operator can be, why not more.

        And which computed tensors it reads (past a folded PAD).
        """
        read = [index for index in operator.inputs if index >= 0]
        data = tuple(
            index
            for index in read
            if weight_tensors.stored(self._graph, self._all_producers, index) is None
        )
        pad = self._all_producers.get(data[0]) if data else None
        padding = self._pads.get(pad.index) if pad else None
        inputs = (pad.inputs[0], *data[1:]) if pad and padding else data
        wrong = next(
            (
                tensor
                for index in (*read, *operator.outputs)
                if (tensor := self._not_float(index)) is not None
            ),
            None,
        )
        if wrong is not None:
            return (
                _Role.NONE,
                f"tensor {wrong.name!r} is {wrong.dtype}, the sparse path takes float only",
                inputs,
            )
        role, why = self._role(operator, padding)
        return role, why, inputs

    def _not_float(self, index: int) -> Tensor | None:
        tensor = self._graph.tensors[index]
        shapes_and_axes = tensor.constant and tensor.dtype in {"int32", "int64"}
        return None if shapes_and_axes or tensor.dtype in {"float32", "float16"} else tensor

    def _role(
        self, operator: Operator, padding: tuple[int, int, int, int] | None
    ) -> tuple[_Role, str]:
        shape = (
            self._graph.tensors[operator.inputs[0]].shape
            if operator.inputs and operator.inputs[0] >= 0
            else ()
        )
        if operator.code in {"CONV_2D", "DEPTHWISE_CONV_2D"}:
            window = self._window(operator, padding)
            return (
                _conv(window, self._filter(operator), shape)
                if operator.code == "CONV_2D"
                else _depthwise(window, operator.options)
            )
        if operator.code == "FULLY_CONNECTED":
            return _Role.INSIDE, ""
        if operator.code == "DEPTH_TO_SPACE":
            return _Role.EXIT, ""
        if operator.code not in {"ADD", "MUL", "MEAN", "SUM", "RESIZE_BILINEAR", *_UNARY}:
            return _Role.NONE, f"{operator.code} has no sparse counterpart"
        if len(shape) != _RANK:
            return _Role.NONE, f"its input has {len(shape)} dimensions, 4 are needed"
        return self._other(operator, shape)

    def _other(self, operator: Operator, shape: tuple[int, ...]) -> tuple[_Role, str]:
        if operator.code in {"MEAN", "SUM"}:
            return _Role.INSIDE | _Role.EXIT, ""
        if operator.code == "RESIZE_BILINEAR" and min(shape[1:3]) <= 1:
            return _Role.NONE, f"bilinear resize of {shape[1]}x{shape[2]}"
        if operator.code in {"ADD", "MUL"}:
            shapes = [self._graph.tensors[index] for index in operator.inputs if index >= 0]
            if any(len(tensor.shape) != _RANK for tensor in shapes):
                return _Role.NONE, "both sides must have 4 dimensions"
            wide = next(
                (t for t in shapes if t.constant and sum(size != 1 for size in t.shape) > 1), None
            )
            if wide is not None:
                return (
                    _Role.NONE,
                    (
                        f"constant {wide.name!r} of shape {wide.shape} is neither a scalar nor a"
                        " vector"
                    ),
                )
        return _Role.INSIDE, ""

    def _filter(self, operator: Operator) -> tuple[int, ...]:
        return self._graph.tensors[operator.inputs[1]].shape

    def _window(self, operator: Operator, padding: tuple[int, int, int, int] | None) -> _Window:
        options = operator.options
        kernel = self._filter(operator)[1:3]
        window = _Window(
            (kernel[0], kernel[1]),
            (options.get("StrideH", 1), options.get("StrideW", 1)),
            (options.get("DilationHFactor", 1), options.get("DilationWFactor", 1)),
            padding or (0, 0, 0, 0),
        )
        return _same(window) if options.get("Padding", _SAME) == _SAME else window

    def grow(self) -> None:
        """Join operators into clusters from the exits upwards.

        And mark clusters that something breaks.
        """
        changed = self._sweep(lambda node: bool(node.role & _Role.EXIT))
        while changed:
            changed = self._sweep(lambda node: node.inside)
        for node in list(self.nodes):
            self.nodes[node.leader].broken |= node.broken
        self._check_readers()
        self._check_ends()

    def _sweep(self, chosen: Callable[[_Node], bool]) -> bool:
        changed = False
        for node in self.nodes:
            if not chosen(node) or node.broken:
                continue
            for tensor in node.inputs:
                changed |= self._join(node, tensor)
        return changed

    def _join(self, node: _Node, tensor: int) -> bool:
        producer = self.nodes[self._writers[tensor]] if tensor in self._writers else None
        if producer is None or not producer.entered or producer.broken:
            self._break(node, producer, f"it reads {self._graph.tensors[tensor].name!r}")
            return False
        producer.role &= ~_Role.EXIT
        if producer.leader == node.leader:
            return False
        producer.leader = node.leader = max(producer.leader, node.leader)
        return True

    def _break(self, node: _Node, other: _Node | None, how: str) -> None:
        node.broken = True
        if other is None:
            self._blocks.append(
                (
                    node.operator.index,
                    (
                        f"{self._call(node)}: {how}, an input of the graph; the stem must be a 3x3"
                        " stride-2 CONV_2D"
                    ),
                )
            )
        elif other.why:
            self._blocks.append((other.operator.index, f"{self._call(other)}: {other.why}"))

    def _call(self, node: _Node) -> str:
        name = self._graph.tensors[node.operator.outputs[0]].name if node.operator.outputs else ""
        return f"{node.operator.code} {name!r}"

    def _check_readers(self) -> None:
        """Break clusters with a value that is read by an operator outside.

        Or is an output of the graph.
        """
        live = [node for node in self.nodes if node.inside and not self.nodes[node.leader].broken]
        for tensor in {tensor for node in live for tensor in node.inputs}:
            outside = next((n for n in self.nodes if tensor in n.inputs and n not in live), None)
            if outside is None and tensor not in self._graph.outputs:
                continue
            leader = next(node.leader for node in live if tensor in node.inputs)
            self.nodes[leader].broken = True
            name = self._graph.tensors[tensor].name
            self._blocks.append(
                (
                    outside.operator.index,
                    (
                        f"{self._call(outside)} also reads {name!r} of the cluster:"
                        f" {outside.why or 'it is outside'}"
                    ),
                )
                if outside
                else (len(self.nodes), f"{name!r} of the cluster is an output of the graph")
            )

    def _check_ends(self) -> None:
        """Break clusters that are left elsewhere than at a mean or a fully connected operator.

        Nothing turns them back to NHWC there.
        """
        for node in self.nodes:
            inside = (
                node.inside and self._joined(node.leader) and not self.nodes[node.leader].broken
            )
            if not inside or node.role & _Role.EXIT or node.operator.code == "FULLY_CONNECTED":
                continue
            readers = [
                other for other in self.nodes if set(node.operator.outputs) & set(other.inputs)
            ]
            if not any(other.leader == node.leader and other.inside for other in readers):
                self.nodes[node.leader].broken = True
                self._blocks.append(self._end(node, readers))

    def _end(self, node: _Node, readers: Sequence[_Node]) -> tuple[int, str]:
        """Say what stands behind the last operator of a cluster that no mean ends."""
        other = next((reader for reader in readers if reader.why), None)
        if other is not None:
            return other.operator.index, f"{self._call(other)}: {other.why}"
        return (
            node.operator.index,
            f"{self._call(node)}: no mean or fully connected operator behind it ends the cluster",
        )

    def verdict(self) -> Xnnpack:
        """Judge the clusters that stand by their share of zeros."""
        zeros, counted = dict[int, int](), dict[int, int]()
        for node in self.nodes:
            pointwise = (
                node.operator.code == "CONV_2D" and max(self._filter(node.operator)[1:3]) == 1
            )
            tensor = (
                node.operator.inputs[1]
                if pointwise or node.operator.code == "FULLY_CONNECTED"
                else -1
            )
            values = (
                None if tensor < 0 or self.nodes[node.leader].broken else self._constant(tensor)
            )
            if values is not None:
                counted[node.leader] = counted.get(node.leader, 0) + values.size
                zeros[node.leader] = zeros.get(node.leader, 0) + int((values == 0).sum())
        live = {node.leader for node in self.nodes if node.inside and node.inputs} & set(counted)
        return self._answer(
            {leader: (zeros[leader], counted[leader]) for leader in live if self._joined(leader)}
        )

    def _joined(self, leader: int) -> bool:
        """Whether a leader leads more than itself."""
        return sum(node.leader == leader for node in self.nodes) > 1

    def _answer(self, clusters: Mapping[int, tuple[int, int]]) -> Xnnpack:
        won = [pair for pair in clusters.values() if pair[0] * SHARE[1] > pair[1] * SHARE[0]]
        if won:
            zeros, counted = max(won, key=lambda pair: pair[1])
            share = (
                f"{zeros / counted:.1%} of the {counted} weights of its 1x1 and fully connected"
                " layers are zero"
            )
            return Xnnpack(
                predicted_sparse=True, cpus=CPUS, reason=f"{share}; more than 2/3 are needed"
            )
        if clusters:
            zeros, counted = max(clusters.values(), key=lambda pair: pair[0] / pair[1])
            reason = (
                f"{zeros / counted:.1%} of the {counted} weights of its 1x1 and fully connected"
                " layers are zero, more than 2/3 are needed"
            )
        else:
            reason = min(
                self._blocks, default=(0, "no cluster of operators can run channel by channel")
            )[1]
        return Xnnpack(predicted_sparse=False, reason=reason)


def _same(window: _Window) -> _Window:
    """Spell SAME padding out where the stride is 1, as XNNPACK does.

    With a stride it stays SAME, which the sparse path refuses.
    """
    if window.strides != (1, 1):
        return replace(window, padding=None)
    high, wide = ((window.kernel[axis] - 1) * window.dilations[axis] for axis in (0, 1))
    return replace(window, padding=(high // 2, high - high // 2, wide // 2, wide - wide // 2))


def _conv(window: _Window, filters: Sequence[int], shape: Sequence[int]) -> tuple[_Role, str]:
    if len(shape) == _RANK and filters[3] != shape[3]:
        return _Role.NONE, "grouped convolution"
    if window.dilations != (1, 1):
        return _Role.NONE, f"dilation {window.dilations}"
    size = f"{window.kernel[0]}x{window.kernel[1]} convolution"
    padding = "SAME" if window.padding is None else window.padding
    if window.kernel == (1, 1):
        if window.strides != (1, 1) or window.padding != (0, 0, 0, 0):
            return (
                _Role.NONE,
                (
                    f"{size} with stride {window.strides} and padding {padding}; only stride 1"
                    " without padding"
                ),
            )
        return _Role.INSIDE, ""
    if (
        window.kernel == (3, 3)
        and window.strides == (2, 2)
        and window.padding == (1, 1, 1, 1)
        and filters[3] == _RGB
    ):
        return _Role.ENTRY, ""
    wanted = "only the stem may be 3x3, with stride 2, padding 1 on all sides and 3 input channels"
    return (
        _Role.NONE,
        (
            f"{size} with stride {window.strides}, padding {padding}, {filters[3]} input channels;"
            f" {wanted}"
        ),
    )


def _depthwise(window: _Window, options: Mapping[str, int]) -> tuple[_Role, str]:
    size = window.kernel[0]
    if (
        window.kernel not in {(3, 3), (5, 5)}
        or window.strides not in {(1, 1), (2, 2)}
        or window.dilations != (1, 1)
    ):
        return (
            _Role.NONE,
            (
                f"depthwise {window.kernel} with stride {window.strides} and dilation"
                f" {window.dilations}; only 3x3 or 5x5, stride 1 or 2"
            ),
        )
    if options.get("DepthMultiplier", 1) != 1:
        return _Role.NONE, f"depth multiplier {options['DepthMultiplier']}, only 1"
    if window.padding != (size // 2,) * 4:
        padding = "SAME" if window.padding is None else window.padding
        return (
            _Role.NONE,
            (
                f"depthwise {size}x{size} with stride {window.strides} and padding {padding};"
                f" {size // 2} is needed on all sides"
            ),
        )
    return _Role.INSIDE, ""
