"""Questions put to the zoo. Pure.

The registry evaluates a `Query` in SQL; places without a server (an S3 prefix, a folder) evaluate
it in `evaluate`. Both must agree, and a property test holds them to it.
"""

import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from zoo_registry.model.dataset import Choice, DataSet, Score
from zoo_registry.model.errors import InvalidQuery
from zoo_registry.model.part import Value, is_empty
from zoo_registry.model.summary import Summary, Timing

SORTS = ("name", "newest", "latency", "ratio", "size", "size_gzip")
TIMED_SORTS = frozenset({"latency", "ratio"})
TIMED_AXES = frozenset({"latency_ms", "ratio"})
FrontAxis = Literal["latency_ms", "ratio", "size", "size_gzip", "parameters", "macs"]
_SIZE = re.compile(r"\s*(\d{1,18}(?:\.\d{1,18})?)\s*([kmg]i?)?b?\s*", re.IGNORECASE)
_FACTORS = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "ki": 1024, "mi": 1024**2, "gi": 1024**3}


def parse_size(text: str) -> int:
    """Read a size: `4MB` = 4,000,000 bytes, `4MiB` = 4,194,304, `4096` = bytes.

    Raises:
        InvalidQuery: it is not a size.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise InvalidQuery(
            f"not a size: {text!r} (expected a number with kB, MB, GB, KiB, MiB or GiB, such as"
            " 4MB)"
        )
    return int(float(match[1]) * _FACTORS[(match[2] or "").lower()])


def _refused(said: str) -> PydanticCustomError:
    """Say why a value is refused; pydantic then names the field that holds it."""
    return PydanticCustomError("query", "{said}", {"said": said})


def _size(value: Any) -> Any:
    """Read a size where text is given."""
    try:
        return parse_size(value) if isinstance(value, str) else value
    except InvalidQuery as error:
        raise _refused(error.message) from error


def _digits(value: Any) -> Any:
    """Refuse the underscores that Python allows in numbers and people do not write."""
    if isinstance(value, str) and "_" in value:
        raise _refused("expected a number")
    return value


def _printable(text: str) -> str:
    """Refuse text that no name can hold and no database should be asked for."""
    if not text.replace("\t", " ").isprintable():
        raise _refused("expected printable characters")
    return text


Size = Annotated[int, Field(ge=0, lt=1 << 63), BeforeValidator(_size, json_schema_input_type=str)]
"""Bytes; text such as `4MB` is read by `parse_size`."""

Text = Annotated[str, Field(max_length=200), AfterValidator(_printable)]
Key = Annotated[Text, AfterValidator(lambda text: text.lower().rstrip("/"))]
"""A platform's key or its first parts: `host-cpu/x86-64-avx2`."""

Number = Annotated[float, Field(allow_inf_nan=False), BeforeValidator(_digits)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False), BeforeValidator(_digits)]


