from __future__ import annotations

import re

import pytest

from keyctl import errors
from keyctl.errors import KeyctlError, ProfileInvalid, StoreBusy, StoreUnavailable, UsageError, suggestion


def every_error(base: type[KeyctlError] = KeyctlError) -> list[type[KeyctlError]]:
    below = [error for error in base.__subclasses__() if error.__module__ == base.__module__]
    return [base, *(found for error in below for found in every_error(error))]


def test_the_tree_in_the_docstring_is_the_tree():
    drawn = dict(re.findall(r"^[│├└─ ]*(\w+) +(\d+)\b", errors.__doc__, re.MULTILINE))

    assert drawn == {error.__name__: str(error.exit_code) for error in every_error()}


def test_codes_are_public_and_distinct():
    codes = {error.code for error in every_error()}

    assert codes >= {
        "ERROR",
        "USAGE",
        "NOT_FOUND",
        "REFUSED",
        "STORE_UNAVAILABLE",
        "STORE_BUSY",
        "CONFIGURATION_INVALID",
        "PROFILE_INVALID",
        "ABORTED",
        "CHECK_FAILED",
        "NOT_DELIVERED",
    }
    assert len(codes) == len(every_error())


def test_a_busy_store_is_an_unavailable_one():
    with pytest.raises(StoreUnavailable):
        raise StoreBusy("busy")


def test_an_error_carries_what_to_do():
    error = UsageError("what was wrong", hint="what to type")

    assert (str(error), error.message, error.hint) == ("what was wrong", "what was wrong", "what to type")
    assert UsageError("what was wrong").hint is None


def test_a_profiles_faults_are_all_reported():
    one, two = ProfileInvalid("a.toml", ["x: wrong"]), ProfileInvalid("a.toml", ["x: wrong", "y: wrong"])

    assert one.message == "a.toml is not a valid profile: 1 fault\n  x: wrong"
    assert two.message == "a.toml is not a valid profile: 2 faults\n  x: wrong\n  y: wrong"
    assert two.faults == ("x: wrong", "y: wrong")


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("billing:wirte", "billing:write"),
        ("billing", "billing:read"),
        ("calls:raed", "calls:read"),
        ("BILLING", None),
        ("", None),
        ("zzz", None),
        ("x" * 10_000_000, None),
    ],
    ids=lambda value: str(value)[:20],
)
def test_only_a_near_word_is_suggested(word: str, near: str | None):
    known = ["billing:read", "billing:write", "calls:read"]

    assert suggestion(word, known) == (f'did you mean "{near}"?' if near else None)
    assert suggestion(word, known, otherwise="see the list") == (
        f'did you mean "{near}"? see the list' if near else "see the list"
    )


def test_nothing_is_suggested_from_nothing():
    assert suggestion("live", []) is None
