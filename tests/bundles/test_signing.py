"""The texts of trusted keys and of signing keys, edited. The rest of signing is tested with whole bundles."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from keyctl.bundles.format import to_base64url
from keyctl.bundles.signing import SigningKey, parse_trust
from keyctl.errors import UsageError
from keyctl.text import visible
from tests.fuzzing import examples, mutated

KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
PRIVATE = f"keyctl-bundle-private-key-v1 {KEY}\n".encode()


@examples(100, 10_000)
@given(mutated(st.sampled_from([KEY, f"store_1:{KEY}"])))
def test_a_trusted_key_is_refused_or_reads_as_it_is_written(text: str):
    try:
        trust = parse_trust(text)
    except UsageError as error:
        assert visible(error.message) == error.message  # noqa: PT017 - most edits are refused, not all
        return

    key = to_base64url(trust.public_key)
    assert text in (f":{key}", key if trust.store_id is None else f"{trust.store_id}:{key}")


@examples(100, 10_000)
@given(mutated(st.just(PRIVATE)))
def test_a_signing_key_is_refused_or_reads_as_it_is_written(tmp_path: Path, raw: bytes):
    path = tmp_path / "key"
    path.touch(mode=0o600)
    path.write_bytes(raw)
    try:
        key = SigningKey.load(path)
    except UsageError as error:
        assert KEY not in f"{error.message} {error.hint}"  # noqa: PT017 - most edits are refused, not all
        return

    assert raw.split() == [PRIVATE.split()[0], to_base64url(key._private.private_bytes_raw()).encode()]