class Query(Value):
    """What to look for. The facets must match.

    The limits are a budget that can be missed by a measurable amount. The API's parameters are
    these fields, with these descriptions; a value may be the text that a parameter holds.
    """

    q: Text = Field(default="", description="words that the name or description contains")
    task: Text | None = Field(default=None, description="such as image-classification")
    model: Text | None = Field(default=None, description="the manifest's model")
    technique: Text | None = Field(
        default=None, description="one the recipe uses, or `none` for the float model"
    )
    license: Text | None = Field(default=None, description="an SPDX name, case ignored")
    dataset: Text | None = Field(
        default=None, description="scored on this data set: `name`, `name:split`, `name#digest`"
    )
    labels: Text | None = Field(
        default=None, description="what the outputs mean, such as imagenet-1k"
    )
    device: Text | None = Field(default=None, description="measured on this device")
    platform: Key | None = Field(
        default=None,
        description="measured on this class of machine: a key of /v1/devices, or its first parts",
    )
    threads: Annotated[int, Field(ge=1, le=1024), BeforeValidator(_digits)] | None = Field(
        default=None, description="measured with that many threads"
    )
    max_latency_ms: Positive | None = Field(
        default=None, description="median milliseconds, at most"
    )
    max_ratio: Positive | None = Field(
        default=None, description="time over that of the float file, at most"
    )
    max_size: Size | None = Field(
        default=None, description="bytes of the file, at most; 4MB and 4MiB are understood"
    )
    max_size_gzip: Size | None = Field(default=None, description="bytes gzipped, at most")
    all_versions: bool = Field(default=False, description="every version, not only the latest")
    yanked: bool = Field(default=False, description="withdrawn ones too")
    sort: Annotated[str, Field(pattern=r"^-?[a-z0-9_]{1,40}$")] = Field(
        default="name", description=f"{', '.join(SORTS)} or a metric; `-` in front turns it round"
    )
    pareto: bool = Field(
        default=False, description="only what nothing beats in accuracy and latency"
    )
    min_metrics: dict[str, Number] = Field(
        default={}, max_length=16, description="`min_<metric>`: at least that, for any metric"
    )

    @property
    def needs_timing(self) -> bool:
        """Whether an artifact without a measurement on the device cannot answer."""
        return self.max_latency_ms is not None or self.max_ratio is not None

    @property
    def by_platform(self) -> bool:
        """Whether times decide: then each artifact is answered for once a platform."""
        return (
            self.needs_timing
            or self.pareto
            or self.device is not None
            or self.platform is not None
            or self.sort.removeprefix("-") in TIMED_SORTS
        )

    def timing(self, item: Summary) -> Timing | None:
        """Give the best usable timing of an artifact on what the query names."""
        return item.timing(self.device, self.threads, self.platform)

    def apart(self, item: Summary) -> tuple[Summary, ...]:
        """Take an artifact apart by platform where times decide: one row for each.

        One without a measurement that counts stays one row.
        """
        if not self.by_platform:
            return (item,)
        timed = item.timings_of(self.device, self.threads, self.platform)
        return tuple(item.on(key) for key in sorted({t.platform for t in timed})) or (item.on(""),)

    @property
    def has_limits(self) -> bool:
        """Whether anything in the query is a budget."""
        return (
            self.needs_timing
            or self.max_size is not None
            or self.max_size_gzip is not None
            or bool(self.min_metrics)
        )

    @property
    def choice(self) -> Choice:
        """Which data sets are meant."""
        return Choice.read(self.dataset, self.labels)

    def score(self, item: Summary, metric: str) -> Score | None:
        """Give what decides for an item: its first score of the metric on a data set meant."""
        choice = self.choice
        return next(
            (one for one in item.scored if one.metric == metric and choice.takes(one.dataset)), None
        )

    def metrics(self, item: Summary) -> set[str]:
        """Name the metrics that an item has on a data set meant."""
        choice = self.choice
        if choice.is_open:
            return set(item.metrics)
        return {one.metric for one in item.scored if choice.takes(one.dataset)}

    def without_limits(self) -> "Query":
        """Keep the facets only: what could have fitted."""
        return self.model_copy(
            update={
                "max_latency_ms": None,
                "max_ratio": None,
                "max_size": None,
                "max_size_gzip": None,
                "min_metrics": {},
            }
        )

    def facets_match(self, item: Summary) -> bool:
        """Whether everything but the budget holds.

        Words and facets compare case-insensitively; a device must be measured.
        """
        plain = not item.techniques
        technique_ok = self.technique is None or (
            plain if self.technique == "none" else self.technique in item.techniques
        )
        text = f"{item.name} {item.description}".lower()
        return (
            technique_ok
            and all(word in text for word in self.q.lower().split())
            and all(
                wanted is None or wanted == found
                for wanted, found in ((self.task, item.task), (self.model, item.model))
            )
            and (self.license is None or self.license.lower() == item.license.lower())
            and self._scored(item)
            and ((self.device is None and self.platform is None) or self.timing(item) is not None)
            and (self.yanked or not item.yanked)
        )

    def _scored(self, item: Summary) -> bool:
        """Whether an item has a score on a data set meant; labels alone are its own too."""
        choice = self.choice
        return (
            choice.is_open
            or any(choice.takes(one.dataset) for one in item.scored)
            or (self.dataset is None and item.labels.lower() == choice.labels)
        )

    def misses(self, item: Summary) -> tuple["Miss", ...]:
        """Say which limits `item` breaks and by how much; empty when it fits."""
        timing = self.timing(item)
        upper: list[tuple[str, float | None, float | None]] = [
            ("max_latency_ms", self.max_latency_ms, timing.median_ms if timing else None),
            ("max_ratio", self.max_ratio, timing.ratio if timing else None),
            ("max_size", self.max_size, item.size),
            ("max_size_gzip", self.max_size_gzip, item.size_gzip),
        ]
        found = [
            Miss.of(name, limit, value)
            for name, limit, value in upper
            if limit is not None and (value is None or value > limit)
        ]
        for metric, limit in sorted(self.min_metrics.items()):
            score = self.score(item, metric)
            if score is None or score.value < limit:
                found.append(Miss.of_score(f"min_{metric}", limit, score))
        return tuple(found)


class Miss(Value):
    """One limit that an artifact breaks.

    `by` is relative (0.25 = a quarter over or under); None when it was not measured.
    """

    limit: str
    wanted: float
    found: float | None
    by: float | None
    dataset: DataSet | None = Field(
        default=None, exclude_if=is_empty, description="of a metric: where it was measured"
    )

    @classmethod
    def of_score(cls, limit: str, wanted: float, score: Score | None) -> "Miss":
        """Describe a metric below its limit, with the data set that it was measured on."""
        miss = cls.of(limit, wanted, None if score is None else score.value)
        return miss if score is None else miss.model_copy(update={"dataset": score.dataset})

    @classmethod
    def of(cls, limit: str, wanted: float, found: float | None) -> "Miss":
        """Describe a value on the wrong side of its limit: below a `min_…`, above any other."""
        if found is None:
            return cls(limit=limit, wanted=wanted, found=None, by=None)
        beyond = wanted - found if limit.startswith("min_") else found - wanted
        return cls(limit=limit, wanted=wanted, found=found, by=beyond / max(abs(wanted), 1e-12))


def parse_sort(sort: str, metrics: Iterable[str]) -> tuple[str, bool]:
    """Split `-size` into its key and whether it descends.

    Raises:
        InvalidQuery: no listing can be sorted by that; the message names what it can be sorted by.
    """
    key, descending = sort.removeprefix("-"), sort.startswith("-")
    allowed = (*SORTS, *sorted(metrics))
    if key not in allowed:
        raise InvalidQuery(f"cannot sort by {key!r} (expected one of {', '.join(allowed)})")
    return key, descending
