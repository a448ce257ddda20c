"""Creates and upgrades the schema. The only place that imports Alembic, which no other command needs."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, insert, inspect

from keyctl import private_files
from keyctl.audit import GENESIS
from keyctl.errors import Refused, StoreBusy, StoreUnavailable
from keyctl.hashing import Scheme
from keyctl.models import Actor, EventContent
from keyctl.profiles.model import Profile
from keyctl.reader_group import ReaderGroup
from keyctl.store import events, postgres, settings
from keyctl.store.database import DEFAULT_WAIT, Database, Store, schema_revision
from keyctl.store.location import StoreLocation
from keyctl.store.opening import SCHEMA_REVISION, check_revision
from keyctl.store.setting_names import SettingName
from keyctl.store.tables import audit_head, metadata
from keyctl.times import format_time
from keyctl.ulid import ulids


def create(
    location: StoreLocation,
    profile: Profile,
    hash_parameters: Scheme,
    *,
    actor: Actor,
    now: datetime,
    wait: float = DEFAULT_WAIT,
    patient: bool = False,
    any_profile: bool = False,
    reader_group: ReaderGroup | None = None,
    admin_token: Callable[[], str] | None = None,
) -> tuple[Store, bool]:
    """Create a store, or open an existing one; return it, and whether it was created.

    This is one transaction: afterwards there is a complete store or none. Raises Refused if an existing store has a
    different profile, unless `any_profile`, or a different reader group. `admin_token` returns the hash of the token
    that a new store requires.
    """

    made_file = _make_file(location.file, reader_group) if location.file else False
    database = Database(location, wait=wait, patient=patient)
    try:
        created = database.write(
            lambda connection: fill(
                connection,
                profile,
                hash_parameters,
                actor=actor,
                now=now,
                reader_group=reader_group,
                admin_token=admin_token,
            )
        )
    except BaseException as error:
        database.close()
        # The process that kept it busy, or another one, may have filled the file by now.
        if made_file and location.file and not isinstance(error, StoreBusy) and not location.file.stat().st_size:
            location.file.unlink()
        raise
    database.close()
    store = Store(location, wait=wait, patient=patient)
    if not created and not any_profile and store.profile.document != profile.document:
        store.close()
        raise Refused(
            f'the store at {location} has a different profile: "{store.profile.name}"',
            hint=f"see: keyctl profile show --store {location}",
        )
    if reader_group is not None and (present := store.settings.get(SettingName.READER_GROUP)) != reader_group.name:
        store.close()
        raise Refused(
            f"the store at {location} exists, and its reader group is "
            + ("none" if present is None else f'"{present}"')
        )
    return store, created


def upgrade(database: Database) -> tuple[str, str]:
    """Upgrade the schema to this version's, in one transaction; return the revisions before and after."""

    def work(connection: Connection) -> str | None:
        before = schema_revision(connection, lock=True)
        if before is None or before > SCHEMA_REVISION:
            check_revision(str(database.location), before)
        if connection.dialect.name == "postgresql":
            postgres.allow_any_time(connection)  # an index of a large table may take long
        _migrate(connection)
        return before

    before = database.write(work) or ""
    return before, database.revision() or before


def ddl(dialect: str) -> str:
    """Return the statements that create the whole schema, for a DBA to read or run. Connects to no database."""
    written = io.StringIO()
    config = _config()
    config.attributes["dialect"] = dialect
    config.output_buffer = written
    command.upgrade(config, "head", sql=True)
    return written.getvalue().strip()


def prepare(connection: Connection) -> bool:
    """Create the schema unless it is there; return whether its tables are empty, rather than a store.

    Inside the transaction that fills them: two first commands at once must not both create the store.
    """
    # In this order: a store that is created in between is then seen as a store, and not as foreign tables.
    tables = set(inspect(connection).get_table_names())
    if schema_revision(connection) is None:
        _refuse_foreign_tables(connection, tables)
        _migrate(connection)
        return True
    return not settings.read(connection)


def fill(
    connection: Connection,
    profile: Profile,
    hash_parameters: Scheme,
    *,
    actor: Actor,
    now: datetime,
    reader_group: ReaderGroup | None = None,
    admin_token: Callable[[], str] | None = None,
) -> bool:
    """Make a new store of an empty database, or of empty tables; return False if there is a store already."""
    if not prepare(connection):
        return False
    initial = {
        SettingName.STORE_ID: f"store_{ulids(now, 1)[0]}",
        SettingName.CREATED_AT: format_time(now),
        SettingName.PROFILE: profile.to_json(),
        SettingName.HASH: json.dumps(hash_parameters.to_dict()),
        **({SettingName.READER_GROUP: reader_group.name} if reader_group else {}),
        **({SettingName.ADMIN_TOKEN: admin_token()} if admin_token else {}),
    }
    connection.execute(insert(audit_head).values(id=1, seq=0, hash=GENESIS))
    detail = settings.change(connection, initial) | {"profile": profile.name}
    events.append(connection, EventContent(now, actor, "store.created", None, detail))
    return True


def _refuse_foreign_tables(connection: Connection, tables: set[str]) -> None:
    # A server's database may be shared, as long as no other table has a name that keyctl needs.
    foreign = tables if connection.dialect.name == "sqlite" else tables & metadata.tables.keys()
    if foreign:
        raise StoreUnavailable(
            f"the database contains tables that are not keyctl's: {', '.join(sorted(foreign)[:5])}",
            hint="give another file or database; on a server, a schema: …?options=-csearch_path%3Dkeyctl",
        )


def _migrate(connection: Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config


def _make_file(path: Path, reader_group: ReaderGroup | None) -> bool:
    """Create an empty file that only its owner, or the group as well, may read; return whether it was created."""
    try:
        if reader_group is not None and not path.exists():
            reader_group.open_folder(path.parent)
        private_files.create(path).close()
    except FileExistsError:
        return False
    except OSError as error:
        missing = not path.parent.is_dir()
        raise StoreUnavailable(
            f"cannot create {path}: {error.strerror}", hint=f"mkdir -p {path.parent}" if missing else None
        ) from None
    if reader_group is not None:
        try:
            reader_group.open_file(path)
        except OSError as error:  # from a file system without owners
            private_files.remove(path)
            raise StoreUnavailable(f"cannot give {path} to {reader_group.name}: {error.strerror}") from None
    return True
