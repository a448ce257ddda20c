"""Makes tests/data/store-NNNN.sql, a dump of a store of the newest schema, and beside it what its keys must answer.

Run once for each schema, when it is finished: `python -m tests.store.golden`. The dump of a released schema is never
made again.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
from datetime import timedelta
from pathlib import Path

from keyctl.admin.owners import NewOwner
from keyctl.store.opening import SCHEMA_REVISION
from keyctl.store.selection import Selection
from keyctl.verifier import Verifier
from tests.stores import Opened, new_store

DATA = Path(__file__).parent.parent / "data"


def fill(opened: Opened) -> list[str]:
    """Bring every kind of key and owner into the store; return the keys' texts."""
    opened.owners.add(NewOwner("acme", name="Acme “Ltd” 🙂"))
    opened.owners.add(NewOwner("acme-eu", parent="acme"))
    opened.owners.add(NewOwner("shut"))
    mint = opened.mint
    [plain] = mint()
    [rich] = mint(
        name="it's; -- [bold]",
        owner="acme-eu",
        environment="test",
        scopes=["write", "read"],
        allowed_ips=["192.0.2.0/24"],
        metadata=["team=billing"],
    )
    [revoked], [locked], [locked_for_now], [expired], [stopped] = (mint(owner=owner) for owner in [None] * 4 + ["shut"])
    opened.admin.revoke(Selection.named(revoked.record.key.prefix), reason="leaked")
    opened.admin.lock(Selection.named(locked.record.key.prefix))
    opened.admin.lock(Selection.named(locked_for_now.record.key.prefix), duration=timedelta(hours=1))
    opened.admin.expire(Selection.named(expired.record.key.prefix), "1h")
    opened.owners.disable("shut")
    [rotated], [gone] = mint(expires="30d"), mint()
    new = opened.rotate(rotated.record.key.prefix, grace=timedelta(hours=1))
    newer = opened.rotate(gone.record.key.prefix, grace=timedelta(0))
    many = mint(count=3)
    every = [plain, rich, revoked, locked, locked_for_now, expired, stopped, rotated, gone, new, newer, *many]
    return [one.text for one in every]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        opened = new_store(Path(folder, "golden.db"))
        texts = fill(opened)
        opened.clock.advance(hours=1)  # to the second at which what ends after an hour has ended
        verifier = Verifier(opened.store, clock=opened.clock)
        codes = {text: str(verifier.verify(text).code) for text in texts}
        (DATA / f"store-{SCHEMA_REVISION}.json").write_text(
            json.dumps({"keys": len(texts), "owners": 3, "codes": codes}, indent=1) + "\n"
        )
        connection = sqlite3.connect(opened.path)
        (DATA / f"store-{SCHEMA_REVISION}.sql").write_text("\n".join(connection.iterdump()) + "\n")
        connection.close()


if __name__ == "__main__":
    main()
