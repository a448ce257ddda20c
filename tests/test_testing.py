"""`keyctl.testing`: what an application's tests rely on. Nothing here needs a file or another process."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from keyctl.codes import Code
from keyctl.errors import NotFound, Refused, StoreUnavailable, UsageError
from keyctl.models import Status
from keyctl.profiles.builtin import preset_names
from keyctl.store.selection import Selection
from keyctl.testing import Clock, MemoryStore
from tests.imports import imported_by

START = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def store() -> Iterator[MemoryStore]:
    with MemoryStore(now=START) as store:
        yield store


def code(store: MemoryStore, key: str, **asked: str) -> Code:
    return store.verifier.verify(key, **asked).code


# ── keys ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_minted_key_is_its_text_and_has_what_was_asked_for(store: MemoryStore):
    key = store.mint(
        scopes=["read", "write"],
        owner="acme",
        env="test",
        expires="2h",
        name="ci",
        allowed_ips=["192.0.2.0/24"],
        metadata={"team": "a=b"},
    )

    assert key.startswith(f"{key.prefix}_")
    made = key.record.key
    assert (made.scopes, made.environment, made.name) == (("read", "write"), "test", "ci")
    assert (made.expires_at, made.created_at) == (START + timedelta(hours=2), START)
    assert (made.allowed_ips, made.metadata) == (("192.0.2.0/24",), {"team": "a=b"})
    assert key.record.owner
    assert key.record.owner.handle == "acme"
    assert store.find(key) == key.record


def test_the_verifier_is_a_real_one(store: MemoryStore):
    key = store.mint(scopes=["read"], owner="acme", allowed_ips=["192.0.2.7"])

    allowed = store.verifier.verify(key, scopes=["read"], env="live", ip="192.0.2.7", resource_owner="acme")
    assert (allowed.code, allowed.record) == (Code.VALID, key.record)
    assert code(store, key, ip="192.0.2.8") is Code.FORBIDDEN_IP
    assert code(store, key, ip="192.0.2.7", env="test") is Code.FORBIDDEN_ENVIRONMENT
    assert code(store, f"{key[:-7]}AAAAAAA") is Code.INVALID_API_KEY
    assert store.verifier.verify_request("GET", "/", [("authorization", f"Bearer {key}")], "192.0.2.7")


def test_the_text_of_a_key_is_in_no_repr(store: MemoryStore):
    key = store.mint()

    assert repr(key) == f"<key {key.prefix}>"
    assert str(key) not in repr([key, store, key.record])
    assert f"{key}" == str(key) != repr(key)


def test_a_key_can_be_copied_and_sent_to_another_process(store: MemoryStore):
    key = store.mint(scopes=["read"])

    for same in (copy.copy(key), copy.deepcopy({"key": key})["key"], pickle.loads(pickle.dumps(key))):
        assert (same, same.prefix, same.record) == (key, key.prefix, key.record)
        assert repr(same) == f"<key {key.prefix}>"


@pytest.mark.parametrize("named_by", ["key", "text", "prefix", "id"])
def test_a_key_is_named_by_its_text_its_prefix_or_its_id(store: MemoryStore, named_by: str):
    key = store.mint()
    name = {"key": key, "text": "".join(key), "prefix": key.prefix, "id": key.record.key.id}[named_by]

    assert store.revoke(name, reason="leaked").key.revoked_reason == "leaked"
    assert code(store, key) is Code.KEY_REVOKED


def test_an_unknown_key_is_an_error_without_its_secret(store: MemoryStore):
    with MemoryStore() as other:
        unknown = other.mint()

    with pytest.raises(NotFound) as error:
        store.revoke(unknown)

    assert unknown.prefix in str(error.value)
    assert unknown not in str(error.value)


def test_what_changes_a_key_takes_effect_at_once(store: MemoryStore):
    key = store.mint(scopes=["read"])
    assert code(store, key) is Code.VALID

    assert store.lock(key).key.locked(START)
    assert code(store, key) is Code.KEY_LOCKED
    store.unlock(key)
    assert code(store, key) is Code.VALID
    assert store.set_scopes(key, ["write"]).key.scopes == ("write",)
    assert store.verifier.verify(key, scopes=["read"]).code is Code.FORBIDDEN_SCOPE
    assert store.expire(key, "1m").key.expires_at == START + timedelta(minutes=1)
    store.clock.advance(minutes=1)
    assert code(store, key) is Code.KEY_EXPIRED
    assert store.find(key).status(store.clock()) is Status.EXPIRED


def test_a_lock_ends_when_the_clock_is_turned(store: MemoryStore):
    key = store.mint()
    store.lock(key, duration=timedelta(minutes=5))
    assert code(store, key) is Code.KEY_LOCKED

    store.clock.advance(minutes=5)

    assert code(store, key) is Code.VALID


def test_a_rotated_key_is_valid_until_its_grace_period_ends(store: MemoryStore):
    old = store.mint(scopes=["read"], owner="acme")

    new = store.rotate(old, grace=timedelta(hours=1))

    assert new.record.key.replaces == old.record.key.id
    assert (new.record.key.scopes, new.record.owner) == (("read",), old.record.owner)
    assert (code(store, old), code(store, new)) == (Code.VALID, Code.VALID)
    store.clock.advance(hours=1)
    assert (code(store, old), code(store, new)) == (Code.KEY_EXPIRED, Code.VALID)


def test_a_rotation_without_a_grace_period_revokes_the_old_key(store: MemoryStore):
    old = store.mint()
    store.verifier.verify(old)

    store.rotate(old, grace=timedelta())

    assert code(store, old) is Code.KEY_REVOKED


def test_what_the_profile_does_not_allow_is_refused_as_at_the_shell(store: MemoryStore):
    with pytest.raises(UsageError, match='unknown scope "fly"'):
        store.mint(scopes=["fly"])
    key = store.mint()
    store.revoke(key)
    with pytest.raises(Refused):
        store.unlock(key)


# ── owners ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_owners_are_added_changed_disabled_and_enabled():
    with MemoryStore("vantax") as store:
        agency = store.add_owner("north", kind="agency", name="North")
        store.add_owner("shop", kind="sub-account", parent="north")
        key = store.mint(owner="shop")
        assert agency.name == "North"
        assert code(store, key) is Code.VALID

        store.disable_owner("north")
        assert code(store, key) is Code.OWNER_INACTIVE
        store.enable_owner("north")
        assert code(store, key) is Code.VALID
        assert store.update_owner("shop", name="Shop").name == "Shop"
        assert store.verifier.verify(key).record == store.find(key)
        with pytest.raises(Refused, match="already exists"):
            store.add_owner("shop", kind="sub-account", parent="north")


@pytest.mark.parametrize("profile", preset_names())
def test_every_built_in_profile_can_be_used(profile: str):
    with MemoryStore(profile) as store:
        assert store.verifier.verify("x").code is Code.INVALID_API_KEY


def test_a_profile_may_be_a_file(tmp_path: Path):
    (tmp_path / "acme.toml").write_text(Path("keyctl/profiles/presets/standard.toml").read_text())

    with MemoryStore(tmp_path / "acme.toml") as store:
        assert store.verifier.verify(store.mint())


def test_a_profile_that_does_not_exist_is_an_error():
    with pytest.raises(NotFound):
        MemoryStore("standart")


# ── the clock ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_clock_begins_at_the_present_and_moves_only_when_it_is_turned():
    before = datetime.now(UTC)
    with MemoryStore() as store:
        begun = store.clock()
        time.sleep(0.01)
        assert store.clock() == begun
    assert timedelta(seconds=-1) < begun - before < timedelta(seconds=60)


def test_a_clock_cannot_be_turned_back_and_needs_a_zone():
    clock = Clock(START)

    with pytest.raises(UsageError, match="turned back"):
        clock.advance(hours=-1)
    with pytest.raises(UsageError, match="zone"):
        Clock(datetime(2026, 1, 1))  # noqa: DTZ001 - what is to be refused
    assert clock() == START


def test_a_change_beside_the_store_takes_effect_when_the_clock_was_turned(store: MemoryStore):
    key = store.mint()
    store.verifier.verify(key)
    store._keys.revoke(Selection.named(key.prefix))

    assert code(store, key) is Code.VALID
    store.clock.advance(seconds=1)
    assert code(store, key) is Code.KEY_REVOKED


def test_rate_limits_are_enforced_by_the_same_clock():
    with MemoryStore("voxpria", limits=True) as store:
        store.add_owner("acme", plan="starter")
        key = store.mint(owner="acme")
        left = min(state.remaining for state in store.verifier.verify(key).limits)

        codes = [code(store, key) for _ in range(left + 1)]
        assert codes == [*[Code.VALID] * left, Code.RATE_LIMITED]
        store.clock.advance(days=1)
        assert code(store, key) is Code.VALID


# ── the store ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_two_stores_have_nothing_in_common(store: MemoryStore):
    with MemoryStore() as other:
        key = other.mint(owner="acme")

        assert code(other, key) is Code.VALID
        assert store.verifier.verify(key).reason == "unknown prefix"
        assert store.verifier._engine.keyring.find_owners("acme") == ()  # type: ignore[attr-defined]


def test_an_unavailable_store_is_an_error_for_keys_seen_before_too(store: MemoryStore):
    key = store.mint()
    store.verifier.verify(key)

    with store.unavailable():
        with pytest.raises(StoreUnavailable, match="cannot be reached"):
            store.verifier.verify(key)
        with pytest.raises(StoreUnavailable):
            store.mint()

    assert code(store, key) is Code.VALID
    assert code(store, store.mint()) is Code.VALID


def test_threads_share_a_store(store: MemoryStore):
    codes: list[Code] = []

    def work() -> None:
        for _ in range(10):
            key = store.mint(owner="acme")
            codes.append(code(store, key))
            store.revoke(key)
            codes.append(code(store, key))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert codes.count(Code.VALID) == codes.count(Code.KEY_REVOKED) == 80


def test_a_child_of_fork_has_a_copy():
    program = (
        "import os\n"
        "from keyctl.testing import MemoryStore\n"
        "store = MemoryStore()\n"
        "key = store.mint()\n"
        "verify = lambda: str(store.verifier.verify(key).code)\n"
        "if child := os.fork():\n"
        "    assert os.waitpid(child, 0)[1] == 0\n"
        "else:\n"
        "    assert verify() == 'VALID'\n"
        "    store.revoke(key)\n"
        "    store.mint()\n"
        "assert verify() == ('VALID' if child else 'KEY_REVOKED')\n"
        "store.close()\n"
    )

    imported_by("-W", "error", "-c", program, env={})


def test_a_store_writes_no_file_and_starts_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    program = (
        "import sys; opened = []\n"
        "from keyctl.testing import MemoryStore\n"
        "starts = ('subprocess.Popen', 'os.fork', 'os.exec', 'os.posix_spawn')\n"
        "def seen(event, args):\n"
        "    writes = event == 'open' and set(str(args[1])) & set('wax+')\n"
        "    if event in starts or writes or (event == 'sqlite3.connect' and args[0] != ':memory:'):\n"
        "        opened.append((event, args))\n"
        "sys.addaudithook(seen)\n"
        "with MemoryStore() as store:\n"
        "    key = store.mint(owner='acme')\n"
        "    assert store.verifier.verify(key)\n"
        "    assert not store.verifier.verify(store.rotate(key) + 'x')\n"
        "assert not opened, opened\n"
    )

    imported_by("-B", "-c", program, env={"HOME": str(tmp_path)}, cwd=tmp_path)

    assert list(tmp_path.iterdir()) == []


# ── the plug-in of pytest ────────────────────────────────────────────────────────────────────────────────────────────


def pytest_run(folder: Path, *args: str) -> str:
    """Run pytest as an application would, with the plug-in as it is installed; return what it printed."""
    options = ("-q", "-W", "error", "-p", "no:cacheprovider", "--rootdir", str(folder))
    done = subprocess.run(
        [sys.executable, "-P", "-B", "-m", "pytest", *options, *args],
        env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", "HOME": str(folder)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def test_the_fixture_is_there_without_an_import_and_is_new_for_each_test(tmp_path: Path):
    (tmp_path / "test_app.py").write_text(
        "def test_one(keyctl_store):\n"
        "    assert keyctl_store.verifier.verify(keyctl_store.mint(owner='acme'))\n"
        "    keyctl_store.add_owner('globex')\n"
        "def test_another(keyctl_store):\n"
        "    keyctl_store.add_owner('globex')\n"
    )

    assert "2 passed" in pytest_run(tmp_path)


def test_the_profile_of_the_fixture_can_be_chosen(tmp_path: Path):
    (tmp_path / "test_app.py").write_text(
        "import pytest\n"
        "@pytest.fixture\n"
        "def keyctl_profile(): return 'vexa'\n"
        "def test_one(keyctl_store): assert keyctl_store.mint(owner='a@b.example').startswith('vxa_bot_')\n"
        "@pytest.mark.parametrize('keyctl_profile', ['standard'])\n"
        "def test_two(keyctl_store): assert keyctl_store.mint().startswith('kc_live_')\n"
    )

    assert "2 passed" in pytest_run(tmp_path)


def test_the_plug_in_imports_nothing_until_the_fixture_is_used(tmp_path: Path):
    (tmp_path / "test_app.py").write_text(
        "import sys\n"
        "loaded = set(sys.modules)\n"
        "def test_one():\n"
        "    assert {name for name in loaded if name.split('.')[0] == 'keyctl'} == {'keyctl', 'keyctl.pytest_plugin'}\n"
        "    assert not loaded & {'sqlalchemy', 'alembic', 'argon2', 'typer', 'rich', 'cryptography'}\n"
    )

    assert "1 passed" in pytest_run(tmp_path)


def test_the_plug_in_can_be_switched_off(tmp_path: Path):
    (tmp_path / "test_app.py").write_text("def test_one(keyctl_store): pass\n")

    assert "fixture 'keyctl_store' not found" in pytest_run(tmp_path, "-p", "no:keyctl")


def test_this_runs_own_tests_have_the_fixture_too(keyctl_store: MemoryStore):
    assert "PYTEST_CURRENT_TEST" in os.environ
    assert keyctl_store.verifier.verify(keyctl_store.mint())
