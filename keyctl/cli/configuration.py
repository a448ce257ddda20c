"""The user's configuration file and environment. Nothing is read from the working directory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from keyctl.errors import ConfigurationInvalid, UsageError, suggestion
from keyctl.store.location import StoreLocation
from keyctl.text import brief

DEFAULT_STORE = "default"  # where the choice of a store comes from if nothing names one
_KEYS = ("store", "wait", "stores")


@dataclass(frozen=True)
class Config:
    """What the configuration file says; all of it may be missing."""

    path: Path
    store: str | None = None
    wait: str | None = None
    stores: Mapping[str, str] = field(default_factory=dict)


def read_config(given: str | None) -> Config:
    """Read the file that was asked for, or the user's own if there is one. Raises ConfigurationInvalid."""
    asked = given or os.environ.get("KEYCTL_CONFIG")
    path = Path(asked).expanduser() if asked else default_folder("config") / "config.toml"
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        if asked:
            raise ConfigurationInvalid(f"there is no configuration file {path}") from None
        return Config(path)
    except OSError as error:
        raise ConfigurationInvalid(f"cannot read the configuration file {path}: {error.strerror}") from None
    import tomllib

    try:
        data = tomllib.loads(raw.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationInvalid(f"{path} is not TOML: {error}") from None
    for key, value in data.items():
        if key not in _KEYS:
            raise ConfigurationInvalid(
                f'{path}: unknown key "{brief(key)}"',
                hint=suggestion(key, _KEYS, otherwise=f"known: {', '.join(_KEYS)}"),
            )
        texts = value.values() if isinstance(value, dict) else [value]
        if isinstance(value, dict) != (key == "stores") or not all(isinstance(text, str) for text in texts):
            raise ConfigurationInvalid(f"{path}: {key} is not of the right type")
    return Config(path, **data)


def default_folder(kind: str) -> Path:
    """Return the user's folder for `config` or `data`, as the platform has it."""
    from platformdirs import user_config_path, user_data_path

    return user_config_path("keyctl") if kind == "config" else user_data_path("keyctl")


def resolve_store(given: str, config: Config) -> StoreLocation:
    """Read `--store`: a URL, a file (with a `/`, or ending in `.db`), or a name from the configuration."""
    if "://" in given or "/" in given or given.endswith(".db"):
        return StoreLocation.parse(given)
    if given not in config.stores:
        hint = suggestion(given, config.stores, otherwise=f"a file is given as ./{brief(given)}")
        raise UsageError(f'no store is called "{brief(given)}" in {config.path}', hint=hint)
    return StoreLocation.parse(config.stores[given])


def locate_store(given: str | None, config: Config) -> tuple[StoreLocation, str]:
    """Return the store in use, and where the choice comes from: the flag, the environment, the file, the default."""
    if given:
        return resolve_store(given, config), "--store"
    if named := os.environ.get("KEYCTL_STORE"):
        return resolve_store(named, config), "KEYCTL_STORE"
    if config.store:
        return resolve_store(config.store, config), str(config.path)
    return StoreLocation.of_file(default_folder("data") / "keyctl.db"), DEFAULT_STORE
