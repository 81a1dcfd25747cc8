"""Summaries as rows of the tables, within the transaction of a connection."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Table, delete, insert, select, update

from zoo_registry.catalogue.schema import metrics, releases, techniques, timings, version_order
from zoo_registry.model.canonical import canonical
from zoo_registry.model.dataset import DataSet, Score
from zoo_registry.model.evaluate import latest_version
from zoo_registry.model.summary import Summary, settle


def insert_all(connection: Connection, items: Iterable[Summary]) -> None:
    """Insert releases, and say of each name what `@latest` means."""
    names = set()
    for item in settle(items):
        insert_one(connection, item)
        names.add(item.name)
    for name in sorted(names):
        mark_latest(connection, name)


def insert_one(connection: Connection, item: Summary) -> None:
    """Insert one release; `mark_latest` comes after the last of its name."""
    inserted = connection.execute(insert(releases).values(_row(item))).inserted_primary_key
    assert inserted is not None  # noqa: S101 - an insert of one row has a key
    _insert_parts(connection, inserted[0], item)


def settle_model(connection: Connection, model: str) -> None:
    """Bring rows up to date whose milliseconds depend on another release: the float file's."""
    rows = connection.execute(
        select(releases.c.id, releases.c.summary).where(releases.c.model == model)
    ).all()
    known = [Summary.model_validate_json(row.summary) for row in rows]
    for row, before, now in zip(rows, known, settle(known), strict=True):
        if now != before:
            this = releases.c.id == row.id
            connection.execute(update(releases).where(this).values(summary=_spelled(now)))
            connection.execute(delete(timings).where(timings.c.release_id == row.id))
            _insert_rows(connection, timings, row.id, _timed(now))


def mark_latest(connection: Connection, name: str) -> None:
    """Say which version of an artifact `@latest` means, without and with the yanked ones."""
    c = releases.c
    rows = connection.execute(select(c.version, c.yanked).where(c.name == name)).all()
    current = latest_version(name, [row.version for row in rows if not row.yanked])
    of_all = latest_version(name, [row.version for row in rows])
    flags = {"latest": c.version == current, "latest_of_all": c.version == of_all}
    connection.execute(update(releases).where(c.name == name).values(flags))


def _row(item: Summary) -> dict[str, Any]:
    return {
        "name": item.name,
        "version": item.version,
        "version_order": version_order(item.version),
        "model": item.model,
        "task": item.task,
        "license": item.license.lower(),
        "words": f"{item.name} {item.description}".lower(),
        "plain": not item.techniques,
        "size": item.size,
        "size_gzip": item.size_gzip,
        "published": item.published,
        "yanked": item.yanked,
        "latest": False,
        "latest_of_all": False,
        "file_sha256": item.file_sha256,
        "labels": item.labels.lower(),
        "summary": _spelled(item),
    }


def spelled_place(dataset: DataSet) -> str:
    """Spell a data set so that equal text means that metrics compare."""
    return canonical(dataset).decode()


def _scored(position: int, score: Score) -> dict[str, Any]:
    dataset = score.dataset
    name = dataset.name.lower()
    return {
        "position": position,
        "metric": score.metric,
        "value": score.value,
        "dataset": dataset.name,
        "asked": name,
        "asked_split": f"{name}:{dataset.split.lower()}",
        "dataset_sha256": dataset.sha256,
        "labels": dataset.labels.lower(),
        "place": spelled_place(dataset),
    }


def _spelled(item: Summary) -> str:
    return canonical(item).decode()


def _insert_parts(connection: Connection, release: int, item: Summary) -> None:
    used = [{"technique": technique} for technique in dict.fromkeys(item.techniques)]
    scored = [_scored(position, one) for position, one in enumerate(item.scored)]
    for table, rows in ((techniques, used), (metrics, scored), (timings, _timed(item))):
        _insert_rows(connection, table, release, rows)


def _insert_rows(
    connection: Connection, table: Table, release: int, rows: Sequence[dict[str, Any]]
) -> None:
    if rows:
        connection.execute(insert(table), [{"release_id": release, **row} for row in rows])


def _timed(item: Summary) -> list[dict[str, Any]]:
    return [
        {
            "position": position,
            "device": t.device,
            "platform": t.platform,
            "threads": t.threads,
            "median_ms": t.median_ms,
            "ratio": t.ratio,
            "noisy": t.noisy,
        }
        for position, t in enumerate(item.standings)
    ]
