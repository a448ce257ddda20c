"""Edits of a configuration file's text: they mean what they must, and change nothing else."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl.cli.configuration_text import with_store, with_store_in_use, without_store, without_store_in_use
from tests.fuzzing import examples

WHOLE = """\
# how I work
store = "team"   # the one that matters
wait = '30s'

# the stores of the team
[stores]
# ours
team = "postgresql://jane@db.example/keys" # never touch
"a b" = '/srv/keys.db'

# the end
"""


def test_the_store_in_use_is_replaced_where_it_is_written():
    assert with_store_in_use(WHOLE, "a b") == WHOLE.replace('store = "team"', 'store = "a b"')


def test_without_a_store_in_use_the_line_is_gone():
    assert without_store_in_use(WHOLE) == WHOLE.replace('store = "team"   # the one that matters\n', "")


def test_a_store_goes_below_the_last_one():
    assert with_store(WHOLE, "lab", "/lab.db") == WHOLE.replace("keys.db'\n", 'keys.db\'\nlab = "/lab.db"\n')


@pytest.mark.parametrize("name", ["team", "a b"])
def test_without_a_store_its_line_is_gone(name: str):
    edited = without_store(WHOLE, name)

    assert [one for one in WHOLE.splitlines() if one not in edited.splitlines()] == [
        next(one for one in WHOLE.splitlines() if one.startswith((f"{name} =", f'"{name}" =')))
    ]
    assert name not in tomllib.loads(edited)["stores"]


@pytest.mark.parametrize(
    ("text", "edited"),
    [
        ("", '[stores]\nlab = "/lab.db"\n'),
        ("# mine\n", '# mine\n\n[stores]\nlab = "/lab.db"\n'),
        ('wait = "5s"', 'wait = "5s"\n\n[stores]\nlab = "/lab.db"\n'),
        ("[stores]", '[stores]\nlab = "/lab.db"\n'),
        ('[ "stores" ] # all\n\n', '[ "stores" ] # all\nlab = "/lab.db"\n\n'),
        ("stores = {}\n", 'stores = { lab = "/lab.db" }\n'),
        ("stores = { a = '/a' } # one\n", "stores = { a = '/a', lab = \"/lab.db\" } # one\n"),
        ("stores.a = '/a'\n", "stores.a = '/a'\nstores.lab = \"/lab.db\"\n"),
        ("[stores]\r\na = '/a'\r\n", "[stores]\r\na = '/a'\r\nlab = \"/lab.db\"\r\n"),
    ],
)
def test_a_store_is_added_in_the_way_of_the_file(text: str, edited: str):
    assert with_store(text, "lab", "/lab.db") == edited


@pytest.mark.parametrize(
    ("text", "edited"),
    [
        ("", 'store = "lab"\n'),
        ('wait = "5s"\n', 'wait = "5s"\nstore = "lab"\n'),
        ("# mine\n[stores]\nlab = '/l'\n", "store = \"lab\"\n\n# mine\n[stores]\nlab = '/l'\n"),
        ("\"store\" = 'x' # old\n", '"store" = "lab" # old\n'),
        ("[stores]\nstore = '/x'\n", "store = \"lab\"\n\n[stores]\nstore = '/x'\n"),  # a name, not the setting
        ('wait = """\nstore = "x"\n"""\n', 'wait = """\nstore = "x"\n"""\nstore = "lab"\n'),  # part of a text
    ],
)
def test_a_store_is_chosen_in_any_file(text: str, edited: str):
    assert with_store_in_use(text, "lab") == edited


@pytest.mark.parametrize(
    ("edit", "text"),
    [
        (lambda text: with_store_in_use(text, "lab"), 'store = """team"""\n'),
        (without_store_in_use, "store = '''team'''\n"),
        (lambda text: with_store(text, "lab", "/lab.db"), "stores = {\n}\n"),
        (lambda text: without_store(text, "lab"), "stores = { lab = '/lab.db' }\n"),
    ],
)
def test_a_line_that_cannot_be_edited_alone_is_left_to_a_person(edit: Callable[[str], str], text: str):
    with pytest.raises(ValueError, match=r"no place|TOML"):
        edit(text)


COMMENTS = st.lists(st.sampled_from(["", "# store = 'x'", "# [stores]", '# "', "   "]), max_size=3)
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,8}", fullmatch=True)
QUOTED = st.sampled_from(['"{}"', "'{}'"])
ENDS = st.sampled_from(["", " # a note", "  "])


@st.composite
def configurations(draw: st.DrawFn) -> tuple[str, list[str]]:
    """Draw a file as people write them, and the names of its stores."""
    names = draw(st.lists(NAMES, unique=True, max_size=4))
    lines = draw(COMMENTS)
    for key, value in [("wait", "5s"), *([("store", names[0])] if names and draw(st.booleans()) else [])]:
        lines += [f"{key} = {draw(QUOTED).format(value)}{draw(ENDS)}", *draw(COMMENTS)]
    if names:
        lines += ["[stores]", *draw(COMMENTS)]
    for name in names:
        lines += [f"{draw(QUOTED).format(name)} = {draw(QUOTED).format(f'/srv/{name}.db')}{draw(ENDS)}"]
        lines += draw(COMMENTS)
    end = draw(st.sampled_from(["\n", "\r\n"]))
    return end.join(lines) + draw(st.sampled_from(["", end])), names


@examples(40, 5_000)
@given(configurations(), NAMES)
def test_an_edit_changes_what_it_means_and_nothing_else(drawn: tuple[str, list[str]], new: str):
    text, names = drawn
    data = tomllib.loads(text)
    stores = data.get("stores", {})

    used = with_store_in_use(text, new)
    assert tomllib.loads(used) == data | {"store": new}
    assert lost(text, used) <= int("store" in data)
    assert tomllib.loads(without_store_in_use(used)) == {key: one for key, one in data.items() if key != "store"}
    if new not in names:
        added = with_store(text, new, "/new.db")
        assert tomllib.loads(added) == data | {"stores": {**stores, new: "/new.db"}}
        assert lost(text, added) == 0
        assert tomllib.loads(without_store(added, new)).get("stores", {}) == stores
    for name in names:
        removed = without_store(text, name)
        assert tomllib.loads(removed).get("stores", {}) == {one: url for one, url in stores.items() if one != name}
        assert lost(text, removed) == 1


def lost(before: str, after: str) -> int:
    """Return how many lines of a text are not in another; empty ones at its end do not count."""
    return (Counter(before.rstrip("\n").splitlines()) - Counter([*after.splitlines(), ""])).total()
