"""An application as a user would write it, for the tests of gunicorn: it answers with the prefix of the caller's key.

Its keyring is in the environment: STORE, or BUNDLE and TRUST.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

from keyctl.errors import StoreUnavailable
from keyctl.verifier import Verifier

if store := os.environ.get("STORE"):
    verifier = Verifier.from_store(store)
else:
    verifier = Verifier.from_bundle(os.environ["BUNDLE"], [os.environ["TRUST"]])


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    try:
        decision = verifier.verify(environ.get("HTTP_X_API_KEY", ""))
    except StoreUnavailable as error:
        status, answer = 503, str(error)
    else:
        status = decision.code.http_status
        answer = decision.record.key.prefix if decision.record else str(decision.code)
    start_response(f"{status} -", [("content-type", "text/plain"), ("x-worker", str(os.getpid()))])
    return [answer.encode()]
