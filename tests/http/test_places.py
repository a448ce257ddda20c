"""A place that is remembered, or found with one expression, is what trying each route in turn finds."""

from __future__ import annotations

import random
import string
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl.http.places import Place, Places, holds_key
from keyctl.http.request import PathRefused, check_path
from keyctl.profiles.builtin import preset_names
from keyctl.profiles.files import load_profile
from keyctl.profiles.http import HttpRules, Route, rules_of
from keyctl.profiles.model import Profile
from tests.fuzzing import examples
from tests.samples import profile

SEGMENTS = st.sampled_from(["a", "b", "Ab", "k.s", "{x}", "{y}", "{z}"])
METHODS = st.sampled_from(["GET", "HEAD", "POST", "*"])
# Letters that some servers take for others, what expressions treat as special, and the ends of lines.
PATHS = st.lists(st.sampled_from(["a", "b", "A", "ab", "AB", "k.s", "kxs", "K.S", "x y", "a\n", "", "%41", "*"]))


@st.composite
def routes(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Routes that a profile may have, all of them different."""
    found: dict[Any, dict[str, Any]] = {}
    for _ in range(draw(st.integers(0, 8))):
        segments = draw(st.lists(SEGMENTS, max_size=3, unique=True))
        last = draw(st.sampled_from([[], ["**"], [""]]))
        names = [one for one in segments if one.startswith("{")]
        scopes = draw(
            st.lists(st.sampled_from(["s", "t", *(f"view:{name}" for name in names)]), max_size=2, unique=True)
        )
        public = not scopes and draw(st.booleans())
        route = Route(draw(METHODS), (*segments, *last) or ("",), tuple(scopes), public)
        match = f"{route.method} /{'/'.join(route.segments)}"
        found[route.shape] = {"match": match, "scopes": scopes, **({"public": True} if public else {})}
    return list(found.values())


def rules_with(entries: list[dict[str, Any]]) -> HttpRules:
    return rules_of(profile(scopes={"list": {"s": {}, "t": {}}}, http={"routes": entries}))


def place_by_trying(rules: HttpRules, shape: Profile, method: str, path: str) -> Place:
    """Describe what a place is: the first route that matches, strictly and as a lenient server would."""
    try:
        check_path(path)
    except PathRefused as error:
        return Place(refused=str(error))

    def first(method: str, segments: Sequence[str], *, ignore_case: bool) -> tuple[Route | None, tuple[str, ...]]:
        for route in rules.routes:
            parameters = route.match(method, tuple(segments), ignore_case=ignore_case)
            if parameters is not None:
                filled = list(route.scopes)
                for name, value in parameters.items():
                    filled = [scope.replace(f"{{{name}}}", value) for scope in filled]
                return route, tuple(filled)
        return None, ()

    segments = path[1:].split("/")
    route, scopes = first(method, segments, ignore_case=False)
    shorter = segments[:-1] if len(segments) > 1 and segments[-1] == "" else segments
    lenient, lenient_scopes = first(method.upper(), shorter, ignore_case=True)
    public, lenient_public = (bool(one and one.public) for one in (route, lenient))
    ambiguous = (public, scopes) != (lenient_public, lenient_scopes)
    return Place(None, route, scopes, ambiguous, holds_key([shape.key_format], path))


@examples(150, 10_000)
@given(
    entries=routes(),
    asked=st.lists(st.tuples(st.sampled_from(["GET", "get", "HEAD", "POST", "PUT", "*", ""]), PATHS), max_size=8),
)
def test_a_place_is_what_trying_each_route_in_turn_finds(
    entries: list[dict[str, Any]], asked: list[tuple[str, list[str]]]
):
    rules, shape = rules_with(entries), profile()
    places = Places(rules, [shape.key_format])

    for method, words in asked * 2:  # found, and remembered
        path = "/" + "/".join(words)
        assert places.find(method, path) == place_by_trying(rules, shape, method, path)


@pytest.mark.parametrize("name", preset_names())
def test_so_it_is_for_the_built_in_profiles(name: str):
    shape = load_profile(name)
    rules = rules_of(shape)
    places = Places(rules, [shape.key_format])
    chosen = random.Random(1)
    words = [*{one for route in rules.routes for one in route.segments if not one.startswith(("{", "*"))}, "x", "X", ""]

    for _ in range(300):
        method = chosen.choice(["GET", "HEAD", "POST", "post", "OPTIONS"])
        path = "/" + "/".join(chosen.choice(words) for _ in range(chosen.randint(1, 5)))
        assert places.find(method, path) == place_by_trying(rules, shape, method, path)


# ── what is remembered ───────────────────────────────────────────────────────────────────────────────────────────────


def remembered(places: Places) -> dict[tuple[str, str], Place]:
    return places._known


def test_paths_that_callers_make_up_do_not_fill_the_memory():
    places = Places(rules_with([]), [profile().key_format])

    for number in range(5_000):
        places.find("GET", f"/v1/calls/{number}")
        assert len(remembered(places)) <= 1024
    for length in (300, 100_000):
        place = places.find("GET", "/" + "x" * length)
        assert place == places.find("X" * length, "/") == Place()

    assert all(len(method) + len(path) <= 256 for method, path in remembered(places))


@pytest.mark.parametrize("encoded", [False, True])
def test_a_path_with_a_key_is_found_each_time_and_never_remembered(encoded: bool):
    key = "kc_live_0123456789ab_" + "0" * 38
    path = f"/v1/{key.replace('_', '%5F') if encoded else key}"
    places = Places(rules_with([]), [profile().key_format])

    found = [places.find("GET", path) for _ in range(2)]

    assert all(place.holds_key or place.refused for place in found)
    assert remembered(places) == {}


def test_a_path_that_is_refused_is_not_remembered():
    places = Places(rules_with([]), [profile().key_format])

    assert places.find("GET", "/a/../b") == places.find("GET", "/a/../b") == Place("the path has dot segments")
    assert remembered(places) == {}


def test_parameters_of_many_routes_belong_to_their_own():
    letters = string.ascii_lowercase
    entries = [{"match": f"* /{one}/{{x}}/{two}/{{y}}", "scopes": ["{y}:{x}"]} for one in letters for two in letters]
    places = Places(rules_with(entries), [profile().key_format])

    for one, two in ("az", "ma", "zz"):
        place = places.find("GET", f"/{one}/left/{two}/right")
        assert place.scopes == ("right:left",)
        assert place.route
        assert place.route.segments == (one, "{x}", two, "{y}")
