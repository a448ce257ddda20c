"""The fixtures that every test may use. `cli` runs keyctl; `store` does too, and its store is there already.

A test that asks for `store`, `empty` or anything else that depends on `database` runs twice: over SQLite and over
PostgreSQL. `@pytest.mark.sqlite` says that it is about files, and runs once.
"""

from __future__ import annotations

import functools
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

from keyctl.profiles.files import load_profile
from keyctl.store.database import Store
from keyctl.store.location import StoreLocation
from keyctl.store.schema import create, ddl
from tests import fuzzing, postgres, stores
from tests.cli.helpers import CHEAP, Filled
from tests.runner import Cli
from tests.stores import Opened, new_store

if TYPE_CHECKING:
    from tests.redis_server import RedisServer

if not os.environ.get("CI"):  # in CI hypothesis has a profile of its own: no deadline, and the same examples each time
    hypothesis.settings.register_profile("keyctl", deadline=None)
    hypothesis.settings.load_profile("keyctl")

# A shell that starts the tests in the background has SIGINT ignored, in them and in every process that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

_filled: dict[tuple[str, Callable[[Cli], Any]], tuple[Path, str, Any]] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    versions = [postgres.NEWEST, postgres.OLDEST]
    parser.addoption("--postgres", choices=versions, default=versions[0], help="which PostgreSQL to start")
    parser.addoption("--torture", action="store_true", help="run only the tests marked torture, at full length")


