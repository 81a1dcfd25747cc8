"""The version of the tables, and how older ones are brought forward.

Runs at start; safe when several processes start at once.
"""

from collections.abc import Callable

from sqlalchemy import Connection, inspect, text

from zoo_registry.catalogue.entries import insert_all
from zoo_registry.catalogue.schema import INDEX, metadata
from zoo_registry.model.errors import Unsupported
from zoo_registry.model.summary import Summary

Step = Callable[[Connection], None]


def index_anew(connection: Connection) -> None:
    """Replace the tables of the index by today's, with what the old rows say of each release.

    Whoever has the store at hand then reads the releases again (`Catalogue.behind`).
    """
    kept = connection.execute(text("SELECT summary FROM releases")).scalars().all()
    standing = set(inspect(connection).get_table_names())
    old = [table for table in INDEX if table.name in standing]
    metadata.drop_all(connection, tables=old)
    metadata.create_all(connection, tables=list(INDEX))
    insert_all(connection, map(Summary.model_validate_json, kept))
    connection.execute(text("INSERT INTO pending (what) VALUES ('reindex')"))


# Step n brings version n + 1 to n + 2. A new database gets today's tables at once; a step is frozen
# once it was released, but for `index_anew`: what is derived is derived by today's rules.
STEPS: tuple[Step, ...] = (index_anew,)
VERSION = len(STEPS) + 1


def version(connection: Connection) -> int:
    """Give the version of the tables in the database; 0 when there are none."""
    if not inspect(connection).has_table("schema_version"):
        return 0
    return int(connection.execute(text("SELECT version FROM schema_version")).scalar_one())


def migrate(connection: Connection) -> tuple[int, int]:
    """Bring the tables to this program's version, within the transaction of `connection`.

    Give the old and the new version.

    Raises:
        Unsupported: the database was written by a newer program.
    """
    found = version(connection)
    if found > VERSION:
        raise Unsupported(
            f"the database has schema version {found}, this program knows up to {VERSION}",
            hint="pip install --upgrade 'edgezoo[registry]'",
        )
    if found == 0:
        metadata.create_all(connection)
        connection.execute(text("CREATE TABLE schema_version (version INTEGER NOT NULL)"))
        connection.execute(text("INSERT INTO schema_version (version) VALUES (0)"))
    else:
        for step in STEPS[found - 1 :]:
            step(connection)
    connection.execute(text("UPDATE schema_version SET version = :version"), {"version": VERSION})
    return found, VERSION
