"""Several processes at one store."""

from __future__ import annotations

from pathlib import Path

from tests.runner import Cli

PATIENT = ("--wait", "60s")


def default_store(cli: Cli) -> Path:
    return cli.home / ".local/share/keyctl/keyctl.db"


def test_ten_mints_at_once_all_succeed(store: Cli):
    processes = [store.spawn("mint", "--count", "3", *PATIENT) for _ in range(10)]

    texts = [text for process in processes for text in process.wait().expect(0).out.split()]

    assert len(set(texts)) == 30
    assert store("audit", "verify", check=0).out == "intact: 21 events, 30 keys, 0 owners\n"
    assert all(key["delivered_at"] for key in store("list", "--json", check=0).json["keys"])


def test_first_mints_at_once_make_one_store_and_all_succeed(cli: Cli):
    processes = [cli.spawn("mint", *PATIENT) for _ in range(8)]

    results = [process.wait().expect(0) for process in processes]

    assert sum("created the store" in result.err for result in results) == 1
    assert len({result.out for result in results}) == 8
    for result in results:
        cli("verify", stdin=result.out, check=0)
    assert cli("audit", "verify", check=0).out == "intact: 17 events, 8 keys, 0 owners\n"
    assert [path.name for path in default_store(cli).parent.iterdir()] == ["keyctl.db"]


def test_a_key_revoked_while_others_record_its_use_stays_revoked(store: Cli):
    text = store("mint", check=0).out
    prefix = text.rpartition("_")[0]
    verifying = [store.spawn("verify", "--record", *PATIENT, stdin=text) for _ in range(6)]
    revoking = store.spawn("revoke", prefix, "--yes", *PATIENT)
    verifying += [store.spawn("verify", "--record", *PATIENT, stdin=text) for _ in range(6)]

    revoking.wait().expect(0)
    codes = [process.wait().code for process in verifying]

    assert set(codes) <= {0, 12}
    store("verify", stdin=text, check=12)
    store("verify", "--record", stdin=text, check=12)
    key = store("show", prefix, "--json", check=0).json
    assert key["status"] == "revoked"
    assert (key["last_used_at"] is not None) == (0 in codes)
    store("audit", "verify", check=0)


def test_use_is_recorded_without_undoing_any_other_change(store: Cli):
    text = store("mint", "--name", "before", "--scope", "read", check=0).out
    prefix = text.rpartition("_")[0]
    changes = (
        ["update", "--name", "after"],
        ["scope", "--add", "write"],
        ["lock"],
        ["unlock"],
        ["expire", "--to", "30d"],
    )
    processes = []
    for command, *options in changes:
        processes += [store.spawn("verify", "--record", *PATIENT, stdin=text) for _ in range(2)]
        store(command, prefix, *options, *PATIENT, check=0)

    codes = {process.wait().code for process in processes}

    assert codes <= {0, 14}
    key = store("show", prefix, "--json", check=0).json
    assert (key["name"], key["scopes"], key["status"]) == ("after", ["read", "write"], "active")
    assert key["expires_at"]
    assert key["last_used_at"]
    store("audit", "verify", check=0)


def test_of_rotations_at_once_one_wins_and_the_key_of_every_other_is_dead(store: Cli):
    for _ in range(3):
        text = store("mint", check=0).out
        prefix = text.rpartition("_")[0]
        processes = [store.spawn("rotate", prefix, "--grace", "0", *PATIENT) for _ in range(4)]

        results = [process.wait() for process in processes]

        assert sorted(result.code for result in results) == [0, 4, 4, 4], [str(result) for result in results]
        [winner] = [result for result in results if result.code == 0]
        old = store("show", prefix, "--json", check=0).json
        new = store("show", winner.out.rpartition("_")[0], "--json", check=0).json
        assert (old["replaced_by"], old["status"], new["replaces"]) == (new["id"], "revoked", old["id"])
        store("verify", stdin=winner.out, check=0)
        store("verify", stdin=text, check=12)
        for result in results:
            if result is not winner and result.out:  # was written out before it was overtaken
                assert "just delivered, is revoked" in result.err
                store("verify", stdin=result.out, check=12)
    alive = store("list", "--status", "active", "--json", check=0).json["keys"]
    assert len(alive) == 3
    store("audit", "verify", check=0)


def test_a_rotation_and_a_revocation_at_once_leave_no_key_in_doubt(store: Cli):
    for _ in range(3):
        text = store("mint", check=0).out
        prefix = text.rpartition("_")[0]
        rotating = store.spawn("rotate", prefix, "--grace", "1h", *PATIENT)
        store("revoke", prefix, "--yes", *PATIENT, check=0)
        rotated = rotating.wait()

        assert rotated.code in {0, 4}, rotated
        store("verify", stdin=text, check=12)
        if rotated.code == 0:
            store("verify", stdin=rotated.out, check=0)
    store("audit", "verify", check=0)


def test_a_key_revoked_twice_at_once_has_one_event(store: Cli):
    prefix = store("mint", check=0).out.rpartition("_")[0]
    processes = [store.spawn("revoke", prefix, *PATIENT) for _ in range(5)]

    assert [process.wait().code for process in processes] == [0] * 5

    events = store("audit", "list", "--action", "key.revoked", "--json", check=0).json["events"]
    assert len(events) == 1


def test_an_owner_asked_for_by_several_mints_at_once_is_made_once(store: Cli):
    processes = [store.spawn("mint", "--owner", "acme", "--create-owner", *PATIENT) for _ in range(6)]

    for process in processes:
        process.wait().expect(0)

    assert len(store("owner", "list", "--json", check=0).json["owners"]) == 1
    assert store("audit", "verify", check=0).out == "intact: 14 events, 6 keys, 1 owner\n"
