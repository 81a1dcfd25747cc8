"""The record: everything an artifact says of itself, bound to the sha256 of the one file it was measured on.

A record is written once, as canonical JSON, and stored as a blob beside the file. Writers refuse unknown keys
(`Record.written`), readers tolerate them (`Record.read`), so that older tools read newer records.
"""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from zoo_registry.model.canonical import canonical, parse
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import InvalidRecord
from zoo_registry.model.ref import NAME, parse_version

SCHEMA: Literal["edgezoo/record/v1"] = "edgezoo/record/v1"

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9.-]{0,94}[a-z0-9])?$")]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Interval = tuple[Finite, Finite]


class Part(BaseModel):
    """Base of all parts of a record: frozen values, plain JSON."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())


class FileInfo(Part):
    """The one file this record speaks of. Sizes are bytes; gzip at level 9, zstd at level 19."""

    sha256: Digest
    size: Count
    size_gzip: Count
    size_zstd: Count
    path: str = Field(description="file name offered to whoever pulls it")
    encodings: dict[str, Count] = Field(default={}, description="raw bytes of each encoding tried: dense, sparse")
    encoding: Literal["dense", "sparse"] = "dense"


class TensorInfo(Part):
    """One input or output. `scale` and `zero_point` are 0 for float tensors."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: Finite = 0.0
    zero_point: int = 0


class Values(Part):
    """What the value steps of the preprocessing come to: `float32(stored) * scale + offset`, lists one entry a channel.

    `low` and `high` bound the stored values, which is not always 0 to 255; of features of recordings, they are what training data held.
    """

    scale: Finite | tuple[Finite, ...]
    offset: Finite | tuple[Finite, ...]
    low: Finite
    high: Finite


class Signature(Part):
    """What goes in and what comes out, and how to prepare it."""

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    preprocess: tuple[dict[str, Any], ...] = ()
    values: Values | None = None
    labels: tuple[str, ...] = ()


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
    classes: tuple[ClassMetric, ...] = Field(default=(), description="of a metric made of one value a class: those values")


class Fidelity(Part):
    """Agreement with the float32 artifact of the same model on one split. SQNR in dB, over the outputs.

    `top1_agreement` is None where the outputs are no scores of which one is the highest.
    """

    versus_sha256: Digest
    split: str
    examples: Annotated[int, Field(gt=0)]
    top1_agreement: Share | None
    sqnr_db: Finite


class TensorSparsity(Part):
    """One weight tensor as it stands in the file."""

    name: str
    operator: str = Field(description="flatbuffer operator that reads it, such as CONV_2D")
    shape: tuple[int, ...]
    dtype: str
    sparsity: Share
    distinct: Count = Field(description="distinct stored values over the whole tensor")
    distinct_per_channel: Count = Field(description="the most distinct stored values in any one output channel")
    encoded_sparse: bool = Field(description="stored with sparse encoding (behind a DENSIFY)")
    granularity: str = Field(default="", description="of integers: what one scale stands for: tensor, channel, or block32 (32 inputs)")


class LayerError(Part):
    """What quantizing one operator costs, measured at the tensor it gives, against float, in the unit of `Quantization.mode`.

    A step of the grid is `scale`; rounding alone gives a root mean square error of 1/sqrt(12) = 0.29 steps. One channel that is far larger
    than the others stretches the grid until the others fall below one step: that error is small against the scale, and only
    `sqnr_channels_db` shows it.
    """

    layer: str = Field(description="the layer it comes from, as far as the file's names tell")
    tensor: str
    operator: str
    rmse_over_scale: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(description="root mean square error in steps of the grid")
    sqnr_db: Finite = Field(description="signal to noise over all values")
    sqnr_channels_db: Finite = Field(description="signal to noise of each channel (last dimension), averaged over the channels")
    kept_float: bool = Field(default=False, description="left in float in this file; the errors are what it would have cost")


class Trial(Part):
    """One choice of layers that was tried: how many were left in float, and how far the metric fell below the float file's."""

    kept: Count
    drop: Finite


class Quantization(Part):
    """How a file was quantized, and what that does to each layer.

    Attributes:
        engine: `tensorflow` (the converter) or `litert` (litert-quantizer), and its version.
        mode: `layer`: each operator computed twice on the same quantized inputs, so the errors are its own; `network`: the quantized
            against the float file, each on its own values, so errors add up towards the output.
        search: what was tried before layers were left in float, in order; empty where they were named.
        metric: what the drops of `search` are of.
    """

    engine: Literal["tensorflow", "litert"]
    engine_version: str
    split: str = ""
    examples: Count = 0
    mode: Literal["layer", "network"] = "layer"
    layers: tuple[LayerError, ...] = ()
    metric: str = ""
    search: tuple[Trial, ...] = ()


class Xnnpack(Part):
    """Whether XNNPACK takes its sparse kernels for this graph, on which CPUs, and why not."""

    predicted_sparse: bool
    cpus: tuple[str, ...] = Field(default=(), description="CPU families on which the sparse path is predicted")
    reason: str


