"""How the fuzzed tests draw examples: how many, and input that is nearly valid."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

Test = TypeVar("Test", bound=Callable[..., Any])
torture = False  # whether the tests run at full length: tests/conftest.py sets it before it imports any


def settings_for(short: int, full: int, **more: Any) -> settings:
    """Return settings for `short` examples, and for `full` in `make torture`.

    Fixtures are not renewed between examples: those of such a test do not mind.
    """
    return settings(max_examples=full if torture else short, suppress_health_check=list(HealthCheck), **more)


def examples(short: int, full: int) -> Callable[[Test], Test]:
    """Run a property on `short` examples, and on `full` in `make torture`."""

    def decorate(test: Test) -> Test:
        decorated: Test = pytest.mark.torture(settings_for(short, full)(test))
        return decorated

    return decorate


def mutated(valid: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return a strategy for text or bytes that one to three edits make of valid input."""
    # One draw of bytes: to draw each edit by itself takes ten times longer.
    return st.builds(_edit, valid, st.binary(min_size=3, max_size=9))


# What an edit inserts: what parsers split on, digits of other scripts, what ends a line, and what is not UTF-8.
_PIECES = ["", " ", "\n", "\r\n", "\t", "\0", "\x1b", "%", "%2e", ":", "/", "@", "=", "&", "?", "-", "_", "0", "9" * 30]
_PIECES += [
    "٣",
    "é",
    "\u202e",
    "\ud800",
    "\U0010ffff",
    "{",
    "}",
    '"',
    "[",
    "null",
    "true",
    "$",
    "|",
    "*",
    ".",
    "a",
    "Z",
]


def _edit(value: Any, edits: bytes) -> Any:
    for position, removed, piece in zip(edits[::3], edits[1::3], edits[2::3], strict=False):
        at = position * (len(value) + 1) // 256
        inserted: Any = _PIECES[piece % len(_PIECES)]
        if isinstance(value, bytes):
            inserted = inserted.encode("utf-8", "surrogatepass")
        if removed % 8 == 7:  # repeat a part, or cut off all after it
            value = value[:at] + (value[max(0, at - 8) :] if removed < 128 else inserted)
        else:
            value = value[:at] + inserted + value[at + removed % 8 :]
    return value


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def mutated_document(draw: st.DrawFn, documents: st.SearchStrategy[Any]) -> Any:
    """Draw a JSON document in which a few values, at any depth, are removed, replaced or renamed."""
    document = copy.deepcopy(draw(documents))
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(document))
        if not places:
            return draw(JSON)
        (table, key), (other_table, other_key) = draw(st.sampled_from(places)), draw(st.sampled_from(places))
        value = table[key]
        match draw(st.sampled_from(["remove", "replace", "exchange", "edit", "rename"])):
            case "remove":
                del table[key]
            case "replace":
                table[key] = draw(JSON)
            case "exchange":  # by a value that is valid in another place
                table[key] = copy.deepcopy(other_table[other_key])
            case "edit":
                table[key] = draw(mutated(st.just(value))) if isinstance(value, str) else draw(st.integers(-2, 2**65))
            case "rename" if isinstance(table, dict):
                table[draw(mutated(st.just(key)))] = table.pop(key)
    return document


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each value in a document as the table or list that holds it, and its key there."""
    for key in list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from _places(value[key])
