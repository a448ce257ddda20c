"""Makes several changes one: what each would do in a transaction of its own becomes a part of a larger one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy import Connection

from keyctl.store.database import Store

T = TypeVar("T")


class JoinedStore(Store):
    """A store whose reads and writes all belong to one transaction, which `connection` is in. It ends with that."""

    def __init__(self, store: Store, connection: Connection) -> None:
        vars(self).update(vars(store))  # not a second store: its rules and its place are those of the first
        self._connection = connection

    @contextmanager
    def read(self, *, deadline: float | None = None, patience: float = math.inf) -> Iterator[Connection]:  # noqa: ARG002 - the larger transaction has a deadline
        yield self._connection

    def write(self, work: Callable[[Connection], T], *, dry_run: bool = False) -> T:
        """Run `work`; what it has done is undone if it fails, so that the transaction can continue."""
        savepoint = self._connection.begin_nested()
        try:
            result = work(self._connection)
        except BaseException:
            savepoint.rollback()
            raise
        if dry_run:
            savepoint.rollback()
        else:
            savepoint.commit()
        return result
