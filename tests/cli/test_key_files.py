"""The names of the files that new keys are delivered to: safe, and one for each key."""

from __future__ import annotations

import pytest

from keyctl.cli.key_files import file_name


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (("acme", "ci", "live"), "acme~ci~live.key"),
        ((None, "ci", "live"), "ci~live.key"),
        (("jane@acme.com", "a b", "test"), "jane@acme.com~a%20b~test.key"),
        (("a:b", "../../etc/passwd", "live"), "a%3Ab~%2E.%2F..%2Fetc%2Fpasswd~live.key"),
        (("acme", ".hidden~x%", "live"), "acme~%2Ehidden%7Ex%25~live.key"),
        (("acme", "ü", "live"), "acme~%C3%BC~live.key"),
        ((None, ".", "live"), "%2E~live.key"),
    ],
)
def test_a_name_is_made_of_the_keys_own(key: tuple[str | None, str, str], name: str):
    assert file_name(*key) == name


def test_long_names_are_cut_and_stay_different():
    one, other = (file_name("a" * 200, "é" * 199 + end, "live") for end in "xy")

    assert one != other
    assert len(one) == len(other) <= 210
