"""`keyctl apply`: a file describes owners and keys, and the store becomes so."""

from __future__ import annotations

import json
import re
import signal
import stat
import time
from typing import Any

import pytest

from tests.cli.helpers import dump, locked, mint, refused, show, verify, with_profile
from tests.runner import Cli

WHOLE = """
[[owners]]
handle = "sub"
parent = "acme"
disabled = true

[[owners]]
handle = "acme"
name = "Acme Ltd"

[[keys]]
name = "ci"
owner = "acme"
environment = "test"
scopes = ["write", "read"]
expires = "90d"
allowed_ips = ["10.0.0.0/8"]
metadata = { team = "x" }

[[keys]]
name = "spare"
owner = "acme"
locked = true
"""


def describe(cli: Cli, text: str, name: str = "keys.toml") -> str:
    (cli.cwd / name).write_text(text)
    return name


def keys_of(cli: Cli) -> dict[str, dict[str, Any]]:
    return {key["name"]: key for key in cli("list", "--all", "--json", check=0).json["keys"] if key["name"]}


def test_owners_and_keys_become_what_is_described_and_a_second_time_changes_nothing(store: Cli):
    file = describe(store, WHOLE)

    first = store("apply", file, "--out-dir", "new", "--yes", check=0)

    keys = keys_of(store)
    assert first.err.splitlines() == [
        f"keyctl: minted {keys['ci']['prefix']}, in new/acme~ci~test.key",
        f"keyctl: minted {keys['spare']['prefix']}, in new/acme~spare~live.key",
        "keyctl: applied keys.toml: 4 added",
    ]
    owner = store("owner", "show", "sub", "--json", check=0).json
    assert (owner["active"], owner["parent_id"]) == (False, store("owner", "show", "acme", "--json").json["id"])
    ci = keys["ci"]
    assert (ci["scopes"], ci["allowed_ips"], ci["metadata"]) == (["write", "read"], ["10.0.0.0/8"], {"team": "x"})
    assert keys["spare"]["status"] == "locked"
    assert verify(store, (store.cwd / "new/acme~ci~test.key").read_text(), "--ip", "10.1.1.1") == "VALID"
    assert {event["reason"] for event in store("audit", "list", "--json", check=0).json["events"]} >= {
        "apply keys.toml"
    }

    before = dump(store)
    second = store("apply", file, "--out-dir", "new", "--yes", check=0)
    assert (second.out, second.err) == ("", "keyctl: the store is as keys.toml describes it: nothing was changed\n")
    assert dump(store) == before
    store("audit", "verify", check=0)


def test_what_differs_is_shown_and_then_changed(store: Cli):
    store("apply", describe(store, WHOLE), "--out-dir", "new", "--yes", "--quiet", check=0)
    prefixes = {name: key["prefix"] for name, key in keys_of(store).items()}
    changed = WHOLE.replace('["write", "read"]', '["read"]').replace('"x"', '""').replace("90d", "never")
    changed = (
        changed.replace('"Acme Ltd"', '"Acme"')
        .replace("locked = true", "locked = false")
        .replace("disabled = true", "")
    )
    file = describe(store, changed)
    expected = f"""\
~ owner acme
~     name: Acme Ltd → Acme
~ key acme/ci (test)  {prefixes["ci"]}
~     scopes: write, read → read
~     expires: TIME → never
-     metadata.team: x
~ key acme/spare (live)  {prefixes["spare"]}
~     locked: true → false
"""

    before = dump(store)
    trial = store("apply", file, "--dry-run", check=9)
    assert re.sub(r"\d{4}-\S+Z", "TIME", trial.out) == expected
    assert trial.err == (
        "keyctl: error: 3 differences from keys.toml: 3 to change\nkeyctl: hint: keyctl apply keys.toml\n"
    )
    assert dump(store) == before

    done = store("apply", file, "--yes", check=0)
    assert (done.out, done.err) == (trial.out, "keyctl: applied keys.toml: 3 changed\n")
    assert show(store, prefixes["ci"])["expires_at"] is None
    assert show(store, prefixes["spare"])["status"] == "active"
    assert store("apply", file, "--dry-run", check=0).out == ""


