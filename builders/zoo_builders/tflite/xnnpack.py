"""Will XNNPACK run this graph with its sparse kernels, on which CPUs, and if not: why not. Pure.

Follows `xnn_subgraph_rewrite_for_nchw` of XNNPACK's src/subgraph.c, and TFLite's delegate, which
hints sparsity when it meets a DENSIFY. What each operator can be is said by `xnnpack_operators`.
XNNPACK looks for clusters of operators that can work channel by channel (NCHW): entered by the stem
(a 3x3 stride-2 convolution), left by a mean. One value of the cluster that comes from elsewhere, or
is read elsewhere, turns all of it off.
"""

from collections.abc import Callable, Mapping, Sequence

from zoo_builders.tflite import weight_tensors
from zoo_builders.tflite.tflite_file import Subgraph
from zoo_builders.tflite.xnnpack_operators import Node, Role, filters_of, nodes
from zoo_registry.model.record import Xnnpack

CPUS = ("arm64", "arm", "wasm-simd", "riscv")
"""Where the sparse path exists.

On x86 it is off wherever AVX is on: dense is expected to be faster there.
"""

SHARE = (2, 3)
"""More than this share of the cluster's 1x1 and fully connected weights must be zero."""


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
    if not any(node.role & Role.EXIT for node in view.nodes):
        return Xnnpack(
            predicted_sparse=False,
            reason="no mean or global pooling ends the sparse part of the graph",
        )
    view.grow()
    return view.verdict()


class _View:
    """A subgraph as XNNPACK gets it, and the search for clusters in it."""

    def __init__(self, graph: Subgraph) -> None:
        self._graph, self.nodes = graph, nodes(graph)
        self._blocks: list[tuple[int, str]] = []
        self._writers = {
            tensor: index
            for index, node in enumerate(self.nodes)
            for tensor in node.operator.outputs
        }

    def grow(self) -> None:
        """Join operators into clusters from the exits upwards.

        Clusters that something breaks are marked.
        """
        changed = self._sweep(lambda node: bool(node.role & Role.EXIT))
        while changed:
            changed = self._sweep(lambda node: node.inside)
        for node in list(self.nodes):
            self.nodes[node.leader].broken |= node.broken
        self._check_readers()
        self._check_ends()

    def _sweep(self, chosen: Callable[[Node], bool]) -> bool:
        changed = False
        for node in self.nodes:
            if not chosen(node) or node.broken:
                continue
            for tensor in node.inputs:
                changed |= self._join(node, tensor)
        return changed

    def _join(self, node: Node, tensor: int) -> bool:
        producer = self.nodes[self._writers[tensor]] if tensor in self._writers else None
        if producer is None or not producer.entered or producer.broken:
            self._break(node, producer, f"it reads {self._graph.tensors[tensor].name!r}")
            return False
        producer.role &= ~Role.EXIT
        if producer.leader == node.leader:
            return False
        producer.leader = node.leader = max(producer.leader, node.leader)
        return True

    def _break(self, node: Node, other: Node | None, how: str) -> None:
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

    def _call(self, node: Node) -> str:
        name = self._graph.tensors[node.operator.outputs[0]].name if node.operator.outputs else ""
        return f"{node.operator.code} {name!r}"

    def _check_readers(self) -> None:
        """Break clusters with a value that an operator outside reads or the graph gives out."""
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
            if not inside or node.role & Role.EXIT or node.operator.code == "FULLY_CONNECTED":
                continue
            readers = [
                other for other in self.nodes if set(node.operator.outputs) & set(other.inputs)
            ]
            if not any(other.leader == node.leader and other.inside for other in readers):
                self.nodes[node.leader].broken = True
                self._blocks.append(self._end(node, readers))

    def _end(self, node: Node, readers: Sequence[Node]) -> tuple[int, str]:
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
                node.operator.code == "CONV_2D"
                and max(filters_of(self._graph, node.operator)[1:3]) == 1
            )
            tensor = (
                node.operator.inputs[1]
                if pointwise or node.operator.code == "FULLY_CONNECTED"
                else -1
            )
            values = (
                None
                if tensor < 0 or self.nodes[node.leader].broken
                else weight_tensors.constant(self._graph, tensor)
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
