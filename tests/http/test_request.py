from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl.errors import UsageError
from keyctl.http.request import MAX_HEAD_BYTES, HttpRequest, PathRefused, check_path, parse_head
from keyctl.text import visible
from tests.fuzzing import examples, mutated

TOKEN = st.text("abcXYZ019-_!#$%&'*+.^`|~", min_size=1)
VALUE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=20)


def check(target: str) -> None:
    check_path(target.partition("?")[0])


# ── the head ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_head_is_a_request_line_and_headers():
    head = parse_head(
        b"POST /v1/calls?a=b HTTP/1.1\r\nHost: api.example\r\nX-Two:\t a  b \t\r\nx-two: c\r\nEmpty:\r\n\r\nbody"
    )

    assert (head.method, head.target) == ("POST", "/v1/calls?a=b")
    assert head.headers == [("host", "api.example"), ("x-two", "a  b"), ("x-two", "c"), ("empty", "")]
    assert head.values("x-two") == ["a  b", "c"]
    assert not head.values("absent")


@pytest.mark.parametrize(
    "raw", [b"GET / HTTP/1.1", b"GET / HTTP/1.1\n", b"GET / HTTP/1.0\r\n\r\n", b"GET / HTTP/1.1\n\nx"]
)
def test_lines_may_end_in_lf_alone_and_the_last_one_in_nothing(raw: bytes):
    assert parse_head(raw) == HttpRequest("GET", "/", {})


@given(st.lists(st.tuples(TOKEN, VALUE)))
def test_headers_keep_their_order_and_repetitions(headers: list[tuple[str, str]]):
    raw = "".join(f"{name}: {value}\r\n" for name, value in headers).encode("latin-1")

    head = parse_head(b"GET / HTTP/1.1\r\n" + raw + b"\r\n")

    for name in {name.lower() for name, _ in headers}:
        assert head.values(name) == [value for other, value in headers if other.lower() == name]
    assert len(head.headers) == len(headers)


@pytest.mark.parametrize(
    "line",
    [
        *(b"", b"GET", b"GET /", b"GET  / HTTP/1.1", b" GET / HTTP/1.1", b"GET / HTTP/1.1 ", b"GET / http/1.1"),
        *(b"GET / HTTP/2", b"GET / HTTP/0.9", b"GET /a b HTTP/1.1", b"GET /\x00 HTTP/1.1", b"GET /\xc3\xa9 HTTP/1.1"),
        *(b"G(T / HTTP/1.1", b"GET\t/\tHTTP/1.1", b"Host: x", b"\r\nGET / HTTP/1.1", b"\xef\xbb\xbfGET / HTTP/1.1"),
    ],
)
def test_without_a_request_line_there_is_no_request(line: bytes):
    with pytest.raises(UsageError, match="there is no request line"):
        parse_head(line + b"\r\nHost: s3cret\r\n\r\n")


@pytest.mark.parametrize(
    "line",
    [
        *(b"no colon", b"Name : value", b": value", b"N\xc3\xa4me: value", b"Na me: value", b"Name\x00: value"),
        *(b" folded", b"\tfolded", b"Name: a\rb", b"Name: a\x00b", b"Name: a\x1bb", b"Name: \x0b"),
    ],
)
def test_what_is_no_header_is_reported_by_its_line_and_never_quoted(line: bytes):
    with pytest.raises(UsageError) as error:
        parse_head(b"GET / HTTP/1.1\r\nHost: x\r\n" + line + b"\r\n\r\n")

    assert error.value.message == "line 3 of the request's head is not a header"


@pytest.mark.parametrize("name", [b"x: ", b""])
def test_a_head_of_a_megabyte_is_refused(name: bytes):
    with pytest.raises(UsageError, match="larger than 65,536 bytes"):
        parse_head(b"GET / HTTP/1.1\r\n" + (name + b"y" * 1000 + b"\r\n") * 1000)


def test_a_header_of_blanks_takes_no_longer_than_any_other():
    start = time.perf_counter()

    parse_head(b"GET / HTTP/1.1\r\nX: a" + b" " * 64_000 + b"b\r\n\r\n")

    assert time.perf_counter() - start < 2  # with a backtracking expression: 20 s