@pytest.mark.sqlite
def test_on_a_terminal_the_differences_are_colored_and_asked_about(store: Cli):
    prefix = mint(store, "--name", "ci", "--scope", "write")["prefix"]
    mint(store, "--name", "old")
    file = describe(store, '[[owners]]\nhandle = "acme"\n[[keys]]\nname = "ci"\nscopes = ["read"]\n')

    trial = store.tty("apply", file, "--prune", "--dry-run", check=9).out
    declined = store.tty("apply", file, "--prune", talk=[("[y/N]", "n\n")], check=8).out
    assert show(store, prefix)["scopes"] == ["write"]
    agreed = store.tty("apply", file, "--prune", talk=[("[y/N]", "y\n")], check=0).out

    for sign, color in (("+ owner acme", 32), ("~     scopes: write → read", 33), ("- key old (live)", 31)):
        assert f"\x1b[{color}m{sign}" in trial
    assert "apply keys.toml: 1 to add, 1 to change, 1 to revoke? [y/N]" in declined
    assert "applied keys.toml: 1 added, 1 changed, 1 revoked" in agreed
    assert "\x1b" not in store.tty("apply", file, "--prune", "--no-color", "--dry-run", check=0).out


@pytest.mark.sqlite
def test_off_a_terminal_nothing_is_changed_without_yes(store: Cli):
    file = describe(store, '[[owners]]\nhandle = "acme"')

    refused(store, "apply", file, code=4, says=["confirmation required", "add --yes"])


@pytest.mark.sqlite
def test_keys_that_are_not_described_are_revoked_only_when_asked_for(store: Cli):
    mint(store, "--name", "kept")
    others = [mint(store, "--name", "gone")["prefix"], mint(store)["prefix"]]
    store("owner", "add", "other", check=0)
    file = describe(store, '[[keys]]\nname = "kept"')

    without = store("apply", file, "--yes", check=0)
    assert "2 keys are not described; to revoke them: --prune" in without.err
    assert "1 owner is not described" in without.err
    pruned = store("apply", file, "--yes", "--prune", check=0)

    assert sorted(line.split()[-1] for line in pruned.out.splitlines()) == sorted(others)
    assert [show(store, one)["revoked_reason"] for one in others] == ["apply keys.toml"] * 2
    assert store("owner", "show", "other", "--json", check=0).json["active"]
    assert keys_of(store)["kept"]["status"] == "active"
    empty = describe(store, '[[owners]]\nhandle = "other"', "empty.toml")
    refused(store, "apply", empty, "--prune", "--yes", code=4, says="--prune would revoke every key")


def test_the_description_of_a_store_describes_it(store: Cli):
    store("apply", describe(store, WHOLE), "--out-dir", "new", "--yes", check=0)
    mint(store, "--name", "of no owner", "--meta", 'odd="quoted" \\ ü')
    mint(store)
    store("rotate", keys_of(store)["ci"]["prefix"], "--out", "ci.key", check=0)
    exported = store("apply", "--export", check=0)
    text = exported.out

    assert exported.err == "keyctl: 1 key is not described, and --prune would revoke it: see the end of the file\n"
    before = dump(store)
    again = store("apply", "-", "--yes", stdin=text, check=0)

    assert dump(store) == before
    assert again.err.splitlines() == [
        "keyctl: 1 key is not described; to revoke it: --prune",
        "keyctl: the store is as standard input describes it: nothing was changed",
    ]
    assert re.search(r"^# not described: 1 key has no name: kc_live_\w{12}$", text, re.MULTILINE)
    secrets = [path.read_text().strip().rpartition("_")[2] for path in store.cwd.rglob("*.key")]
    assert len(secrets) == 3
    assert not any(secret[:12] in text for secret in secrets)
    assert "$argon2" not in text


@pytest.mark.sqlite
def test_the_plan_and_the_result_are_also_json(store: Cli):
    file = describe(store, '[[owners]]\nhandle = "acme"\n[[keys]]\nname = "ci"\nowner = "acme"\nscopes = ["read"]')

    plan = store("apply", file, "--dry-run", "--json", check=9)
    done = store("apply", file, "--out-dir", "new", "--yes", "--json", check=0).json

    step = {"action": "add", "type": "key", "owner": "acme", "name": "ci", "environment": "live"}
    changes = [{"field": "scopes", "old": None, "new": "read"}]
    assert plan.json["applied"] is False
    assert plan.json["steps"][1] == {**step, "prefix": None, "changes": changes, "out": None}
    assert json.loads(plan.err)["error"]["code"] == "CHECK_FAILED"
    assert (done["applied"], done["undescribed"]) == (True, {"keys": 0, "owners": 0})
    prefix = keys_of(store)["ci"]["prefix"]
    assert done["steps"][1] == {**step, "prefix": prefix, "changes": changes, "out": "new/acme~ci~live.key"}


