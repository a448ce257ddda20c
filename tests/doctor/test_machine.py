"""The program that is first in PATH, and the clock."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from keyctl.doctor import machine
from keyctl.store import examination
from keyctl.store.database import Database
from tests.stores import NOW, new_store

ELF = b"\x7fELF keyctl"
SCRIPT = b"#!/usr/bin/python3\nfrom keyctl.__main__ import run\n"
OTHER = b"#!/bin/sh\nexec something-else\n"


def install(folder: Path, name: str, content: bytes) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    (folder / name).chmod(0o755)
    return folder / name


@pytest.mark.parametrize("content", [ELF, OTHER])
def test_another_keyctl_that_is_first_in_path_is_named_with_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
):
    other = install(tmp_path / "usr", "keyctl", content)
    install(tmp_path / "own", "keyctl", SCRIPT)
    own = install(tmp_path / "own", "apikeyctl", SCRIPT)
    monkeypatch.setenv("PATH", f"{other.parent}:{own.parent}")

    [finding] = machine.program()

    assert finding.value == f"{other}, before {own}"
    assert finding.fix == "apikeyctl --help"


def test_without_a_second_name_the_module_is_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    other = install(tmp_path / "usr", "keyctl", ELF)
    monkeypatch.setenv("PATH", str(other.parent))
    monkeypatch.setattr("sys.executable", "/opt/my venv/bin/python")

    [finding] = machine.program()

    assert finding.fix == "'/opt/my venv/bin/python' -m keyctl --help"


def test_a_pipe_of_that_name_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    os.mkfifo(tmp_path / "keyctl", 0o755)
    monkeypatch.setattr("shutil.which", lambda _: str(tmp_path / "keyctl"))

    assert len(list(machine.program())) == 1


@pytest.mark.parametrize("first", ["own", "none"])
def test_this_keyctl_or_none_in_path_is_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str):
    install(tmp_path / "usr", "keyctl", ELF)
    install(tmp_path / "own", "keyctl", SCRIPT)
    monkeypatch.setenv("PATH", f"{tmp_path}/own:{tmp_path}/usr" if first == "own" else str(tmp_path))

    assert list(machine.program()) == []


# ── the clock ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Database]:
    """A store whose newest event is of NOW."""
    opened = new_store(tmp_path / "store.db").store
    yield opened
    opened.close()


def clock_says(monkeypatch: pytest.MonkeyPatch, now: datetime) -> None:
    monkeypatch.setattr(machine, "utc_now", lambda: now)


def test_a_clock_of_a_year_before_this_version_is_wrong(monkeypatch: pytest.MonkeyPatch):
    clock_says(monkeypatch, datetime(1970, 1, 1, 0, 4, tzinfo=UTC))

    [finding] = machine.clock_of_machine()

    assert (finding.what, finding.value) == ("the clock is behind: this version is newer", "1970-01-01T00:04:00Z")


def test_the_clock_of_these_tests_is_right():
    assert list(machine.clock_of_machine()) == []


@pytest.mark.parametrize(("behind", "wrong"), [(0, False), (5, False), (6, True)])
def test_a_clock_behind_the_newest_event_is_wrong(
    store: Database, monkeypatch: pytest.MonkeyPatch, behind: int, wrong: bool
):
    clock_says(monkeypatch, NOW - timedelta(seconds=behind))

    findings = list(machine.clock_of_store(store))

    assert [one.what for one in findings] == [
        "the clock is behind the newest event, or was ahead when that was written"
    ] * wrong


@pytest.mark.parametrize(("apart", "wrong"), [(-6, True), (-5, False), (5, False), (6, True)])
def test_a_clock_that_differs_from_the_servers_is_wrong(
    store: Database, monkeypatch: pytest.MonkeyPatch, apart: int, wrong: bool
):
    clock_says(monkeypatch, NOW)
    monkeypatch.setattr(examination, "server_time", lambda _: NOW + timedelta(seconds=apart))

    findings = list(machine.clock_of_store(store))

    assert [one.what for one in findings] == ["the clocks of this machine and of the database server differ"] * wrong
