"""What a manifest may say about `cluster`."""

from typing import Annotated, Literal

from pydantic import Field

from zoo_builders.networks import layer_selection
from zoo_builders.spec import Spec

Clusters = Annotated[int, Field(ge=3, le=1024)]


class LayerRule(layer_selection.Rule):
    """One rule of `layers`: which layers, and what is different there."""

    clusters: Clusters | None = Field(
        default=None, description="distinct values in these layers; default: the step's"
    )
    per_channel: bool | None = Field(
        default=None,
        description="values for each output channel in these layers; default: the step's",
    )


class Params(Spec):
    """What a manifest may say about `cluster`."""

    clusters: Clusters = Field(
        default=16,
        description="distinct values in each clustered tensor (or channel), zero included",
    )
    per_channel: bool = Field(
        default=False,
        description="values for each output channel of a Conv2D instead of for the whole kernel",
    )
    init: Literal["kmeans++", "linear", "density", "random"] = Field(
        default="kmeans++", description="how the first shared values are found"
    )
    preserve: Literal["none", "sparsity"] | None = Field(
        default=None,
        description="sparsity: weights that prune set to zero stay zero; inferred from the recipe",
    )
    fold_batch_norm: bool = Field(
        default=True,
        description=(
            "fold batch normalisation first, so that values stay shared in the finished file"
        ),
    )
    layers: tuple[LayerRule, ...] = Field(
        default=(),
        description=(
            "cluster only layers that a rule picks, each as its first rule says; empty: all"
        ),
    )
    skip: tuple[layer_selection.Rule, ...] = Field(
        default=(), description="layers to leave as they are"
    )
    epochs: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=3, description="epochs of fine-tuning"
    )
    batch_size: Annotated[int, Field(ge=1, le=65_536)] | None = Field(
        default=None, description="default: the base's"
    )
    learning_rate: Annotated[float, Field(gt=0, le=10)] = Field(
        default=1e-4, description="small: the shared values only drift into place"
    )

    @property
    def most(self) -> int:
        """Most values that any clustered kernel (or channel of one) shares."""
        return max([self.clusters, *(rule.clusters for rule in self.layers if rule.clusters)])
