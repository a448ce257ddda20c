"""Reading a description: what it may say, and every fault of it at once, with its path."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from keyctl.desired.description import DescriptionInvalid, parse_description, parse_expiry
from keyctl.toml_text import LARGEST

WHOLE = """
[[owners]]
handle = "acme"
kind = "account"
name = "Acme Ltd"
parent = "globex"
plan = ""
attributes = { region = "eu", seats = 3, beta = true, origins = ["https://a.example", "https://b.example"] }
disabled = false

[[keys]]
name = "ci"
owner = "acme"
environment = "test"
scopes = ["write", "read"]
expires = 2027-01-01T01:00:00+01:00
allowed_ips = ["10.1.2.3", "::ffff:192.0.2.0/120"]
metadata = { team = "x", old = "" }
locked = true
"""


def faults(text: str) -> tuple[str, ...]:
    return parse_description(text.encode(), "x.toml").faults


def test_everything_that_can_be_described_is_read():
    read = parse_description(WHOLE.encode(), "x.toml")

    [owner], [key] = read.owners, read.keys
    assert read.faults == ()
    assert (owner.handle, owner.kind, owner.name, owner.parent, owner.plan) == (
        "acme",
        "account",
        "Acme Ltd",
        "globex",
        "",
    )
    assert owner.attributes == {
        "region": "eu",
        "seats": "3",
        "beta": "true",
        "origins": "https://a.example,https://b.example",
    }
    assert (owner.disabled, owner.path, key.path) == (False, "owners[0]", "keys[0]")
    assert (key.name, key.owner, key.environment, key.scopes) == ("ci", "acme", "test", ("write", "read"))
    assert key.expires
    assert key.expires.moment(datetime.now(UTC)) == datetime(2027, 1, 1, tzinfo=UTC)
    assert key.allowed_ips == ("10.1.2.3/32", "192.0.2.0/24")
    assert (key.metadata, key.locked) == ({"team": "x", "old": ""}, True)


def test_what_is_not_described_is_none():
    [key] = parse_description(b'[[keys]]\nname = "ci"', "x.toml").keys

    assert (key.owner, key.environment, key.scopes, key.expires, key.allowed_ips, key.locked) == (None,) * 6


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('[[owner]]\nhandle = "a"', 'owner: unknown key: did you mean "owners"?'),
        ('owners = "acme"', 'owners: expected an array of tables, got "acme"'),
        ("[owners]\nacme = 1", "owners: expected an array of tables, got a table"),
        ('[[owners]]\nname = "x"', "owners[0].handle: is missing: expected text"),
        ('[[owners]]\nhandle = "a b"', 'owners[0].handle: "a b" is not a valid owner handle'),
        ("[[owners]]\nhandle = 7", "owners[0].handle: expected text, got 7"),
        ('[[owners]]\nhandle = "a"\nname = "a\\nb"', "owners[0].name: the name holds the character U+000A"),
        ('[[owners]]\nhandle = "a"\ndisabled = "yes"', 'owners[0].disabled: expected true or false, got "yes"'),
        ('[[owners]]\nhandle = "a"\nattributes = {x = 1.5}', "owners[0].attributes.x: expected a text, a whole number"),
        ('[[owners]]\nhandle = "a"\nattributes = {x = ["a,b"]}', "owners[0].attributes.x: expected a text, a whole"),
        ("[[keys]]", "keys[0].name: is missing: expected text"),
        ('[[keys]]\nname = ""', "keys[0].name: the name is empty"),
        ('[[keys]]\nname = "a"\nscope = ["read"]', 'keys[0].scope: unknown key: did you mean "scopes"?'),
        ('[[keys]]\nname = "a"\nscopes = "read"', 'keys[0].scopes: expected a list of texts, got "read"'),
        ('[[keys]]\nname = "a"\nscopes = ["r", "r"]', "keys[0].scopes: has an entry twice"),
        ('[[keys]]\nname = "a"\nexpires = "soon"', 'keys[0].expires: "soon" is not a time'),
        ('[[keys]]\nname = "a"\nexpires = "0d"', 'keys[0].expires: "0d" must be greater than zero'),
        ('[[keys]]\nname = "a"\nexpires = 90', "keys[0].expires: expected a text"),
        ('[[keys]]\nname = "a"\nexpires = 2027-01-01T00:00:00', "keys[0].expires: the time has no zone"),
        ('[[keys]]\nname = "a"\nallowed_ips = ["10.0.0.300"]', 'keys[0].allowed_ips: "10.0.0.300" is not a network'),
        ('[[keys]]\nname = "a"\nmetadata = {"a b" = "x"}', 'keys[0].metadata."a b": "a b=x" is not NAME=VALUE'),
        ('[[keys]]\nname = "a"\nmetadata = {a = 1}', "keys[0].metadata.a: expected text, got 1"),
        ('[[keys]]\nname = "a"\nlocked = 1', "keys[0].locked: expected true or false, got 1"),
    ],
)
def test_a_fault_names_its_path(text: str, fault: str):
    [found] = faults(text)

    assert found.startswith(fault)


def test_an_owner_that_is_described_twice_is_a_fault_among_the_others():
    found = faults('[[owners]]\nhandle = "a"\n[[owners]]\nhandle = "a"\nkind = 1\n[[keys]]\nname = 2')

    assert found == (
        "owners[1].kind: expected text, got 1",
        "keys[0].name: expected text, got 2",
        'owners[1]: the owner "a" is described in owners[0] already',
    )


@pytest.mark.parametrize("raw", [b"[[owners", b"\xff", b"x = 1\nx = 2", b"#" * (LARGEST + 1)])
def test_what_is_not_toml_is_refused(raw: bytes):
    with pytest.raises(DescriptionInvalid) as error:
        parse_description(raw, "x.toml")

    assert error.value.message.startswith("x.toml cannot be applied: 1 fault\n  it is ")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("never", None),
        ("90d", datetime(2026, 4, 1, tzinfo=UTC)),
        ("2026-01-05", datetime(2026, 1, 6, tzinfo=UTC)),
        ("2000-01-01T00:00:00Z", datetime(2000, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_lifetime_counts_from_the_creation_of_the_key(text: str, moment: datetime | None):
    created = datetime(2026, 1, 1, tzinfo=UTC)

    expires = parse_expiry(text)

    assert expires.moment(created) == moment
    later = moment + timedelta(days=1) if moment and text == "90d" else moment
    assert expires.moment(created + timedelta(days=1)) == later
