"""What the page on frameworks shows works, and is no longer than it says."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest

from keyctl import Verifier
from tests.documents.pages import ROOT, fenced, topic
from tests.stores import new_store

BLOCKS = fenced(topic("frameworks"), "python")
STARLETTE, FASTAPI, FLASK = BLOCKS


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Make the store of the page; return a key that may read, and one that may not, by their prefixes."""
    opened = new_store(tmp_path / "keys.db")
    monkeypatch.chdir(tmp_path)
    minted = [opened.mint(scopes=scopes)[0] for scopes in (("read",), ())]
    yield {one.record.key.prefix: one.text for one in minted}
    opened.store.close()


def ask(app: Any, key: str | None) -> tuple[int, str]:
    """Return what an ASGI application answers to a GET of /orders over HTTPS."""
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    headers = [(b"authorization", f"Bearer {key}".encode())] if key else []
    scope = {
        "type": "http",
        "method": "GET",
        "scheme": "https",
        "path": "/orders",
        "query_string": b"",
        "headers": headers,
    }
    asyncio.run(app(scope, receive, send))
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:]).decode()


def ask_wsgi(app: Any, key: str | None) -> tuple[int, str]:
    from werkzeug.test import EnvironBuilder, run_wsgi_app

    headers = {"Authorization": f"Bearer {key}"} if key else {}
    environ = EnvironBuilder("/orders", base_url="https://shop.example", headers=headers).get_environ()
    body, status, _ = run_wsgi_app(app, environ)
    return int(status[:3]), b"".join(body).decode()


@pytest.fixture(autouse=True)
def _closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close the verifiers of the examples, which end with their process and not before."""
    made: list[Verifier] = []
    from_store = Verifier.from_store

    def tracked(*args: Any, **options: Any) -> Verifier:
        made.append(from_store(*args, **options))
        return made[-1]

    monkeypatch.setattr(Verifier, "from_store", tracked)
    yield
    for verifier in made:
        verifier.close()


def test_three_lines_protect_an_application():
    for block, own in zip(BLOCKS, (("keyctl",), ("keyctl", "protect("), ("keyctl",)), strict=True):
        mentioned = [line for line in block.splitlines() if any(word in line for word in (*own, "KeyAuth"))]

        outside_handlers = [line for line in mentioned if not line.startswith((" ", "def "))]
        assert len(outside_handlers) == 3, outside_handlers


@pytest.mark.parametrize(
    ("block", "served", "asked"), [(STARLETTE, "protected", ask), (FLASK, "protected", ask_wsgi)], ids=["asgi", "wsgi"]
)
def test_the_example_is_protected_and_names_the_caller(keys: dict[str, str], block: str, served: str, asked: Any):
    app = run(block)[served]

    for prefix, key in keys.items():
        assert asked(app, key) == (200, f"orders of {prefix}")
    status, body = asked(app, None)
    assert (status, json.loads(body)["error"]["code"]) == (401, "MISSING_API_KEY")


def test_the_example_for_fastapi_requires_a_scope(keys: dict[str, str]):
    app = run(FASTAPI)["app"]
    (prefix, reader), (_, other) = keys.items()

    assert ask(app, reader) == (200, json.dumps({"prefix": prefix}, separators=(",", ":")))
    assert ask(app, other)[0] == 403
    assert ask(app, None)[0] == 401
    assert app.openapi()["paths"]["/orders"]["get"]["security"] == [{"authorization-bearer": ["read"]}]


def test_the_examples_have_no_type_errors(tmp_path: Path):
    for number, block in enumerate(BLOCKS):
        (tmp_path / f"example_{number}.py").write_text(block)

    mypy = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache")]
    done = subprocess.run(
        [*mypy, *map(str, tmp_path.glob("*.py"))], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout


def run(block: str) -> dict[str, Any]:
    """Run a block; return its names."""
    names: dict[str, Any] = {"__name__": "shop"}
    exec(block, names)
    return names
