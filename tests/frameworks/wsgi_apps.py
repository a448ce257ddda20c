"""One application for each WSGI framework: it answers with what it sees of a request. The store is in STORE."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

from keyctl import Verifier
from keyctl.wsgi import KeyAuth
from tests.frameworks.asgi_apps import OWN
from tests.frameworks.wsgi_plain import plain, shown

verifier = Verifier.from_store(os.environ["STORE"])


def make_flask() -> Callable[..., Iterable[bytes]]:
    from flask import Flask, Response, jsonify, request

    app = Flask(__name__)

    @app.route("/v1/health", methods=["GET", "POST", "OPTIONS"])
    @app.route("/v1/orders/<id>", methods=["GET", "POST"])
    def show(id: str = "") -> Response:  # noqa: A002 - the framework passes it by this name
        response = jsonify(shown(request.environ))
        response.headers.update(OWN)
        return response

    return KeyAuth(app, verifier)


def make_django() -> Callable[..., Iterable[bytes]]:
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application
    from django.http import HttpRequest, JsonResponse
    from django.urls import path

    def show(request: HttpRequest, id: str = "") -> JsonResponse:  # noqa: A002
        return JsonResponse(shown(request.META), headers=OWN)

    class Urls:
        urlpatterns = (path("v1/health", show), path("v1/orders/<id>", show))

    settings.configure(ROOT_URLCONF=Urls, ALLOWED_HOSTS=["*"])
    return KeyAuth(get_wsgi_application(), verifier)


def dispatched(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Serve all three, so that one server does: the port is the same, and the host's name says which one."""
    return APPLICATIONS[environ["HTTP_HOST"].partition(".")[0]](environ, start_response)


APPLICATIONS = {"flask": make_flask(), "django": make_django(), "plain": KeyAuth(plain, verifier)}
