from __future__ import annotations

import pytest

from keyctl.http.target import path_as_sent


@pytest.mark.parametrize(
    ("raw", "decoded", "path"),
    [
        ("/a", ["/a"], "/a"),
        ("/a?b=/c", ["/a"], "/a"),
        ("/%61", ["/a"], "/%61"),
        ("/a%2Fb", ["/a/b"], "/a%2Fb"),
        ("/m/a", ["/x", "/m/a"], "/m/a"),
        ("/other", ["/a b", "/m/a"], "/a%20b"),
        ("http://shop.example/a", ["/a"], "/a"),
        (None, ["/a b/ü;c//d/../e%?#\\"], "/a%20b/%C3%BC;c//d/../e%25%3F%23%5C"),
        (None, [""], ""),
        (None, ["*"], "*"),
        (None, ["/a\n"], "/a%0A"),
    ],
)
def test_the_path_is_as_it_was_sent_unless_the_application_reads_another(
    raw: str | None, decoded: list[str], path: str
):
    assert path_as_sent(raw, decoded, encoding="utf-8") == path


def test_a_path_may_be_decoded_byte_by_byte():
    assert path_as_sent("/%C3%BC", ["/ü".encode().decode("latin-1")], encoding="latin-1") == "/%C3%BC"
    assert path_as_sent(None, ["/ü".encode().decode("latin-1")], encoding="latin-1") == "/%C3%BC"
