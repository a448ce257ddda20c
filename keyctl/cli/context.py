"""What every command shares: the global options, and the store that they select.

Imports are inside the functions, so that a command imports SQLAlchemy only if it needs it: tests/test_imports.py pins
which commands do.
"""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from keyctl.cli.output import Output
from keyctl.errors import ConfigurationInvalid, KeyctlError, StoreUnavailable, UsageError
from keyctl.text import checked_text

if TYPE_CHECKING:
    from keyctl.admin.keys import KeyAdmin
    from keyctl.admin.minting import KeyMinter
    from keyctl.admin.owners import OwnerAdmin
    from keyctl.admin.profile import ProfileAdmin
    from keyctl.admin.rotation import KeyRotator
    from keyctl.admin.token import AdminToken
    from keyctl.cli.configuration import Config
    from keyctl.hashing import Scheme
    from keyctl.limiter import Limiter
    from keyctl.limits.address import LimiterAddress
    from keyctl.models import Actor
    from keyctl.pepper import Peppers
    from keyctl.reader_group import ReaderGroup
    from keyctl.store.database import Database, Store
    from keyctl.store.location import StoreLocation
    from keyctl.verification.keyring import Keyring

DEFAULT_WAIT = 5.0  # seconds
LONGEST_WAIT = 86400.0
DEFAULT_PROFILE = "standard"
_FAILURES_OF_RUN = {125, 126, 127}  # what env, nohup and shells use too: all others are those of the program
_DEVELOPMENT_TOKEN = "dev-admin-token"  # noqa: S105 - the value in example files


@dataclass
class Settings:
    """The global options, as given on either side of the command."""

    store: str | None = None
    config: str | None = None
    wait: str | None = None
    json: bool = False
    json_lines: bool = False
    quiet: bool = False
    no_color: bool = False
    no_pager: bool = False
    admin_token_file: str | None = None
    pepper_file: str | None = None


