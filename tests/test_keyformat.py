from __future__ import annotations

import json
import re
import string
import time
from collections import Counter
from dataclasses import replace
from itertools import product
from typing import Any
from zlib import crc32

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keyctl.keyformat import (
    ALPHABETS,
    MAX_KEY_LENGTH,
    Field,
    FormatError,
    KeyFormat,
    MalformedKey,
)
from tests.fuzzing import examples, mutated, mutated_document
from tests.samples import FORMATS

STANDARD = FORMATS["standard"]
BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
# Of this key the CRC-32 is 1083999941, and 1083999941 in base 62 is 1BMLu1.
BODY = "kc_live_0123456789AB_CDEFGHIJKLMNOPQRSTUVWXYZabcdefg0"
TEXT = BODY + "1BMLu1"

every_format = pytest.mark.parametrize("key_format", FORMATS.values(), ids=FORMATS.keys())
format_and_text = st.sampled_from(list(FORMATS.values())).flatmap(
    lambda key_format: st.tuples(st.just(key_format), st.from_regex(key_format._pattern, fullmatch=True))
)


def combinations(key_format: KeyFormat) -> list[tuple[str | None, str | None]]:
    envs = key_format.envs if key_format.has("env") else (None,)
    scopes = key_format.scopes if key_format.has("scope") else (None,)
    return list(product(envs, scopes))


def with_checksum(body: str) -> str:
    """Close a text of the standard format by a right checksum, computed without keyctl."""
    value, digits = crc32(body.encode()), ""
    for _ in range(6):
        value, digit = divmod(value, 62)
        digits = BASE62[digit] + digits
    return body + digits


# ── what parses ──────────────────────────────────────────────────────────────────────────────────────────────────────


@every_format
def test_every_format_of_the_tests_is_a_format_that_profiles_may_use(key_format: KeyFormat):
    key_format.check()

    assert key_format.secret.bits >= 128


@every_format
def test_ten_thousand_keys_parse_to_themselves(key_format: KeyFormat):
    tags = combinations(key_format)
    each = 10_000 // len(tags) + 1

    for env, scope in tags:
        for made in key_format.generate(each, env=env, scope=scope):
            parsed = key_format.parse(made.text)

            assert (parsed.prefix, parsed.env, parsed.scope) == (made.prefix, env, scope)
            assert key_format.format(parsed) == made.text


@examples(100, 2_000)
@given(format_and_text)
def test_what_parses_formats_back_to_the_same_text(sample: tuple[KeyFormat, str]):
    key_format, text = sample

    right = key_format.format(key_format.parse_unchecked(text))

    assert key_format.format(key_format.parse(right)) == right
    if right != text:  # of the right shape, but for the checksum
        assert key_format.checksum
        with pytest.raises(MalformedKey, match="checksum"):
            key_format.parse(text)


@examples(100, 10_000)
@given(st.text(max_size=80))
def test_no_other_text_is_a_key(text: str):
    for key_format in FORMATS.values():
        with pytest.raises(MalformedKey):
            key_format.parse(text)


@examples(150, 10_000)
@given(st.sampled_from(list(FORMATS.values())), st.data())
def test_a_key_that_was_edited_is_refused_or_reads_as_it_is_written(key_format: KeyFormat, data: st.DataObject):
    env, scope = data.draw(st.sampled_from(combinations(key_format)))
    text = data.draw(mutated(st.just(key_format.generate(1, env=env, scope=scope)[0].text)))

    try:
        parsed = key_format.parse(text)
    except MalformedKey as error:
        assert str(error) in {"malformed", "checksum"}  # noqa: PT017 - most edits are refused, not all
    else:
        assert key_format.format(parsed) == text


PIECES = ["{brand}", "{env}", "{scope}", "{prefix}", "{secret}", "{checksum}", "{}", "{x}", "_", "-.", "kc", "é"]
fields = st.builds(
    Field, st.sampled_from([*ALPHABETS, "abcdefgh", "]^-\\abcd", "", "a"]), st.sampled_from([1, 6, 12, 32, 40, 256])
)
any_tags = st.lists(st.text("ab_-é", max_size=2), max_size=3).map(tuple)


