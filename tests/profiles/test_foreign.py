"""Foreign formats: keys that another program made, of shapes of their own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from keyctl.errors import ProfileInvalid
from keyctl.exposed_keys import exposed_pattern, length_exposed_in, length_of_secret_in
from keyctl.keyformat import KeyFormat, MalformedKey
from keyctl.profiles.files import preset_document
from keyctl.profiles.foreign import Foreign
from keyctl.profiles.model import Profile, read_profile

DRF = {
    "name": "drf",
    "template": "{prefix}.{secret}",
    "fields": {"prefix": {"length": 8}, "secret": {"length": 32}},
}
UNKEY = {
    "name": "unkey",
    "template": "acme_{prefix}{secret}",
    "fields": {
        "prefix": {"alphabet": "base58", "length": 4},
        "secret": {"alphabet": "base58", "length": 18, "shortest": 16},
    },
}
SHIELD = {
    "name": "shield",
    "template": "ak-{prefix}-{secret}",
    "hash_of": "secret",
    "fields": {"prefix": {"alphabet": "hex", "length": 16}, "secret": {"length": 64}},
}
DRF_KEY = "abcdEF12.0123456789abcdefABCDEF0123456789"


def profile(*foreign: dict[str, Any]) -> Profile:
    return read_profile({**preset_document("standard"), "foreign": list(foreign)}, source="a test")


def formats(*foreign: dict[str, Any]) -> list[KeyFormat]:
    return [one.key_format for one in profile(*foreign).foreign]


def faults(*foreign: dict[str, Any]) -> tuple[str, ...]:
    with pytest.raises(ProfileInvalid) as error:
        profile(*foreign)
    return error.value.faults


def test_a_foreign_key_is_parsed_by_position():
    drf, unkey, shield = formats(DRF, UNKEY, SHIELD)

    assert drf.parse(DRF_KEY).prefix == "abcdEF12"
    assert unkey.parse("acme_3fA9" + "x" * 17).prefix == "acme_3fA9"
    assert shield.parse("ak-" + "0" * 16 + "-" + "a" * 64).secret == "a" * 64


@pytest.mark.parametrize(
    "text",
    ["", " " + DRF_KEY, DRF_KEY[:-1], DRF_KEY + "0", DRF_KEY.replace(".", "_"), f"{DRF_KEY}\n", "." + DRF_KEY[:-1]],
)
def test_what_only_looks_like_a_foreign_key_is_not_one(text: str):
    with pytest.raises(MalformedKey):
        formats(DRF)[0].parse(text)


@pytest.mark.parametrize("length", [15, 19])
def test_a_secret_may_differ_in_length_only_as_the_format_says(length: int):
    with pytest.raises(MalformedKey):
        formats(UNKEY)[0].parse("acme_3fA9" + "x" * length)


def test_a_format_says_what_its_program_hashed():
    assert [foreign.hash_of for foreign in profile(DRF, SHIELD).foreign] == ["whole", "secret"]


def test_a_foreign_format_is_kept_like_an_earlier_one():
    for one in formats(DRF, UNKEY):
        assert KeyFormat.from_dict(json.loads(json.dumps(one.to_dict()))) == one


def test_a_profile_without_foreign_formats_has_none():
    assert profile().foreign == ()
    assert profile(DRF).formats == (profile().key_format, *formats(DRF))
    assert isinstance(profile(DRF).foreign[0], Foreign)


# ── contradictions ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"template": "{prefix}{env}.{secret}"}, "foreign[0].template: has {env}, and no environment"),
        ({"template": "{prefix}.{secret}{checksum}"}, "foreign[0].template: and fields.checksum go together"),
        ({"template": "{prefix}.{secret}-x"}, "foreign[0].template: must end with {secret} if its keys are foreign"),
        ({"template": "{secret}.{prefix}"}, "foreign[0].template: needs {prefix} before {secret}"),
        ({"template": "{prefix}"}, "foreign[0].template: needs {secret} exactly once"),
        ({"name": "a b"}, 'foreign[0].name: "a b" may hold only'),
        ({"hash_of": "half"}, 'foreign[0].hash_of: "half" is not one of whole, secret'),
        ({"hashof": "whole"}, 'foreign[0].hashof: unknown key: did you mean "hash_of"?'),
        ({"fields": {"prefix": {"length": 8}, "secret": {"length": 13}}}, "foreign[0].template: has a {secret} of 77"),
        (
            {"fields": {"prefix": {"length": 8, "shortest": 7}, "secret": {"length": 32}}},
            "foreign[0].fields.prefix.shortest: unknown key",
        ),
        (
            {"fields": {"prefix": {"length": 8}, "secret": {"length": 32, "shortest": 33}}},
            "foreign[0].fields.secret.shortest: 33 is more than 32",
        ),
        (
            {"fields": {"prefix": {"length": 8}, "secret": {"length": 32, "shortest": 2}}},
            "foreign[0].template: has a {secret} of 12 bits: at least 80",
        ),
    ],
)
def test_a_contradiction_is_a_fault_with_its_path(changes: dict[str, Any], fault: str):
    assert [one for one in faults({**DRF, **changes}) if one.startswith(fault)], faults({**DRF, **changes})


def test_a_format_that_cannot_be_told_from_another_is_a_fault():
    same = {**DRF, "name": "other"}
    longer = {"prefix": {"length": 8}, "secret": {"length": 40, "shortest": 20}}
    own = {
        **DRF,
        "template": "kc_live_{prefix}_{secret}",
        "fields": {"prefix": {"length": 12}, "secret": {"length": 38}},
    }

    assert faults(DRF, same) == (
        'foreign[1].template: cannot be distinguished from the foreign format "drf": a text can match both',
    )
    assert faults(DRF, {**same, "fields": longer})
    assert faults(own) == ("foreign[0].template: cannot be distinguished from key.template: a text can match both",)
    assert faults(DRF, {**UNKEY, "name": "drf"}) == ('foreign[1].name: "drf" is the name of another one',)


def test_there_are_at_most_twenty_foreign_formats():
    many = [{**DRF, "name": f"n{i}", "template": f"p{i:02}_{{prefix}}.{{secret}}"} for i in range(21)]

    assert len(profile(*many[:20]).foreign) == 20
    assert faults(*many) == ("foreign: has 21 formats: at most 20",)


# ── where a key does not belong ──────────────────────────────────────────────────────────────────────────────────────


def test_a_foreign_key_is_found_where_it_does_not_belong():
    drf, unkey = formats(DRF, UNKEY)

    assert length_exposed_in(drf, f"--x={DRF_KEY}!") == len(DRF_KEY) + 1
    assert exposed_pattern(drf).search(f"/v1/data/{DRF_KEY}")
    assert length_exposed_in(unkey, "acme_3fA9x1Yz2Wq3Rt") == 19
    assert length_of_secret_in(drf, DRF_KEY[9:]) == 32


@pytest.mark.parametrize(
    "text",
    [
        "abcdEF12",
        "example1.com",
        "backup20.tar.gz",
        "runtime1.d41d8cd98f00b204e9800998ecf8427e.js",
        f"x{DRF_KEY}",
        f"{DRF_KEY}x",
        DRF_KEY.lower(),
        "",
    ],
)
def test_without_a_fixed_beginning_only_a_whole_key_is_one(text: str):
    [drf] = formats(DRF)

    assert length_exposed_in(drf, text) == 0
    assert not exposed_pattern(drf).search(text)


def test_a_short_secret_by_itself_looks_like_any_other_text():
    assert length_of_secret_in(formats(UNKEY)[0], "x1Yz2Wq3Rt4Uv5Xw6Z") == 0
