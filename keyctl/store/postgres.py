"""Connects to PostgreSQL through psycopg 3, and explains its errors to an operator.

libpq reads PGPASSWORD, ~/.pgpass and `service=` itself. Only features are used that every server with this protocol
has: row locks and keyset pages; no triggers, extensions or prepared statements (a pooler may run each transaction in
another server process).
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from sqlalchemy import Connection, Engine, QueuePool, create_engine, event
from sqlalchemy.exc import DBAPIError

from keyctl.errors import ConfigurationInvalid, StoreBusy, StoreUnavailable, UsageError
from keyctl.store.location import StoreLocation
from keyctl.store.transaction import writes

CONNECT_TIMEOUT = 5  # seconds, for one attempt
ANSWER_TIMEOUT = 5  # seconds that the server may be silent, or as long as to wait for a lock if that is longer
STATEMENT_TIMEOUT = 60  # seconds
IDLE_TIMEOUT = 60  # seconds that a transaction may wait for keyctl
LOST_AFTER = 1.0  # seconds of silence after which a look-up tries another connection
UNACKNOWLEDGED_TIMEOUT = 15  # seconds until a connection without acknowledgements counts as lost
_LOCK_DELAY = 1  # seconds in which the server reports that a lock was not available, after the wait for it
_LOCK_NOT_AVAILABLE = "55P03"
_QUERY_CANCELED = "57014"
_READ_ONLY = "25006"
_NOT_PERMITTED = "42501"
_DISK_FULL = "53100"
_CONNECTION_LOST = {"08", "57"}  # classes of states: of the network or a pooler, by an administrator or a crash
_TOO_MANY_CONNECTIONS = ("too many clients", "too many connections", "connection slots", "no more connections")
_NOT_UP_YET = ("refused", "timeout", "starting up", "No such file", "shutting down", "recovery", "read-only")
# Serialisation failure, deadlock, unique violation, existing table or type: another transaction was first, and a second
# run sees its changes.
_RETRYABLE = {"40001", "40P01", "23505", "42P07", "42710"}
_deadline: ContextVar[float] = ContextVar("deadline", default=math.inf)
_patience: ContextVar[float] = ContextVar("patience", default=math.inf)


def postgres_engine(location: StoreLocation, *, wait: float, patient: bool) -> Engine:
    """Return an engine. `wait` is how many seconds to wait for a lock and, if `patient`, for the server to start."""
    driver = _driver()
    from keyctl.store.postgres_dialer import Dialer  # noqa: PLC0415 - imports the driver

    try:
        given = driver.psycopg.conninfo.conninfo_to_dict(location.url)
    except (driver.psycopg.ProgrammingError, UnicodeDecodeError) as error:  # quotes the URL: not to be chained
        reason = location.without_password(str(error).strip())
        raise UsageError(f"{location} is not a valid database URL: {reason}") from None

    hosts = _several_hosts(given)
    # libpq's least is 2. Of several hosts, the last must be reached before the wait is over.
    count = max(map(len, hosts.values()), default=1)
    connect_timeout = max(2, min(CONNECT_TIMEOUT, round(wait / count)))

    def attempt(number: int) -> Any:
        """Connect to the first host that can be, beginning with this one."""
        return driver.PostgresConnection.connect(
            location.url,
            **{name: ",".join(each[number:] + each[:number]) for name, each in hosts.items()},
            connect_timeout=connect_timeout,
            tcp_user_timeout=UNACKNOWLEDGED_TIMEOUT * 1000,
            application_name="keyctl",
            prepare_threshold=None,
            autocommit=True,
        )

    dialer = Dialer(attempt, hosts=count)

    def connect() -> Any:
        give_up = time.monotonic() + wait
        connection = None
        while connection is None:
            try:
                connection = dialer.connect(_deadline.get())
            except driver.psycopg.OperationalError as error:
                if not (patient and _may_come_up(str(error)) and time.monotonic() < give_up):
                    raise
                time.sleep(0.2)
        prepare(connection)  # for what SQLAlchemy asks a server first
        return connection

    def prepare(connection: Any, *_: object) -> None:
        """Make a connection ready for the next transaction."""
        connection.patience = min(_patience.get(), max(ANSWER_TIMEOUT, wait) + _LOCK_DELAY)
        connection.deadline = _deadline.get()

    # With each transaction, and not with the session: behind a pooler, the next transaction may run in another session,
    # and other applications' transactions in this one.
    limits = "; ".join(
        f"set local {name} = {int(1000 * limit)}"
        for name, limit in {
            "lock_timeout": max(0.001, wait),
            "statement_timeout": STATEMENT_TIMEOUT,
            "idle_in_transaction_session_timeout": IDLE_TIMEOUT,
        }.items()
    )

    def begin(connection: Connection) -> None:
        mode = "" if writes(connection) else " isolation level repeatable read read only"
        connection.exec_driver_sql(f"begin{mode}; {limits}")

    engine = create_engine(
        "postgresql+psycopg://",
        creator=connect,
        poolclass=QueuePool,
        hide_parameters=True,
        use_native_hstore=False,
    )
    event.listen(engine, "checkout", prepare)
    event.listen(engine, "begin", begin)
    event.listen(engine, "engine_disposed", lambda _: dialer.forget())
    return engine


@contextmanager
def answered_by(deadline: float | None, patience: float) -> Iterator[None]:
    """Give every call to a server up at the deadline, in seconds of `time.monotonic`; None sets none.

    Also give a connection up on which nothing is heard for `patience` seconds.
    """
    deadline_before = _deadline.set(math.inf if deadline is None else deadline)
    patience_before = _patience.set(patience)
    try:
        yield
    finally:
        _deadline.reset(deadline_before)
        _patience.reset(patience_before)


def allow_any_time(connection: Connection) -> None:
    """Lift the time limits of statements for the rest of a transaction."""
    connection.exec_driver_sql("set local statement_timeout = 0")
    connection.connection.driver_connection.patience = math.inf  # type: ignore[union-attr]


def is_retryable(error: BaseException | None) -> bool:
    """Return whether the same transaction may succeed if it runs again."""
    return getattr(error, "sqlstate", None) in _RETRYABLE


def forget_detail(error: DBAPIError) -> None:
    """Reduce an error to the server's primary message: the details may quote whole rows, with hashes."""
    if primary := getattr(getattr(error.orig, "diag", None), "message_primary", None):
        error.orig.args = (primary,)  # type: ignore[union-attr]
        error.args = (f"({type(error.orig).__name__}) {primary}",)


