"""Which keys need a pepper that is not given."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from keyctl.doctor.peppers import peppers
from keyctl.hashing import Argon2id, Sha256
from keyctl.pepper import Peppers, add
from keyctl.store import keys
from keyctl.store.selection import Selection
from tests.stores import CHEAP, NOW, Opened, new_store

SCHEMES = [CHEAP, CHEAP, Argon2id(8, 1, 1, pepper="old"), Sha256(pepper="old"), Argon2id(8, 1, 1, pepper="new")]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    """A store with keys of every scheme, whose new keys get the pepper `new`. Revoked keys need none."""
    opened = new_store(tmp_path / "store.db")
    prefixes = [one.record.key.prefix for one in opened.mint(count=len(SCHEMES) + 1)]
    opened.admin.revoke(Selection.named(*prefixes[-1:]))
    with opened.store.read() as connection:
        ids = [keys.get(connection, prefix).key.id for prefix in prefixes]
    for key_id, scheme in zip(ids, [*SCHEMES, Sha256(pepper="lost")], strict=True):
        opened.store.write(lambda connection, i=key_id, s=scheme: keys.set_on(connection, {i: {"phc": s.decoy()}}))
    opened.store.hash_parameters = Argon2id(8, 1, 1, pepper="new")
    yield opened
    opened.store.close()


def file_with(folder: Path, *ids: str, none: bool = False) -> Peppers:
    path = folder / "peppers"
    for pepper in ids:
        add(path, pepper, today=NOW.date())
    if none:
        path.write_text(path.read_text() + "none\n")
    return Peppers(path)


def found(opened: Opened, given: Peppers | None) -> dict[str | None, str]:
    return {one.value: one.what for one in peppers(opened.store, given, now=NOW)}


def test_without_a_file_every_pepper_is_missing(opened: Opened):
    assert found(opened, None) == {
        "new": "a valid key has a hash that needs a pepper, and no pepper file is given",
        "old": "2 valid keys have a hash that needs a pepper, and no pepper file is given",
    }


def test_what_the_file_does_not_have_is_missing(opened: Opened, tmp_path: Path):
    given = file_with(tmp_path, "old")

    findings = {one.value: one for one in peppers(opened.store, given, now=NOW)}

    assert {name: one.what for name, one in findings.items()} == {
        "new": "a valid key has a hash that needs a pepper, which is not in the pepper file",
        "none": "2 valid keys have a hash without a pepper, which the pepper file does not accept",
    }
    assert findings["new"].fix == f"copy the line of new into {tmp_path}/peppers"
    assert findings["none"].fix == (
        f"echo none >> {tmp_path}/peppers; keyctl list --pepper none shows the keys to replace"
    )


def test_with_every_pepper_nothing_is_missing(opened: Opened, tmp_path: Path):
    assert found(opened, file_with(tmp_path, "new", "old", none=True)) == {}


def test_the_pepper_of_new_keys_counts_although_no_key_has_it_yet(tmp_path: Path):
    opened = new_store(tmp_path / "store.db")
    opened.store.hash_parameters = Argon2id(8, 1, 1, pepper="next")

    assert found(opened, None) == {"next": "new keys get a hash that needs a pepper, and no pepper file is given"}
    opened.store.close()


def test_a_store_without_peppers_needs_none(tmp_path: Path):
    opened = new_store(tmp_path / "store.db")
    opened.mint()

    assert found(opened, None) == {}
    opened.store.close()