@examples(150, 10_000)
@given(
    st.builds(
        KeyFormat,
        st.just("{brand}_{env}_{prefix}_{secret}{checksum}")
        | mutated(st.just("{brand}_{env}_{prefix}_{secret}{checksum}"))
        | st.lists(st.sampled_from(PIECES), max_size=8).map("".join),
        prefix=fields,
        secret=fields,
        checksum=st.none() | fields,
        brand=st.sampled_from(["", "kc", "k", "é"]),
        envs=any_tags,
        scopes=any_tags,
    )
)
def test_a_template_is_refused_or_makes_keys_that_read_as_they_are_written(key_format: KeyFormat):
    try:
        key_format.check()
    except FormatError:
        return

    assert KeyFormat.from_dict(json.loads(json.dumps(key_format.to_dict()))) == key_format
    for env, scope in combinations(key_format):
        made = key_format.generate(1, env=env, scope=scope)[0]
        parsed = key_format.parse(made.text)
        assert (parsed.prefix, parsed.env, parsed.scope) == (made.prefix, env, scope)
        assert key_format.format(parsed) == made.text


@examples(150, 10_000)
@example({**STANDARD.to_dict(), "prefix": ["", 12]})
@example({**STANDARD.to_dict(), "secret": ["hex", 10**9]})
@example({**STANDARD.to_dict(), "envs": [[], "test"]})
@given(mutated_document(st.sampled_from([one.to_dict() for one in FORMATS.values()])))
def test_a_stored_format_that_was_altered_cannot_be_read_or_is_a_format(data: Any):
    try:
        key_format = KeyFormat.from_dict(data)
    except (AttributeError, KeyError, TypeError, ValueError):  # what those who read stored formats expect
        return

    assert KeyFormat.from_dict(key_format.to_dict()) == key_format
    for env, scope in combinations(key_format):
        made = key_format.generate(1, env=env, scope=scope)[0]
        assert key_format.parse(made.text).prefix == made.prefix


def test_a_format_with_a_million_combinations_of_tags_is_refused_at_once():
    thousand = tuple(f"t{i:03}" for i in range(1000))
    key_format = replace(STANDARD, template="kc_{env}_{scope}_{prefix}{secret}", checksum=None, envs=thousand)

    replace(key_format, scopes=("a", "b")).check()
    with pytest.raises(FormatError, match="more than 5,000 combinations of its tags"):
        replace(key_format, scopes=thousand).check()


def test_a_key_comes_apart_by_position():
    parsed = STANDARD.parse(TEXT)

    assert parsed.prefix == "kc_live_0123456789AB"
    assert parsed.env == "live"
    assert parsed.scope is None
    assert parsed.random == "0123456789AB"
    assert parsed.secret == "CDEFGHIJKLMNOPQRSTUVWXYZabcdefg0"
    assert parsed.checksum == "1BMLu1"


def test_a_random_part_may_hold_the_separator():
    key_format = FORMATS["separators in the random part"]
    text = "dv-" + "_-" * 5 + "_" + "-_" * 21 + "-"

    parsed = key_format.parse(text)

    assert (parsed.prefix, parsed.secret) == ("dv-" + "_-" * 5, "-_" * 21 + "-")


# ── near misses ──────────────────────────────────────────────────────────────────────────────────────────────────────