def pytest_configure(config: pytest.Config) -> None:
    fuzzing.torture = config.getoption("--torture")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """With --torture, report how many examples a property was tried on."""
    tried = 0
    property_test = getattr(getattr(item, "obj", None), "hypothesis", None)
    if property_test is None or not fuzzing.torture:
        return (yield)
    inner = property_test.inner_test

    @functools.wraps(inner)
    def counted(*args: Any, **kwargs: Any) -> None:
        nonlocal tried
        tried += 1
        inner(*args, **kwargs)

    property_test.inner_test = counted
    start = time.monotonic()
    try:
        return (yield)
    finally:
        property_test.inner_test = inner
        item.user_properties.append((f"fuzzed {item.name}", f"{tried:,} examples, {time.monotonic() - start:.0f} s"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With --torture leave out all but the long tests; without it, leave out those that have no short form."""
    torture = config.getoption("--torture")
    wanted, unwanted = [], []
    for item in items:
        mark = item.get_closest_marker("torture")
        chosen = mark is not None if torture else mark is None or not mark.kwargs.get("only", False)
        (wanted if chosen else unwanted).append(item)
    items[:] = wanted
    config.hook.pytest_deselected(items=unwanted)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """With --torture, print what the tests measured, sorted by name: short forms have nothing to quote."""
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    figures = {
        name: value
        for report in reports
        if getattr(report, "when", None) == "call"
        for name, value in report.user_properties
    }
    if figures and terminalreporter.config.getoption("--torture"):
        terminalreporter.section("figures")
        for name in sorted(figures):
            terminalreporter.line(f"{name}: {figures[name]}")


@pytest.fixture(scope="session")
def rounds(request: pytest.FixtureRequest) -> Callable[[int, int], int]:
    """`rounds(short, full)` is how often to repeat: `full` with --torture, `short` without."""
    torture = request.config.getoption("--torture")
    return lambda short, full: full if torture else short


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[str, object], None]:
    """`figure(name, value)` prints a measured value at the end of the run: one line each, ready to be quoted."""
    return record_property


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: many tests wait, for a lock, a deadline or another process."""
    return (os.cpu_count() or 1) + 1


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "database" in metafunc.fixturenames:
        once = metafunc.definition.get_closest_marker("sqlite")
        databases = ["sqlite"] if once else ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]
        metafunc.parametrize("database", databases, indirect=True)


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    """keyctl with an empty home."""
    cli = Cli(tmp_path)
    yield cli
    cli.close()


# ── either database ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="session")
def database(request: pytest.FixtureRequest) -> str:
    """Which database the test is over: "sqlite" or "postgres"."""
    name: str = request.param
    return name


@pytest.fixture
def empty(cli: Cli, database: str, request: pytest.FixtureRequest) -> Cli:
    """keyctl with a place for a store, and nothing there yet."""
    if database == "postgres":
        cli.env["KEYCTL_STORE"] = request.getfixturevalue("empty_schema")
    return cli


@pytest.fixture
def store(cli: Cli, database: str, request: pytest.FixtureRequest) -> Iterator[Cli]:
    """keyctl with an empty store, whose hashes cost next to nothing."""
    if database == "postgres":
        cli.env["KEYCTL_STORE"] = request.getfixturevalue("postgres_schema")
        postgres.run(cli.env["KEYCTL_STORE"], request.getfixturevalue("_schema_with_store"))
    else:
        shutil.copytree(request.getfixturevalue("_home_with_store"), cli.home, dirs_exist_ok=True)
    yield cli
    cli.close()  # before the next test empties the schema


@pytest.fixture
def filled(store: Cli, database: str, tmp_path_factory: pytest.TempPathFactory) -> Filled:
    """`filled(fill)` fills the store as `fill(store)` does, and returns what it returned.

    It runs for the first test that wants it; every later one gets a copy: running the commands again takes far longer.
    """

    def copy_or_fill(fill: Callable[[Cli], Any]) -> Any:
        url = store.env["KEYCTL_STORE"] if database == "postgres" else None
        if (database, fill) in _filled:
            home, contents, result = _filled[database, fill]
            shutil.copytree(home, store.home, dirs_exist_ok=True)
            if url:
                postgres.run(url, contents)
            return result
        result = fill(store)
        home = shutil.copytree(store.home, tmp_path_factory.mktemp("filled") / "home")
        _filled[database, fill] = home, postgres.contents(url) if url else "", result
        return result

    return copy_or_fill


@pytest.fixture(scope="session")
def _home_with_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cli = Cli(tmp_path_factory.mktemp("store"))
    cli("init", *CHEAP, check=0)
    cli.close()
    return cli.home


@pytest.fixture(scope="session")
def _schema_with_store(tmp_path_factory: pytest.TempPathFactory, postgres_server: str) -> str:
    cli = Cli(tmp_path_factory.mktemp("store"))
    with postgres.schema(postgres_server) as url:
        cli("init", "--store", url, *CHEAP, check=0)
        cli.close()
        return postgres.contents(url)


# ── a store in the test's own process ─────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def opened(open_new: Callable[[], Opened]) -> Opened:
    """An open store, empty, on a clock that does not move."""
    return open_new()


@pytest.fixture
def open_new(database: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[[], Opened]]:
    """Closes the last one, if any, and opens another empty store."""
    stores: list[Store] = []

    def open_another() -> Opened:
        if stores:
            stores.pop().close()
        if database == "sqlite":
            opened = new_store(tmp_path / "opened.db")
        else:
            url = request.getfixturevalue("postgres_schema")
            postgres.run(url, request.getfixturevalue("empty_store"))
            opened = Opened(Store(StoreLocation.parse(url)))
        stores.append(opened.store)
        return opened

    yield open_another
    for store in stores:
        store.close()


# ── Redis ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A server, which the tests of this process share. There always is one: without it, an error and not a skip."""
    from tests import redis_server  # its client takes a third of a second to import

    with redis_server.running() as server:
        yield server


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[RedisServer]:
    """A node that is a cluster by itself."""
    from tests import redis_server

    with redis_server.running_cluster() as server:
        yield server


# ── PostgreSQL ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="session")
def own_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server that the tests have started themselves."""
    folder = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        folder = folder.parent  # all of a run's workers share it
    with postgres.shared_server(folder, request.config.getoption("--postgres")) as url:
        yield url


@pytest.fixture(scope="session")
def postgres_server(request: pytest.FixtureRequest) -> str:
    """The URL of the server to test with. There always is one: without it, an error and not a skip."""
    given = os.environ.get("KEYCTL_TEST_POSTGRES_URL")
    url: str = given or request.getfixturevalue("own_server")
    return url


@pytest.fixture
def empty_schema(postgres_server: str) -> Iterator[str]:
    """The URL of a store that is not there yet."""
    with postgres.schema(postgres_server) as url:
        yield url


@pytest.fixture(scope="session")
def postgres_schema(postgres_server: str) -> Iterator[str]:
    """The URL of this process's own schema, for each test to fill: new tables would take ten times longer."""
    with postgres.schema(postgres_server, ddl("postgresql").rstrip(";")) as url:
        yield url


@pytest.fixture(scope="session")
def empty_store(postgres_server: str) -> str:
    """The statements that make an empty store of any schema that has the tables."""
    with postgres.schema(postgres_server) as url:
        store, _ = create(
            StoreLocation.parse(url), load_profile("standard"), stores.CHEAP, actor=stores.ACTOR, now=stores.NOW
        )
        store.close()
        return postgres.contents(url)
