"""The record: everything an artifact says of itself.

Bound to the sha256 of the one file it was measured on.

A record is written once, as canonical JSON, and stored as a blob beside the file. Writers refuse
unknown keys (`Record.written`), readers tolerate them (`Record.read`), so that older tools read
newer records.
"""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, ValidationError, model_validator

from zoo_registry.model.canonical import canonical, parse
from zoo_registry.model.data_report import Absent, DataReport, Overlap
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import InvalidRecord
from zoo_registry.model.measurement import (
    Baseline,
    Host,
    Latency,
    Measurement,
    NotMeasured,
    OperatorTime,
    Ratio,
)
from zoo_registry.model.output_rule import OutputRule
from zoo_registry.model.part import (
    Count,
    Finite,
    Interval,
    Part,
    Positive,
    Share,
    Slug,
    explain,
    is_empty,
    shorten,
)
from zoo_registry.model.quantization import LayerError, Quantization, Trial
from zoo_registry.model.ref import NAME, parse_version
from zoo_registry.model.signature import Signature, Sound, TensorInfo, Values
from zoo_registry.model.structure import Finding, OperatorCost, Structure, TensorSparsity, Xnnpack

__all__ = [
    "Absent",
    "Baseline",
    "ClassMetric",
    "Count",
    "DataReport",
    "Fidelity",
    "FileInfo",
    "Finding",
    "Finite",
    "Git",
    "GoalResult",
    "Golden",
    "Host",
    "Interval",
    "Latency",
    "LayerError",
    "Measurement",
    "Metric",
    "NotMeasured",
    "OperatorCost",
    "OperatorTime",
    "Overlap",
    "Parent",
    "Part",
    "Positive",
    "Provenance",
    "Quantization",
    "Ratio",
    "Record",
    "Share",
    "Signature",
    "Slug",
    "Sound",
    "Step",
    "Structure",
    "TensorInfo",
    "TensorSparsity",
    "Trial",
    "Values",
    "Xnnpack",
    "explain",
    "shorten",
]

SCHEMA: Literal["edgezoo/record/v1"] = "edgezoo/record/v1"


class FileInfo(Part):
    """The one file this record speaks of. Sizes are bytes; gzip at level 9, zstd at level 19."""

    sha256: Digest
    size: Count
    size_gzip: Count
    size_zstd: Count
    path: str = Field(description="file name offered to whoever pulls it")
    encodings: dict[str, Count] = Field(
        default={}, description="raw bytes of each encoding tried: dense, sparse"
    )
    encoding: Literal["dense", "sparse"] = "dense"


class Step(Part):
    """One technique of the recipe with every parameter filled in."""

    technique: str
    params: dict[str, Any]


class ClassMetric(Part):
    """One class's part in a metric: its name, how many examples it has, its value."""

    label: str
    examples: Annotated[int, Field(gt=0)]
    value: Finite


class Metric(Part):
    """One number of quality, measured on the file itself by its runtime."""

    dataset: str
    dataset_sha256: Digest
    split: str
    examples: Annotated[int, Field(gt=0)]
    metric: str
    value: Finite
    ci95: Interval
    labels: str = Field(
        default="",
        exclude_if=is_empty,
        description="what the outputs mean: imagenet-1k, or length and digest of the label list",
    )
    classes: tuple[ClassMetric, ...] = Field(
        default=(), description="of a metric made of one value a class: those values"
    )


class Fidelity(Part):
    """Agreement with the float32 artifact of the same model on one split.

    That is the test split, whose examples fixed no ranges; older records say `calibration`.
    SQNR in dB, over the outputs.

    `top1_agreement` is None where the outputs are no scores of which one is the highest.
    """

    versus_sha256: Digest
    split: str
    examples: Annotated[int, Field(gt=0)]
    top1_agreement: Share | None
    sqnr_db: Finite


class Golden(Part):
    """Stored input and output vectors (an .npz blob with `input_N`, `output_N`).

    `rule` says when a device's outputs agree. Without one (older programs wrote none) no value may
    be off by more than `atol`, in stored units.
    """

    sha256: Digest
    size: Count
    examples: Annotated[int, Field(gt=0)]
    atol: Annotated[float, Field(ge=0)]
    rule: OutputRule | None = Field(default=None, exclude_if=is_empty)


class Git(Part):
    """The commit the manifest was built from; empty outside a repository."""

    commit: str = ""
    dirty: bool = False


class Parent(Part):
    """One stage this artifact came from."""

    stage: str
    fingerprint: Digest
    reproducible: Literal["bitwise", "weights", "metrics"]


