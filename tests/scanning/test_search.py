from __future__ import annotations

import json
import re
import string
from base64 import b64encode, encodebytes, standard_b64encode, urlsafe_b64encode
from collections.abc import Callable
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl.keyformat import Field, KeyFormat
from keyctl.profiles.builtin import preset_names
from keyctl.profiles.files import load_profile
from keyctl.scanning.hits import Hit
from keyctl.scanning.search import Searcher
from tests.fuzzing import examples
from tests.samples import FORMATS

EVERY = {**{name: load_profile(name).key_format for name in preset_names()}, **FORMATS}
SEARCHERS = {name: Searcher([key_format]) for name, key_format in EVERY.items()}
STANDARD = SEARCHERS["standard"]

every_format = pytest.mark.parametrize("name", EVERY)


def keys(name: str, count: int = 1) -> list[str]:
    key_format = EVERY[name]
    envs = key_format.envs if key_format.has("env") else (None,)
    scopes = key_format.scopes if key_format.has("scope") else (None,)
    return [
        key.text for env, scope in product(envs, scopes) for key in key_format.generate(count, env=env, scope=scope)
    ]


def key() -> str:
    return keys("standard")[0]


def found(searcher: Searcher, data: bytes) -> list[str]:
    return [hit.text for hit in searcher.search(data)]


def percent_encoded(text: str, *, all_of_it: bool = False) -> str:
    unreserved = string.ascii_letters + string.digits + ("" if all_of_it else "-._~")
    return "".join(one if one in unreserved else f"%{ord(one):02X}" for one in text)


ENCODINGS: dict[str, Callable[[str], bytes]] = {
    "plain": str.encode,
    "percent-encoded": lambda text: percent_encoded(text).encode(),
    "percent-encoded as a whole": lambda text: percent_encoded(text, all_of_it=True).encode(),
    "percent-encoded in lower case": lambda text: (
        percent_encoded(text, all_of_it=True).lower().encode()
        if text == text.lower()
        else re.sub("%..", lambda one: one[0].lower(), percent_encoded(text, all_of_it=True)).encode()
    ),
    **{f"base64 at {i}": lambda text, i=i: standard_b64encode(b"\xfb\xff?"[:i] + text.encode()) for i in range(3)},
    **{
        f"base64, URL-safe, at {i}": lambda text, i=i: urlsafe_b64encode(b"u:\xff"[:i] + text.encode())
        for i in range(3)
    },
    **{
        f"base64 amid text at {i}": lambda text, i=i: b64encode(b"user:" + b"x" * i + text.encode() + b"\n")
        for i in range(3)
    },
    "UTF-16 LE": lambda text: ("\ufeff" + text).encode("utf-16-le"),
    "UTF-16 BE": lambda text: text.encode("utf-16-be"),
}
AROUND = [(b"", b""), (b"\n", b"\n"), (b'{"data": "', b'"}'), (b"%20", b"&a=b"), (b"\xff\0\x80", b"\0")]
BEFORE = ["%20", r"\n", r"\t", "=", '"', "'", "x", "kc_live_", "Bearer ", "\0", "ü", "/", "`"]


@every_format
def test_every_key_is_found_in_every_encoding(name: str):
    for text, (encoding, encode) in product(keys(name), ENCODINGS.items()):
        for before, after in AROUND:
            assert text in found(SEARCHERS[name], before + encode(text) + after), (encoding, before)


@every_format
def test_a_key_is_found_after_whatever_precedes_it(name: str):
    for text, before in product(keys(name), BEFORE):
        assert text in found(SEARCHERS[name], f"a {before}{text} b".encode())


def test_a_hit_says_where_it_is_and_how_it_is_encoded():
    text = key()

    for encode, name, begins in [
        (ENCODINGS["plain"], "", 0),
        (ENCODINGS["percent-encoded as a whole"], "percent-encoding", 0),
        (ENCODINGS["base64 at 0"], "base64", 0),
        (ENCODINGS["base64 at 1"], "base64", 0),
        (ENCODINGS["UTF-16 LE"], "UTF-16", 2),
    ]:
        data = b"0123456789 " + encode(text) + b" "
        [hit] = STANDARD.search(data)

        assert (hit.encoding, hit.offset, hit.prefix, hit.certain) == (name, 11 + begins, text[:20], True)
        assert len(data) - 4 <= hit.offset + hit.length <= len(data)


def test_a_hit_never_shows_its_text():
    [hit] = STANDARD.search(key().encode())

    assert hit.text not in repr(hit)
    assert hit.text not in str(hit)


