"""A server that goes away and comes back, or is replaced by its standby, while threads verify keys.

Every answer is right or StoreUnavailable, none is later than it may be, and a second after the server takes connections
again all of them are right.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing

import psycopg
import pytest

from keyctl.profiles.files import load_profile
from keyctl.store.location import StoreLocation
from keyctl.store.schema import create
from keyctl.store.selection import Selection
from keyctl.verifier import Verifier
from tests.cluster import FAST, IMMEDIATE, Server, running_server
from tests.load import MARGIN, Expected, Load, load
from tests.pgbouncer import running_pgbouncer
from tests.stores import ACTOR, CHEAP, NOW, Opened
from tests.tcp import Proxy

pytestmark = [pytest.mark.postgres, pytest.mark.torture]

Figure = Callable[[str, object], None]


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with running_server(request.config.getoption("--postgres")) as server:
        yield server


@pytest.fixture(scope="module")
def right(server: Server) -> dict[str, Expected]:
    return fill(server)


def fill(server: Server) -> dict[str, Expected]:
    """Make a store; return keys, and what is right to answer for each."""
    location = StoreLocation.parse(server.url)
    store, _ = create(location, load_profile("standard"), CHEAP, actor=ACTOR, now=NOW)
    with closing(store):
        opened = Opened(store)
        [revoked, *valid] = opened.mint(count=7)
        opened.admin.revoke(Selection.named(revoked.record.key.prefix))
        gone = opened.mint()[0].text
        store.write(
            lambda connection: connection.exec_driver_sql("delete from keys where prefix like %s", (gone[:20],))
        )
    return {
        **{minted.text: ("VALID", minted.record.key.prefix) for minted in valid},
        revoked.text: ("KEY_REVOKED", revoked.record.key.prefix),
        gone: ("INVALID_API_KEY", None),
    }


def verifying(url: str, wait: float) -> closing[Verifier]:
    return closing(Verifier.from_store(url, wait=wait, cache_size=0, clock=lambda: NOW))


def report(figure: Figure, what: str, running: Load, wait: float, back: float) -> None:
    """Check what was answered under a load, and write down how it went."""
    running.check(wait)
    recovery = running.recovery(back)
    figure(
        f"{what}, wait {wait:g} s",
        f"{len(running.answers)} answers, {len(running.unavailable)} of them 503, the longest after"
        f" {running.longest:.2f} s, all right {max(0, recovery):.2f} s after the server was back",
    )
    assert recovery <= 1 + MARGIN


@pytest.fixture(params=[1.0, pytest.param(5.0, marks=pytest.mark.torture(only=True))], ids="wait {}".format)
def wait(request: pytest.FixtureRequest) -> float:
    seconds: float = request.param
    return seconds


@pytest.mark.parametrize("how", [IMMEDIATE, pytest.param(FAST, marks=pytest.mark.torture(only=True))])
def test_a_server_that_is_restarted(server: Server, right: dict[str, Expected], wait: float, how: int, figure: Figure):
    with verifying(server.url, wait) as verifier, load(verifier, right) as running:
        time.sleep(0.3)
        server.stop(how)
        time.sleep(0.2)
        back = server.start()
        time.sleep(1.2)

    report(figure, f"restarted ({'immediate' if how is IMMEDIATE else 'fast'})", running, wait, back)


def test_a_server_that_is_paused(
    server: Server, right: dict[str, Expected], wait: float, rounds: Callable[[float, float], float], figure: Figure
):
    with verifying(server.url, wait) as verifier, load(verifier, right) as running:
        time.sleep(0.3)
        server.pause()
        time.sleep(rounds(1.5, 8))
        back = server.resume()
        time.sleep(1.2)

    report(figure, "paused", running, wait, back)


@pytest.mark.torture(only=True)
@pytest.mark.parametrize("silence", [0.5, 3, 8])
def test_a_network_that_loses_everything(
    server: Server, right: dict[str, Expected], wait: float, silence: float, figure: Figure
):
    with (
        closing(Proxy(server.socket)) as proxy,
        verifying(server.url.replace(str(server.port), str(proxy.port)), wait) as verifier,
        load(verifier, right) as running,
    ):
        time.sleep(0.5)
        proxy.fall_silent()
        time.sleep(silence)
        proxy.speak()
        back = time.monotonic()
        time.sleep(3)

    report(figure, f"everything lost for {silence} s", running, wait, back)


@pytest.mark.torture(only=True)
def test_a_network_that_cuts_every_connection(server: Server, right: dict[str, Expected], wait: float, figure: Figure):
    with (
        closing(Proxy(server.socket)) as proxy,
        verifying(server.url.replace(str(server.port), str(proxy.port)), wait) as verifier,
        load(verifier, right) as running,
    ):
        for _ in range(20):
            time.sleep(0.1)
            proxy.cut()
        back = time.monotonic()
        time.sleep(1.2)

    report(figure, "every connection cut, 20 times", running, wait, back)


@pytest.mark.torture(only=True)
@pytest.mark.parametrize("fault", [Server.stop, Server.pause], ids=["stopped", "silent"])
def test_a_primary_whose_standby_takes_over(
    request: pytest.FixtureRequest, wait: float, fault: Callable[[Server], None], figure: Figure
):
    with running_server(request.config.getoption("--postgres")) as primary:
        right = fill(primary)
        with primary.standby() as standby:
            hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
            url = f"postgresql://postgres@{hosts}/postgres?target_session_attrs=read-write"
            with verifying(url, wait) as verifier, load(verifier, right) as running:
                time.sleep(0.5)
                fault(primary)
                time.sleep(1)
                back = standby.promote()
                time.sleep(3)

    report(figure, f"primary {request.node.callspec.id.split('-')[-1]}, standby promoted", running, wait, back)


@pytest.mark.torture(only=True)
def test_a_server_behind_pgbouncer(server: Server, right: dict[str, Expected], wait: float, figure: Figure):
    with (
        running_pgbouncer(server) as url,
        verifying(url, wait) as verifier,
        load(verifier, right, threads=8) as running,
    ):
        time.sleep(2)
        server.stop()
        time.sleep(0.5)
        back = server.start()
        time.sleep(3)

    report(figure, "restarted behind pgbouncer", running, wait, back)


@pytest.mark.torture(only=True)
def test_a_session_that_pgbouncer_shares_keeps_its_own_settings(server: Server, right: dict[str, Expected]):
    names = (
        "lock_timeout",
        "statement_timeout",
        "idle_in_transaction_session_timeout",
        "default_transaction_read_only",
    )
    query = "select " + ", ".join(f"current_setting('{name}')" for name in names)

    with running_pgbouncer(server, sessions=1) as url:
        with psycopg.connect(url, prepare_threshold=None) as other:
            before = other.execute(query).fetchone()
        with verifying(url, 5) as verifier:
            for key in right:
                verifier.verify(key)
        with psycopg.connect(url, prepare_threshold=None) as other:
            assert other.execute(query).fetchone() == before