class Structure(Part):
    """What the flatbuffer holds, read back from its bytes."""

    parameters: Count
    macs: Count
    operators: dict[str, int]
    tensors_by_dtype: dict[str, int]
    sparsity_overall: Share
    weights: tuple[TensorSparsity, ...]
    densify: Count = Field(description="number of DENSIFY operators")
    xnnpack: Xnnpack


class Finding(Part):
    """One promise of a technique held against one tensor of the file."""

    technique: str
    promise: str
    tensor: str
    expected: str
    found: str
    held: bool


class Latency(Part):
    """Milliseconds per inference over all runs of all rounds."""

    median: Positive
    mean: Positive
    p5: Positive
    p95: Positive
    p99: Positive
    min: Positive
    max: Positive
    std: Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Baseline(Part):
    """The float file that ran interleaved in the same session."""

    name: str
    sha256: Digest


class Ratio(Part):
    """Median of this file divided by median of the baseline, with a bootstrap 95 % interval."""

    value: Positive
    ci95: Interval


class Host(Part):
    """The machine a measurement was made on. `fingerprint` hashes the rest."""

    cpu: str
    arch: str
    cores: int
    features: tuple[str, ...] = ()
    memory_gb: Finite = 0.0
    os: str = ""
    governor: str = ""
    virtual: str = ""
    fingerprint: Digest


class Measurement(Part):
    """Latency of one file on one device under one protocol. No number without its conditions."""

    file_sha256: Digest
    device: str
    runtime: str
    runtime_version: str
    delegate: str
    nodes_delegated: Count
    nodes_total: Count
    partitions: Count = 0
    threads: Annotated[int, Field(ge=1)]
    pinned: bool
    warmup: Count
    runs: Annotated[int, Field(ge=1)]
    rounds: Annotated[int, Field(ge=1)]
    latency_ms: Latency
    init_ms: Positive
    first_ms: Positive
    peak_memory_mb: Annotated[float, Field(ge=0)]
    baseline: Baseline
    ratio: Ratio
    aa_ratio: Ratio
    verdict: Literal["faster", "slower", "within noise", "baseline"]
    noisy: bool
    noise_causes: tuple[str, ...] = ()
    sparse_path: Literal["none", "predicted", "confirmed", "contradicted"] = "none"
    output_check: Literal["passed"] = Field(description="outputs agreed with the golden vectors before anything was timed")
    host: Host
    protocol: str
    when: datetime


class Golden(Part):
    """Stored input and output vectors (an .npz blob with `input_N`, `output_N`), and how closely a device must agree."""

    sha256: Digest
    size: Count
    examples: Annotated[int, Field(gt=0)]
    atol: Annotated[float, Field(ge=0)]


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


class GoalResult(Part):
    """One goal of the manifest and how it turned out. `value` is None when it could not be measured."""

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
    structure: Structure
    proofs: tuple[Finding, ...] = ()
    quantization: Quantization | None = None
    remarks: tuple[str, ...] = Field(default=(), description="what a user should know of the recipe on this network")
    measurements: tuple[Measurement, ...] = ()
    golden: Golden | None = None
    provenance: Provenance
    reproducible: Literal["bitwise", "weights", "metrics"]
    goals: tuple[GoalResult, ...] = ()

    model_config = ConfigDict(frozen=True, validate_by_name=True, validate_by_alias=True, serialize_by_alias=True, protected_namespaces=())

    @model_validator(mode="after")
    def _bound_to_the_file(self) -> Self:
        parse_version(self.version)
        if not NAME.fullmatch(self.name) or self.name != f"{self.model}-{self.variant}":
            raise ValueError(f"name {self.name!r} is not <model>-<variant> ({self.model}-{self.variant})")
        if "/" in self.file.path or self.file.path.startswith("."):
            raise ValueError(f"file.path {self.file.path!r} must be a plain file name")
        for index, measurement in enumerate(self.measurements):
            if measurement.file_sha256 != self.file.sha256:
                raise ValueError(f"measurements[{index}].file_sha256 {measurement.file_sha256} is not this file's {self.file.sha256}")
        broken = next((finding for finding in self.proofs if not finding.held), None)
        if broken is not None:
            raise ValueError(f"proof does not hold: {broken.tensor}: {broken.promise}: {broken.found}")
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
        """Digests of all blobs the record needs beside itself: the file, then the golden vectors."""
        return (self.file.sha256, self.golden.sha256) if self.golden else (self.file.sha256,)

    def best(self, metric: str) -> float | None:
        """Value of `metric` on the first split that has it, or None."""
        return next((m.value for m in self.metrics if m.metric == metric), None)


def shorten(text: str, limit: int) -> str:
    """Cut `text` to at most `limit` characters, with an ellipsis where it was cut."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def explain(error: ValidationError) -> str:
    """Turn pydantic's report into one line a mistake: `key: what (found …)`."""
    lines = []
    for item in error.errors(include_url=False, include_context=False):
        key = ".".join(str(part) for part in item["loc"]) or "record"
        lines.append(f"{key}: {item['msg']} (found {shorten(repr(item.get('input')), 80)})")
    return "; ".join(lines)
