"""The tables of `keyctl help platforms`, line by line: each command is run, and answers what is written after it."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.cli.helpers import CHEAP
from tests.documents.pages import ROOT, table, topic
from tests.platforms.conformance import head
from tests.runner import BASE_ENV, Cli, Result

REDIS = "redis://127.0.0.1:6379"  # where the page has a server
PLATFORMS = ["Vantax", "VantaPrism", "Vexa", "VoxPria", "Ventryx"]
STEP = re.compile(r"`([^`]+)`(?:: ([A-Z_]+|[0-9]{3}|refused))?")
CREATES = re.compile(r"^`(keyctl init --profile (\S+) --store (\S+))`$", re.MULTILINE)


class Step(NamedTuple):
    command: str
    outcome: str | None


class Row(NamedTuple):
    feature: str
    request: list[str]
    steps: list[Step]


def rows(platform: str) -> list[Row]:
    return [Row(cells[0], re.findall(r"`([^`]+)`", cells[1]), steps(cells[2])) for cells in table(platform)]


def steps(cell: str) -> list[Step]:
    """Read the cell, and nothing else may be in it: a typing mistake must not be a command that is left out."""
    assert STEP.sub("", cell).replace(", ", "") == "", cell
    return [Step(command, outcome or None) for command, outcome in STEP.findall(cell)]


class Visitor:
    """Types what the page says, in a folder with the Makefile, with one platform's store."""

    def __init__(self, cli: Cli, create: str, redis: Callable[[], str]) -> None:
        self.cli = cli
        self.redis = redis
        self.key = self.prefix = ""
        store = create.rsplit(maxsplit=1)[-1]
        cli.env["KEYCTL_STORE"] = store
        cli(*shlex.split(create)[1:], *CHEAP, check=0)

    def run(self, row: Row, step: Step) -> Result:
        if row.request:
            request, *fields = row.request
            method, path = request.split()
            pairs = [(name, value.replace("KEY", self.key)) for name, value in (one.split(": ") for one in fields)]
            (self.cli.cwd / "FILE").write_text(head(method, path, pairs))
        words = [self.prefix if word == "PREFIX" else word for word in shlex.split(step.command)]
        words = [self.redis() if word == REDIS else word for word in words]
        if words[0] == "make":
            return self._make(words[1:])
        result = self.cli(*words[1:], stdin=self.key)
        if words[1] == "mint" and result.code == 0:
            [self.key] = re.findall(r"\bv\w+_[\w.]{40,}", result.out)
            self.prefix = self.cli("inspect", "--json", stdin=self.key, check=0).json["prefix"]
        return result

    def _make(self, words: list[str]) -> Result:
        env = BASE_ENV | {"HOME": str(self.cli.home)}
        done = subprocess.run(["make", *words], cwd=self.cli.cwd, env=env, capture_output=True, check=False)
        return Result(("make", *words), done.returncode, done.stdout, done.stderr)


def answer(result: Result) -> str:
    """Return what a command answered: a code, an HTTP status, `refused`, or `done`."""
    if found := re.match(r"HTTP/1\.1 (\d{3}) ", result.out):
        return found[1]
    if found := re.match(r"([A-Z][A-Z_]+)(?: |$)", result.out):
        return found[1]
    if result.code in {2, 4, 7} and result.out == "" and result.err.startswith("keyctl: error: "):
        return "refused"
    assert result.code == 0, result
    return "done"


