"""Checkpoints as signed lines of text, for a file or a ticket outside the reach of those who can write the store.

    keyctl-checkpoint-v1 STORE-ID SEQ TIME HASH STATES SIGNER SIGNATURE

The signature, by the key that signs bundles, is over the first word, a line feed, and the words up to STATES with one
space between them. `keyctl help audit` says what they mean.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime

from keyctl.bundles.format import BundleDamaged, from_base64url, to_base64url
from keyctl.bundles.signing import SigningKey, Trust, is_signed_by
from keyctl.errors import CheckFailed
from keyctl.history import Checkpoint, Position
from keyctl.text import brief
from keyctl.times import format_time

_MAGIC = "keyctl-checkpoint-v1"
_WORDS = 7  # after the first
_DIGEST = re.compile(r"[0-9a-f]{64}")
_SEQ = re.compile(r"[1-9][0-9]{0,17}")


def write_checkpoint(checkpoint: Checkpoint, key: SigningKey) -> str:
    """Return a signed line, without a line feed."""
    signed = " ".join(_words(checkpoint))
    return f"{_MAGIC} {signed} {key.public_text} {to_base64url(key.sign(_signed_bytes(signed)))}"


def read_checkpoints(text: str, source: str, trust: Sequence[Trust]) -> list[Checkpoint]:
    """Read every checkpoint in a text from `source`; what is around them is ignored, and they may be wrapped.

    Raises CheckFailed if there is none, or if one of them cannot be trusted.
    """
    parts = text.split(_MAGIC)[1:]
    if not parts:
        raise CheckFailed(f"no checkpoint in {source}", hint="make one: keyctl audit checkpoint")
    return [
        _read(part.split(None, _WORDS)[:_WORDS], f"checkpoint {i} in {source}", trust)
        for i, part in enumerate(parts, start=1)
    ]


def _read(words: Sequence[str], name: str, trust: Iterable[Trust]) -> Checkpoint:
    damaged = CheckFailed(
        f"{name} cannot be read: it was truncated or altered", hint="remove it, or copy all of it again"
    )
    if len(words) != _WORDS:
        raise damaged
    *fields, signer_text, signature_text = words
    try:
        signer, signature = from_base64url(signer_text.encode(), 32), from_base64url(signature_text.encode(), 64)
    except BundleDamaged:
        raise damaged from None
    trusted = [one for one in trust if one.public_key == signer]
    if not trusted:
        raise CheckFailed(
            f"{name} is signed by {signer_text}, which is not trusted",
            hint="if this is the operator's key: --trust PUBLIC-KEY",
        )
    if not is_signed_by(signer, signature, _signed_bytes(" ".join(fields))):
        raise CheckFailed(f"the signature of {name} is wrong: it was altered")
    checkpoint = _parse(fields)
    if checkpoint is None:
        raise damaged
    store_id = checkpoint.position.store_id
    if not any(one.store_id in (None, store_id) for one in trusted):
        raise CheckFailed(f"the signer of {name} is not trusted for its store: {brief(store_id)}")
    return checkpoint


def _words(checkpoint: Checkpoint) -> list[str]:
    store_id, seq, digest, states = checkpoint.position
    return [store_id, str(seq), format_time(checkpoint.at), digest, states]


def _parse(words: Sequence[str]) -> Checkpoint | None:
    """Return the checkpoint of which these are the words, if there is one."""
    store_id, seq, at, digest, states = words
    if not (_SEQ.fullmatch(seq) and _DIGEST.fullmatch(digest) and _DIGEST.fullmatch(states)):
        return None
    try:
        checkpoint = Checkpoint(Position(store_id, int(seq), digest, states), datetime.fromisoformat(at))
        return checkpoint if _words(checkpoint) == list(words) else None
    except ValueError:  # no time, or one without a zone
        return None


def _signed_bytes(words: str) -> bytes:
    return f"{_MAGIC}\n{words}".encode()
