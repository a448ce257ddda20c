"""What differs between platforms is in profiles: no Python file names one, nor a scope or a header of one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import keyctl
from keyctl.profiles.builtin import preset_names
from keyctl.profiles.files import load_profile
from keyctl.profiles.http import rules_of

SOURCES = sorted(Path(keyctl.__file__).parent.rglob("*.py"))
PLATFORMS = [name for name in preset_names() if name != "standard"]
# Headers that belong to HTTP and not to a platform: RFC 9110, RFC 9111, RFC 6750.
OF_HTTP = {"authorization", "content-type", "location", "www-authenticate", "retry-after", "vary", "cache-control"}


def names_of(platform: str) -> Iterator[str]:
    """Yield what only this platform calls so."""
    profile = load_profile(platform)
    rules = rules_of(profile)
    yield platform
    yield profile.key_format.brand + "_"
    yield from profile.scopes.catalogue
    yield from (credential.header for credential in rules.credentials)
    yield from rules.identity
    yield from rules.headers
    yield from (name for response in rules.responses.values() for name in response.headers)


def found_in_sources(name: str) -> list[str]:
    # A scope may be an English word: then it is one where it is quoted. A brand begins a longer text.
    word = name.isalpha() and name.islower() and name not in PLATFORMS
    expression = rf"(?<![A-Za-z0-9_-]){re.escape(name)}" + ("" if name.endswith("_") else "(?![A-Za-z0-9_-])")
    pattern = re.compile(f"[\"'`]{expression}[\"'`]" if word else expression, re.IGNORECASE)
    return [path.name for path in SOURCES if pattern.search(path.read_text())]


def test_there_are_five_platforms_and_something_to_search():
    assert {"vantaprism", "vantax", "ventryx", "vexa", "voxpria"} <= set(PLATFORMS)
    assert len(SOURCES) > 40
    assert found_in_sources("Typer")
    assert found_in_sources("authorization")


@pytest.mark.parametrize("platform", PLATFORMS)
def test_no_python_file_names_a_platform_a_scope_or_a_header_of_one(platform: str):
    names = {name for name in names_of(platform) if name.lower() not in OF_HTTP}

    assert len(names) > 3
    assert {name: found for name in sorted(names) if (found := found_in_sources(name))} == {}