@every_format
def test_a_key_in_base64_that_is_wrapped_into_lines_is_found_unless_one_ends_within_its_first_characters(name: str):
    text = keys(name)[0]
    missed = set()

    for before in (0, 19, *range(46, 60)):
        wrapped = encodebytes(b"x" * before + text.encode() + b"\n")
        for lines in (wrapped, wrapped.replace(b"\n", b"\r\n    "), json.dumps(wrapped.decode()).encode()):
            if found(SEARCHERS[name], lines) != [text]:
                missed.add(before)

    assert missed <= {53, 54, 55, 56}
    assert len(missed) <= 3


def test_a_wrong_checksum_is_not_a_key():
    text = key()

    for i in range(8, len(text)):
        altered = text[:i] + ("0" if text[i] != "0" else "1") + text[i + 1 :]
        for encode in ENCODINGS.values():
            assert found(STANDARD, encode(altered)) == []


def test_a_longer_run_that_has_the_shape_of_a_key_is_decided_by_the_checksum():
    text = key()

    [glued] = STANDARD.search(f"{text}abc".encode())
    assert glued.certain
    assert found(STANDARD, f"{text[:-1]}{'b' if text[-1] == 'a' else 'a'}bc".encode()) == []


def test_without_a_checksum_a_text_that_continues_is_not_certain():
    [text] = keys("vantax")

    for after, certain in (("", True), ("\n", True), (" ", True), ('"', True), ("0", False), ("g", True), (".", True)):
        [hit] = SEARCHERS["vantax"].search(f"{text}{after}".encode())
        assert hit.certain == certain, after


def test_each_of_two_keys_that_share_a_line_is_found_once():
    one, other = key(), key()

    assert found(STANDARD, f"{one}{other} {one}\n".encode()) == [one, other, one]


def test_a_part_of_data_has_the_keys_that_begin_in_it():
    texts = [key() for _ in range(8)]
    data = b" ".join(encode(text) for text, encode in zip(texts, ENCODINGS.values(), strict=False))

    for size in (100, 333):
        parts: list[Hit] = []
        for start in range(0, len(data), size):
            begin = max(0, start - STANDARD.before)
            window = data[begin : start + size + STANDARD.after]
            hits = STANDARD.search(window, start - begin, start - begin + size)
            parts += [hit._replace(offset=hit.offset + begin) for hit in hits]

        assert [hit.text for hit in parts] == texts
        assert parts == STANDARD.search(data)


@every_format
def test_data_in_which_signatures_seem_to_be_everywhere_is_searched_all_the_same(name: str):
    [text, *_] = keys(name)
    noise = b"".join(bytes([byte]) for byte in range(256) if SEARCHERS[name]._sieves[0][0]._table[byte]) * 2000

    assert text in found(SEARCHERS[name], noise + b" " + text.encode() + b" " + noise)


def test_keys_of_several_formats_are_found_together():
    names = ["standard", "vantaprism", "vexa", "voxpria", "dot"]
    searcher = Searcher(EVERY[name] for name in names)
    texts = [text for name in names for text in keys(name)]

    for encode in list(ENCODINGS.values())[::3]:
        assert set(texts) <= set(found(searcher, b"\n".join(encode(text) + b"\n" for text in texts)))


def test_of_tags_that_begin_alike_every_reading_of_a_text_is_found():
    key_format = KeyFormat(
        "{brand}_{env}{prefix}.{secret}", Field("hex", 12), Field("hex", 40), brand="op", envs=("", "abc", "a")
    )
    for env in key_format.envs:
        [made] = key_format.generate(1, env=env)

        assert made.text in found(Searcher([key_format]), f"{made.text}0123456789".encode())


def test_a_search_for_no_format_is_refused():
    with pytest.raises(ValueError, match="no format"):
        Searcher([])


@examples(100, 10_000)
@given(st.binary(max_size=200), st.sampled_from(list(ENCODINGS.values())), st.binary(max_size=200))
def test_a_key_amid_any_bytes_is_found(before: bytes, encode: Callable[[str], bytes], after: bytes):
    text = key()
    if "base64" in next(name for name, one in ENCODINGS.items() if one is encode):
        before, after = before + b" ", b" " + after

    assert text in found(STANDARD, before + encode(text) + after)


def test_a_key_in_the_name_of_a_file_is_cut_off_after_its_prefix():
    text = key()
    encoded = standard_b64encode(text.encode()).decode()

    assert STANDARD.masked(f"a/{text}.txt") == f"a/{text[:20]}….txt"
    assert STANDARD.masked("a/b.txt \udcff") == "a/b.txt \udcff"
    assert text[21:40] not in STANDARD.masked(f"a/{percent_encoded(text, all_of_it=True)}.txt")
    assert encoded[30:60] not in STANDARD.masked(f"a/{encoded}.txt")
