"""The catalogue: summaries in, answers out."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self

from sqlalchemy import ColumnElement, Connection, and_, delete, func, select

from zoo_registry.catalogue import migrations, where
from zoo_registry.catalogue.engine import open_engine, reading, writing
from zoo_registry.catalogue.entries import insert_all, insert_one, mark_latest, settle_model
from zoo_registry.catalogue.schema import metrics, pending, releases, techniques, timings
from zoo_registry.model.answers import Compared
from zoo_registry.model.compare import counted, deciding_metric, front, sorting_metric
from zoo_registry.model.dataset import DataSet, spelled
from zoo_registry.model.query import Query, parse_sort
from zoo_registry.model.summary import Summary


class Catalogue:
    """An SQL index of summaries at a path or SQLAlchemy URL.

    Brings its tables up to date when opened; use it as a context manager.

    Raises:
        Unsupported: the database was written by a newer program.
        Unreachable: it does not answer.
    """

    def __init__(self, url: str) -> None:
        self.engine = open_engine(url)
        self.migrated = self.migrate()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def migrate(self) -> tuple[int, int]:
        """Bring the tables up to date; give the version found and the version now."""
        with reading(self.engine) as connection:
            found = migrations.version(connection)
        if found == migrations.VERSION:
            return found, found
        with writing(self.engine) as connection:
            return migrations.migrate(connection)

    @property
    def behind(self) -> bool:
        """Whether rows were made of what an older program kept, and the store may say more."""
        with reading(self.engine) as connection:
            return connection.execute(select(pending.c.what)).first() is not None

    # --- writing ---

    def put(
        self, name: str, version: str, read: Callable[[str], Summary | None], *, alias: str = ""
    ) -> None:
        """Make what `read` gives of a version its row; None takes the row away.

        The same for versions that `alias` pointed to until now. `read` is called while no other
        writer is at work, so the last one knows all. Rows of other versions stay as they are, but
        for what `@latest` means.
        """
        models = set[str]()
        with writing(self.engine) as connection:
            for each in sorted({version, *_pointed(connection, name, alias)}):
                this = and_(releases.c.name == name, releases.c.version == each)
                connection.execute(delete(releases).where(this))
                if summary := read(each):
                    insert_one(connection, summary)
                    models.add(summary.model)
            mark_latest(connection, name)
            for model in models:
                settle_model(connection, model)

    def rebuild(self, read: Callable[[], Iterable[Summary]]) -> None:
        """Make what `read` gives all that is known; readers see the old state or the new one."""
        with writing(self.engine) as connection:
            connection.execute(delete(releases))
            connection.execute(delete(pending))
            insert_all(connection, read())

    # --- asking ---

    def page(
        self, query: Query, *, limit: int, cursor: str | None = None
    ) -> tuple[tuple[Summary, ...], str | None]:
        """Give up to `limit` of what fits the query, and the cursor of the next page.

        Raises:
            InvalidQuery: it cannot be sorted so, or the cursor belongs to another search.
        """
        parse_sort(query.sort, self.metrics())
        rows = where.Rows.of(query)
        after = where.read_cursor(query, cursor) if cursor is not None else None
        condition = and_(where.facets(query), where.limits(rows))
        with reading(self.engine) as connection:
            if query.pareto:
                best = front(query, _rows(connection, rows, condition))
                condition = and_(condition, _among(rows, best))
            order = _order(connection, rows, condition)
            found = connection.execute(
                where.listing(rows, condition, order, after, limit + 1)
            ).all()
        items = tuple(_row_of(row.summary, row.platform) for row in found[:limit])
        if len(found) <= limit:
            return items, None
        last = found[limit - 1]
        end = where.PageEnd(last.group, last.key, last.name, last.version_order, last.platform)
        return items, where.cursor(query, end)

    def compared(self, query: Query) -> tuple[Compared, ...]:
        """Say which of all that fits can be compared, by the metric that decides."""
        rows = where.Rows.of(query)
        condition = and_(where.facets(query), where.limits(rows))
        with reading(self.engine) as connection:
            names = connection.execute(where.metrics_of(rows, condition)).scalars()
            return _compared(connection, rows, condition, deciding_metric(query, names))

    def candidates(self, query: Query) -> tuple[Summary, ...]:
        """Give all whose facets match, whatever the budget."""
        with reading(self.engine) as connection:
            return tuple(_all(connection, where.facets(query)))

    def count(self, query: Query) -> int:
        """Count the rows that fit the query."""
        rows = where.Rows.of(query)
        fitting = where.counting(rows, and_(where.facets(query), where.limits(rows)))
        with reading(self.engine) as connection:
            return int(connection.execute(fitting).scalar_one())

    def versions(self, name: str) -> tuple[Summary, ...]:
        """Give all versions of an artifact, yanked ones too, highest first."""
        rows = (
            select(releases.c.summary)
            .where(releases.c.name == name)
            .order_by(releases.c.version_order.desc())
        )
        with reading(self.engine) as connection:
            return tuple(
                Summary.model_validate_json(text) for text in connection.execute(rows).scalars()
            )

    def metrics(self) -> tuple[str, ...]:
        """List the metrics that some release has, sorted."""
        return self._distinct(metrics.c.metric)

    def datasets(self) -> tuple[DataSet, ...]:
        """List the data sets that some metric was measured on, by name."""
        known = map(DataSet.model_validate_json, self._distinct(metrics.c.place))
        return tuple(sorted(known, key=lambda one: one.order))

    def facets(self) -> dict[str, tuple[str, ...]]:
        """List the values that searches can choose from, over all releases that are not yanked."""
        used = self._distinct(techniques.c.technique)
        return {
            "task": self._distinct(releases.c.task),
            "model": self._distinct(releases.c.model),
            "technique": ("none", *used),
            "license": self._distinct(releases.c.license),
            "dataset": tuple(spelled(self.datasets()).values()),
            "labels": tuple(label for label in self._distinct(releases.c.labels) if label),
            "device": self._distinct(timings.c.device),
            "platform": self._distinct(timings.c.platform),
            "threads": self._distinct(timings.c.threads),
            "metric": self.metrics(),
        }

    def devices(self) -> tuple[tuple[str, str, tuple[int, ...], int], ...]:
        """List each device and platform with its thread counts and how many releases it has."""
        t = timings.c
        rows = select(t.device, t.platform, t.threads, t.release_id).distinct()
        found: dict[tuple[str, str], tuple[set[int], set[int]]] = {}
        with reading(self.engine) as connection:
            for device, platform, threads, release in connection.execute(rows):
                seen = found.setdefault((device, platform), (set(), set()))
                seen[0].add(threads)
                seen[1].add(release)
        return tuple(
            (*place, tuple(sorted(threads)), len(ids))
            for place, (threads, ids) in sorted(found.items())
        )

    def measured_on(self, device: str) -> int:
        """Count the releases that were measured on a device."""
        t = timings.c
        rows = select(func.count(t.release_id.distinct())).where(t.device == device)
        with reading(self.engine) as connection:
            return int(connection.execute(rows).scalar_one())

    def _distinct(self, column: ColumnElement[Any]) -> tuple[str, ...]:
        """List the distinct values of a column as text, over what is not yanked."""
        table = column.table
        rows = select(column).distinct().order_by(column)
        if table is not releases:
            rows = rows.join(releases, releases.c.id == table.c.release_id)
        with reading(self.engine) as connection:
            return tuple(
                str(value) for value in connection.execute(rows.where(~releases.c.yanked)).scalars()
            )


def _all(connection: Connection, condition: where.Condition) -> list[Summary]:
    rows = (
        select(releases.c.summary)
        .where(condition)
        .order_by(releases.c.name, releases.c.version_order.desc())
    )
    return [Summary.model_validate_json(text) for text in connection.execute(rows).scalars()]


def _rows(connection: Connection, rows: where.Rows, condition: where.Condition) -> list[Summary]:
    found = select(releases.c.summary, rows.platform.label("platform")).select_from(rows.source)
    return [
        _row_of(row.summary, row.platform) for row in connection.execute(found.where(condition))
    ]


def _row_of(summary: str, platform: str) -> Summary:
    return Summary.model_validate_json(summary).on(platform)


def _compared(
    connection: Connection, rows: where.Rows, condition: where.Condition, metric: str
) -> tuple[Compared, ...]:
    """Count what holds `condition` by the data set on which the metric decides."""
    found = connection.execute(where.places(rows, condition, metric))
    return counted(
        metric,
        (
            (None if text is None else DataSet.model_validate_json(text), count)
            for text, count in found
        ),
    )


def _order(connection: Connection, rows: where.Rows, condition: where.Condition) -> where.SortKey:
    """Give the order of a listing: by a metric, one data set after the other."""
    metric = sorting_metric(rows.query)
    if metric is None:
        return where.SortKey.of(rows)
    standing = _compared(connection, rows, condition, metric)
    return where.SortKey.of(rows, [one.dataset for one in standing if one.dataset])


def _among(rows: where.Rows, items: Sequence[Summary]) -> where.Condition:
    """Hold for exactly these rows."""
    c = releases.c
    refs = {f"{item.name}@{item.version} {item.platform}" for item in items}
    return (c.name + "@" + c.version + " " + rows.platform).in_(sorted(refs))


def _pointed(connection: Connection, name: str, alias: str) -> set[str]:
    """Name the versions that an alias points to, as far as the rows know."""
    if not alias:
        return set()
    known = _all(connection, releases.c.name == name)
    return {item.version for item in known if alias in item.aliases}
