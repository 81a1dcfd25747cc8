"""The door to the database.

SQLite set up for several processes at once, or any other that SQLAlchemy speaks.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, OperationalError

from zoo_registry.model.errors import Unreachable, WrongUse

BUSY_MS = 15_000
_WAL_TRIES = 100


def open_engine(url: str) -> Engine:
    """Open a database: a path or an SQLAlchemy URL.

    SQLite gets WAL, foreign keys, and waits for other writers.

    Raises:
        WrongUse: it is neither.
    """
    text = url if "://" in url else f"sqlite:///{Path(url).absolute()}"
    try:
        address = make_url(text)
    except ArgumentError as error:
        raise WrongUse(
            f"not a database: {url!r}", hint="ZOO_DB=sqlite:////var/lib/zoo/zoo.db"
        ) from error
    if address.get_backend_name() == "sqlite" and address.database:
        Path(address.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(address, pool_pre_ping=address.get_backend_name() != "sqlite")
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare)
        event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: Any, _: object) -> None:
    """Set up one SQLite connection; transactions are begun by `_begin`, not by the driver."""
    connection.isolation_level = None
    for pragma in (f"busy_timeout={BUSY_MS}", "foreign_keys=ON", "synchronous=NORMAL"):
        connection.execute(f"PRAGMA {pragma}").close()
    _write_ahead(connection)


def _write_ahead(connection: Any) -> None:
    """Turn WAL on.

    Another process doing the same makes SQLite answer busy without waiting: try again.
    """
    import sqlite3

    for attempt in range(_WAL_TRIES):
        try:
            connection.execute("PRAGMA journal_mode=WAL").close()
        except sqlite3.OperationalError:
            if attempt == _WAL_TRIES - 1:
                raise
            time.sleep(0.02)
        else:
            return


def _begin(connection: Connection) -> None:
    """Take the write lock at once where writing is meant.

    A lock asked for halfway cannot be waited for.
    """
    writing = connection.get_execution_options().get("zoo_writing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Give a connection that sees one state of the database."""
    with _adapting(engine), engine.connect() as connection, connection.begin():
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Give a connection whose changes appear together at the end, or not at all."""
    with (
        _adapting(engine),
        engine.connect().execution_options(zoo_writing=True) as connection,
        connection.begin(),
    ):
        yield connection


@contextmanager
def _adapting(engine: Engine) -> Iterator[None]:
    """Let a database that does not answer be one of our errors.

    A mistake in our SQL stays what it is.
    """
    try:
        yield
    except DBAPIError as error:
        if (
            isinstance(error, OperationalError)
            or type(error) is DatabaseError
            or error.connection_invalidated
        ):
            raise Unreachable(
                f"database {engine.url!r}: {error.orig}", hint="zoo registry migrate"
            ) from error
        raise
