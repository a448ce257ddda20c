from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect

from keyctl.errors import ConfigurationInvalid, KeyctlError, StoreUnavailable
from keyctl.profiles.files import load_profile
from keyctl.reader_group import ReaderGroup
from keyctl.store import schema
from keyctl.store.database import Database, Store
from keyctl.store.integrity import check
from keyctl.store.location import StoreLocation
from keyctl.store.opening import SCHEMA_REVISION
from keyctl.store.sqlite_reader import SqliteReader
from keyctl.store.tables import metadata
from keyctl.verifier import Verifier
from tests.runner import Cli
from tests.stores import ACTOR, CHEAP, NOW, Opened, migrate

pytestmark = pytest.mark.sqlite

MIGRATIONS = Path(schema.__file__).parent / "migrations"
REVISIONS = sorted(script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions())
DATA = Path(__file__).parent.parent / "data"

FAILS = """
import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{newest}"


def upgrade():
    op.create_table("half_done", sa.Column("x", sa.Integer))
    op.create_index("ix_half_done", "half_done", ["x"])
    op.add_column("keys", sa.Column("half_done", sa.Integer))
    op.execute("update settings set value = 'half done'")
    raise LookupError("the migration broke")
"""


@pytest.fixture
def failing_migration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A newest migration that breaks when it has done nearly everything."""
    folder = tmp_path / "broken"
    shutil.copytree(MIGRATIONS, folder / "migrations", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "migrations/versions/9999_fails.py").write_text(FAILS.format(newest=SCHEMA_REVISION))
    monkeypatch.setattr(schema, "__file__", str(folder / "schema.py"))


def upgrade(location: StoreLocation) -> tuple[str, str]:
    with closing(Database(location)) as database:
        return schema.upgrade(database)


def dump(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    try:
        return list(connection.iterdump())
    finally:
        connection.close()


def test_an_empty_database_upgraded_equals_the_metadata(opened: Opened):
    with opened.store.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        differences = compare_metadata(context, metadata)

    assert differences == []


def test_the_migrations_make_what_the_metadata_would(opened: Opened):
    """Alembic's comparison leaves out primary keys and the columns of unique indexes' order; this does not."""
    made = create_engine("sqlite://")
    metadata.create_all(made)

    with opened.store.read() as connection:
        upgraded, declared = inspect(connection), inspect(made)
        tables = set(upgraded.get_table_names()) - {"alembic_version"}
        assert tables == set(declared.get_table_names())
        for table in tables:
            for facet in ("get_pk_constraint", "get_indexes", "get_foreign_keys", "get_unique_constraints"):
                assert getattr(upgraded, facet)(table) == getattr(declared, facet)(table), (table, facet)
            columns = [
                [(c["name"], str(c["type"]), c["nullable"], c["default"]) for c in one.get_columns(table)]
                for one in (upgraded, declared)
            ]
            assert columns[0] == columns[1]
    made.dispose()


def test_the_schema_that_readers_know_is_the_newest_migration():
    assert ScriptDirectory(str(MIGRATIONS)).get_heads() == [SCHEMA_REVISION]


@pytest.mark.usefixtures("failing_migration")
def test_a_store_whose_creation_fails_is_not_there(tmp_path: Path):
    folder = tmp_path / "empty"
    folder.mkdir()
    location = StoreLocation.of_file(folder / "keys.db")

    with pytest.raises(LookupError):
        schema.create(location, load_profile("standard"), CHEAP, actor=ACTOR, now=NOW)

    assert list(folder.iterdir()) == []


@pytest.mark.usefixtures("failing_migration")
def test_a_creation_that_fails_leaves_an_empty_file_that_was_there_before(tmp_path: Path):
    file = tmp_path / "keys.db"
    file.touch()

    with pytest.raises(LookupError):
        schema.create(StoreLocation.of_file(file), load_profile("standard"), CHEAP, actor=ACTOR, now=NOW)

    assert file.read_bytes() == b""


def test_an_upgrade_that_fails_leaves_the_store_as_it_was(opened: Opened, failing_migration: None):
    [minted] = opened.mint(name="before")
    before = dump(opened.path)

    with pytest.raises(LookupError):
        upgrade(opened.store.location)

    assert dump(opened.path) == before
    with closing(Verifier(SqliteReader(opened.path))) as verifier:
        assert verifier.verify(minted.text)
    assert check(opened.store).fault is None


def test_a_creation_that_found_the_store_busy_does_not_take_the_file_away(tmp_path: Path):
    """The process that keeps it busy may have put a store there meanwhile."""
    file = tmp_path / "keys.db"
    location = StoreLocation.of_file(file)
    original = schema._make_file

    def make_and_be_overtaken(path: Path, group: ReaderGroup | None) -> bool:
        made = original(path, group)
        other.append(sqlite3.connect(path, isolation_level=None))
        other[0].execute("begin immediate")
        return made

    other: list[sqlite3.Connection] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema, "_make_file", make_and_be_overtaken)
        with pytest.raises(StoreUnavailable) as error:
            schema.create(location, load_profile("standard"), CHEAP, actor=ACTOR, now=NOW, wait=0)
    other[0].execute("create table overtaker (x int)")
    other[0].execute("commit")
    other[0].close()

    assert error.value.code == "STORE_BUSY"
    assert file.stat().st_size > 0


def test_of_several_creations_at_once_one_makes_the_store_and_all_have_it(cli: Cli):
    processes = [cli.spawn("init", "--json", "--wait", "30s", "--argon2", "m=8,t=1,p=1") for _ in range(6)]

    answers = [process.wait().expect(0).json for process in processes]

    assert sorted(answer["created"] for answer in answers) == [False] * 5 + [True]
    assert len({answer["store_id"] for answer in answers}) == 1
    cli("audit", "verify", check=0)
    assert len(cli("audit", "list", "--json", check=0).json["events"]) == 1


def test_an_upgrade_of_a_current_store_changes_nothing(opened: Opened):
    before = opened.path.read_bytes()

    assert upgrade(opened.store.location) == (SCHEMA_REVISION, SCHEMA_REVISION)

    assert opened.path.read_bytes() == before


def test_an_upgrade_of_nothing_makes_nothing(tmp_path: Path):
    (tmp_path / "empty.db").touch()

    with pytest.raises(KeyctlError, match="holds no keyctl store") as error:
        upgrade(StoreLocation.of_file(tmp_path / "empty.db"))

    assert error.value.hint == f"create it: keyctl init --store {tmp_path / 'empty.db'}"
    assert (tmp_path / "empty.db").read_bytes() == b""


def test_a_store_of_a_newer_version_is_refused_and_left_alone(opened: Opened):
    with sqlite3.connect(opened.path) as connection:
        connection.execute("update alembic_version set version_num = '9999'")
    connection.close()
    before = opened.path.read_bytes()

    for use in (
        lambda: Store(opened.store.location),
        lambda: SqliteReader(opened.path),
        lambda: upgrade(opened.store.location),
    ):
        with pytest.raises(ConfigurationInvalid) as error:
            use()
        assert error.value.hint == "a newer keyctl wrote it: upgrade keyctl"

    assert opened.path.read_bytes() == before


def test_a_database_with_other_tables_is_not_taken_over(tmp_path: Path):
    file = tmp_path / "shop.db"
    with sqlite3.connect(file) as connection:
        connection.execute("create table orders (id int)")
    connection.close()
    before = file.read_bytes()

    with pytest.raises(StoreUnavailable, match="tables that are not keyctl's: orders"):
        schema.create(StoreLocation.of_file(file), load_profile("standard"), CHEAP, actor=ACTOR, now=NOW)

    assert file.read_bytes() == before


def golden_store(path: Path, revision: str) -> dict[str, Any]:
    """Make the store that tests/store/golden.py dumped when this revision was new; return what it must answer."""
    connection = sqlite3.connect(path)
    connection.executescript((DATA / f"store-{revision}.sql").read_text())
    connection.close()
    expected: dict[str, Any] = json.loads((DATA / f"store-{revision}.json").read_text())
    return expected


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_store_of_every_schema_is_still_read(tmp_path: Path, revision: str):
    file = tmp_path / "golden.db"
    expected = golden_store(file, revision)

    upgrade(StoreLocation.of_file(file))

    with closing(Store(StoreLocation.of_file(file))) as store, closing(SqliteReader(file)) as reader:
        verdict = check(store)
        assert (verdict.fault, verdict.keys, verdict.owners) == (None, expected["keys"], expected["owners"])
        for keyring in (store, reader):
            verifier = Verifier(keyring, clock=lambda: NOW + timedelta(hours=1))
            codes = {text: str(verifier.verify(text).code) for text in expected["codes"]}
            assert codes == expected["codes"]


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_migration_is_frozen(tmp_path: Path, revision: str):
    """Stores made by it exist: it may not change. Make a further migration instead."""
    golden = (DATA / f"store-{revision}.sql").read_text()
    (tmp_path / "new.db").touch()
    with closing(Database(StoreLocation.of_file(tmp_path / "new.db"))) as database:
        database.write(lambda connection: migrate(connection, revision))
    with closing(sqlite3.connect(tmp_path / "new.db")) as connection:
        made = [sql for (sql,) in connection.execute("select sql from sqlite_master where sql is not null")]

    assert all(f"{statement};" in golden for statement in made)
    assert sum(line.startswith("CREATE ") for line in golden.splitlines()) == len(made)