def explain(location: StoreLocation, error: BaseException | None) -> StoreUnavailable:
    """Return the driver's error as one for an operator, with the server but never the password."""
    state = getattr(error, "sqlstate", None)
    if state == _LOCK_NOT_AVAILABLE:
        return StoreBusy(
            f"the store {location} is busy: another process is writing to it", hint="wait longer: --wait 30s"
        )
    if state == _QUERY_CANCELED:
        return StoreBusy(f"the store {location} took longer than {STATEMENT_TIMEOUT} s to answer", hint="try again")
    if state == _READ_ONLY:
        return StoreUnavailable(
            f"the store {location} cannot be written to: the server is read-only", hint="name the primary server"
        )
    message = _reason(location, str(error))
    if state == _NOT_PERMITTED:
        return StoreUnavailable(
            f"the role of this connection to {location} lacks a privilege: {message}",
            hint="connect as an administrator: keyctl help postgres",
        )
    if state == _DISK_FULL:
        return StoreUnavailable(
            f"the store {location} cannot be written to: {message}", hint="free space on the server"
        )
    if any(sign in message for sign in _TOO_MANY_CONNECTIONS):
        return StoreBusy(f"the store {location} is busy: {message}", hint="try again; see: keyctl help postgres")
    if "does not exist" in message and "database" in message:
        return StoreUnavailable(f"there is no store {location}: {message}", hint="createdb, then keyctl init")
    if any(sign in message for sign in ("password", "pg_hba.conf", "role")):
        hint = "libpq reads PGPASSWORD, ~/.pgpass and service=; the server's pg_hba.conf says who may connect"
        return StoreUnavailable(f"the store {location} refused the connection: {message}", hint=hint)
    if state is None:
        hint = "is the server up, and the address right? to wait for it: --wait 30s"
        return StoreUnavailable(f"the store {location} cannot be reached: {message}", hint=hint)
    return StoreUnavailable(
        f"the store {location} cannot be used: {message} (SQLSTATE {state})",
        hint="try again" if state[:2] in _CONNECTION_LOST else None,
    )


def _several_hosts(given: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the lists in a connection's parameters; libpq tries the first of each, then the second."""
    texts = {name: str(given.get(name, "")) for name in ("host", "hostaddr", "port")}
    return {name: text.split(",") for name, text in texts.items() if "," in text}


def _driver() -> Any:
    try:
        # psycopg is an optional dependency, imported only for a store on PostgreSQL
        from keyctl.store import postgres_connection  # noqa: PLC0415
    except ImportError:
        raise ConfigurationInvalid(
            "PostgreSQL needs the psycopg package, which is not installed", hint="pip install 'psycopg[binary]'"
        ) from None
    return postgres_connection


def _may_come_up(message: str) -> bool:
    return any(sign in message for sign in _NOT_UP_YET)


def _reason(location: StoreLocation, message: str) -> str:
    """Return the first line of libpq's message: what follows are guesses, and the other hosts that were tried."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    text = lines[0].removeprefix("connection failed: ") if lines else "no reason given"
    return location.without_password(text)