NEAR_MISSES = {
    "empty": "",
    "space before": " " + TEXT,
    "space after": TEXT + " ",
    "line break after": TEXT + "\n",
    "carriage return after": TEXT + "\r",
    "tab before": "\t" + TEXT,
    "NUL after": TEXT + "\0",
    "no-break space after": TEXT + "\u00a0",
    "zero-width space inside": TEXT[:30] + "\u200b" + TEXT[30:],
    "byte order mark before": "\ufeff" + TEXT,
    "quoted": f'"{TEXT}"',
    "with a scheme": f"Bearer {TEXT}",
    "upper case": TEXT.upper(),
    "lower case": TEXT.lower(),
    "case swapped": TEXT.swapcase(),
    "case of one letter changed": TEXT.replace("Q", "q"),
    "brand in capitals": "KC" + TEXT[2:],
    "last character changed": TEXT[:-1] + chr(ord(TEXT[-1]) + 1),
    "last character missing": TEXT[:-1],
    "last character doubled": TEXT + TEXT[-1],
    "first character missing": TEXT[1:],
    "first character doubled": TEXT[0] + TEXT,
    "a letter more in the secret": TEXT[:30] + "x" + TEXT[30:],
    "a letter less in the secret": TEXT[:30] + TEXT[31:],
    "two letters changed places": TEXT[:30] + TEXT[31] + TEXT[30] + TEXT[32:],
    "prefix doubled": "kc_live_0123456789AB" + TEXT,
    "beginning doubled": "kc_live_" + TEXT,
    "whole key doubled": TEXT + TEXT,
    "prefix alone": "kc_live_0123456789AB",
    "secret alone": TEXT[21:],
    "without its checksum": BODY,
    "another brand": "kd" + TEXT[2:],
    "another environment": TEXT.replace("live", "test"),
    "an unknown environment": TEXT.replace("live", "prod"),
    "an environment in capitals": TEXT.replace("live", "LIVE"),
    "no environment": TEXT.replace("live_", ""),
    "another separator": TEXT.replace("_", "-"),
    "separator missing": "kc_live_0123456789AB" + TEXT[21:],
    "full-width digits": TEXT.translate({ord(c): ord(c) + 0xFEE0 for c in string.digits}),
    "one full-width digit": TEXT.replace("5", "５"),
    "Arabic digits": TEXT.replace("5", "٥"),
    "a Cyrillic letter": TEXT.replace("C", "С"),
    "an accent": TEXT.replace("e", "é"),
    "a long s, which is an s in lower case": TEXT.replace("S", "ſ"),
    "a lone surrogate": TEXT[:-1] + "\udc80",
    "a character that is in no alphabet": TEXT.replace("Q", "$"),
    "a bracket": TEXT[:-1] + "]",
}


@pytest.mark.parametrize("text", NEAR_MISSES.values(), ids=NEAR_MISSES.keys())
def test_a_near_miss_is_refused(text: str):
    with pytest.raises(MalformedKey) as error:
        STANDARD.parse(text)

    assert error.value.reason in ("malformed", "checksum")
    assert TEXT[21:40] not in repr(error.value)
    assert str(error.value) == error.value.reason


@pytest.mark.parametrize(
    "text",
    [
        with_checksum("kd" + BODY[2:]),
        with_checksum("KC" + BODY[2:]),
        with_checksum(BODY.replace("live", "prod")),
        with_checksum(BODY.replace("_", "-")),
        with_checksum(" " + BODY),
        with_checksum(BODY + "x"),
        with_checksum(BODY[:-1]),
    ],
)
def test_a_right_checksum_does_not_save_a_wrong_shape(text: str):
    with pytest.raises(MalformedKey) as error:
        STANDARD.parse(text)

    assert error.value.reason == "malformed"


@pytest.mark.parametrize(
    "name", sorted(FORMATS.keys() - {"tags that begin alike"})
)  # there, one cut short may be another
def test_near_misses_of_every_format_are_refused(name: str):
    key_format = FORMATS[name]
    env, scope = combinations(key_format)[-1]
    text = key_format.generate(1, env=env, scope=scope)[0].text

    for wrong in (
        " " + text,
        text + " ",
        text + "\n",
        text + text[-1],
        text[:-1],
        text[1:],
        text[:2] + text,
        "x" + text,
    ):
        with pytest.raises(MalformedKey):
            key_format.parse(wrong)


@given(st.integers(0, len(TEXT) - 1), st.sampled_from(BASE62 + "_-. "))
def test_any_one_character_changed_is_noticed(position: int, character: str):
    text = TEXT[:position] + character + TEXT[position + 1 :]

    if text == TEXT:
        assert STANDARD.format(STANDARD.parse(text)) == text
    else:
        with pytest.raises(MalformedKey):
            STANDARD.parse(text)


def test_a_key_with_a_wrong_checksum_is_known_by_its_shape():
    parsed = STANDARD.parse_unchecked(BODY + "000000")

    assert (parsed.prefix, parsed.checksum) == ("kc_live_0123456789AB", "000000")
    assert STANDARD.format(parsed) == TEXT


def test_a_text_of_ten_megabytes_is_refused_by_its_length():
    with pytest.raises(MalformedKey) as error:
        STANDARD.parse("kc_live_" + "0" * 10_000_000)

    assert error.value.reason == "malformed"


