"""The tables. Everything that can be filtered or sorted by is a column.

What a listing shows is one JSON document beside it.
"""

from semver import Version
from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

metadata = MetaData()

releases = Table(
    "releases",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(96), nullable=False),
    Column("version", String(128), nullable=False),
    Column(
        "version_order",
        String(512),
        nullable=False,
        doc="text that sorts as the version does: see `version_order`",
    ),
    Column("model", String(96), nullable=False),
    Column("task", Text, nullable=False),
    Column("license", Text, nullable=False, doc="lower case"),
    Column("words", Text, nullable=False, doc="name and description in lower case"),
    Column("plain", Boolean, nullable=False, doc="no technique at all: the float model"),
    Column("size", Integer, nullable=False),
    Column("size_gzip", Integer, nullable=False),
    Column("published", String(32), nullable=False),
    Column("yanked", Boolean, nullable=False),
    Column("latest", Boolean, nullable=False, doc="what @latest means among those not yanked"),
    Column(
        "latest_of_all", Boolean, nullable=False, doc="what @latest would mean, yanked ones counted"
    ),
    Column("file_sha256", String(64), nullable=False),
    Column("labels", Text, nullable=False, doc="what the outputs mean, in lower case"),
    Column("summary", Text, nullable=False, doc="the Summary as JSON"),
    Index("releases_name_version", "name", "version", unique=True),
    Index("releases_latest", "latest", "task"),
)

techniques = Table(
    "techniques",
    metadata,
    Column("release_id", ForeignKey("releases.id", ondelete="CASCADE"), primary_key=True),
    Column("technique", String(64), primary_key=True),
)

metrics = Table(
    "metrics",
    metadata,
    Column("release_id", ForeignKey("releases.id", ondelete="CASCADE"), primary_key=True),
    Column(
        "position",
        Integer,
        primary_key=True,
        doc="place in the summary: the first one on a data set meant decides",
    ),
    Column("metric", String(64), nullable=False),
    Column("value", Float(53), nullable=False),
    Column("dataset", Text, nullable=False),
    Column("asked", Text, nullable=False, doc="name of the data set in lower case"),
    Column("asked_split", Text, nullable=False, doc="`name:split` in lower case"),
    Column("dataset_sha256", String(64), nullable=False),
    Column("labels", Text, nullable=False, doc="what the outputs mean, in lower case"),
    Column("place", Text, nullable=False, doc="the DataSet as JSON: equal where metrics compare"),
    Index("metrics_by_value", "metric", "value"),
    Index("metrics_by_dataset", "asked"),
)

timings = Table(
    "timings",
    metadata,
    Column("release_id", ForeignKey("releases.id", ondelete="CASCADE"), primary_key=True),
    Column(
        "position",
        Integer,
        primary_key=True,
        doc="place in the summary: the earlier one decides between equals",
    ),
    Column("device", String(128), nullable=False),
    Column(
        "platform",
        String(256),
        nullable=False,
        doc="key of the class of machine: see `model.platform`",
    ),
    Column("threads", Integer, nullable=False),
    Column("median_ms", Float(53), nullable=False),
    Column("ratio", Float(53), nullable=False),
    Column("noisy", Boolean, nullable=False),
    Index("timings_by_device", "device", "threads", "median_ms"),
    Index("timings_by_platform", "platform", "threads", "median_ms"),
)

pending = Table(
    "pending",
    metadata,
    Column(
        "what",
        String(32),
        primary_key=True,
        doc="`reindex`: tables were changed, and rows made of what an older program kept",
    ),
)

tokens = Table(
    "tokens",
    metadata,
    Column(
        "sha256",
        String(64),
        primary_key=True,
        doc="of the token; the token itself is shown once and kept nowhere",
    ),
    Column("label", String(128), nullable=False),
    Column("scopes", String(128), nullable=False, doc="separated by commas"),
    Column("created", String(32), nullable=False),
)

uploads = Table(
    "uploads",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("sha256", String(64), nullable=False),
    Column("size", Integer, nullable=False),
    Column("created", String(32), nullable=False),
)

INDEX = (releases, techniques, metrics, timings, pending)
"""What can be made again from the store: the rest cannot."""

_DIGITS = 20


def version_order(version: str) -> str:
    """Spell a semantic version so that plain text order is its precedence.

    The precedence is that of semver.org 2.0.0, rule 11. Numbers are padded; a numeric identifier
    (`0…`) sorts before a word (`1…`); the separator sorts before every character of a word; a
    version without a pre-release (`~`) sorts after all with one (`-`).
    """

    def identifier(text: str) -> str:
        return f"0{text.zfill(_DIGITS)}" if text.isdigit() else f"1{text}"

    v = Version.parse(version)
    head = ".".join(str(number).zfill(_DIGITS) for number in (v.major, v.minor, v.patch))
    return (
        f"{head}-{' '.join(map(identifier, v.prerelease.split('.')))}"
        if v.prerelease
        else f"{head}~"
    )
