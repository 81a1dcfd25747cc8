"""`svd`: a Dense or 1x1 convolution becomes two of low rank, by singular value decomposition.

Denton et al. 2014; Xue et al. 2013.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar

from pydantic import Field, model_validator

from zoo_builders.networks import verdicts
from zoo_builders.networks.graph import Node
from zoo_builders.techniques.compress.algorithms import ALGORITHMS, Algorithm, Arrays, Params


class SvdParams(Params):
    """What a manifest may say about `svd`."""

    rank: Annotated[int, Field(ge=1, le=65_536)] | None = Field(
        default=None, description="rank of every compressed layer"
    )
    share: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=0.5,
        description=(
            "instead of rank: of the rank from which two layers would have as many weights as one"
        ),
    )
    energy: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None,
        description=(
            "instead of rank: share of the squared singular values to keep, as far as that saves"
            " weights"
        ),
    )

    @model_validator(mode="before")
    @classmethod
    def _one_of_three(cls, given: Any) -> Any:
        if (
            isinstance(given, dict)
            and "share" not in given
            and (given.get("rank") is not None or given.get("energy") is not None)
        ):
            return {**given, "share": None}
        return given

    @model_validator(mode="after")
    def _exactly_one(self) -> "SvdParams":
        if sum(value is not None for value in (self.rank, self.share, self.energy)) != 1:
            raise ValueError("say one of rank, share and energy")
        return self


class Svd(Algorithm):
    """K [inputs, outputs] = U S V, cut after the r largest singular values.

    A layer U sqrt(S), then one sqrt(S) V.
    """

    name: ClassVar[str] = "svd"
    params: ClassVar[type[Params]] = SvdParams
    doc: ClassVar[str] = """Low-rank factorisation of Dense layers and 1x1 convolutions.

    Cuts parameters and multiplications of wide layers in any encoding, so it shrinks every file and
    shortens latency on every device where the layer's work dominates; two small operators in place
    of one cost more than they save in narrow layers. Combines with pruning and quantization
    afterwards. Spatial and depthwise kernels stay as they are.
    """

    def fits(self, node: Node, params: SvdParams) -> str:
        """Dense and 1x1 kernels of one group whose two factors are smaller than they are."""
        kernel = node.weights["kernel"]
        if kernel[:-2] not in {(), (1, 1)} or node.config.get("groups", 1) != 1:
            return (
                f"a kernel of {'x'.join(map(str, kernel))} is no matrix: only Dense and 1x1"
                " convolutions of one group are"
            )
        most = _break_even(node)
        if most < 1:
            return f"two layers of rank 1 have no fewer weights than its {kernel[-2]}x{kernel[-1]}"
        if params.rank is not None and params.rank > most:
            return (
                f"rank {params.rank} saves no weights: up to {most} does for"
                f" {kernel[-2]}x{kernel[-1]}"
            )
        return ""

    def instead(self, node: Node, params: SvdParams) -> str:
        """Lower a rank that is too high.

        Kernels that are no matrix, or too small, are for other techniques.
        """
        del params
        kernel = node.weights["kernel"]
        if kernel[:-2] not in {(), (1, 1)} or node.config.get("groups", 1) != 1:
            return f"{verdicts.NOTHING}prune, cluster and quantize take it as it is"
        if _break_even(node) < 1:
            return (
                f"{verdicts.NOTHING}it has {kernel[-2] * kernel[-1]:,} weights to save on; or make"
                " it wider"
            )
        return f"lower rank to {_break_even(node)}, or add {{name: {node.name}}} to skip"

    def replace(
        self, node: Node, params: SvdParams, weights: Arrays | None = None
    ) -> tuple[Node, ...]:
        """Put the layer of r outputs before the one of the old name.

        The layer of the old name keeps bias and activation.
        """
        rank = _rank(node, params, weights)
        kernel = node.weights["kernel"]
        first: dict[str, Any] = (
            {"units": rank} if node.op == "Dense" else {**node.config, "filters": rank}
        )
        narrow = Node(
            f"{node.name}_{self.name}",
            node.op,
            {**first, "use_bias": False, "activation": None},
            node.inputs,
            (*node.shape[:-1], rank),
            {"kernel": (*kernel[:-1], rank)},
        )
        config = {**node.config, **({} if node.op == "Dense" else {"strides": 1})}
        wide = replace(
            node,
            config=config,
            inputs=(narrow.name,),
            weights={**node.weights, "kernel": (*kernel[:-2], rank, kernel[-1])},
        )
        return narrow, wide

    def bake(
        self, node: Node, params: SvdParams, weights: Arrays, into: Sequence[Node]
    ) -> Mapping[str, Arrays]:
        """Share the singular values evenly between the two factors."""
        import numpy as np

        del params
        narrow, wide = into
        matrix = np.asarray(weights["kernel"], np.float64).reshape(node.weights["kernel"][-2:])
        left, values, right = np.linalg.svd(matrix, full_matrices=False)
        rank, root = narrow.shape[-1], np.sqrt(values)
        factors = (left * root)[:, :rank], (root[:, None] * right)[:rank]
        first, second = (
            factor.reshape(layer.weights["kernel"]).astype(np.float32)
            for factor, layer in zip(factors, into, strict=True)
        )
        return {narrow.name: {"kernel": first}, wide.name: {**weights, "kernel": second}}


def _break_even(node: Node) -> int:
    """Give the largest rank with which two layers have fewer weights than one.

    The narrow layer's bias in the file counts too.
    """
    inputs, outputs = node.weights["kernel"][-2:]
    return (inputs * outputs - 1) // (inputs + outputs + 1)


def _rank(node: Node, params: SvdParams, weights: Arrays | None) -> int:
    most = _break_even(node)
    if params.rank is not None:
        return params.rank
    if params.share is not None:
        return max(1, round(params.share * most))
    if weights is None or params.energy is None:
        return 0
    import numpy as np

    values = (
        np.linalg.svd(
            np.asarray(weights["kernel"], np.float64).reshape(node.weights["kernel"][-2:]),
            compute_uv=False,
        )
        ** 2
    )
    kept = np.cumsum(values) / max(values.sum(), np.finfo(np.float64).tiny)
    return min(most, int(np.searchsorted(kept, params.energy)) + 1)


SVD = ALGORITHMS.add(Svd.name, Svd())
