from __future__ import annotations

import json
from hashlib import sha256

import pytest

from keyctl.audit import GENESIS, chain, key_entry, key_state, phc_digest, rehashed_entry
from keyctl.models import Actor, EventContent
from tests.samples import NOW, key

ROOT = Actor("root@host", "jane")


def test_the_hash_is_the_sha256_of_the_hash_before_and_the_events_canonical_json():
    event = chain(GENESIS, 7, EventContent(NOW, ROOT, "a.b", None, {"z": [1], "a": "é"}))
    body = (
        '["keyctl-audit-v1","' + "0" * 64 + '",7,1782907200000,"root@host","jane","a.b",null,{"a":"\\u00e9","z":[1]}]'
    )

    assert event.hash == sha256(body.encode()).hexdigest()
    assert event.hash == "155452f0f79213a7f24a1d7d8165bd696247eaf597dd23965bedcd4083768c1b"


def test_the_order_of_a_details_keys_does_not_matter():
    first = chain(GENESIS, 1, EventContent(NOW, ROOT, "a", None, {"a": 1, "b": 2}))
    second = chain(GENESIS, 1, EventContent(NOW, ROOT, "a", None, {"b": 2, "a": 1}))

    assert first.hash == second.hash


# ── what never enters it ─────────────────────────────────────────────────────────────────────────────────────────────


def test_no_entry_of_a_key_holds_its_hash():
    one = key()

    written = json.dumps([key_entry(one), key_state(one), rehashed_entry(one, one.phc)])

    assert one.phc not in written
    assert one.phc.split("$")[-1] not in written
    assert phc_digest(one.phc) in written


def test_a_naive_time_enters_no_event():
    naive = NOW.replace(tzinfo=None)

    with pytest.raises(ValueError, match="naive"):
        chain(GENESIS, 1, EventContent(naive, ROOT, "a", None, {}))
    with pytest.raises(ValueError, match="naive"):
        key_state(key(expires_at=naive))
    with pytest.raises(ValueError, match="naive"):
        key_entry(key(), {"expires_at": naive})
