"""How a model is trained, as a manifest says it."""

from typing import Annotated, Literal

from pydantic import Field

from zoo_builders.spec import Spec


class Crop(Spec):
    """Shift each image of a training batch by up to `crop` pixels each way.

    What slides in is its own mirror image.
    """

    crop: Annotated[int, Field(ge=1, le=256)]


class Train(Spec):
    """How the base is trained, or fine-tuned by techniques that say nothing else."""

    epochs: Annotated[int, Field(ge=1, le=10_000)] = 10
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = 128
    optimizer: Literal["adam", "sgd", "rmsprop"] = "adam"
    learning_rate: Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)] = 1e-3
    schedule: Literal["constant", "cosine"] = Field(
        default="constant",
        description=(
            "of the learning rate: as it is, or falling to zero over all steps along a cosine"
        ),
    )
    augment: list[Literal["flip"] | Crop] = Field(
        default=[],
        description=(
            "of training images, anew each epoch: flip (left and right, every second one), {crop:"
            " pixels}"
        ),
    )
    trainer: str | None = Field(
        default=None,
        description=(
            "a training loop of your own: python:package.module:function or ./file.py:function;"
            " default: Keras' fit"
        ),
    )
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
