"""A store that does not open leaves no connection open."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from keyctl.errors import ConfigurationInvalid, Refused, StoreUnavailable
from keyctl.profiles.files import load_profile
from keyctl.store import schema
from keyctl.store.database import Database, Store
from keyctl.store.location import StoreLocation
from keyctl.store.postgres_connection import PostgresConnection
from keyctl.store.sqlite_reader import SqliteReader
from tests.stores import ACTOR, CHEAP, NOW, Opened


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every connection to a database that is opened from here on."""
    made: list[Any] = []

    def recording(connect: Callable[..., Any]) -> Callable[..., Any]:
        def connect_and_record(*args: Any, **how: Any) -> Any:
            made.append(connect(*args, **how))
            return made[-1]

        return connect_and_record

    monkeypatch.setattr(sqlite3, "connect", recording(sqlite3.connect))
    monkeypatch.setattr(PostgresConnection, "connect", recording(PostgresConnection.connect))
    return made


def closed(connection: sqlite3.Connection | psycopg.Connection) -> bool:
    try:
        connection.execute("select 1")
    except (sqlite3.ProgrammingError, psycopg.OperationalError) as error:
        return "closed" in str(error)
    return False


def test_a_store_of_another_schema(opened: Opened, connections: list[Any]):
    opened.store.write(lambda connection: connection.execute(text("update alembic_version set version_num = '9999'")))
    connections.clear()

    with pytest.raises(ConfigurationInvalid):
        Store(opened.store.location)

    assert [closed(connection) for connection in connections] == [True]


def test_a_store_with_another_profile(opened: Opened, connections: list[Any]):
    with pytest.raises(Refused, match="has a different profile"):
        schema.create(opened.store.location, load_profile("vexa"), CHEAP, actor=ACTOR, now=NOW)

    assert [closed(connection) for connection in connections] == [True, True]


@pytest.mark.parametrize("open_it", [SqliteReader, lambda path: Database(StoreLocation.of_file(path)).revision()])
def test_a_file_that_is_no_database(tmp_path: Path, connections: list[Any], open_it: Callable[[Path], Any]):
    file = tmp_path / "note.db"
    file.write_text("this is no database, and longer than the header of one would have to be" * 20)

    with pytest.raises(StoreUnavailable):
        open_it(file)

    assert [closed(connection) for connection in connections] == [True]


def test_a_server_that_refuses_the_settings_of_a_transaction(
    postgres_server: str, connections: list[Any], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("keyctl.store.postgres.IDLE_TIMEOUT", 10**9)
    database = Database(StoreLocation.parse(postgres_server))

    with pytest.raises(StoreUnavailable, match="invalid value for parameter"):
        database.revision()

    database.close()
    assert [closed(connection) for connection in connections] == [True]
