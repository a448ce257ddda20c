"""The profile in force, with its rules for HTTP, which are read when they are first needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from keyctl import policy
from keyctl.codes import Code
from keyctl.decision import Decision, Request, missing_scope, scopes_in_force
from keyctl.models import KeyRecord
from keyctl.profiles.model import Profile

if TYPE_CHECKING:
    from keyctl.answer import Answer
    from keyctl.http.application_headers import Withheld
    from keyctl.profiles.http import HttpRules

_MOST_IDENTITIES = 10_000  # as many as a verifier remembers keys
_MOST_REQUIREMENTS = 1000  # an application may compute the scopes that it requires


class PlatformRules:
    """A profile, and what follows from it for requests. `rules` raises ProfileInvalid if they have faults."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self._identities: dict[int, tuple[KeyRecord | None, Mapping[str, str]]] = {}
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

        if not decision:
            return {}
        # What is known of a key is looked up once in a while: until then it is the same object, with the same headers.
        known = self._identities.get(id(decision.record))
        if known is None or known[0] is not decision.record:
            known = decision.record, identity_headers(self.profile, self.rules, decision)
            if len(self._identities) >= _MOST_IDENTITIES:
                self._identities.clear()
            self._identities[id(decision.record)] = known
        return dict(known[1])

    def unavailable(self) -> Answer:
        """Return the response where it is unknown whether a key is valid."""
        from keyctl.http.responses import answer_unavailable  # noqa: PLC0415 - as above

        return answer_unavailable(self.rules)

    def withholds(self, name: bytes, value: bytes) -> bool:
        """Return whether an application must not see a header that a client sent."""
        return self._withheld.holds(name, value)

    def require(self, decision: Decision, scopes: tuple[str, ...]) -> Decision:
        """Return the decision if these scopes are in force too, else the refusal. Raises UsageError, as above."""
        self.require_known(Request(scopes))
        record = decision.record
        if not decision:
            return decision
        if record is None:
            return replace(decision, code=Code.MISSING_API_KEY, reason="none given")
        in_force = scopes_in_force(self.profile, record.key.scopes, record.owner)
        missing = missing_scope(scopes, in_force)
        if missing is None:
            return decision
        return replace(decision, code=Code.FORBIDDEN_SCOPE, reason=missing.reason, missing_scope=missing.scope)

    @cached_property
    def _withheld(self) -> Withheld:
        from keyctl.http.application_headers import withheld  # noqa: PLC0415 - as above

        return withheld(self.rules)


class RulesInForce:
    """Returns the rules of the profile in force, made again only if the profile was replaced."""

    def __init__(self, profile: Callable[[], Profile]) -> None:
        self._profile = profile
        self._made = PlatformRules(profile())

    def __call__(self) -> PlatformRules:
        profile = self._profile()
        if self._made.profile is not profile:
            self._made = PlatformRules(profile)
        return self._made