# What a row claims beyond the answers: what its commands printed, the last of them in full.
CLAIMS: dict[str, Callable[[list[Result]], object]] = {
    "`vx_live_…`; the one scope": lambda done: re.fullmatch(r"vx_live_[0-9a-f]{52}\n", done[0].out),
    "a missing or invalid key": lambda done: '"message": "Invalid or missing API key"' in done[0].out,
    "a sub-account's key on an agency's": lambda done: "does not have access to this resource" in done[0].out,
    "the account is that of the key": lambda done: (
        done[0].json["owner"]["handle"] == "shop"
        and done[0].json["identity"]["headers"]["X-Account-Id"] == done[0].json["owner"]["id"]
    ),
    "the keys of an agency and of all its": lambda done: (
        {line.split("\t")[2] for line in done[0].out.splitlines()} == {"north", "shop"}
    ),
    "`vp_<env>_<8 hex>.<40 hex>`": lambda done: re.fullmatch(r"vp_test_[0-9a-f]{8}\.[0-9a-f]{40}\n", done[0].out),
    "every other route needs a key": lambda done: '"code": "INVALID_API_KEY"' in done[0].out,
    "and a scope": lambda done: "does not have scope: 'search:domain'" in done[0].out,
    "KEY_LOCKED and CUSTOMER_INACTIVE": lambda done: (
        '"code": "KEY_LOCKED"' in done[1].out and '"code": "CUSTOMER_INACTIVE"' in done[4].out
    ),
    "rotation without a grace period": lambda done: '"code": "KEY_REVOKED"' in done[2].out,
    "the allowed origins of an account": lambda done: "Access-Control-Allow-Origin: https://app.example" in done[2].out,
    "users are created or found": lambda done: (
        [json.loads(one.out.partition("\r\n\r\n")[2]) for one in done]
        == [{"id": 1, "email": "jane@acme.com", "name": "Jane", "max_concurrent_bots": 2}] * 2
    ),
    "a key has several scopes": lambda done: done[0].out.startswith("vxa_bot_"),
    "the responses to creation and deletion": lambda done: (
        json.loads(done[0].out.partition("\r\n\r\n")[2])["id"] == 2
        and [line.split("\t")[-1] for line in done[1].out.splitlines()] == ["2", "1"]
    ),
    "401 with its `detail`": lambda done: '{"detail": "Missing API key"}' in done[0].out,
    "403 with its `detail`": lambda done: '{"detail": "Token scope not authorized"}' in done[0].out,
    "keys when the platform is brought up": lambda done: (
        all(re.fullmatch(r"vxa_bot_\w+\n", one.out) for one in done) and "http://localhost:18056" in done[0].err
    ),
    "plans with requests an hour": lambda done: (
        [(one["requests"], one["seconds"]) for one in done[1].json["limits"]] == [(5000, 3600), (500, 60)]
    ),
    "an enterprise needs limits": lambda done: (
        (done[2].json["limits"][0]["requests"], done[2].json["limits"][0]["seconds"]) == (2, 3600)
    ),
    "`X-RateLimit-Limit`": lambda done: "X-RateLimit-Limit: 2\r\nX-RateLimit-Remaining: 1\r\n" in done[0].out,
    "what is used up and left": lambda done: done[0].out.startswith("2\t3600\t2\t0\t"),
    "`vtx_live_…`, `vtx_test_…`": lambda done: done[0].out.startswith("vtx_test_"),
    "the response to creation": lambda done: (
        json.loads(done[0].out.partition("\r\n\r\n")[2])["data"]["scopes"] == ["workflows:read", "events:write"]
    ),
    "rotation in four steps": lambda done: "last used" in done[2].out and "less than 24h ago" in done[4].err,
}


@pytest.mark.parametrize("platform", PLATFORMS)
def test_every_command_of_a_platforms_table_answers_as_it_says(platform: str, cli: Cli, request: pytest.FixtureRequest):
    section = topic("platforms").read_text().partition(f"## {platform}\n")[2]
    create = CREATES.search(section)
    assert create
    assert create[2] == platform.lower()
    stand_in_for_the_clone(cli.cwd)
    visitor = Visitor(cli, create[1], lambda: request.getfixturevalue("redis_server").url)

    for row in rows(platform):
        results = []
        for step in row.steps:
            results.append(visitor.run(row, step))
            expected = {step.outcome} if step.outcome else {"done", "VALID"}
            assert answer(results[-1]) in expected, f"{row.feature}\n{results[-1]}"
        claims = [claim for begin, claim in CLAIMS.items() if row.feature.startswith(begin)]
        assert all(claim(results) for claim in claims), f"{row.feature}\n{results}"

    cli("audit", "verify", check=0)


def test_every_claim_is_of_a_row_of_the_page():
    features = [row.feature for platform in PLATFORMS for row in rows(platform)]

    assert [begin for begin in CLAIMS if not any(one.startswith(begin) for one in features)] == []


def stand_in_for_the_clone(folder: Path) -> None:
    """Put the Makefile there, with an environment that is ready."""
    (folder / ".venv/bin").mkdir(parents=True)
    (folder / ".ci").mkdir()
    for name in ("Makefile", "pyproject.toml", ".ci/requirements.txt"):
        shutil.copy(ROOT / name, folder / name)
    python = folder / ".venv/bin/python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    (folder / ".venv/.ready").write_text(f"{folder.resolve()}\n{python.resolve()}\n")
