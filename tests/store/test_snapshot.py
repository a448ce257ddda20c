from __future__ import annotations

from sqlalchemy import func, select

from keyctl.store.tables import keys
from tests.stores import Opened


def test_a_snapshot_sees_one_moment_and_keeps_no_writer_waiting(opened: Opened):
    opened.mint()
    with opened.store.snapshot() as connection:
        first = connection.execute(select(func.count()).select_from(keys)).scalar()
        opened.mint()

        assert connection.execute(select(func.count()).select_from(keys)).scalar() == first == 1
