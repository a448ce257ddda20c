"""Connects to PostgreSQL through psycopg 3, and explains its errors to an operator.

libpq reads PGPASSWORD, ~/.pgpass and `service=` itself. Only features are used that every server with this protocol
has: row locks and keyset pages; no triggers, extensions or prepared statements (a pooler may run each transaction in
another server process).
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from sqlalchemy import Connection, Engine, QueuePool, create_engine, event
from sqlalchemy.exc import DBAPIError

from keyctl.errors import ConfigurationInvalid, StoreBusy, StoreUnavailable, UsageError
from keyctl.store.location import StoreLocation

CONNECT_TIMEOUT = 5  # seconds, for one attempt
ANSWER_TIMEOUT = 5  # seconds that the server may be silent, or as long as to wait for a lock if that is longer
STATEMENT_TIMEOUT = 60  # seconds
IDLE_TIMEOUT = 60  # seconds that a transaction may wait for keyctl
UNACKNOWLEDGED_TIMEOUT = 15  # seconds until a connection without acknowledgements counts as lost
_LOCK_DELAY = 1  # seconds in which the server reports that a lock was not available, after the wait for it
_LOCK_NOT_AVAILABLE = "55P03"
_QUERY_CANCELED = "57014"
_READ_ONLY = "25006"
_NOT_PERMITTED = "42501"
# Serialisation failure, deadlock, unique violation, existing table: another transaction was first, and a second run
# sees its changes.
_RETRYABLE = {"40001", "40P01", "23505", "42P07"}
_deadline: ContextVar[float] = ContextVar("deadline", default=math.inf)


def postgres_engine(location: StoreLocation, *, wait: float, patient: bool) -> Engine:
    """Return an engine. `wait` is how many seconds to wait for a lock and, if `patient`, for the server to start."""
    driver = _driver()
    try:
        driver.psycopg.conninfo.conninfo_to_dict(location.url)
    except (driver.psycopg.ProgrammingError, UnicodeDecodeError) as error:  # quotes the URL: not to be chained
        reason = location.without_password(str(error).strip())
        raise UsageError(f"{location} is not a valid database URL: {reason}") from None

    def attempt() -> Any:
        return driver.PostgresConnection.connect(
            location.url,
            connect_timeout=max(2, min(CONNECT_TIMEOUT, round(wait))),  # libpq's least is 2
            tcp_user_timeout=UNACKNOWLEDGED_TIMEOUT * 1000,
            application_name="keyctl",
            prepare_threshold=None,
            autocommit=True,
        )

    def connect() -> Any:
        give_up = time.monotonic() + wait
        connection = None
        while connection is None:
            try:
                connection = driver.connect_by(_deadline.get(), attempt)
            except driver.psycopg.OperationalError as error:
                if not (patient and _may_come_up(str(error)) and time.monotonic() < give_up):
                    raise
                time.sleep(0.2)
        prepare(connection)
        try:
            connection.execute(
                f"set lock_timeout = {max(1, int(wait * 1000))}; set statement_timeout = {STATEMENT_TIMEOUT * 1000}; "
                f"set idle_in_transaction_session_timeout = {IDLE_TIMEOUT * 1000}"
            )
            connection.autocommit = False
        except BaseException:  # the pool never learns of this connection
            connection.close()
            raise
        return connection

    def prepare(connection: Any, *_: object) -> None:
        """Make a connection ready for the next transaction."""
        connection.patience = max(ANSWER_TIMEOUT, wait) + _LOCK_DELAY
        connection.deadline = _deadline.get()
        # After a read-only transaction SQLAlchemy would set READ WRITE, whatever the server's default is.
        if not connection.closed:
            connection.read_only = None

    engine = create_engine(
        "postgresql+psycopg://",
        creator=connect,
        poolclass=QueuePool,
        pool_timeout=wait,
        hide_parameters=True,
        use_native_hstore=False,
    )
    event.listen(engine, "checkout", prepare)
    return engine


@contextmanager
def answered_by(deadline: float | None) -> Iterator[None]:
    """Give every call to a server up at the deadline, in seconds of `time.monotonic`; None sets none."""
    before = _deadline.set(math.inf if deadline is None else deadline)
    try:
        yield
    finally:
        _deadline.reset(before)


def allow_any_time(connection: Connection) -> None:
    """Lift the time limits of statements for the rest of a transaction."""
    connection.exec_driver_sql("set local statement_timeout = 0")
    connection.connection.driver_connection.patience = math.inf  # type: ignore[union-attr]


def read_options() -> dict[str, Any]:
    """Return the execution options of a transaction that reads one consistent state."""
    return {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}


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
    if "does not exist" in message and "database" in message:
        return StoreUnavailable(f"there is no store {location}: {message}", hint="createdb, then keyctl init")
    if any(sign in message for sign in ("password", "pg_hba.conf", "role")):
        hint = "libpq reads PGPASSWORD, ~/.pgpass and service=; the server's pg_hba.conf says who may connect"
        return StoreUnavailable(f"the store {location} refused the connection: {message}", hint=hint)
    if state is None:
        hint = "is the server up, and the address right? to wait for it: --wait 30s"
        return StoreUnavailable(f"the store {location} cannot be reached: {message}", hint=hint)
    return StoreUnavailable(f"the store {location} cannot be used: {message} (SQLSTATE {state})")


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
    return any(sign in message for sign in ("refused", "timeout", "starting up", "No such file", "shutting down"))


def _reason(location: StoreLocation, message: str) -> str:
    """Return the last line of libpq's message, without its question whether the server is running."""
    lines = [line.strip() for line in message.splitlines() if line.strip() and "Is the server running" not in line]
    text = lines[-1].removeprefix("connection failed: ") if lines else "no reason given"
    return location.without_password(text)
