"""Whatever is in a file: a line is read, or there is one sentence about what is wrong with it."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl.errors import Refused, UsageError
from keyctl.exchange import hash_forms
from keyctl.exchange.hash_forms import FORMS, WITH_PEPPER, Place
from keyctl.exchange.lines import CSV, JSONL, form_of, read
from keyctl.exchange.records import KEY_FIELDS, OWNER_FIELDS, read_line
from keyctl.hashing import DEFAULT, scheme_of
from tests.fuzzing import examples, mutated
from tests.samples import NOW

VALID = {
    "prefix": "abcdEF12",
    "hash": "0" * 64,
    "scopes": ["a"],
    "metadata": {"a": "b"},
    "created_at": "2026-01-01T00:00:00Z",
}
PLACE = Place(9, 41)
OWNER = {"owner": {"handle": "acme", "attributes": {"a": 1}, "disabled": True}}
FILES = [
    "".join(json.dumps(one) + "\n" for one in (VALID, OWNER)).encode(),
    b'prefix,hash,metadata,revoked\nabcdEF12,00,"{""a"": ""b""}",true\n\n"a\nb",1,,\n',
]
HASHES = [
    "0" * 64,
    "0" * 128,
    "A" * 43 + "=",
    f"sha512$${'0' * 128}",
    f"pbkdf2_sha256$3$salt${'A' * 43}=",
    f"scrypt$16$salt$8$1${'A' * 86}==",
    f"argon2$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ${'A' * 43}",
    f"bcrypt_sha256$$2b$04${'a' * 53}",
    f"$2b$04${'a' * 53}",
    f"$argon2id$v=19$m=8,t=1,p=1${'A' * 22}${'A' * 43}",
    f"$sha256${'A' * 22}${'A' * 43}",
    f"$foreign$skip=9$sha256${'A' * 43}",
]


@pytest.mark.parametrize(
    ("name", "beginning", "form"),
    [
        ("keys.jsonl", b"prefix,hash", JSONL),
        ("KEYS.CSV", b"{", CSV),
        ("keys.ndjson", b"", JSONL),
        ("-", b' \n{"prefix"', JSONL),
        ("-", b"\xef\xbb\xbf{", JSONL),
        ("keys", b"prefix,hash", CSV),
    ],
)
def test_the_form_of_a_file_is_in_its_name_or_its_beginning(name: str, beginning: bytes, form: str):
    assert form_of(name, beginning) == form


@examples(100, 20_000)
@given(mutated(st.sampled_from(FILES)), st.sampled_from([JSONL, CSV]))
def test_a_file_of_any_content_is_read_or_refused(raw: bytes, form: str):
    try:
        lines = list(read(io.BytesIO(raw), form, KEY_FIELDS))
    except UsageError:
        return
    for line in lines:
        if line.fault is None:
            try:
                read_line(line.values, now=NOW)
            except (ValueError, UsageError, Refused) as error:
                assert str(error)  # noqa: PT017 - most edits are refused, not all


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@examples(60, 20_000)
@given(
    st.dictionaries(st.sampled_from(KEY_FIELDS), values, max_size=6)
    | st.dictionaries(st.sampled_from(OWNER_FIELDS), values, max_size=6).map(lambda owner: {"owner": owner})
)
def test_a_line_of_any_values_is_read_or_refused(line: dict[str, Any]):
    for whole in (line, {**VALID, **line} if not isinstance(line.get("owner"), dict) else line):
        try:
            read_line(whole, now=NOW)
        except (ValueError, UsageError, Refused) as error:
            assert str(error)  # noqa: PT017 - as above


def stored(text: str, form: str, *, of_secret: bool = False, place: Place = PLACE) -> str:
    pepper = "old" if form in WITH_PEPPER else None
    return hash_forms.stored(text, form, of_secret=of_secret, pepper=pepper, place=place, own=DEFAULT)


@examples(150, 30_000)
@given(mutated(st.sampled_from(HASHES)), st.sampled_from(list(FORMS)), st.booleans())
def test_a_hash_of_any_text_is_kept_as_one_that_can_be_checked_or_refused(text: str, form: str, of_secret: bool):
    for name in (form, None):
        try:
            kept = stored(text, name or hash_forms.form_of(text), of_secret=of_secret)
        except ValueError as error:
            assert len(text) < 30 or text not in str(error)  # noqa: PT017 - as above
        else:
            assert scheme_of(kept).pepper in (None, "old") or form == "keyctl"


@pytest.mark.parametrize("text", HASHES)
def test_a_hash_is_recognised_unless_several_programs_write_it(text: str):
    if text.startswith("$argon2"):
        with pytest.raises(ValueError, match="several programs write such a hash"):
            hash_forms.form_of(text)
    else:
        assert scheme_of(stored(text, hash_forms.form_of(text)))


def test_a_key_that_is_longer_than_bcrypt_reads_is_not_accepted_with_it():
    text = f"$2b$04${'a' * 53}"

    assert stored(text, "bcrypt", place=Place(9, 72))
    assert stored(text, "bcrypt", of_secret=True, place=Place(9, 80))
    with pytest.raises(ValueError, match="bcrypt reads 72 bytes, and such keys have 73"):
        stored(text, "bcrypt", place=Place(9, 73))


def test_an_exported_hash_of_another_part_of_the_key_is_refused():
    with pytest.raises(ValueError, match="of another part of the key"):
        stored(f"$foreign$skip=41$sha256${'A' * 43}", "keyctl")
