from __future__ import annotations

import pytest

from keyctl.answer import Answer
from keyctl.http.response_headers import complete, merge

OWN = [("Content-Type", "text/html"), ("Vary", "Accept"), ("X-A", "own"), ("Set-Cookie", "a"), ("Set-Cookie", "b")]


@pytest.mark.parametrize(
    ("added", "merged"),
    [
        ({}, OWN),
        ({"Vary": "Origin"}, [*OWN, ("Vary", "Origin")]),
        ({"x-a": "platform's"}, [*OWN[:2], *OWN[3:], ("x-a", "platform's")]),
        ({"Content-Type": "application/json", "Content-Length": "3"}, OWN),
    ],
)
def test_an_applications_response_keeps_its_own_headers_but_for_those_of_the_platform(
    added: dict[str, str], merged: list[tuple[str, str]]
):
    assert merge(OWN, Answer(200, added, None)) == merged


@pytest.mark.parametrize(
    ("answer", "headers", "body"),
    [
        (Answer(401, {"A": "b"}, '"ü"'), [("A", "b"), ("Content-Length", "4")], '"ü"'.encode()),
        (Answer(401, {}, None), [("Content-Length", "0")], b""),
        (Answer(204, {"A": "b"}, None), [("A", "b")], b""),
        (Answer(304, {}, None), [], b""),
    ],
)
def test_a_response_has_the_length_of_its_body(answer: Answer, headers: list[tuple[str, str]], body: bytes):
    assert complete(answer) == (headers, body)
