"""Results as a page: what to take of each model, its files and their latency with all conditions.

What holds, what others published beside. `zoo results --out OUT` writes OUT, and `OUT-<model>.svg`
for each model. Every number of ours is read from a `record.json`, or from `agreement.json` beside
OUT, which `benchmarks/agreement.py` wrote; every other from `published.yaml` beside OUT, which
names its sources.
"""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from zoo_builders.planning.plan import FLOAT
from zoo_builders.reports import (
    dot_plot,
    float_agreement,
    model_section,
    overview,
    published_results,
    result_checks,
)
from zoo_builders.reports.float_agreement import Agreement
from zoo_builders.reports.published_results import Published
from zoo_registry.model.errors import NotFound
from zoo_registry.model.files import write_bytes
from zoo_registry.model.record import Record
from zoo_registry.model.ref import parse_version


def load(builds: Path, models: Sequence[str] = ()) -> list[Record]:
    """Read the records of all finished builds, the highest version of each name.

    Sorted by model with the float file first.

    Raises:
        NotFound: there are none; the hint is the build.
        InvalidRecord: one breaks its schema.
    """
    newest: dict[str, Record] = {}
    for path in sorted(builds.glob("*/*/record.json")):
        record = Record.read(path.read_bytes())
        known = newest.get(record.name)
        if (not models or record.model in models) and (
            known is None or parse_version(record.version) > parse_version(known.version)
        ):
            newest[record.name] = record
    if not newest:
        raise NotFound(
            f"{builds} holds no finished build" + (f" of {', '.join(models)}" if models else ""),
            hint="zoo build MANIFEST",
        )
    return sorted(newest.values(), key=lambda r: (r.model, r.variant != FLOAT, r.variant))


def render(
    records: Sequence[Record],
    stem: str,
    others: Published | None = None,
    measured: Agreement | None = None,
) -> str:
    """Give the page as Markdown.

    `stem` begins the names of the pictures beside it, `others` is what was published, `measured`
    the agreement on further images.
    """
    told = "Written by `zoo results` from the records of finished builds; do not edit."
    others = others or Published()
    parts = ["# Results", "", told, "", *overview.overview(records, measured)]
    for model, family in groupby(records, key=lambda r: r.model):
        held, tables = list(family), others.beside(model)
        parts += [f"## {model} {held[0].version}", "", held[0].description, ""]
        parts += [line for note in others.notes.get(model, ()) for line in (note, "")]
        parts += _picture(stem, model) if published_results.dots(tables, model, held) else []
        agreed = float_agreement.judged(measured, model, held, others.agreement.get(model, {}))
        parts += result_checks.page([*result_checks.judged(tables, model, held), *agreed])
        parts += [
            *model_section.section(held, float_agreement.page(measured, model, held)),
            *published_results.page(tables, model, held),
        ]
    return "\n".join(parts).rstrip() + "\n"


def picture_of(stem: str, model: str) -> str:
    """Name the picture of one model beside the page."""
    return f"{stem}-{model}.svg"


def _picture(stem: str, model: str) -> list[str]:
    alternative = (
        f"what each variant of {model} costs and saves against its float file, beside published"
        " results"
    )
    return [f"![{alternative}]({picture_of(stem, model)})", ""]


def write(builds: Path, out: Path, models: Sequence[str] = ()) -> list[Record]:
    """Write the page and its pictures; give the records they show.

    Raises:
        NotFound: there is no finished build.
        WrongUse: a file beside the page is not what it should be.
    """
    records, others = load(builds, models), published_results.load(out.with_name("published.yaml"))
    for model, family in groupby(records, key=lambda r: r.model):
        dots = published_results.dots(others.beside(model), model, list(family))
        if dots:
            title = f"{model}: what each variant costs and saves against {FLOAT}"
            write_bytes(
                out.with_name(picture_of(out.stem, model)), dot_plot.draw(title, dots).encode()
            )
    write_bytes(
        out,
        render(
            records, out.stem, others, float_agreement.load(out.with_name("agreement.json"))
        ).encode(),
    )
    return records
