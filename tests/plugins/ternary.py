"""Ternary weights as a user writes them.

Three values in each output channel (Li & Liu 2016, "Ternary Weight Networks").
"""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from zoo_builders.networks.graph import Graph, Node
from zoo_builders.techniques.compress.algorithms import Algorithm, Params
from zoo_builders.tflite.layer_tensors import kernels_of
from zoo_builders.tflite.proof import Promise


class TernaryParams(Params):
    """What a manifest may say."""

    threshold: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.7, description="of a channel's mean magnitude; below it weights are 0"
    )


class Ternary(Algorithm):
    """Every weight becomes -a, 0 or a, with one a for each output channel."""

    name: ClassVar[str] = "ternary"
    doc: ClassVar[str] = (
        "Three values a channel. Shrinks the compressed file; costs accuracy in narrow layers,"
        " which it leaves alone."
    )
    params: ClassVar[type[Params]] = TernaryParams

    def fits(self, node: Node, params: TernaryParams) -> str:
        """Layers of some hundred weights."""
        del params
        return "" if math.prod(node.weights["kernel"]) >= 256 else "fewer than 256 weights"

    def project(
        self, node: Node, params: TernaryParams, weights: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Cut at the threshold, then the mean of what is left.

        A channel that is ternary already stays as it is.
        """
        del node
        flat = weights["kernel"].reshape(-1, weights["kernel"].shape[-1])
        size = np.abs(flat)
        done = np.array([len(np.unique(column[column > 0])) <= 1 for column in size.T])
        large = size > params.threshold * size.mean(axis=0)
        level = (size * large).sum(axis=0) / np.maximum(large.sum(axis=0), 1)
        ternary = np.where(done, flat, np.sign(flat) * large * level).astype(np.float32)
        return {**weights, "kernel": ternary.reshape(weights["kernel"].shape)}

    def promises(
        self, before: Graph, after: Graph, layers: Sequence[str], params: TernaryParams
    ) -> list[Promise]:
        """Three values a channel in the file."""
        del before, params
        return [
            Promise(
                technique=self.name,
                kind="distinct_at_most",
                value=3,
                per="channel",
                layers=kernels_of(after, layers),
            )
        ]