class CommandContext:
    """Opens what a command needs: once, at the first use."""

    def __init__(self) -> None:
        self.settings = Settings()
        self.runs_another = False  # whether the exit code is that of another program
        self._limiter: Limiter | None = None
        # Removed from the environment, so that no child process inherits it.
        self._admin_token_from_environment = os.environ.pop("KEYCTL_ADMIN_TOKEN", None)

    @cached_property
    def output(self) -> Output:
        return Output(
            json=self.settings.json,
            json_errors=self.settings.json or self.settings.json_lines,
            quiet=self.settings.quiet,
            color=not self.settings.no_color,
            pager=not self.settings.no_pager,
        )

    def fail(self, error: KeyctlError) -> int:
        """Print an error; return the exit code."""
        self.output.error(error)
        if self.runs_another and error.exit_code not in _FAILURES_OF_RUN:
            return min(_FAILURES_OF_RUN)
        return error.exit_code

    @cached_property
    def config(self) -> Config:
        from keyctl.cli.configuration import read_config

        return read_config(self.settings.config)

    @cached_property
    def _located(self) -> tuple[StoreLocation, str]:
        from keyctl.cli.configuration import locate_store

        return locate_store(self.settings.store, self.config)

    @property
    def location(self) -> StoreLocation:
        return self._located[0]

    @property
    def existing_location(self) -> StoreLocation:
        """The same, for commands that need a store. Raises StoreUnavailable if the default one was not created yet."""
        location = self.location
        if self._uses_default_store and location.file is not None and not os.path.lexists(location.file):
            raise StoreUnavailable(f"there is no keyctl store at {location}", hint="create it: keyctl init")
        return location

    @property
    def store_origin(self) -> str:
        """The origin of the choice of store."""
        return self._located[1]

    @property
    def _uses_default_store(self) -> bool:
        from keyctl.cli.configuration import DEFAULT_STORE

        return self.store_origin == DEFAULT_STORE

    @cached_property
    def wait(self) -> float:
        """How many seconds to wait for another writer."""
        from keyctl.times import parse_duration

        given = self._wait_given
        return min(parse_duration(given).total_seconds(), LONGEST_WAIT) if given else DEFAULT_WAIT

    @property
    def patient(self) -> bool:
        """Whether to wait for a server that is not up yet: only if the wait was given explicitly."""
        return self._wait_given is not None

    @property
    def _wait_given(self) -> str | None:
        return self.settings.wait or os.environ.get("KEYCTL_WAIT") or self.config.wait

    @cached_property
    def actor(self) -> Actor:
        """The operating system's user and host; the claim in KEYCTL_ACTOR is recorded in addition."""
        import socket

        from keyctl.models import Actor

        try:
            user = pwd.getpwuid(os.getuid()).pw_name
        except KeyError:
            user = f"uid {os.getuid()}"
        claimed = os.environ.get("KEYCTL_ACTOR")
        return Actor(f"{user}@{socket.gethostname()}", checked_text("KEYCTL_ACTOR", claimed) if claimed else None)

    @property
    def pepper_file(self) -> Path | None:
        """The file that is given, in the environment or in the configuration. Raises ConfigurationInvalid."""
        given = self.settings.pepper_file or os.environ.get("KEYCTL_PEPPER_FILE") or self.config.pepper_file
        try:
            return Path(given).expanduser() if given else None
        except RuntimeError:
            raise ConfigurationInvalid(f"the pepper file {given} is in the home folder of an unknown user") from None

    @cached_property
    def peppers(self) -> Peppers | None:
        """The peppers of the file in use, if there is one. Raises ConfigurationInvalid."""
        if self.pepper_file is None:
            return None
        from keyctl.pepper import Peppers

        return Peppers(self.pepper_file)

    def limiter_address(self, given: str | None) -> LimiterAddress | None:
        """The limiter that is given, in the environment or in the configuration. Raises UsageError."""
        text = given or os.environ.get("KEYCTL_LIMITER") or self.config.limiter
        if not text:
            return None
        from keyctl.limits.address import LimiterAddress

        address = LimiterAddress.parse(text)
        if given and address.password:
            self.output.warn(
                "the password in --limiter is visible to every process on this machine: use KEYCTL_LIMITER"
            )
        return address

    def open_limiter(self, address: LimiterAddress) -> Limiter:
        """Return the limiter. It is connected at the first call, and closed with the context."""
        import logging

        from keyctl.limiter import Limiter

        # What it logs for applications, a command prints as an error or a warning.
        logging.getLogger("keyctl.limiter").addHandler(logging.NullHandler())
        self._limiter = Limiter(address.url, wait=self.wait)
        return self._limiter

    @cached_property
    def store(self) -> Store:
        from keyctl.cli.argument_guard import everything_given, refuse_keys_of
        from keyctl.cli.own_arguments import own_arguments
        from keyctl.store.database import Store

        self.warn_of_exposure(self.location, self.store_origin)
        store = Store(self.existing_location, wait=self.wait, patient=self.patient)
        try:
            refuse_keys_of(store.formats, everything_given(own_arguments(sys.argv[1:])))
        except BaseException:
            store.close()
            raise
        return store

    @cached_property
    def database(self) -> Database:
        """The database, whatever its schema."""
        from keyctl.store.database import Database

        self.warn_of_exposure(self.location, self.store_origin)
        return Database(self.existing_location, wait=self.wait, patient=self.patient)

    @cached_property
    def keyring(self) -> Keyring:
        """The fastest way to look up a key: a SQLite file is read without SQLAlchemy."""
        file = self.existing_location.file
        if file is None:
            return self.store
        from keyctl.store.sqlite_reader import SqliteReader

        return SqliteReader(file, wait=self.wait)

    def close(self) -> None:
        """Close whatever was opened."""
        if self._limiter is not None:
            self._limiter.close()
        for opened in ("store", "database", "keyring"):
            if opened in self.__dict__:
                self.__dict__[opened].close()

    @property
    def admin(self) -> KeyAdmin:
        """What changes keys. It has no peppers: a fault in their file must not prevent a revocation."""
        return self.key_admin()

    def key_admin(self, progress: Callable[[int], None] = lambda _: None) -> KeyAdmin:
        """The same. `progress` is called with the number of keys that were changed since the last call."""
        from keyctl.admin.keys import KeyAdmin

        self.authorise()
        return KeyAdmin(self.store, self.actor, progress=progress)

    def minter(self, on_hashed: Callable[[], None] = lambda: None) -> KeyMinter:
        """What mints keys. `on_hashed` is called after each hash, from any thread."""
        from keyctl.admin.minting import KeyMinter

        self.authorise()
        return KeyMinter(self.store, self.actor, peppers=self.peppers, on_hashed=on_hashed)

    @property
    def rotator(self) -> KeyRotator:
        from keyctl.admin.rotation import KeyRotator

        self.authorise()
        return KeyRotator(self.store, self.actor, peppers=self.peppers)

    @property
    def owner_admin(self) -> OwnerAdmin:
        from keyctl.admin.owners import OwnerAdmin

        self.authorise()
        return OwnerAdmin(self.store, self.actor)

    @property
    def profile_admin(self) -> ProfileAdmin:
        from keyctl.admin.profile import ProfileAdmin

        self.authorise()
        return ProfileAdmin(self.store, self.actor)

    @cached_property
    def admin_token(self) -> AdminToken:
        from keyctl.admin.token import AdminToken

        behind = os.environ.get("SUDO_USER")  # sudo makes many users the same
        return AdminToken(self.store, self.actor, wait=self.wait, behind=behind)

    def authorise(self) -> None:
        """Raise NotAuthorised if the store has an admin token and the right one is not given."""
        from keyctl.cli.secret_input import ask_admin_token
        from keyctl.store.setting_names import SettingName

        given = self._given_admin_token
        if SettingName.ADMIN_TOKEN in self.store.settings:
            self.admin_token.authorise(given or ask_admin_token())
        elif given:
            self.output.note("the store requires no admin token: the given one is not used")

    def presented_admin_token(self) -> str | None:
        """Return the admin token that is given, or typed at a hidden prompt; None if there is none."""
        from keyctl.cli.secret_input import ask_admin_token

        return self._given_admin_token or ask_admin_token()

    @cached_property
    def _given_admin_token(self) -> str | None:
        """The admin token from the option, or from a variable; None if neither is there. Raises UsageError."""
        from keyctl.cli.secret_input import read_admin_token

        given, file = self._admin_token_from_environment, os.environ.get("KEYCTL_ADMIN_TOKEN_FILE")
        if self.settings.admin_token_file:
            given = read_admin_token(self.settings.admin_token_file)
        elif given and file:
            raise UsageError(
                "KEYCTL_ADMIN_TOKEN and KEYCTL_ADMIN_TOKEN_FILE are both set", hint="unset KEYCTL_ADMIN_TOKEN_FILE"
            )
        elif file:
            given = read_admin_token(file)
        if given == _DEVELOPMENT_TOKEN:
            self.output.warn("the admin token is the development default: change it before production use")
        return given or None

    def create_store(
        self, profile_name: str | None, scheme: Scheme | None = None, *, reader_group: str | None = None
    ) -> bool:
        """Create the store, or open an existing one; return whether it was created.

        A new one requires the admin token that is given, if any, and uses the first pepper of the pepper file.
        """
        from dataclasses import replace

        from keyctl.admin.token import hashed
        from keyctl.hashing import DEFAULT
        from keyctl.profiles.files import load_profile
        from keyctl.store.schema import create
        from keyctl.times import utc_now

        profile = load_profile(profile_name or DEFAULT_PROFILE)
        readers = self._find_reader_group(reader_group) if reader_group is not None else None
        if readers is None:
            self.prepare_folder()
        self.warn_of_exposure(self.location, self.store_origin)
        self.store, created = create(
            self.location,
            profile,
            replace(scheme or DEFAULT, pepper=self.peppers.newest if self.peppers else None),
            actor=self.actor,
            now=utc_now(),
            wait=self.wait,
            patient=self.patient,
            any_profile=profile_name is None,
            reader_group=readers,
            admin_token=partial(hashed, token) if (token := self._given_admin_token) else None,
        )
        return created

    def create_store_if_missing(self, profile_name: str | None, *, asked: bool) -> None:
        """Create the store before the first key: the default one always, any other only if `asked`."""
        if not asked and not self._uses_default_store:
            return
        if profile_name is None and self.location.file is not None and _has_content(self.location.file):
            return
        if self.create_store(profile_name):
            token = " and the admin token" if self.admin_token.is_set else ""
            self.output.note(f'created the store {self.location} with the profile "{self.store.profile.name}"{token}')

    def warn_of_exposure(self, location: StoreLocation, origin: str) -> None:
        """Warn of a password that others can read, and of a connection that they can. `origin` is where it is named."""
        if location.has_password and origin.startswith("--"):
            self.output.warn(
                f"the password in {origin} is visible to every process on this machine: "
                "use ~/.pgpass, PGPASSWORD, service= or KEYCTL_STORE"
            )
        if location.may_be_overheard:
            self.output.warn(
                f"{location} is on another machine, and its certificate is not verified: add sslmode=verify-full"
            )

    def _find_reader_group(self, name: str) -> ReaderGroup:
        from keyctl.reader_group import ReaderGroup

        if self.location.file is None:
            hint = "roles of PostgreSQL: keyctl db roles"
            raise UsageError(f"--reader-group is for a SQLite file, not for {self.location}", hint=hint)
        return ReaderGroup.find(name)

    def prepare_folder(self) -> None:
        """Make the folder of the default store, before it is created. Any other must be there."""
        from keyctl.private_files import make_folder

        file = self.location.file
        if file is None or not self._uses_default_store:
            return
        try:
            make_folder(file.parent)
        except OSError as error:
            raise StoreUnavailable(
                f"cannot create the folder {file.parent}: {error.strerror}", hint="choose a store: --store FILE.db"
            ) from None


def context_of(ctx: typer.Context) -> CommandContext:
    found = ctx.find_root().obj
    if not isinstance(found, CommandContext):
        raise TypeError("the command runs outside keyctl")
    return found


def _has_content(file: Path) -> bool:
    try:
        return file.stat().st_size > 0
    except FileNotFoundError:
        return False
    except OSError:
        return True  # opening it will report what is wrong
