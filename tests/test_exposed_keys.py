from __future__ import annotations

import pytest

from keyctl.exposed_keys import exposed_pattern, length_exposed_in, length_of_secret_in
from keyctl.keyformat import KeyFormat
from tests.samples import FORMATS
from tests.test_keyformat import STANDARD, TEXT, combinations

every_format = pytest.mark.parametrize("key_format", FORMATS.values(), ids=FORMATS.keys())


@every_format
def test_a_key_is_found_in_other_text_whole_cut_short_or_in_another_case(key_format: KeyFormat):
    env, scope = combinations(key_format)[-1]
    made = key_format.generate(1, env=env, scope=scope)[0]

    for text in (
        made.text,
        made.text[: len(made.prefix) + 2],
        made.text.upper(),
        made.text.lower(),
        f"--x={made.text}!",
    ):
        assert exposed_pattern(key_format).search(text)
    harmless_prefix = key_format.generate(1, env=combinations(key_format)[0][0], scope=scope)[0].prefix
    for harmless in (harmless_prefix, f"--after={harmless_prefix}", harmless_prefix[:-1], "", "live", "billing:write"):
        assert not exposed_pattern(key_format).search(harmless)


@every_format
def test_what_is_exposed_is_a_key_or_enough_of_its_secret_to_matter(key_format: KeyFormat):
    env, scope = combinations(key_format)[-1]
    made = key_format.generate(1, env=env, scope=scope)[0]

    for text in (made.text, made.text[:-1], made.text.upper(), made.text.lower(), f"--x={made.text}", f"{made.text}!"):
        assert length_exposed_in(key_format, text) >= len(made.text) - 1
    for after in ("", "_", "_old", "_20261124", ".rotated", " is old"):
        assert length_exposed_in(key_format, made.prefix + after) == 0


def test_a_secret_by_itself_is_recognised_where_nothing_else_looks_like_one():
    secret = TEXT.rpartition("_")[2]

    assert length_of_secret_in(STANDARD, secret) == length_of_secret_in(STANDARD, f"x={secret};") == 38
    for other in (secret[:-1], secret + "x", secret.lower(), secret.upper(), "0" * 38, "x" * 38, ""):
        assert length_of_secret_in(STANDARD, other) == 0
