"""What is accepted of a line that is imported: its prefix, its hash, its scopes and its environment."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from keyctl import policy
from keyctl.errors import KeyctlError
from keyctl.exchange import hash_forms
from keyctl.exchange.hash_forms import Place
from keyctl.exchange.records import KeyLine
from keyctl.exposed_keys import length_exposed_in, length_of_secret_in
from keyctl.key_expressions import prefix_expression
from keyctl.keyformat import KeyFormat, MalformedKey
from keyctl.models import Key, Owner
from keyctl.profiles.key_formats import NAME
from keyctl.profiles.model import SCOPE_NAME
from keyctl.store.database import Store

if TYPE_CHECKING:
    from keyctl.admin.importing import ImportOptions

_LONGEST_REASON = 300


class Refusal(NamedTuple):
    """A line that is refused, and why."""

    line: int
    reason: str


@dataclass(frozen=True)
class _Shape:
    key_format: KeyFormat
    hash_of: str


class ImportRules:
    """Reads keys of lines, as the profile of a store permits them."""

    def __init__(self, store: Store, options: ImportOptions, now: datetime) -> None:
        self.now = now
        self._store = store
        self._options = options
        declared = {one.key_format: one.hash_of for one in store.profile.foreign}
        self._shapes = [_Shape(one, declared.get(one, "whole")) for one in store.formats]
        self._patterns = [(_prefix_pattern(shape.key_format), shape) for shape in self._shapes]

    def key(self, line: KeyLine) -> Key:
        """Return the key of a line, without what the store gives it. Raises ValueError, UsageError or Refused."""
        if line.text is not None and self._options.texts_refused is not None:
            raise ValueError(self._options.texts_refused)
        if line.text is not None:
            prefix, phc = self._prefix_of(line.text), ""
            if line.prefix not in (None, prefix):
                raise ValueError("prefix is not the one of key")
        else:
            prefix = line.prefix or ""
            phc = self._stored_hash(line, prefix)
        return Key.of(
            {
                "id": "",
                "prefix": prefix,
                "phc": phc,
                "owner_id": None,
                "created_by": "",
                "lineage": "",
                "delivered_at": None,
                "replaces": None,
                "replaced_by": None,
                **line.values,
                "scopes": tuple(line.values["scopes"]),
            }
        )

    def checked(self, key: Key, owner: Owner | None) -> Key:
        """Return a key as its owner may have it. What a revoked or expired key had may be unknown by now."""
        profile = self._store.profile
        environment = key.environment or profile.default_environment
        scopes = tuple(dict.fromkeys(key.scopes))
        if not NAME.fullmatch(environment) or not all(map(SCOPE_NAME.fullmatch, scopes)):
            raise ValueError("environment or scopes have a name that no profile can have")
        if key.revoked_at is None and not key.expired(self.now):
            policy.environment(profile, environment)
            if profile.owners.required and owner is None:
                raise ValueError("owner is missing, and the profile requires one")
            if profile.scopes.assign == "owner_kind":
                scopes = policy.scopes(profile, scopes or None, owner)
            else:
                policy.known_scopes(profile, scopes)
                if profile.scopes.required and not scopes:
                    raise ValueError("scopes are missing, and the profile requires one")
                if profile.scopes.exclusive and len(scopes) > 1:
                    raise ValueError("it has several scopes, and the profile allows one")
        return Key.of({**vars(key), "environment": environment, "scopes": scopes})

    def refusal(self, line: int, error: Exception) -> Refusal:
        """Return why a line is refused. What might be a key is never quoted: columns may be mixed up."""
        reason = error.message if isinstance(error, KeyctlError) else str(error)
        if any(
            length_exposed_in(shape.key_format, reason) or length_of_secret_in(shape.key_format, reason)
            for shape in self._shapes
        ):
            reason = "there may be a key where none belongs"
        return Refusal(line, reason[:_LONGEST_REASON])

    def _prefix_of(self, text: str) -> str:
        prefixes, reason = set(), "malformed"
        for shape in self._shapes:
            try:
                prefixes.add(shape.key_format.parse(text).prefix)
            except MalformedKey as error:
                reason = error.reason
        if len(prefixes) == 1:
            return prefixes.pop()
        if prefixes:
            raise ValueError("key could be of several formats, with different prefixes")
        raise ValueError(f"key is of no format of the profile ({len(text)} characters, {reason})")

    def _stored_hash(self, line: KeyLine, prefix: str) -> str:
        place, hash_of = self._place(prefix)
        text = line.hash or ""
        form = line.hash_format or self._options.hash_format or hash_forms.form_of(text)
        pepper = None
        if form in hash_forms.WITH_PEPPER:
            pepper, hash_of = self._options.hash_pepper, "secret"
            if pepper is None:
                raise ValueError(f"a hash of {form} needs its pepper: give --hash-pepper ID")
        elif self._options.hash_pepper is not None and form != hash_forms.KEYCTL:
            raise ValueError(f"a hash of the form {form} has no pepper: omit --hash-pepper")
        hash_of = line.hash_of or self._options.hash_of or hash_of
        return hash_forms.stored(
            text, form, of_secret=hash_of == "secret", pepper=pepper, place=place, own=self._store.hash_parameters
        )

    def _place(self, prefix: str) -> tuple[Place, str]:
        shapes = [shape for pattern, shape in self._patterns if pattern.fullmatch(prefix)]
        found = {(_place_in(shape.key_format, prefix), shape.hash_of) for shape in shapes}
        if not found:
            raise ValueError(
                "prefix is of no format of the profile: add a foreign format to it; see: keyctl help import"
            )
        if len({(place.secret_from, hash_of) for place, hash_of in found}) > 1:
            raise ValueError("prefix could be of several formats, whose secrets begin at different places")
        return max(found)


@lru_cache(maxsize=64)
def _prefix_pattern(key_format: KeyFormat) -> re.Pattern[str]:
    return re.compile(prefix_expression(key_format), re.ASCII)


def _place_in(key_format: KeyFormat, prefix: str) -> Place:
    after = key_format.parts[key_format.parts.index(("field", "prefix")) + 1 :]
    rest = sum(len(value) if kind == "text" else key_format.random_field(value).length for kind, value in after)
    return Place(len(prefix) + len(key_format.after_prefix()), len(prefix) + rest)