# ── the checksum ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_checksum_is_the_crc32_of_all_before_it_in_base62():
    assert crc32(BODY.encode()) == 1083999941
    assert sum(BASE62.index(digit) * 62**place for place, digit in enumerate(reversed("1BMLu1"))) == 1083999941

    assert STANDARD.parse(TEXT).checksum == "1BMLu1"


def test_a_generated_checksum_is_zlibs():
    made = STANDARD.generate(500, env="test")

    assert [one.text for one in made] == [with_checksum(one.text[:-6]) for one in made]


def test_a_small_checksum_is_padded_with_the_first_digit():
    body = "kc_live_0123456789AB_CDEFGHIJKLMNOPQRSTUVWXYZabcdefgh"
    assert crc32(body.encode()) == 623664899 < 62**5

    assert STANDARD.parse(body + "0gCpjH").checksum == "0gCpjH"
    with pytest.raises(MalformedKey):
        STANDARD.parse(body + "gCpjH")


# ── generating ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("alphabet", [*ALPHABETS, "01234567", "!#$%&()*+,/;<=>?@"])
def test_every_character_is_drawn_equally_often(alphabet: str):
    key_format = KeyFormat("k_{prefix}{secret}", prefix=Field("hex", 1), secret=Field(alphabet, 100))
    characters = key_format.secret.characters
    draws = 100_000

    counts = Counter("".join(key_format.parse(made.text).secret for made in key_format.generate(draws // 100)))

    assert set(counts) == set(characters)
    expected = draws / len(characters)
    # Six standard deviations: wrong once in 10 million runs. Taking bytes modulo 62 would be off by thirty.
    assert max(abs(count - expected) for count in counts.values()) < 6 * expected**0.5 + 1


def test_secrets_do_not_repeat_and_do_not_follow_from_prefixes():
    keys = [STANDARD.parse(made.text) for made in STANDARD.generate(1000, env="live")]

    assert len({one.secret for one in keys}) == 1000
    assert len({one.random for one in keys}) == 1000
    assert not [one for one in keys if one.random in one.secret]


def test_as_many_keys_are_drawn_as_were_asked_for():
    assert [len(STANDARD.generate(count, env="live")) for count in (0, 1, 2, 500)] == [0, 1, 2, 500]


@pytest.mark.parametrize(
    ("name", "tags"),
    [
        ("standard", {}),
        ("standard", {"env": "prod"}),
        ("standard", {"env": "LIVE"}),
        ("standard", {"env": ""}),
        ("scope tag", {}),
        ("scope tag", {"scope": "browse"}),
    ],
)
def test_a_tag_that_the_format_does_not_have_makes_no_key(name: str, tags: dict[str, str]):
    with pytest.raises(ValueError, match="tag"):
        FORMATS[name].generate(1, **tags)


def test_room_for_prefixes_is_the_alphabet_to_the_power_of_the_length():
    assert replace(STANDARD, prefix=Field("hex", 2)).prefix_space == 256
    assert STANDARD.prefix_space == 62**12


# ── what is reported ────────────────────────────────────────────────────────────────────────────────────────────────


@every_format
def test_no_repr_holds_the_secret(key_format: KeyFormat):
    env, scope = combinations(key_format)[0]
    made = key_format.generate(1, env=env, scope=scope)[0]
    parsed = key_format.parse(made.text)

    for shown in (repr(made), str(made), f"{made}", repr([made]), repr(parsed), str(parsed), f"{[parsed]}"):
        assert parsed.secret not in shown
        assert parsed.secret[:12] not in shown
        assert made.text not in shown
        assert not parsed.checksum or parsed.checksum not in shown
    assert repr(made.prefix) in repr(made)
    assert repr(made.prefix) in repr(parsed)


# ── templates that are refused ───────────────────────────────────────────────────────────────────────────────────────


def test_thousands_of_tags_are_checked_in_little_time():
    tags = [f"{a}{b}{c}{'x' * (i % 3)}" for i, (a, b, c) in enumerate(product("abcdefghijklmnopqr", repeat=3))]
    key_format = KeyFormat("kc_{env}_{prefix}_{secret}", Field("hex", 12), Field("hex", 40), envs=tuple(tags[:5000]))
    started = time.process_time()

    key_format.check()

    assert time.process_time() - started < 2  # comparing each with each took 8 s


def refused(**changes) -> str:
    values = {
        "template": "{brand}_{env}_{prefix}_{secret}",
        "prefix": Field("hex", 8),
        "secret": Field("hex", 40),
        "brand": "kc",
        "envs": ("live", "test"),
    }
    with pytest.raises(FormatError) as error:
        KeyFormat(**values | changes).check()
    return str(error.value)


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("", "needs {prefix} exactly once"),
        ("{brand}_{env}_{secret}", "needs {prefix} exactly once"),
        ("{brand}_{env}_{prefix}", "needs {secret} exactly once"),
        ("{brand}_{prefix}_{prefix}_{secret}", "needs {prefix} exactly once"),
        ("{brand}_{prefix}_{secret}{secret}", "needs {secret} exactly once"),
        ("{brand}_{env}{env}_{prefix}_{secret}", "has {env} more than once"),
        ("{brand}_{secret}_{prefix}", "needs {prefix} before {secret}"),
        ("{brand}_{prefix}_{env}_{secret}", "before {prefix}"),
        ("{brand}_{prefix}_{secret}_{env}", "other than {checksum} after {secret}"),
        ("{brand}_{prefix}_{secret}{checksum}", "go together"),
        ("{brand}_{scope}_{prefix}_{secret}", "no environment or scope has a tag for it"),
        ("{brand}_{Prefix}_{prefix}_{secret}", "may hold only"),
        ("{brand}_{}_{prefix}_{secret}", "unknown field {}"),
        ("{brand}_{random}_{prefix}_{secret}", "unknown field {random}"),
        ("{brand} {prefix}_{secret}", "may hold only"),
        ("{brand}/{prefix}_{secret}", "may hold only"),
        ("{brand}_{prefix}_{secret}\n", "may hold only"),
        ("{brand}_é{prefix}_{secret}", "may hold only"),
        ("{brand}_{prefix}_{secret", "may hold only"),
        ("{env}_{prefix}_{secret}", "must begin with two or more fixed characters"),
        ("{prefix}_{secret}", "must begin with two or more fixed characters"),
        ("k{prefix}_{secret}", "must begin with two or more fixed characters"),
        ("{brand}" + "_" * 500 + "{prefix}_{secret}", "longer than 512"),
    ],
)
def test_a_template_that_makes_no_good_keys_is_refused(template: str, why: str):
    assert why in refused(template=template)


@pytest.mark.parametrize("brand", ["", "k k", "k\n", "kä", "k/"])
def test_a_brand_is_as_strict_as_the_template(brand: str):
    refused(brand=brand, template="{brand}{prefix}_{secret}")


@pytest.mark.parametrize("tag", ["li ve", "live\n", "lïve", "li/ve", "live{", "５"])
def test_a_tag_is_as_strict_as_the_template(tag: str):
    assert "in the tags of {env}" in refused(envs=("test", tag))


@pytest.mark.parametrize(
    ("secret", "allowed"),
    [
        (Field("hex", 32), True),
        (Field("hex", 31), False),
        (Field("base62", 22), True),
        (Field("base62", 21), False),
        (Field("base58", 22), True),
        (Field("base58", 21), False),
        (Field("base64url", 22), True),
        (Field("base64url", 21), False),
        (Field("01234567", 43), True),
        (Field("01234567", 42), False),
    ],
    ids=str,
)
def test_a_secret_has_at_least_128_random_bits(secret: Field, *, allowed: bool):
    if allowed:
        replace(STANDARD, secret=secret).check()
    else:
        assert "at least 128" in refused(secret=secret)


@pytest.mark.parametrize(
    ("checksum", "allowed"),
    [
        (Field("hex", 8), True),
        (Field("hex", 7), False),
        (Field("base62", 6), True),
        (Field("base62", 5), False),
        (Field("base58", 5), False),
    ],
    ids=str,
)
def test_a_checksum_has_room_for_32_bits(checksum: Field, *, allowed: bool):
    if allowed:
        replace(STANDARD, checksum=checksum).check()
    else:
        assert "too short" in refused(checksum=checksum, template="{brand}_{prefix}_{secret}{checksum}")


def test_a_checksum_is_at_the_end_and_has_a_field():
    checksum = Field("base62", 6)

    assert "at its end" in refused(template="{brand}_{prefix}_{secret}{checksum}_", checksum=checksum)
    assert "go together" in refused(template="{brand}_{prefix}_{secret}", checksum=checksum)
    assert "more than once" in refused(template="{brand}_{prefix}_{secret}{checksum}{checksum}", checksum=checksum)


def test_a_key_may_be_as_long_as_the_limit_and_no_longer():
    long = "{brand}{prefix}{secret}"
    fits = KeyFormat(long, prefix=Field("hex", 256), secret=Field("hex", MAX_KEY_LENGTH - 256 - 2), brand="kc")

    fits.check()

    assert len(fits.generate(1)[0].text) == MAX_KEY_LENGTH
    assert fits.parse(fits.generate(1)[0].text)
    assert "longer than 512" in refused(
        template=long, prefix=Field("hex", 256), secret=Field("hex", MAX_KEY_LENGTH - 257)
    )


# ── tags: which are distinguishable ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("template", "envs", "scopes"),
    [
        ("kc_{env}{scope}_{prefix}{secret}", ("a", "ab"), ("bc", "c")),
        ("kc_{env}_{scope}_{prefix}{secret}", ("a", "a_b"), ("b_c", "c")),
        ("kc_{scope}{env}{prefix}{secret}", ("x", "xx"), ("x", "xx")),
        ("kc_{env}_{prefix}{secret}", ("live", "live"), ()),
    ],
)
def test_tags_that_can_be_in_the_same_key_are_refused(template: str, envs: tuple[str, ...], scopes: tuple[str, ...]):
    assert "cannot be parsed by position" in refused(template=template, envs=envs, scopes=scopes)


