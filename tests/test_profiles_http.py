from __future__ import annotations

from typing import Any

import pytest

from keyctl.errors import ProfileInvalid
from keyctl.profiles.http import rules_of
from tests.samples import profile


def routes(*routes: dict[str, Any]) -> Any:
    return rules_of(profile(http={"routes": list(routes)})).routes


@pytest.mark.parametrize("scope", ["read|write", "read", "view:{id}", "read|view:{id}"])
def test_a_route_may_leave_a_choice_of_scopes(scope: str):
    (route,) = routes({"match": "GET /v1/{id}", "scopes": [scope]})

    assert route.scopes == (scope,)


@pytest.mark.parametrize(
    ("scope", "fault"),
    [
        ("read|wirte", '"wirte" is not a scope'),
        ("read|", '"" is not a scope'),
        ("read|view:{name}", '"view:{name}" names a parameter that the path does not have'),
    ],
)
def test_every_scope_of_a_choice_must_be_known(scope: str, fault: str):
    with pytest.raises(ProfileInvalid) as error:
        routes({"match": "GET /v1/{id}", "scopes": [scope]})

    assert error.value.faults == (
        f"http.routes[0].scopes: {fault}" + (" of this profile" if "is not" in fault else ""),
    )
