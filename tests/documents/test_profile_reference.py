"""The profile reference has what the code reads: every key with its default, and every name that a value may have."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest

from keyctl.keyformat import ALPHABETS, MAX_KEY_LENGTH, MINIMUM_SECRET_BITS
from keyctl.profiles import placeholders, reader
from keyctl.profiles.http import read_http
from keyctl.profiles.model import ATTRIBUTE_TYPES, read_profile
from keyctl.profiles.reader import Table
from tests.documents.pages import files, plain, table, topic

SECTIONS = ["General", "Keys", "Scopes", "Owners and plans", "Rate limits", "Lifetime and verification", "HTTP"]
# Empty is in these cases not nothing, or the default depends on other keys.
OTHER_DEFAULTS = {
    "defaults.environment": "the first",
    "owners.default_kind": "the first",
    "foreign[].fields.secret.shortest": "the length",
    "scopes.list.NAME.owner_kinds": "all",
    "scopes.list.NAME.plans": "all",
    "scopes.matrix[].plans": "all",
    "key.environments": "required",
    "key.fields.checksum.length": "required with `{checksum}`",
    "http.credentials[].header": "required; `authorization` if no credentials are listed",
    "http.credentials[].scheme": "none; `bearer` if no credentials are listed",
    "http.unmatched": "`refuse` if there are routes, else `key`",
    "http.responses.CODE.status": "that of the [code](exit-codes.md); 200 for those of administration",
    "http.responses.CODE.headers": "`Content-Type: application/json`, with a body",
    "http.responses.CODE.body": "the code and a sentence",
    "http.responses.CODE.same_as": "none",  # read only where it is given
}


def test_every_key_is_in_the_reference_with_its_default(monkeypatch: pytest.MonkeyPatch):
    rows = [(plain(key), default) for section in SECTIONS for key, _, default in table(section)]
    documented = dict(rows)

    read: dict[str, Any] = {}
    for method in ("_typed", "raw"):
        monkeypatch.setattr(Table, method, recording(getattr(Table, method), read))
    read_profile(tomllib.loads(files()["acme.toml"]), source="the profile topic", also=read_http)
    groups = {path for path in read if any(other.startswith((f"{path}.", f"{path}[")) for other in read)}
    defaults = {path: in_words(default) for path, default in read.items() if path not in groups}
    assert documented == {**defaults, **OTHER_DEFAULTS}
    assert len(rows) == len(documented)


def test_what_a_credential_is_by_default_is_what_the_reference_says():
    profile = read_profile(tomllib.loads(files()["small.toml"]), source="the profile topic")

    rules = read_http(Table(profile.document, "", []), profile)

    assert [tuple(credential) for credential in rules.credentials] == [("authorization", "bearer")]
    assert rules.unmatched == "key"


def test_every_alphabet_is_in_the_reference():
    [names] = re.findall(r"^## Alphabets\n\n(.*?)\. ", topic("profile-reference").read_text(), re.MULTILINE)

    assert re.findall(r"`(\w+)`", names) == list(ALPHABETS)


def test_every_type_of_an_attribute_is_in_the_reference():
    [meaning] = [row[1] for row in table("Owners and plans") if row[0].endswith("attributes.NAME.type`")]

    assert re.findall(r"`(\w+)`", meaning) == list(ATTRIBUTE_TYPES)


def test_every_placeholder_is_in_the_reference():
    documented = [name for _, names in table("Placeholders") for name in re.findall(r"`([\w.]+)`", names)]

    assert sorted(documented) == sorted(["minted", "owner.attributes.NAME", *placeholders.NAMES])


def test_the_limits_of_a_key_are_in_the_reference():
    text = topic("profile-reference").read_text()

    assert f"at least {MINIMUM_SECRET_BITS} random bits" in text
    assert f"keys of at most {MAX_KEY_LENGTH} characters" in text


def in_words(default: Any) -> str:
    """Return how the reference shows a default."""
    if default is reader._MISSING:
        return "required"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if default == "":
        return "empty"
    return "none" if default is None or default in ([], {}) else f"`{default}`"


def recording(method: Any, read: dict[str, Any]) -> Any:
    """Return a method of Table that also notes each key that is read, and its default."""

    def recorded(table: Table, key: str, *rest: Any) -> Any:
        if not table.path.endswith((".environments", ".descriptions", "http.identity", ".headers")):
            path = f"{table.path}.{key}" if table.path else key
            path = re.sub(r"(?<=plans|kinds)\.[\w-]+", ".NAME", path)
            path = re.sub(r"(?<=attributes)\.[\w-]+", ".NAME", path)
            path = re.sub(r"(?<=responses)\.\w+", ".CODE", path)
            path = re.sub(r"scopes\.list\.[\w-]+", "scopes.list.NAME", path)
            path = re.sub(r"\[\d+\]", "[]", path)
            if path not in read or rest:  # `raw` asks again, without a default
                read[path] = rest[-1] if rest else None
        return method(table, key, *rest)

    return recorded
