"""Requests through a verifier: what it remembers of their rules, and when it reads these again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from keyctl import Code, Decision, Verifier
from keyctl.errors import ProfileInvalid
from keyctl.testing import MemoryStore
from tests.stores import Opened, new_store

Ask = Callable[[Verifier, str, str], Decision]


def in_the_loop(verifier: Verifier, path: str, key: str) -> Decision:
    return asyncio.run(verifier.averify_request("GET", path, {"authorization": f"Bearer {key}"}))


def plainly(verifier: Verifier, path: str, key: str) -> Decision:
    return verifier.verify_request("GET", path, {"authorization": f"Bearer {key}"})


def set_routes(opened: Opened, routes: list[dict[str, Any]]) -> None:
    """Write the profile as another version may have: what this one does not accept, too."""
    document = {**opened.store.profile.document, "http": {"routes": routes}}
    with contextlib.closing(sqlite3.connect(opened.path)) as connection, connection:
        connection.execute("update settings set value = ? where name = 'profile'", (json.dumps(document),))


@pytest.mark.parametrize("ask", [plainly, in_the_loop])
def test_routes_that_were_changed_are_followed_for_paths_asked_for_before(tmp_path: Path, ask: Ask):
    opened = new_store(tmp_path / "keys.db")
    key = opened.mint(scopes=("read",))[0].text
    ticks = iter(range(0, 10_000, 10))
    with (
        contextlib.closing(opened.store),
        Verifier.from_store(opened.path, clock=opened.clock, timer=lambda: next(ticks)) as verifier,
    ):
        assert ask(verifier, "/v1/calls", key)
        set_routes(opened, [{"match": "GET /v1/calls", "scopes": ["write"]}])
        assert ask(verifier, "/v1/calls", key).code is Code.FORBIDDEN_SCOPE
        set_routes(opened, [{"match": "GET /v1/calls", "public": True}])
        assert ask(verifier, "/v1/calls", "").code is Code.VALID


@pytest.mark.parametrize("ask", [plainly, in_the_loop])
def test_rules_with_faults_are_read_again_once_they_are_fixed(tmp_path: Path, ask: Ask):
    opened = new_store(tmp_path / "keys.db")
    key = opened.mint()[0].text
    ticks = iter(range(0, 10_000, 10))
    with (
        contextlib.closing(opened.store),
        Verifier.from_store(opened.path, clock=opened.clock, timer=lambda: next(ticks)) as verifier,
    ):
        set_routes(opened, [{"match": "nonsense"}])
        for _ in range(2):
            with pytest.raises(ProfileInvalid):
                ask(verifier, "/v1/calls", key)

        set_routes(opened, [{"match": "* /**"}])

        assert ask(verifier, "/v1/calls", key)


@pytest.mark.parametrize("length", [1_001, 60_000])
def test_no_store_is_asked_about_an_origin_that_no_page_has(length: int):
    with MemoryStore(Path(__file__).parent / "frameworks" / "shop.toml") as store:
        headers = {"origin": "x" * length, "access-control-request-method": "GET"}

        decision = store.verifier.verify_request("OPTIONS", "/v1/orders/7", headers)

    assert (decision.code, decision.preflight) == (Code.FORBIDDEN_ORIGIN, True)
