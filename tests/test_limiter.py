from __future__ import annotations

import itertools
import json
import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl.errors import ConfigurationInvalid, LimiterUnavailable, StoreUnavailable, UsageError
from keyctl.limiter import Limiter
from keyctl.profiles.limits import Limit
from tests import limit_load
from tests.redis_server import RedisServer, free_port, running

HOUR, MINUTE = Limit(1000, timedelta(hours=1)), Limit(100, timedelta(minutes=1))
_names = itertools.count()


@pytest.fixture
def subject() -> str:
    """A name of which nothing is counted yet."""
    return f"store/key/{next(_names)}"


@pytest.fixture(params=["memory", "redis", "redis+unix", "valkey", "valkey+unix", "redis+cluster", "valkey+cluster"])
def url(request: pytest.FixtureRequest) -> str:
    """Every kind of limiter, over real servers."""
    scheme: str = request.param
    if scheme == "memory":
        return "memory://"
    cluster = scheme.endswith("+cluster")
    server: RedisServer = request.getfixturevalue("redis_cluster" if cluster else "redis_server")
    return f"{scheme}://{server.socket}" if scheme.endswith("+unix") else f"{scheme}://127.0.0.1:{server.port}"


@pytest.fixture
def limiter(url: str) -> Iterator[Limiter]:
    with Limiter(url, wait=20) as limiter:
        yield limiter


def limits(*pairs: tuple[int, int]) -> list[Limit]:
    return [Limit(requests, timedelta(seconds=seconds)) for requests, seconds in pairs]


# ── what is counted ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_no_more_requests_are_allowed_than_the_smallest_limit(limiter: Limiter, subject: str):
    answers = [limiter.count(subject, [HOUR, MINUTE])[0] for _ in range(120)]

    assert answers == [True] * 100 + [False] * 20


def test_a_refused_request_uses_up_no_limit(limiter: Limiter, subject: str):
    for _ in range(120):
        limiter.count(subject, [HOUR, MINUTE])

    assert [state.remaining for state in limiter.look(subject, [HOUR, MINUTE])] == [900, 0]


def test_a_request_that_the_second_limit_refuses_does_not_use_up_the_first(limiter: Limiter, subject: str):
    first, second = limits((5, 3600), (2, 60))
    for _ in range(10):
        limiter.count(subject, [first, second])

    assert [state.remaining for state in limiter.look(subject, [second, first])] == [0, 3]


def test_each_subject_is_counted_by_itself(limiter: Limiter, subject: str):
    [one] = limits((1, 60))

    answers = [limiter.count(f"{subject}/{name}", [one])[0] for name in "abab"]

    assert answers == [True, True, False, False]


def test_looking_counts_nothing(limiter: Limiter, subject: str):
    for _ in range(3):
        states = limiter.look(subject, [HOUR, MINUTE])
        assert [(state.remaining, state.reset_seconds, state.exceeded) for state in states] == [
            (1000, 0, False),
            (100, 0, False),
        ]


def test_a_request_may_weigh_more_than_one(limiter: Limiter, subject: str):
    [ten] = limits((10, 60))

    assert [limiter.count(subject, [ten], cost)[0] for cost in (4, 4, 3, 2, 1)] == [True, True, False, True, False]


def test_a_request_that_costs_more_than_a_limit_is_never_allowed(limiter: Limiter, subject: str):
    [ten] = limits((10, 60))

    allowed, [state] = limiter.count(subject, [ten], 11)

    assert (allowed, state.exceeded, state.remaining) == (False, True, 10)
    assert limiter.look(subject, [ten])[0].remaining == 10


@pytest.mark.parametrize("cost", [0, -1, 1.0, True, "1", None])
def test_a_cost_must_be_a_whole_number_of_at_least_one(cost: object):
    with Limiter() as limiter, pytest.raises(UsageError, match="whole number of 1 or more"):
        limiter.count("subject", [MINUTE], cost)  # type: ignore[arg-type]


