"""What the tests of the command line share: a look into the store, and claims that many of them make."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import text

from keyctl.store.database import Database
from keyctl.store.location import StoreLocation
from keyctl.store.tables import metadata
from tests import postgres
from tests.runner import Cli, Result

Filled = Callable[[Callable[[Cli], Any]], Any]  # the fixture `filled`
CHEAP = ("--argon2", "m=8,t=1,p=1")
# Root ignores modes; root without this capability does not.
AS_ORDINARY_USER = "setpriv --bounding-set=-all --inh-caps=-all --ambient-caps=-all"

# What scripts rely on: fields may be added, never renamed.
KEY_FIELDS = {
    *("id", "prefix", "name", "owner", "environment", "scopes", "effective_scopes", "allowed_ips", "metadata"),
    *("status", "owner_active", "created_at", "created_by", "delivered_at", "expires_at", "locked_until"),
    *("revoked_at", "revoked_reason", "replaced_by", "replaces", "lineage", "last_used_at"),
}

PROFILE = """
name = "acme"
[key]
template = "ak_{{env}}_{{prefix}}_{{secret}}"
environments = {{ live = "live", test = "test" }}
fields.prefix = {{ alphabet = "hex", length = {length} }}
fields.secret = {{ alphabet = "base62", length = 32 }}
"""


EVERY_ROW = {
    table.name: f"select {', '.join(table.columns.keys())} from {table.name} "
    f"order by {', '.join(table.primary_key.columns.keys())}"
    for table in metadata.sorted_tables
}

# ── the store, whatever database holds it ────────────────────────────────────────────────────────────────────────────


def location(cli: Cli) -> str:
    """Where `cli` has its store."""
    return cli.env.get("KEYCTL_STORE") or str(cli.home / ".local/share/keyctl/keyctl.db")


def dump(cli: Cli) -> dict[str, list[tuple[Any, ...]]] | None:
    """Return every row of every table; None if there is no store."""
    with _connection(cli) as connection:
        try:
            connection.execute("select version_num from alembic_version")
        except (sqlite3.OperationalError, psycopg.errors.UndefinedTable):
            return None
        return {name: [tuple(row) for row in connection.execute(query)] for name, query in EVERY_ROW.items()}


def execute(cli: Cli, statement: str, **values: Any) -> None:
    """Change the database behind keyctl's back."""
    database = Database(StoreLocation.parse(location(cli)))
    database.write(lambda connection: connection.execute(text(statement), values))
    database.close()


def set_key(cli: Cli, prefix: str, /, **values: Any) -> None:
    """Set columns of one key behind keyctl's back."""
    columns = ", ".join(f"{name} = :{name}" for name in values)
    execute(cli, f"update keys set {columns} where prefix = :which", which=prefix, **values)


def ago(**length: float) -> int:
    """A time in the past, as the store keeps it."""
    return int((time.time() - timedelta(**length).total_seconds()) * 1000)


@contextmanager
def _connection(cli: Cli) -> Iterator[sqlite3.Connection | psycopg.Connection]:
    place = StoreLocation.parse(location(cli))
    if place.file is None:
        with postgres.transaction(place.url) as connection:
            yield connection
    else:
        with closing(sqlite3.connect(place.file if place.file.exists() else ":memory:")) as file:
            yield file


@contextmanager
def locked(cli: Cli) -> Iterator[None]:
    """Keep every other writer waiting."""
    with _connection(cli) as connection:
        connection.execute("begin immediate" if isinstance(connection, sqlite3.Connection) else "lock table keys")
        yield


# ── what a test begins with ──────────────────────────────────────────────────────────────────────────────────────────


def mint(cli: Cli, *args: str) -> dict[str, Any]:
    """Mint a key; return its JSON object, with the credential in `key`."""
    return cli("mint", "--json", *args, check=0).json


def mint_many(cli: Cli, count: int, *args: str) -> list[dict[str, Any]]:
    return cli("mint", "--json", "--count", str(count), *args, check=0).json["keys"]


def show(cli: Cli, prefix: str) -> dict[str, Any]:
    return cli("show", prefix, "--json", check=0).json


def verify(cli: Cli, key: str, *args: str) -> str:
    """Return the code of the decision."""
    return cli("verify", *args, stdin=key).out.split()[0]


def with_profile(cli: Cli, rules: str = "", *, length: int = 12) -> Cli:
    """Give `cli` a store with a profile of its own: `rules` in TOML, beside a key format."""
    file = write_profile(cli, rules, length=length)
    cli("init", "--profile", file, *CHEAP, check=0)
    return cli


def write_profile(cli: Cli, rules: str = "", *, length: int = 12) -> Path:
    file = cli.home / "acme.toml"
    file.write_text(PROFILE.format(length=length) + rules)
    return file


def config_file(cli: Cli, content: str) -> Path:
    """Write the user's configuration file."""
    file = cli.home / ".config/keyctl/config.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)
    return file


@contextmanager
def full_disk() -> Iterator[int]:
    descriptor = os.open("/dev/full", os.O_WRONLY)
    yield descriptor
    os.close(descriptor)


@contextmanager
def closed_pipe() -> Iterator[int]:
    """The end of a pipe that has no reader any more."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


def ordinarily(cli: Cli, command: str, **how: object) -> Result:
    """Run a shell command as a user for whom file modes are enforced."""
    return cli.shell(f"exec {AS_ORDINARY_USER} {command}" if os.geteuid() == 0 else command, check=None, **how)


# ── claims ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def refused(cli: Cli, *args: Any, code: int, says: str | Sequence[str] = (), **how: Any) -> Result:
    """Claim that a command fails with this exit code: a message on stderr, nothing on stdout, nothing changed."""
    before = dump(cli)
    result = cli(*args, **how).expect(code)
    assert result.out == "", result
    assert result.err.startswith("keyctl: error: "), result
    assert "Traceback" not in result.err, result
    assert "internal error" not in result.err, result
    for words in [says] if isinstance(says, str) else says:
        assert words in result.err, f"{words!r} is missing\n{result}"
    assert dump(cli) == before
    return result


def is_so_already(cli: Cli, *args: str, says: str) -> None:
    """Claim that a change of one key or owner was made before: the exit code is 0, and both streams say so."""
    result = changes_nothing(cli, *args, says=f"{says}: nothing was changed")
    name = next(word for word in reversed(args) if f" {word} {says}" in result.err)
    assert result.out == f"unchanged {name}\n"


def changes_nothing(cli: Cli, *args: Any, says: str, code: int = 0) -> Result:
    """Claim that a command ends with this exit code, says so on stderr, and leaves the store as it was."""
    before = dump(cli)
    result = cli(*args, check=code)
    assert says in result.err, result
    assert dump(cli) == before
    return result


def seconds_from_now(moment: str) -> float:
    return (datetime.fromisoformat(moment) - datetime.now(UTC)).total_seconds()
