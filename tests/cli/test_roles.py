"""`keyctl db roles`, on the real server: what an administrator and a verifier may do."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from keyctl import Recorder
from keyctl.errors import StoreUnavailable
from keyctl.store.tables import metadata
from keyctl.verifier import Verifier
from tests.cli.helpers import CHEAP, mint, refused
from tests.runner import Cli

pytestmark = pytest.mark.postgres
TOKEN = "correct horse battery staple"


@pytest.fixture
def owner(cli: Cli, empty_schema: str) -> Iterator[Cli]:
    """keyctl as the owner of the tables, after it has made the roles."""
    cli.env |= {"KEYCTL_STORE": empty_schema, "ROLES": f"r{uuid.uuid4().hex[:12]}"}
    cli("init", *CHEAP, check=0)
    name = cli.env["ROLES"]
    sql = cli("db", "roles", "--name", name, check=0).out
    with psycopg.connect(empty_schema, autocommit=True) as connection:
        for _ in range(2):  # it may be run again
            connection.execute(sql)
        for role in ("admin", "verify", "record"):
            connection.execute(f"create role {name}_{role}_login login in role {name}_{role}")
        yield cli
        for role in (f"{name}_admin", f"{name}_verify", f"{name}_record"):
            connection.execute(f"drop owned by {role}; drop role {role}_login; drop role {role}")


def url_of(owner: Cli, role: str) -> str:
    return owner.env["KEYCTL_STORE"].replace("//postgres@", f"//{owner.env['ROLES']}_{role}_login@", 1)


def as_role(owner: Cli, role: str) -> dict[str, str]:
    return {"KEYCTL_STORE": url_of(owner, role)}


def denied(owner: Cli, role: str, *statements: str) -> None:
    """Claim that each statement is refused for lack of a privilege."""
    with psycopg.connect(url_of(owner, role), autocommit=True) as connection:
        for statement in statements:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def token_file(cli: Cli) -> Path:
    file = cli.cwd / "token"
    file.write_text(TOKEN)
    return file


def test_a_verifier_verifies_and_changes_nothing(owner: Cli):
    key = mint(owner, "--owner", "acme", "--create-owner")
    owner("bundle", "key", "--create", check=0)
    verifier = as_role(owner, "verify")

    assert owner("verify", stdin=key["key"], env=verifier, check=0).out.startswith("VALID")
    with closing(Verifier.from_store(url_of(owner, "verify"))) as application:
        assert application.verify(key["key"])
    for command in (
        ["mint"],
        ["revoke", key["prefix"], "--yes"],
        ["rotate", key["prefix"]],
        ["owner", "add", "other"],
        ["db", "hash", "--hash", "sha256"],
        ["bundle", "export", "./b"],
        ["admin-token", "set"],
        ["verify", "--record"],
        ["audit", "list"],
        ["usage"],
        ["audit", "verify"],
    ):
        result = refused(
            owner,
            *command,
            env=verifier,
            stdin=TOKEN if "set" in command else key["key"],
            code=5 if command != ["admin-token", "clear"] else 0,
        )
        assert "permission denied for table" in result.err
        assert "keyctl help postgres" in result.err
    denied(
        owner,
        "verify",
        "select 1 from events",
        "select 1 from audit_head",
        "update settings set value = ''",
        "delete from keys",
        "insert into settings values ('a', 'b')",
        "truncate keys",
        "drop table keys",
    )


def test_a_recorder_records_use_and_nothing_else(owner: Cli):
    key = mint(owner)
    with (
        closing(Recorder.to_store(url_of(owner, "record"), name="api", every=3600)) as recorder,
        Verifier.from_store(url_of(owner, "verify"), recorder=recorder) as application,
    ):
        assert application.verify(key["key"])
        assert recorder.flush()
    assert owner("usage", "--json", check=0).json["keys"][0]["allowed"] == 1
    with pytest.raises(StoreUnavailable, match="lacks a privilege: permission denied for table usage_recorders"):
        Recorder.to_store(url_of(owner, "verify"), name="api")
    denied(
        owner,
        "record",
        "select phc from keys",
        "update keys set revoked_at = null",
        "insert into keys (id) values ('x')",
        "delete from keys",
        "select 1 from events",
        "select 1 from owners",
        "update settings set value = ''",
        "truncate usage_hours",
    )


def test_an_administrator_can_run_every_command_and_not_change_history(owner: Cli):
    admin = as_role(owner, "admin")

    def run(*command: str, stdin: str = "", check: int = 0) -> str:
        return owner(*command, env=admin, stdin=stdin, check=check).out

    run("owner", "add", "acme")
    run("owner", "update", "acme", "--name", "Acme")
    key = run("mint", "--owner", "acme").strip()
    prefix = key[:20]
    run("init")
    run("verify", "--record", stdin=key)
    run("usage")
    run("usage", "recorders")
    for command in ("lock", "unlock"):
        run(command, prefix)
    run("expire", prefix, "--to", "30d")
    run("scope", prefix, "--add", "read")
    run("update", prefix, "--set-name", "x")
    successor = run("rotate", prefix, "--grace", "0").strip()
    run("revoke", successor[:20], "--yes")
    run("owner", "disable", "acme", "--yes")
    run("owner", "enable", "acme")
    run("db", "hash", "--hash", "sha256")
    run("bundle", "key", "--create")
    run("bundle", "export", "./b.bundle")
    run("admin-token", "set", stdin=TOKEN)
    run("mint", check=7)
    run("admin-token", "clear", "--admin-token-file", str(token_file(owner)))
    run("db", "status")
    run("audit", "list")
    run("prune", "--older-than", "1d", "--yes")
    with psycopg.connect(url_of(owner, "admin")) as connection:  # what `prune` does, once a key is old enough
        connection.execute("select prefix from keys for update")
        connection.execute("delete from keys")
        connection.rollback()
    run("audit", "verify")
    denied(
        owner, "admin",
        "update events set reason = 'x'", "delete from events", "delete from owners", "truncate keys, usage_days",
        "delete from audit_head", "insert into audit_head values (2, 0, '')", "truncate events", "truncate keys",
        "drop table events", "alter table events add column x text", "alter table settings disable row level security",
        "create trigger t before insert on events execute function pg_trigger()", "create table planted (a text)",
    )  # fmt: skip


def test_every_table_is_granted(cli: Cli):
    sql = cli("db", "roles", "--json", check=0).json["sql"]

    assert f"revoke all on {', '.join(sorted(['alembic_version', *metadata.tables]))} from" in " ".join(sql.split())


@pytest.mark.parametrize("name", ["", "Keyctl", "a b", "a;drop table keys", "a'", 'a"', "1a", "x" * 51, "é"])
def test_a_name_that_could_be_more_than_a_name_is_refused(cli: Cli, name: str):
    assert refused(cli, "db", "roles", "--name", name, code=2).out == ""
