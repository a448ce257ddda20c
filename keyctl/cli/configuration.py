"""The user's configuration file and environment. Nothing is read from the working directory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from keyctl.errors import ConfigurationInvalid, UsageError, suggestion
from keyctl.regular_files import open_regular
from keyctl.store.location import StoreLocation, refuse_password
from keyctl.text import brief
from keyctl.toml_text import LARGEST, parse_toml

DEFAULT_STORE = "default"  # the origin of the store if nothing names one
SETTINGS = ("store", "wait", "pepper_file", "limiter", "stores")


@dataclass(frozen=True)
class Config:
    """The contents of the configuration file; every setting is optional."""

    path: Path
    store: str | None = None
    wait: str | None = None
    pepper_file: str | None = None
    limiter: str | None = None
    stores: Mapping[str, str] = field(default_factory=dict)


def read_config(given: str | None) -> Config:
    """Read the requested file, or the user's own if it exists. Raises ConfigurationInvalid."""
    asked = given or os.environ.get("KEYCTL_CONFIG")
    try:
        path = Path(asked).expanduser() if asked else default_folder("config") / "config.toml"
    except RuntimeError:  # for a user without a home folder
        raise ConfigurationInvalid(f'there is no home folder for "{brief(asked or "")}"') from None
    try:
        with open_regular(path) as file:
            raw = file.read(LARGEST + 1)
    except FileNotFoundError:
        if asked:
            raise ConfigurationInvalid(f"the configuration file {path} does not exist") from None
        return Config(path)
    except OSError as error:
        raise ConfigurationInvalid(f"cannot read the configuration file {path}: {error.strerror}") from None
    try:
        data = parse_toml(raw)
    except ValueError as error:
        raise ConfigurationInvalid(f"{path} is not a valid configuration: {error}") from None
    for key, value in data.items():
        if key not in SETTINGS:
            raise ConfigurationInvalid(
                f'{path}: unknown key "{brief(key)}"',
                hint=suggestion(key, SETTINGS, otherwise=f"known: {', '.join(SETTINGS)}"),
            )
        texts = value.values() if isinstance(value, dict) else [value]
        if isinstance(value, dict) != (key == "stores") or not all(isinstance(text, str) for text in texts):
            wanted = "a table of strings" if key == "stores" else "a string"
            raise ConfigurationInvalid(f"{path}: {key} must be {wanted}")
    return Config(path, **data)


def default_folder(kind: str) -> Path:
    """Return the user's folder for `config` or `data`, where the platform keeps it."""
    from platformdirs import user_config_path, user_data_path

    return user_config_path("keyctl") if kind == "config" else user_data_path("keyctl")


def resolve_store(given: str, config: Config) -> StoreLocation:
    """Read `--store`: a URL, a file (with a `/`, or ending in `.db`), or a name from the configuration."""
    if "://" in given or "/" in given or given.endswith(".db"):
        return StoreLocation.parse(given)
    refuse_password(given)
    if given not in config.stores:
        hint = suggestion(given, config.stores, otherwise=f"for a file: --store ./{brief(given)}")
        raise UsageError(f'unknown store "{brief(given)}": it is not in {config.path}', hint=hint)
    return StoreLocation.parse(config.stores[given])


def locate_store(given: str | None, config: Config) -> tuple[StoreLocation, str]:
    """Return the store in use and the origin of the choice: option, environment, configuration file or default."""
    if given:
        return resolve_store(given, config), "--store"
    if named := os.environ.get("KEYCTL_STORE"):
        return resolve_store(named, config), "KEYCTL_STORE"
    if config.store:
        return resolve_store(config.store, config), str(config.path)
    return default_store(), DEFAULT_STORE


def name_in_use(given: str | None, config: Config) -> str | None:
    """Return the configured name of the store in use; None if it was chosen by a URL, a file, or not at all."""
    chosen = given or os.environ.get("KEYCTL_STORE") or config.store
    if not chosen or "/" in chosen or chosen.endswith(".db"):
        return None
    return chosen if chosen in config.stores else None


def default_store() -> StoreLocation:
    return StoreLocation.of_file(default_folder("data") / "keyctl.db")
