"""How often files name the class that their float file names, on images that fixed no ranges.

`benchmarks/agreement.py` measures it and keeps it beside the results page as `agreement.json`; the
page shows it for the files it was measured on, by digest. Pure but for `load` and `save`.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from zoo_builders.metrics import wilson
from zoo_builders.planning.plan import FLOAT
from zoo_builders.reports.result_checks import Claim
from zoo_builders.spec import Name, Share, Spec
from zoo_registry.model import formatting
from zoo_registry.model.digest import Digest
from zoo_registry.model.errors import WrongUse
from zoo_registry.model.files import write_bytes
from zoo_registry.model.record import Record, explain

COMMAND = "python benchmarks/agreement.py"
_Count = Annotated[int, Field(ge=0)]


class Agreeing(Spec):
    """One file on one set: on how many images it names the float file's class.

    It counts all images, and those that float32 itself is decided on.
    """

    variant: Name
    sha256: Digest
    same: _Count
    decided_same: _Count
    sqnr_db: float


class Images(Spec):
    """One set of images: what it is, and how many it holds.

    It also says how sure the float file is of its own answers there.
    """

    name: str
    what: str
    examples: Annotated[int, Field(gt=0)]
    margin: Share = Field(
        description="float32 is decided where its first class leads by this much of probability"
    )
    decided: _Count
    lead: Share = Field(
        description="by how much of probability float32's first class leads, in the median"
    )
    rows: tuple[Agreeing, ...]


class Agreement(Spec):
    """All that one run of the benchmark measured of one model's files."""

    model: Name
    baseline: Digest
    command: str
    when: datetime
    sets: tuple[Images, ...]


def load(path: Path) -> Agreement | None:
    """Read what was measured; None where nothing was.

    Raises:
        WrongUse: the file is not what the benchmark writes; the message names the key.
    """
    if not path.exists():
        return None
    try:
        return Agreement.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise WrongUse(f"{path.name}: {explain(error)}", hint=COMMAND) from error


def save(found: Agreement, path: Path) -> None:
    """Write what was measured, for `load` and for readers of the diff."""
    write_bytes(path, (json.dumps(found.model_dump(mode="json"), indent=1) + "\n").encode())


def page(found: Agreement | None, model: str, records: Sequence[Record]) -> list[str]:
    """Give the Markdown of a model's agreement; empty where it was not measured.

    Rows of other files than the records' say so.
    """
    if found is None or found.model != model:
        return []
    files = {record.variant: record.file.sha256 for record in records}
    head = (
        f"**Agreement with float32 on images that fixed no ranges** (`{found.command}`,"
        f" {found.when:%Y-%m-%d}):"
    )
    lines = [head, ""]
    for images in found.sets:
        lines += [
            *_set(images),
            *(
                _row(row, images, found, files)
                for row in images.rows
                if row.sha256 != found.baseline
            ),
            "",
        ]
    return lines


def judged(
    found: Agreement | None, model: str, records: Sequence[Record], asked: Mapping[str, float]
) -> list[Claim]:
    """Judge the agreement asked of variants, by name, on every set that was measured."""
    files = {record.variant: record.file.sha256 for record in records}
    claims = []
    for variant, share in asked.items():
        text = (
            f"{variant} names the class of float32 on {formatting.percent(share, 0)} of images that"
            " fixed no ranges"
        )
        fresh = [
            (images, row)
            for images in (found.sets if found and found.model == model else ())
            for row in images.rows
            if row.variant == variant and found and not _stale(row, found, files)
        ]
        claims += [_judged(text, share, images, row) for images, row in fresh]
        claims += [] if fresh else [Claim("not measured", f"{text}: run `{COMMAND}`.")]
    return claims


def _judged(text: str, asked: float, images: Images, row: Agreeing) -> Claim:
    low, high = wilson(row.same, images.examples)
    lost = (
        f"; of the {images.examples - row.same} others float32 was decided on"
        f" {images.decided - row.decided_same}"
    )
    told = (
        f"{text}: `{images.name}` {_part(row.same, images.examples)}"
        f" ({low:.1%} to {high:.1%}){lost}."
    )
    return Claim("held" if row.same >= asked * images.examples else "not held", told)


def _part(count: int, whole: int) -> str:
    return f"{count}/{whole} = {count / whole:.1%}"


def _set(images: Images) -> list[str]:
    sure = (
        f"float32 leads by {formatting.percent(images.margin, 0)} of probability or more on"
        f" {images.decided} of {images.examples}"
    )
    told = (
        f"`{images.name}`: {images.what}. On them {sure} (*decided*); its median lead is"
        f" {formatting.percent(images.lead, 0)}."
    )
    return [
        told,
        "",
        "| variant | same class as float32 (95 %) | where float32 is decided | SQNR | file |",
        "|---|--:|--:|--:|---|",
    ]


def _row(row: Agreeing, images: Images, found: Agreement, files: Mapping[str, Digest]) -> str:
    low, high = wilson(row.same, images.examples)
    share = f"{_part(row.same, images.examples)} ({low:.1%} to {high:.1%})"
    decided = _part(row.decided_same, images.decided) if images.decided else formatting.DASH
    return (
        f"| {row.variant} | {share} | {decided} | {row.sqnr_db:.0f} dB |"
        f" `{row.sha256.short}`{_stale(row, found, files)} |"
    )


def _stale(row: Agreeing, found: Agreement, files: Mapping[str, Digest]) -> str:
    if files.get(row.variant) == row.sha256 and files.get(FLOAT) == found.baseline:
        return ""
    which = (
        "another file than the one above"
        if files.get(FLOAT) == found.baseline
        else "held against another float file than the one above"
    )
    return f" **{which}: run `{found.command}` again**"
