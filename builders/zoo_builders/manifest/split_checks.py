"""What a manifest's split expressions, and the files on disk, say of the examples. Nothing is read.

Overlaps of expressions are the least that is shared: equal files in two folders are found by the
data stage.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import ValidationError

from zoo_builders.data import report, splits
from zoo_builders.data.examples import Survey
from zoo_builders.data.sources import SOURCES
from zoo_builders.manifest.diagnostics import Mistakes
from zoo_builders.manifest.schema import Data, Manifest
from zoo_builders.stage import SourceFile
from zoo_builders.tasks import TASKS
from zoo_registry.model.errors import ZooError
from zoo_registry.model.suggest import nearest


def survey(data: Data, files: Mapping[str, SourceFile], mistakes: Mistakes) -> Survey | None:
    """Look what the source has on disk; None where only loading tells, or something is wrong."""
    if data.source not in SOURCES.names():
        return None
    source = SOURCES.get(data.source)
    try:
        args = source.params.model_validate(data.args)
        wanted = source.files(args)
        if set(wanted) > set(files):
            return None
        return source.survey(args, {role: Path(file.path) for role, file in files.items()})
    except ValidationError:
        return None
    except ZooError as error:
        mistakes.add(("data", "args"), error.message, error.hint)
        return None


def check(spec: Manifest, found: Survey | None, mistakes: Mistakes) -> tuple[str, ...]:
    """Note overlaps of `test` with what shapes the file; give what is to be told all the same.

    Expressions that name or take what is not on disk are noted too.
    """
    if found is not None:
        _on_disk(spec.data, found.counts, mistakes)
    told = tuple(_overlaps(spec, found.counts if found else {}, mistakes))
    return (*told, *(found.notes if found else ()))


def _on_disk(data: Data, counts: Mapping[str, int], mistakes: Mistakes) -> None:
    have = ", ".join(f"{name} ({count})" for name, count in sorted(counts.items())) or "none"
    for name, text in data.splits.items():
        try:
            terms = splits.parse(text)
        except splits.BadSplit:  # noted where words are checked
            continue
        unknown = [term.split for term in terms if term.split not in counts]
        if unknown and SOURCES.get(data.source).splits:  # noted there too
            continue
        if unknown:
            message = f"{data.source} has no split {unknown[0]!r}; on disk are {have}"
            mistakes.add(("data", "splits", name), message, nearest(unknown[0], counts))
        elif not any(term.range(counts[term.split]) for term in terms):
            message = f"{text} takes no example: there are {have}"
            mistakes.add(("data", "splits", name), message, "take more, such as train[:200]")


def _overlaps(spec: Manifest, counts: Mapping[str, int], mistakes: Mistakes) -> Iterator[str]:
    data = spec.data
    labelled = spec.task not in TASKS.names() or bool(TASKS.get(spec.task).metrics)
    try:
        terms = {name: splits.parse(text) for name, text in data.splits.items()}
    except splits.BadSplit:  # noted where words are checked
        return
    for judged, other in report.held_against(tuple(terms)):
        share = splits.shared(terms[judged], terms[other], counts)
        limit = report.limit_of(judged, other, data.max_overlap, labelled=labelled)
        words = (
            f"{share:.1%} of {judged} ({data.splits[judged]}) are also in {other}"
            f" ({data.splits[other]})"
        )
        if share > limit:
            message = f"{words}, more than {limit:.1%}: a number measured there is too good"
            mistakes.add(("data", "splits", judged), message, report.hint(share))
        elif share:
            yield words
