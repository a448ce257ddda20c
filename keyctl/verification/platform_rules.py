"""The profile in force, with its rules for HTTP, which are read when they are first needed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from keyctl import policy
from keyctl.decision import Decision, Request
from keyctl.profiles.model import Profile

if TYPE_CHECKING:
    from keyctl.answer import Answer
    from keyctl.profiles.http import HttpRules

_MOST_REQUIREMENTS = 1000  # an application may compute the scopes that it requires


class PlatformRules:
    """A profile, and what follows from it for requests. `rules` raises ProfileInvalid if they have faults."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self._known: set[tuple[tuple[str, ...], str | None]] = set()

    @cached_property
    def rules(self) -> HttpRules:
        from keyctl.profiles.http import rules_of  # noqa: PLC0415 - a key at the shell comes without a request

        return rules_of(self.profile)

    def require_known(self, asked: Request) -> None:
        """Raise UsageError for a scope or an environment that the profile does not have: no key could ever meet it."""
        requirement = asked.scopes, asked.environment
        if requirement in self._known:
            return
        policy.known_scopes(self.profile, [one for scope in asked.scopes for one in scope.split("|")])
        if asked.environment is not None:
            policy.environment(self.profile, asked.environment)
        if len(self._known) < _MOST_REQUIREMENTS:
            self._known.add(requirement)

    def response(self, decision: Decision) -> Answer:
        """Return the response to a request of which this was decided."""
        from keyctl.http.responses import answer_decision  # noqa: PLC0415 - as above

        return answer_decision(self.profile, self.rules, decision)

    def identity(self, decision: Decision) -> Mapping[str, str]:
        """Return the headers to add to an allowed request."""
        from keyctl.http.responses import identity_headers  # noqa: PLC0415 - as above

        return identity_headers(self.profile, self.rules, decision)
