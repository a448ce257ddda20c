from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl.profiles.placeholders import NAMES, PlaceholderError, check_names, fill_header, fill_json
from tests.fuzzing import examples

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.mark.parametrize(
    ("template", "facts", "filled"),
    [
        ('{"a": "${key.name}"}', {"key.name": "x"}, '{"a": "x"}'),
        ('{"a": ${key.name}}', {"key.name": "x"}, '{"a": "x"}'),
        ('{"a": ${key.id}}', {"key.id": 7}, '{"a": 7}'),
        ('{"a": "${key.id}"}', {"key.id": 7}, '{"a": "7"}'),
        ('{"a": ${key.name}}', {}, '{"a": null}'),
        ('{"a": "${key.name}"}', {}, '{"a": ""}'),
        ('{"a": "no \'${key.name}\', ${key.id}"}', {"key.name": "x", "key.id": 1}, '{"a": "no \'x\', 1"}'),
        ('{"a": ${scopes}}', {"scopes": ["a", "b"]}, '{"a": ["a", "b"]}'),
        ('{"a":${scopes},"b":": ,"}', {"scopes": ["a", "b"]}, '{"a":["a","b"],"b":": ,"}'),  # spaced as around it
        ('{\n"a":${scopes},\n"b":1}', {"scopes": ["a", "b"]}, '{\n"a":["a", "b"],\n"b":1}'),
        ('{"a": "${scopes}"}', {"scopes": ["a", "b"]}, '{"a": "a,b"}'),
        ('{"a": ${owner.attributes.vip}}', {"owner.attributes.vip": True}, '{"a": true}'),
        ('{"a": "${owner.attributes.vip}"}', {"owner.attributes.vip": False}, '{"a": "false"}'),
        ('{"${key.name}": 1}', {"key.name": "x"}, '{"x": 1}'),
        ('{"a": "\\"${key.name}\\\\"}', {"key.name": "x"}, '{"a": "\\"x\\\\"}'),
        ('{"a": "$ {} ${"}', {}, '{"a": "$ {} ${"}'),
    ],
)
def test_a_placeholder_is_a_whole_value_or_part_of_a_string(template: str, facts: dict[str, Any], filled: str):
    assert fill_json(template, facts) == filled


@examples(100, 10_000)
@given(TEXTS)
def test_no_text_breaks_out_of_json(text: str):
    filled = json.loads(fill_json('{"a": "<${key.name}>", "b": ${key.name}, "c": 1}', {"key.name": text}))

    assert filled == {"a": f"<{text}>", "b": text, "c": 1}


def test_what_was_filled_in_is_not_filled_in_again():
    assert fill_json('["${key.name}", ${key.name}]', {"key.name": "${owner.name}", "owner.name": "x"}) == (
        '["${owner.name}", "${owner.name}"]'
    )
    assert fill_header("${key.name}", {"key.name": "${owner.name}", "owner.name": "x"}) == "${owner.name}"


@pytest.mark.parametrize(
    ("value", "filled"),
    [
        *(("x", "x"), ("a b", "a b"), ("a\r\nSet-Cookie: x=y", "a%0D%0ASet-Cookie: x=y"), ("a\0", "a%00")),
        *(("é", "%C3%A9"), ("100%", "100%25"), ("%0A", "%250A"), (7, "7"), (["a", "b"], "a,b"), (True, "true")),
        *(("\x7f\x85\u2028", "%7F%C2%85%E2%80%A8"), ("", ""), ("\t", "%09")),
    ],
)
def test_a_header_is_printable_ascii(value: object, filled: str):
    assert fill_header("${key.name}", {"key.name": value}) == filled


@examples(100, 10_000)
@given(TEXTS)
def test_no_text_breaks_out_of_a_header(text: str):
    filled = fill_header("a ${key.name} b", {"key.name": text})

    assert filled is not None
    assert filled.isascii()
    assert filled.isprintable()


def test_a_header_that_names_something_absent_is_left_out():
    assert fill_header("${key.name}", {}) is None
    assert fill_header("x ${key.name}", {"key.name": None}) is None
    assert fill_header("x", {}) == "x"


@pytest.mark.parametrize("name", [*NAMES, "owner.attributes.x", "owner.attributes.allowed-origins_2"])
def test_known_names_are_accepted(name: str):
    check_names(f"a ${{{name}}} b")


@pytest.mark.parametrize(
    "name", ["", "key", "key.phc", "key.secret", " key.id", "owner.attributes.", "reason", "KEY.ID"]
)
def test_a_name_that_nothing_is_known_by_is_an_error(name: str):
    with pytest.raises(PlaceholderError, match=r"is not known: code, "):
        check_names(f"${{{name}}}")
