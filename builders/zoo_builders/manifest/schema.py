"""What a manifest may say, as types.

Unknown keys are refused; every default is here and is printed by `zoo plan`.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from zoo_builders.data.report import MAX_OVERLAP
from zoo_builders.spec import Name, Sha256, Share, Spec
from zoo_builders.training.settings import Train


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Variants = Annotated[list[Name], BeforeValidator(_listed, json_schema_input_type=Name | list[Name])]


class Weights(Spec):
    """Where the base's weights come from.

    Further keys are the source's own (`zoo list weights`); fetched files carry a sha256.
    """

    model_config = ConfigDict(frozen=True, extra="allow", protected_namespaces=())

    source: str = "train"
    fine_tune: Annotated[int, Field(ge=0, le=10_000)] = Field(
        default=0,
        description=(
            "epochs of training after borrowed weights are in place, with the other settings of"
            " `train`"
        ),
    )

    @property
    def args(self) -> dict[str, Any]:
        """What the source itself is told."""
        return dict(self.model_extra or {})


class Base(Spec):
    """The base model: a network with its arguments, or a finished Keras file, and its weights.

    It can also be a finished `.tflite` file.
    """

    network: str = Field(
        default="",
        description=(
            "a file in models/, python:package.module:function, or a path to .keras, .h5 or a"
            " SavedModel folder"
        ),
    )
    tflite: str = Field(
        default="",
        description=(
            "instead of a network: path to a .tflite file; one of floats can be quantized, any is"
            " taken as it is by a variant without steps"
        ),
    )
    signature: str = Field(
        default="", description="of a .tflite file with several signatures: the one that is meant"
    )
    output: str | int | None = Field(
        default=None,
        description=(
            "of a .tflite file with several outputs: name or position of the one that metrics"
            " speak of"
        ),
    )
    sha256: Sha256 | None = Field(default=None, description="of the .tflite file")
    args: dict[str, Any] = Field(default={})
    weights: Weights = Weights()
    train: Train = Train()

    @model_validator(mode="after")
    def _one_kind(self) -> "Base":
        if bool(self.network) == bool(self.tflite):
            raise ValueError("the base is either a network or a tflite file: write one of the two")
        beside = [name for name in ("args", "weights", "train") if name in self.model_fields_set]
        if self.tflite and beside:
            raise ValueError(
                f"{', '.join(beside)}: a finished .tflite file is neither built nor trained"
            )
        of_a_file = [name for name in ("signature", "output") if name in self.model_fields_set]
        if of_a_file and not self.tflite:
            raise ValueError(f"{', '.join(of_a_file)}: these words belong to a tflite file")
        if self.sha256 is not None and not self.tflite:
            raise ValueError(
                "sha256 here belongs to a tflite file; that of weights stands below weights"
            )
        return self


class Data(Spec):
    """The data: a source with arguments, splits as expressions, preprocessing in order."""

    source: str
    args: dict[str, Any] = Field(default={})
    splits: dict[Name, str] = Field(
        default={
            "train": "train[:90%]",
            "validation": "train[90%:]",
            "test": "test",
            "calibration": "train[:200]",
        },
        description=(
            "name of a split → expression over the source's own splits, such as train[:90%]"
        ),
    )
    preprocess: list[dict[str, Any]] = Field(default=[])
    max_overlap: Share = Field(
        default=MAX_OVERLAP,
        description=(
            "share of the test examples that train may hold too, byte for byte; more is refused"
            " (calibration: 0.2, or this where it is more)"
        ),
    )


class MetricGoal(Spec):
    """How far a metric may fall below another variant's, or how high it must be."""

    max_drop: Share | None = None
    versus: Name = "fp32"
    min: float | None = None
    only_for: Variants = Field(
        default=[], alias="for", description="a variant, or a list of them; empty = all"
    )


class SizeGoal(Spec):
    """How large a file may be."""

    max: str
    only_for: Variants = Field(
        default=[], alias="for", description="a variant, or a list of them; empty = all"
    )


class RatioGoal(Spec):
    """How slow a file may be, relative to another variant, on one device."""

    max: Annotated[float, Field(gt=0)]
    device: str = "host-cpu"
    versus: Name = "fp32"
    only_for: Variants = Field(
        default=[], alias="for", description="a variant, or a list of them; empty = all"
    )


class Benchmark(Spec):
    """Where and how latency is measured."""

    devices: list[str] = Field(default=["host-cpu"])
    threads: list[Annotated[int, Field(ge=1, le=256)]] = Field(default=[1])
    runs: Annotated[int, Field(ge=10, le=100_000)] = Field(
        default=50, description="timed inferences a round"
    )
    rounds: Annotated[int, Field(ge=5, le=1_000)] = 5
    warmup: Annotated[int, Field(ge=5, le=100_000)] = 5


class Manifest(Spec):
    """One YAML file: one base model, many variants."""

    schema_: Literal["edgezoo/v1"] = Field(alias="schema")
    model: Name
    version: str
    task: str = "image-classification"
    license: str
    description: str = ""
    base: Base = Field(
        description=(
            "network: … with args, weights and train; or tflite: … with its sha256, signature and"
            " output"
        )
    )
    data: Data
    variants: dict[Name, list[dict[str, Any]]] = Field(
        min_length=1, description="variant → recipe: a list of {technique: parameters}"
    )
    goals: dict[str, MetricGoal | SizeGoal | RatioGoal] = Field(default={})
    benchmark: Benchmark = Benchmark()
    publish: list[str] = Field(default=[])
