"""An application without a framework: it answers with what it sees of a request."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from tests.frameworks.asgi_apps import OWN, seen


def shown(environ: dict[str, Any]) -> dict[str, Any]:
    """Return what the application sees: the client's headers by the names that WSGI gives them."""
    headers = [
        (variable.removeprefix("HTTP_").replace("_", "-").lower(), value)
        for variable, value in environ.items()
        if variable.startswith("HTTP_")
    ]
    return seen(headers, environ["keyctl.decision"])


def plain(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "application/json"), *OWN.items()])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [json.dumps(shown(environ)).encode()]