def test_what_was_used_is_allowed_again_when_it_leaves_the_window(limiter: Limiter, subject: str):
    [limit] = limits((2, 1))
    assert limiter.count(subject, [limit])[0]
    time.sleep(0.3)
    assert limiter.count(subject, [limit])[0]

    allowed, [state] = limiter.count(subject, [limit])
    assert (allowed, 0 < state.reset_seconds <= 0.7) == (False, True)
    time.sleep(state.reset_seconds + 0.01)

    assert limiter.count(subject, [limit])[0]


def test_a_refusal_says_when_a_request_of_this_cost_would_be_allowed(limiter: Limiter, subject: str):
    [limit] = limits((4, 100))
    limiter.count(subject, [limit], 2)
    time.sleep(0.3)
    limiter.count(subject, [limit], 2)

    _, [small] = limiter.count(subject, [limit], 1)
    _, [large] = limiter.count(subject, [limit], 3)

    assert 99 < small.reset_seconds < 99.75
    assert 99.75 < large.reset_seconds <= 100
    assert large.reset_seconds - small.reset_seconds == pytest.approx(0.3, abs=0.2)


def test_of_two_limits_for_the_same_time_the_smaller_one_holds(limiter: Limiter, subject: str):
    five, three = limits((5, 60), (3, 60))

    answers = [limiter.count(subject, [five, three])[0] for _ in range(4)]

    assert answers == [True, True, True, False]
    states = limiter.count(subject, [five, three])[1]
    assert [(state.remaining, state.exceeded) for state in states] == [(2, False), (0, True)]


def test_what_was_used_counts_on_when_the_plan_is_changed(limiter: Limiter, subject: str):
    small, large = limits((3, 60), (10, 60))
    for _ in range(3):
        limiter.count(subject, [small])

    assert limiter.look(subject, [large])[0].remaining == 7
    for _ in range(4):
        limiter.count(subject, [large])
    assert limiter.look(subject, [small])[0].remaining == 0
    assert not limiter.count(subject, [small])[0]


def test_without_limits_everything_is_allowed(limiter: Limiter, subject: str):
    assert limiter.count(subject, []) == (True, ())
    assert limiter.look(subject, []) == ()
    limiter.reset(subject, [])


def test_reset_forgets_what_was_used(limiter: Limiter, subject: str):
    other = f"{subject}-other"
    for name in (subject, other):
        limiter.count(name, [HOUR, MINUTE], 100)

    limiter.reset(subject, [HOUR, MINUTE])

    assert [state.remaining for state in limiter.look(subject, [HOUR, MINUTE])] == [1000, 100]
    assert [state.remaining for state in limiter.look(other, [HOUR, MINUTE])] == [900, 0]


def test_on_a_server_nothing_remains_after_the_window(redis_server: RedisServer, subject: str):
    with Limiter(redis_server.url) as limiter, closing(redis_server.client()) as client:
        limiter.count(subject, limits((5, 1), (5, 100)))

        left = {name: client.ttl(name) for name in client.keys(f"*{subject}*")}

    assert {name.rpartition(b"/")[2]: 0 < ttl <= int(name.rpartition(b"/")[2]) + 1 for name, ttl in left.items()} == {
        b"1": True,
        b"100": True,
    }


def test_in_memory_idle_subjects_are_forgotten():
    now = [0.0]
    with Limiter(timer=lambda: now[0]) as limiter:
        for number in range(1000):
            limiter.count(f"old/{number}", limits((5, 60)))
        now[0] = 61
        for number in range(500):
            limiter.count(f"new/{number}", limits((5, 60)))

        assert len(limiter._backend._used) == 500  # type: ignore[union-attr]


# ── against a plain model ────────────────────────────────────────────────────────────────────────────────────────────


