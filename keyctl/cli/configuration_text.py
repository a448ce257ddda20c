"""Edits the text of a configuration file as a person would: one line changes, comments and everything else stay.

There is no writer of TOML here. Each place where the line may go is tried, and the first one is taken whose result
reads as it must. Every function raises ValueError if there is none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from keyctl.toml_text import parse_toml

_MOST_TRIED = 20  # places: each costs reading the file
_BARE = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_STRING = r"""(?:"(?:[^"\\\n]|\\.)*"|'[^'\n]*')"""
_REST = r"(\s*(?:#.*)?)"
_HEADER = re.compile(r"\s*\[")
_STORE = r"""(?:store|"store"|'store')"""
_STORES = r"""(?:stores|"stores"|'stores')"""


def with_store_in_use(text: str, name: str) -> str:
    """Return the text with `name` as the store in use."""
    line = re.compile(rf"(\s*{_STORE}\s*=\s*){_STRING}{_REST}")
    return _edited(
        text,
        lambda data: {**data, "store": name},
        [
            lambda lines: _replaced(lines, line, lambda found: f"{found[1]}{_quoted(name)}{found[2]}"),
            lambda lines: _inserted_above_tables(lines, f"store = {_quoted(name)}"),
        ],
    )


def without_store_in_use(text: str) -> str:
    """Return the text without a store in use: the default one is used then."""
    line = re.compile(rf"\s*{_STORE}\s*=\s*{_STRING}{_REST}")
    return _edited(
        text,
        lambda data: {key: value for key, value in data.items() if key != "store"},
        [lambda lines: _removed(lines, line)],
    )


def with_store(text: str, name: str, url: str) -> str:
    """Return the text with a name for a store, which has none by that name yet."""
    entry = f"{_key(name)} = {_quoted(url)}"
    inline = re.compile(rf"(\s*{_STORES}\s*=\s*\{{)\s*(.*?)\s*(\}}{_REST})")
    return _edited(
        text,
        lambda data: {**data, "stores": {**data.get("stores", {}), name: url}},
        [
            lambda lines: _inserted_into_table(lines, entry),
            lambda lines: iter(
                [[*lines[:-1], *([lines[-1]] if lines[-1] else []), *_space(lines), "[stores]", entry, ""]]
            ),
            lambda lines: _replaced(
                lines, inline, lambda found: f"{found[1]} {found[2]}{', ' if found[2] else ''}{entry} {found[3]}"
            ),
            lambda lines: _inserted_above_tables(lines, f"stores.{entry}"),
        ],
    )


def without_store(text: str, name: str) -> str:
    """Return the text without the name of a store."""
    keys = "|".join(map(re.escape, dict.fromkeys([_key(name), _quoted(name), f"'{name}'"])))
    line = re.compile(rf"\s*(?:{_STORES}\s*\.\s*)?(?:{keys})\s*=\s*{_STRING}{_REST}")
    return _edited(
        text,
        lambda data: {**data, "stores": {one: url for one, url in data["stores"].items() if one != name}},
        [lambda lines: _removed(lines, line)],
    )


# ── which of the places is right ─────────────────────────────────────────────────────────────────────────────────────

_Lines = list[str]
_Places = Callable[[_Lines], Iterator[_Lines]]


def _edited(text: str, change: Callable[[dict[str, Any]], dict[str, Any]], ways: list[_Places]) -> str:
    wanted = _without_empty_stores(change(parse_toml(text.encode())))
    end = "\r\n" if "\r\n" in text else "\n"
    for places in ways:
        for lines in islice(places(text.split(end)), _MOST_TRIED):
            edited = end.join(lines)
            if _reads_as(edited, wanted):
                return edited
    raise ValueError("no place for the change was found")


def _reads_as(text: str, wanted: dict[str, Any]) -> bool:
    try:
        return _without_empty_stores(parse_toml(text.encode())) == wanted
    except ValueError:
        return False


def _without_empty_stores(data: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key != "stores" or value}


# ── the places ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _replaced(lines: _Lines, line: re.Pattern[str], new: Callable[[re.Match[str]], str]) -> Iterator[_Lines]:
    for i, one in enumerate(lines):
        if found := line.fullmatch(one):
            yield [*lines[:i], new(found), *lines[i + 1 :]]


def _removed(lines: _Lines, line: re.Pattern[str]) -> Iterator[_Lines]:
    for i, one in enumerate(lines):
        if line.fullmatch(one):
            yield lines[:i] + lines[i + 1 :]


def _inserted_above_tables(lines: _Lines, new: str) -> Iterator[_Lines]:
    """Yield the text with a line below the settings that are in no table, or else at its top."""
    first = next((i for i, one in enumerate(lines) if _HEADER.match(one)), len(lines))
    if settings := [i for i, one in enumerate(lines[:first]) if _is_setting(one)]:
        yield _after(lines, settings[-1], new)
    yield [new, *([""] if lines[0] else []), *lines]


def _inserted_into_table(lines: _Lines, new: str) -> Iterator[_Lines]:
    """Yield the text with a line below the last one of the table of stores."""
    for i, one in enumerate(lines):
        if re.match(rf"\s*\[\s*{_STORES}\s*\]", one):
            end = next((j for j in range(i + 1, len(lines)) if _HEADER.match(lines[j])), len(lines))
            yield _after(lines, max(j for j in range(i, end) if j == i or _is_setting(lines[j])), new)


def _after(lines: _Lines, at: int, new: str) -> _Lines:
    rest = lines[at + 1 :] or [""]  # the last line of a file that has no line end gets one
    return [*lines[: at + 1], new, *rest]


def _is_setting(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _space(lines: _Lines) -> _Lines:
    return [""] if any(lines) else []


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _quoted(name)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
