from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl.errors import UsageError
from keyctl.origins import parse_origin
from tests.fuzzing import examples, mutated


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://app.example", "https://app.example"),
        ("HTTPS://App.EXAMPLE", "https://app.example"),
        ("https://app.example/", "https://app.example"),
        ("https://app.example:443", "https://app.example"),
        ("http://app.example:80/", "http://app.example"),
        ("http://app.example:443", "http://app.example:443"),
        ("https://app.example:8443", "https://app.example:8443"),
        ("https://app.example:08443", "https://app.example:8443"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        ("https://a_b.example", "https://a_b.example"),
        ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("http://[2001:DB8:0:0:0:0:0:1]", "http://[2001:db8::1]"),
        ("http://[::FFFF:192.0.2.1]", "http://[::ffff:c000:201]"),
        ("chrome-extension://abcdefghijklmnop", "chrome-extension://abcdefghijklmnop"),
        ("capacitor://localhost", "capacitor://localhost"),
    ],
)
def test_an_origin_becomes_what_browsers_send(text: str, expected: str):
    assert parse_origin(text) == expected
    assert parse_origin(expected) == expected


@pytest.mark.parametrize(
    ("text", "why", "hint"),
    [
        ("*", "it would be every page", "list each origin"),
        ("null", "every page without an origin sends it", "https://app.example"),
        ("app.example", "it has no scheme", "https://app.example"),
        ("//app.example", "it has no scheme", "https://app.example"),
        ("", "it has no scheme", "https://app.example"),
        ("https:app.example", "it has no scheme", "https://app.example"),
        ("https://", "it has no host", "https://app.example"),
        ("https://:80", "it has no host", "https://app.example"),
        ("https://App.example/login", "it has a path", "give the origin alone: https://app.example"),
        ("https://app.example//", "it has a path", "give the origin alone: https://app.example"),
        ("https://app.example?x", "it has a path", "give the origin alone: https://app.example"),
        ("https://app.example#x", "it has a path", "give the origin alone: https://app.example"),
        ("https://*/x", "it has a path", "for example"),
        ("https://me@app.example", "it has a user name", "https://app.example"),
        ("https://*.app.example", "its host is a pattern", "list each origin"),
        ("https://bücher.example", "its host is not ASCII", "https://xn--bcher-kva.example"),
        ("https://app..example", "its host is not valid", "https://app.example"),
        ("https://app.example.", "its host is not valid", "https://app.example"),
        ("https://app example", "its host is not valid", "https://app.example"),
        ("https://app%2eexample", "its host is not valid", "https://app.example"),
        ("https://" + "a" * 64 + ".example", "its host is not valid", "https://app.example"),
        ("https://a.example\n", "its host is not valid", "https://app.example"),
        ("https://app.example:", "its port is not a number", "https://app.example"),
        ("https://app.example:0", "its port is not a number", "https://app.example"),
        ("https://app.example:65536", "its port is not a number", "https://app.example"),
        ("https://app.example:80:80", "its port is not a number", "https://app.example"),
        ("https://127.1", "its host is not an IPv4 address", "http://127.0.0.1:3000"),
        ("https://127.0.0.01", "its host is not an IPv4 address", "http://127.0.0.1:3000"),
        ("https://2130706433", "its host is not an IPv4 address", "http://127.0.0.1:3000"),
        ("https://0x7f.1", "its host is not an IPv4 address", "http://127.0.0.1:3000"),
        ("https://[::1", "its host is not an IPv6 address", "http://[::1]:3000"),
        ("https://[::g]", "its host is not an IPv6 address", "http://[::1]:3000"),
        ("https://[fe80::1%eth0]", "its host is not an IPv6 address", "http://[::1]:3000"),
        ("https://a.example https://b.example", "it has a path", "for example"),
    ],
)
def test_what_no_browser_sends_is_refused_with_the_reason(text: str, why: str, hint: str):
    with pytest.raises(UsageError) as error:
        parse_origin(text)

    assert f"is not an origin: {why}" in error.value.message
    assert hint in (error.value.hint or "")
    assert error.value.message.isprintable()


@examples(200, 20_000)
@given(mutated(st.sampled_from(["https://app.example:8443", "http://[2001:db8::1]:80", "http://127.0.0.1/"])))
def test_any_text_is_refused_or_becomes_one_spelling(text: str):
    try:
        origin = parse_origin(text)
    except UsageError:
        return

    assert parse_origin(origin) == origin
    assert origin == origin.lower()
    assert origin.isascii()