def test_the_limit_is_of_the_head_and_not_of_the_body():
    parse_head(b"GET / HTTP/1.1\r\n\r\n" + b"x" * MAX_HEAD_BYTES * 2)


HEADS = [b"GET / HTTP/1.1\r\n\r\n", b"POST /v1/a?b=%20c HTTP/1.0\nHost: x\nA:\t b \xe9 c \r\nA: d\r\n\r\nbody"]


@examples(200, 10_000)
@given(mutated(st.sampled_from(HEADS)))
def test_a_head_that_was_edited_is_refused_or_reads_as_it_is_written(raw: bytes):
    try:
        head = parse_head(raw)
    except UsageError as error:
        assert visible(error.message) == error.message  # noqa: PT017 - most edits are refused, not all
        return

    lines = [f"{head.method} {head.target} HTTP/1.1", *(f"{name}: {value}" for name, value in head.headers)]
    assert parse_head("\r\n".join([*lines, "", ""]).encode("latin-1")) == head


@examples(100, 10_000)
@given(st.binary(max_size=200))
def test_whatever_is_sent_is_a_request_or_a_usage_error(raw: bytes):
    for candidate in (raw, b"GET / HTTP/1.1\r\n" + raw):
        try:
            head = parse_head(candidate)
        except UsageError:
            continue
        assert not any(ord(c) < 0x20 and c != "\t" for _, value in head.headers for c in value)


# ── the path ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "target",
    [
        *("/", "/v1", "/v1/", "/v1/a?b=/../c", "/a%20b/%C3%A9", "/...", "/.hidden", "/a..b", "/a:b@c,d=e+f"),
        *("/%3f%26", "/*"),
    ],
)
def test_a_path_that_every_server_reads_alike_is_accepted(target: str):
    check(target)


@pytest.mark.parametrize(
    "target",
    [
        # not a path: absolute, authority and asterisk forms (RFC 9112, 3.2)
        *("https://api.example/v1", "http://api.example", "api.example:443", "*", "", "?a=b", "v1/health"),
        # dot segments
        *("/v1/health/../account", "/..", "/.", "/v1/./x", "/v1/..", "/v1/../", "/../v1"),
        # dots, letters and digits that need no encoding
        *("/v1/%2e%2e/account", "/v1/%2E./x", "/v1/.%2e/x", "/%68ealth", "/v%31", "/a%2Db", "/a%5fb", "/%7euser"),
        # slashes, backslashes, percent signs, controls
        *("//", "//v1", "/v1//x", "/v1/x//", "/a%2fb", "/a%2Fb", "/a%5cb", "/a%5Cb", "/a\\b", "/..\\x", "/a%252e"),
        *("/a%00", "/a%0d%0aX:y", "/a%0A", "/a%7f", "/a%09"),
        # what is no encoding, or no UTF-8: %c0%ae is a dot to careless servers
        *("/a%", "/a%2", "/a%zz", "/a%%32e", "/a%u002e", "/%c0%ae%c0%ae/x", "/%c0%af", "/%ff", "/%e0%80%ae"),
        # parameters that some servers leave out
        *("/v1/health/..;/account", "/v1/health;/x", "/v1/;/x", "/v1/admin;x=y"),
        # never in a path
        *("/a#b", "/a|b", "/{x}", '/"', "/<", "/a^b", "/a`b"),
    ],
)
def test_what_two_servers_could_read_in_two_ways_is_refused(target: str):
    with pytest.raises(PathRefused) as error:
        check(target)

    assert target not in str(error.value) or len(target) < 2


@examples(100, 10_000)
@given(st.lists(st.text("ab.%2eEfF/\\;c0", max_size=6), min_size=1))
def test_no_path_that_is_accepted_means_another_one_once_it_is_decoded(parts: list[str]):
    from posixpath import normpath
    from urllib.parse import unquote

    target = "/" + "/".join(parts)
    try:
        check(target)
    except PathRefused:
        return
    decoded = unquote(target, errors="strict")

    assert normpath(decoded) == (decoded.rstrip("/") or "/")
    assert decoded.split("/") == [unquote(segment) for segment in target.split("/")]