# ── where new keys go ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.sqlite
def test_new_keys_are_in_private_files(store: Cli):
    store("apply", describe(store, WHOLE), "--out-dir", "a/b", "--yes", check=0)

    folder = store.cwd / "a/b"
    assert sorted(path.name for path in folder.iterdir()) == ["acme~ci~test.key", "acme~spare~live.key"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        ([], 4, ["there is no place for 2 new keys", "add --out-dir FOLDER"]),
        (["--out-dir", "taken"], 4, ["a new key would replace taken/acme~spare~live.key"]),
        (["--out-dir", "file"], 21, ["no key was minted"]),
        (["--out-dir", "x", "--exec", "cat"], 2, ["--exec cannot be used with --out-dir"]),
        (["--exec", " "], 2, ["the command of --exec is empty"]),
        (["--exec-timeout", "5s"], 2, ["--exec-timeout requires --exec"]),
    ],
    ids=["none", "taken", "file", "both", "empty", "timeout"],
)
def test_without_a_place_for_new_keys_nothing_is_changed(store: Cli, options: list[str], code: int, says: list[str]):
    (store.cwd / "taken").mkdir()
    (store.cwd / "taken/acme~spare~live.key").write_text("precious")
    (store.cwd / "file").write_text("")
    before = dump(store)

    result = store("apply", describe(store, WHOLE), *options, "--yes", check=code)

    assert all(words in result.err for words in says), result
    assert dump(store) == before


@pytest.mark.sqlite
def test_new_keys_can_be_given_to_a_command_each(store: Cli):
    text = WHOLE.replace('"spare"', '"it\'s $HOME"')
    command = 'cat > "$KEY_OWNER-$(printf %s "$KEY_NAME" | tr -dc a-z)-$KEY_ENVIRONMENT"; echo stored "$KEY_NAME"'

    done = store("apply", describe(store, text), "--exec", command, "--yes", check=0)

    assert verify(store, (store.cwd / "acme-ci-test").read_text(), "--ip", "10.1.1.1") == "VALID"
    assert verify(store, (store.cwd / "acme-its-live").read_text()) == "KEY_LOCKED"
    assert "stored it's $HOME\n" in done.err
    assert f"keyctl: minted {keys_of(store)['ci']['prefix']}, passed to the command" in done.err


@pytest.mark.sqlite
def test_a_key_that_its_command_does_not_take_is_revoked_and_the_next_run_completes_the_rest(store: Cli):
    file = describe(store, '[[keys]]\nname = "a"\n[[keys]]\nname = "b"\n[[keys]]\nname = "c"')

    failed = store("apply", file, "--yes", "--exec", 'cat >> keys; test "$KEY_NAME" != b', check=21)
    assert "could not be delivered and was revoked: the command ended with exit code 1" in failed.err
    store("apply", file, "--yes", "--exec", "cat >> keys", check=0)

    texts = (store.cwd / "keys").read_text().split()
    assert [verify(store, text) for text in texts] == ["VALID", "KEY_REVOKED", "VALID", "VALID"]
    assert store("apply", file, "--dry-run", check=0).out == ""


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("[[owners", 6, "it is not TOML"),
        ('[[owners]]\nhandle = "a"\n[[owners]]\nhandle = "a"', 6, 'owners[1]: the owner "a" is described in owners[0]'),
        ('[[keys]]\nname = "a"\n[[keys]]\nname = "a"', 6, "keys[1]: a (live) is described in keys[0] already"),
        ('[[keys]]\nname = "a"\nowner = "no"\nscopes = ["raed"]\nx = 1', 6, "3 faults"),
        ('[[owners]]\nhandle = "a"\ndisabled = true\n[[keys]]\nname = "a"\nowner = "a"', 4, "keys[0]: the owner a is"),
        ('[[keys]]\nname = "two"', 4, "keys[0]: 2 live keys are called two (live): kc_live_"),
    ],
)
def test_a_description_that_cannot_be_applied_changes_nothing(store: Cli, text: str, code: int, says: str):
    mint(store, "--name", "two")
    mint(store, "--name", "two")
    file = describe(store, text)

    for options in (["--yes", "--out-dir", "new"], ["--dry-run"]):
        refused(store, "apply", file, *options, code=code, says=says)
    assert not (store.cwd / "new").exists()


@pytest.mark.sqlite
def test_what_the_profile_does_not_allow_is_all_reported(cli: Cli):
    rules = """
[scopes]
exclusive = true
list.a = {}
list.b = {}
list.big = {plans = ["ultra"]}
[plans.ultra]
limits = []
[plans.mini]
limits = []
[lifetime]
default = "30d"
maximum = "90d"
"""
    with_profile(cli, rules)
    key = mint(cli, "--name", "old", "--scope", "a", "--expires", "30d")
    text = """
[[owners]]
handle = "o"
plan = "mini"
[[keys]]
name = "old"
scopes = ["a", "b"]
[[keys]]
name = "long"
expires = "never"
[[keys]]
name = "big"
owner = "o"
scopes = ["big"]
"""

    result = refused(cli, "apply", describe(cli, text), "--yes", "--out-dir", "new", code=4, says="nothing was changed")

    assert "keys[0]: a key can have only one scope" in result.err
    assert 'keys[1]: "never" exceeds the maximum lifetime' in result.err
    assert "keys[2]: scope big needs the plan ultra" in result.err
    assert show(cli, key["prefix"])["scopes"] == ["a"]


