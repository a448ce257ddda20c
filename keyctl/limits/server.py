"""Counts requests on a Redis or Valkey server, by the moving window of the library `limits`.

The library has one script that takes a place in the window of one limit. Here it runs once for each of a key's limits
inside a script around it, so that all of them hold at once: nothing else runs on the server meanwhile, one answer
comes back, and the clock is the server's, not that of each client.
"""

from __future__ import annotations

import importlib
import re
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from keyctl.errors import ConfigurationInvalid, LimiterUnavailable
from keyctl.limits.address import LimiterAddress
from keyctl.limits.windows import Window

_CLUSTER = "it is a node of a cluster: use redis+cluster:// or valkey+cluster://"
# KEYS: the list of each limit. ARGV: the cost, then requests and seconds of each limit. The answer has three integers
# for each: used, microseconds to wait, whether it refuses. The library lets a list expire with its newest entry, to the
# millisecond; a second later, none that still counts can be gone.
_AROUND = """
local function look(KEYS, ARGV) {look} end
local function acquire(KEYS, ARGV) {acquire} end
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local cost = tonumber(ARGV[1])
local function limit(i) return tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1]) end
local function microseconds(left) return math.max(0, math.ceil(left * 1000000)) end
local answers, exceeded = {{}}, false
for i, key in ipairs(KEYS) do
  local requests, per = limit(i)
  local seen = look({{key}}, {{now - per, requests}})
  local used, wait, refuses = seen and seen[2] or 0, seen and tonumber(seen[1]) + per - now or 0, 0
  if cost > 0 and used + cost > requests then
    local last = cost <= requests and redis.call('lindex', key, requests - cost)
    wait, refuses, exceeded = last and tonumber(last) + per - now or per, 1, true
  end
  answers[3 * i - 2], answers[3 * i - 1], answers[3 * i] = used, microseconds(wait), refuses
end
if cost == 0 or exceeded then return answers end
for i, key in ipairs(KEYS) do
  local requests, per = limit(i)
  acquire({{key}}, {{now, requests, per, cost}})
  redis.call('expire', key, per + 1)
  if answers[3 * i - 2] == 0 then answers[3 * i - 1] = microseconds(per) end
  answers[3 * i - 2] = answers[3 * i - 2] + cost
end
return answers
"""
# By the names of the client's errors, whose texts omit the code of some answers, and by the code of the others.
_MEANINGS = {
    "NoPermissionError": "the user has no permission for scripts or keys",
    "ReadOnlyError": "it is a replica, which cannot count",
    "BusyLoadingError": "it is still starting",
    "OutOfMemoryError": "its memory is full",
    "MovedError": _CLUSTER,
    "AskError": _CLUSTER,
    "CROSSSLOT": _CLUSTER,
    "ClusterDownError": "the cluster is down",
    "CLUSTERDOWN": "the cluster is down",
    "MISCONF": "it cannot write to its disk",
    "WRONGTYPE": "its database holds other data under the same names",
}
_NO_DATABASE = ("DB index is out of range", "invalid DB index")  # the client omits ERR
_CODE = re.compile(r"[A-Z]{2,20}\b")


