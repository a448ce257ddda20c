from __future__ import annotations

import re
import string
from collections.abc import Iterator
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl.key_expressions import character_class, key_expression, prefix_expression
from keyctl.keyformat import ALPHABETS, Field, GeneratedKey, KeyFormat, MalformedKey
from keyctl.profiles.builtin import preset_names
from keyctl.profiles.files import load_profile
from tests.fuzzing import examples, mutated
from tests.samples import FORMATS

EVERY = {
    **{name: load_profile(name).key_format for name in preset_names()},
    **FORMATS,
    "a tag that is empty": KeyFormat(
        "{brand}_{env}{prefix}.{secret}",
        prefix=Field("hex", 12),
        secret=Field("hex", 40),
        brand="op",
        envs=("", "test-"),
    ),
}

every_format = pytest.mark.parametrize("key_format", EVERY.values(), ids=EVERY.keys())


def one_of_each(key_format: KeyFormat, count: int = 3) -> Iterator[GeneratedKey]:
    envs = key_format.envs if key_format.has("env") else (None,)
    scopes = key_format.scopes if key_format.has("scope") else (None,)
    for env, scope in product(envs, scopes):
        yield from key_format.generate(count, env=env, scope=scope)


def has_the_shape(key_format: KeyFormat, text: str) -> bool:
    try:
        key_format.parse_unchecked(text)
    except MalformedKey:
        return False
    return True


@every_format
def test_every_key_and_prefix_is_matched_as_a_whole_as_text_and_as_bytes(key_format: KeyFormat):
    whole, prefix = key_expression(key_format), prefix_expression(key_format)

    for key in one_of_each(key_format):
        assert re.fullmatch(whole, key.text)
        assert re.fullmatch(whole.encode(), key.text.encode())
        assert re.fullmatch(prefix, key.prefix)
        assert re.fullmatch(prefix.encode(), key.prefix.encode())


@every_format
def test_a_key_is_found_in_the_middle_of_a_text(key_format: KeyFormat):
    for key in one_of_each(key_format):
        text = f'\\n{key.text}", "{key.prefix} ü'

        assert re.findall(key_expression(key_format), text) == [key.text]
        if key_format is not FORMATS["tags that begin alike"]:
            assert re.findall(prefix_expression(key_format), text) == [key.prefix, key.prefix]


def test_of_tags_that_begin_alike_the_longest_that_fits_is_found_before_a_secret():
    prefix = prefix_expression(FORMATS["tags that begin alike"])

    assert re.findall(prefix, "etx_abc012345678901 etx_abc0123456789") == ["etx_abc012345678901", "etx_abc0123456789"]


@every_format
def test_a_text_with_one_character_changed_added_or_omitted_is_matched_only_if_it_has_the_shape(key_format: KeyFormat):
    whole = re.compile(key_expression(key_format), re.ASCII)

    for key in one_of_each(key_format, 1):
        places = range(len(key.text) + 1)
        near = [key.text[:i] + other + key.text[i + 1 :] for i in places for other in (" ", "é", "\n", "")]
        near += [key.text[:i] + other + key.text[i:] for i in places for other in (" ", "!", "\0")]
        near += [key.text.swapcase(), key.text + "a", key.text + "\n", "a" + key.text, key.prefix, ""]
        matched = [text for text in near if whole.fullmatch(text)]

        assert matched == [text for text in near if has_the_shape(key_format, text)]
        assert not set(matched) & {key.text.swapcase(), key.text + "\n", key.prefix, ""}


@examples(100, 10_000)
@given(st.sampled_from(list(EVERY.values())), st.data())
def test_what_is_matched_is_what_parses_whatever_the_checksum(key_format: KeyFormat, data: st.DataObject):
    key = next(one_of_each(key_format, 1)).text
    text = data.draw(st.one_of(mutated(st.just(key)), st.from_regex(key_expression(key_format), fullmatch=True)))

    assert bool(re.fullmatch(key_expression(key_format), text)) == has_the_shape(key_format, text)


@examples(100, 10_000)
@given(st.text(alphabet=[chr(i) for i in range(33, 127)], min_size=2).map(lambda text: "".join(set(text))))
def test_a_class_matches_its_characters_and_no_others(characters: str):
    expression = re.compile(character_class(characters))

    assert {one for one in map(chr, range(256)) if expression.fullmatch(one)} == set(characters)


def test_the_classes_of_the_alphabets_are_as_short_as_a_person_would_write_them():
    assert {name: character_class(characters) for name, characters in ALPHABETS.items()} == {
        "hex": "[0-9a-f]",
        "base32": "[2-7a-z]",
        "base36": "[0-9a-z]",
        "base58": "[1-9A-HJ-NP-Za-km-z]",
        "base62": "[0-9A-Za-z]",
        "base64url": "[0-9A-Z_a-z-]",
    }
    assert character_class(string.punctuation).endswith("-]")


def test_the_expressions_of_the_standard_profile():
    standard = EVERY["standard"]

    assert prefix_expression(standard) == "kc_(?:live|test)_[0-9A-Za-z]{12}"
    assert key_expression(standard) == "kc_(?:live|test)_[0-9A-Za-z]{12}_[0-9A-Za-z]{32}[0-9A-Za-z]{6}"


@every_format
def test_the_expressions_have_no_groups_that_capture(key_format: KeyFormat):
    assert re.compile(key_expression(key_format)).groups == 0
    assert re.compile(prefix_expression(key_format)).groups == 0