@pytest.mark.sqlite
@pytest.mark.parametrize(
    "args", [[], ["--export", "x.toml"], ["--export", "--prune"], ["missing.toml"], ["."]], ids=" ".join
)
def test_what_cannot_be_read_or_is_contradictory_is_refused(store: Cli, args: list[str]):
    refused(store, "apply", *args, code=2)


# ── other processes, and ends that come too early ────────────────────────────────────────────────────────────────────


def test_runs_at_once_leave_one_key(store: Cli):
    file = describe(store, '[[keys]]\nname = "ci"')
    runs = []
    with locked(store):
        runs += [store.spawn("apply", file, "--yes", "--wait", "30s", "--out-dir", f"d{i}") for i in range(4)]
        time.sleep(0.5)

    codes = [run.wait().code for run in runs]

    assert sorted(set(codes)) in ([0], [0, 4])
    assert [key["status"] for key in store("list", "--all", "--json").json["keys"]] == ["active"]
    assert len(list(store.cwd.rglob("*.key"))) == 1
    store("audit", "verify", check=0)


@pytest.mark.sqlite
def test_a_change_by_another_process_during_the_question_is_not_overwritten(store: Cli):
    prefix = mint(store, "--name", "ci", "--scope", "write")["prefix"]
    file = describe(store, '[[keys]]\nname = "ci"\nscopes = ["read"]')
    answers = Interfering(store, ["scope", prefix, "--set", "admin"])

    shown = store.tty("apply", file, talk=answers, check=4).out

    assert "the store was changed by another process since it was compared" in shown
    assert show(store, prefix)["scopes"] == ["admin"]


class Interfering(list[tuple[str, str]]):
    """The answer to one question, before which another command is run."""

    def __init__(self, cli: Cli, command: list[str]) -> None:
        super().__init__([("[y/N]", "y\n")])
        self._cli, self._command = cli, command

    def __iter__(self) -> Any:
        for expected, answer in [("[y/N]", "y\n")]:
            yield expected, LateText(answer, lambda: self._cli(*self._command, check=0))


class LateText(str):
    """A text that runs something when it is about to be typed."""

    def __new__(cls, text: str, before: Any) -> LateText:
        made = super().__new__(cls, text)
        made.before = before  # type: ignore[attr-defined]
        return made

    def encode(self, *how: Any) -> bytes:
        self.before()  # type: ignore[attr-defined]
        return super().encode(*how)


@pytest.mark.sqlite
def test_an_interrupted_run_is_completed_by_the_next(store: Cli):
    text = "".join(f'[[keys]]\nname = "k{i}"\n' for i in range(12))
    file = describe(store, text + '[[owners]]\nhandle = "acme"\n')
    mint(store, "--name", "gone")
    process = store.spawn("apply", file, "--yes", "--prune", "--out-dir", "new")
    end = time.monotonic() + 30
    while not (store.cwd / "new").exists() or not list((store.cwd / "new").glob("k*")):
        assert time.monotonic() < end
        time.sleep(0.002)
    process.kill(signal.SIGTERM)
    assert process.wait().code in (143, 0)

    again = ("apply", file, "--yes", "--prune", "--out-dir", "more")
    result = store(*again)
    if result.code == 4:  # the signal came between the delivery of a key and its record: what the hint says helps
        [prefix] = re.findall(r"keyctl revoke (\S+)", result.err)
        store("revoke", prefix, check=0)
        [delivered] = [path for path in store.cwd.rglob("*.key") if path.read_text().startswith(prefix)]
        delivered.unlink()
        result = store(*again)
    result.expect(0)

    active = [key for key in store("list", "--all", "--json").json["keys"] if key["status"] == "active"]
    assert sorted(key["name"] for key in active) == sorted(f"k{i}" for i in range(12))
    texts = [path.read_text().strip() for path in store.cwd.rglob("*.key")]
    assert sorted(one.rpartition("_")[0] for one in texts) == sorted(key["prefix"] for key in active)
    assert store("apply", file, "--dry-run", "--prune", check=0).out == ""
    store("audit", "verify", check=0)