class Provenance(Part):
    """Where the file comes from, complete enough to build it again."""

    fingerprint: Digest
    manifest_sha256: Digest
    git: Git = Git()
    base_sha256: Digest
    dataset_sha256: Digest
    seed: int
    tools: dict[str, str]
    host: str
    started: datetime
    duration_s: Annotated[float, Field(ge=0)]
    parents: tuple[Parent, ...] = ()
    platforms: tuple[str, ...] = Field(
        default=(),
        exclude_if=is_empty,
        description="keys of the classes of machines that built it: `reproducible` holds there",
    )


class GoalResult(Part):
    """One goal of the manifest and how it turned out.

    `value` is None when it could not be measured.
    """

    goal: str
    limit: Finite
    value: Finite | None
    met: bool


class Record(Part):
    """An artifact's metadata. See DESIGN: every number here belongs to `file.sha256`."""

    record_schema: Literal["edgezoo/record/v1"] = Field(default=SCHEMA, alias="schema")
    name: Slug
    version: str
    model: Slug
    variant: Slug
    task: str
    license: str
    description: str
    file: FileInfo
    signature: Signature
    recipe: tuple[Step, ...]
    metrics: tuple[Metric, ...]
    fidelity: Fidelity | None = None
    data: DataReport | None = Field(
        default=None,
        exclude_if=is_empty,
        description="what to know of the examples: shared between splits, absent, not read",
    )
    structure: Structure
    proofs: tuple[Finding, ...] = ()
    quantization: Quantization | None = None
    remarks: tuple[str, ...] = Field(
        default=(), description="what a user should know of the recipe on this network"
    )
    measurements: tuple[Measurement, ...] = ()
    not_measured: tuple[NotMeasured, ...] = Field(
        default=(), exclude_if=is_empty, description="devices that cannot run the file, and why"
    )
    golden: Golden | None = None
    provenance: Provenance
    reproducible: Literal["bitwise", "weights", "metrics"]
    goals: tuple[GoalResult, ...] = ()

    model_config = ConfigDict(
        frozen=True,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        protected_namespaces=(),
    )

    @model_validator(mode="after")
    def _bound_to_the_file(self) -> Self:
        parse_version(self.version)
        if not NAME.fullmatch(self.name) or self.name != f"{self.model}-{self.variant}":
            raise ValueError(
                f"name {self.name!r} is not <model>-<variant> ({self.model}-{self.variant})"
            )
        if "/" in self.file.path or self.file.path.startswith("."):
            raise ValueError(f"file.path {self.file.path!r} must be a plain file name")
        for index, measurement in enumerate(self.measurements):
            if measurement.file_sha256 != self.file.sha256:
                raise ValueError(
                    f"measurements[{index}].file_sha256 {measurement.file_sha256} is not this"
                    f" file's {self.file.sha256}"
                )
        for index, row in enumerate(self.not_measured):
            if row.file_sha256 != self.file.sha256:
                raise ValueError(
                    f"not_measured[{index}].file_sha256 {row.file_sha256} is not this file's"
                    f" {self.file.sha256}"
                )
        broken = next((finding for finding in self.proofs if not finding.held), None)
        if broken is not None:
            raise ValueError(
                f"proof does not hold: {broken.tensor}: {broken.promise}: {broken.found}"
            )
        return self

    @classmethod
    def read(cls, data: bytes) -> Self:
        """Read a record, tolerating keys of newer writers.

        Raises:
            InvalidRecord: it is not JSON, or breaks the schema; the message names the key.
        """
        return cls._validated(parse(data), extra="ignore")

    @classmethod
    def written(cls, data: Any) -> Self:
        """Check plain data the way a writer must: unknown keys are refused.

        Raises:
            InvalidRecord: a key is unknown, missing or wrong; the message names it.
        """
        return cls._validated(data, extra="forbid")

    @classmethod
    def _validated(cls, data: Any, *, extra: Literal["ignore", "forbid"]) -> Self:
        try:
            return cls.model_validate(data, extra=extra)
        except ValidationError as error:
            raise InvalidRecord(explain(error)) from error

    def to_bytes(self) -> bytes:
        """Spell the record as canonical JSON; equal records give equal bytes."""
        return canonical(self)

    @property
    def blobs(self) -> tuple[Digest, ...]:
        """Digests of all blobs the record needs beside itself.

        The file, then the golden vectors.
        """
        return (self.file.sha256, self.golden.sha256) if self.golden else (self.file.sha256,)

    @property
    def unchanged(self) -> str:
        """What a file without a recipe is, in words; empty with a recipe.

        One whose weights are no floats came from elsewhere as it is.
        """
        if self.recipe:
            return ""
        floats = all(w.dtype == "float32" and not w.encoded_sparse for w in self.structure.weights)
        return "the plain float model" if floats else "the file as it came"

    def metric(self, name: str) -> Metric | None:
        """Metric `name` on the first split that has it, or None."""
        return next((m for m in self.metrics if m.metric == name), None)

    def best(self, metric: str) -> float | None:
        """Value of `metric` on the first split that has it, or None."""
        found = self.metric(metric)
        return None if found is None else found.value