class LimitServer:
    """Counts requests of subjects on a server. It connects at the first call. Safe to share between threads.

    A call waits at most `wait` seconds for a connection, and as long for an answer. A call to a cluster may take
    several steps, and all of them have `wait` seconds together.
    """

    def __init__(self, address: LimiterAddress, *, wait: float) -> None:
        self._address = address
        self._wait = wait
        self._client = _import(address)
        self._errors: tuple[type[Exception], ...] = _errors_of(self._client)
        self._connecting = threading.Lock()
        self._closed = False
        self._storage: Any = None
        self._script: Any = None

    def take(self, subject: str, limits: Sequence[tuple[int, int]], cost: int) -> list[Window]:
        """Count `cost` requests if every limit allows them, otherwise none. A cost of 0 only looks.

        Raises LimiterUnavailable. The request may have been counted then.
        """

        def call() -> Any:
            storage = self._connected()
            arguments = [cost, *(number for limit in limits for number in limit)]
            return self._script(_keys(storage, subject, limits), arguments)

        answer = self._ask(call)
        if not isinstance(answer, list) or len(answer) != 3 * len(limits) or not all(type(n) is int for n in answer):
            raise self._unavailable("it does not answer as a Redis server does")
        numbers = iter(answer)
        return [Window(used, wait / 1e6, bool(refuses)) for used, wait, refuses in zip(*[numbers] * 3, strict=True)]

    def forget(self, subject: str, limits: Sequence[tuple[int, int]]) -> None:
        """Count from zero again. Raises LimiterUnavailable."""

        def call() -> None:
            storage = self._connected()
            storage.get_connection().delete(*_keys(storage, subject, limits))

        self._ask(call)

    def close(self) -> None:
        """Close every connection. One that is still being made is closed when it is there."""
        self._closed = True
        storage, self._storage = self._storage, None
        if storage is not None:
            storage.get_connection().close()

    def abandon(self) -> None:
        """In a child of fork, leave the connections to the parent."""
        self._connecting = threading.Lock()
        self._storage = None

    def _ask(self, call: Callable[[], Any]) -> Any:
        try:
            # A client of a cluster follows redirections and reads the layout again on its own account.
            return _within(self._wait, call) if self._address.cluster else call()
        except self._errors as error:
            raise self._unavailable(self._reason(error)) from None  # the client's own text may hold the password

    def _connected(self) -> Any:
        if (storage := self._storage) is not None:
            return storage
        # Not for longer: the thread that is ahead may be waiting for a name server.
        if not self._connecting.acquire(timeout=self._wait):
            raise TimeoutError
        try:
            if self._storage is None:
                storage = self._connect()
                around = _AROUND.format(
                    look=storage.SCRIPT_MOVING_WINDOW.decode(), acquire=storage.SCRIPT_ACQUIRE_MOVING_WINDOW.decode()
                )
                self._script = storage.get_connection().register_script(around)
                self._storage = storage
                if self._closed:
                    self.close()
            return self._storage
        finally:
            self._connecting.release()

    def _connect(self) -> Any:
        from limits.storage import storage_from_string  # noqa: PLC0415 - not for who counts in memory

        options: dict[str, Any] = {"socket_timeout": self._wait, "socket_connect_timeout": self._wait}
        name = self._address.library
        backoff, retry = (importlib.import_module(f"{name}.{module}") for module in ("backoff", "retry"))
        never = retry.Retry(backoff.NoBackoff(), 0)  # a request that is sent again might be counted twice
        if self._address.cluster:
            options |= {"username": self._address.username, "password": self._address.password}
            options |= {"retry": never} if name == "redis" else {"cluster_error_retry_attempts": 0}
            return storage_from_string(self._address.url, key_prefix="keyctl", **options)
        storage: Any = storage_from_string(self._address.url, key_prefix="keyctl", retry=never, **options)
        pool = storage.get_connection().connection_pool
        pool.connection_class = _dialling(pool.connection_class, self._wait)
        return storage

    def _reason(self, error: BaseException) -> str:
        if isinstance(error, TimeoutError | self._client.exceptions.TimeoutError):
            return f"no answer within {self._wait:g} s"
        if isinstance(error, self._client.exceptions.AuthenticationError):
            required = str(error).startswith("Authentication required")
            return "it requires a password" if required else "it does not accept the password"
        if type(error).__name__ in _MEANINGS:
            return _MEANINGS[type(error).__name__]
        if isinstance(error, self._client.exceptions.ResponseError):
            code = _CODE.match(str(error))
            word = code[0] if code else "ERR"
            if str(error).startswith(_NO_DATABASE):
                return "it has no database of this number"
            return _MEANINGS.get(word, f"it answered {word}, as a server that runs no scripts does")
        cause: BaseException | None = error
        while cause is not None and not (isinstance(cause, OSError) and cause.strerror):
            cause = cause.__cause__ or cause.__context__
        if isinstance(cause, OSError):
            return str(cause.strerror)
        if isinstance(error, self._client.exceptions.InvalidResponse | ValueError) or "Protocol" in str(error):
            return "it does not answer as a Redis server does"
        if "closed" in str(error).lower():
            return "it closed the connection"
        if type(error).__name__.endswith("ClusterException"):
            return "no node of the cluster answered"
        return type(error).__name__

    def _unavailable(self, reason: str) -> LimiterUnavailable:
        return LimiterUnavailable(
            f"the limiter {self._address} is not available: {reason}",
            hint="answer 503, try again; what happens meanwhile is limits.on_failure of the profile",
        )


def _import(address: LimiterAddress) -> Any:
    try:
        importlib.import_module("limits.storage")
        return importlib.import_module(address.library)
    except ImportError as error:
        raise ConfigurationInvalid(
            f"a limiter at {address.scheme}:// needs the Python package {error.name}",
            hint=f"pip install 'limits[{address.library}]'",
        ) from None


def _errors_of(client: Any) -> tuple[type[Exception], ...]:
    exceptions, base = client.exceptions, "RedisError" if client.__name__ == "redis" else "ValkeyError"
    cluster = getattr(exceptions, base.replace("Error", "ClusterException"))
    # ValueError: what is not a Redis server answers with numbers that are none, or with text that is not UTF-8
    return (getattr(exceptions, base), cluster, OSError, ValueError)


def _keys(storage: Any, subject: str, limits: Sequence[tuple[int, int]]) -> list[str]:
    # By the length of the window, not by the number of requests: what was used counts on when the plan is changed.
    # The braces put all of them onto one node of a cluster.
    return [storage.prefixed_key(f"{{{subject}}}/{per}") for _, per in limits]


def _dialling(connection_class: Any, wait: float) -> Any:
    """Return a class of connections that find a server's address and connect to it within `wait` seconds together."""

    class Dialling(connection_class):  # type: ignore[misc]
        def _connect(self) -> Any:
            return _within(wait, super()._connect, late=lambda connected: connected.close())

    return Dialling


def _within(seconds: float, work: Callable[[], Any], *, late: Callable[[Any], object] = lambda _: None) -> Any:
    """Return what `work` does in another thread. Raises TimeoutError after `seconds`; `late` gets a later result."""
    done: Future[Any] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised where the result is used
            done.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        return done.result(seconds)
    except TimeoutError:
        if not done.done():
            done.add_done_callback(lambda one: None if one.exception() else late(one.result()))
        raise