class Model:
    """All times of all requests; a request is allowed if no window that ends now would hold too many."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def used(self, per: int, now: float) -> int:
        return sum(1 for time in self.times if time >= now - per)

    def count(self, pairs: list[tuple[int, int]], cost: int, now: float) -> bool:
        if any(self.used(per, now) + cost > requests for requests, per in pairs):
            return False
        self.times += [now] * cost
        return True


@given(
    st.lists(st.tuples(st.integers(1, 6), st.integers(1, 10)), min_size=1, max_size=3, unique_by=lambda pair: pair[1]),
    st.lists(st.tuples(st.sampled_from([0, 0, 0.25, 1, 2.5, 11]), st.integers(1, 7)), max_size=40),
)
def test_in_memory_each_answer_is_that_of_the_model(pairs: list[tuple[int, int]], calls: list[tuple[float, int]]):
    now, model = [0.0], Model()
    with Limiter(timer=lambda: now[0]) as limiter:
        for passed, cost in calls:
            now[0] += passed
            expected = model.count(pairs, cost, now[0])

            allowed, states = limiter.count("s", limits(*pairs), cost)

            assert allowed == expected
            for (requests, per), state in zip(pairs, states, strict=True):
                assert state.remaining == requests - model.used(per, now[0])
                if not allowed and state.exceeded and cost <= requests:
                    freed = now[0] + state.reset_seconds
                    assert model.used(per, freed + 0.001) + cost <= requests
                    assert model.used(per, freed) + cost > requests
    limiter.close()


def most_in_a_window(allowed: list[tuple[float, float]], per: float) -> int:
    """Return how many requests were certainly allowed within `per` seconds: begun and answered in that time."""
    begun = sorted(allowed)
    return max(
        sum(1 for one in begun[i:] if one[0] < start + per and one[1] <= start + per)
        for i, (start, _) in enumerate(begun)
    )


PLAN = [(40, 1), (70, 2)]


def check_against_the_model(allowed: list[tuple[float, float]], seconds: float) -> None:
    for requests, per in PLAN:
        assert most_in_a_window(allowed, per) <= requests
    # Nor fewer: the callers never rest. 40 at once, 30 after the first second, 40 after the second one, …
    model, steps = Model(), [step / 100 for step in range(int((seconds - 0.2) * 100)) for _ in range(40)]
    assert len(allowed) >= sum(model.count(PLAN, 1, step) for step in steps)


def test_in_memory_16_threads_are_allowed_exactly_what_the_model_allows(subject: str):
    allowed = limit_load.main({"url": "memory://", "subject": subject, "limits": PLAN, "threads": 16, "seconds": 1.5})

    check_against_the_model(allowed, 1.5)


@pytest.mark.torture
def test_on_a_server_4_processes_of_4_threads_are_allowed_exactly_what_the_model_allows(
    redis_server: RedisServer,
    redis_cluster: RedisServer,
    subject: str,
    rounds: Callable[[int, int], int],
    figure: Callable[[str, object], None],
):
    cluster = f"valkey+cluster://127.0.0.1:{redis_cluster.port}"
    seconds = rounds(15, 100) / 10
    for url in [redis_server.unix_url, redis_server.url, cluster][: rounds(1, 3)]:
        wanted = {"url": url, "subject": subject, "limits": PLAN, "threads": 4, "seconds": seconds}

        allowed = run_programs([wanted] * 4)

        check_against_the_model(allowed, seconds)
        figure(f"allowed of 40/1s and 70/2s at {url.partition('://')[0]}", f"{len(allowed)} in {seconds:g} s")


def test_16_threads_and_4_processes_use_up_a_limit_exactly(redis_server: RedisServer, subject: str):
    plan = [(1_000, 3600), (300, 60)]
    wanted = {"url": redis_server.unix_url, "subject": subject, "limits": plan, "threads": 16, "seconds": 30}

    allowed = run_programs([wanted | {"until_refused": True}] * 4)

    assert len(allowed) == 300
    with Limiter(redis_server.unix_url, wait=20) as limiter:
        assert [state.remaining for state in limiter.look(subject, limits(*plan))] == [700, 0]


def run_programs(wanted: list[dict[str, object]]) -> list[tuple[float, float]]:
    programs = [
        subprocess.Popen([sys.executable, "-m", "tests.limit_load"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in wanted
    ]
    for program, one in zip(programs, wanted, strict=True):
        assert program.stdin
        program.stdin.write(json.dumps(one).encode())
        program.stdin.close()
        program.stdin = None
    return [tuple(pair) for program in programs for pair in json.loads(program.communicate(timeout=60)[0])]


# ── out of reach ─────────────────────────────────────────────────────────────────────────────────────────────────────


def fails_within(limiter: Limiter, seconds: float) -> LimiterUnavailable:
    start = time.monotonic()
    with pytest.raises(LimiterUnavailable) as error:
        limiter.count("subject", [HOUR, MINUTE])
    assert time.monotonic() - start < seconds + 8  # of a machine that is busy: without a deadline there is no end
    return error.value


@pytest.mark.parametrize("scheme", ["redis", "valkey", "redis+cluster", "valkey+cluster"])
def test_a_server_that_is_not_there_is_unavailable(scheme: str):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with Limiter(f"{scheme}://127.0.0.1:{port}") as limiter:
        error = fails_within(limiter, 2)

    assert isinstance(error, StoreUnavailable)
    assert (error.exit_code, error.code) == (5, "LIMITER_UNAVAILABLE")
    assert error.message == f"the limiter {scheme}://127.0.0.1:{port} is not available: Connection refused"


def test_a_socket_that_is_not_there_is_unavailable():
    with Limiter("redis+unix:///nowhere/redis.sock") as limiter:
        assert fails_within(limiter, 2).message.endswith("redis.sock is not available: No such file or directory")


@pytest.mark.parametrize("scheme", ["redis", "valkey", "redis+cluster", "valkey+cluster"])
def test_a_server_that_does_not_answer_costs_no_more_than_the_wait(scheme: str):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with Limiter(f"{scheme}://127.0.0.1:{port}", wait=0.3) as limiter:
            error = fails_within(limiter, 1.5)

    assert error.message.endswith(("no answer within 0.3 s", "no node of the cluster answered"))


@pytest.mark.parametrize("scheme", ["redis", "valkey", "redis+cluster", "valkey+cluster"])
def test_a_name_server_that_does_not_answer_costs_no_more_than_the_wait(scheme: str, monkeypatch: pytest.MonkeyPatch):
    asked = threading.Event()

    def getaddrinfo(*_: object) -> list[object]:
        asked.set()
        time.sleep(3)
        raise socket.gaierror("too late")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    start = time.monotonic()
    with Limiter(f"{scheme}://redis.example:6379", wait=0.3) as limiter:
        assert fails_within(limiter, 2).message.endswith("no answer within 0.3 s")
        time.sleep(0.31)
        assert fails_within(limiter, 2).message.endswith("no answer within 0.3 s")
    assert asked.is_set()
    assert time.monotonic() - start < 20  # closing does not wait either


@pytest.mark.parametrize("scheme", ["redis", "valkey", "redis+cluster"])
@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.2p1\r\n", b"ERROR\r\n", b"\xff\xfe\x00\r\n", b""],
)
def test_a_server_that_is_not_redis_is_named_as_one(scheme: str, answer: bytes):
    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                with client:
                    client.recv(1000)
                    client.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        with Limiter(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}", wait=1) as limiter:
            message = fails_within(limiter, 3).message
        listener.shutdown(socket.SHUT_RDWR)

    assert message.endswith(
        ("it does not answer as a Redis server does", "it closed the connection", "Connection reset by peer")
    )


def test_a_cluster_that_is_down_is_named_as_one():
    with (
        running("--cluster-enabled", "yes", "--cluster-port", str(free_port())) as server,
        Limiter(server.url) as limiter,
    ):
        message = fails_within(limiter, 2).message

    assert message.endswith("the cluster is down")


def test_a_node_of_a_larger_cluster_is_named_as_one():
    def serve() -> None:
        with suppress(OSError):
            client, _ = listener.accept()
            with client:
                while sent := client.recv(4096):
                    moved = b"-MOVED 3999 127.0.0.1:6381\r\n" * sent.count(b"EVALSHA")
                    client.sendall(b"+OK\r\n" * sent.count(b"SETINFO") + moved)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        with Limiter(f"redis://127.0.0.1:{listener.getsockname()[1]}", wait=2) as limiter:
            assert "use redis+cluster://" in fails_within(limiter, 3).message


def test_a_silent_server_is_not_asked_by_every_thread_and_is_used_again_when_it_answers(
    redis_server: RedisServer, subject: str, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.WARNING, "keyctl.limiter")
    with Limiter(redis_server.url, wait=0.3) as limiter:
        assert limiter.count(subject, [MINUTE])[0]
        redis_server.stop()
        try:
            fails_within(limiter, 1.5)
            start = time.monotonic()
            for _ in range(50):
                fails_within(limiter, 1.5)
            assert time.monotonic() - start < 0.3
        finally:
            redis_server.go_on()
        time.sleep(0.31)

        assert limiter.count(subject, [MINUTE])[0]
        assert limiter.failures == 51
    messages = [record.getMessage() for record in caplog.records]
    assert messages == [
        f"the limiter {redis_server.url} is not available: no answer within 0.3 s; failed calls so far: 1",
        f"the limiter {redis_server.url} is available again",
    ]


def test_a_connection_that_the_server_closed_is_replaced(redis_server: RedisServer, subject: str):
    with Limiter(redis_server.url) as limiter, closing(redis_server.client()) as client:
        limiter.count(subject, [MINUTE])
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

        assert limiter.count(subject, [MINUTE])[1][0].remaining == 98


def test_a_server_that_has_forgotten_the_script_gets_it_again(redis_server: RedisServer, subject: str):
    with Limiter(redis_server.url) as limiter, closing(redis_server.client()) as client:
        limiter.count(subject, [MINUTE])
        client.script_flush()

        assert limiter.count(subject, [MINUTE])[1][0].remaining == 98


@pytest.mark.parametrize("url", ["memory://", "redis://127.0.0.1:1"])
def test_a_closed_limiter_counts_no_more(url: str, subject: str):
    limiter = Limiter(url)
    limiter.close()
    limiter.close()

    for call in (lambda: limiter.count(subject, [MINUTE]), lambda: limiter.reset(subject, [MINUTE])):
        with pytest.raises(LimiterUnavailable, match="is closed"):
            call()


# ── passwords ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def guarded() -> Iterator[RedisServer]:
    """A server with the password `open s@same/`."""
    with running("--requirepass", "open s@same/") as server:
        yield server


@pytest.mark.parametrize("scheme", ["redis", "valkey"])
def test_the_password_of_the_url_is_used(guarded: RedisServer, scheme: str, subject: str):
    with Limiter(f"{scheme}://:open%20s%40same%2F@127.0.0.1:{guarded.port}/3") as limiter:
        assert limiter.count(subject, [MINUTE])[0]


@pytest.mark.parametrize(
    ("credentials", "reason"),
    [
        ("", "it requires a password"),
        (":wr0ng-pass@", "it does not accept the password"),
        ("who:wr0ng-pass@", "it does not accept the password"),
    ],
)
def test_a_wrong_password_is_named_without_it(
    guarded: RedisServer, credentials: str, reason: str, caplog: pytest.LogCaptureFixture
):
    with Limiter(f"redis://{credentials}127.0.0.1:{guarded.port}", wait=5) as limiter:
        error = fails_within(limiter, 6)
        shown = f"{error} {error.hint} {limiter!r} {limiter._address!r} {error.__cause__} {caplog.text}"

    assert error.message == f"the limiter redis://127.0.0.1:{guarded.port} is not available: {reason}"
    assert "wr0ng" not in shown
    assert error.__suppress_context__


@pytest.mark.parametrize("scheme", ["redis", "valkey"])
def test_a_database_that_a_server_does_not_have_is_named(guarded: RedisServer, scheme: str):
    with Limiter(f"{scheme}://:open%20s%40same%2F@127.0.0.1:{guarded.port}/99", wait=5) as limiter:
        error = fails_within(limiter, 6)

    assert error.message.endswith(f":{guarded.port}/99 is not available: it has no database of this number")


@pytest.mark.parametrize("arguments", [{"url": 6379}, {"wait": "1s"}], ids=str)
def test_arguments_of_another_type_are_named(arguments: dict[str, Any]):
    with pytest.raises(TypeError, match=r"^a limiter.s .*, not (int|str)$"):
        Limiter(**arguments)


def test_a_server_that_repeats_what_it_was_sent_gets_no_password_into_a_message():
    def serve() -> None:
        with suppress(OSError):
            client, _ = listener.accept()
            with client:
                sent = client.recv(1000)
                client.sendall(b"-ERR unknown command 'AUTH', with args " + sent.replace(b"\r\n", b" ") + b"\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        with Limiter(f"redis://:wr0ng-pass@127.0.0.1:{listener.getsockname()[1]}", wait=2) as limiter:
            error = fails_within(limiter, 3)

    assert "wr0ng" not in str(error)
    assert "it answered ERR" in error.message


# ── fork ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

FORKING = """
import os, sys, threading
from datetime import timedelta
from keyctl.limiter import Limiter
from keyctl.profiles.limits import Limit