@pytest.mark.parametrize(
    ("envs", "characters"), [(("a", "ab"), "base62"), (("a", "ab", "abb"), "abcdefgh"), (("", "a", "aa"), "hex")]
)
def test_a_tag_may_begin_another_because_the_length_distinguishes_them(envs: tuple[str, ...], characters: str):
    key_format = KeyFormat(
        "kc_{env}{prefix}{secret}", prefix=Field(characters, 8), secret=Field(characters, 60), envs=envs
    )

    key_format.check()

    for env in envs:
        for made in key_format.generate(300, env=env):
            assert (key_format.parse(made.text).env, key_format.parse(made.text).prefix) == (env, made.prefix)


tags = st.lists(st.text("ab_", min_size=1, max_size=3), min_size=1, max_size=4, unique=True).map(tuple)


@given(
    envs=tags,
    scopes=tags,
    template=st.sampled_from(["kc_{env}{scope}", "kc_{env}_{scope}", "kc_{scope}a{env}_", "kc_{env}", "kc_{scope}_"]),
)
def test_a_template_is_refused_if_and_only_if_two_of_its_tags_make_the_same_beginning(
    envs: tuple[str, ...], scopes: tuple[str, ...], template: str
):
    key_format = KeyFormat(
        template + "{prefix}{secret}", prefix=Field("ab_", 3), secret=Field("ab_", 90), envs=envs, scopes=scopes
    )
    # What follows has one length, so that two keys can be equal only if their beginnings are.
    beginnings = [template.replace("{env}", e or "").replace("{scope}", s or "") for e, s in combinations(key_format)]

    if len(set(beginnings)) < len(beginnings):
        with pytest.raises(FormatError, match="cannot be parsed by position"):
            key_format.check()
        return

    key_format.check()
    for env, scope in combinations(key_format):
        made = key_format.generate(1, env=env, scope=scope)[0]
        parsed = key_format.parse(made.text)
        assert (parsed.env, parsed.scope, parsed.prefix) == (env, scope, made.prefix)


def test_alphabets_hold_no_character_twice_and_only_what_a_double_click_or_a_header_takes():
    for name, characters in ALPHABETS.items():
        assert len(set(characters)) == len(characters), name
        assert re.fullmatch(r"[0-9A-Za-z_-]+", characters), name
    assert ALPHABETS["base62"] == BASE62
    assert not set("0OIl") & set(ALPHABETS["base58"])
