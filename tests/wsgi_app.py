"""An application as a user would write it, for the tests of gunicorn: it answers with the prefix of the caller's key.

Its keyring is in the environment: STORE, or BUNDLE and TRUST. With RECORD, it records use in that store or file.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

from keyctl.errors import StoreUnavailable
from keyctl.recorder import Recorder
from keyctl.verifier import Verifier

recorder = None
if record := os.environ.get("RECORD"):
    make = Recorder.to_file if record.endswith(".jsonl") else Recorder.to_store
    recorder = make(record, name="api", every=3600)
if store := os.environ.get("STORE"):
    verifier = Verifier.from_store(store, recorder=recorder)
else:
    verifier = Verifier.from_bundle(os.environ["BUNDLE"], [os.environ["TRUST"]], recorder=recorder)


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
