"""What every database checks and reads when a store is opened: the schema's revision and the store's rules."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

from keyctl.errors import ConfigurationInvalid, StoreUnavailable
from keyctl.hashing import Scheme, parameters_from_dict
from keyctl.keyformat import KeyFormat, known_formats
from keyctl.profiles.model import Profile, read_profile
from keyctl.store.setting_names import SettingName

# The schema revision that this version reads and writes. A test compares it with the newest migration.
SCHEMA_REVISION = "0002"


class Rules(NamedTuple):
    """The rules in a store's settings: the profile, its formats and earlier ones, and how keys are and were hashed."""

    profile: Profile
    formats: tuple[KeyFormat, ...]
    hash_parameters: Scheme
    foreign_hashes: tuple[str, ...]


def read_rules(store: str, settings: Mapping[str, str]) -> Rules:
    try:
        profile = read_profile(json.loads(settings[SettingName.PROFILE]), source=f"the profile in {store}")
        formats = known_formats(profile.formats, settings.get(SettingName.EARLIER_FORMATS))
        parameters = parameters_from_dict(json.loads(settings[SettingName.HASH]))
        return Rules(profile, formats, parameters, read_foreign_hashes(settings))
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        raise damaged(store, "its profile or hash parameters cannot be read") from None


def read_foreign_hashes(settings: Mapping[str, str]) -> tuple[str, ...]:
    """Return the schemes of imported hashes. Raises TypeError or ValueError."""
    found = json.loads(settings.get(SettingName.FOREIGN_HASHES, "[]"))
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise TypeError
    return tuple(found)


def check_revision(store: str, revision: str | None) -> None:
    """Raise ConfigurationInvalid unless a store's schema is the one that this version supports."""
    if revision is None:
        raise no_schema(store)
    if revision > SCHEMA_REVISION:
        raise ConfigurationInvalid(
            f"the store at {store} has schema {revision}, and this keyctl supports schemas up to {SCHEMA_REVISION}",
            hint="a newer keyctl wrote it: upgrade keyctl",
        )
    if revision < SCHEMA_REVISION:
        raise ConfigurationInvalid(
            f"the store at {store} has schema {revision}, and this keyctl needs {SCHEMA_REVISION}",
            hint=f"keyctl db upgrade --store {store}",
        )


def no_schema(store: str) -> ConfigurationInvalid:
    return ConfigurationInvalid(
        f"the database {store} holds no keyctl store", hint=f"create it: keyctl init --store {store}"
    )


def damaged(store: str, what: str) -> StoreUnavailable:
    return StoreUnavailable(f"the store {store} is damaged: {what}", hint=f"keyctl audit verify --store {store}")