limiter, limits = Limiter(sys.argv[1], wait=20), [Limit(100_000, timedelta(hours=1))]
limiter.count(sys.argv[2], limits)
done = threading.Event()
def count():
    while not done.is_set():
        limiter.count(sys.argv[2] + "/thread", limits)
threads = [threading.Thread(target=count) for _ in range(4)]
for thread in threads: thread.start()
children = []
for _ in range(6):
    if not (child := os.fork()):
        ok = all(limiter.count(sys.argv[2], limits)[0] for _ in range(50))
        os._exit(0 if ok else 1)
    children.append(child)
    limiter.count(sys.argv[2], limits)
codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
done.set()
for thread in threads: thread.join()
print(codes, limits[0].requests - limiter.look(sys.argv[2], limits)[0].remaining)
"""


@pytest.mark.parametrize(("kind", "counted"), [("memory", 7), ("redis", 307), ("redis+cluster", 307)])
def test_children_of_a_fork_count_on_connections_of_their_own(
    kind: str, counted: int, subject: str, request: pytest.FixtureRequest
):
    url = "memory://"
    if kind != "memory":
        server: RedisServer = request.getfixturevalue("redis_cluster" if "cluster" in kind else "redis_server")
        url = f"{kind}://127.0.0.1:{server.port}"

    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKING, url, subject]
    program = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert (program.stdout, program.stderr) == (f"{[0] * 6} {counted}\n", "")


# ── arguments ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("wait", [0, -1, float("nan")])
def test_the_wait_must_be_greater_than_zero(wait: float):
    with pytest.raises(UsageError, match="greater than zero"):
        Limiter(wait=wait)


def test_counting_in_memory_needs_no_other_package():
    program = "import sys; from keyctl.limiter import Limiter; Limiter(); print({'limits', 'redis'} & {*sys.modules})"

    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout == b"set()\n"


@pytest.mark.parametrize("missing", ["limits", "redis"])
def test_a_missing_package_is_named_with_the_extra_that_brings_it(missing: str, monkeypatch: pytest.MonkeyPatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == missing]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)

    with pytest.raises(ConfigurationInvalid) as error:
        Limiter("redis://127.0.0.1")

    assert missing in error.value.message
    assert error.value.hint == "pip install 'limits[redis]'"


def test_nothing_is_connected_before_the_first_call(monkeypatch: pytest.MonkeyPatch):
    connect: Callable[..., object] = lambda *_, **__: pytest.fail("connected")  # noqa: E731
    monkeypatch.setattr(socket.socket, "connect", connect)

    Limiter("redis://127.0.0.1").close()
    Limiter("redis+cluster://127.0.0.1:7000").close()
